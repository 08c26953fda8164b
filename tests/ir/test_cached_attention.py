"""Attention over a cache is attention over all that the cache and the new tokens hold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from ircost.ir import Builder, Function, Module, Value, interpret, ops
from ircost.ir.errors import ShapeError
from ircost.ir.types import TensorType, f32
from ircost.ir.verify import verify


def run(make, *arrays: np.ndarray) -> np.ndarray:
    function = Function("main", [TensorType(array.shape, f32) for array in arrays])
    build = Builder(function.block)
    results: Sequence[Value] = [build(make(*function.arguments))]
    build.op(ops.return_.create(results))
    module = Module([function])
    verify(module)
    (out,) = interpret(module, arrays)
    return out


def draw(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.standard_normal(shape).astype(np.float32) for shape in shapes]


@pytest.mark.parametrize("window", [0, 3])
def test_a_cache_changes_where_keys_lie_and_nothing_else(window: int) -> None:
    q, k, v = draw((2, 7, 4, 8), (2, 7, 2, 8), (2, 7, 2, 6))
    whole = run(lambda *x: ops.cached_attention(*x, scale=0.3, is_causal=True, window=window), q, k, v)
    new = run(
        lambda *x: ops.cached_attention(*x, scale=0.3, is_causal=True, window=window, has_cache=True),
        *(q[:, 5:], k[:, 5:], v[:, 5:], k[:, :5], v[:, :5]),
    )
    np.testing.assert_allclose(new, whole[:, 5:], rtol=1e-5, atol=1e-6)


def test_latents_are_keys_and_values_at_once() -> None:
    q, latent = draw((1, 5, 3, 8), (1, 5, 1, 8))
    got = run(lambda *x: ops.latent_attention(*x, latent_width=6, scale=0.5, is_causal=True), q, latent)
    want = run(lambda *x: ops.cached_attention(*x, scale=0.5, is_causal=True), q, latent, latent[..., :6])
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("width", [0, 4])
def test_rotating_neighbours_is_rotating_halves_of_another_order(width: int) -> None:
    x, angles = draw((2, 3, 1, 8), (3, 1, (width or 8) // 2))
    half, pair = np.concatenate([angles, angles], -1), np.repeat(angles, 2, -1)
    n = width or 8
    order = [*(i // 2 + (i % 2) * (n // 2) for i in range(n)), *range(n, 8)]
    halves = run(lambda *a: ops.rotary_embedding(*a, width=width), x, np.cos(half), np.sin(half))
    back = np.argsort(order)
    pairs = run(
        lambda *a: ops.rotary_embedding(*a, width=width, is_interleaved=True), x[..., order], np.cos(pair), np.sin(pair)
    )
    np.testing.assert_allclose(pairs[..., back], halves, rtol=1e-5, atol=1e-6)


def test_a_subview_is_a_box() -> None:
    (x,) = draw((3, 5, 4))
    np.testing.assert_array_equal(run(lambda v: ops.subview(v, starts=(1, 0, 2), size=(2, 5, 1)), x), x[1:, :, 2:3])


def test_without_a_cache_keys_may_be_of_another_sequence() -> None:
    q, k, v = draw((2, 3, 4, 8), (2, 5, 2, 8), (2, 5, 2, 6))
    got = run(lambda *x: ops.cached_attention(*x, scale=0.3), q, k, v)
    first = lambda x: x.transpose(0, 2, 1, 3)  # noqa: E731
    want = run(lambda *x: ops.attention(*x, scale=0.3), first(q), first(k), first(v))
    np.testing.assert_allclose(got, first(want), rtol=1e-6)


@pytest.mark.parametrize("attrs", [{"is_causal": True}, {"has_cache": True}])
def test_with_a_cache_or_a_mask_they_may_not(attrs: dict[str, bool]) -> None:
    q, k, v = draw((2, 3, 4, 8), (2, 5, 2, 8), (2, 5, 2, 6))
    with pytest.raises(ShapeError):
        run(lambda *x: ops.cached_attention(*x, scale=0.3, **attrs), q, k, v, *((k, v) if "has_cache" in attrs else ()))


@pytest.mark.parametrize("past", [0, 5])
def test_scales_of_new_rows_join_those_of_the_cache(past: int) -> None:
    """Between the cache and the sinks, of keys and of values: as attention over both has them."""
    rng = np.random.default_rng(0)

    def floats(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    rows, sinks = 3, floats(4)
    q = floats(1, rows, 4, 8)
    new, old = [floats(1, rows, 2, 8) for _ in range(2)], [floats(1, past, 2, 8) for _ in range(2)]
    own, kept = [floats(1, rows, 2, 2) for _ in range(2)], [floats(1, past, 2, 2) for _ in range(2)]
    whole = [np.concatenate(pair, axis=1) for pair in zip((*old, *kept), (*new, *own), strict=True)]
    want = run(
        lambda *x: ops.attention(*x, scale=0.3, is_causal=True, has_scales=True, has_sinks=True),
        *(x.swapaxes(1, 2) for x in (q, *whole)),
        sinks,
    )
    operands = (q, *new, *old, *own, *kept, sinks) if past else (q, *new, *own, sinks)
    got = run(
        lambda *x: ops.cached_attention(
            *x, scale=0.3, is_causal=True, has_cache=bool(past), has_scales=True, has_sinks=True
        ),
        *operands,
    )
    np.testing.assert_allclose(got, np.asarray(want).swapaxes(1, 2), rtol=1e-5, atol=1e-6)
