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


@pytest.mark.parametrize(
    ("signature", "body", "parts"),
    [
        # Two branches and their input, joined; the whole is cut again and multiplied, gated by one half.
        (
            "%x: 1x4x8xf32",
            """%a = exp %x %b = tanh %x %c = concat %a, %b {axis = 1}
            %g = slice %c {starts = [0, 0, 0], size = [1, 4, 8]}
            %u = slice %c {starts = [0, 4, 0], size = [1, 4, 8]}
            %s = sigmoid %g %m = mul %s, %u %r = softmax %m""",
            3,
        ),
        # A chain of joined maps, each part of the next: a dense block. %f is written over %p, which is no part then.
        (
            "%x: 1x4x8xf32",
            """%a = exp %x %p = slice %x {starts = [0, 0, 0], size = [1, 2, 8]} %f = tanh %p
            %c = concat %a, %f {axis = 1} %q = reduce_max %c {axes = [1], keepdims = true} %h = sigmoid %q
            %d = concat %c, %h {axis = 1} %r = softmax %d""",
            2,
        ),
    ],
    ids=["gate", "dense"],
)
def test_parts_hold_what_they_should(signature: str, body: str, parts: int) -> None:
    result = "1x4x8xf32" if "%u" in body else "1x7x8xf32"
    assert check_run_in_arena(parse_module(f"func @main({signature}) -> {result} {{ {body} return %r }}")) == parts


def is_in_place(op: Op, place: dict[Value, int]) -> bool:
    """Whether the result of a concatenation or slice is there without a move."""
    if any(value not in place for value in (*op.operands, *op.results)) or not op.results:
        return False
    start = place_in_operand(op)
    if start is not None:
        return place[op.result] == place[op.operands[0]] + start * op.result.type.dtype.bits // 8
    starts = places_of_parts(op)
    if starts is None:
        return False
    at = [place[op.result] + n * op.result.type.dtype.bits // 8 for n in starts]
    return at == [place[value] for value in op.operands]


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


VIEWED = "%a = exp %x %v = view %a body(%b: 4x4xf32) {{ %t = {move} yield %t }}"


def test_a_view_keeps_alive_what_it_shows_and_nothing_is_written_over_it() -> None:
    seen = VIEWED.format(move="transpose %b {perm = [1, 0]}")
    found = lived(f"func @main(%x: 4x4xf32) -> 4x4xf32 {{ {seen} %c = neg %v %d = softmax %c return %d }}")
    names = [[v.producer.name for v in buffer.values if v.producer] for buffer in found.buffers]
    assert names == [[], ["exp", "view"], ["neg"], ["softmax"]]
    assert found.buffers[1].last == found.buffers[2].first


def test_a_view_that_repeats_takes_no_more_memory_than_it_shows() -> None:
    seen = VIEWED.format(move="broadcast %b {shape = [9, 4, 4]}")
    found = lived(f"func @main(%x: 4x4xf32) -> 4x4xf32 {{ {seen} %c = reduce_sum %v {{axes = [0]}} return %c }}")
    assert [buffer.size_bytes for buffer in found.buffers] == [64, 64, 64]


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


def rebuilt_after(module: Module, pipeline: str, rtol: float = 1e-4) -> int:
    """Peak after a pipeline that may round anew; outputs are compared."""
    verify(module)
    after = clone_module(module)
    run_pipeline(after, pipeline)
    inputs = random_inputs(module.main)
    for want, have in zip(interpret(module, inputs), interpret(after, inputs), strict=True):
        np.testing.assert_allclose(have, want, rtol=rtol, atol=rtol)
    return lifetimes(after).peak_bytes


def reversible_chain(blocks: int) -> Module:
    """Forward through reversible blocks, then backward: what a gradient does is read the blocks' inputs, last first."""
    lines = ["%x0, %i = top_k %a {k = 32, axis = 0}", "%y0, %j = top_k %b {k = 32, axis = 0}"]
    for i in range(blocks):
        lines += [f"%f{i} = tanh %y{i}", f"%fw{i} = matmul %f{i}, %w", f"%x{i + 1} = add %x{i}, %fw{i}"]
        lines += [f"%g{i} = tanh %x{i + 1}", f"%gw{i} = matmul %g{i}, %w", f"%y{i + 1} = add %y{i}, %gw{i}"]
    lines += [f"%s{blocks} = add %x{blocks}, %y{blocks}", f"%d{blocks} = softmax %s{blocks}"]
    for i in reversed(range(blocks)):
        lines += [f"%p{i} = mul %x{i}, %y{i}", f"%s{i} = add %d{i + 1}, %p{i}", f"%d{i} = softmax %s{i}"]
    body = " ".join([*lines, "return %d0"])
    return parse_module(f"func @main(%a: 32x32xf64, %b: 32x32xf64, %w: 32x32xf64) -> 32x32xf64 {{ {body} }}")


@pytest.mark.parametrize("prepare", ["dce", "fuse"], ids=["ops", "kernels"])
def test_a_reversible_chain_takes_no_memory_for_more_blocks(prepare: str) -> None:
    """Slope of the peak in the number of blocks: two maps each as they stand, none where inputs are rebuilt."""
    map_bytes = 32 * 32 * 8
    short, long = (reversible_chain(blocks) for blocks in (4, 12))
    kept = [rebuilt_after(module, prepare) for module in (short, long)]
    assert kept[1] - kept[0] == 8 * 2 * map_bytes
    rebuilt = [rebuilt_after(module, f"{prepare},rematerialise{{limit=1,rebuild=true}}") for module in (short, long)]
    assert rebuilt[1] == rebuilt[0] < kept[0]
    # Once more forward, and no more: two products a block.
    for blocks, module in ((4, short), (12, long)):
        run_pipeline(module, f"{prepare},rematerialise{{limit=1,rebuild=true}}")
        assert 2 * blocks < sum(op.name == "matmul" for op in module.walk()) <= 2 * 2 * blocks
    # Three inputs; both maps of a block and what makes the next of one of them, or what the backward adds up.
    assert rebuilt[0] <= 8 * map_bytes


def test_without_leave_nothing_is_rebuilt() -> None:
    module = reversible_chain(4)
    check_rewrite(module, "rematerialise{limit=1}")  # bit-identical
    run_pipeline(module, "rematerialise{limit=1}")
    assert not any(op.name == "sub" for op in module.main.block.ops)


@settings(max_examples=50, deadline=None)
@given(modules())
def test_rebuilt_values_are_near(module: Module) -> None:
    """Where the interpreter meets no infinity: what is lost in one cannot be had back."""
    verify(module)
    inputs = random_inputs(module.main)
    after = clone_module(module)
    run_pipeline(after, "rematerialise{limit=1,rebuild=true}")
    assert lifetimes(after).peak_bytes <= lifetimes(module).peak_bytes
    with np.errstate(all="ignore"):
        want, have = interpret(module, inputs), interpret(after, inputs)
    for one, other in zip(want, have, strict=True):
        scale = max(1.0, float(np.abs(one[np.isfinite(one)]).max(initial=0.0)))
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-4 * scale)


