"""Ways to compute a value again: forwards from its operands, or backwards from its results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ircost.cost_models.liveness import Buffer, Lifetimes
from ircost.ir.builder import detached_ops
from ircost.ir.clone import clone_op
from ircost.ir.graph import Block, Op, Value
from ircost.ir.inverse import rebuilt

# Ops that one value may need computed again before it.
MOST_STEPS = 16


@dataclass(frozen=True, slots=True)
class Step:
    """An op to run again; with ``index``, to run backwards: that operand comes out of the result."""

    op: Op
    index: int | None = None

    def insert(self, mapping: dict[Value, Value], block: Block, before: Op) -> list[Op]:
        """Puts it in place on copies where there are some; what it gives enters the mapping."""
        if self.index is None:
            return [block.insert_before(clone_op(self.op, mapping), before)]
        value = rebuilt(self.op, self.index, lambda v: mapping.get(v, v))
        assert value is not None, "it was found to have an inverse"
        made = [block.insert_before(op, before) for op in detached_ops([value])]
        for op in made:
            op.location = self.op.location
        operand = self.op.operands[self.index]
        value.name, mapping[operand] = operand.name, value
        return made


@dataclass(frozen=True, slots=True)
class Candidate:
    """A value to have a second time.

    Args:
        steps: what computes it, in order.
        values: it and its views.
        users: what is to read the copy, with the op of the copy's block that each is in; all run behind the fullest
            moment.
        standing: copies made before that steps read in place of what they are copies of.
        saved_bytes: less at the fullest moment.
        latency_s: of the second computation.
        leans: it reads values from before that then have to be kept, and cannot be had a second time themselves.
    """

    steps: tuple[Step, ...]
    values: tuple[Value, ...]
    users: tuple[tuple[Op, Op], ...]
    standing: Mapping[Value, Value]
    saved_bytes: int
    latency_s: float
    leans: bool

    @property
    def cost(self) -> tuple[float, int]:
        """Latency for each byte; of equal ones the larger goes first."""
        return self.latency_s / self.saved_bytes, -self.saved_bytes

    def apply(self) -> Applied:
        """Puts the copy before its first user."""
        first = self.users[0][1]
        assert first.block is not None, "users are in place"
        mapping = dict(self.standing)
        made = {step: step.insert(mapping, first.block, first) for step in self.steps}
        reads = [(u, i, v) for u, _ in self.users for i, v in enumerate(u.operands) if v in self.values]
        for user, index, value in reads:
            user.set_operand(index, mapping[value])
        self._drop_unread(made, first.block)
        copies = {value: mapping[value] for value in self.values if mapping[value].uses}
        return Applied(made, copies, tuple(reads))

    def _drop_unread(self, made: dict[Step, list[Op]], block: Block) -> None:
        for ops in reversed(list(made.values())):
            for op in reversed(list(ops)):
                if not op.has_uses:
                    block.remove(op)
                    ops.remove(op)


@dataclass(frozen=True, slots=True)
class Applied:
    """What was done for a candidate.

    Args:
        made: ops in place, by step. copies: by what they are copies of. reads: (user, index, value) as they were.
    """

    made: Mapping[Step, list[Op]]
    copies: Mapping[Value, Value]
    reads: tuple[tuple[Op, int, Value], ...]

    def undo(self) -> None:
        for user, index, value in self.reads:
            user.set_operand(index, value)
        for ops in reversed(list(self.made.values())):
            for op in reversed(ops):
                assert op.block is not None, "copies are in place"
                op.block.remove(op)


@dataclass(slots=True)
class Moment:
    """The fullest moment of a run.

    Args:
        peak: its position. rebuild: values may come out of what was computed of them.
        latency_s: of each kernel. copies: made before, by what they are copies of.
    """

    lived: Lifetimes
    peak: int
    rebuild: bool
    latency_s: Mapping[Op, float]
    copies: Mapping[Value, Value]
    position: dict[Op, int] = field(init=False)
    buffer_of: dict[Value, Buffer] = field(init=False)

    def __post_init__(self) -> None:
        self.position = {op: i for i, op in enumerate(self.lived.ops)}
        self.buffer_of = {value: buffer for buffer in self.lived.buffers for value in buffer.values}

    def candidates(self) -> Iterator[Candidate]:
        """Values that are kept over the fullest moment, and could be had again behind it."""
        for buffer in self.lived.buffers:
            if buffer.first < self.peak < buffer.last and buffer.values:
                yield from self._of(buffer)

    def _of(self, buffer: Buffer) -> Iterator[Candidate]:
        """Of the last value that a buffer holds before the fullest moment, if nothing else is read of it later."""
        before = [v for v in buffer.values if v.producer is not None and self._made(v) < self.peak]
        makers = [v for v in before if not _is_view(v) and v.type.size_bytes == buffer.size_bytes]
        if not makers:
            return
        value, producer = makers[-1], makers[-1].producer
        assert producer is not None, "it was made by an op"
        views = [v for v in before if _is_view(v) and self._made(v) > self._made(value)]
        users = self._late_users([value, *views])
        if not users or any(self._is_read_late(v) for v in before if v is not value and v not in views):
            return
        start = self.position[users[0][1]]
        behind = tuple(Step(v.producer) for v in views if v.producer is not None)
        for steps, cost_bytes in self._ways(value, producer, buffer, start):
            saved = buffer.size_bytes - cost_bytes
            if saved > 0:
                yield self._candidate((*steps, *behind), (value, *views), users, saved, start)

    def _candidate(
        self,
        steps: tuple[Step, ...],
        values: tuple[Value, ...],
        users: tuple[tuple[Op, Op], ...],
        saved_bytes: int,
        start: int,
    ) -> Candidate:
        read = (value for step in steps for value in (*step.op.operands, *step.op.results))
        copies = {value: self.copies[value] for value in read if value in self.copies}
        standing = {value: copy for value, copy in copies.items() if self._is_at_hand(copy, start)}
        latency_s = sum(self.latency_s.get(step.op, 0.0) for step in steps)
        return Candidate(steps, values, users, standing, saved_bytes, latency_s, self._leans(steps))

    def _leans(self, steps: tuple[Step, ...]) -> bool:
        """Whether something made before has to stay for it: it runs forwards, and not on inputs and weights alone."""
        is_forward = all(step.index is None for step in steps)
        made = {step.op for step in steps}
        return is_forward and any(
            operand.producer is not None and operand.producer not in made and operand in self.buffer_of
            for step in steps
            for operand in step.op.operands
        )

    def _late_users(self, values: list[Value]) -> tuple[tuple[Op, Op], ...]:
        """Readers behind the fullest moment, in order, and where in the values' own block they are; none where some
        reader stands in the way: at that moment, at the end of the block, or in a loop that has begun by then."""
        block = values[0].producer.block if values[0].producer is not None else None
        found = []
        for user in dict.fromkeys(user for value in values for user in value.users):
            if any(user is view.producer for view in values[1:]):
                continue
            place = _enclosing(user, block)
            if user not in self.position or self.position[user] < self.peak:
                continue
            if place is None or self.position.get(place, 0) <= self.peak or user.definition.is_terminator:
                return ()
            found.append((user, place))
        return tuple(sorted(found, key=lambda pair: self.position[pair[0]]))

    # ---- ways

    def _ways(self, value: Value, producer: Op, buffer: Buffer, start: int) -> Iterator[tuple[tuple[Step, ...], int]]:
        """Steps, and bytes that have to be kept for them beyond what is in use anyway."""
        if _may_run_again(producer):
            yield from self._again(producer, buffer, start)
        if self.rebuild:
            yield from self._backwards(value, start)

    def _again(self, producer: Op, buffer: Buffer, start: int) -> Iterator[tuple[tuple[Step, ...], int]]:
        """The op once more: on operands that are kept for it, else on operands that are computed again too."""
        owners = [self.buffer_of.get(operand) for operand in producer.operands]
        is_over_operand = any(owner is buffer for owner in owners)  # written in place: that operand is no more
        needed = {id(b): b for b in owners if b is not None and b.last < self.peak}
        kept_bytes = sum(b.size_bytes for b in needed.values())
        if not is_over_operand:
            yield (Step(producer),), kept_bytes
        if kept_bytes or is_over_operand:
            steps = self._steps_to(producer.operands, producer.result, start)
            if steps is not None:
                yield (*steps, Step(producer)), 0

    def _backwards(self, value: Value, start: int) -> Iterator[tuple[tuple[Step, ...], int]]:
        """Out of the result of an op that has read it, which is at hand late."""
        for user, index in value.uses:
            made = self.position.get(user)
            if made is None or made >= start or user.block is not value.producer.block:  # type: ignore[union-attr]
                continue
            if (
                len(user.results) != 1
                or not self._is_kept(user.result, start)
                or rebuilt(user, index, _as_it_is) is None
            ):
                continue
            others = [operand for operand in user.operands if operand is not value]
            steps = self._steps_to(others, value, start)
            if steps is not None:
                yield (*steps, Step(user, index)), 0

    def _steps_to(self, values: list[Value] | tuple[Value, ...], wanted: Value, start: int) -> list[Step] | None:
        """What computes values again that are not at hand, each op once; None where one is out of reach."""
        steps: dict[Op, None] = {}
        opened = 0
        stack = [(value, False) for value in reversed(values)]
        while stack:
            value, is_done = stack.pop()
            producer = value.producer
            if value is wanted:
                return None
            if producer in steps or (not is_done and self._is_kept(value, start)):
                continue
            if producer is None or not _may_run_again(producer):
                return None
            if is_done:
                steps[producer] = None
                continue
            opened += 1
            if opened > MOST_STEPS:
                return None
            stack.append((value, True))
            stack.extend((operand, False) for operand in reversed(producer.operands))
        return [Step(op) for op in steps]

    def _is_kept(self, value: Value, start: int) -> bool:
        """Whether reading a value, or a copy of it, at ``start`` adds nothing to the fullest moment."""
        copy = self.copies.get(value)
        if copy is not None and self._is_at_hand(copy, start):
            return True
        buffer = self.buffer_of.get(value)
        if buffer is None or value.producer is None:
            return True
        return self.peak <= self._made(value) < start or (buffer.last > self.peak and self._is_read_late(value))

    def _is_read_late(self, value: Value) -> bool:
        """Whether it, or a view of it, is read behind the fullest moment."""
        values = [value]
        for value in values:
            for user, _ in value.uses:
                if self.position.get(user, -1) > self.peak:
                    return True
                if user.definition.is_view:
                    values.append(user.results[0])
        return False

    def _is_at_hand(self, copy: Value, start: int) -> bool:
        """Whether it was made between the fullest moment and ``start``, in the block where it is wanted."""
        producer = copy.producer
        if producer is None or producer.block is not self.lived.ops[start].block:
            return False
        return self.peak < self.position.get(producer, -1) < start

    def _made(self, value: Value) -> int:
        return self.position.get(value.producer, self.peak) if value.producer is not None else -1


def _may_run_again(op: Op) -> bool:
    is_closed = not op.regions or op.definition.is_isolated
    return op.definition.is_pure and is_closed and op.name != "call" and len(op.results) == 1


def _is_view(value: Value) -> bool:
    return value.producer is not None and value.producer.definition.is_view


def _as_it_is(value: Value) -> Value:
    return value


def _enclosing(op: Op, block: Block | None) -> Op | None:
    """The op of a block that an op is, or stands in; None outside of the block."""
    place: Op | None = op
    while place is not None and place.block is not block:
        place = place.parent
    return place
