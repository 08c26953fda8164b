"""The layout of a whole graph: which values lie in blocks, so that all together takes least time.

Each operator that has a blocked form (`blocked_forms`) runs in one layout or the other, and a value that is made in one
and read in the other is reordered, once. That is a smallest cut: operators on the source's side stay plain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from ircost.backends.onnx.blocked_costs import reorder_s
from ircost.backends.onnx.blocked_form import Blocks, Form
from ircost.backends.onnx.blocked_forms import form_of
from ircost.backends.onnx.blocked_layout import (
    can_be_reordered,
    image_shape,
    into_blocks,
    is_both,
    known_in_blocks,
    out_of_blocks,
)
from ircost.backends.onnx.emitter import Scope
from ircost.backends.onnx.minimum_cut import UNBOUNDED, Network
from ircost.backends.onnx.node import Input, Node, values_of
from ircost.ir.graph import Op, Value
from ircost.ir.types import f32

Plan: TypeAlias = list[tuple[Op, list[Input]]]
# What may become part of the convolution before it: a batch norm, say, whose activation is an operator of its own.
ACTIVATIONS = ("Relu", "Sigmoid", "Tanh", "HardSwish")
PER_S = 1e12  # capacities are whole picoseconds


def in_blocks(plan: Plan, results: Sequence[Value], scope: Scope) -> Plan:
    """The plan of a graph with its layout chosen.

    Args:
        plan: ops in order, and what was emitted for each.
        results: values that somebody outside reads.
    """
    layout = Layout(plan, set(results), scope, scope.block)
    chosen = layout.chosen()
    return Writing(layout, chosen).plan() if chosen else plan


@dataclass(slots=True)
class Layout:
    """Which ops of a plan have blocked forms, who reads what, and what the best choice is."""

    plan: Plan
    results: set[Value]
    scope: Scope
    block: int
    forms: dict[Op, Form] = field(default_factory=dict)
    readers: dict[Value, list[tuple[Op, bool]]] = field(default_factory=dict)  # with whether in blocks, if blocked

    def __post_init__(self) -> None:
        made_here: set[Value] = set()
        blocks = Blocks(self.block, self.scope, made_here.__contains__)
        for op, made in self.plan:
            form = form_of(op, made, blocks)
            if form is not None and all(self.can_come(value) for value in form.reads):
                self.forms[op] = form
                if form.writes_blocks:
                    made_here.update(op.results)
            self._note_readers(op, made, form if op in self.forms else None)

    def _note_readers(self, op: Op, made: list[Input], form: Form | None) -> None:
        inside = (value for inner in op.walk() if inner is not op for value in inner.operands)
        for value in dict.fromkeys((*values_of(made), *inside)):
            self.readers.setdefault(value, []).append((op, form is not None and value in form.reads))

    def can_come(self, value: Value) -> bool:
        """Whether there is a way into blocks for it."""
        if image_shape(value.type) is None:
            return False
        is_made = value.producer in self.forms and self.forms[value.producer].writes_blocks
        return is_made or self.scope.is_known(value) or can_be_reordered(value.type) or is_both(value.type, self.block)

    def chosen(self) -> set[Op]:
        """Ops that run in blocks; none where nothing would gain by it."""
        if all(form.saving_s <= 0 for form in self.forms.values()):
            return set()
        network = Network()
        plain, blocked = network.node(), network.node()
        places = {op: network.node() for op in self.forms}
        for op, form in self.forms.items():
            saved = round(form.saving_s * PER_S)
            network.edge(places[op], blocked, max(saved, 0))
            network.edge(plain, places[op], max(-saved, 0))
        for value, readers in self.readers.items():
            self._reorders(network, value, readers, places, plain)
        side = network.sink_side(plain, blocked)
        return {op for op, place in places.items() if place in side}

    def _reorders(
        self, network: Network, value: Value, readers: list[tuple[Op, bool]], places: dict[Op, int], plain: int
    ) -> None:
        """What it costs that a value is made in one layout and read in the other."""
        if self.scope.is_known(value) or image_shape(value.type) is None:
            return
        form = self.forms.get(value.producer) if value.producer is not None else None
        producer = places[value.producer] if form is not None and form.writes_blocks else plain  # type: ignore[index]
        both = is_both(value.type, self.block)
        cost = 0 if both else round(reorder_s(value.type) * PER_S)
        in_blocks = [places[op] for op, wants in readers if wants]
        if in_blocks:
            entering = network.node()
            network.edge(producer, entering, cost if both or can_be_reordered(value.type) else UNBOUNDED)
            for reader in in_blocks:
                network.edge(entering, reader, UNBOUNDED)
        if producer != plain:
            leaving = network.node()
            network.edge(leaving, producer, cost if both or value.type.dtype == f32 else UNBOUNDED)
            always = value in self.results or any(not wants for _, wants in readers)
            for reader in [plain] if always else in_blocks:
                network.edge(reader, leaving, UNBOUNDED)


@dataclass(slots=True)
class Writing:
    """Puts blocked nodes in place of those that were chosen."""

    layout: Layout
    chosen: set[Op]
    blocked: dict[Value, Input] = field(default_factory=dict)

    def plan(self) -> Plan:
        entries: dict[Op, list[Input]] = {}
        for op, made in self.layout.plan:
            entries[op] = [self._blocked(op, entries)] if op in self.chosen else made
        return list(entries.items())

    def _blocked(self, op: Op, entries: dict[Op, list[Input]]) -> Input:
        form, result = self.layout.forms[op], op.result
        made = form.make(self._in_blocks)
        if not form.writes_blocks:
            return made
        conv = made.inputs[0]
        if made.operator in ACTIVATIONS and not made.domain and self._is_bare_conv(form.reads[0], conv):
            assert isinstance(conv, Node) and form.reads[0].producer is not None, "was checked"
            del entries[form.reads[0].producer]
            made = Node("Conv", conv.inputs, {**conv.attributes, "activation": made.operator}, conv.domain)
        self.blocked[result] = made
        return out_of_blocks(result, made, self.layout.block) if self._is_read_plain(result) else made

    def _is_bare_conv(self, value: Value, made: Input) -> bool:
        """Whether a convolution without activation makes a value that one op alone reads."""
        if not isinstance(made, Node) or made.operator != "Conv" or value in self.layout.results:
            return False
        is_alone = len(self.layout.readers[value]) == 1 and value.producer in self.chosen
        return is_alone and "activation" not in made.attributes

    def _in_blocks(self, value: Value) -> Input:
        if value not in self.blocked:
            is_known = self.layout.scope.is_known(value)
            block = self.layout.block
            self.blocked[value] = known_in_blocks(value, block) if is_known else into_blocks(value, value, block)
        return self.blocked[value]

    def _is_read_plain(self, value: Value) -> bool:
        if value in self.layout.results:
            return True
        return any(op not in self.chosen or not wants for op, wants in self.layout.readers.get(value, ()))