WIDE = """
  %a = broadcast %x {shape = [64, 4]}
  %m = reduce_max %a {axes = [0]}
  %b = broadcast %m {shape = [128, 4]}
  %s = reduce_max %b {axes = [0]}
  %d = sub %a, %s
  %e = reduce_sum %d {axes = [0]}"""


@pytest.mark.parametrize(
    "text",
    [
        f"func @f(%x: 4xf32) -> 4xf32 {{ {WIDE} return %e }}\n"
        'func @main(%x: 4xf32) -> 4xf32 { %y = call %x {callee = "f"} : 4xf32 return %y }',
        f"func @main(%t: 4xf32, %n: 3x4xf32) -> 4xf32 {{ %o = scan %t, %n {{length = 3, states = 1}} body"
        f"(%x: 4xf32, %i: 4xf32) {{ {WIDE} %z = add %e, %i yield %z }} return %o }}",
        f"func @main(%x: 4xf32, %c: bool) -> 4xf32 {{ %o = if %c then() {{ {WIDE} yield %e }} "
        "else() { %z = neg %x yield %z } return %o }",
    ],
    ids=["function", "loop", "branch"],
)
def test_values_in_functions_loops_and_branches_are_computed_again(text: str) -> None:
    module = parse_module(text)
    verify(module)
    before = lifetimes(module).peak_bytes
    check_rewrite(module, "rematerialise{limit=1}")
    run_pipeline(module, "rematerialise{limit=1}")
    assert before - lifetimes(module).peak_bytes == 1024


