"""Computing a value twice instead of keeping it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from ircost.backends.errors import TargetError
from ircost.backends.units import parse_quantity
from ircost.cost_models.kernel_table import kernel_table
from ircost.cost_models.liveness import Buffer, Lifetimes, lifetimes
from ircost.ir.clone import clone_op
from ircost.ir.graph import Module, Op, Value
from ircost.passes.base import Pass, PassContext, PassError, register_pass

# Copies that one run makes at most, for each op: where more are needed, the limit is out of reach.
COPIES_PER_OP = 2
# Copies in a row that lower no peak: several moments may be equally full.
PATIENCE = 32
# Ops looked at by all copies together, since each copy asks anew where the fullest moment is.
OPS_LOOKED_AT = 5_000_000


@register_pass("rematerialise")
@dataclass(frozen=True, slots=True)
class Rematerialise(Pass):
    """Compute long-lived values again near their late use, until weights and activations fit a limit.

    At the fullest moment, of the values that are kept for later the one goes first that takes least latency for each
    byte it frees, by the cost model; without one, the one that frees most. Outputs stay bit-identical. Stops where
    nothing more can be freed.

    Args:
        limit: bytes in use at any time, weights included: ``24GiB``, or a plain number of bytes.
    """

    is_exact = True

    limit: str

    def run(self, module: Module, context: PassContext) -> Counter[str]:
        limit = limit_bytes(self.limit)
        latency_s = latencies(module, context)
        fired: Counter[str] = Counter()
        ops = len(lifetimes(module).ops)
        most = min(COPIES_PER_OP * ops, OPS_LOOKED_AT // max(ops, 1))
        done: list[Applied] = []
        useful = 0  # copies up to the lowest peak so far; those behind it lowered none
        lowest = None
        while True:
            lived = lifetimes(module)
            if lowest is None or lived.peak_bytes < lowest:
                lowest, useful = lived.peak_bytes, len(done)
            is_enough = lived.weights_bytes + lived.peak_bytes <= limit
            is_futile = len(done) - useful >= PATIENCE or len(done) >= most
            candidate = None if is_enough or is_futile else cheapest(lived, latency_s)
            if candidate is None:
                break
            done.append(candidate.apply())
            for old, new in done[-1].copies.items():
                latency_s[new] = latency_s.get(old, 0.0)
        for applied in reversed(done[useful:]):
            applied.undo()
        fired["copies"] = useful
        return +fired


def limit_bytes(text: str) -> int:
    """``24GiB``, ``320 KB``, or a plain number of bytes.

    >>> limit_bytes("24GiB"), limit_bytes("512")
    (25769803776, 512)

    Raises:
        PassError: it is none of them.
    """
    if text.strip().isdecimal() and int(text):
        return int(text)
    try:
        return int(parse_quantity(text, "B"))
    except TargetError as error:
        raise PassError(f"no limit of memory: {error.message}", help="write 24GiB, or a number of bytes") from None


def latencies(module: Module, context: PassContext) -> dict[Op, float]:
    """Of each op of ``main`` that is a kernel, one run by the cost model; none where there is no model to ask."""
    if context.cost_model is None or context.target is None:
        return {}
    table = kernel_table(module)
    seconds = context.cost_model.estimate(table, context.target).latency_s
    return {run.op: float(seconds[run.row]) for run in table.runs}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A value to compute again.

    Args:
        ops: what computes it, in order: its op and views of it.
        users: what is to read the copy; all of them run behind the fullest moment.
        saved_bytes: less at the fullest moment.
        latency_s: of the second computation.
    """

    ops: tuple[Op, ...]
    users: tuple[Op, ...]
    saved_bytes: int
    latency_s: float

    def apply(self) -> Applied:
        """Puts the copy before its first user."""
        first = self.users[0]
        assert first.block is not None, "users are in place"
        mapping: dict[Value, Value] = {}
        copies = {op: first.block.insert_before(clone_op(op, mapping), first) for op in self.ops}
        reads = [(u, i, value) for u in self.users for i, value in enumerate(u.operands) if value in mapping]
        for user, index, value in reads:
            user.set_operand(index, mapping[value])
        for old, new in reversed(list(copies.items())):
            if not new.has_uses:
                first.block.remove(new)
                del copies[old]
        return Applied(copies, tuple(reads))


@dataclass(frozen=True, slots=True)
class Applied:
    """What was done for a candidate.

    Args:
        copies: by what they are copies of. reads: (user, index, value) as they were before.
    """

    copies: dict[Op, Op]
    reads: tuple[tuple[Op, int, Value], ...]

    def undo(self) -> None:
        for user, index, value in self.reads:
            user.set_operand(index, value)
        for copy in reversed(self.copies.values()):
            assert copy.block is not None, "copies are in place"
            copy.block.remove(copy)


def cheapest(lived: Lifetimes, latency_s: Mapping[Op, float]) -> Candidate | None:
    """The candidate with least latency for each byte that it frees at the fullest moment."""
    peak = int(lived.live_bytes().argmax())
    position = {op: i for i, op in enumerate(lived.ops)}
    buffer_of = {value: buffer for buffer in lived.buffers for value in buffer.values}
    kept = [b for b in lived.buffers if b.first < peak < b.last]
    found = [candidate_of(b, peak, position, buffer_of, latency_s) for b in kept]
    candidates = [candidate for candidate in found if candidate is not None]
    return min(candidates, key=lambda c: (c.latency_s / c.saved_bytes, -c.saved_bytes), default=None)


def candidate_of(
    buffer: Buffer,
    peak: int,
    position: Mapping[Op, int],
    buffer_of: Mapping[Value, Buffer],
    latency_s: Mapping[Op, float],
) -> Candidate | None:
    """Recomputing the last of what a buffer holds before the peak; None where that is no use.

    It has to be a pure op at the top of ``main`` whose users behind the peak stand there too, and all it reads has to
    be at hand: what is in use at the peak anyway costs nothing, the rest takes from what is freed.
    """
    before = [v for v in buffer.values if v.producer is not None and position.get(v.producer, peak) < peak]
    makers = [v for v in before if not _is_view(v)]
    if not makers or len(makers[-1].producer.results) != 1:  # type: ignore[union-attr]
        return None
    producer = makers[-1].producer
    assert producer is not None
    if not producer.definition.is_pure or (producer.regions and not producer.definition.is_isolated):
        return None
    if producer.name == "call":
        return None
    views = [v for v in before if _is_view(v) and position[v.producer] > position[producer]]  # type: ignore[index]
    ops = (producer, *(v.producer for v in views if v.producer is not None))
    values = [op.result for op in ops]
    uses = {user for value in values for user in value.users if user not in ops}
    if any(user.block is not producer.block for user in uses):
        return None
    late = sorted((user for user in uses if position.get(user, -1) > peak), key=position.__getitem__)
    if not late or any(position.get(user) == peak for user in uses) or any(op.definition.is_terminator for op in late):
        return None
    needed = {id(b): b for b in (buffer_of.get(v) for v in producer.operands) if b is not None and b.last < peak}
    if any(buffer_of.get(operand) is buffer for operand in producer.operands):
        return None  # it was written in place: its operand is no more
    saved = buffer.size_bytes - sum(b.size_bytes for b in needed.values())
    return Candidate(ops, tuple(late), saved, latency_s.get(producer, 0.0)) if saved > 0 else None


def _is_view(value: Value) -> bool:
    return value.producer is not None and value.producer.definition.is_view
