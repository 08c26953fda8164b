"""``irc train`` and the splits of ``irc evaluate``: files, figures, mistakes."""

from __future__ import annotations

import json
import re
import warnings
from itertools import product
from pathlib import Path

import numpy as np
import pytest

import ircost
from ircost.cli import run
from ircost.cost_models.automatic import cost_model_named
from ircost.cost_models.gpu.constants import bundled_constants
from ircost.cost_models.learned.family_model import FamilyModel
from ircost.cost_models.learned.made import made
from ircost.cost_models.learned.storage import SUMS, TEXT_MODEL, read_models
from ircost.cost_models.learned.text_storage import MODEL as TEXT_FILE
from ircost.cost_models.learned.text_storage import read_text_models
from ircost.cost_models.learned.trained import digest_of
from ircost.ir.errors import IrcError

DEVICES = ("t4", "l40s", "h100_sxm")
MISTAKES = {
    "no table": (("-o", "out"), "missing argument 'TABLES...'"),
    "no folder": (("@few.csv",), "missing option '-o'"),
    "too few": (("@few.csv", "-o", "@out"), "too little to learn from: 2 rows"),
    "fewer are enough": (("@few.csv", "-o", "@out"), "irc calibrate is content with fewer"),
    "runs of few": (("@runs.csv", "-o", "@out"), "288 rows are of 96 kernels, 200 needed"),
    "unknown machine": (("@abacus.csv", "-o", "@out"), "no row can be used: abacus.csv: 1 failed: no target 'abacus'"),
    "unknown machine as text": (("@abacus.csv", "--text", "-o", "@out"), "1 failed: no target 'abacus' (rows 1)"),
    "no rows": (("@head.csv", "-o", "@out"), "no row can be used: head.csv: it has no rows"),
    "one family twice": (("@rows.csv", "@again.csv", "-o", "@out"), "two tables are of one family"),
    "folder is a file": (("@rows.csv", "-o", "@few.csv"), "-o "),
    "second has too few": (
        ("@rows.csv", "@products.csv", "-o", "@out"),
        "products.csv: too little to learn from: 1 rows",
    ),
    "no folder at all": (("@rows.csv", "-o", "/proc/out"), "-o /proc/out: "),
    "power's folder is a file": (("@powered.csv", "-o", "@taken"), "taken: "),
    "too few as text": (("@few.csv", "--text", "-o", "@out"), "too little to learn from: 2 rows"),
    "text of power": (("@rows.csv", "--text", "--only", "power", "-o", "@out"), "--text and --only power"),
    "no such estimator": (("@rows.csv", "--estimator", "lineer", "-o", "@out"), "no estimator 'lineer'"),
    "an estimator of text": (("@rows.csv", "--text", "--estimator", "linear", "-o", "@out"), "--estimator and --text"),
    "an estimator of power": (
        ("@powered.csv", "--only", "power", "--estimator", "linear", "-o", "@out"),
        "--estimator and --only power",
    ),
    "no text": (("@messages.csv", "--text", "-o", "@out"), "no text is written of rows of collective"),
}
MESSAGES = """device,framework,op,dtype,world_size,bytes,topology,latency_us
h100_sxm,nccl,all_reduce,float16,8,1048576,,20
"""


