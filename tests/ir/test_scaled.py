"""Products in narrow formats: what quantising loses is bounded, and scales are where they should be."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ircost.ir import Builder, Function, Module, Value, interpret, ops
from ircost.ir.counts import work_of
from ircost.ir.errors import ShapeError
from ircost.ir.types import DType, TensorType, bf16, f4e2m1, f8e4m3, f32, i8
from ircost.ir.verify import verify


def run(make: Callable[..., tuple[Value, ...]], *arrays: np.ndarray) -> list[np.ndarray]:
    function = Function("main", [TensorType(array.shape, f32) for array in arrays])
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


def test_blocks_that_do_not_divide_are_refused() -> None:
    function = Function("main", [TensorType((4, 30), bf16)])
    with pytest.raises(ShapeError, match="blocks of 8"):
        ops.quantise_rows.results(function.arguments[0], to=f8e4m3, block=8)


@pytest.mark.parametrize(("block", "is_counted"), [(16, False), (32, False), (128, True), (256, True)])
def test_matrix_units_take_in_the_scales_of_small_blocks(block: int, is_counted: bool) -> None:
    m, n, k = 4, 8, 256
    sides = [(TensorType((rows, k), f4e2m1), TensorType((rows, k // block), f32)) for rows in (m, n)]
    product = ops.scaled_matmul(*Function("main", [*sides[0], *sides[1]]).arguments, out=bf16).producer
    assert product is not None
    counted = [counts for _, _, counts in work_of(product)]
    assert sum(counts.macs for counts in counted) == m * n * k
    assert (sum(counts.flops for counts in counted) > 2 * m * n * k) == is_counted