def test_values_written_in_place_are_computed_again_by_steps() -> None:
    """Eight skips of a chain, each written over what it was made of: any of them can be had from the input."""
    lines, value = [], "x"
    for i in range(8):
        lines += [f"%y{i} = tanh %{value}", f"%x{i} = softmax %y{i}"]
        value = f"x{i}"
    for i in reversed(range(8)):
        lines += [f"%s{i} = add %{value}, %y{i}", f"%z{i} = softmax %s{i}"]
        value = f"z{i}"
    module = parse_module(f"func @main(%x: 64xf32) -> 64xf32 {{ {' '.join(lines)} return %{value} }}")
    verify(module)
    assert lifetimes(module).peak_bytes == 10 * 256
    check_rewrite(module, "rematerialise{limit=1}")
    run_pipeline(module, "rematerialise{limit=1}")
    assert lifetimes(module).peak_bytes <= 5 * 256


def test_what_a_later_loop_reads_is_computed_again_before_it() -> None:
    module = parse_module("""
    func @main(%x: 4xf32, %n: 3x4xf32) -> 4xf32 {
      %a = broadcast %x {shape = [64, 4]}
      %m = reduce_max %a {axes = [0]}
      %b = broadcast %m {shape = [128, 4]}
      %s = reduce_max %b {axes = [0]}
      %o = scan %s, %n {length = 3, states = 1} body(%t: 4xf32, %i: 4xf32) {
        %d = sub %a, %t
        %e = reduce_sum %d {axes = [0]}
        %z = add %e, %i
        yield %z
      }
      return %o
    }""")
    verify(module)
    before = lifetimes(module).peak_bytes
    check_rewrite(module, "rematerialise{limit=1}")
    run_pipeline(module, "rematerialise{limit=1}")
    assert lifetimes(module).peak_bytes < before


# ---- parts of a whole


def buffers_of(body: str, signature: str = "%x: 2x4xf32, %z: 2x4xf32") -> list[list[str]]:
    """Names of the values in each buffer that has any."""
    results = "4x4xf32"
    found = lived(f"func @main({signature}) -> {results} {{ {body} }}")
    return [[value.name or "" for value in buffer.values] for buffer in found.buffers if buffer.values]


def test_operands_are_written_into_a_concatenation() -> None:
    text = "%a = exp %x %b = tanh %z %c = concat %a, %b {axis = 0} return %c"
    assert sorted(map(sorted, buffers_of(text))) == [["a", "b", "c"], ["x"], ["z"]]


@pytest.mark.parametrize(
    "body",
    [
        "%c = concat %x, %z {axis = 0} return %c",  # inputs stay where they are
        "%a = exp %x %c = concat %a, %a {axis = 0} return %c",  # one value is not in two places
        # in another order in memory: rows of both take turns
        "%a = exp %x %b = tanh %z %c = concat %a, %b {axis = 1} %d = reshape %c {shape = [4, 4]} return %d",
    ],
    ids=["inputs", "twice", "interleaved"],
)
def test_operands_that_stay_outside(body: str) -> None:
    names = buffers_of(body)
    assert all("c" not in buffer or not {"a", "b", "x", "z"} & set(buffer) for buffer in names)


def test_an_operand_that_is_read_after_the_whole_was_written_over_stays_outside() -> None:
    """%d lies where %c lay; %a is read later, so it may not be in there; nothing hinders %b."""
    body = """
      %a = exp %x %b = tanh %z
      %c = concat %a, %b {axis = 0}
      %d = neg %c
      %r = reduce_max %d {axes = [0]}
      %e = add %r, %a
      %f = concat %e, %e {axis = 0}
      return %f"""
    (whole,) = [buffer for buffer in buffers_of(body) if "c" in buffer]
    assert "a" not in whole
    assert "b" in whole


def test_no_moment_gets_fuller() -> None:
    """The whole would live from %a on, over the wide %w: it is better made late."""
    text = """
    func @main(%x: 1x4xf32) -> 65x4xf32 {
      %a = exp %x
      %w = broadcast %a {shape = [64, 64, 4]}
      %s = reduce_max %w {axes = [0, 1]}
      %b = broadcast %s {shape = [64, 4]}
      %c = concat %a, %b {axis = 0}
      return %c
    }"""
    (whole,) = [buffer for buffer in lived(text).buffers if any(v.name == "c" for v in buffer.values)]
    assert [value.name for value in whole.values if value.name] == ["c", "b"]