PRODUCT = """
func @main(%x: 4096x8192xbf16, %w: 8192x8192xbf16) -> (4096x8192xbf16) {
  %y = matmul %x, %w
  return %y
}
"""


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ops on three machines: bytes over bandwidth, a launch, and a little that depends on the columns."""
    rate = {"t4": 0.25, "l40s": 0.7, "h100_sxm": 2.5}  # bytes a picosecond
    lines = ["device,framework,op,dtype,rows,cols,latency_us"]
    for device, op, rows, cols in product(DEVICES, ("add", "gelu"), 2 ** np.arange(2, 14, 2), 2 ** np.arange(6, 14)):
        microseconds = 3 + (3 if op == "add" else 2) * rows * cols * 4 / rate[device] * 1e-6
        slow = 1.3 if cols < 1000 else 0.9
        lines.append(f"{device},pytorch,{op},float32,{rows},{cols},{microseconds * slow}")
    folder = tmp_path_factory.mktemp("train")
    text = "\n".join(lines) + "\n"
    for name in ("rows.csv", "again.csv"):
        (folder / name).write_text(text)
    (folder / "own.csv").write_text(text.replace(",pytorch,", ",my_rt,"))
    (folder / "messages.csv").write_text(MESSAGES)
    (folder / "products.csv").write_text("device,m,n,k,dtype,latency_us\nt4,512,512,512,float32,100\n")
    powered = [f"{line},{'power_w' if not place else 60}" for place, line in enumerate(lines)]
    (folder / "powered.csv").write_text("\n".join(powered) + "\n")
    (folder / "taken").mkdir()
    (folder / "taken/power").write_text("")
    (folder / "abacus.csv").write_text(f"{lines[0]}\n{lines[1].replace('t4', 'abacus')}\n")
    (folder / "head.csv").write_text(f"{lines[0]}\n")
    (folder / "few.csv").write_text("\n".join(lines[:3]) + "\n")
    (folder / "runs.csv").write_text("\n".join([lines[0], *3 * lines[1:97]]) + "\n")
    return folder


def at(places: Path, arguments: tuple[str, ...]) -> list[str]:
    return [str(places / word[1:]) if word.startswith("@") else word for word in arguments]


def test_a_table_becomes_a_folder_with_a_card(irc, places: Path, tmp_path: Path) -> None:
    outcome = irc("train", str(places / "rows.csv"), "-o", str(tmp_path))
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[0].split()[:2] == ["family", "held"]
    assert {line.split()[1] for line in outcome.out.splitlines()[1:]} == {"shapes", *DEVICES}
    model = read_models(tmp_path)["vector"]
    assert list(model.machines) == sorted(DEVICES)
    card = (tmp_path / "vector/card.md").read_text()
    assert "rows.csv, SHA-256" in card and "- rows: 288" in card


def test_rows_that_are_left_out_are_told(irc, places: Path, tmp_path: Path) -> None:
    table = tmp_path / "some.csv"
    rows = (places / "rows.csv").read_text() + "t4,pytorch,add,float32,64,64.5,9\nt4,pytorch,add,float32,64,64,-9\n"
    table.write_text(rows)
    outcome = irc("train", table, "--only", "latency", "-o", tmp_path)
    assert outcome.code == 0
    assert outcome.err.splitlines()[:2] == [
        "note: some.csv: 1 failed: cols is not a whole number (rows 289)",
        "note: some.csv: 1 failed: no positive latency was measured (rows 290)",
    ]


def in_unit(places: Path, table: Path, microseconds: float) -> Path:
    """The table whose latencies are in units of so many microseconds."""
    head, *rows = (places / "rows.csv").read_text().splitlines()
    times = (f"{row.rpartition(',')[0]},{float(row.rpartition(',')[2]) / microseconds}" for row in rows)
    table.write_text("\n".join([head, *times]))
    return table


def test_latencies_that_no_machine_can_have_teach_nothing(irc, places: Path, tmp_path: Path) -> None:
    table = in_unit(places, tmp_path / "seconds.csv", 1e6)
    told = "seconds.csv: 288 of 288 latencies are shorter than the machine allows: are they in microseconds?"
    for arguments in (("train", table, "-o", tmp_path / "out"), ("calibrate", "--data", table, "-o", tmp_path / "c")):
        outcome = irc(*arguments)
        assert (outcome.code, outcome.err.startswith(f"error: {told}")) == (2, True), outcome.err
    assert {path.name for path in tmp_path.iterdir()} == {"seconds.csv"}
    judged = irc("evaluate", table)
    assert judged.code == 0 and told in judged.out
    assert "microseconds" not in irc("evaluate", places / "rows.csv").out


def test_rows_that_beat_the_machine_are_told(irc, places: Path, tmp_path: Path) -> None:
    """A wrong format, device or size of few rows, which no interval holds."""
    head, *rows = (places / "rows.csv").read_text().splitlines()
    rows[4] = rows[4].rpartition(",")[0] + ",0.001"
    table = tmp_path / "rows.csv"
    table.write_text("\n".join([head, *rows, "abacus,pytorch,add,float32,64,64,9"]))
    told = (
        "rows.csv: 1 of 288 latencies are shorter than the machine allows (rows 5): are device, dtype and sizes theirs?"
    )
    assert told in irc("evaluate", table).out.splitlines()
    for arguments in (
        ("train", table, "--only", "latency", "-o", tmp_path / "out"),
        ("evaluate", table, "--split", "shape"),
    ):
        outcome = irc(*arguments)
        assert outcome.code == 0 and f"note: {told}" in outcome.err.splitlines()
        assert "note: rows.csv: 1 failed: no target 'abacus' (rows 289)" in outcome.err.splitlines()


def test_latencies_far_too_long_are_told(irc, places: Path, tmp_path: Path) -> None:
    table = in_unit(places, tmp_path / "nanoseconds.csv", 1e-3)
    outcome = irc("calibrate", "--data", table, "-o", tmp_path / "constants.json")
    assert outcome.code == 0
    assert re.match(r"note: nanoseconds.csv: latencies are [\d,]{3,} times what the analytical model", outcome.err)


def test_a_table_becomes_a_text_model(irc, places: Path, tmp_path: Path) -> None:
    outcome = irc("train", str(places / "rows.csv"), "--text", "-o", str(tmp_path))
    assert outcome.code == 0, outcome.err
    head, *lines = outcome.out.splitlines()
    assert head.split()[-4:] == ["tau", "tau", "of", "text"]
    assert lines[0].split()[1] == "shapes" and len(lines) == 1 + len(DEVICES)
    model = read_text_models(tmp_path)["vector"]
    assert model.half_width > 0 and list(model.about["tables"]) == ["rows.csv"]  # type: ignore[call-overload]


def test_the_text_model_stands_beside_the_others(irc, places: Path) -> None:
    arguments = ("--model", "analytical", "--model", "text", "--split", "shape", "--json")
    outcome = irc("evaluate", str(places / "rows.csv"), *arguments)
    assert outcome.code == 0, outcome.err
    by_model = {report["model"]: report["groups"][0] for report in json.loads(outcome.out)}
    assert by_model["text"]["rows"] == by_model["analytical"]["rows"] == 288
    assert by_model["text"]["kendall_tau"] > 0.8


def test_the_text_model_is_judged_on_what_it_did_not_see(irc, places: Path) -> None:
    outcome = irc("evaluate", str(places / "rows.csv"), "--model", "text")
    assert outcome.code == 2
    assert "--model text needs --split" in outcome.err


def test_what_was_trained_estimates_networks(irc, places: Path, tmp_path: Path) -> None:
    assert irc("train", str(places / "rows.csv"), "-o", str(tmp_path / "own")).code == 0
    text = "func @main(%x: 4096x512xf32) -> (4096x512xf32) { %y = gelu %x return %y }"
    (tmp_path / "gelu.irc").write_text(text)
    arguments = ("compile", str(tmp_path / "gelu.irc"), "--target", "t4", "--json", "--model")
    own = json.loads(irc(*arguments, str(tmp_path / "own")).out)
    bundled = json.loads(irc(*arguments, "hybrid").out)
    assert own["model"] == str(tmp_path / "own")
    assert own["latency_s"] != bundled["latency_s"] and own["lower_bound_s"] <= own["latency_s"]


PAIR = """
func @main(%x: 4096x512xf32, %v: 4096x512xf32, %w: 512x512xf32) -> 4096x512xf32 {
  %y = add %x, %v
  %z = matmul %y, %w
  return %z
}
"""


@pytest.fixture(scope="module")
def own_runtime(places: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models in ``models/`` and constants that were learned from a runtime's element-wise ops, and a network."""
    folder = tmp_path_factory.mktemp("own")
    table = str(places / "own.csv")
    assert run(["train", table, "--only", "latency", "-o", str(folder / "models")]) == 0
    assert run(["calibrate", "--data", table, "-o", str(folder / "constants.json")]) == 0
    (folder / "pair.irc").write_text(PAIR)
    return folder


