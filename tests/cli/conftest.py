"""Runs command lines in this process, and makes small models to run them on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from ircost.cli import run

MLP = """\
module @mlp

func @main(%x: 2x8xf32) -> 2x4xf32 {
  %w = constant splat<0.5> : 8x4xf32
  %y = matmul %x, %w : 2x4xf32
  %z = relu %y : 2x4xf32
  return %z
}
"""


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def irc(capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """``irc("compile", path)`` -> exit code and what was printed."""

    def call(*arguments: str | Path) -> Outcome:
        capfd.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture
def mlp(tmp_path: Path) -> Path:
    """IR text: a matrix product and a relu."""
    path = tmp_path / "mlp.irc"
    path.write_text(MLP)
    return path


@pytest.fixture
def dynamic(tmp_path: Path) -> Path:
    """ONNX with two symbolic dims: x [batch, sequence] + x."""
    return save(tmp_path / "dynamic.onnx", [helper.make_node("Add", ["x", "x"], ["y"], name="double")])


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """ONNX with an operator that nobody knows, between two that are known."""
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="before"),
        helper.make_node("Frobnicate", ["a"], ["b"], name="odd_one", domain="com.example"),
        helper.make_node("Relu", ["b"], ["y"], name="after"),
    ]
    return save(tmp_path / "foreign.onnx", nodes, value_info=("b",))


def save(path: Path, nodes: list[onnx.NodeProto], value_info: tuple[str, ...] = ()) -> Path:
    def tensor(name: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", "sequence"])

    graph = helper.make_graph(nodes, "g", [tensor("x")], [tensor("y")], value_info=[tensor(n) for n in value_info])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.example", 3)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path
