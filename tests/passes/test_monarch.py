"""Transforms as products: the same numbers at every order, and the model's choice between ways."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ircost.backends import load_target
from ircost.cost_models.automatic import search_model
from ircost.ir import Builder, Function, Module, TensorType, interpret, ops
from ircost.ir.clone import clone_module
from ircost.ir.graph import Op
from ircost.ir.parser import parse_module
from ircost.ir.types import f32
from ircost.ir.verify import verify
from ircost.passes import PassContext, PassError, run_pipeline
from ircost.passes.dft_products import factorings
from ircost.passes.long_convolution import is_long_convolution, padded_length
from ircost.passes.monarch import AS_IT_IS, BY_TRANSFORM, Pricer, ways

H100 = load_target("h100_sxm")
MODEL = search_model(H100)


def transform(length: int, given: int, parts: int, inverse: bool, onesided: bool, after: int) -> Module:
    function = Function("main", [TensorType((2, given, after, parts), f32)])
    build = Builder(function.block)
    attrs = {"axis": 1, "length": length, "inverse": inverse, "onesided": onesided}
    build.op(ops.return_.create([build(ops.fft(function.arguments[0], **attrs))]))
    module = Module([function])
    verify(module)
    return module


@settings(max_examples=80, deadline=None)
@given(
    length=st.integers(2, 72),
    change=st.integers(-8, 3),
    parts=st.integers(1, 2),
    inverse=st.booleans(),
    onesided=st.booleans(),
    order=st.integers(1, 4),
    after=st.integers(1, 3),
)
def test_outputs_stay_at_every_order(
    length: int, change: int, parts: int, inverse: bool, onesided: bool, order: int, after: int
) -> None:
    module = transform(length, max(length + change, 1), parts, inverse, onesided, after)
    rewritten = clone_module(module)
    run_pipeline(rewritten, f"monarch{{order={order}}}")
    has_order = any(len(factors) == order for factors in factorings(length, order))
    assert any(op.name == "fft" for op in rewritten.walk()) != has_order
    x = np.random.default_rng(0).standard_normal(module.main.arguments[0].type.shape).astype(np.float32)
    (want,), (have,) = interpret(module, [x]), interpret(rewritten, [x])
    np.testing.assert_allclose(have, want, atol=1e-5 * max(np.abs(want).max(), 1), rtol=0)


@given(st.integers(2, 5000))
def test_factors_multiply_to_the_length(length: int) -> None:
    for factors in factorings(length, 4):
        assert math.prod(factors) == length and min(factors) > 1


def convolution(steps: int, window: int, begin: int, end: int, channels: int = 3) -> Module:
    out = steps + begin + end - window + 1
    weights = ops.constant_of(np.random.default_rng(1).standard_normal((channels, 1, window)).astype(np.float32))
    function = Function("main", [TensorType((2, channels, steps), f32)])
    build = Builder(function.block)
    y = build(ops.conv(function.arguments[0], weights, pads=((begin, end),)))
    assert y.type.shape == (2, channels, out)
    build.op(ops.return_.create([y]))
    module = Module([function])
    verify(module)
    return module


@settings(max_examples=40, deadline=None)
@given(
    steps=st.integers(1, 40), window=st.integers(1, 40), begin=st.integers(0, 40), end=st.integers(0, 9), way=st.data()
)
def test_convolutions_stay_by_every_way(steps: int, window: int, begin: int, end: int, way: st.DataObject) -> None:
    if steps + begin + end < window or steps + begin + end < 2:
        return
    module = convolution(steps, window, begin, end)
    rewritten = clone_module(module)
    conv = next(op for op in rewritten.walk() if op.name == "conv")
    found = dict(ways(conv, 1 << 26))
    name = way.draw(st.sampled_from(list(found)))
    choose(rewritten, conv, found[name])
    x = np.random.default_rng(0).standard_normal((2, 3, steps)).astype(np.float32)
    (want,), (have,) = interpret(module, [x]), interpret(rewritten, [x])
    np.testing.assert_allclose(have, want, atol=2e-5 * max(np.abs(want).max(), 1), rtol=0)


def choose(module: Module, conv: Op, build) -> None:
    from ircost.ir.rewrite import apply_patterns
    from ircost.passes.monarch import AsProducts

    apply_patterns(module, (AsProducts(lambda op: build if op is conv else None, set()),))
    verify(module)
    assert not any(op.name == "conv" for op in module.walk())


def long_conv(steps: int, window: int) -> Module:
    return parse_module(
        f"func @main(%x: 8x64x{steps}xf16, %w: 64x1x{window}xf16) -> 8x64x{steps}xf16 "
        f"{{ %y = conv %x, %w {{pads = [[{window - 1}, 0]]}} return %y }}"
    )


@pytest.mark.parametrize(("window", "is_transformed"), [(3, False), (4096, True)])
def test_long_windows_are_transformed_short_ones_are_not(window: int, is_transformed: bool) -> None:
    module = long_conv(4096, window)
    run_pipeline(module, "monarch{target=h100_sxm}")
    assert any(op.name == "conv" for op in module.walk()) != is_transformed


def test_the_cheapest_way_is_taken() -> None:
    pricer = Pricer(MODEL, H100, 1 << 26)
    conv = next(op for op in long_conv(1024, 1024).walk() if op.name == "conv")
    prices = pricer.prices(conv)
    assert list(prices)[:2] == [AS_IT_IS, BY_TRANSFORM]
    assert (pricer.cheapest(conv) is None) == (min(prices, key=lambda name: prices[name]) == AS_IT_IS)


def test_small_factors_win_as_transforms_grow() -> None:
    """Of products alone: one dense matrix at first, then two small ones."""
    pricer = Pricer(MODEL, H100, 1 << 30)
    chosen = []
    for length in (256, 16384):
        module = parse_module(
            f"func @main(%x: 64x768x{length}x2xf16) -> 64x768x{length}x2xf16 "
            f"{{ %y = fft %x {{axis = 2, length = {length}}} return %y }}"
        )
        prices = dict(pricer.prices(next(op for op in module.walk() if op.name == "fft")))
        del prices[AS_IT_IS]
        chosen.append(min(prices, key=lambda name: prices[name])[:7])
    assert chosen == ["order 1", "order 2"]


def test_matrices_that_are_too_large_are_no_way() -> None:
    module = transform(64, 64, 2, False, False, 1)
    before = str(module)
    run_pipeline(module, "monarch{order=1,weights=1KiB}")
    assert str(module) == before


def test_twice_is_once() -> None:
    module = long_conv(2048, 2048)
    context = PassContext(H100, MODEL)
    run_pipeline(module, "monarch", context=context)
    once = str(module)
    run_pipeline(module, "monarch", context=context)
    assert str(module) == once


@pytest.mark.parametrize(
    ("text", "is_long"),
    [
        ("%x: 1x4x64xf32, %w: 4x1x9xf32) -> 1x4x56xf32 { %y = conv %x, %w return %y }", True),
        ("%x: 1x4x64xf32, %w: 8x1x9xf32) -> 1x8x56xf32 { %y = conv %x, %w return %y }", False),
        ("%x: 1x4x64xf32, %w: 4x4x9xf32) -> 1x4x56xf32 { %y = conv %x, %w return %y }", False),
        ("%x: 1x4x64xf32, %w: 4x1x9xf32) -> 1x4x28xf32 { %y = conv %x, %w {strides = [2]} return %y }", False),
    ],
)
def test_which_convolutions_may_be_transformed(text: str, is_long: bool) -> None:
    op = next(iter(parse_module(f"func @main({text}").main.block.ops))
    assert is_long_convolution(op) == is_long


def test_no_window_runs_around_the_end() -> None:
    conv = next(op for op in long_conv(1024, 1024).walk() if op.name == "conv")
    assert padded_length(conv) == 2048


@pytest.mark.parametrize(("pipeline", "why"), [("monarch", "needs a target"), ("monarch{order=5}", "no order 5")])
def test_what_is_wrong_is_said(pipeline: str, why: str) -> None:
    with pytest.raises(PassError, match=why):
        run_pipeline(transform(8, 8, 2, False, False, 1), pipeline)
