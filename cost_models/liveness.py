"""Which buffers a module needs, how large each is, and from which op to which it is in use.

A buffer holds a value, the views of it, and what is written in place over it. Calls, loops and branches are walked
where they stand; a callee's own buffers are looked at once, and take part in each caller as one scratch buffer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ircost.cost_models.nesting import Group, Nesting, Write
from ircost.ir.graph import Block, Function, Module, Op, Value
from ircost.ir.in_place import is_read_once
from ircost.ir.index import IterationSpace
from ircost.ir.load_time import load_time_ops
from ircost.ir.parts import place_in_operand


@dataclass(frozen=True, slots=True)
class Buffer:
    """Bytes that belong together.

    Args:
        size_bytes: of a callee's scratch, what it holds at its fullest moment.
        first, last: positions of the ops between which it is in use, both included.
        values: what it holds, one after another, under several shapes, or as parts of one another; none for scratch.
        places: bytes from its start to each of them.
        inside: of the scratch of a call, the callee's own buffers.
    """

    size_bytes: int
    first: int
    last: int
    values: tuple[Value, ...] = ()
    places: tuple[int, ...] = ()
    inside: Lifetimes | None = None


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """The buffers of a run.

    Args:
        ops: in the order in which they run, loops once, both branches of an `if`; a position is an index into it.
        buffers: by position of their first op.
        weights_bytes: what stays for the whole run: constants and what is computed from them at load.
    """

    ops: tuple[Op, ...]
    buffers: tuple[Buffer, ...]
    weights_bytes: int

    def live_bytes(self) -> np.ndarray:
        """[ops] bytes in use while each op runs."""
        change = np.zeros(len(self.ops) + 1, dtype=np.int64)
        for buffer in self.buffers:
            change[buffer.first] += buffer.size_bytes
            change[buffer.last + 1] -= buffer.size_bytes
        return np.asarray(np.cumsum(change[:-1]))

    @property
    def peak_bytes(self) -> int:
        """Most that is in use at one time: no allocation takes less, in this order of ops."""
        return int(self.live_bytes().max(initial=0))

    @property
    def peak_op(self) -> Op | None:
        """Where that is; None where nothing is ever in use."""
        live = self.live_bytes()
        return self.ops[int(live.argmax())] if live.size and live.max() > 0 else None


def lifetimes(
    module: Module,
    in_place: bool = True,
    function: Function | None = None,
    *,
    nested: bool = True,
    keeps_inputs: bool = True,
) -> Lifetimes:
    """Buffers of one run of a verified module, its inputs and results included. Linear in the ops.

    Inputs are in use throughout, results from their op to the end. Inside a kernel or composite nothing is held.

    Args:
        in_place: write an element-wise result over an operand that nothing reads any more. Inputs and weights are
            never written over, and results of the module have buffers of their own.
        function: that is run; ``main`` where left out.
        nested: let parts of a concatenation, and slices, lie inside of the whole, where no moment gets fuller.
        keeps_inputs: else the place of an input of the model is free behind the last op that reads it.
    """
    return _Modules(module, in_place, nested, keeps_inputs).of(function or module.main, is_main=True)


def may_overwrite(op: Op, index: int) -> bool:
    """Whether the result may lie where operand ``index`` lies: each point reads the element that it writes.

    Read off the access maps; in a kernel every op between the operand and the result has to be such a one.
    """
    if len(op.results) != 1 or op.operands[index].type.size_bytes != op.result.type.size_bytes:
        return False
    if op.name != "kernel":
        return _has_equal_access(op, index)
    body = op.regions[0].block
    tainted = {body.arguments[index]}
    for inner in body.ops:
        read = [i for i, operand in enumerate(inner.operands) if operand in tainted]
        if not read or inner.definition.is_terminator:
            continue
        if len(inner.results) != 1 or not all(_has_equal_access(inner, i) for i in read):
            return False
        tainted.add(inner.result)
    return True


def _has_equal_access(op: Op, index: int) -> bool:
    if op.regions or op.operands[index].type.shape != op.result.type.shape or not op.definition.is_pure:
        return False
    space = op.definition.iteration_space(op)
    return space is not None and _is_written_where_read(space, index)


def _is_written_where_read(space: IterationSpace, index: int) -> bool:
    return space.is_pointwise and space.operands[index] == space.results[0]


class _Modules:
    """Lifetimes of each function, once; and the weights of all."""

    def __init__(self, module: Module, in_place: bool, nested: bool, keeps_inputs: bool) -> None:
        self.module = module
        self.keeps_inputs = keeps_inputs
        self.in_place = in_place
        self.nested = nested
        self.weights: dict[object, int] = {}
        self.functions: dict[str, Lifetimes] = {}
        self.back: dict[str, dict[int, int]] = {}  # of each callee, result -> argument

    def of(self, function: Function, is_main: bool) -> Lifetimes:
        name, block = function.name, function.block
        walk = _Walk(self)
        walk.arguments(block, is_main)
        walk.block(block)
        walk.returned(block, is_main)
        if self.in_place:
            walk.write_in_place()
        self.back[name] = walk.handed_back(block)
        if self.nested:
            Nesting(walk.ops, walk.groups, walk.group_of).run()
        return Lifetimes(tuple(walk.ops), walk.buffers(), sum(self.weights.values()))

    def callee(self, op: Op) -> Lifetimes:
        name = str(op.attrs["callee"])
        if name not in self.functions:
            self.functions[name] = self.of(self.module.functions[name], is_main=False)
        return self.functions[name]

    def handed_back(self, op: Op) -> Mapping[int, int]:
        """Of a call, results that are an operand again, or written over it."""
        self.callee(op)
        return self.back[str(op.attrs["callee"])]

    def keep_weights(self, at_load: set[Op]) -> None:
        """Load-time results that something reads at run time; what only feeds other load-time ops is let go."""
        for op in at_load:
            for result in op.results:
                if any(user not in at_load for user, _ in result.uses):
                    self.weights[_identity(op, result)] = result.type.size_bytes


def _is_stacked(op: Op, index: int) -> bool:
    """Whether a scan's trip yields the value as a slice of a stacked result: it goes there as soon as it is made."""
    parent = op.parent if op.definition.is_terminator else None
    if parent is None or parent.name != "scan":
        return False
    states = parent.attrs["states"]
    assert isinstance(states, int)
    return index >= states