def test_a_slice_of_the_first_axis_is_a_part_of_its_operand() -> None:
    body = """
      %w = broadcast %x {shape = [4, 2, 4]} %v = exp %w
      %a = slice %v {starts = [0, 0, 0], size = [2, 2, 4]}
      %b = slice %v {starts = [2, 0, 0], size = [2, 2, 4]}
      %m = mul %a, %b
      %r = reshape %m {shape = [4, 4]}
      return %r"""
    assert sorted(map(sorted, buffers_of(body)))[0] == ["a", "b", "v", "w"]


def test_a_slice_is_no_part_of_what_is_written_over_while_it_is_read() -> None:
    body = """
      %w = broadcast %x {shape = [4, 2, 4]} %v = exp %w
      %a = slice %v {starts = [0, 0, 0], size = [2, 2, 4]}
      %u = neg %v
      %r = reduce_max %u {axes = [0]}
      %m = add %a, %r
      %s = reshape %m {shape = [4, 4]}
      return %s"""
    (whole,) = [buffer for buffer in buffers_of(body) if "v" in buffer]
    assert "u" in whole
    assert "a" not in whole


@pytest.mark.parametrize("seen", ["%s", "%v"], ids=["itself", "view"])
def test_a_slice_of_a_loops_state_is_no_part_of_it(seen: str) -> None:
    """The next trip's state is copied over it, while what the slice holds may be handed on too."""
    found = lived(f"""
    func @main(%x: 4x2xf32, %y: 2x2xf32, %n: 3x2xf32) -> (4x2xf32, 2x2xf32) {{
      %o, %h = scan %x, %y, %n {{length = 3, states = 2}} body(%s: 4x2xf32, %t: 2x2xf32, %i: 2xf32) {{
        %v = reshape %s {{shape = [4, 2]}}
        %p = slice {seen} {{starts = [0, 0], size = [2, 2]}}
        %w = add %s, %i
        yield %w, %p
      }}
      %a = exp %o %b = exp %h
      return %a, %b
    }}""")
    (buffer,) = [b for b in found.buffers if any(value.name == "p" for value in b.values)]
    assert [value.name for value in buffer.values] == ["p"]


def test_a_search_that_frees_nothing_is_not_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once each way; where neither lowers the peak there is nothing to do over."""
    module = parse_module("""
func @main(%x: 64x4xf32, %y: 64x4xf32) -> 64x4xf32 {
  %a = exp %x
  %b = tanh %y
  %c = reduce_max %b {axes = [0]}
  %d = sub %a, %c
  return %d
}
""")
    seen = []

    def counted(module: Module, *, keeps_inputs: bool) -> Lifetimes:
        seen.append(module)
        return lifetimes(module, keeps_inputs=keeps_inputs)

    monkeypatch.setattr("ircost.passes.rematerialise.lifetimes", counted)
    run_pipeline(module, "rematerialise{limit=1}")
    assert len(seen) == 2 * (1 + 1)  # before and behind the one copy that is tried


def test_the_given_order_is_not_weighed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each body asked for the lifetimes of its whole function: quadratic in how many bodies there are."""
    chain = "".join(f"  %v{i + 1} = tanh %v{i}\n" for i in range(5))
    module = parse_module(f"func @main(%v0: 4xf32) -> 4xf32 {{\n{chain}  return %v5\n}}")
    seen = []
    monkeypatch.setattr("ircost.passes.order_for_memory.lifetimes", lambda *_, **__: seen.append(1))
    run_pipeline(module, "order-for-memory")
    assert not seen


def test_slices_of_stacked_results_are_written_as_soon_as_they_are_there() -> None:
    """What a trip hands out is not held until the trip ends."""
    text = """
        func @main(%s: 64xf32, %n: 3x64xf32) -> (64xf32, 3x8x32xf32) {
          %o, %parts = scan %s, %n {length = 3, states = 1} body(%t: 64xf32, %i: 64xf32) {
            %wide = concat %t, %i, %t, %i {axis = 0}
            %part = reshape %wide {shape = [8, 32]}
            %sum = add %t, %i
            %high = concat %sum, %sum, %sum, %sum, %sum {axis = 0}
            %last = slice %high {starts = [0], size = [64]}
            yield %last, %part
          }
          return %o, %parts
        }"""
    found = lifetimes(parse_module(text))
    wide = next(buffer for buffer in found.buffers if buffer.size_bytes == 4 * 64 * 4)
    assert found.ops[wide.last].name == "reshape"