def test_a_runtime_of_ones_own_is_known_to_what_was_trained_on_it(irc, own_runtime: Path) -> None:
    arguments = ("compile", own_runtime / "pair.irc", "--passes", "", "--json", "--model", own_runtime / "models")
    outcome = irc(*arguments, "--target", "t4+my_rt")
    report = json.loads(outcome.out)
    added, product = report["kernels"]
    assert report["target"] == "t4+my_rt"
    assert added["grade"] == "A"
    assert product["grade"] == "B" and product["high_s"] >= 1.99 * product["latency_s"]
    notes = "\n".join(report["notes"])
    assert "my_rt is known by its measured kernels alone: they are taken to be replayed" in notes
    assert "no gemm kernel of my_rt was measured: the mean of runtimes that replay graphs stands in" in notes
    nobodys = json.loads(irc(*arguments, "--target", "t4").out)["kernels"]
    assert nobodys[1]["latency_s"] == product["latency_s"] and nobodys[0]["latency_s"] != added["latency_s"]


@pytest.mark.parametrize("model", ["models", "constants.json"])
def test_single_kernels_of_a_runtime_of_ones_own(irc, own_runtime: Path, model: str) -> None:
    sizes = "op=gelu rows=4096 cols=512 dtype=float32"
    found = [
        irc("predict", "-k", f"{words} {sizes}", "--model", own_runtime / model, "--json")
        for words in ("device=t4+my_rt", "device=t4 framework=my_rt", "device=t4+my-RT")
    ]
    one, *others = (json.loads(outcome.out)[0] for outcome in found)
    for name in ("latency_s", "low_s", "high_s", "grade"):
        assert [other[name] for other in others] == [one[name]] * 2
    assert one["grade"] == ("A" if model == "models" else None)
    assert found[0].err == found[1].err == ""


