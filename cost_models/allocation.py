"""Addresses for buffers in one arena, so that no two overlap that are in use at the same time."""

from __future__ import annotations

import bisect
import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ircost.cost_models.liveness import Lifetimes
from ircost.ir.errors import IrcError

# Placements that all orders together may try beyond the first two: what bounds the search on large models.
PLACEMENTS = 200_000
# Pairs of buffers in use at the same time that they may look at: of thousands that are, the sweep's places stand.
PAIRS = 20_000_000
REPAIRS = 256
# What a search may leave of the bound: nobody is served by a smaller gap.
NEGLIGIBLE = 1e-4
SOLVER_SECONDS = 60.0  # deterministic ones, as the solver counts work


class SolverError(IrcError):
    """The exact solver is not there, or found nothing."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A buffer as the allocator sees it: a length in the arena, and positions of ops, both included."""

    size: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Allocation:
    """Args:
    offsets: of each buffer, in the order of ``Lifetimes.buffers``.
    intervals: the buffers, sizes as allocated.
    arena_bytes: from the start to the end of the last buffer.
    lower_bound_bytes: bytes in use at the fullest moment.
    is_optimal: no arena is smaller: it is as large as the bound, or the solver says so.
    """

    offsets: tuple[int, ...]
    intervals: tuple[Interval, ...]
    arena_bytes: int
    lower_bound_bytes: int
    is_optimal: bool

    @property
    def gap(self) -> float:
        """What the arena has beyond the bound, as a share of the bound."""
        return self.arena_bytes / self.lower_bound_bytes - 1 if self.lower_bound_bytes else 0.0


