"""Keys that an indexer chooses: what it wants, which that are, and attention to those alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from ircost.cost_models.kernel_table import kernel_table
from ircost.ir import Builder, Function, Module, Value, interpret, ops
from ircost.ir.errors import ShapeError
from ircost.ir.types import TensorType, f32, i64
from ircost.ir.verify import verify


def module_of(make, *arrays: np.ndarray) -> Module:
    formats = {"i": i64, "f": f32}
    function = Function("main", [TensorType(array.shape, formats[array.dtype.kind]) for array in arrays])
    build = Builder(function.block)
    results: Sequence[Value] = [build(make(*function.arguments))]
    build.op(ops.return_.create(results))
    module = Module([function])
    verify(module)
    return module


def run(make, *arrays: np.ndarray) -> np.ndarray:
    (out,) = interpret(module_of(make, *arrays), arrays)
    return out


def draw(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.standard_normal(shape).astype(np.float32) for shape in shapes]


def test_scores_are_what_heads_want_together() -> None:
    q, k, weights = draw((2, 5, 3, 4), (2, 5, 4), (2, 5, 3))
    got = run(lambda *x: ops.index_scores(*x), q, k, weights)
    each = np.maximum(np.einsum("bmhd,bnd->bmhn", q, k), 0)
    np.testing.assert_allclose(got, np.einsum("bmhn,bmh->bmn", each, weights), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("new", [1, 3])
def test_behind_a_cache_scores_are_those_of_a_prompt(new: int) -> None:
    q, k, weights, scale = draw((2, 7, 3, 4), (2, 7, 4), (2, 7, 3), (2, 7, 1))
    scale = np.abs(scale)
    whole = run(lambda q, k, w, s: ops.index_scores(q, k, w, s, has_scales=True, is_causal=True), q, k, weights, scale)
    assert np.isneginf(whole[:, 0, 1:]).all()
    got = run(
        lambda q, k, w, p, s, t: ops.index_scores(q, k, w, p, s, t, has_cache=True, has_scales=True, is_causal=new > 1),
        *(q[:, -new:], k[:, -new:], weights[:, -new:], k[:, :-new], scale[:, -new:], scale[:, :-new]),
    )
    np.testing.assert_allclose(got, whole[:, -new:], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("past", [0, 4])
def test_attention_to_chosen_keys_is_attention_behind_a_mask(past: int) -> None:
    q, latent, scores = draw((2, 5, 3, 8), (2, 5 + past, 1, 8), (2, 5, 5 + past))
    scores = np.where(np.arange(5 + past) > np.arange(5)[:, None] + past, -np.inf, scores).astype(np.float32)
    k = 3

    def chosen(q: Value, latent: Value, scores: Value, *past: Value) -> Value:
        places = ops.chosen_keys(scores, k=k, is_causal=True)
        return ops.chosen_attention(q, latent, *past, places, latent_width=6, scale=0.5)

    got = run(chosen, q, latent[:, past:], scores, *([latent[:, :past]] if past else []))
    is_chosen = np.zeros(scores.shape, bool)
    np.put_along_axis(is_chosen, np.argsort(-scores, axis=2, kind="stable")[..., :k], True, axis=2)
    is_chosen &= np.isfinite(scores)
    logits = np.where(is_chosen[:, :, None], np.einsum("bmhd,bnd->bmhn", q, latent[:, :, 0]) * 0.5, -np.inf)
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    np.testing.assert_allclose(got, np.einsum("bmhn,bne->bmhe", shares, latent[:, :, 0, :6]), rtol=1e-4, atol=1e-5)


def test_scores_that_nobody_sees_count_nothing() -> None:
    q, k, weights = draw((1, 8, 3, 4), (1, 8, 4), (1, 8, 3))
    whole, half = (
        module_of(lambda *x, causal=causal: ops.index_scores(*x, is_causal=causal), q, k, weights)
        for causal in (False, True)
    )
    macs = [kernel_table(module).macs.sum() for module in (whole, half)]
    assert macs == [8 * 8 * 3 * 4, 36 * 3 * 4]


def test_no_more_is_read_than_is_chosen() -> None:
    q, new, past = draw((2, 1, 3, 8), (2, 1, 1, 8), (2, 99, 1, 8))
    places = np.arange(20).reshape(2, 1, 10)
    module = module_of(lambda *x: ops.chosen_attention(*x, latent_width=6, scale=0.5), q, new, past, places)
    rows = 2 * 10 * 8 * 4  # ten of a hundred, of both sequences
    assert kernel_table(module).read_bytes.sum() == pytest.approx(rows + q.nbytes + places.nbytes, abs=2)


def test_keys_that_do_not_fit_are_refused() -> None:
    q, k, weights = draw((1, 5, 3, 8), (1, 5, 7), (1, 5, 3))
    with pytest.raises(ShapeError, match="index_scores: q is"):
        run(lambda *x: ops.index_scores(*x), q, k, weights)