def _identity(op: Op, result: Value) -> object:
    """Constants with the same data are one weight; all other values are themselves."""
    return (op.attrs["value"], result.type) if op.name == "constant" else result


class _Walk:
    def __init__(self, modules: _Modules) -> None:
        self.modules = modules
        self.ops: list[Op] = []
        self.groups: list[Group] = []
        self.group_of: dict[Value, Group] = {}

    def arguments(self, block: Block, is_main: bool) -> None:
        for argument in block.arguments:
            group = self._new(argument)
            group.is_fixed, group.is_counted = True, is_main

    def returned(self, block: Block, is_main: bool) -> None:
        """Results are in use to the end; a callee writes them into its caller's buffers."""
        end = len(self.ops) - 1
        for group in self.groups:
            if group.is_fixed and (self.modules.keeps_inputs or not is_main):
                group.last = end
        for value in block.terminator.operands:
            leaving = self.group_of.get(value)
            if leaving is not None and not leaving.is_fixed:
                leaving.last, leaving.is_result, leaving.is_counted = end, True, is_main

    def handed_back(self, block: Block) -> dict[int, int]:
        """Results of a function that lie where an argument lies."""
        place = {id(self.group_of[argument]): i for i, argument in enumerate(block.arguments)}
        groups = [self.group_of.get(value) for value in block.terminator.operands]
        return {i: place[id(group)] for i, group in enumerate(groups) if group is not None and id(group) in place}

    def block(self, block: Block) -> None:
        at_load = load_time_ops(block)
        self.modules.keep_weights(at_load)
        for op in block.ops:
            if op not in at_load:
                self._op(op)

    def _op(self, op: Op) -> None:
        position = len(self.ops)
        self.ops.append(op)
        for index, operand in enumerate(op.operands):
            if not _is_stacked(op, index):
                self._use(operand, position)
        if op.definition.is_view:
            self._share(op.results[0], op.operands[0])
            return
        over = self._overwritten(op)
        for index, result in enumerate(op.results):
            if index in over:
                self._share(result, op.operands[over[index]])
            else:
                self._new(result)
        if op.name == "call":
            inside = self.modules.callee(op)
            self.groups.append(Group(inside.peak_bytes, position, position, inside=inside))
        elif op.regions and not op.definition.is_isolated:
            WALKS[op.name](self, op)

    def _overwritten(self, op: Op) -> Mapping[int, int]:
        """Results that lie where an operand lies: what the op writes over, and what a callee hands back."""
        found = self.modules.handed_back(op) if op.name == "call" else op.definition.overwritten(op)
        return {
            result: operand
            for result, operand in found.items()
            if is_read_once(op.operands[operand]) and op.operands[operand] in self.group_of
        }

    def _new(self, value: Value) -> Group:
        position = max(len(self.ops) - 1, 0)
        group = self.group_of[value] = Group(value.type.size_bytes, position, position, {value: 0})
        self.groups.append(group)
        return group

    def _share(self, value: Value, owner: Value) -> None:
        """Views of weights are weights."""
        group = self.group_of.get(owner)
        if group is not None:
            self.group_of[value] = group
            group.places[value] = group.places.get(owner, 0)
            if value.producer is None or value.producer.name != "view":  # which may repeat what it shows
                group.size_bytes = max(group.size_bytes, value.type.size_bytes)

    def _use(self, value: Value, position: int) -> None:
        group = self.group_of.get(value)
        if group is not None:
            group.last = max(group.last, position)

    # ---- control flow

    def branches(self, op: Op) -> None:
        """Each branch writes what it yields into the result's buffer, where it made it itself."""
        for region in op.regions:
            known = len(self.groups)
            self.block(region.block)
            own = {id(group) for group in self.groups[known:]}
            taken: set[int] = set()
            for value, result in zip(region.block.terminator.operands, op.results, strict=True):
                group = self.group_of.get(value)
                if group is not None and id(group) in own and id(group) not in taken:
                    taken.add(id(group))
                    self._merge(self.group_of[result], group)

    def loop(self, op: Op) -> None:
        """The state lies where the results will; the next one is beside it until a trip ends.

        What a trip reads from around the loop, the next one reads again.
        """
        known = len(self.groups)
        for region in op.regions:
            for argument, source in self._loop_arguments(op, region.block):
                self._share_slice(argument, source)
            self.block(region.block)
        end = len(self.ops) - 1
        own = {id(group) for group in self.groups[known:]}
        for inner in op.walk():
            for operand in inner.operands if inner is not op else op.operands[self._states(op) :]:
                group = self.group_of.get(operand)
                if group is not None and id(group) not in own:
                    group.last = max(group.last, end)
        for result in op.results:
            self._use(result, end)
        if op.name == "scan":
            self._hand_on(op)

    def _hand_on(self, op: Op) -> None:
        """A stacked result lies where the sequence lies whose slice each trip writes over: states of equal layers."""
        states, body = self._states(op), op.regions[0].block
        sources = {source: x for x, source in zip(body.arguments, op.operands, strict=True) if is_read_once(source)}
        for value, result in zip(body.terminator.operands[states:], op.results[states:], strict=True):
            group = self.group_of.get(value)
            over = next((x for x in sources if group is not None and self.group_of.get(x) is group), None)
            if over is not None and group is not None and sources.pop(over).type == value.type:
                self._merge(group, self.group_of[result])

    def _states(self, op: Op) -> int:
        states = op.attrs.get("states")
        return states if isinstance(states, int) else len(op.operands)

    def _loop_arguments(self, op: Op, body: Block) -> list[tuple[Value, Value]]:
        states = self._states(op)
        sources = (*op.results[:states], *op.operands[states:])
        return list(zip(body.arguments, sources, strict=True))

    def _share_slice(self, argument: Value, source: Value) -> None:
        group = self.group_of.get(source)
        if group is not None:
            self.group_of[argument] = group

    # ---- in place

    def write_in_place(self) -> None:
        for position, op in enumerate(self.ops):
            if len(op.results) != 1 or op.definition.is_view or (op.regions and op.name != "kernel"):
                continue
            target = self.group_of[op.result]
            if target.is_result or target.first != position:
                continue
            for index, operand in enumerate(op.operands):
                group = self.group_of.get(operand)
                if group is not None and self._dies(group, op, operand, position) and may_overwrite(op, index):
                    self._merge(group, target)
                    if place_in_operand(op) is None:
                        group.writes.append(Write(position, 0, group.size_bytes))
                    break

    def _dies(self, group: Group, op: Op, operand: Value, position: int) -> bool:
        """Nothing reads the buffer later, and this op reads it as this one value only."""
        if group.is_fixed or group.is_result or group.last != position or group.inside is not None:
            return False
        if op.name == "kernel" and op.operands.count(operand) > 1:
            return False
        if _is_strided(operand):
            return False  # elements would be written over that are still to be read
        if operand.type.size_bytes != op.result.type.size_bytes:
            return False  # a concatenation of thousands is not looked through for each of them
        return all(other is operand or self.group_of.get(other) is not group for other in op.operands)

    def _merge(self, kept: Group, gone: Group) -> None:
        kept.take(gone)
        self.group_of.update(dict.fromkeys(gone.places, kept))
        gone.is_counted = False

    def buffers(self) -> tuple[Buffer, ...]:
        counted = [group for group in self.groups if group.is_counted and group.size_bytes]
        counted.sort(key=lambda group: group.first)
        return tuple(
            Buffer(g.size_bytes, g.first, g.last, tuple(g.places), tuple(g.places.values()), g.inside) for g in counted
        )


def _is_strided(value: Value) -> bool:
    """Whether a value is a view that does not lie in its own order."""
    while value.producer is not None and value.producer.definition.is_view:
        if value.producer.name == "view":
            return True
        value = value.producer.operands[0]
    return False


WALKS: dict[str, Callable[[_Walk, Op], None]] = {"if": _Walk.branches, "while": _Walk.loop, "scan": _Walk.loop}
