"""Passes over a rank: how often cascades must read it, and which of them one pass can stream."""

from __future__ import annotations

import numpy as np
import pytest

from ircost.ir.cascade import Cascade, cascade_over
from ircost.ir.graph import Op
from ircost.ir.parser import parse_module

HEAD = "func @main(%q: 2x8x4xf32, %k: 2x16x4xf32, %v: 2x16x4xf32, %bias: 2x8x16xf32, %row: 2x8x1xf32) -> 2x8x4xf32 { "
SCORES = 'contract %q, %k {notation = "b m d, b n d -> b m n"}'
MAX, SUM = "reduce_max {} {{axes = [2], keepdims = true}}", "reduce_sum {} {{axes = [2], keepdims = true}}"
SOFTMAX = (
    f"%m = {MAX.format('%s')} %e = sub %s, %m %f = exp %e %g = {SUM.format('%f')} %h = div %f, %g %y = matmul %h, %v"
)


def cascade(text: str) -> Cascade | None:
    """Over the rank that the last product sums."""
    *ops, _ = parse_module(f"{HEAD}{text} return %y }}").main.block.ops
    last = next(op for op in reversed(ops) if op.name == "matmul")
    return cascade_over(ops, last, rank_of(last))


def rank_of(product: Op) -> int:
    space = product.definition.iteration_space(product)
    assert space is not None
    return next(i for i, dim in enumerate(space.dims) if dim.is_reduction)


@pytest.mark.parametrize(
    ("text", "passes", "is_streamable"),
    [
        pytest.param(f"%s = {SCORES} %y = matmul %s, %v", 1, True, id="nothing between"),
        pytest.param(f"%s = {SCORES} %t = relu %s %y = matmul %t, %v", 1, True, id="element-wise"),
        pytest.param(f"%s = {SCORES} {SOFTMAX}", 3, True, id="softmax by hand"),
        pytest.param(f"%s = {SCORES} %h = softmax %s {{axis = 2}} %y = matmul %h, %v", 3, True, id="softmax"),
        pytest.param(f"%t = {SCORES} %s = add %t, %bias {SOFTMAX}", 3, True, id="bias"),
        pytest.param(f"%t = {SCORES} %s = mul %t, %row {SOFTMAX}", 3, True, id="scale of a row"),
        # Division by the sum put off until after the product: Nayak et al., cascade 2.
        pytest.param(
            f"%s = {SCORES} %m = {MAX.format('%s')} %e = sub %s, %m %f = exp %e %g = {SUM.format('%f')} "
            "%o = matmul %f, %v %y = div %o, %g",
            2,
            True,
            id="division put off",
        ),
        # Without the maximum: a factor once the sum is there.
        pytest.param(f"%s = {SCORES} %f = exp %s %g = {SUM.format('%f')} %h = div %f, %g %y = matmul %h, %v", 2, True),
        pytest.param(
            f"%s = {SCORES} %m = {SUM.format('%s')} %e = sub %s, %m %f = mul %e, %e %y = matmul %f, %v",
            2,
            False,
            id="square of a shift",
        ),
        pytest.param(
            f"%s = {SCORES} %m = {MAX.format('%s')} %e = sub %s, %m %f = tanh %e %y = matmul %f, %v",
            2,
            False,
            id="no factor comes out of a tanh",
        ),
        pytest.param(
            f"%s = {SCORES} %m = {MAX.format('%s')} %e = sub %s, %m %b = mul %e, %bias %f = exp %b %y = matmul %f, %v",
            2,
            False,
            id="another factor for each key",
        ),
        pytest.param(
            f"%s = {SCORES} %m = {MAX.format('%s')} %e = div %s, %m %n = {MAX.format('%e')} %f = sub %e, %n "
            "%y = matmul %f, %v",
            3,
            False,
            id="the maximum of what is divided by who knows which sign",
        ),
    ],
)
def test_passes(text: str, passes: int, is_streamable: bool) -> None:
    assert cascade(text) == Cascade(passes, is_streamable, {})


def test_a_rank_that_is_lost_between_others_is_not_followed() -> None:
    text = f"%s = {SCORES} %t = reshape %s {{shape = SHAPE}} %u = reshape %t {{shape = [2, 8, 16]}} %y = matmul %u, %v"
    assert cascade(text.replace("SHAPE", "[16, 16]")) == Cascade(1, True, {})
    assert cascade(text.replace("SHAPE", "[256]")) is None


def test_two_elements_of_the_rank_at_one_point_are_not_followed() -> None:
    scores = '%s = contract %x, %x {notation = "m d, n d -> m n"}'
    text = f"func @main(%x: 8x4xf32) -> 8x4xf32 {{ {scores} %y = matmul %s, %x return %y }}"
    product, last, _ = parse_module(text).main.block.ops
    assert cascade_over([product, last], last, rank_of(last)) is None


def test_streaming_gives_what_the_passes_give() -> None:
    """What ``is_streamable`` promises of softmax: one pass in parts, with running corrections."""
    rng = np.random.default_rng(0)
    scores, values = 4 * rng.standard_normal((8, 64)), rng.standard_normal((64, 4))
    shares = np.exp(scores - scores.max(1, keepdims=True))
    expected = shares / shares.sum(1, keepdims=True) @ values
    top, total, out = np.full((8, 1), -np.inf), np.zeros((8, 1)), np.zeros((8, 4))
    for at in range(0, 64, 16):
        part = scores[:, at : at + 16]
        moved = np.maximum(top, part.max(1, keepdims=True))
        factor, weights = np.exp(top - moved), np.exp(part - moved)
        top, total = moved, total * factor + weights.sum(1, keepdims=True)
        out = out * factor + weights @ values[at : at + 16]
    np.testing.assert_allclose(out / total, expected, rtol=1e-12)
