"""Learnt biases of attention scores by the distance of query and key."""

from __future__ import annotations

import numpy as np

from ircost.frontends.config.layer_parts import BiasTable
from ircost.frontends.config.plan import Plan
from ircost.frontends.config.scope import Scope
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.types import i64


def position_bias(scope: Scope, plan: Plan, part: BiasTable) -> Value:
    """[heads, tokens, context], for all layers of a stack."""
    work = plan.workload
    heads = plan.share(part.heads, "heads")

    def make() -> np.ndarray:
        return buckets(np.arange(work.past, work.context), np.arange(work.context), part)

    name = f"buckets of distances, {part.buckets} {'both ways' if part.is_two_sided else 'back'}"
    numbers = scope.table(name, (work.rows, work.context), i64, make)
    table = scope.weight("position_bias", part.buckets, heads)
    return scope(ops.transpose(ops.gather(table, numbers, axis=0), perm=(2, 0, 1)))


def buckets(queries: np.ndarray, keys: np.ndarray, part: BiasTable) -> np.ndarray:
    """The bucket of each pair: near distances have one each, farther ones share more and more.

    Source: Raffel et al., "T5", 2020; huggingface/transformers, ``T5Attention._relative_position_bucket``.

    >>> buckets(np.array([200]), np.array([200, 199, 184, 0]), BiasTable(32, 128, 8, False)).tolist()
    [[0, 1, 16, 31]]
    """
    ahead = keys[None] - queries[:, None]
    count = part.buckets // 2 if part.is_two_sided else part.buckets
    begin = count * (ahead > 0) if part.is_two_sided else 0
    distance = np.abs(ahead) if part.is_two_sided else np.maximum(-ahead, 0)
    exact = count // 2
    far = np.log(np.maximum(distance, 1) / exact) / np.log(part.farthest / exact) * (count - exact)
    shared = np.minimum(exact + far.astype(np.int64), count - 1)
    return np.asarray(begin + np.where(distance < exact, distance, shared))
