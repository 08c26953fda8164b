"""If, while and scan: bodies become nested graphs."""

from __future__ import annotations

from ircost.backends.onnx.emitter import Scope, emits
from ircost.backends.onnx.node import Attributes, Input, Node, node, outputs_of
from ircost.ir.attributes import int_of
from ircost.ir.graph import Op


@emits("if")
def emit_if(op: Op, scope: Scope) -> list[Input]:
    then, otherwise = op.regions
    bodies: Attributes = {"then_branch": then, "else_branch": otherwise}
    return outputs_of(node("If", op.operands[0], outputs=len(op.results), **bodies))


@emits("scan")
def emit_scan(op: Op, scope: Scope) -> list[Input] | None:
    """Without sequences there is nothing for Scan to walk along."""
    states = int_of(op.attrs, "states")
    sequences, stacked = len(op.operands) - states, len(op.results) - states
    if not sequences:
        return None
    backwards = int(bool(op.attrs["reverse"]))
    directions: Attributes = {
        "scan_input_directions": (backwards,) * sequences,
        "scan_output_directions": (backwards,) * stacked,
    }
    made = node(
        "Scan", *op.operands, outputs=len(op.results), body=op.regions[0], num_scan_inputs=sequences, **directions
    )
    return outputs_of(made)


@emits("while")
def emit_while(op: Op, scope: Scope) -> list[Input]:
    """A Loop whose condition is computed at the end of each trip, and once before the first."""
    condition, body = op.regions
    return outputs_of(Node("Loop", tuple(op.operands), {"condition": condition, "body": body}, outputs=len(op.results)))
