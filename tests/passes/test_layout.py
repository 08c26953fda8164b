"""Layouts: outputs stay, never more bytes are moved, once is enough, and the choice is the best of all."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ircost.ir import Builder, Function, Module, Op, TensorType, Value, interpret, ops
from ircost.ir.clone import clone_module
from ircost.ir.load_time import load_time_ops
from ircost.ir.parser import parse_module
from ircost.ir.types import f32
from ircost.ir.verify import verify
from ircost.passes import run_pipeline
from ircost.passes.layout_graph import A, B, Region, cheapest_orders, regions_of
from tests.passes.test_filecheck import random_inputs
from tests.random_modules import modules

PERMS = st.sampled_from([(0, 2, 3, 1), (0, 3, 1, 2), (0, 2, 3, 1), (0, 3, 1, 2), (0, 1, 3, 2), (3, 2, 1, 0)])
KINDS = st.sampled_from(
    [
        *("turn", "turn", "turn", "relu", "add", "bias", "scale", "softmax", "concat", "reduce", "drain", "pad"),
        *("slice", "cumsum", "reshape", "neg"),
    ]
)
STEPS = st.lists(st.tuples(KINDS, PERMS, st.integers(0, 3), st.integers(0, 5), st.integers(0, 5)), max_size=14)


@st.composite
def turning(draw: st.DrawFn) -> Module:
    """A module of four axes that is transposed to and fro."""
    function = Function("main", [TensorType((2, 3, 4, 5), f32)])
    build = Builder(function.block)
    values: list[Value] = [function.arguments[0]]
    for kind, perm, axis, one, two in draw(STEPS):
        x = values[one % len(values)]
        alike = [v for v in values if v.type == x.type]
        values.append(build(step(kind, x, alike[two % len(alike)], perm, axis)))
        if values[-1].type.rank != 4:
            values.pop()
    chosen = draw(st.lists(st.sampled_from(range(len(values))), min_size=1, max_size=3))
    drained = build(ops.reduce_sum(values[-1], axes=(1, 2)))
    build.op(ops.return_.create([*(values[place] for place in chosen), drained]))
    module = Module([function])
    verify(module)
    return module


def step(kind: str, x: Value, y: Value, perm: tuple[int, ...], axis: int) -> Value:
    shape = x.type.shape
    made = {
        "turn": lambda: ops.transpose(x, perm=perm),
        "relu": lambda: ops.relu(x),
        "neg": lambda: ops.neg(x),
        "add": lambda: ops.add(x, y),
        "bias": lambda: ops.add(x, ops.constant_of(np.arange(shape[-1], dtype=np.float32))),
        "scale": lambda: ops.mul(x, ops.reduce_max(y, axes=(0, 1))),
        "softmax": lambda: ops.softmax(x, axis=axis),
        "concat": lambda: ops.concat(x, y, axis=axis) if x.type.elements < 500 else ops.relu(x),
        "reduce": lambda: ops.reduce_sum(x, axes=(axis,), keepdims=True),
        "drain": lambda: ops.add(x, ops.reduce_max(x, axes=(0, 1, 2, 3))),
        "pad": lambda: ops.pad(x, pads=tuple((int(i == axis), 0) for i in range(4)), value=1.0),
        "slice": lambda: ops.slice(
            x,
            starts=tuple(int(i == axis and n > 1) for i, n in enumerate(shape)),
            size=tuple(max(n - 1, 1) if i == axis else n for i, n in enumerate(shape)),
        ),
        "cumsum": lambda: ops.cumsum(x, axis=axis),
        "reshape": lambda: ops.reshape(x, shape=(shape[0] * shape[1], 1, *shape[2:])),
    }
    return made[kind]()


def transposed(module: Module) -> tuple[int, int]:
    """Bytes that transposes at run time read and write, and how many there are."""
    found = [
        op
        for function in module.functions.values()
        for op in function.block.ops
        if op.name == "transpose" and op not in load_time_ops(function.block)
    ]
    return sum(2 * op.result.type.size_bytes for op in found), len(found)


def check_kept(module: Module, pipeline: str) -> Module:
    after = clone_module(module)
    run_pipeline(after, pipeline)
    inputs = random_inputs(module.main, seed=0)
    with np.errstate(all="ignore"):
        for have, want in zip(interpret(after, inputs), interpret(module, inputs), strict=True):
            np.testing.assert_allclose(have, want, rtol=1e-4, atol=1e-4)
    return after


@settings(max_examples=150, deadline=None)
@given(turning())
def test_outputs_stay_and_no_more_is_moved(module: Module) -> None:
    plain = clone_module(module)
    run_pipeline(plain, "cancel-transposes,dce")
    after = check_kept(module, "layout,dce")
    assert transposed(after) <= transposed(plain)


@settings(max_examples=40, deadline=None)
@given(modules())
def test_any_module_keeps_its_outputs(module: Module) -> None:
    check_kept(module, "layout")


@settings(max_examples=60, deadline=None)
@given(turning())
def test_choosing_twice_is_choosing_once(module: Module) -> None:
    run_pipeline(module, "layout")
    once = str(module)
    run_pipeline(module, "layout")
    assert str(module) == once


def cost_of(region: Region, orders: dict[Op, int]) -> int:
    """By the definition: each tensor is transposed once if any reader wants another order than it is made in."""
    total = 0
    for tensor in region.distinct_tensors():
        made = orders[tensor.maker] if tensor.maker else region.sides[tensor.root]
        wanted = {orders[reader] for reader in tensor.readers} | tensor.fixed
        total += tensor.cost if wanted - {made} else 0
    return total


@settings(max_examples=60, deadline=None)
@given(turning())
def test_the_cut_is_the_best_of_all_choices(module: Module) -> None:
    for region in regions_of(module.main.block, (0, 2, 3, 1)).regions:
        spread = any(v not in region.sides for op in region.ops for v in op.operands)
        if len(region.ops) > 10 or spread:
            continue
        cost, orders = cheapest_orders(region)
        every = itertools.product((A, B), repeat=len(region.ops))
        least = min(cost_of(region, dict(zip(region.ops, choice, strict=True))) for choice in every)
        assert cost == least == cost_of(region, orders)


def test_branches_read_what_they_did() -> None:
    text = """func @main(%x: 2x3x4xf32, %c: bool) -> 2x4x3xf32 {
      %t = transpose %x {perm = [0, 2, 1]}
      %r = relu %t
      %u = transpose %r {perm = [0, 2, 1]}
      %v = exp %u
      %w = transpose %v {perm = [0, 2, 1]}
      %y = if %c then() { %a = add %w, %r yield %a } else() { yield %r } : 2x4x3xf32
      return %y
    }"""
    module = parse_module(text)
    before = transposed(module)
    assert transposed(check_kept(module, "layout,dce")) < before


@pytest.mark.parametrize("perm", ["[0, 2, 1]", "[2, 0, 1]"])
def test_a_loop_of_both_orders_is_left_in_peace(perm: str) -> None:
    module = parse_module(
        f"func @main(%x: 3x3x3xf32) -> 3x3x3xf32 {{ %t = transpose %x {{perm = {perm}}} %y = add %x, %t return %y }}"
    )
    before = str(module)
    run_pipeline(module, "layout")
    assert str(module) == before