def test_what_was_not_measured_of_a_runtime_of_ones_own_is_told(irc, own_runtime: Path) -> None:
    for words in ("device=t4+my_rt", "device=t4 framework=my_rt"):
        kernel = f"{words} m=512 n=512 k=512 dtype=float32"
        outcome = irc("predict", "-k", kernel, "--model", own_runtime / "models", "--json")
        assert json.loads(outcome.out)[0]["grade"] == "B"
        assert (
            outcome.err == "note: no gemm kernel of framework 'my_rt' was measured, and the mean of others stands in\n"
        )


def test_tables_name_a_runtime_of_ones_own_with_the_device(
    irc, own_runtime: Path, places: Path, tmp_path: Path
) -> None:
    table = tmp_path / "joined.csv"
    table.write_text(re.sub(r"^(\w+),my_rt,", r"\1+my_rt,,", (places / "own.csv").read_text(), flags=re.MULTILINE))
    arguments = ("--model", own_runtime / "models", "--json")
    one, other = (json.loads(irc("evaluate", own, *arguments).out)["groups"] for own in (places / "own.csv", table))
    assert one == other and one[0]["failed"] == 0
    assert "no runtime 'my_rt'" in irc("evaluate", table).err


def test_a_runtime_of_ones_own_from_python(own_runtime: Path) -> None:
    model = str(own_runtime / "models")
    report = ircost.compile(own_runtime / "pair.irc", "t4+my_rt", cost_model=model)
    assert ircost.explain(report).latency_s == pytest.approx(report.latency_s)
    kernel = {"device": ["t4+my_rt"], "op": ["add"], "rows": [4096], "cols": [512], "dtype": ["float32"]}
    assert list(ircost.predict(kernel, model=model).grade) == ["A"]
    with pytest.raises(IrcError, match="no runtime 'my_rt'"):
        ircost.compile(own_runtime / "pair.irc", "t4+my_rt")


