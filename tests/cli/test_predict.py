"""``irc predict``: kernels by their sizes and from tables; mistakes."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from ircost.cost_models.gpu.labels import GRAPH_REPLAY

GEMM = "device=h200_sxm framework=vllm dtype=bfloat16 m=512 n=4096 k=8192"
CONV = "device=t4 op=conv2d batch=1 in_channels=32 in_h=56 in_w=56 out_channels=32 kernel_h=3 kernel_w=3"
MISTAKES = {
    "nothing": ((), "give a table or --kernel"),
    "both": (("@rows.csv", "-k", GEMM), "give a table or --kernel"),
    "no device": (("-k", "m=1 n=1 k=1"), "on which device?"),
    "no number": (("-k", "device=t4 m=x n=1 k=1"), "m=x is not a number"),
    "no size": (("-k", "device=t4 m"), "'m' is not a size"),
    "no family": (("-k", "device=t4 m=1"), "match no family"),
    "no machine": (("-k", "device=t5 m=1 n=1 k=1"), "no target 't5' (row 1)\n  help: did you mean t4"),
    "no format": (("-k", "device=t4 m=1 n=1 k=1 dtype=float17"), "help: did you mean float16"),
    "no such size": (("-k", "device=t4 m=1 n=1 k=1 bach=8"), "gemm has no 'bach'\n  help: did you mean batch"),
    "another family's size": (("-k", "device=t4 m=1 n=1 k=1 window=8"), "gemm has no 'window'"),
    "two runtimes": (
        ("-k", "device=h100+vllm framework=trtllm m=1 n=1 k=1"),
        "framework 'trtllm' is not that of device",
    ),
    "another maker's runtime": (
        ("-k", "device=mi300x framework=trtllm m=1 n=1 k=1"),
        "framework 'trtllm' runs on machines of NVIDIA only, not on mi300x (row 1)",
    ),
    "beyond all memory": (("-k", "device=t4 m=1e300 n=1 k=1"), "m is more than 9,007,199,254,740,992 (row 1)"),
    "no constants": (("-k", GEMM, "--model", "@none.json"), "holds no constants"),
    "no model": (("-k", GEMM, "--model", "hybird"), "did you mean hybrid?"),
    "empty folder": (("-k", GEMM, "--model", "@"), "holds no learned model"),
    "groups of channels": (("-k", f"{CONV} groups=5"), "channels do not divide by groups (row 1)"),
    "no groups": (("-k", f"{CONV} groups=0"), "groups is not positive (row 1)"),
    "each channel by itself": (("-k", f"{CONV} groups=32"), "irc compile costs it (row 1)"),
    "two forms": (("-k", GEMM, "--csv", "--json"), "exclude each other"),
    "no table": (("@none.csv",), "cannot read"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rows.csv").write_text("device,m,n,k,note\nt4,128,256,512,a\nnobody,1,1,1,b\nl40s,64,64,64,c\n")
    return tmp_path


def rows(irc, *arguments: str) -> list[dict]:
    outcome = irc("predict", *arguments, "--json")
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


def test_a_kernel_lies_in_its_interval_and_above_its_limit(irc) -> None:
    (told,) = rows(irc, "-k", GEMM)
    assert 0 < told["at_best_s"] <= told["low_s"] < told["latency_s"] < told["high_s"]
    assert told["grade"] == "A" and told["m"] == 512 and told["framework"] == "vllm"


def test_kernels_that_no_memory_holds_are_told(irc) -> None:
    wide = [f"device={device} m=100000 n=100000 k=100000 dtype=f16" for device in ("t4", "h100", "t4")]
    outcome = irc("predict", *(word for own in [*wide, "device=t4 m=8 n=8 k=8"] for word in ("-k", own)))
    assert outcome.code == 0
    assert outcome.err == "note: 2 rows touch more bytes than main memory holds: t4 has 15 GiB (row 1,3)\n"


def test_the_analytical_model_is_the_one_of_compile(irc, tmp_path: Path) -> None:
    text = "func @main(%x: 512x8192xbf16, %w: 4096x8192xbf16) -> (512x4096xbf16) "
    text += '{ %y = contract %x, %w {notation = "m k, n k -> m n"} return %y }'
    (tmp_path / "gemm.irc").write_text(text)
    (told,) = rows(irc, "-k", "device=h100 dtype=bfloat16 m=512 n=4096 k=8192", "--model", "analytical")
    compiled = json.loads(irc("compile", str(tmp_path / "gemm.irc"), "--target", "h100", "--json").out)
    assert told["low_s"] is None and told["grade"] is None
    assert told["latency_s"] == pytest.approx(compiled["latency_s"], rel=0.25)  # its operands are cold there


@pytest.mark.parametrize("model", ["analytical", "hybrid"])
def test_where_no_runtime_is_named_a_kernel_is_that_of_a_network(irc, tmp_path: Path, model: str) -> None:
    names = (",", f"{GRAPH_REPLAY},turning weights", "trtllm,")
    lines = [f"h100,4096,4096,4096,bfloat16,{name}\n" for name in names]
    (tmp_path / "named.csv").write_text("device,m,n,k,dtype,framework,caches\n" + "".join(lines))
    unnamed, replayed, named = rows(irc, str(tmp_path / "named.csv"), "--model", model)
    assert unnamed["latency_s"] == replayed["latency_s"] != named["latency_s"]
    assert unnamed["grade"] == named["grade"] == ("A" if model == "hybrid" else None)


@pytest.mark.parametrize(
    ("spelt", "plain"),
    [
        ("device=h100+vllm dtype=bf16", "device=h100 framework=vllm dtype=bfloat16"),
        ("device=h100 framework=vLLM dtype=torch.bfloat16", "device=h100 framework=vllm dtype=bfloat16"),
        ("device=v100_sxm2 framework=vendor_library dtype=fp32", "device=v100_sxm2+vendor_library dtype=float32"),
        ("device=h100 dtype=f8e4m3", "device=h100 dtype=fp8"),
        ("device=H100-SXM dtype=fp8_e4m3", "device=h100_sxm dtype=fp8"),
        ("device=h100 dtype=torch.float8_e4m3fnuz", "device=h100 dtype=fp8"),
    ],
)
def test_a_kernel_is_the_same_however_it_is_spelt(irc, spelt: str, plain: str) -> None:
    one, other = (rows(irc, "-k", f"{words} m=512 n=4096 k=4096")[0] for words in (spelt, plain))
    for name in ("latency_s", "low_s", "high_s", "grade"):
        assert one[name] == other[name]
    assert one["grade"] == "A"


@pytest.mark.parametrize("named", ["device=h100 framework=tensorrt", "device=h100+tensorrt"])
def test_a_runtime_that_was_never_measured_is_known_less_well(irc, named: str) -> None:
    """The figure is that of nobody's runtime in particular; a factor of two is how far runtimes are apart."""
    (own,), (plain,) = (rows(irc, "-k", f"{words} m=512 n=4096 k=4096 dtype=fp16") for words in (named, "device=h100"))
    assert own["latency_s"] == plain["latency_s"]
    assert (own["grade"], plain["grade"]) == ("B", "A")
    assert own["high_s"] == pytest.approx(2 * own["latency_s"]) and plain["high_s"] < 1.5 * plain["latency_s"]


