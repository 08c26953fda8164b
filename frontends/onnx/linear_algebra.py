"""Determinants."""

from __future__ import annotations

from ircost.frontends.onnx.node import Node, lowering
from ircost.ir import ops
from ircost.ir.graph import Value


@lowering("Det")
def det(node: Node) -> Value:
    return ops.det(node[0])
