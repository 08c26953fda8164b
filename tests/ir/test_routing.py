"""Routers against those of models, and the next token by its probability."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from op_support import RANDOM, check, floats, run

from ircost.cost_models.kernel_table import kernel_table
from ircost.ir import ops
from ircost.ir.attributes import Attribute
from ircost.ir.errors import IrcError
from ircost.ir.parser import parse_module

T, N = 7, 16


def highest(scores: np.ndarray, k: int) -> np.ndarray:
    return np.argsort(-scores, axis=-1, kind="stable")[..., :k]


def shares_of(scores: np.ndarray, found: np.ndarray) -> np.ndarray:
    return np.take_along_axis(scores, found, axis=1)


def test_softmax_then_the_highest() -> None:
    """Mixtral and Qwen-MoE with norm_topk_prob, OLMoE and Qwen2-MoE without."""
    logits = floats(T, N)
    scores = scipy.special.softmax(logits, axis=1)
    found = highest(scores, 3)
    shares = shares_of(scores, found)
    check(lambda x: ops.expert_routing.results(x, k=3), [shares, found], logits)
    expected = [shares / shares.sum(1, keepdims=True), found]
    check(lambda x: ops.expert_routing.results(x, k=3, is_renormalised=True), expected, logits)


def test_softmax_of_the_highest() -> None:
    """gpt-oss: the same shares as those of Mixtral."""
    logits = floats(T, N)
    found = highest(logits, 4)
    expected = [scipy.special.softmax(shares_of(logits, found), axis=1), found]
    check(lambda x: ops.expert_routing.results(x, k=4, score="softmax of chosen"), expected, logits)
    check(lambda x: ops.expert_routing.results(x, k=4, is_renormalised=True), expected, logits)


def test_sigmoid_of_the_highest() -> None:
    """Llama 4."""
    logits = floats(T, N)
    found = highest(logits, 1)
    expected = [scipy.special.expit(shares_of(logits, found)), found]
    check(lambda x: ops.expert_routing.results(x, k=1, score="sigmoid"), expected, logits)


@pytest.mark.parametrize("best", [1, 2])
def test_the_best_groups_by_biased_scores(best: int) -> None:
    """DeepSeek-V3 with the two best of each group, V2 with the best one; token by token."""
    logits, bias = floats(T, N), floats(N, low=-1.0, high=1.0)
    scores = scipy.special.expit(logits.astype(np.float64))
    found, shares = np.zeros((T, 3), np.int64), np.zeros((T, 3))
    for t in range(T):
        choice = scores[t] + bias
        groups = choice.reshape(4, 4)
        strength = np.sort(groups, axis=1)[:, -best:].sum(1)
        allowed = np.repeat(np.isin(np.arange(4), highest(strength, 2)), 4)
        found[t] = highest(np.where(allowed, choice, -np.inf), 3)
        own = scores[t, found[t]]
        shares[t] = 2.5 * own / own.sum()
    attrs: dict[str, Attribute] = {"k": 3, "score": "sigmoid", "is_renormalised": True, "factor": 2.5, "has_bias": True}
    attrs |= {"groups": 4, "chosen_groups": 2, "best_of_group": best}
    check(lambda *args: ops.expert_routing.results(*args, **attrs), [shares, found], logits, bias)


@pytest.mark.parametrize(
    "attrs",
    [
        {"k": 0},
        {"k": 17},
        {"k": 2, "score": "tanh"},
        {"k": 2, "groups": 3},
        {"k": 2, "groups": 4, "chosen_groups": 5},
        {"k": 5, "groups": 4, "chosen_groups": 1},
        {"k": 2, "groups": 4, "best_of_group": 5},
        {"k": 2, "has_bias": True},
    ],
)
def test_routers_that_do_not_fit(attrs: dict[str, Any]) -> None:
    with pytest.raises(IrcError, match=r"expert_routing|further operands"):
        run(lambda x: ops.expert_routing.results(x, **attrs), floats(T, N))


def test_a_router_is_one_kernel() -> None:
    text = "func @main(%x: 64x256xf32) -> (64x8xf32, 64x8xi64) { %s, %e = expert_routing %x {k = 8} return %s, %e }"
    ((group, *others),) = [kernel_table(parse_module(text)).parts]
    assert (group.family, group.kind, len(group), others) == ("vector", "softmax", 1, [])


# ---- the next token


def drawn(logits: np.ndarray, uniform: np.ndarray, **attrs: Attribute) -> np.ndarray:
    tokens: np.ndarray = run(lambda *args: ops.sample_token(*args, **attrs), logits, uniform)[0]
    return tokens


GRID = 1000


@pytest.mark.parametrize(("k", "top_p"), [(0, 1.0), (4, 1.0), (0, 0.7), (5, 0.6), (1, 1.0), (0, 1e-6)])
def test_tokens_come_as_often_as_they_are_likely(k: int, top_p: float) -> None:
    """Over evenly spread numbers: shares of those that stay, to one in a thousand."""
    logits = floats(12)
    shares = np.sort(scipy.special.softmax(logits / 0.8))[::-1]
    order = np.argsort(-logits)
    kept = shares[: k or 12] / shares[: k or 12].sum() if k else shares
    stays = np.cumsum(kept) - kept < top_p
    expected = np.zeros(12)
    expected[order[: len(kept)]] = np.where(stays, kept, 0) / kept[stays].sum()
    uniform = ((np.arange(GRID) + 0.5) / GRID).astype(np.float32)
    tokens = drawn(np.tile(logits, (GRID, 1)), uniform, temperature=0.8, k=k, top_p=top_p)
    np.testing.assert_allclose(np.bincount(tokens, minlength=12) / GRID, expected, atol=1.5 / GRID)


@settings(deadline=None)
@given(st.integers(1, 50), st.integers(0, 50), st.floats(0.01, 1.0), st.floats(0.05, 5.0), st.integers(0, 2**32 - 1))
def test_no_token_is_out_of_what_stays(words: int, k: int, top_p: float, temperature: float, seed: int) -> None:
    """Whatever the number, the largest below 1 included."""
    logits = np.random.default_rng(seed).standard_normal((1, words)).astype(np.float32) * 4
    for number in (0.0, 0.5, np.nextafter(np.float32(1), np.float32(0))):
        attrs: dict[str, Attribute] = {"k": min(k, words), "top_p": top_p, "temperature": temperature}
        (token,) = drawn(logits, np.array([number], np.float32), **attrs)
        rank = int((logits[0] > logits[0, token]).sum())
        assert 0 <= token < words
        assert rank < (min(k, words) or words)
        if number == 0.0:
            assert rank == 0


@pytest.mark.parametrize("attrs", [{"k": 13}, {"temperature": 0.0}, {"top_p": 0.0}, {"top_p": 1.5}])
def test_draws_that_do_not_fit(attrs: dict[str, Any]) -> None:
    with pytest.raises(IrcError, match="sample_token"):
        drawn(floats(2, 12), RANDOM.random(2).astype(np.float32), **attrs)
