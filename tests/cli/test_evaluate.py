"""``irc evaluate``: scores as text and JSON, rows that fail, devices left out, drawings, mistakes."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAD = "device,framework,dtype,batch,m,n,k,latency_us\n"
ROWS = """\
h100_sxm,vllm,bfloat16,1,4096,4096,4096,200
t4,pytorch,float32,1,128,128,128,30
h100,vllm,fp8,1,4096,4096,4096,120
abacus,vllm,bfloat16,1,128,128,128,30
t4,pytorch,float7,1,128,128,128,30
t4,pytorch,float32,1,,128,128,30
t4,pytorch,float32,1,128,128,128,0
"""
HEAD_OF_MODELS = "device,model,mode,seq,batch,option,layers,forward_us,latency_us"
NUMBERS = ["rows", "failed", "mape", "median_ape", "p90_ape", "bias", "kendall_tau", "below_bound"]
TARGET = "name: fast_t4\nextends: t4\nsource: what if\naliases: [quick]\nmatrix: {f16: 130 TFLOP/s}\n"

# Arguments after `irc evaluate`, files by name behind an @; what the message must hold.
MISTAKES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "no table": ((), ("missing argument 'TABLES...'",)),
    "no such file": (("nowhere.csv",), ("cannot read nowhere.csv", "Parquet or CSV")),
    "a folder": (("@folder",), ("cannot read", "Is a directory")),
    "no Parquet": (("@noise.parquet",), ("is no Parquet file", ".csv")),
    "no text": (("@noise.csv",), ("is no CSV file", "UTF-8")),
    "ragged": (("@ragged.csv",), ("row 2 has 3 fields, the head 8",)),
    "no head": (("@empty.csv",), ("has no column device, latency_us", "it has none")),
    "no commas": (("@semicolons.csv",), ("has no column device, latency_us", "with commas between; it has 'device;m")),
    "two of one name": (("@twice.csv",), ("has 2 columns 'm'", "leave one")),
    "no latency": (("@unmeasured.csv",), ("has no column latency_us",)),
    "no family": (("@flat.csv",), ("its columns match no family", "gemm also needs k", "model_ops")),
    "no row that can be used": (("@failed.csv",), ("2 failed: no target 'abacus' (rows 1-2)", "irc targets lists")),
    "an empty table": (("@head.csv", "--json"), ("no row can be used: head.csv: it has no rows",)),
    "no row, as JSON": (("@failed.csv", "--json"), ("no row can be used: failed.csv: 2 failed",)),
    "no such model": (("@gemm.csv", "--model", "rooflin"), ("no cost model 'rooflin'", "roofline, analytical")),
    "no such grouping": (("@gemm.csv", "--by", "device,colour"), ("--by colour", "device, framework, dtype")),
    "no folder of targets": (("@gemm.csv", "--targets", "nowhere"), ("--targets nowhere: no such folder",)),
    "target with a mistake": (("@gemm.csv", "--targets", "@broken"), ("bandwith", "bandwidth")),
    "no constants": (("@gemm.csv", "--constants", "@gemm.csv"), ("holds no constants", "irc calibrate")),
    "old constants": (("@gemm.csv", "--constants", "@old.json"), ("version 1, ", "irc calibrate")),
    "two kinds of constants": (
        ("@gemm.csv", "--constants", "@old.json", "--leave-out-device"),
        ("--leave-out-device and --constants",),
    ),
    "constants beside corrections": (
        ("@gemm.csv", "--constants", "@old.json", "--model", "hybrid"),
        ("--model hybrid and --constants", "learned on the bundled constants"),
    ),
    "constants twice": (
        ("@gemm.csv", "--leave-out-device", "--model", "@old.json"),
        ("and --leave-out-device", "constants of its own"),
    ),
    "constants of models": (("@models.csv", "--leave-out-device"), ("is of whole models",)),
    "a folder of no models": (("@gemm.csv", "--model", "@folder"), ("holds no learned model", "irc train")),
    "no such split": (
        ("@gemm.csv", "--split", "frmework"),
        ("--split frmework: ", "has no such column", "did you mean framework?"),
    ),
    "an estimator without a split": (("@gemm.csv", "--estimator", "linear"), ("--estimator linear needs --split",)),
    "no such estimator": (
        ("@gemm.csv", "--split", "shape", "--estimator", "lineer"),
        ("no estimator 'lineer'", "linear"),
    ),
    "nothing to split": (("@gemm.csv", "--split", "shape"), ("--split shape: ", "200 needed")),
    "learned without a split": (
        ("@gemm.csv", "--model", "learned"),
        ("--model learned needs --split", "--split shape"),
    ),
    "two kinds of splits": (
        ("@gemm.csv", "--split", "device", "--leave-out-device"),
        ("--split and --leave-out-device",),
    ),
    "a split of a folder": (("@gemm.csv", "--split", "shape", "--model", "@folder"), ("with --split", "trained again")),
    "two forms": (("@gemm.csv", "--csv", "--json"), ("exclude each other",)),
    "a split of models": (("@model_ops.csv", "--split", "shape"), ("is of models",)),
    "parts of models alone": (("@model_ops.csv", "--leave-out-device"), ("no table of gemm, vector",)),
}


@pytest.fixture
def places(tmp_path: Path) -> Path:
    """A folder of tables, and of what looks like them."""
    texts = {
        "gemm.csv": HEAD + ROWS,
        "head.csv": HEAD,
        "empty.csv": "",
        "ragged.csv": HEAD + ROWS.splitlines(keepends=True)[0] + "t4,1,2\n",
        "semicolons.csv": "device;m;n;k;latency_us\nt4;1;1;1;9\n",
        "twice.csv": "device,m,m,n,k,latency_us\nt4,1,2,1,1,9\n",
        "unmeasured.csv": "device,m,n,k\nt4,1,1,1\n",
        "failed.csv": "device,m,n,k,latency_us\nabacus,1,1,1,9\nabacus,2,2,2,9\n",
        "flat.csv": "device,m,n,latency_us\nt4,1,1,1\n",
        "noise.parquet": "this is no table",
        "old.json": '{"version": 1}',
        "model_ops.csv": "device,op,dims,forward_us\nt4,Linear,\"[['Linear', (8, 64, 32)]]\",20\n",
        "models.csv": f"{HEAD_OF_MODELS}\nt4,bert_large,inference,512,8,,24,9,9\n",
        "broken/slow.yaml": "name: slow\nextends: h100\nsource: test\nmemory:\n  hbm: {bandwith: 3.35 TB/s}\n",
        "own/fast_t4.yaml": TARGET,
    }
    for name, text in texts.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (tmp_path / "noise.csv").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "folder").mkdir()
    return tmp_path


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_in_one_message(irc, places: Path, mistake: str) -> None:
    if mistake == "no Parquet":
        pytest.importorskip("pyarrow", reason="reading Parquet needs pyarrow")
    arguments, wanted = MISTAKES[mistake]
    outcome = irc("evaluate", *(str(places / word[1:]) if word.startswith("@") else word for word in arguments))
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("error: ") == 1
    assert "Traceback" not in outcome.err
    assert [text for text in wanted if text not in outcome.err] == []


def test_json_has_the_keys_of_its_schema(irc, places: Path) -> None:
    outcome = irc("evaluate", places / "gemm.csv", "--json")
    report = json.loads(outcome.out)
    assert list(report) == ["model", "groups"]
    assert report["model"] == "analytical"
    (group,) = report["groups"]
    assert list(group) == ["family", *NUMBERS]
    assert (group["family"], group["rows"], group["failed"], group["below_bound"]) == ("gemm", 7, 4, 0.0)


def test_groups_come_in_the_order_of_their_names(irc, places: Path) -> None:
    groups = json.loads(irc("evaluate", places / "gemm.csv", "--by", "dtype,device", "--json").out)["groups"]
    assert [list(group)[:3] for group in groups] == [["family", "device", "dtype"]] * len(groups)
    names = [(group["device"], group["dtype"]) for group in groups]
    assert names == [
        *(("abacus", "bfloat16"), ("h100", "fp8"), ("h100_sxm", "bfloat16")),
        *(("t4", "float32"), ("t4", "float7")),
    ]
    assert groups[0]["mape"] is None


def test_rows_that_fail_are_listed(irc, places: Path) -> None:
    outcome = irc("evaluate", places / "gemm.csv")
    assert outcome.code == 0
    assert outcome.out.splitlines()[2:] == [
        "gemm.csv: 1 failed: m is not a number (rows 6)",
        "gemm.csv: 1 failed: no positive latency was measured (rows 7)",
        "gemm.csv: 1 failed: no target 'abacus' (rows 4)",
        "gemm.csv: 1 failed: number format 'float7' is not known (rows 5)",
    ]
    assert irc("evaluate", places / "gemm.csv", "--json").err.splitlines() == outcome.out.splitlines()[2:]


def test_the_hybrid_tells_how_many_rows_its_intervals_hold(irc, places: Path) -> None:
    """Of machines that the roofline answers for there is no interval."""
    table = places / "machines.csv"
    table.write_text(HEAD + ROWS.splitlines()[0] + "\ntpu_v4,,bfloat16,1,4096,4096,4096,900\n")
    arguments = ("evaluate", table, "--model", "hybrid", "--model", "analytical", "--by", "device", "--json")
    hybrid, analytical = (report["groups"] for report in json.loads(irc(*arguments).out))
    assert [own["device"] for own in hybrid] == ["h100_sxm", "tpu_v4"]
    assert hybrid[0]["coverage"] in (0.0, 100.0) and hybrid[0]["width"] > 0
    assert all("coverage" not in own for own in (hybrid[1], *analytical))


def test_csv_has_what_json_has(irc, places: Path) -> None:
    arguments = ("evaluate", places / "gemm.csv", "--model", "roofline", "--model", "hybrid", "--by", "device,dtype")
    outcome = irc(*arguments, "--csv")
    lines = [*csv.DictReader(io.StringIO(outcome.out))]
    found = [
        (report["model"], group) for report in json.loads(irc(*arguments, "--json").out) for group in report["groups"]
    ]
    assert len(lines) == len(found) == 10
    for line, (model, group) in zip(lines, found, strict=True):
        assert line.pop("model") == model
        assert {name: text for name, text in line.items() if text} == {
            name: str(value) for name, value in group.items() if value is not None
        }
    assert "1 failed: no target 'abacus'" in outcome.err


def test_several_models_stand_under_each_other(irc, places: Path) -> None:
    arguments = ("evaluate", places / "gemm.csv", "--by", "device", "--model", "roofline", "--model", "analytical")
    lines = irc(*arguments).out.splitlines()
    assert [line.split()[1:3] for line in lines[1:5]] == [
        *(["abacus", "roofline"], ["abacus", "analytical"]),
        *(["h100", "roofline"], ["h100", "analytical"]),
    ]
    assert [report["model"] for report in json.loads(irc(*arguments, "--json").out)] == ["roofline", "analytical"]


@pytest.mark.parametrize(
    ("framework", "told"),
    [
        ("vlllm", "note: framework 'vlllm' was never measured, and the mean of others stands in: did you mean vllm"),
        ("qqq", "note: framework 'qqq' was never measured, and the mean of others stands in: known: "),
        ("vLLM", ""),
        ("onnxruntime", ""),
        ("", ""),
    ],
)
def test_runtimes_that_were_never_measured_are_told(irc, places: Path, framework: str, told: str) -> None:
    table = places / "runtime.csv"
    table.write_text(HEAD + f"t4,{framework},float16,1,4096,4096,4096,2000\n" * 2)
    outcome = irc("evaluate", table)
    assert outcome.code == 0
    assert outcome.err.startswith(told) and outcome.err.count("note: ") == bool(told)


def test_runtimes_that_constants_were_fitted_to_are_known(irc, places: Path) -> None:
    table, constants = places / "runtime.csv", places / "constants"
    rows = [f"t4,mine,float16,1,{64 * m},1024,1024,{40 + 2 * m}\n" for m in range(1, 17)]
    table.write_text(HEAD + "".join(rows))
    assert irc("calibrate", "--data", table, "-o", constants).code == 0
    assert "'mine' was never measured" in irc("evaluate", table).err
    assert irc("evaluate", table, "--constants", constants).err == ""


def test_tables_of_one_family_are_scored_together(irc, places: Path) -> None:
    (group,) = json.loads(irc("evaluate", places / "gemm.csv", places / "gemm.csv", "--json").out)["groups"]
    assert (group["rows"], group["failed"]) == (14, 8)


@pytest.mark.parametrize("device", ["fast_t4", "quick"])
def test_targets_of_ones_own(irc, places: Path, device: str) -> None:
    table = places / "own.csv"
    table.write_text(HEAD + f"{device},,float16,1,4096,4096,4096,2000\nt4,,float16,1,4096,4096,4096,2000\n")
    (alone,) = json.loads(irc("evaluate", table, "--json").out)["groups"]
    (found,) = json.loads(irc("evaluate", table, "--targets", places / "own", "--json").out)["groups"]
    assert (alone["failed"], found["failed"]) == (1, 0)
    by = ("--by", "device", "--model", "roofline", "--json")
    own, t4 = json.loads(irc("evaluate", table, "--targets", places / "own", *by).out)["groups"]
    assert own["bias"] == pytest.approx((1 + t4["bias"] / 100) * 50 - 100, abs=0.1)


def test_parquet_and_csv_are_one(irc, places: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="writing Parquet needs pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet", reason="writing Parquet needs pyarrow")
    names = HEAD.strip().split(",")
    lines = [line.split(",") for line in ROWS.splitlines()]
    texts = {name: [line[place] or None for line in lines] for place, name in enumerate(names)}
    columns = {
        name: pyarrow.array(values).dictionary_encode()
        if name in ("device", "framework", "dtype")
        else pyarrow.array([None if value is None else int(value) for value in values])
        for name, values in texts.items()
    }
    columns["notes"] = pyarrow.array([[1, 2]] * len(columns["device"]))  # lists: the user's own, no size
    parquet.write_table(pyarrow.table(columns), places / "gemm.parquet")
    arguments = ("--by", "device,framework,dtype", "--json")
    assert (
        irc("evaluate", places / "gemm.parquet", *arguments).out == irc("evaluate", places / "gemm.csv", *arguments).out
    )


def test_csv_needs_no_reader_of_parquet(irc, places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert irc("evaluate", places / "gemm.csv").code == 0
    outcome = irc("evaluate", places / "noise.parquet")
    assert outcome.code == 2
    assert "needs pyarrow" in outcome.err and "ircost[data]" in outcome.err


def test_drawings_need_matplotlib(irc, places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    outcome = irc("evaluate", places / "gemm.csv", "--plot", places / "drawings")
    assert (outcome.code, outcome.out) == (2, "")
    assert "needs matplotlib" in outcome.err and "ircost[plot]" in outcome.err


def test_drawings_are_the_same_every_time(irc, places: Path) -> None:
    pytest.importorskip("matplotlib", reason="drawing needs matplotlib")
    for folder in ("one", "two"):
        assert irc("evaluate", places / "gemm.csv", places / "model_ops.csv", "--plot", places / folder).code == 0
    names = sorted(path.name for path in (places / "one").iterdir())
    assert names == [f"{name}-analytical.{ending}" for name in ("gemm", "model_ops") for ending in ("png", "svg")]
    assert all((places / "one" / name).read_bytes() == (places / "two" / name).read_bytes() for name in names)


def test_drawings_go_nowhere_else(irc, places: Path) -> None:
    pytest.importorskip("matplotlib", reason="drawing needs matplotlib")
    outcome = irc("evaluate", places / "gemm.csv", "--plot", places / "gemm.csv")
    assert outcome.code == 2
    assert "cannot write to" in outcome.err


def test_a_device_alone_is_judged_by_defaults(irc, places: Path) -> None:
    table = places / "alone.csv"
    table.write_text(HEAD + "".join(f"t4,pytorch,float16,1,{64 * i},512,512,{20 + i}\n" for i in range(1, 13)))
    outcome = irc("evaluate", table, "--leave-out-device", "--json")
    assert outcome.code == 0
    assert outcome.err == "note: gemm: without t4 no row is left to fit to; defaults are judged\n"
    assert json.loads(outcome.out)["groups"][0]["failed"] == 0
