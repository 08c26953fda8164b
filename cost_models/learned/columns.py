"""What learned models see of a kernel: the declaration of every column."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ircost.cost_models.gpu.convolution_work import ConvolutionWork, as_products
from ircost.cost_models.gpu.demand import Column as Numbers
from ircost.cost_models.gpu.demand import Terms
from ircost.cost_models.gpu.machine import GpuMachine

TINY_S = 1e-12  # below any time: keeps logarithms finite
# Of operands so many caches apart nothing is found again, so that farther uses look alike. A network uses its weights
# once in each run, benchmarks take turns among a handful of sets: what was learned of those must hold for these. Images
# are many times a cache, and how many tells how convolutions do on machines that were not measured.
MOST_CACHES = 4.0
MOST_CACHES_OF: Mapping[str, float] = {"conv": 1e3}


@dataclass(frozen=True, slots=True)
class Expressed:
    """Kernels that share their family, labels and machine, as the analytical model has understood them.

    Args:
        work: what they do, by the family's own names (``GemmWork``, ``AttentionWork``, ...).
        terms: where the analytical model sees their time go.
    """

    family: str
    work: Any
    terms: Terms
    machine: GpuMachine
    labels: Mapping[str, str]

    def size(self, name: str) -> Numbers:
        """[rows] a size of the work."""
        return self._size_of(self.work, name)

    def product_sizes(self, *names: str) -> list[Numbers]:
        """[rows] sizes of the product that the work is, or that an implicit GEMM makes of it."""
        work = as_products(self.work) if isinstance(self.work, ConvolutionWork) else self.work
        return [self._size_of(work, name) for name in names]

    def _size_of(self, work: Any, name: str) -> Numbers:
        size, shape = np.asarray(getattr(work, name), float), self.terms.latency_s.shape
        return size if size.shape == shape else np.broadcast_to(size, shape)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of features.

    Args:
        meaning: for people, with its unit.
        of: its values; one number where all rows share it.
        is_of_machine: tells machines apart, so that a model for machines it never saw does without.
    """

    name: str
    meaning: str
    of: Callable[[Expressed], Numbers | float]
    is_of_machine: bool = False


