"""Products in narrow formats: what quantising loses is bounded, and scales are where they should be."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ircost.ir import Builder, Function, Module, Value, interpret, ops
from ircost.ir.counts import work_of
from ircost.ir.errors import ShapeError
from ircost.ir.numpy_dtypes import dtype_of
from ircost.ir.types import DType, TensorType, bf16, f4e2m1, f8e4m3, f32, i8
from ircost.ir.verify import verify


def run(make: Callable[..., tuple[Value, ...]], *arrays: np.ndarray) -> list[np.ndarray]:
    function = Function("main", [TensorType(array.shape, dtype_of(array)) for array in arrays])
    build = Builder(function.block)
    results = make(*function.arguments)
    build.op(results[0].producer) if len(results) > 1 else build(results[0])  # type: ignore[arg-type]
    build.op(ops.return_.create(results))
    module = Module([function])
    verify(module)
    return list(interpret(module, arrays))


@pytest.mark.parametrize("block", [8, 32])
def test_each_block_is_within_half_a_step_of_its_largest(block: int) -> None:
    x = np.random.default_rng(0).standard_normal((5, 32)).astype(np.float32) * np.geomspace(1e-3, 1e3, 5)[:, None]
    x = x.astype(np.float32)
    narrow, scale = run(lambda v: ops.quantise_rows.results(v, to=f8e4m3, block=block), x)
    assert scale.shape == (5, 32 // block)
    back = narrow.astype(np.float32) * np.repeat(scale, block, axis=1)
    largest = np.abs(x).reshape(5, -1, block).max(axis=2).repeat(block, axis=1)
    assert (np.abs(back - x) <= largest * 2**-4).all()  # three bits of mantissa


def test_integers_are_within_half_a_step() -> None:
    x = np.random.default_rng(2).standard_normal((5, 32)).astype(np.float32)
    narrow, scale = run(lambda v: ops.quantise_rows.results(v, to=i8, block=32), x)
    assert narrow.dtype == np.int8 and np.abs(narrow).max() == 127
    assert (np.abs(narrow * scale - x) <= scale * 0.5001).all()


@pytest.mark.parametrize("dtype", [f8e4m3, i8], ids=str)
def test_scales_of_rows_and_blocks_multiply_their_sums(dtype: DType) -> None:
    random = np.random.default_rng(1)
    x, w = random.integers(-4, 5, (3, 8)).astype(np.float32), random.integers(-4, 5, (6, 8)).astype(np.float32)
    xs, ws = random.random((3, 2), np.float32), random.random((2, 2), np.float32)

    def product(x: Value, xs: Value, w: Value, ws: Value) -> tuple[Value, ...]:
        narrow = [ops.cast(value, to=dtype) for value in (x, w)]
        return (ops.scaled_matmul(narrow[0], xs, narrow[1], ws, out=f32),)

    (got,) = run(product, x, xs, w, ws)
    wide_x, wide_w = x * np.repeat(xs, 4, 1), w * np.repeat(np.repeat(ws, 3, 0), 4, 1)
    np.testing.assert_allclose(got, wide_x @ wide_w.T, rtol=1e-5)


def test_a_shorter_last_block_has_a_scale_of_its_own() -> None:
    x = np.random.default_rng(3).standard_normal((3, 5, 30)).astype(np.float32) * np.geomspace(1, 1e3, 30)
    x = x.astype(np.float32)
    narrow, scale = run(lambda v: ops.quantise_rows.results(v, to=i8, block=8), x)
    assert narrow.shape == x.shape and scale.shape == (3, 5, 4)
    own = [np.abs(x[..., i : i + 8]).max(axis=-1) / 127 for i in range(0, 30, 8)]
    np.testing.assert_allclose(scale, np.stack(own, axis=-1), rtol=1e-6)


@pytest.mark.parametrize("dtype", [f8e4m3, i8], ids=str)
def test_sums_of_a_shorter_last_block_are_scaled(dtype: DType) -> None:
    random = np.random.default_rng(1)
    x, w = random.integers(-4, 5, (3, 10)).astype(np.float32), random.integers(-4, 5, (6, 10)).astype(np.float32)
    xs, ws = random.random((3, 3), np.float32), random.random((2, 3), np.float32)

    def product(x: Value, xs: Value, w: Value, ws: Value) -> tuple[Value, ...]:
        narrow = [ops.cast(value, to=dtype) for value in (x, w)]
        return (ops.scaled_matmul(narrow[0], xs, narrow[1], ws, out=f32, block=4),)

    (got,) = run(product, x, xs, w, ws)
    wide_x = x * np.repeat(xs, 4, 1)[:, :10]
    wide_w = w * np.repeat(np.repeat(ws, 3, 0), 4, 1)[:, :10]
    np.testing.assert_allclose(got, wide_x @ wide_w.T, rtol=1e-5)


@pytest.mark.parametrize("block", [0, 3, 5])
def test_scales_that_do_not_fit_the_blocks_are_refused(block: int) -> None:
    sides = [(TensorType((rows, 10), f8e4m3), TensorType((rows, 3), f32)) for rows in (4, 6)]
    with pytest.raises(ShapeError, match="scaled_matmul: rows of 10 do not divide into 3"):
        ops.scaled_matmul(*Function("main", [*sides[0], *sides[1]]).arguments, out=f32, block=block)


def test_what_fills_up_the_last_block_is_no_work() -> None:
    m, n, k, block = 4, 8, 360, 32
    sides = [(TensorType((rows, k), f4e2m1), TensorType((rows, -(-k // block)), f32)) for rows in (m, n)]
    op = ops.scaled_matmul(*Function("main", [*sides[0], *sides[1]]).arguments, out=bf16, block=block).producer
    assert op is not None
    assert op.definition.counts(op).flops == 2 * m * n * k
    assert list(op.definition.operand_bytes(op)) == [m * k // 2, m * 12 * 4, n * k // 2, n * 12 * 4]


@pytest.mark.parametrize("has_zeros", [False, True])
@pytest.mark.parametrize("rows", [6, 2])
def test_narrow_weights_with_a_shorter_last_block(rows: int, has_zeros: bool) -> None:
    random = np.random.default_rng(4)
    a, w = random.random((3, 10), np.float32), random.integers(-8, 8, (6, 10)).astype(np.int8)
    scales = random.random((rows, 3, 1), np.float32)
    zeros = random.integers(-8, 8, (6, 3, 1)).astype(np.int8) if has_zeros else np.zeros((), np.int8)

    def product(*x: Value) -> tuple[Value, ...]:
        return (ops.block_quantised_matmul(*x, inner=10, block=4),)

    (got,) = run(product, a, w, scales, zeros)
    scale, zero = (np.repeat(x[..., 0], 4, 1)[:, :10] if x.ndim else x for x in (scales, zeros))
    np.testing.assert_allclose(got, a @ ((w - zero.astype(np.float32)) * np.repeat(scale, 6 // rows, 0)).T, rtol=1e-5)


@pytest.mark.parametrize("tokens", [1, 8], ids=["gathered", "grouped"])
@pytest.mark.parametrize("has_zeros", [False, True])
def test_experts_with_a_shorter_last_block(tokens: int, has_zeros: bool) -> None:
    """As with the same weights widened before; rows of `up` divide into whole blocks, those of `down` do not."""
    random = np.random.default_rng(5)
    x, shares = random.standard_normal((tokens, 8)).astype(np.float32), random.random((tokens, 2), np.float32)
    chosen = np.stack([random.permutation(4)[:2] for _ in range(tokens)])
    up, down = (random.integers(-8, 8, shape).astype(np.int8) for shape in ((4, 12, 8), (4, 8, 6)))
    scales = [random.random(shape, np.float32) for shape in ((4, 12, 2), (4, 8, 2))]
    zeros = [
        random.integers(-2, 3, scale.shape).astype(np.int8) if has_zeros else np.zeros((), np.int8) for scale in scales
    ]

    def wide(w: np.ndarray, scale: np.ndarray, zero: np.ndarray) -> np.ndarray:
        scale, zero = (np.repeat(part, 4, -1)[..., : w.shape[-1]] if part.ndim else part for part in (scale, zero))
        return ((w - zero.astype(np.float32)) * scale).astype(np.float32)

    (got,) = run(
        lambda *v: (ops.mixture_of_experts(*v, has_scales=True, block=4),),
        *(x, shares, chosen, up, down, scales[0], zeros[0], scales[1], zeros[1]),
    )
    weights = [wide(*parts) for parts in zip((up, down), scales, zeros, strict=True)]
    (want,) = run(lambda *v: (ops.mixture_of_experts(*v),), x, shares, chosen, *weights)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(("block", "is_counted"), [(16, False), (32, False), (128, True), (256, True)])
def test_matrix_units_take_in_the_scales_of_small_blocks(block: int, is_counted: bool) -> None:
    m, n, k = 4, 8, 256
    sides = [(TensorType((rows, k), f4e2m1), TensorType((rows, k // block), f32)) for rows in (m, n)]
    product = ops.scaled_matmul(*Function("main", [*sides[0], *sides[1]]).arguments, out=bf16).producer
    assert product is not None
    counted = [counts for _, _, counts in work_of(product)]
    assert sum(counts.macs for counts in counted) == m * n * k
    assert (sum(counts.flops for counts in counted) > 2 * m * n * k) == is_counted
