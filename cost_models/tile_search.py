"""The best tile of one memory level: branch and bound over hardware multiples, one dim after another.

Partial tiles are columns. What is not chosen yet is taken as small as it may be where room is asked for, and as large
as it may be where traffic is: what does not fit then, or is slower than a tile that is known, is cut off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from ircost.cost_models.gpu.gemm import SPLITS
from ircost.cost_models.tile_levels import Level
from ircost.cost_models.tile_traffic import (
    Column,
    Loops,
    Order,
    held_bytes,
    loads,
    split_bytes,
    stream_bytes,
    sums_bytes,
    swept_bytes,
    trips_of,
)
from ircost.ir.nest import Nest

# Partial tiles that are looked at side by side; beyond, those of the lowest bounds go on.
MOST_OPEN = 20_000
# Times that differ by less are alike, and the tile that moves less is taken: a roofline knows times no better.
ALIKE = 1.05


@dataclass(frozen=True, slots=True)
class Work:
    """What a kernel asks of the arithmetic.

    Args:
        compute_s: at peak, all processors busy.
    """

    compute_s: float


@dataclass(frozen=True, slots=True)
class Found:
    """The best tile of a level.

    Args:
        sizes: of the dims. order: of the loops over it. parts: that a reduction is split into.
        seconds: the slower of what crosses into the level and of arithmetic.
        traffic_bytes: as if the level were the only one.
    """

    sizes: tuple[int, ...]
    order: Order
    parts: int
    seconds: float
    traffic_bytes: float


def best_tile(nest: Nest, level: Level, work: Work, candidates: Sequence[Sequence[int]]) -> Found | None:
    """The tile that takes least time; of those alike the one that moves least. None where none fits.

    Args:
        candidates: for each dim, extents in rising order.
    """
    return _Search(nest, level, work, candidates).run()


def loop_orders(nest: Nest) -> list[Order]:
    """Orders of the loops that keep one stream where it is as long as possible, and then another: all that matter.

    Only the innermost loops decide what is used again. For each pair of streams, the loops that move neither are
    innermost, then those that do not move the first.
    """
    sets = list(dict.fromkeys(stream.dims for stream in nest.streams if stream.dims)) or [frozenset()]
    places = range(len(nest.dims))
    found = [
        tuple(sorted(places, key=lambda dim: (dim not in first, dim not in second, dim)))
        for first, second in product(sets, sets)
    ]
    return list(dict.fromkeys(found))


def least(each: Sequence[Column | float], count: int) -> tuple[Column, Column]:
    """[candidates] the least of some columns, and which: the first of equal ones."""
    stacked = np.stack([np.broadcast_to(column, (count,)) for column in each])
    best: Column = stacked.argmin(axis=0)
    return stacked[best, np.arange(count)], best


class _Search:
    def __init__(self, nest: Nest, level: Level, work: Work, candidates: Sequence[Sequence[int]]) -> None:
        self.nest, self.level, self.work = nest, level, work
        self.candidates = [np.array(sorted(own), dtype=float) for own in candidates]
        self.lengths = [dim.extent for dim in nest.dims]
        self.extents = np.array(self.lengths, dtype=float)
        self.low = np.array([own[0] for own in self.candidates])
        self.high = np.array([own[-1] for own in self.candidates])
        self.orders = loop_orders(nest)
        self.parts = np.array([p for p in SPLITS if p == 1 or self._may_split(p)], dtype=float)

    def _may_split(self, parts: int) -> bool:
        summed = [dim.extent for dim in self.nest.dims if dim.is_reduction]
        return self.level.hands_out and self.nest.product is not None and bool(summed) and parts <= max(summed)

    def run(self) -> Found | None:
        if not self._fits(self.low[None]).all():
            return None
        incumbent = self._climbed()
        rows = self.low[None].copy()
        chosen: list[int] = []
        # Dims with most to choose from first: their choice cuts off most.
        for dim in sorted(range(len(self.candidates)), key=lambda d: (-len(self.candidates[d]), d)):
            own = self.candidates[dim]
            rows = np.repeat(rows, len(own), axis=0)
            rows[:, dim] = np.tile(own, len(rows) // len(own))
            chosen.append(dim)
            rows = rows[self._fits(rows)]
            seconds, moved = self._bounds(rows, chosen)
            is_beaten = (seconds >= incumbent[0]) & (moved > incumbent[1])
            is_open = (seconds <= incumbent[0] * ALIKE) & ~is_beaten
            rows, seconds, moved = rows[is_open], seconds[is_open], moved[is_open]
            if len(rows) > MOST_OPEN:
                rows = rows[np.lexsort((moved, seconds))[:MOST_OPEN]]
        return self._best(np.concatenate([rows, incumbent[2][None]]))

    # ---- of many tiles

    def _fits(self, rows: Column) -> Column:
        apart = self.level.sums_bytes > 0
        fits: Column = held_bytes(self.nest, rows, self.level.stages, not apart) <= self.level.room_bytes
        return fits & (sums_bytes(self.nest, rows) <= self.level.sums_bytes) if apart else fits

    def _moved(self, rows: Column) -> tuple[Column, Column]:
        """[candidates] least bytes, and the order that moves them."""
        trips = trips_of(self.extents, rows)
        swept = [swept_bytes(stream, rows, self.lengths) for stream in self.nest.streams]
        return least(
            [
                sum(
                    stream_bytes(stream, own, loads(stream, [Loops(order, trips)]))
                    for stream, own in zip(self.nest.streams, swept, strict=True)
                )
                for order in self.orders
            ],
            len(rows),
        )

    def _times(self, rows: Column, moved: Column) -> tuple[Column, Column]:
        """[candidates] seconds, and which of ``parts``: what crosses into the level beside arithmetic.

        A processor that has no tile neither computes nor loads: its port is its own.
        """
        rate = self.level.source_bytes_per_s
        if not self.level.hands_out:
            return np.maximum(moved / rate, self.work.compute_s), np.zeros(len(rows), dtype=int)
        parallel = [i for i, dim in enumerate(self.nest.dims) if not dim.is_reduction]
        trips = trips_of(self.extents, rows)[:, parallel]
        tiles = trips.prod(axis=1)
        # Tiles that are cut short take as long as whole ones.
        padding = (trips * rows[:, parallel] / self.extents[parallel]).prod(axis=1) if self.nest.product else 1.0
        return least(
            [
                np.maximum((moved + split_bytes(self.nest, parts)) / rate, self.work.compute_s)
                * (self._idle(tiles, parts) * padding)
                for parts in self.parts
            ],
            len(rows),
        )

    def _idle(self, tiles: Column, parts: float) -> Column:
        """[candidates] how much longer than with all processors busy until the end.

        Nothing is split as long as there are tiles for all processors.
        """
        blocks = np.where(tiles < self.level.copies, tiles * parts, tiles)
        idle: Column = np.ceil(blocks / self.level.copies) * self.level.copies / blocks
        return idle

    def _bounds(self, rows: Column, chosen: Sequence[int]) -> tuple[Column, Column]:
        """[candidates] seconds and bytes that no tile with these choices is below."""
        if len(chosen) == len(self.candidates):
            moved, _ = self._moved(rows)
            return self._times(rows, moved)[0], moved
        large = np.broadcast_to(self.high, rows.shape).copy()
        large[:, chosen] = rows[:, chosen]
        trips = trips_of(self.extents, large)
        swept = [
            np.minimum(swept_bytes(stream, large, self.lengths), swept_bytes(stream, rows, self.lengths))
            for stream in self.nest.streams
        ]
        each = [
            sum(s * loads(stream, [Loops(order, trips)]) for s, stream in zip(swept, self.nest.streams, strict=True))
            for order in self.orders
        ]
        moved, _ = least(each, len(rows))
        return np.maximum(moved / self.level.source_bytes_per_s, self.work.compute_s), moved

    # ---- single tiles

    def _climbed(self) -> tuple[float, float, Column]:
        """A good tile to begin with: each dim in turn one candidate up, as long as that fits, by least traffic."""
        places = np.zeros(len(self.candidates), dtype=int)
        best = self._judged(self.low)
        while True:
            steps = []
            for dim, own in enumerate(self.candidates):
                if places[dim] + 1 < len(own):
                    up = places.copy()
                    up[dim] += 1
                    steps.append(up)
            rows = np.array([[own[p] for own, p in zip(self.candidates, up, strict=True)] for up in steps])
            fits = self._fits(rows) if len(rows) else np.zeros(0, dtype=bool)
            if not fits.any():
                return best
            moved, _ = self._moved(rows[fits])
            places = np.array(steps)[fits][int(moved.argmin())]
            best = min(best, self._judged(rows[fits][int(moved.argmin())]), key=lambda found: found[:2])

    def _judged(self, row: Column) -> tuple[float, float, Column]:
        moved, _ = self._moved(row[None])
        seconds, parts = self._times(row[None], moved)
        return float(seconds[0]), float((moved + split_bytes(self.nest, self.parts[parts]))[0]), row

    def _best(self, rows: Column) -> Found:
        moved, order = self._moved(rows)
        seconds, parts = self._times(rows, moved)
        moved = moved + split_bytes(self.nest, self.parts[parts])
        held = held_bytes(self.nest, rows, self.level.stages, True)
        # Of tiles that move alike the largest: fewer have to be started.
        at = int(np.lexsort((seconds, -held, moved, seconds > seconds.min() * ALIKE))[0])
        return Found(
            tuple(int(size) for size in rows[at]),
            self.orders[int(order[at])],
            int(self.parts[int(parts[at])]),
            float(seconds[at]),
            float(moved[at]),
        )
