"""`irc opt`: formatter, verifier, pass runner."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

RESNET = Path(__file__).resolve().parents[2] / "datasets/models/resnet50.onnx"


def test_a_level_is_its_pipeline(irc) -> None:
    by_level = irc("opt", RESNET, "--opt", "1")
    assert by_level == irc("opt", RESNET, "--passes", "canonicalize")


def test_a_level_gives_what_compile_costs(irc, tmp_path: Path) -> None:
    out = tmp_path / "out.irc"
    irc("compile", RESNET, "-o", out)
    by_level = irc("opt", RESNET, "--opt", "2", "--locations").out
    assert by_level == out.read_text()
    pipeline = "canonicalize,recognise,fold-batch-norm,fuse{by_cost=true}"
    assert by_level == irc("opt", RESNET, "--passes", pipeline, "-t", "h100_sxm", "--locations").out
    assert by_level != irc("opt", RESNET, "--passes", pipeline, "--locations").out  # no machine to weigh costs on


def test_a_target_is_what_passes_are_for(irc, mlp: Path) -> None:
    assert "tile@l2" in irc("opt", mlp, "--passes", "fuse,tile", "-t", "h100_sxm").out
    assert "needs a target" in irc("opt", mlp, "--passes", "fuse,tile").err


def test_without_passes_it_formats(irc, mlp: Path) -> None:
    expected = mlp.read_text()
    mlp.write_text(expected.replace("  %y", "// a comment\n\n     %y").replace(", %w", ",    %w"))
    outcome = irc("opt", mlp)
    assert (outcome.code, outcome.out, outcome.err) == (0, expected, "")


def test_standard_input(irc, mlp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(mlp.read_text()))
    assert irc("opt", "-").out == mlp.read_text()


def test_empty_standard_input(irc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert irc("opt", "-").code == 2


def test_passes_run_in_order(irc, mlp: Path) -> None:
    outcome = irc("opt", mlp, "--passes", "canonicalize,fuse", "--print-ir-after-all")
    assert "kernel" in outcome.out
    after_canonicalize, after_fuse = outcome.err.split("// IR after ")[1:]
    assert after_canonicalize == f"canonicalize\n{mlp.read_text()}\n"
    assert after_fuse == f"fuse\n{outcome.out}\n"


def test_stats_without_timing_are_the_same_every_time(irc, mlp: Path) -> None:
    errors = [irc("opt", mlp, "--passes", "fuse", "--stats").err for _ in range(2)]
    assert errors == ["      4 ->       6 ops  fuse\n          1 x kernels\n"] * 2


def test_timing_alone_leaves_out_patterns(irc, mlp: Path) -> None:
    err = irc("opt", mlp, "--passes", "fuse", "--timing").err
    assert " ms verify " in err and "kernels" not in err


def test_onnx_with_locations(irc, dynamic: Path) -> None:
    text = irc("opt", dynamic, "--dim", "sequence=4", "--locations").out
    assert "add %x, %x : 1x4xf32" in text and '"double"' in text
    assert '"double"' not in irc("opt", dynamic, "--dim", "sequence=4").out


def test_output_goes_to_a_file(irc, mlp: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.irc"
    assert irc("opt", mlp, "-o", out).out == ""
    assert out.read_text() == mlp.read_text()
