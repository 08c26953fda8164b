"""Iteration spaces against brute force: every point visited, every element noted."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ircost.ir import Function, Op, TensorType, Value, interpret, ops
from ircost.ir.graph import Module
from ircost.ir.index import Access, IterationSpace
from ircost.ir.types import f32


def argument_values(*shapes: tuple[int, ...]) -> tuple[Value, ...]:
    return Function("main", [TensorType(shape, f32) for shape in shapes]).arguments


def space_of(value: Value) -> IterationSpace:
    assert value.producer is not None
    space = value.producer.definition.iteration_space(value.producer)
    assert space is not None
    return space


def touched(space: IterationSpace, access: Access, box: list[range]) -> set[tuple[int, ...]]:
    """Elements inside the tensor that the points of a box touch."""
    found = set()
    for point in itertools.product(*box):
        index = tuple(axis.offset + sum(point[dim] * c for dim, c in axis.terms) for axis in access.axes)
        if all(0 <= i < axis.extent for i, axis in zip(index, access.axes, strict=True)):
            found.add(index)
    return found


def whole(space: IterationSpace) -> list[range]:
    return [range(dim.extent) for dim in space.dims]


def bounding_box(elements: set[tuple[int, ...]], rank: int) -> tuple[int, ...]:
    return tuple(max(e[i] for e in elements) - min(e[i] for e in elements) + 1 for i in range(rank))


@st.composite
def convolutions(draw: st.DrawFn, padded: bool) -> Op:
    """Small convolutions with one spatial axis; strides and dilations of which one is 1."""
    stride, dilation = draw(st.sampled_from([(1, 1), (2, 1), (3, 1), (1, 2), (1, 3)]))
    window, length, groups = draw(st.integers(1, 3)), draw(st.integers(1, 9)), draw(st.integers(1, 2))
    pads = draw(st.tuples(st.integers(0, 2), st.integers(0, 2))) if padded else (0, 0)
    assume(length + sum(pads) >= (window - 1) * dilation + 1)
    x, weight = argument_values((1, groups, length), (groups * 2, 1, window))
    op = ops.conv(x, weight, strides=(stride,), dilations=(dilation,), pads=(pads,)).producer
    assert op is not None
    return op


@given(convolutions(padded=False))
def test_elements_read_are_those_touched(op: Op) -> None:
    space = space_of(op.result)
    counts = tuple(len(touched(space, access, whole(space))) for access in space.operands)
    assert space.elements_read == counts


@given(convolutions(padded=True))
def test_elements_read_with_padding_are_at_least_those_touched(op: Op) -> None:
    space = space_of(op.result)
    for access, type, count in zip(space.operands, op.operands, space.elements_read, strict=True):
        assert len(touched(space, access, whole(space))) <= count <= type.type.elements


@given(convolutions(padded=False), st.data())
def test_footprint_is_the_box_a_tile_reads(op: Op, data: st.DataObject) -> None:
    space = space_of(op.result)
    sizes = [data.draw(st.integers(1, dim.extent)) for dim in space.dims]
    starts = [data.draw(st.integers(0, dim.extent - size)) for dim, size in zip(space.dims, sizes, strict=True)]
    tile = {dim.name: size for dim, size in zip(space.dims, sizes, strict=True)}
    box = [range(start, start + size) for start, size in zip(starts, sizes, strict=True)]
    for access, shape in zip(space.operands, space.footprint(tile), strict=True):
        assert bounding_box(touched(space, access, box), len(access.axes)) == shape
    for access, shape in zip(space.results, space.result_footprint(tile), strict=True):
        assert bounding_box(touched(space, access, box), len(access.axes)) == shape


def test_a_halo_is_part_of_the_footprint() -> None:
    x, weight = argument_values((1, 1, 16, 16), (1, 1, 3, 3))
    space = space_of(ops.conv(x, weight))
    rows, columns = (dim.name for dim in space.parallel_dims[-2:])
    assert space.footprint({rows: 4, columns: 8})[0] == (1, 1, 6, 10)


def test_strides_without_overlap_skip_elements() -> None:
    x, weight = argument_values((1, 1, 8, 8), (1, 1, 1, 1))
    assert space_of(ops.conv(x, weight, strides=(2, 2))).elements_read == (16, 1)


@pytest.mark.parametrize(
    ("make", "shapes", "points", "result"),
    [
        (lambda x, y: ops.matmul(x, y), [(7, 5), (5, 3)], 7 * 5 * 3, (7, 3)),
        (lambda x, y: ops.matmul(x, y), [(2, 1, 7, 5), (4, 5, 3)], 2 * 4 * 7 * 5 * 3, (2, 4, 7, 3)),
        (lambda x, y: ops.conv(x, y), [(2, 4, 9, 9), (6, 2, 3, 3)], 2 * 6 * 2 * 49 * 9, (2, 6, 7, 7)),
        (lambda x, y: ops.conv_transpose(x, y), [(1, 2, 4), (2, 3, 3)], 2 * 3 * 4 * 3, (1, 3, 6)),
        (lambda x, y: ops.add(x, y), [(4, 1, 3), (2, 1)], 24, (4, 2, 3)),
    ],
)
def test_closed_forms(make, shapes, points, result) -> None:
    value = make(*argument_values(*shapes))
    space = space_of(value)
    assert (space.points, value.type.shape) == (points, result)
    assert space.result_points == math.prod(dim.extent for dim in space.parallel_dims)


def test_a_contraction_counts_a_multiply_add_at_each_point() -> None:
    value = ops.matmul(*argument_values((7, 5), (5, 3)))
    assert value.producer is not None
    assert value.producer.definition.counts(value.producer).flops == 2 * 7 * 5 * 3


@pytest.mark.parametrize("shape", [(0, 3), (2, 0)])
def test_nothing_is_read_where_there_is_no_point(shape: tuple[int, int]) -> None:
    space = space_of(ops.transpose(*argument_values(shape), perm=(1, 0)))
    assert (space.points, space.elements_read) == (0, (0,))


@given(st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), st.integers(1, 2))
def test_conv_transpose_adds_each_point_where_it_lands(length: int, window: int, stride: int, dilation: int) -> None:
    function = Function("main", [TensorType((1, 1, length), f32), TensorType((1, 1, window), f32)])
    value = ops.conv_transpose(*function.arguments, strides=(stride,), dilations=(dilation,))
    assert value.producer is not None
    function.block.append(value.producer)
    function.block.append(ops.return_.create([value]))
    rng = np.random.default_rng(length)
    x, weight = rng.integers(-3, 4, length), rng.integers(-3, 4, window)
    expected = np.zeros((length - 1) * stride + (window - 1) * dilation + 1)
    for i, k in itertools.product(range(length), range(window)):
        expected[i * stride + k * dilation] += x[i] * weight[k]
    (actual,) = interpret(Module([function]), [x.reshape(1, 1, -1), weight.reshape(1, 1, -1)])
    np.testing.assert_array_equal(actual.reshape(-1), expected)


@given(st.lists(st.tuples(st.integers(1, 4), st.booleans(), st.booleans()), max_size=4))
def test_broadcast_reads_each_operand_once(axes: list[tuple[int, bool, bool]]) -> None:
    lhs = tuple(1 if one else n for n, one, _ in axes)
    rhs = tuple(1 if one else n for n, _, one in axes)
    value = ops.add(*argument_values(lhs, rhs))
    space = space_of(value)
    assert value.type.shape == np.broadcast_shapes(lhs, rhs)
    assert space.points == math.prod(value.type.shape)
    assert space.elements_read == (math.prod(lhs), math.prod(rhs))
