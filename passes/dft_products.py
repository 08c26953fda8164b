"""A discrete Fourier transform as dense products: what matrix units can run.

Length N = N1 N2 .. Np. With n = ((n1 N2 + n2) N3 + n3) .. and k = k1 + N1 (k2 + N2 (k3 + ..)), the sum over n falls
apart into p sums over one digit each. In the j-th, digit n_j becomes digit k_j by

    exp(-2 pi i n_j (k1 + N1 k2 + .. + N1 .. N(j-1) kj) / (N1 .. Nj)),

a matrix for each k1 .. k(j-1) that holds the twiddle factors too: a block-diagonal (Monarch) matrix. Order p takes
8 N (N1 + .. + Np) operations, where 5 N log2 N would do, on units that are an order of magnitude faster.

Source: Cooley, Tukey, Mathematics of Computation 19, 1965; Dao et al., "Monarch", ICML 2022; Fu, Kumbong, Nguyen, Ré,
"FlashFFTConv", arXiv:2311.05908, 2023, where twiddle factors are a step of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ircost.ir import ops
from ircost.ir.constant import literal
from ircost.ir.graph import Value
from ircost.ir.numpy_dtypes import numpy_dtype
from ircost.ir.types import DType, TensorType

Array = np.ndarray
WeightOf = Callable[["Stage", DType], Value]


@dataclass(frozen=True, slots=True)
class Stage:
    """One of the products.

    Args:
        factors: N1 .. Nj. rows: values of n_j that are not zero for certain. columns: values of k_j that are wanted.
        parts_in, parts_out: 1 for real numbers, 2 for real and imaginary parts.
        sign: of the exponent. scale: of the result.
    """

    factors: tuple[int, ...]
    rows: int
    columns: int
    parts_in: int
    parts_out: int
    sign: int
    scale: float

    @property
    def shape(self) -> tuple[int, ...]:
        """[k1, .., k(j-1), n_j, part, k_j, part]."""
        return (*self.factors[:-1], self.rows, self.parts_in, self.columns, self.parts_out)

    def matrix(self) -> Array:
        """Real and imaginary part of a complex product as a real one."""
        sizes = (*self.factors[:-1], self.rows, self.columns)
        *before, n, k = np.indices(sizes, sparse=True)
        digit, place = np.zeros((1,) * len(sizes), dtype=np.int64), 1
        for index, factor in zip((*before, k), self.factors, strict=True):
            digit = digit + index * place
            place *= factor
        phase = (n * digit) % place  # whole numbers: no rounding before the sine
        wave = np.exp(self.sign * 2j * np.pi / place * phase) * self.scale
        parts = [[wave.real, wave.imag], [-wave.imag, wave.real]]
        full = np.stack([np.stack(row[: self.parts_out], -1) for row in parts[: self.parts_in]], -3)
        return np.ascontiguousarray(full)


def known_weight(stage: Stage, dtype: DType) -> Value:
    """The matrix as a constant."""
    return ops.constant.create(
        (), {"value": literal(stage.matrix().astype(numpy_dtype(dtype)))}, result_types=(_type(stage, dtype),)
    ).result


def _type(stage: Stage, dtype: DType) -> TensorType:
    return TensorType(stage.shape, dtype)


def factorings(length: int, most_order: int) -> list[tuple[int, ...]]:
    """For each order, the factors of least sum, the largest first; orders that a length does not have are left out.

    >>> factorings(4096, 4)
    [(4096,), (64, 64), (16, 16, 16), (8, 8, 8, 8)]
    """
    found = [_least_sum(length, order) for order in range(1, most_order + 1)]
    return [factors for factors in found if factors is not None]


def _least_sum(length: int, order: int) -> tuple[int, ...] | None:
    if order == 1:
        return (length,) if length > 1 else None
    best: tuple[int, ...] | None = None
    for factor in range(2, math.isqrt(length) + 1 if order == 2 else math.ceil(length ** (1 / order)) + 1):
        if length % factor:
            continue
        rest = _least_sum(length // factor, order - 1)
        if rest is not None and (best is None or factor + sum(rest) < sum(best)):
            best = tuple(sorted((factor, *rest), reverse=True))
    return best


def dft(
    x: Value,
    axis: int,
    factors: Sequence[int],
    *,
    inverse: bool,
    onesided: bool,
    weight: WeightOf = known_weight,
) -> Value:
    """What ``fft`` with a length of the product of the factors gives: detached ops.

    Shapes: x [a.., n, b.., 1 or 2]. Rows of zeros at the end of x, and results that are not asked for, cost nothing: of
    the first and of the last product only what is needed is computed.
    """
    length, axis = math.prod(factors), axis % x.type.rank
    taken = length // 2 + 1 if inverse and onesided else length
    parts = x.type.shape[-1]
    wanted = length // 2 + 1 if onesided and not inverse else length
    rest = length // factors[0]
    rows = math.ceil(min(x.type.shape[axis], taken) / rest)
    x = _fitted(x, axis, min(x.type.shape[axis], taken), rows * rest)
    if inverse and onesided:
        x = ops.mul(x, _doubled(length, x, axis))
    before, after = x.type.shape[:axis], x.type.shape[axis + 1 : -1]
    x = ops.reshape(x, shape=(*before, rows, *factors[1:], *after, parts))
    outer, inner = [f"a{i}" for i in range(len(before))], [f"b{i}" for i in range(len(after))]
    for j in range(len(factors)):
        is_last = j == len(factors) - 1
        stage = Stage(
            factors=tuple(factors[: j + 1]),
            rows=rows if j == 0 else factors[j],
            columns=(wanted - 1) // math.prod(factors[:-1]) + 1 if is_last else factors[j],
            parts_in=parts if j == 0 else 2,
            parts_out=1 if is_last and inverse and onesided else 2,
            sign=1 if inverse else -1,
            scale=1 / length if is_last and inverse else 1.0,
        )
        made, open_ = [f"k{i}" for i in range(j)], [f"n{i}" for i in range(j + 1, len(factors))]
        read = [*outer, *made, f"n{j}", *open_, *inner, "p"]
        block = [*made, f"n{j}", "p", f"k{j}", "q"]
        digits = [f"k{j}", *reversed(made)] if is_last else [*made, f"k{j}"]
        written = [*outer, *digits, *open_, *inner, "q"]
        notation = f"{' '.join(read)}, {' '.join(block)} -> {' '.join(written)}"
        x = ops.contract(x, weight(stage, x.type.dtype), notation=notation)
    columns = x.type.shape[len(before)]
    x = ops.reshape(x, shape=(*before, columns * length // factors[-1], *after, x.type.shape[-1]))
    return _fitted(x, axis, wanted, wanted)


def _fitted(x: Value, axis: int, kept: int, filled: int) -> Value:
    """x cut to ``kept`` elements along an axis, then filled up with 0."""
    shape = x.type.shape
    if kept < shape[axis]:
        size = tuple(kept if i == axis else n for i, n in enumerate(shape))
        x = ops.slice(x, starts=(0,) * len(shape), size=size)
    if filled > kept:
        x = ops.pad(x, pads=tuple((0, filled - kept) if i == axis else (0, 0) for i in range(len(shape))))
    return x


def _doubled(length: int, x: Value, axis: int) -> Value:
    """Of half a spectrum all but the frequencies that are their own mirror stand for two."""
    count = x.type.shape[axis]
    values = np.full(count, 2.0)
    values[0] = 1.0
    if length % 2 == 0 and length // 2 < count:
        values[length // 2] = 1.0
    shape = tuple(count if i == axis else 1 for i in range(x.type.rank))
    return ops.constant_of(values.reshape(shape), x.type.dtype)