# Family -> sizes of its work, as logarithms; kernels that are near in them are near to one another (see ``novelty``).
SIZES: Mapping[str, tuple[str, ...]] = {
    "gemm": ("batch", "m", "n", "k", "lhs_bytes", "rhs_bytes", "out_bytes", "unpack_flops"),
    "conv": (
        *("batch", "groups", "in_channels", "in_height", "in_width", "out_channels", "out_height", "out_width"),
        *("kernel_height", "kernel_width", "direction", "is_winograd", "element_bytes"),
    ),
    **dict.fromkeys(
        ("attention", "mla"),
        (
            *("batch", "queries", "keys", "heads", "kv_heads", "key_width", "value_width", "kv_bytes", "window"),
            "is_causal",
        ),
    ),
    "moe": (
        *("tokens", "hidden", "inner", "chosen", "experts", "ranks", "matrices", "skew", "activation_bytes"),
        *("weight_bytes", "unpack_flops"),
    ),
    "recurrent": ("batch", "steps", "heads", "key_width", "value_width", "touched_bytes", "is_chunked"),
    **dict.fromkeys(
        ("vector", "quantize"), ("elements", "read_bytes", "write_bytes", "flops", "special", "reduced_rows")
    ),
    "collective": ("op", "world", "nodes", "size_bytes", "is_bus", "has_switch_reduction"),
}
# What follows from the sizes and is seen beside them; it does not tell novelty.
DERIVED: Mapping[str, tuple[str, ...]] = {"conv": ("stride",)}
# Sizes that may be zero: seen as logarithms of one more.
MAY_BE_ZERO = frozenset(
    (
        *("unpack_flops", "window", "is_causal", "direction", "is_winograd", "is_chunked", "skew", "op", "is_bus"),
        *("has_switch_reduction", "flops", "special", "reduced_rows", "read_bytes", "write_bytes", "touched_bytes"),
    )
)
# Family -> resources that are busy side by side, and times that are paid one after the other (see ``demand``).
_GEMM = ("matrix", "vector", "shared", "l2", "main", "chain")
_STREAM = ("main", "l2", "flight", "vector")
BUSY: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("gemm", "conv"), _GEMM),
    **dict.fromkeys(("attention", "mla"), ("matrix", "vector", "l2", "main", "chain")),
    "moe": _GEMM[:-1],
    "recurrent": ("matrix", "main", "l2"),
    **dict.fromkeys(("vector", "quantize"), _STREAM),
    "collective": ("link", "bus", "root", "network"),
}
FIXED: Mapping[str, tuple[str, ...]] = {
    "gemm": ("launch", "convert", "row", "wave", "split"),
    "conv": ("launch", "convert", "wave", "split", "winograd", "transforms", "layout"),
    **dict.fromkeys(("attention", "mla"), ("launch", "wave", "split")),
    "moe": ("launch", "wave", "step", "rows", "others", "expert"),
    "recurrent": ("launch", "chunk"),
    **dict.fromkeys(("vector", "quantize"), ("launch", "row")),
    "collective": ("launch", "hop", "bulk_hop", "far_hop", "bulk_far_hop"),
}
COUNTED = ("wave", "split", "chunk", "step")  # fixed times whose number says how many tiles follow one another
# Extents that tiles divide, and the tiles: how much of the last one is filled.
FILLED: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "gemm": {"m": (16, 64, 128), "n": (64, 128, 256), "k": (64,)},
    "conv": {"in_channels": (8, 32), "out_channels": (8, 32, 128), "out_height": (2, 4), "out_width": (2, 4)},
    "attention": {"queries": (64, 128), "keys": (64,)},
    "mla": {"queries": (64,), "keys": (64,)},
}
# Output tiles of a product: their number over the processors' is how many waves there are, and how full the last is.
TILES: Mapping[str, tuple[tuple[int, int], ...]] = {
    "gemm": ((64, 128), (128, 128), (128, 256)),
    "conv": ((128, 64), (128, 128)),
}
# Family -> how many operands a cache may still hold.
REUSED: Mapping[str, int] = {**dict.fromkeys(("gemm", "conv"), 2), "collective": 0}
# Family -> pairs of sizes whose quotient tells one op from another, and how its threads share the work.
_OF_ELEMENTS = ("flops", "special", "read_bytes", "write_bytes")
QUOTIENTS: Mapping[str, tuple[tuple[str, str], ...]] = dict.fromkeys(
    ("vector", "quantize"), (*((name, "elements") for name in _OF_ELEMENTS), ("elements", "row_length"))
)
# Words that rows share, as numbers; a word that was never met is missing.
WORDS: Mapping[str, str] = {
    "runtime": "the runtime whose kernel it is",
    "dtype": "width of the number format, and of the cache's if that differs",
    "kind": "kind of kernel within the family: phase, op, batched, ...",
    "kernel": "the library behind the kernel's name, with its runtime",
}
DEVICE = "device"


def columns_of(family: str) -> tuple[Column, ...]:
    """The numbers that a family's models see, in order; words follow (see ``WORDS``)."""
    return (
        *_time_columns(family),
        *(_size_column(name) for name in (*SIZES[family], *DERIVED.get(family, ()))),
        *(_quotient_column(*pair) for pair in QUOTIENTS.get(family, ())),
        *_tile_columns(family),
        *MACHINE_COLUMNS,
    )


def _time_columns(family: str) -> Iterator[Column]:
    yield Column("log_predicted", "ln of the analytical model's seconds", lambda x: np.log(x.terms.latency_s))
    yield Column(
        "host_share",
        "share of the predicted time that the host adds",
        lambda x: 1.0 - x.terms.device_s / x.terms.latency_s,
    )
    for name in BUSY[family]:
        yield Column(f"{name}_share", f"time of {name} at its fitted rate, over the predicted time", _share(name, True))
    for name in FIXED[family]:
        yield Column(f"{name}_share_fixed", f"fixed time of {name}, over the predicted time", _share(name, False))
    for name in COUNTED:
        if name in FIXED[family]:
            yield Column(f"{name}_count", f"ln of 1 + the number of times that {name} is paid", _count(name))
    yield Column("candidate", "index of the tile and split that the analytical model chose", lambda x: x.terms.choice)
    most = MOST_CACHES_OF.get(family, MOST_CACHES)
    for place in range(REUSED.get(family, 1)):
        meaning = (
            f"ln of the last-level caches that what is touched between two uses of an operand fills, {most:g} at most"
        )
        yield Column(f"footprint_{place}", meaning, _footprint(place, most))


def _share(name: str, is_busy: bool) -> Callable[[Expressed], Numbers | float]:
    def of(x: Expressed) -> Numbers | float:
        found = (x.terms.busy if is_busy else x.terms.fixed).get(name)
        return 0.0 if found is None else found / x.terms.latency_s

    return of