def allocate(lived: Lifetimes, alignment: int = 1, exact: bool = False) -> Allocation:
    """Best fit, largest first; then other orders, and those with what sticks out placed earlier, as long as there
    is a gap and work to spend. The same lifetimes give the same places.

    Args:
        alignment: every place is a multiple of it.
        exact: ask the solver (OR-Tools, extra ``solve``) where a gap is left.

    Raises:
        SolverError: no solver is installed.
    """
    inner: dict[int, int] = {}
    intervals = []
    for buffer in lived.buffers:
        size = buffer.size_bytes
        if buffer.inside is not None:
            key = id(buffer.inside)
            if key not in inner:
                inner[key] = allocate(buffer.inside, alignment, exact).arena_bytes
            size = inner[key]
        intervals.append(Interval(-(-size // alignment) * alignment, buffer.first, buffer.last))
    return place(intervals, exact)


def place(intervals: Sequence[Interval], exact: bool = False) -> Allocation:
    """Places for intervals; see ``allocate``."""
    bound = peak(intervals)
    best = _Search(intervals, bound).run()
    arena = _height(intervals, best)
    is_optimal = arena == bound
    if exact and not is_optimal:
        best, is_optimal = _solved(intervals, bound, arena, best)
        arena = _height(intervals, best)
    return Allocation(tuple(best), tuple(intervals), arena, bound, is_optimal)


def peak(intervals: Sequence[Interval]) -> int:
    """Most that is in use at one position."""
    change: dict[int, int] = {}
    for interval in intervals:
        change[interval.first] = change.get(interval.first, 0) + interval.size
        change[interval.last + 1] = change.get(interval.last + 1, 0) - interval.size
    live = most = 0
    for position in sorted(change):
        live += change[position]
        most = max(most, live)
    return most


def pairs_in_use(intervals: Sequence[Interval]) -> int:
    """How many pairs of buffers are in use at the same time: what placing all of them in some order looks at.

    >>> pairs_in_use([Interval(1, 0, 2), Interval(1, 1, 3), Interval(1, 3, 4)])
    2
    """
    firsts = np.array([interval.first for interval in intervals], dtype=np.int64)
    lasts = np.sort(np.array([interval.last for interval in intervals], dtype=np.int64))
    apart = int(np.searchsorted(lasts, firsts).sum())  # of each, those that ended before it began
    return len(intervals) * (len(intervals) - 1) // 2 - apart


def _height(intervals: Sequence[Interval], offsets: Sequence[int]) -> int:
    return max((offset + interval.size for offset, interval in zip(offsets, intervals, strict=True)), default=0)


class _Search:
    """Tries orders; keeps the lowest arena."""

    def __init__(self, intervals: Sequence[Interval], bound: int) -> None:
        self.intervals = intervals
        self.bound = bound
        self.best: list[int] = []
        self.best_height = -1

    def run(self) -> list[int]:
        if self._keep(sweep(self.intervals)):
            return self.best
        spent, tries = 0, PAIRS // max(pairs_in_use(self.intervals), 1)
        for order in self._orders():
            if tries == 0 or (spent and spent + len(order) > PLACEMENTS):
                break
            spent, tries = spent + len(order), tries - 1
            if self._keep(best_fit(self.intervals, order)):
                break
        else:
            self._repair(min((PLACEMENTS - spent) // len(order), tries, REPAIRS))
        return self.best

    def _keep(self, offsets: list[int]) -> bool:
        """Whether it is as low as can be."""
        height = _height(self.intervals, offsets)
        if self.best_height < 0 or height < self.best_height:
            self.best, self.best_height = offsets, height
        return self.best_height <= self.bound

    def _orders(self) -> Iterator[list[int]]:
        items = self.intervals
        every = range(len(items))
        yield sorted(every, key=lambda i: (-items[i].size, items[i].first))
        yield sorted(every, key=lambda i: (-items[i].size * (items[i].last - items[i].first + 1), items[i].first))
        yield sorted(every, key=lambda i: (items[i].first - items[i].last, -items[i].size, items[i].first))
        live = self._live_at_first()
        yield sorted(every, key=lambda i: (-live[i], -items[i].size, items[i].first))

    def _live_at_first(self) -> list[int]:
        """Bytes in use around each buffer's first op: the fullest moments are packed first."""
        ends = sorted((item.last, item.size) for item in self.intervals)
        live, gone, found = 0, 0, [0] * len(self.intervals)
        for i in sorted(range(len(found)), key=lambda i: self.intervals[i].first):
            while ends[gone][0] < self.intervals[i].first:
                live -= ends[gone][1]
                gone += 1
            live += self.intervals[i].size
            found[i] = live
        return found

    def _repair(self, tries: int) -> None:
        """What ends at the top of the arena is placed before all else, again and again, until an order comes back."""
        order = next(self._orders())
        tried: set[tuple[int, ...]] = set()
        for _ in range(tries):
            if tuple(order) in tried or self.best_height <= self.bound * (1 + NEGLIGIBLE):
                return
            tried.add(tuple(order))
            offsets = best_fit(self.intervals, order)
            if self._keep(offsets):
                return
            height = _height(self.intervals, offsets)
            top = next(i for i in order if offsets[i] + self.intervals[i].size == height)
            at = order.index(top)
            if at == 0:
                return
            order.insert(at // 2, order.pop(at))


def sweep(intervals: Sequence[Interval]) -> list[int]:
    """In order of time, each in the tightest hole that is free at that moment. Takes n log n for n buffers."""
    offsets = [0] * len(intervals)
    arena = _Arena()
    ends: list[tuple[int, int]] = []  # heap of (last, index) of those in use
    for i in sorted(range(len(intervals)), key=lambda i: (intervals[i].first, -intervals[i].size)):
        while ends and ends[0][0] < intervals[i].first:
            _, gone = heapq.heappop(ends)
            arena.free(offsets[gone], intervals[gone].size)
        offsets[i] = arena.take(intervals[i].size)
        heapq.heappush(ends, (intervals[i].last, i))
    return offsets


class _Arena:
    """What is free at one moment: holes between buffers in use, and all above ``top``."""

    def __init__(self) -> None:
        self.top = 0
        self.by_size: list[tuple[int, int]] = []  # (size, offset) of each hole, sorted
        self.end_of: dict[int, int] = {}  # of each hole, by where it begins
        self.start_of: dict[int, int] = {}  # and by where it ends

    def take(self, size: int) -> int:
        """Offset of the smallest hole that is large enough, the lowest of equal ones; else above all."""
        found = bisect.bisect_left(self.by_size, (size, 0))
        if found == len(self.by_size):
            self.top += size
            return self.top - size
        _, offset = self.by_size[found]
        end = self.end_of[offset]
        self._close(offset, end)
        self._open(offset + size, end)
        return offset

    def free(self, offset: int, size: int) -> None:
        """Joins the bytes with the holes on either side."""
        start, end = self.start_of.get(offset, offset), self.end_of.get(offset + size, offset + size)
        for hole in ((start, offset), (offset + size, end)):
            self._close(*hole)
        if end == self.top:
            self.top = start
        else:
            self._open(start, end)

    def _open(self, start: int, end: int) -> None:
        if end > start:
            bisect.insort(self.by_size, (end - start, start))
            self.end_of[start], self.start_of[end] = end, start

    def _close(self, start: int, end: int) -> None:
        if end > start:
            del self.by_size[bisect.bisect_left(self.by_size, (end - start, start))]
            del self.end_of[start], self.start_of[end]


def best_fit(intervals: Sequence[Interval], order: Sequence[int]) -> list[int]:
    """In the given order, each in the tightest hole among those in use at the same time."""
    offsets = [0] * len(intervals)
    placed = _Placed()
    for i in order:
        item = intervals[i]
        offsets[i] = _tightest(sorted(placed.overlapping(item)), item.size)
        placed.add(item, offsets[i])
    return offsets


def _tightest(taken: Sequence[tuple[int, int, int]], size: int) -> int:
    """Offset of the smallest hole of at least ``size`` in what is taken, by offset; where there is none, above all."""
    top, chosen, chosen_room = 0, -1, -1
    for offset, end, _ in taken:
        room = offset - top
        if room >= size and (chosen < 0 or room < chosen_room):
            chosen, chosen_room = top, room
        top = max(top, end)
    return chosen if chosen >= 0 else top


class _Placed:
    """Placed buffers by time, in buckets whose width grows with how long they live: few are looked at for nothing."""

    def __init__(self) -> None:
        self.levels: dict[int, dict[int, list[tuple[int, int, int, int]]]] = {}

    def add(self, item: Interval, offset: int) -> None:
        level = (item.last - item.first).bit_length()
        buckets = self.levels.setdefault(level, {})
        for bucket in range(item.first >> level, (item.last >> level) + 1):
            buckets.setdefault(bucket, []).append((offset, offset + item.size, item.first, item.last))

    def overlapping(self, item: Interval) -> set[tuple[int, int, int]]:
        found = set()
        for level, buckets in self.levels.items():
            low, high = item.first >> level, item.last >> level
            few = high - low < len(buckets)
            keys = range(low, high + 1) if few else [key for key in buckets if low <= key <= high]
            for key in keys:
                for offset, end, first, last in buckets.get(key, ()):
                    if first <= item.last and last >= item.first:
                        found.add((offset, end, 0))
        return found


def _solved(intervals: Sequence[Interval], bound: int, arena: int, hint: list[int]) -> tuple[list[int], bool]:
    """The smallest arena by constraint programming: rectangles of time and bytes that do not overlap."""
    try:
        from ortools.sat.python import cp_model
    except ImportError:
        raise SolverError("no solver for exact allocation", help="pip install 'ircost[solve]'") from None
    model = cp_model.CpModel()
    height = model.new_int_var(bound, arena, "height")
    times, places, offsets = [], [], []
    for i, item in enumerate(intervals):
        offset = model.new_int_var(0, arena - item.size, f"offset_{i}")
        times.append(model.new_fixed_size_interval_var(item.first, item.last - item.first + 1, f"time_{i}"))
        places.append(model.new_fixed_size_interval_var(offset, item.size, f"place_{i}"))
        model.add(offset + item.size <= height)
        model.add_hint(offset, hint[i])
        offsets.append(offset)
    model.add_no_overlap_2d(times, places)
    model.minimize(height)
    solver = cp_model.CpSolver()
    solver.parameters.max_deterministic_time = SOLVER_SECONDS
    solver.parameters.num_workers = 1  # several would race, and the places would differ from run to run
    status = solver.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return hint, False
    return [int(solver.value(offset)) for offset in offsets], status == cp_model.OPTIMAL
