"""Transformers built from their sizes."""

from __future__ import annotations

import numpy as np
import pytest

from ircost.datasets.transformers import Transformer, eager_attention, gpt_block, gpt_head, parameters
from ircost.ir import interpret
from ircost.ir.verify import verify

SMALL = Transformer(batch=2, rows=5, context=5, hidden=12, heads=3, kv_heads=3, inner=48, layers=1)


def test_eager_attention_is_causal_attention() -> None:
    module = eager_attention(SMALL)
    verify(module)
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((2, 3, 5, 4)).astype(np.float16) for _ in range(3))
    seen = np.tril(np.ones((5, 5), bool))
    (found,) = interpret(module, [q, k, v, seen[None, None]])
    scores = np.where(seen, np.einsum("bhmd,bhnd->bhmn", *(x.astype(np.float64) for x in (q, k))) / 2, -np.inf)
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    want = np.einsum("bhmn,bhne->bhme", shares / shares.sum(-1, keepdims=True), v.astype(np.float64))
    np.testing.assert_allclose(found.astype(np.float64), want, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize(("hidden", "heads", "layers", "billions"), [(2048, 16, 24, 1.3), (2560, 20, 32, 2.6)])
def test_parameters_are_those_that_name_the_models(hidden: int, heads: int, layers: int, billions: float) -> None:
    sizes = Transformer(1, 128, 128, hidden, heads, heads, 4 * hidden, layers)
    block = gpt_block(sizes)
    verify(block)
    # Twelve matrices of hidden x hidden, their biases, and two norms.
    assert parameters(block) == 12 * hidden**2 + 9 * hidden + 4 * hidden
    head = gpt_head(sizes, 50264)
    verify(head)
    assert round((layers * parameters(block) + parameters(head)) / 1e9, 1) == billions
