"""Parts of kernels as columns: what a launch does, in numbers of its family, and those alike together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ircost.ir.types import DType

EXTRA = ("extra_bytes", "extra_flops", "extra_special")
ATTENTION = (
    *("batch", "queries", "keys", "heads", "kv_heads", "key_width", "value_width", "kv_bytes", "query_bytes"),
    *("is_causal", "window", "is_lhs_cold", "is_rhs_cold", *EXTRA),
)
# Family of kernels -> what describes one of them; `..._bytes` of operands are those of an element.
FIELDS: dict[str, tuple[str, ...]] = {
    "gemm": (
        *("batch", "m", "n", "k", "lhs_bytes", "rhs_bytes", "out_bytes", "unpack_flops"),
        *("is_lhs_cold", "is_rhs_cold", *EXTRA),
    ),
    "conv": (
        *("batch", "groups", "in_channels", "in_height", "in_width", "out_channels", "out_height", "out_width"),
        *("kernel_height", "kernel_width", "direction", "is_winograd", "element_bytes"),
        *("is_lhs_cold", "is_rhs_cold", *EXTRA),
    ),
    **dict.fromkeys(("attention", "mla"), ATTENTION),
    "moe": (
        *("tokens", "hidden", "inner", "chosen", "experts", "matrices", "activation_bytes", "weight_bytes"),
        *("unpack_flops", "is_rhs_cold"),
    ),
    "recurrent": (*("batch", "steps", "heads", "key_width", "value_width", "touched_bytes", "is_chunked", "is_cold"),),
    "chain": (
        *("blocks", "runs", "batch", "m", "n", "k", "lhs_bytes", "rhs_bytes", "lhs_loaded_bytes", "rhs_loaded_bytes"),
        *(
            "beside_loaded_bytes",
            "kept_bytes",
            "lane_flops",
            "special",
            "lhs_once_bytes",
            "rhs_once_bytes",
            "other_bytes",
        ),
        *("is_lhs_cold", "is_rhs_cold", "is_on_lanes", "is_first"),
    ),
    "vector": (
        *("elements", "read_bytes", "write_bytes", "flops", "special", "reduced_rows", "cold_bytes"),
        *("contraction_flops", "row_length"),
    ),
}


@dataclass(frozen=True, slots=True)
class Part:
    """What one launch does.

    Args:
        family: a key of ``FIELDS``.
        kind: of kernels within the family, by the names that fits know; "" for none in particular.
        dtype: number format of the arithmetic.
        sizes: in the order of ``FIELDS``.
        times: how often it is launched in one run of the kernel.
        cache: number format of cached keys and values, where it is another.
        scales: of narrow weights: ``blocks`` of a row have one each, ``mx`` where it is a power of two (Microscaling);
            "" for one a row, or none.
    """

    family: str
    kind: str
    dtype: DType
    sizes: tuple[float, ...]
    times: int = 1
    cache: DType | None = None
    scales: str = ""

    @property
    def unpacked_bits(self) -> int:
        """Of an element of weights that are unpacked on the way to the product, scales aside: 4, 8, or 0 for none."""
        names = FIELDS[self.family]
        if "unpack_flops" not in names or self.sizes[names.index("unpack_flops")] <= 0:
            return 0
        element_bytes = self.sizes[names.index("rhs_bytes" if "rhs_bytes" in names else "weight_bytes")]
        return 4 if element_bytes < 0.75 else 8

    @property
    def heads(self) -> str:
        """Of attention, what libraries choose kernels by."""
        if self.family != "attention":
            return ""
        of = dict(zip(FIELDS[self.family], self.sizes, strict=True))
        return heads_name(of["key_width"], of["window"])


def heads_name(width: float, window: float) -> str:
    """Heads of attention as libraries tell them apart.

    >>> heads_name(128, 0), heads_name(64, 1024)
    (' of 128', ' of 64, window')
    """
    return f" of {width:.0f}{', window' if window else ''}"


@dataclass(frozen=True, slots=True)
class PartGroup:
    """Parts of one family, kind and number formats, of many kernels, as columns.

    Args:
        family, kind, dtype, cache, unpacked_bits, scales, heads: as of each part.
        rows: [parts] of the table of kernels; a kernel of several launches stands here several times.
        times: [parts] launches of each.
        sizes: [parts, fields].
    """

    family: str
    kind: str
    dtype: DType
    rows: np.ndarray
    times: np.ndarray
    sizes: np.ndarray
    cache: DType | None = None
    unpacked_bits: int = 0
    scales: str = ""
    heads: str = ""

    def __len__(self) -> int:
        return len(self.rows)


def grouped(parts: Sequence[Sequence[Part]]) -> tuple[PartGroup, ...]:
    """The parts of each kernel of a table, those alike together, in order of appearance."""
    found: dict[tuple[str, str, DType, DType | None, int, str, str], list[tuple[int, Part]]] = {}
    for row, own in enumerate(parts):
        for part in own:
            key = (part.family, part.kind, part.dtype, part.cache, part.unpacked_bits, part.scales, part.heads)
            found.setdefault(key, []).append((row, part))
    return tuple(
        PartGroup(
            *(family, kind, dtype),
            cache=cache,
            unpacked_bits=unpacked_bits,
            scales=scales,
            heads=heads,
            rows=np.array([row for row, _ in members]),
            times=np.array([part.times for _, part in members], dtype=float),
            sizes=np.array([part.sizes for _, part in members], dtype=float),
        )
        for (family, kind, dtype, cache, unpacked_bits, scales, heads), members in found.items()
    )