def _count(name: str) -> Callable[[Expressed], Numbers | float]:
    def of(x: Expressed) -> Numbers | float:
        found = x.terms.demand.fixed.get(name)
        return 0.0 if found is None else np.asarray(np.log1p(np.maximum(found, 0.0)))

    return of


def _footprint(place: int, most: float) -> Callable[[Expressed], Numbers | float]:
    def of(x: Expressed) -> Numbers | float:
        reused = x.terms.demand.reused
        if place >= len(reused):
            return np.nan
        return np.asarray(np.log(np.clip(reused[place][1], 1e-6, most)))

    return of


def _size_column(name: str) -> Column:
    if name in MAY_BE_ZERO:
        return Column(size_column_name(name), f"ln of 1 + {name}", lambda x: np.log1p(x.size(name)))
    return Column(size_column_name(name), f"ln of {name}", lambda x: np.log(np.maximum(x.size(name), TINY_S)))


def size_column_name(name: str) -> str:
    """Of the column of a size."""
    return f"log1p_{name}" if name in MAY_BE_ZERO else f"log_{name}"


def _quotient_column(of: str, by: str) -> Column:
    """One split of a tree cannot tell a quotient from the logarithms of both."""

    def quotient(x: Expressed) -> Numbers:
        found: Numbers = x.size(of) / np.maximum(x.size(by), 1.0)
        return found

    return Column(f"{of}_by_{by}", f"{of} per {by}", quotient)


def _tile_columns(family: str) -> Iterator[Column]:
    for name, tiles in FILLED.get(family, {}).items():
        for tile in tiles:
            yield Column(f"{name}_fill_{tile}", f"filled share of tiles of {tile} along {name}", _fill(name, tile))
    for tall, wide in TILES.get(family, ()):
        waves = _waves(tall, wide)
        yield Column(f"waves_{tall}x{wide}", f"ln of the waves of {tall} x {wide} tiles", _log(waves))
        meaning = f"filled share of the waves of {tall} x {wide} tiles"
        yield Column(f"tail_{tall}x{wide}", meaning, _fullness(waves))


def _fill(name: str, tile: int) -> Callable[[Expressed], Numbers]:
    return lambda x: x.size(name) / (np.ceil(x.size(name) / tile) * tile)


def _waves(tall: int, wide: int) -> Callable[[Expressed], Numbers]:
    def of(x: Expressed) -> Numbers:
        batch, m, n = x.product_sizes("batch", "m", "n")
        tiles = batch * np.ceil(m / tall) * np.ceil(n / wide)
        waves: Numbers = tiles / x.machine.processors
        return waves

    return of


def _log(of: Callable[[Expressed], Numbers]) -> Callable[[Expressed], Numbers]:
    return lambda x: np.log(of(x))


def _fullness(waves: Callable[[Expressed], Numbers]) -> Callable[[Expressed], Numbers]:
    return lambda x: waves(x) / np.ceil(waves(x))


# Figure of a machine -> what it means, and where it stands.
MACHINE_FIGURES: Mapping[str, tuple[str, Callable[[GpuMachine], float]]] = {
    "processors": ("the number of processors", lambda m: m.processors),
    "clock": ("their clock in Hz", lambda m: m.clock_hz),
    "main_rate": ("main memory's bytes per second", lambda m: m.main_bytes_per_s),
    "cache_size": ("the last-level cache's bytes", lambda m: m.cache_bytes),
    "cache_ratio": (
        "the last-level cache's bandwidth over main memory's",
        lambda m: min(m.cache_bytes_per_s / m.main_bytes_per_s, 1e3),
    ),
    "lane_ridge": (
        "f32 operations on vector lanes per byte of main memory",
        lambda m: m.vector_flops_per_s / m.main_bytes_per_s,
    ),
}


def machine_figures(machine: GpuMachine) -> dict[str, float]:
    """Natural logarithms of what tells machines apart."""
    return {name: _ln(of(machine)) for name, (_, of) in MACHINE_FIGURES.items()}


def _ln(figure: float) -> float:
    return float(np.log(max(figure, TINY_S)))


def _machine_column(name: str, meaning: str, of: Callable[[GpuMachine], float]) -> Column:
    return Column(name, f"ln of {meaning}", lambda x: _ln(of(x.machine)), is_of_machine=True)


MACHINE_COLUMNS = tuple(_machine_column(name, *figure) for name, figure in MACHINE_FIGURES.items())
