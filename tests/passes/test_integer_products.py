"""Products of dequantised tensors as products of integers: the same numbers, but for rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ircost.ir import ops
from ircost.ir.builder import Builder
from ircost.ir.graph import Function, Module, Value
from ircost.ir.interpreter import interpret
from ircost.ir.terminators import return_
from ircost.ir.types import TensorType, f32, i8, i32, u8
from ircost.ir.verify import verify
from ircost.passes import run_pipeline


def dequantised(narrow: Value, zero: Any, scale: np.ndarray) -> Value:
    """As DequantizeLinear comes in; ``zero`` is a number, an array, or None for no zero point at all."""
    whole = ops.cast(narrow, to=i32)
    if zero is not None:
        whole = ops.sub(whole, ops.constant_of(np.array(zero, np.int32)))
    return ops.mul(ops.cast(whole, to=f32), ops.constant_of(scale.astype(np.float32)))


def module_of(shape: tuple[int, ...], make: Any, dtype: Any = i8) -> Module:
    function = Function("main", [TensorType(shape, dtype)])
    build = Builder(function.block)
    result = build(make(function.arguments[0]))
    build.op(return_.create([result]))
    return Module([function])


def names_and_outputs(module: Module, data: np.ndarray) -> tuple[list[str], np.ndarray]:
    verify(module)
    return [op.name for op in module.main.block.ops], np.asarray(interpret(module, [data])[0])


def assert_is_rewritten(module: Module, data: np.ndarray, product: str) -> None:
    _, before = names_and_outputs(module, data)
    run_pipeline(module, "integer-products")
    names, after = names_and_outputs(module, data)
    assert product in names and not {"conv", "matmul", "contract"} & set(names)
    assert after.dtype == before.dtype == np.float32
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4 * np.abs(before).max())


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    zero=st.one_of(st.none(), st.integers(-128, 127)),
    pads=st.sampled_from([(), ((0, 0), (0, 0)), ((1, 1), (0, 2))]),
    stride=st.integers(1, 2),
    groups=st.sampled_from([1, 2, 4]),
    is_per_channel=st.booleans(),
)
def test_convolutions(seed: int, zero: int | None, pads: Any, stride: int, groups: int, is_per_channel: bool) -> None:
    """Padding is zero dequantised: the zero point, not the integer zero."""
    rng = np.random.default_rng(seed)
    weight = rng.integers(-128, 128, (8, 4 // groups, 3, 3)).astype(np.int8)
    scale = rng.uniform(0.01, 0.1, (8, 1, 1, 1) if is_per_channel else ())

    def make(x: Value) -> Value:
        dense = dequantised(ops.constant_of(weight), np.zeros((8, 1, 1, 1), int), scale)
        window = {"strides": (stride, stride), "dilations": (1, 1), "pads": pads}
        return ops.conv(dequantised(x, zero, np.array(0.05)), dense, **window)

    data = rng.integers(-128, 128, (2, 4, 7, 6)).astype(np.int8)
    assert_is_rewritten(module_of(data.shape, make), data, "conv_integer")


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    zeros=st.tuples(*[st.one_of(st.none(), st.integers(0, 255))] * 2),
    notation=st.sampled_from(["", "b m k, k n -> b m n", "b m k, n k -> b m n"]),
    is_per_column=st.booleans(),
)
def test_products(seed: int, zeros: tuple[int | None, int | None], notation: str, is_per_column: bool) -> None:
    rng = np.random.default_rng(seed)
    is_turned = "n k" in notation
    weight = rng.integers(0, 256, (5, 6) if is_turned else (6, 5)).astype(np.uint8)
    scale = rng.uniform(0.01, 0.1, ((5, 1) if is_turned else (1, 5)) if is_per_column else ())

    def make(x: Value) -> Value:
        rows = dequantised(x, zeros[0], np.array(0.05))
        columns = dequantised(ops.constant_of(weight), zeros[1], scale)
        return ops.contract(rows, columns, notation=notation) if notation else ops.matmul(rows, columns)

    data = rng.integers(0, 256, (2, 3, 6)).astype(np.uint8)
    assert_is_rewritten(module_of(data.shape, make, u8), data, "matmul_integer")


@pytest.mark.parametrize("what", ["zero of each column", "scale of each input", "one side", "scale of each term"])
def test_what_does_not_come_out_of_the_sum_stays(what: str) -> None:
    weight = ops.constant_of(np.ones((6, 5), np.int8))

    def make(x: Value) -> Value:
        rows = dequantised(x, 3, np.full((1, 6), 0.05) if what == "scale of each input" else np.array(0.05))
        scale = np.full((6, 1) if what == "scale of each term" else (), 0.1)
        columns = dequantised(weight, np.arange(5)[None, :] if what == "zero of each column" else 0, scale)
        return ops.matmul(rows, ops.relu(columns) if what == "one side" else columns)

    module = module_of((4, 6), make)
    run_pipeline(module, "integer-products")
    assert "matmul" in [op.name for op in module.main.block.ops]
