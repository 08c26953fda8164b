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
    "nothing": ((), "predict what?"),
    "both": (("@rows.csv", "-k", GEMM), "predict what?"),
    "no device": (("-k", "m=1 n=1 k=1"), "on which device?"),
    "no number": (("-k", "device=t4 m=x n=1 k=1"), "m=x is no number"),
    "no size": (("-k", "device=t4 m"), "'m' is no size"),
    "no family": (("-k", "device=t4 m=1"), "tell of no family"),
    "no machine": (("-k", "device=t5 m=1 n=1 k=1"), "no target 't5' (row 1)\n  help: irc targets lists all"),
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
    lines = [f"h100,4096,4096,4096,bfloat16,{name}\n" for name in ("", GRAPH_REPLAY, "trtllm")]
    (tmp_path / "named.csv").write_text("device,m,n,k,dtype,framework\n" + "".join(lines))
    unnamed, replayed, named = rows(irc, str(tmp_path / "named.csv"), "--model", model)
    assert unnamed["latency_s"] == replayed["latency_s"] != named["latency_s"]
    assert unnamed["grade"] == named["grade"] == ("A" if model == "hybrid" else None)


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


def test_text_tells_once_what_rows_share(irc) -> None:
    lines = irc("predict", "-k", "device=t4 m=64 n=64 k=64", "-k", "device=t4 m=128 n=64 k=64").out.splitlines()
    assert lines[0] == "gemm: device t4, n 64, k 64"
    assert lines[2].split()[:2] == ["m", "latency"] and [line.split()[0] for line in lines[3:]] == ["64", "128"]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes(irc, folder: Path, arguments: tuple[str, ...], message: str) -> None:
    outcome = irc("predict", *(str(folder / word[1:]) if word.startswith("@") else word for word in arguments))
    assert outcome.code == 2 and message in outcome.err and "Traceback" not in outcome.err
