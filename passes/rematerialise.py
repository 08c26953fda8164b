"""Computing a value twice instead of keeping it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ircost.backends.errors import TargetError
from ircost.backends.units import parse_quantity
from ircost.cost_models.kernel_table import kernel_table
from ircost.cost_models.liveness import Lifetimes, lifetimes
from ircost.ir.graph import Module, Op, Value
from ircost.passes.base import Pass, PassContext, PassError, register_pass
from ircost.passes.recomputation import Applied, Candidate, Moment

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
    byte it frees, by the cost model; without one, the one that frees most. Where that moment is in a function, values
    of the function do too. Stops where nothing more can be freed. Outputs stay bit-identical, unless ``rebuild``.

    Args:
        limit: bytes in use at any time, weights included: ``24GiB``, or a plain number of bytes.
        rebuild: also have values back from what was computed of them, ``x = y - f(z)`` after ``y = x + f(z)``: of
            floats that is equal up to rounding only. A chain of reversible blocks then keeps its last result alone.
            Source: Gomez, Ren, Urtasun, Grosse, "The Reversible Residual Network", NeurIPS 2017.
    """

    limit: str
    rebuild: bool = False

    def run(self, module: Module, context: PassContext) -> Counter[str]:
        limit = limit_bytes(self.limit)
        latency_s = latencies(module, context)
        ops = len(lifetimes(module).ops)
        most = min(COPIES_PER_OP * ops, OPS_LOOKED_AT // max(ops, 1))
        done: list[Applied] = []
        copies: dict[Value, Value] = {}
        useful = 0  # copies up to the lowest peak so far; those behind it lowered none
        lowest = None
        while True:
            lived = lifetimes(module)
            if lowest is None or lived.peak_bytes < lowest:
                lowest, useful = lived.peak_bytes, len(done)
            is_enough = lived.weights_bytes + lived.peak_bytes <= limit
            is_futile = len(done) - useful >= PATIENCE or len(done) >= most
            candidate = None if is_enough or is_futile else cheapest(lived, latency_s, copies, self.rebuild)
            if candidate is None:
                break
            applied = candidate.apply()
            done.append(applied)
            copies |= applied.copies
            for step, made in applied.made.items():
                if made:
                    latency_s[made[-1]] = latency_s.get(step.op, 0.0)
        for applied in reversed(done[useful:]):
            applied.undo()
        backwards = sum(any(step.index is not None for step in applied.made) for applied in done[:useful])
        return +Counter(copies=useful - backwards, rebuilt=backwards)


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
    """Seconds in each op that is a kernel, in all its runs, by the cost model; none where there is no model to ask."""
    if context.cost_model is None or context.target is None:
        return {}
    table = kernel_table(module)
    seconds = context.cost_model.estimate(table, context.target).latency_s
    total: dict[Op, float] = {}
    for run in table.runs:
        total[run.op] = total.get(run.op, 0.0) + float(seconds[run.row]) * run.count
    return total


def cheapest(
    lived: Lifetimes, latency_s: Mapping[Op, float], copies: Mapping[Value, Value], rebuild: bool
) -> Candidate | None:
    """The candidate with least latency for each byte that it frees at the fullest moment; rebuilt ones go before those
    that lean on what is kept."""
    found = [
        candidate
        for run, peak in fullest(lived)
        for candidate in Moment(run, peak, rebuild, latency_s, copies).candidates()
    ]
    return min(found, key=lambda candidate: candidate.cost, default=None)


def fullest(lived: Lifetimes) -> Iterator[tuple[Lifetimes, int]]:
    """The fullest moment of a run; where a function is called then, that of the function too."""
    peak = int(lived.live_bytes().argmax())
    yield lived, peak
    for buffer in lived.buffers:
        if buffer.first == peak and buffer.inside is not None and buffer.inside.ops:
            yield from fullest(buffer.inside)
