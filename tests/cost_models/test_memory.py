"""Buffers, their places, orders and copies: laws that hold for every module, and small cases by hand."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_modules import modules, random_inputs

from ircost.cost_models.allocation import Interval, allocate, place
from ircost.cost_models.liveness import Lifetimes, lifetimes
from ircost.ir import Module, Op, Value, interpret
from ircost.ir.clone import clone_module
from ircost.ir.interpreter import _Interpreter as Runner
from ircost.ir.numpy_dtypes import numpy_dtype
from ircost.ir.parser import parse_module
from ircost.ir.parts import place_in_operand, places_of_parts
from ircost.ir.verify import verify
from ircost.passes import run_pipeline

INTERVALS = st.lists(
    st.builds(
        lambda size, first, length: Interval(size, first, first + length), st.integers(1, 40), *[st.integers(0, 12)] * 2
    ),
    max_size=30,
)


def overlaps(intervals: tuple[Interval, ...], offsets: tuple[int, ...]) -> list[tuple[int, int]]:
    """Pairs that are in use at the same time and share a byte."""
    return [
        (i, j)
        for i, j in combinations(range(len(intervals)), 2)
        if intervals[i].first <= intervals[j].last
        and intervals[j].first <= intervals[i].last
        and offsets[i] < offsets[j] + intervals[j].size
        and offsets[j] < offsets[i] + intervals[i].size
    ]


@given(INTERVALS)
def test_no_two_buffers_in_use_overlap(intervals: list[Interval]) -> None:
    plan = place(intervals)
    assert overlaps(plan.intervals, plan.offsets) == []
    assert plan.arena_bytes >= plan.lower_bound_bytes
    assert place(intervals) == plan


@given(st.lists(st.integers(1, 2000), max_size=20), st.sampled_from([1, 64, 256]))
def test_places_are_aligned(sizes: list[int], alignment: int) -> None:
    ops = " ".join(f"%{i} = broadcast %x {{shape = [{n}]}}" for i, n in enumerate(sizes))
    module = parse_module(f"func @main(%x: f32) -> f32 {{ {ops} return %x }}")
    plan = allocate(lifetimes(module), alignment)
    assert all(offset % alignment == 0 for offset in plan.offsets)
    assert plan.arena_bytes % alignment == 0


@settings(max_examples=20, deadline=None)
@given(INTERVALS)
def test_the_solver_is_never_above_best_fit(intervals: list[Interval]) -> None:
    pytest.importorskip("ortools")
    found, exact = place(intervals), place(intervals, exact=True)
    assert overlaps(exact.intervals, exact.offsets) == []
    assert exact.lower_bound_bytes <= exact.arena_bytes <= found.arena_bytes


@given(modules())
def test_places_of_whole_modules(module: Module) -> None:
    lived = lifetimes(module)
    plan = allocate(lived)
    assert overlaps(plan.intervals, plan.offsets) == []
    apart = lifetimes(module, nested=False).peak_bytes
    assert lived.peak_bytes <= apart <= lifetimes(module, in_place=False, nested=False).peak_bytes
    assert plan.arena_bytes >= lived.peak_bytes


@given(modules())
def test_values_share_a_buffer_only_one_after_the_other(module: Module) -> None:
    """What was written over is not read afterwards, by position of its users; parts lie beside one another."""
    lived = lifetimes(module, nested=False)
    position = {op: i for i, op in enumerate(lived.ops)}
    for buffer in lived.buffers:
        made = {v: position[v.producer] for v in buffer.values if v.producer in position and is_made(v.producer)}
        for low, high in combinations(sorted(made, key=made.__getitem__), 2):
            users = [position[user] for user in low.users if user in position]
            assert max(users, default=0) <= made[high]


@settings(max_examples=200, deadline=None)
@given(modules())
def test_a_run_in_the_planned_places_gives_the_same(module: Module) -> None:
    """Each op reads and writes bytes of the arena; nothing is moved for a view or for a part that is in place."""
    check_run_in_arena(module)


def check_run_in_arena(module: Module) -> int:
    """Compares with the interpreter; returns how many values lay inside of another's bytes.

    Control flow is run as one op, so that what is inside of it has places, but no bytes here.
    """
    verify(module)
    inputs = random_inputs(module.main)
    lived = lifetimes(module)
    plan = allocate(lived, alignment=8)
    arena = np.zeros(plan.arena_bytes + 8, np.uint8)
    place = {
        value: offset + within
        for buffer, offset in zip(lived.buffers, plan.offsets, strict=True)
        for value, within in zip(buffer.values, buffer.places, strict=True)
    }
    elsewhere: dict[Value, np.ndarray] = {}  # weights
    parts = 0

    def bytes_of(value: Value) -> np.ndarray:
        return arena[place[value] : place[value] + value.type.size_bytes]

    def read(value: Value) -> np.ndarray:
        if value not in place:
            return elsewhere[value]
        type = numpy_dtype(value.type.dtype)
        return bytes_of(value).copy().view(type).reshape(value.type.shape)

    def write(value: Value, array: np.ndarray) -> None:
        if value in place:
            bytes_of(value)[:] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        else:
            elsewhere[value] = array

    for argument, array in zip(module.main.arguments, inputs, strict=True):
        write(argument, array)
    runner = Runner(module)
    with np.errstate(all="ignore"):
        expected = interpret(module, inputs)
        for op in module.main.block.ops:
            if op.definition.is_terminator:
                for value, want in zip(op.operands, expected, strict=True):
                    np.testing.assert_array_equal(read(value), want)
                continue
            around = {value: read(value) for value in outer_values(op)}
            results = runner._op(op, [read(value) for value in op.operands], around)
            for value, array in zip(op.results, results, strict=True):
                is_here = is_in_place(op, place)
                parts += is_here
                if value in place and (is_here or op.definition.is_view):
                    np.testing.assert_array_equal(read(value), array)
                write(value, array)
    return parts


def is_in_place(op: Op, place: dict[Value, int]) -> bool:
    """Whether the result of a concatenation or slice is there without a move."""
    if any(value not in place for value in (*op.operands, *op.results)) or not op.results:
        return False
    if op.definition.is_move and place_in_operand(op) is not None:
        start = place_in_operand(op) * op.result.type.dtype.bits // 8
        return place[op.result] == place[op.operands[0]] + start
    if op.definition.joined_axis(op) is None or places_of_parts(op) is None:
        return False
    starts = [place[op.result] + n * op.result.type.dtype.bits // 8 for n in places_of_parts(op)]
    return all(place[value] == start for value, start in zip(op.operands, starts, strict=True))


def outer_values(op: Op) -> list[Value]:
    """What bodies of control flow read from around them."""
    if not op.regions or op.definition.is_isolated:
        return []
    inside = {r for inner in op.walk() if inner is not op for r in inner.results}
    inside |= {argument for inner in op.walk() for region in inner.regions for argument in region.block.arguments}
    return [v for inner in op.walk() if inner is not op for v in inner.operands if v not in inside]


def is_made(op: Op) -> bool:
    """Not a view; nor an `if`, whose result and what its branches yield are one value."""
    return not op.definition.is_view and op.name != "if"


@settings(max_examples=50, deadline=None)
@given(
    modules(),
    st.sampled_from(["order-for-memory", "order-for-memory{max_states=40}", "order-for-memory{max_states=1}"]),
)
def test_an_order_keeps_outputs_and_never_needs_more(module: Module, pipeline: str) -> None:
    check_rewrite(module, pipeline)


@settings(max_examples=50, deadline=None)
@given(modules(), st.floats(0.3, 1.0))
def test_copies_keep_outputs_and_never_need_more(module: Module, share: float) -> None:
    lived = lifetimes(module)
    check_rewrite(module, f"rematerialise{{limit={int(share * (lived.peak_bytes + lived.weights_bytes)) + 1}}}")


def check_rewrite(module: Module, pipeline: str) -> None:
    verify(module)
    after = clone_module(module)
    run_pipeline(after, pipeline)  # verified: operands are above what reads them
    assert lifetimes(after).peak_bytes <= lifetimes(module).peak_bytes
    inputs = random_inputs(module.main)
    with np.errstate(all="ignore"):
        for want, have in zip(interpret(module, inputs), interpret(after, inputs), strict=True):
            np.testing.assert_array_equal(have, want)


def lived(text: str) -> Lifetimes:
    module = parse_module(text)
    verify(module)
    return lifetimes(module)


def test_an_elementwise_result_is_written_over_what_dies() -> None:
    found = lived("func @main(%x: 8xf32) -> 8xf32 { %a = exp %x %b = tanh %a %c = neg %b return %c }")
    # %x is an input, %c a result: each keeps a buffer of its own; %b lies where %a lay.
    assert [len(buffer.values) for buffer in found.buffers] == [1, 2, 1]


@pytest.mark.parametrize(
    "body",
    [
        "%a = exp %x %b = transpose %a {perm = [1, 0]} %c = neg %b return %c",  # reads elsewhere than it writes
        "%a = exp %x %b = tanh %a %c = add %a, %b return %c",  # read again
        "%a = exp %x %b = softmax %a %c = matmul %b, %b return %c",  # no element-wise op
    ],
)
def test_what_is_not_written_over(body: str) -> None:
    found = lived(f"func @main(%x: 4x4xf32) -> 4x4xf32 {{ {body} }}")
    names = [{v.producer.name for v in buffer.values if v.producer} for buffer in found.buffers]
    assert not any("exp" in name and len(name) > 1 for name in names)


def test_a_kernel_writes_over_the_operand_of_its_epilogue_only() -> None:
    text = """
    func @main(%x: 4x4xf32, %w: 4x4xf32) -> 4x4xf32 {
      %a = exp %x
      %b = softmax %x
      %k = matmul %a, %w
      %c = add %k, %b
      %d = softmax %c
      return %d
    }"""
    module = parse_module(text)
    run_pipeline(module, "fuse")
    (shared,) = [buffer for buffer in lifetimes(module).buffers if len(buffer.values) > 1]
    assert [v.producer.name for v in shared.values if v.producer] == ["softmax", "kernel"]


def test_a_callee_is_one_scratch_buffer() -> None:
    found = lived("""
    func @layer(%x: 4xf32) -> f32 { %a = broadcast %x {shape = [64, 4]} %b = reduce_sum %a {axes = [0, 1]} return %b }
    func @main(%x: 4xf32) -> f32 { %y = call %x {callee = "layer"} : f32 return %y }
    """)
    assert sorted(buffer.size_bytes for buffer in found.buffers) == [4, 16, 1024]
    assert found.peak_bytes == 16 + 1024 + 4


def test_a_skip_connection_is_computed_again() -> None:
    module = parse_module("""
    func @main(%x: 4xf32) -> 4xf32 {
      %a = broadcast %x {shape = [64, 4]}
      %m = reduce_max %a {axes = [0]}
      %b = broadcast %m {shape = [128, 4]}
      %s = reduce_max %b {axes = [0]}
      %d = sub %a, %s
      %e = reduce_sum %d {axes = [0]}
      return %e
    }""")
    assert lifetimes(module).peak_bytes == 16 + 1024 + 16 + 2048
    run_pipeline(module, "rematerialise{limit=1}")
    assert lifetimes(module).peak_bytes == 16 + 16 + 2048