def test_known_runtimes_are_listed_where_a_kernel_names_none_of_them(irc, own_runtime: Path) -> None:
    sizes = "op=gelu rows=4096 cols=512 dtype=float32"
    outcome = irc("predict", "-k", f"device=t4+my_rtt {sizes}", "--model", own_runtime / "models")
    assert outcome.code == 2 and "no runtime 'my_rtt'" in outcome.err
    assert "did you mean my_rt? (known: my_rt, vllm, " in outcome.err and "goes into framework" in outcome.err


@pytest.mark.parametrize("command", ["compile", "explain"])
def test_only_what_was_trained_on_it_knows_a_runtime_of_ones_own(irc, own_runtime: Path, command: str) -> None:
    def outcome(runtime: str, model: str | Path):
        return irc(command, own_runtime / "pair.irc", "--target", f"t4+{runtime}", "--model", model)

    assert outcome("my_rt", own_runtime / "models").code == 0
    assert outcome("my_rt", own_runtime / "constants.json").code == 0
    refused = outcome("my_rtt", own_runtime / "models")
    assert refused.code == 2 and "no runtime 'my_rtt'" in refused.err and "did you mean my_rt?" in refused.err
    assert outcome("my_rt", "hybrid").code == 2
    assert "no runtime 'graph_replay'" in outcome("graph_replay", own_runtime / "models").err


def test_what_was_trained_is_held_against_measurements(irc, places: Path, tmp_path: Path) -> None:
    assert irc("train", places / "rows.csv", "--only", "latency", "-o", tmp_path).code == 0
    outcome = irc("evaluate", places / "rows.csv", "--model", "analytical", "--model", tmp_path, "--json")
    analytical, trained = (report["groups"][0]["mape"] for report in json.loads(outcome.out))
    assert trained < analytical / 2
    judged = [report["groups"][0] for report in json.loads(outcome.out)]
    assert "coverage" not in judged[0] and judged[1]["coverage"] > 80 and 0 < judged[1]["width"] < 100
    assert outcome.err.startswith(f"note: {tmp_path} was trained on {places / 'rows.csv'} itself; ")
    others = tmp_path / "others.csv"
    others.write_text((places / "rows.csv").read_text() + "t4,pytorch,add,float32,64,64,9\n")
    assert irc("evaluate", others, "--model", tmp_path).err == ""


def test_corrections_of_other_constants_are_refused(irc, places: Path, tmp_path: Path) -> None:
    assert irc("train", places / "rows.csv", "--only", "latency", "-o", tmp_path).code == 0
    for verb in (("evaluate", places / "rows.csv"), ("predict", "-k", "device=t4 op=add rows=8 cols=64")):
        assert irc(*verb, "--model", tmp_path).code == 0
    file = tmp_path / "vector/model.json"
    digest = digest_of(bundled_constants(), "vector")
    assert digest in file.read_text()
    file.write_text(file.read_text().replace(digest, "0" * len(digest)))
    (file.parent / SUMS).unlink()
    for verb in (("evaluate", places / "rows.csv"), ("predict", "-k", "device=t4 op=add rows=8 cols=64")):
        outcome = irc(*verb, "--model", tmp_path)
        assert outcome.code == 2
        assert "learned on other constants" in outcome.err and "irc train" in outcome.err


def test_a_folder_that_was_written_anew_is_read_anew(irc, places: Path, tmp_path: Path) -> None:
    assert irc("train", places / "rows.csv", "--only", "latency", "-o", tmp_path).code == 0
    file = tmp_path / "vector/model.json"
    (file.parent / SUMS).unlink()
    before = cost_model_named(str(tmp_path))
    assert cost_model_named(str(tmp_path)) is before
    file.write_text(file.read_text() + "\n")
    assert cost_model_named(str(tmp_path)) is not before


