"""The scripts in examples/ run."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def test_models_are_trained_and_compared(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train_and_compare.py"])
    runpy.run_path(str(EXAMPLES / "train_and_compare.py"), run_name="__main__")
    told, _, head, *lines = capsys.readouterr().out.splitlines()
    assert told.startswith("made-up products: 336 rows")
    learners = [f"learned ({name})" for name in ("trees", "nearest", "linear")]
    assert re.split(r"\s{2,}", head)[1:] == ["roofline", "analytical", *learners, "hybrid (trees)", "text"]
    assert [line.split()[0] for line in lines] == ["shapes", "a100_sxm_80gb", "h100_sxm", "l40s", "t4"]
    roofline, analytical, learned = (float(lines[0].split()[place]) for place in (1, 6, 11))
    assert learned < analytical < roofline  # the quirk is learned, and only that is left


def test_a_machine_is_measured_and_fitted(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """How far models are off is this machine's own; that layers are held out and judged is not."""
    pytest.importorskip("onnxruntime", reason="its kernels are measured")
    monkeypatch.setattr(sys, "argv", ["measure_and_fit.py"])
    runpy.run_path(str(EXAMPLES / "measure_and_fit.py"), run_name="__main__")
    told, _, _, head, *lines = capsys.readouterr().out.splitlines()
    assert "one thread, ONNX Runtime" in told and told.endswith(": 180 rows")
    assert head.split() == ["family", "roofline", "bundled", "fitted"]
    assert [line.split()[0] for line in lines] == ["conv", "gemm", "vector"]
    assert all(len(line.replace(" / ", "/").split()) == 4 for line in lines)