@pytest.mark.parametrize(
    ("library", "kernel"),
    [
        (
            "fa3",
            "device=h100 framework=vllm phase=decode batch=32 q_len=1 kv_len=4096 heads=32 kv_heads=8 head_dim=128",
        ),
        ("triton", "device=l40s framework=sglang tokens=64 hidden=4096 inter=1536 topk=8 experts=128"),
        ("triton", "device=l40s framework=vllm phase=decode batch=8 q_len=1 kv_len=4096 heads=16"),
    ],
)
def test_a_runtime_without_a_library_gets_that_of_networks(irc, library: str, kernel: str) -> None:
    """Else the figure is of no kernel that was measured, under a grade A: up to half of the time and less."""
    (unnamed,), (named,) = rows(irc, "-k", kernel), rows(irc, "-k", f"{kernel} kernel={library}")
    assert unnamed["latency_s"] == named["latency_s"] and unnamed["grade"] == "A"


def test_constants_of_a_file_are_taken(irc, tmp_path: Path) -> None:
    table = tmp_path / "slow.csv"
    sizes = [(m, n) for m in (256, 512, 1024, 2048) for n in (1024, 2048, 4096)]
    lines = [f"t4,{m},{n},4096,float16,{2 * m * n * 4096 / 10e6}\n" for m, n in sizes]  # 10 TFLOP/s
    table.write_text("device,m,n,k,dtype,latency_us\n" + "".join(lines))
    constants = tmp_path / "constants.json"
    assert irc("calibrate", "--data", str(table), "-o", str(constants)).code == 0
    kernel = "device=t4 m=1024 n=4096 k=4096 dtype=float16"
    (before,) = rows(irc, "-k", kernel, "--model", "analytical")
    (after,) = rows(irc, "-k", kernel, "--model", str(constants))
    measured_s = 2 * 1024 * 4096 * 4096 / 10e12
    assert abs(after["latency_s"] - measured_s) < 0.1 * measured_s < abs(before["latency_s"] - measured_s)
    attention = "device=t4 phase=prefill batch=1 q_len=64 kv_len=64 heads=8 kv_heads=8 head_dim=64 dtype=float16"
    others = [rows(irc, "-k", attention, "--model", model)[0]["latency_s"] for model in ("analytical", str(constants))]
    assert others[0] == others[1]  # the file has no attention: the bundled constants stay


def test_a_stand_in_gets_no_corrections(irc) -> None:
    """Of convolutions on machines whose own were never measured: products' constants, as in a network."""
    layer = "dtype=float16 op=conv2d batch=8 in_channels=64 in_h=56 in_w=56 out_channels=64 kernel_h=3 kernel_w=3"
    layer = f"device=h100 {layer}"
    hybrid, analytical = (rows(irc, "-k", layer, "--model", model)[0] for model in ("hybrid", "analytical"))
    assert hybrid["latency_s"] == analytical["latency_s"] and hybrid["grade"] == "C"


