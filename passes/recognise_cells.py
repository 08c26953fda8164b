"""Recognises the steps of recurrent layers that were unrolled."""

from __future__ import annotations

from ircost.ir import ops
from ircost.ir.graph import Op, Value
from ircost.ir.rewrite import RewritePattern
from ircost.passes.match import Match, Operand, call, product, total
from ircost.passes.recognise_activations import FormPattern

I, F, G, O, C = (Operand(name) for name in "ifgoc")  # noqa: E741  # the names that the literature gives the gates
LOOK_BACK = 64  # ops between an output gate and the cell that it belongs to


class WrittenLstmCell(RewritePattern):
    """sigmoid(f) c + sigmoid(i) tanh(g), where sigmoid(o) tanh(of that) is read, too  ->  lstm_cell(i, f, g, o, c)"""

    root = "add"
    STATE = total(product(call("sigmoid", F), C), product(call("sigmoid", I), call("tanh", G)))

    def rewrite(self, op: Op) -> Value | None:
        found = next(self.STATE.matches(op.result, Match()), None)
        if found is None:
            return None
        gate = output_gate(op)
        gates = [found.values[name] for name in "ifg"]
        if gate is None or any(value.type != op.result.type for value in (*gates, gate, found.values["c"])):
            return None
        return ops.lstm_cell.results(*gates, gate, found.values["c"])[1]


def output_gate(op: Op) -> Value | None:
    """o of the sigmoid(o) tanh(c) that reads this c, if it is made above c."""
    tanh = next((user for user in op.result.users if user.name == "tanh"), None)
    product = next((user for user in tanh.result.users if user.name == "mul"), None) if tanh is not None else None
    if product is None or tanh is None:
        return None
    other = next((v for v in product.operands if v is not tanh.result), None)
    sigmoid = other.producer if other is not None else None
    if sigmoid is None or sigmoid.name != "sigmoid":
        return None
    gate = sigmoid.operands[0]
    return gate if stands_above(gate, op) else None


def stands_above(value: Value, op: Op) -> bool:
    if value.producer is None:
        return value.block is op.block
    above = op.previous
    for _ in range(LOOK_BACK):
        if above is None or above is value.producer:
            break
        above = above.previous
    return above is value.producer


class HiddenOfLstmCell(FormPattern):
    """sigmoid(o) tanh(c') for the c' of lstm_cell(i, f, g, o, c)  ->  its h"""

    root = "mul"
    forms = (product(call("sigmoid", O), call("tanh", C)),)

    def replacement(self, op: Op, found: Match) -> Value | None:
        cell = found.values["c"].producer
        if cell is None or cell.name != "lstm_cell" or found.values["c"] is not cell.results[1]:
            return None
        return cell.results[0] if cell.operands[3] is found.values["o"] else None


CELLS: tuple[type[RewritePattern], ...] = (WrittenLstmCell, HiddenOfLstmCell)
