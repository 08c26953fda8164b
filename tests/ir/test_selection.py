"""Ops whose results are as long as the data make them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ircost.ir import Module, interpret, ops
from ircost.ir.builder import Builder, build_body
from ircost.ir.errors import InterpreterError, ShapeError
from ircost.ir.graph import Function, Value
from ircost.ir.numpy_dtypes import dtype_of
from ircost.ir.parser import parse_module
from ircost.ir.terminators import yield_
from ircost.ir.types import DTYPES, TensorType, parse_type
from ircost.ir.verify import verify

RANDOM = np.random.default_rng(0)
SPARSE = (RANDOM.integers(0, 2, (4, 5)) * RANDOM.standard_normal((4, 5))).astype(np.float32)


def run(build: Callable[..., Value | tuple[Value, ...]], *arrays: np.ndarray) -> list[np.ndarray]:
    """Results of a module made of detached ops, the same before and after its text was read back."""
    module = module_of(build, *(TensorType(a.shape, dtype_of(a)) for a in arrays))
    text = str(module)
    results = interpret(module, arrays)
    for ours, again in zip(results, interpret(parse_module(text), arrays), strict=True):
        np.testing.assert_array_equal(ours, again)
    return results


def module_of(build: Callable[..., Value | tuple[Value, ...]], *types: TensorType) -> Module:
    function = Function("main", list(types))
    results = build(*function.arguments)
    add = Builder(function.block)
    for value in results if isinstance(results, tuple) else (results,):
        add(value)
    function.block.append(ops.return_.create(results if isinstance(results, tuple) else (results,)))
    module = Module([function])
    verify(module)
    return module


def test_nonzero_is_as_long_as_the_data_say() -> None:
    (places,) = run(lambda x: ops.nonzero(x, bound=20), SPARSE)
    np.testing.assert_array_equal(places, np.array(np.nonzero(SPARSE)))


def test_what_follows_keeps_the_length() -> None:
    """x where it is not 0, plus 1: gathers, arithmetic, transposes and reshapes follow the extent."""

    def build(x: Value) -> Value:
        places = ops.transpose(ops.nonzero(x, bound=20), perm=(1, 0))
        picked = ops.gather_nd(x, places)
        return ops.add(ops.reshape(picked, shape=(20, 1)), ops.scalar_like(1, x))

    assert str(module_of(build, parse_type("4x5xf32")).main.block.terminator.operands[0].type) == "<=20x1xf32"
    (actual,) = run(build, SPARSE)
    np.testing.assert_array_equal(actual, SPARSE[np.nonzero(SPARSE)][:, None] + 1)


def test_more_than_the_bound_is_an_error() -> None:
    with pytest.raises(InterpreterError, match="bound"):
        run(lambda x: ops.nonzero(x, bound=2), SPARSE)


@pytest.mark.parametrize(
    "build",
    [
        lambda x: ops.slice(x, starts=(0, 0), size=(2, 3)),
        lambda x: ops.reshape(x, shape=(5, 4)),
        lambda x: ops.top_k.results(x, k=2, axis=1, largest=True)[0],
        lambda x: ops.reduce_mean(x, axes=(1,)),
        lambda x: ops.broadcast(x, shape=(3, 2, 10)),
    ],
)
def test_what_cannot_follow_is_refused(build: Callable[[Value], Value]) -> None:
    with pytest.raises(ShapeError, match="depends on data"):
        module_of(lambda x: build(ops.cast(ops.nonzero(x, bound=10), to=DTYPES["f32"])), parse_type("2x5xf32"))


@pytest.mark.parametrize("axis", [0, 1])
def test_compress(axis: int) -> None:
    condition = np.array([True, False, True])
    (actual,) = run(lambda x, c: ops.compress(x, c, axis=axis, bound=3), SPARSE, condition)
    np.testing.assert_array_equal(actual, np.compress(condition, SPARSE, axis=axis))


@pytest.mark.parametrize("is_sorted", [True, False])
def test_unique(is_sorted: bool) -> None:
    x = RANDOM.integers(0, 4, 12)
    actual = run(lambda x: ops.unique.results(x, axis=0, is_sorted=is_sorted, bound=12), x)
    values, first, inverse, counts = np.unique(x, return_index=True, return_inverse=True, return_counts=True)
    order = np.arange(len(values)) if is_sorted else np.argsort(first)
    expected = (values[order], first[order], np.argsort(order)[inverse], counts[order])
    for ours, theirs in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_non_max_suppression_keeps_the_best_of_each_heap() -> None:
    boxes = np.array([[[0, 0, 1, 1], [0, 0.1, 1, 1.1], [0, 10, 1, 11]]], np.float32)
    scores = np.array([[[0.5, 0.9, 0.3]]], np.float32)
    numbers = [np.array(n) for n in (np.int64(3), np.float32(0.5), np.float32(0.0))]
    (kept,) = run(lambda *args: ops.non_max_suppression(*args, bound=3), boxes, scores, *numbers)
    np.testing.assert_array_equal(kept, [[0, 0, 1], [0, 0, 2]])


def test_shape_of_a_selection() -> None:
    (extents,) = run(lambda x: ops.shape_of(ops.nonzero(x, bound=20)), SPARSE)
    assert extents.tolist() == [2, np.count_nonzero(SPARSE)]


def test_dynamic_slice_stays_inside() -> None:
    def build(x: Value, starts: Value) -> Value:
        return ops.dynamic_slice(x, starts, size=(2, 3))

    (actual,) = run(build, SPARSE, np.array([1, 2]))
    np.testing.assert_array_equal(actual, SPARSE[1:3, 2:5])
    with pytest.raises(InterpreterError, match="outside"):
        run(build, SPARSE, np.array([1, 3]))


@pytest.mark.parametrize("start", [0, 2, 7])
def test_outputs_of_a_loop_are_as_long_as_it_ran(start: int) -> None:
    def build(n: Value) -> tuple[Value, ...]:
        def goes_on(i: Value) -> Value:
            return ops.less(i, ops.constant_of(np.array(3)))

        def step(i: Value) -> tuple[Value, ...]:
            return ops.add(i, ops.constant_of(np.array(1))), ops.mul(i, i)

        regions = [build_body([n.type], body, yield_) for body in (goes_on, step)]
        return ops.while_.create([n], {"trip_bound": 5}, regions=regions).results

    last, squares = run(build, np.array(start))
    assert last == max(start, 3)
    assert squares.tolist() == [i * i for i in range(start, 3)]
    with pytest.raises(InterpreterError, match="bound"):
        run(build, np.array(-9))


@pytest.mark.parametrize(("start", "end"), [(0, 3), (2, -1), (-2, 2**40), (3, 1)])
def test_slice_between_is_numpys(start: int, end: int) -> None:
    def build(x: Value, start: Value, end: Value) -> Value:
        return ops.slice_between(x, start, end, axis=1, bound=5)

    (actual,) = run(build, SPARSE, np.array([start]), np.array([end]))
    np.testing.assert_array_equal(actual, SPARSE[:, start:end])