def test_rows_that_fail_stay_empty(irc, folder: Path) -> None:
    outcome = irc("predict", str(folder / "rows.csv"), "--csv")
    assert outcome.code == 0 and "1 row failed: no target 'nobody' (row 2)" in outcome.err
    told = list(csv.DictReader(io.StringIO(outcome.out)))
    assert [row["note"] for row in told] == ["a", "b", "c"]
    assert [bool(row["predicted_us"]) for row in told] == [True, False, True]


def test_what_is_written_is_what_is_printed(irc, folder: Path) -> None:
    printed = irc("predict", str(folder / "rows.csv"), "--csv").out
    assert irc("predict", str(folder / "rows.csv"), "-o", str(folder / "out.csv")).code == 0
    assert (folder / "out.csv").read_text() == printed


def test_a_file_is_written_as_its_name_says(irc, folder: Path) -> None:
    kernel = ("predict", "-k", "device=h100 m=64 n=64 k=64")
    assert irc(*kernel, "-o", folder / "out.json").code == 0
    assert (folder / "out.json").read_text() == irc(*kernel, "--json").out
    outcome = irc(*kernel, "-o", folder / "out.txt")
    assert outcome.code == 2 and "must end in .csv or .json" in outcome.err
    assert not (folder / "out.txt").exists()


def test_text_tells_once_what_rows_share(irc) -> None:
    lines = irc("predict", "-k", "device=t4 m=64 n=64 k=64", "-k", "device=t4 m=128 n=64 k=64").out.splitlines()
    assert lines[0] == "gemm: device t4, n 64, k 64"
    assert lines[2].split()[:2] == ["m", "latency"] and [line.split()[0] for line in lines[3:]] == ["64", "128"]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes(irc, folder: Path, arguments: tuple[str, ...], message: str) -> None:
    outcome = irc("predict", *(str(folder / word[1:]) if word.startswith("@") else word for word in arguments))
    assert outcome.code == 2 and message in outcome.err and "Traceback" not in outcome.err


def test_a_runtime_that_was_never_measured_is_told(irc, tmp_path: Path) -> None:
    told = "note: framework 'vlllm' was never measured, and the mean of others stands in: did you mean vllm, trtllm?"
    outcome = irc("predict", "-k", GEMM.replace("vllm", "vlllm"))
    assert (outcome.code, outcome.err.splitlines()) == (0, [told])
    (tmp_path / "rows.csv").write_text(
        "device,framework,dtype,m,n,k\nt4,vlllm,f16,8,8,8\nt4,vlllm,f16,8,8,9\nt4,trtllm,f16,8,8,8\n"
    )
    outcome = irc("predict", tmp_path / "rows.csv")
    assert (outcome.code, outcome.err.splitlines()) == (0, [told])
    assert irc("predict", "-k", GEMM).err == ""


def test_a_format_that_nobody_gave_is_told(irc, tmp_path: Path) -> None:
    told = "no dtype is given, bfloat16 is taken"
    (tmp_path / "rows.csv").write_text("device,m,n,k,latency_us\nt4,8,8,8,9\n")
    for verb in ("predict", "evaluate"):
        assert irc(verb, tmp_path / "rows.csv").err == f"note: rows.csv: {told}\n"
    assert irc("predict", "-k", "device=t4 m=8 n=8 k=8").err == f"note: --kernel: {told}\n"


@pytest.mark.parametrize(
    ("kernel", "more"),
    [
        ("device=h100 m=64 n=64 k=64", "batch=2 dtype=fp8"),
        (
            "device=h100 phase=decode batch=8 q_len=1 kv_len=512 heads=8 kv_heads=8 head_dim=128 dtype=float16",
            "kv_dtype=fp8 window=64",
        ),
    ],
)
def test_what_one_kernel_leaves_out_is_as_if_it_stood_alone(irc, kernel: str, more: str) -> None:
    (alone,) = rows(irc, "-k", kernel)
    beside, _ = rows(irc, "-k", kernel, "-k", f"{kernel} {more}")
    assert beside["latency_s"] == alone["latency_s"] and beside["grade"] == alone["grade"]


def test_a_machine_of_no_measured_kind_is_told(irc) -> None:
    sizes = "m=8192 n=8192 k=8192 dtype=bf16"
    outcome = irc("predict", "-k", f"device=gaudi2 {sizes}", "-k", f"device=h100 {sizes}")
    assert outcome.code == 0
    assert outcome.err == "note: gaudi2: at data-sheet rates (roofline): kernels of no such machine were measured\n"


def test_json_of_rows_is_strict(irc, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("device,m,n,k,note\nt4,8,8,8,inf\nt4,inf,8,8,1\n")
    outcome = irc("predict", tmp_path / "rows.csv", "--json")
    assert outcome.code == 0
    known, failed = json.loads(outcome.out)
    assert known["note"] is None and known["latency_s"] > 0
    assert failed["m"] is failed["latency_s"] is None
