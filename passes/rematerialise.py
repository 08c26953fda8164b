"""Computing a value twice instead of keeping it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from ircost.backends import Target
from ircost.backends.errors import TargetError
from ircost.backends.units import parse_quantity
from ircost.cost_models.kernel_table import kernel_table
from ircost.cost_models.liveness import Lifetimes, lifetimes
from ircost.cost_models.memory import keeps_inputs
from ircost.ir.graph import Module, Op, Value
from ircost.passes.base import Pass, PassContext, PassError, register_pass
from ircost.passes.recomputation import Applied, Candidate, Moment

# Copies that one run makes at most, for each op: where more are needed, the limit is out of reach.
COPIES_PER_OP = 2
# Copies in a row that lower no peak: several moments may be equally full.
PATIENCE = 32
# Ops looked at by all copies of one order together, since each copy asks anew where the fullest moment is.
OPS_LOOKED_AT = 300_000


@register_pass("rematerialise")
@dataclass(frozen=True, slots=True)
class Rematerialise(Pass):
    """Compute long-lived values again near their late use, until weights and activations fit a limit.

    At the fullest moment, of the values that are kept for later the one goes first that takes least latency for each
    byte it frees, by the cost model; without one, the one that frees most. Where that moment is in a function, values
    of the function do too. If that does not do, what leans on no other value that is kept goes first, and the better of
    both ways is taken. Stops where nothing more can be freed. Outputs stay bit-identical, unless ``rebuild``.

    Args:
        limit: bytes in use at any time, weights included where they lie in main memory: ``24GiB``, or a plain number of
            bytes.
        rebuild: also have values back from what was computed of them, ``x = y - f(z)`` after ``y = x + f(z)``: of
            floats that is equal up to rounding only. A chain of reversible blocks then keeps its last result alone.
            Source: Gomez, Ren, Urtasun, Grosse, "The Reversible Residual Network", NeurIPS 2017.
    """

    is_exact = True
    is_idempotent = False  # a search that begins with copies in place may find one more that pays

    limit: str
    rebuild: bool = False

    def run(self, module: Module, context: PassContext) -> Counter[str]:
        search = _Search(module, limit_bytes(self.limit), latencies(module, context), self.rebuild, context.target)
        first_bytes, first_fired = search.run(free_first=self.rebuild), search.fired
        if search.fits:
            return first_fired
        search.undo()
        second_bytes = search.run(free_first=not self.rebuild)
        if not search.fits and first_bytes <= second_bytes:
            search.undo()
            if first_fired:
                search.run(free_first=self.rebuild)
        return search.fired


@dataclass(slots=True)
class _Search:
    """Copies, one by one, until the module fits.

    Args:
        latency_s: of each kernel, and of each copy.
        target: which may have flash for weights, and give the places of inputs to others.
        done: what was applied. copies: by what they are copies of.
        fits: whether the limit is kept.
    """

    module: Module
    limit: int
    latency_s: dict[Op, float]
    rebuild: bool
    target: Target | None = None
    done: list[Applied] = field(default_factory=list)
    copies: dict[Value, Value] = field(default_factory=dict)
    fits: bool = False

    def run(self, free_first: bool) -> int:
        """Applies what lowers the peak; returns that. ``free_first``: what leans on nothing that is kept goes first."""
        lived = self._lifetimes()
        most, looked_at = COPIES_PER_OP * len(lived.ops), len(lived.ops)
        useful, lowest = 0, lived.peak_bytes  # copies up to the lowest peak so far; those behind it lowered none
        while True:
            if lived.peak_bytes < lowest:
                lowest, useful = lived.peak_bytes, len(self.done)
            weights_bytes = 0 if self.target is not None and self.target.flash else lived.weights_bytes
            self.fits = weights_bytes + lived.peak_bytes <= self.limit
            is_futile = len(self.done) - useful >= PATIENCE or len(self.done) >= most or looked_at > OPS_LOOKED_AT
            candidate = None if self.fits or is_futile else self._cheapest(lived, free_first)
            if candidate is None:
                break
            self._apply(candidate)
            lived = self._lifetimes()
            looked_at += len(lived.ops)
        self.undo(useful)
        return lowest

    def _lifetimes(self) -> Lifetimes:
        return lifetimes(self.module, keeps_inputs=keeps_inputs(self.target))

    def _cheapest(self, lived: Lifetimes, free_first: bool) -> Candidate | None:
        """The candidate with least latency for each byte that it frees at the fullest moment."""
        found = [
            candidate
            for run, peak in fullest(lived)
            for candidate in Moment(run, peak, self.rebuild, self.latency_s, self.copies).candidates()
        ]
        return min(found, key=lambda candidate: (free_first and candidate.leans, *candidate.cost), default=None)

    def _apply(self, candidate: Candidate) -> None:
        applied = candidate.apply()
        self.done.append(applied)
        self.copies |= applied.copies
        for step, made in applied.made.items():
            if made:
                self.latency_s[made[-1]] = self.latency_s.get(step.op, 0.0)

    def undo(self, kept: int = 0) -> None:
        """Takes back all but the first ``kept`` copies."""
        while len(self.done) > kept:
            self.done.pop().undo()
        self.copies = {value: copy for applied in self.done for value, copy in applied.copies.items()}

    @property
    def fired(self) -> Counter[str]:
        backwards = sum(any(step.index is not None for step in applied.made) for applied in self.done)
        return +Counter(copies=len(self.done) - backwards, rebuilt=backwards)


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
        raise PassError(f"not a memory limit: {error.message}", help="write 24GiB, or a number of bytes") from None


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


def fullest(lived: Lifetimes) -> Iterator[tuple[Lifetimes, int]]:
    """The fullest moment of a run; where a function is called then, that of the function too."""
    peak = int(lived.live_bytes().argmax())
    yield lived, peak
    for buffer in lived.buffers:
        if buffer.first == peak and buffer.inside is not None and buffer.inside.ops:
            yield from fullest(buffer.inside)
