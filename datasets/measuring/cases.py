"""What is measured: a kernel of each family by its sizes, whose fields are the columns of measured tables."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import ClassVar, TypeAlias

# Number formats as tables have them, and their other names.
ELEMENT_BYTES = {"bfloat16": 2, "float16": 2, "float32": 4, "tf32": 4}
SPELLINGS = {"bf16": "bfloat16", "f16": "float16", "fp16": "float16", "f32": "float32", "fp32": "float32"}
TABLE_ELEMENTS = 2**26  # of what an embedding looks up in: more than caches hold


@dataclass(frozen=True, slots=True)
class Gemm:
    """``[batch] m k, n k -> m n``, as ``linear`` (the second operand is a weight) or ``bmm`` (one for each batch)."""

    family: ClassVar[str] = "gemm"
    op: str
    dtype: str
    batch: int
    m: int
    n: int
    k: int

    @property
    def flops(self) -> int:
        return 2 * self.batch * self.m * self.n * self.k

    @property
    def weight_bytes(self) -> int:
        """Of the second operand."""
        return self.batch * self.n * self.k * ELEMENT_BYTES[self.dtype]

    @property
    def touched_bytes(self) -> int:
        rows = self.batch * self.m * (self.n + self.k)
        return rows * ELEMENT_BYTES[self.dtype] + self.weight_bytes


@dataclass(frozen=True, slots=True)
class Attention:
    """Grouped-query attention: ``prefill`` is causal, in ``decode`` each sequence has one new token.

    Args:
        q_len: new tokens of each sequence. kv_len: tokens attended to, those included.
        window: 0, all of them.
    """

    family: ClassVar[str] = "attention"
    phase: str
    dtype: str
    kv_dtype: str
    batch: int
    q_len: int
    kv_len: int
    heads: int
    kv_heads: int
    head_dim: int
    window: int = 0

    @property
    def flops(self) -> int:
        """As if nothing were masked."""
        return 4 * self.batch * self.heads * self.q_len * self.kv_len * self.head_dim

    @property
    def touched_bytes(self) -> int:
        rows = 2 * self.heads * self.q_len + 2 * self.kv_heads * self.kv_len
        return self.batch * rows * self.head_dim * ELEMENT_BYTES[self.dtype]


@dataclass(frozen=True, slots=True)
class Vector:
    """Element-wise ops, copies, reductions along rows, gathers: on ``rows x cols``."""

    family: ClassVar[str] = "vector"
    op: str
    dtype: str
    rows: int
    cols: int

    @property
    def flops(self) -> int:
        return self.rows * self.cols

    @property
    def touched_bytes(self) -> int:
        return 3 * self.rows * self.cols * ELEMENT_BYTES[self.dtype]


@dataclass(frozen=True, slots=True)
class Conv:
    """A convolution of images, without a bias."""

    family: ClassVar[str] = "conv"
    op: str
    dtype: str
    batch: int
    in_channels: int
    in_h: int
    in_w: int
    out_channels: int
    kernel_h: int
    kernel_w: int
    stride_h: int
    stride_w: int
    pad_h: int
    pad_w: int

    @property
    def out_pixels(self) -> int:
        high = (self.in_h + 2 * self.pad_h - self.kernel_h) // self.stride_h + 1
        wide = (self.in_w + 2 * self.pad_w - self.kernel_w) // self.stride_w + 1
        return high * wide

    @property
    def flops(self) -> int:
        window = self.in_channels * self.kernel_h * self.kernel_w
        return 2 * self.batch * self.out_pixels * self.out_channels * window

    @property
    def touched_bytes(self) -> int:
        images = self.in_channels * self.in_h * self.in_w + self.out_channels * self.out_pixels
        weights = self.in_channels * self.out_channels * self.kernel_h * self.kernel_w
        return (self.batch * images + weights) * ELEMENT_BYTES[self.dtype]


Case: TypeAlias = Gemm | Attention | Vector | Conv
FAMILIES: dict[str, type[Case]] = {kind.family: kind for kind in (Gemm, Attention, Vector, Conv)}


def columns_of(case: Case) -> dict[str, str | int]:
    """A case as the columns of its table.

    >>> columns_of(Vector("copy", "float32", 8, 64))
    {'op': 'copy', 'dtype': 'float32', 'rows': 8, 'cols': 64}
    """
    return asdict(case)


def case_of(family: str, row: dict[str, object]) -> Case:
    """The case that a row of a table tells of.

    Raises:
        KeyError, ValueError: it lacks a column, or holds no number there.
    """
    kind = FAMILIES[family]
    own = {field.name: row[field.name] for field in fields(kind)}
    return kind(**{name: value if isinstance(value, str) else int(value) for name, value in own.items()})  # type: ignore[call-overload, arg-type]
