"""`irc compile -o FILE.onnx`: the file is there whole, or an error says why not."""

from __future__ import annotations

from pathlib import Path

import click
import onnx

from ircost.backends.onnx import RUNTIMES
from ircost.commands.compile import command


def test_compile_writes_a_model(irc, mlp: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.onnx"
    outcome = irc("compile", mlp, "-o", target)
    assert (outcome.code, outcome.err) == (0, "")
    assert [node.op_type for node in onnx.load(target).graph.node] == ["MatMul", "Relu"]


def test_for_a_runtime(irc, mlp: Path, tmp_path: Path) -> None:
    assert irc("compile", mlp, "-o", tmp_path / "out.onnx", "--for", "onnxruntime").code == 0
    outcome = irc("compile", mlp, "--for", "onnxruntime")
    assert outcome.code == 2
    assert "--for applies to ONNX output only" in outcome.err


def test_for_every_runtime(irc, mlp: Path, tmp_path: Path) -> None:
    kind = next(option for option in command.params if option.name == "for_runtime").type
    assert isinstance(kind, click.Choice)
    assert sorted(kind.choices) == sorted(set(RUNTIMES) - {""})
    for runtime in kind.choices:
        assert irc("compile", mlp, "-o", tmp_path / "out.onnx", "--for", runtime).code == 0


def test_opt_writes_a_model(irc, mlp: Path, tmp_path: Path) -> None:
    assert irc("opt", mlp, "--passes", "canonicalize", "-o", tmp_path / "out.onnx").code == 0
    onnx.checker.check_model(onnx.load(tmp_path / "out.onnx"), full_check=True)


def test_a_folder_that_is_not_there(irc, mlp: Path, tmp_path: Path) -> None:
    outcome = irc("compile", mlp, "-o", tmp_path / "none" / "out.onnx")
    assert outcome.code == 2
    assert "cannot write" in outcome.err


def test_weights_that_are_not_there(irc, tmp_path: Path) -> None:
    resnet = Path(__file__).resolve().parents[2] / "datasets/models/resnet50.onnx"
    outcome = irc("compile", resnet, "-o", tmp_path / "out.onnx")
    assert outcome.code == 2
    assert "resnet50.weights" in outcome.err
    assert not list(tmp_path.iterdir())
