"""Traffic between a fast memory of M elements and the memory behind it: the least that tiles reach, and lower bounds.

All amounts are elements, of one number format. Bounds hold for every order of the standard computation on one
processor (no Strassen); tiles are searched among schedules that are known to come near to them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

# Extents of segments that are tried for a bound, in units of the fast memory: any is valid, the largest bound counts.
SEGMENTS = np.geomspace(0.25, 16.0, 97)


@dataclass(frozen=True, slots=True)
class Tiling:
    """The tile that moves least.

    Args:
        schedule: what stays in the fast memory while the rest streams by.
        rows, columns: of the tile.
        traffic: elements read and written.
        bound: no order of the computation moves fewer.
    """

    schedule: str
    rows: int
    columns: int
    traffic: float
    bound: float

    @property
    def ratio(self) -> float:
        """How far above the bound; 1 at least."""
        return self.traffic / self.bound


# ---- products


def product_bound(m: int, n: int, k: int, memory: float) -> float:
    """Least traffic of a product [m, k] x [k, n]: 2*m*n*k / sqrt(M) - 2*M, or its operands and result once each.

    Args:
        memory: M, elements that the fast memory holds.

    Source: Smith, Lowery, Langou, van de Geijn, "A Tight I/O Lower Bound for Matrix Multiplication", arXiv:1702.02017,
    2019; of the same order as Irony, Toledo, Tiskin, JPDC 64, 2004.

    >>> product_bound(1024, 1024, 1024, 1024.0)
    67106816.0
    """
    return max(float(m * k + k * n + m * n), 2.0 * m * n * k / math.sqrt(memory) - 2.0 * memory)


def best_product_tiling(m: int, n: int, k: int, memory: float, *, multiple: int = 1, stages: int = 1) -> Tiling:
    """The tile of the stationary operand, among all in multiples, that moves least.

    One of the three arrays stays as a tile of rows x columns; a column and a row of the other two stream by.

    Args:
        memory: M, elements that the fast memory holds.
        multiple: of which rows and columns are, where the array is as long.
        stages: of what streams: 2 where the next is loaded while one is used.

    Raises:
        ValueError: no tile fits.

    >>> best_product_tiling(1024, 1024, 1024, 1089.0).ratio < 1.1
    True
    """
    shapes = {"result": (m, n, k), "lhs": (m, k, n), "rhs": (k, n, m)}

    def traffic(name: str, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        height, width, depth = shapes[name]
        stays = height * width * 1.0
        # An input whose result streams meets it as often as it is read: partial sums go out and come back.
        first, second = np.ceil(width / columns) * height * depth, np.ceil(height / rows) * width * depth
        again = {"result": 0.0 * first, "lhs": first - height * depth, "rhs": second - width * depth}[name]
        moved: np.ndarray = stays + first + second + again
        return moved

    bound = product_bound(m, n, k, memory)
    found = [
        _best(name, height, width, memory, multiple, lambda a, b: a * b + stages * (a + b), traffic, bound)
        for name, (height, width, _) in shapes.items()
    ]
    return _least(found, memory)


# ---- attention


def attention_bound(rows: int, width: int, memory: float) -> float:
    """Least traffic of one head, softmax(q kT) v, with q, k, v [rows, width]: of order N^2 d^2 / M for M of d^2 and
    more, N^2 d / sqrt(M) below.

    Cut any order of the computation into segments of X reads and writes. In one, at most 2*M + X elements can be at
    hand. A score that is made and used up in a segment needs all of its rows of q, k, v and the output: there are at
    most ((2*M + X) / 4d)^2 of those, of 2d multiply-adds each. All others lie in memory at an end of the segment
    or pass its border, so that by Loomis and Whitney their multiply-adds are at most ((2*M + X) / 3)^1.5. There are
    2 * N^2 * d in all. The X that makes most of it counts; so do q, k, v and the output, once each.

    Source: of the orders, Saha, Ye, "The I/O Complexity of Attention, or How Optimal is FlashAttention?", ICML 2024;
    of the constants, own derivation as above, after Hong, Kung, STOC 1981.
    """
    x = SEGMENTS * memory
    at_hand = 2.0 * memory + x
    used_up = 2.0 * width * (at_hand / (4.0 * width)) ** 2
    stored = (at_hand / 3.0) ** 1.5
    segments = np.maximum(2.0 * rows * rows * width / (used_up + stored) - 1.0, 0.0)
    return max(4.0 * rows * width, float((x * segments).max()))


def best_attention_tiling(rows: int, width: int, memory: float, *, multiple: int = 1, stages: int = 1) -> Tiling:
    """The schedule and tile that move least.

    - ``rows``: some rows of q and of the output stay, keys and values stream: one pass, as FlashAttention does;
    - ``scores``: a tile of scores stays while it is summed up, then multiplies values into the output, which streams;
    - ``stored``: two products, with all scores written and read between them; the softmax's sums are kept with rows.

    Args:
        memory: M, elements that the fast memory holds.
        multiple, stages: as of a product.

    Raises:
        ValueError: no tile fits.

    Source: Dao, Fu, Ermon, Rudra, Ré, "FlashAttention", NeurIPS 2022; Saha, Ye, ICML 2024, for the others.
    """
    n, d = float(rows), float(width)

    def traffic(name: str, tall: np.ndarray, wide: np.ndarray) -> np.ndarray:
        down, across = np.ceil(n / tall), np.ceil(n / wide)
        # Of scores: q, and the output in and out, for each column of tiles; keys and values for each row of them.
        moved: np.ndarray = n * d * (2.0 + 2.0 * down if name == "rows" else 3.0 * across - 1.0 + 2.0 * down)
        return moved

    def held(name: str, tall: np.ndarray, wide: np.ndarray) -> np.ndarray:
        sums = 2.0 * tall  # and maxima
        # Of rows: q and the output, a tile of scores, a block of keys or of values at a time.
        beside = 2.0 * tall * d + stages * wide * d if name == "rows" else stages * (tall + wide)
        elements: np.ndarray = tall * wide + sums + beside
        return elements

    bound = attention_bound(rows, width, memory)
    found = [
        _best(
            *(name, rows, rows, memory, multiple),
            lambda a, b, name=name: held(name, a, b),  # type: ignore[misc]
            traffic,
            bound,
        )
        for name in ("rows", "scores")
    ]
    return _least([*found, _stored(rows, width, memory, multiple, stages)], memory)


def _stored(rows: int, width: int, memory: float, multiple: int, stages: int) -> Tiling | None:
    """Scores by one product, written; the output by another that reads them. Sums go along with the second's rows."""
    try:
        scores, output = (
            best_product_tiling(*shape, memory, multiple=multiple, stages=stages)
            for shape in ((rows, rows, width), (rows, width, rows))
        )
    except ValueError:
        return None
    traffic = scores.traffic + output.traffic + 2.0 * rows  # and the sums of rows, written and read
    return Tiling("stored", scores.rows, scores.columns, traffic, attention_bound(rows, width, memory))