def test_a_model_that_was_trained_is_kept_whatever_comes_after(
    irc, places: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And replaces the one that was there, not what else lies beside it."""

    def made_once(*arguments: object, **options: object) -> FamilyModel:
        monkeypatch.setattr("ircost.cost_models.learned.made.made", broken)
        return made(*arguments, **options)  # type: ignore[arg-type]

    def broken(*_: object, **__: object) -> FamilyModel:
        raise ValueError("out of rows")

    monkeypatch.setattr("ircost.cost_models.learned.made.made", made_once)
    rows = [f"t4,{m},{n},1024,float32,{20 + m * n / 1000}\n" for m in range(32, 1024, 32) for n in range(64, 576, 64)]
    (tmp_path / "gemm.csv").write_text("device,m,n,k,dtype,latency_us\n" + "".join(rows))
    own = tmp_path / "models/vector"
    own.mkdir(parents=True)
    (own / "notes.md").write_text("mine")
    (own / "model.json").write_text("an old one")
    outcome = irc("train", places / "rows.csv", tmp_path / "gemm.csv", "--only", "latency", "-o", tmp_path / "models")
    assert outcome.code == 2 and "out of rows" in outcome.err
    assert list(read_models(tmp_path / "models")) == ["vector"]
    assert (own / "notes.md").read_text() == "mine"
    assert [path.name for path in own.parent.iterdir()] == ["vector"]


def test_a_folder_of_text_models_is_told_as_such(irc, tmp_path: Path) -> None:
    (tmp_path / "gemm").mkdir()
    (tmp_path / "gemm" / TEXT_FILE).write_text("{}")
    assert TEXT_FILE == TEXT_MODEL
    outcome = irc("predict", "-k", "device=t4 m=8 n=8 k=8", "--model", tmp_path)
    assert outcome.code == 2
    assert "holds text models" in outcome.err and "read_text_models" in outcome.err
    assert "holds no learned model" not in outcome.err


def test_a_device_of_one_row_has_no_order(irc, places: Path, tmp_path: Path) -> None:
    table = tmp_path / "rows.csv"
    table.write_text((places / "rows.csv").read_text() + "v100_sxm2,pytorch,add,float32,64,64,9\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        outcome = irc("train", table, "--only", "latency", "-o", tmp_path / "models")
    assert outcome.code == 0 and "Warning" not in outcome.err

    def refused(name: str) -> None:
        pytest.fail(f"{name} is no JSON")

    text = (tmp_path / "models/vector/model.json").read_text()
    errors = json.loads(text, parse_constant=refused)["about"]["errors"]
    assert [line["tau"] for line in errors if line["held_out"].startswith("v100")] == [None]


def test_a_folder_without_models_is_told(irc, tmp_path: Path) -> None:
    (tmp_path / "gelu.irc").write_text("func @main(%x: 8xf32) -> (8xf32) { %y = gelu %x return %y }")
    outcome = irc("compile", str(tmp_path / "gelu.irc"), "--model", str(tmp_path))
    assert outcome.code == 2 and "holds no learned model" in outcome.err


def test_held_out_shapes_are_told_better_than_by_analysis(irc, places: Path) -> None:
    models = ("--model", "analytical", "--model", "learned", "--model", "hybrid")
    outcome = irc("evaluate", str(places / "rows.csv"), *models, "--split", "shape", "--json")
    assert outcome.code == 0, outcome.err
    by_model = {report["model"]: report["groups"][0] for report in json.loads(outcome.out)}
    assert by_model["hybrid"]["median_ape"] < by_model["analytical"]["median_ape"]
    assert by_model["hybrid"]["coverage"] > 50 and by_model["hybrid"]["width"] > 0
    assert "coverage" not in by_model["analytical"]
    assert by_model["learned"]["rows"] == 288


def test_held_out_devices_are_judged_without_them(irc, places: Path) -> None:
    outcome = irc("evaluate", str(places / "rows.csv"), "--model", "hybrid", "--split", "device", "--by", "device")
    assert outcome.code == 0, outcome.err
    head, *lines = outcome.out.splitlines()
    assert head.split()[-2:] == ["inside", "width"]
    assert {line.split()[1] for line in lines[:3]} == set(DEVICES)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_in_one_message(irc, places: Path, mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is trained, and with nothing left behind."""

    def no_training(*_: object, **__: object) -> None:
        pytest.fail("something was trained")

    for name in ("made", "made_of_text"):
        monkeypatch.setattr(f"ircost.cost_models.learned.made.{name}", no_training)
    arguments, wanted = MISTAKES[mistake]
    outcome = irc("train", *at(places, arguments))
    assert outcome.code == 2
    assert not (places / "out").exists()
    assert wanted in outcome.err.lower() or wanted in outcome.err


def test_what_if_and_hybrid_exclude_each_other(irc) -> None:
    outcome = irc("compile", "gpt2", "--target", "h100", "--model", "hybrid", "--what-if")
    assert outcome.code == 2
    assert "--what-if cannot be combined with --model hybrid" in outcome.err


def test_a_report_of_the_hybrid_tells_its_interval(irc) -> None:
    outcome = irc("compile", "gpt2", "--target", "h100", "--model", "hybrid", "--dtype", "f16")
    assert outcome.code == 0, outcome.err
    assert "grades by time:" in outcome.out and "its kin" not in outcome.out


def test_a_report_names_the_machine_that_stands_for_another(irc) -> None:
    outcome = irc("compile", "gpt2", "--target", "h200_nvl", "--dtype", "f16")
    assert outcome.code == 0, outcome.err
    assert "grades by time: A" not in outcome.out
    assert re.search("h200_nvl was not measured: corrected as .*h200_sxm, its kin", outcome.out)


def test_power_is_learned_where_it_was_read(irc, tmp_path: Path) -> None:
    lines = ["device,framework,dtype,m,n,k,latency_us,power_w"]
    for m, n, k in product(range(16, 4096, 500), (4096, 8192, 16384, 32768), (4096, 8192, 16384, 32768)):
        microseconds = max(m * n * k / 3.5e8, n * k / 2e6)
        lines.append(f"h200,vllm,bfloat16,{m},{n},{k},{microseconds + 65},{200 + 50 * np.log2(m / 8)}")
    (tmp_path / "gemm.csv").write_text("\n".join(lines * 2) + "\n")
    outcome = irc("train", str(tmp_path / "gemm.csv"), "-o", str(tmp_path / "models"), "--only", "power")
    assert outcome.code == 0, outcome.err
    assert [line.split(",")[0] for line in outcome.out.splitlines()[1:]] == ["gemm"]
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["power"]
    model = read_models(tmp_path / "models/power")["gemm"]
    assert list(model.machines) == ["h200_sxm"] and model.unseen is None
    assert "# Learned corrections of the power of gemm kernels" in (tmp_path / "models/power/gemm/card.md").read_text()
    (tmp_path / "product.irc").write_text(PRODUCT)
    arguments = ("compile", tmp_path / "product.irc", "--target", "h200+vllm", "--json", "--model")
    own, bundled = (json.loads(irc(*arguments, name).out) for name in (tmp_path / "models", "hybrid"))
    assert own["latency_s"] == bundled["latency_s"] and own["energy_j"] != bundled["energy_j"]
    outcome = irc("predict", "-k", "device=h200 m=8 n=8 k=8", "--model", tmp_path / "models")
    assert outcome.code == 2 and "holds models of power alone" in outcome.err


def test_power_that_no_board_can_draw_teaches_nothing(irc, tmp_path: Path) -> None:
    rows = [
        f"h200,vllm,bfloat16,{m},{n},8192,{80 + m / 8},{1000 * (200 + m / 8)}\n"
        for m in range(1, 1200, 8)
        for n in (4096, 8192)
    ]
    (tmp_path / "gemm.csv").write_text("device,framework,dtype,m,n,k,latency_us,power_w\n" + "".join(rows))
    for arguments in (("train", "-o", tmp_path / "out"), ("calibrate", "--power", "-o", tmp_path / "c.json", "--data")):
        outcome = irc(*arguments, tmp_path / "gemm.csv")
        assert outcome.code == 2
        assert "gemm.csv: 300 of 300 readings of power_w are none that the board can draw" in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == ["gemm.csv"]


def test_tables_without_power_teach_nothing_of_it(irc, places: Path, tmp_path: Path) -> None:
    outcome = irc("train", str(places / "rows.csv"), "-o", str(tmp_path / "out"), "--only", "power")
    assert outcome.code == 2 and "no table has enough steady power readings" in outcome.err
    assert "rows.csv: it has no column power_w" in outcome.err


def test_readings_that_are_not_steady_are_told(irc, places: Path, tmp_path: Path) -> None:
    told = r"powered.csv: \d+ of 288 rows with power_w have a steady reading, of \d shapes; 200 of several are needed"
    outcome = irc("train", places / "powered.csv", "--only", "power", "-o", tmp_path)
    assert outcome.code == 2 and re.search(told, outcome.err)
    outcome = irc("train", places / "powered.csv", "-o", tmp_path)
    assert outcome.code == 0 and re.search(f"note: no model of power from .*{told}", outcome.err)


@pytest.mark.parametrize("name", ["ensemble", "interpolation", "isotonic", "linear", "monotone", "nearest", "table"])
def test_other_estimators_are_trained_stored_and_asked(irc, places: Path, tmp_path: Path, name: str) -> None:
    outcome = irc("train", places / "rows.csv", "--only", "latency", "--estimator", name, "-o", tmp_path)
    assert outcome.code == 0, outcome.err
    model = read_models(tmp_path)["vector"]
    assert model.seen.estimator == name and (tmp_path / "vector/seen.json.xz").exists()
    assert f"The estimator `{name}`" in (tmp_path / "vector/card.md").read_text()
    judged = irc("evaluate", places / "rows.csv", "--model", "analytical", "--model", tmp_path, "--json")
    analytical, trained = (report["groups"][0] for report in json.loads(judged.out))
    assert trained["mape"] < 0.9 * analytical["mape"] and trained["coverage"] > 80
    asked = ("predict", "-k", "device=t4 op=add dtype=float32 framework=pytorch rows=64 cols=4096", "--json")
    own, bundled = (json.loads(irc(*asked, *of).out)[0] for of in (("--model", tmp_path), ()))
    assert own["grade"] == "A" and own["latency_s"] != bundled["latency_s"]


def test_estimators_stand_side_by_side(irc, places: Path) -> None:
    models = ("--model", "analytical", "--model", "learned", "--estimator", "trees", "--estimator", "linear")
    outcome = irc("evaluate", places / "rows.csv", *models, "--split", "device", "--by", "device", "--json")
    assert outcome.code == 0, outcome.err
    assert [report["model"] for report in json.loads(outcome.out)] == [
        *("analytical", "learned (trees)", "learned (linear)")
    ]
    assert len({report["groups"][0]["mape"] for report in json.loads(outcome.out)}) == 3
    both = irc("evaluate", places / "rows.csv", "--split", "shape", "--estimator", "linear", "--json")
    assert [report["model"] for report in json.loads(both.out)] == ["analytical", "learned (linear)", "hybrid (linear)"]


def test_a_split_by_any_column(irc, places: Path) -> None:
    """Of two ops each is judged by the other; of many sizes a fourth at a time."""
    arguments = ("evaluate", places / "rows.csv", "--model", "learned", "--json", "--split")
    outcome = irc(*arguments, "op")
    assert outcome.code == 2 and "rows of 2 ops: one is left out" in outcome.err
    by_rows, by_cols = (json.loads(irc(*arguments, name).out)["groups"][0] for name in ("rows", "cols"))
    assert by_rows["rows"] == by_cols["rows"] == 288 and by_rows["mape"] != by_cols["mape"]
