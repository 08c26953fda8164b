"""`irc compile --plot`: the roofline as PNG and SVG, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

RESNET = Path(__file__).resolve().parents[2] / "datasets/models/resnet50.onnx"


def test_png_and_svg_are_drawn(irc, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("roofline.png", "roofline.svg"):
        outcome = irc("compile", RESNET, "--target", "h100", "--plot", tmp_path / name)
        assert (outcome.code, outcome.err) == (0, "")
        assert "latency" in outcome.out
    assert (tmp_path / "roofline.png").read_bytes().startswith(b"\x89PNG")
    assert ElementTree.parse(tmp_path / "roofline.svg").getroot().tag.endswith("svg")


def test_the_same_report_is_drawn_in_the_same_bytes(irc, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("a.svg", "b.svg"):
        irc("compile", RESNET, "--plot", tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_a_model_without_arithmetic_is_drawn_too(irc, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "copy.irc"
    path.write_text("func @main(%x: 2x8xf32) -> 8x2xf32 {\n  %y = transpose %x {perm = [1, 0]}\n  return %y\n}\n")
    assert irc("compile", path, "--target", "cpu", "--plot", tmp_path / "roofline.png").code == 0


def test_other_forms_are_refused(irc, tmp_path: Path) -> None:
    outcome = irc("compile", RESNET, "--plot", tmp_path / "roofline.gif")
    assert outcome.code == 2
    assert "its name has no known ending" in outcome.err


def test_without_matplotlib_the_extra_is_named(irc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    outcome = irc("compile", RESNET, "--plot", tmp_path / "roofline.png")
    assert outcome.code == 2
    assert "pip install 'ircost[plot]'" in outcome.err


def test_a_folder_that_is_not_there_is_told(irc, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    outcome = irc("compile", RESNET, "--plot", tmp_path / "missing" / "roofline.png")
    assert outcome.code == 2
    assert "cannot write" in outcome.err