# ---- the search


def _best(
    schedule: str,
    height: int,
    width: int,
    memory: float,
    multiple: int,
    held: Callable[[np.ndarray, np.ndarray], np.ndarray],
    traffic: Callable[[str, np.ndarray, np.ndarray], np.ndarray],
    bound: float,
) -> Tiling | None:
    """The best tile of one schedule: all heights, and branch and bound over widths; None where nothing fits.

    Traffic falls with both sides, so that the widest tile that fits is the best of a height, and half an interval of
    widths that does not fit at its lower end is cut off.
    """
    tall = np.array(list(_multiples(height, multiple)), dtype=float)
    widths = np.array(list(_multiples(width, multiple)), dtype=float)
    fits = held(tall, np.full_like(tall, widths[0])) <= memory
    tall = tall[fits]
    if not len(tall):
        return None
    low, high = np.zeros(len(tall), dtype=int), np.full(len(tall), len(widths) - 1)
    while (low < high).any():
        middle = (low + high + 1) // 2
        is_inside = held(tall, widths[middle]) <= memory
        low, high = np.where(is_inside, middle, low), np.where(is_inside, high, middle - 1)
    moved = traffic(schedule, tall, widths[low])
    best = int(moved.argmin())
    return Tiling(schedule, int(tall[best]), int(widths[low[best]]), float(moved[best]), bound)


def _multiples(extent: int, multiple: int) -> Iterator[int]:
    yield from range(multiple, extent, multiple)
    yield extent


def _least(found: list[Tiling | None], memory: float) -> Tiling:
    tilings = [tiling for tiling in found if tiling is not None]
    if not tilings:
        raise ValueError(f"no tile fits in a memory of {memory:g} elements")
    return min(tilings, key=lambda tiling: tiling.traffic)
