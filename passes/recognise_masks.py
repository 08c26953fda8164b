"""Recognises masks that are the same in every run and hide what is behind a query, as attributes of attention."""

from __future__ import annotations

import numpy as np

from ircost.ir import ops
from ircost.ir.errors import IrcError
from ircost.ir.graph import Op, Value
from ircost.ir.interpreter import evaluate_op
from ircost.ir.ops.attention import presence, split_operands
from ircost.ir.rewrite import RewritePattern

# Larger masks are not looked at, nor those that take more ops to make: models share one among their layers.
MOST_ELEMENTS = 1 << 22
MOST_OPS = 64
# exp of what a softmax gets for a hidden score is 0 in every format, as it is for -inf.
HIDDEN = -1e4


class WrittenCausalMask(RewritePattern):
    """attention(.., mask of 0 up to a query's own position and -inf behind)  ->  attention(.., is_causal, window)"""

    root = "attention"

    def __init__(self) -> None:
        self.windows: dict[Value, int | None] = {}  # of the masks that layers share; None where it is no such mask

    def rewrite(self, op: Op) -> Value | None:
        if op.attrs["is_causal"] or op.attrs["window"] or op.attrs["length"]:
            return None
        m, n = op.operands[0].type.shape[2], op.operands[1].type.shape[2]
        masks, *others = split_operands(op.operands[3:], *presence(op))
        beside = [value for group in others for value in group]
        for i, mask in enumerate(masks):
            if mask not in self.windows:
                self.windows[mask] = window_of(mask, m, n)
            window = self.windows[mask]
            if window is not None:
                rest = (*masks[:i], *masks[i + 1 :], *beside)
                return ops.attention(*op.operands[:3], *rest, **{**op.attrs, "is_causal": True, "window": window})
            parts = self._parts(mask, m, n)
            if parts is not None:
                return ops.attention(*op.operands[:3], *masks[:i], *parts, *masks[i + 1 :], *beside, **op.attrs)
        return None

    def _parts(self, mask: Value, m: int, n: int) -> tuple[Value, ...] | None:
        """The terms of a sum where one of them is a causal mask: added one after another they give the same scores."""
        producer = mask.producer
        if producer is None or producer.name != "add":
            return None
        for term in producer.operands:
            if term not in self.windows:
                self.windows[term] = window_of(term, m, n)
        return producer.operands if any(self.windows[term] is not None for term in producer.operands) else None


def window_of(mask: Value, m: int, n: int) -> int | None:
    """The window of a causal mask for m queries and n keys, 0 where it is as wide as the keys; None for any other."""
    if n < m or m < 2 or mask.type.shape[-2:] != (m, n) or mask.type.elements != m * n:
        return None
    array = known_array(mask)
    if array is None:
        return None
    seen = array.reshape(m, n) == 0
    own = np.arange(m)[:, None] + (n - m)
    window = int(seen[-1].sum())
    keys = np.arange(n)
    band = (keys <= own) & (keys > own - window)
    is_causal = bool((array.reshape(m, n)[~seen] <= HIDDEN).all() and np.array_equal(seen, band))
    return (0 if window >= n else window) if is_causal else None


def known_array(value: Value) -> np.ndarray | None:
    """What a few small ops compute from constants, those in a file included; None for anything else."""
    arrays: dict[Value, np.ndarray] = {}
    for op in makers(value):
        try:
            results = evaluate_op(op, [arrays[operand] for operand in op.operands])
        except IrcError:
            return None
        arrays.update(zip(op.results, results, strict=True))
    return arrays.get(value)


def makers(value: Value) -> list[Op]:
    """The ops behind a value, operands first; none where one of them is no pure function of constants, or large."""
    order: dict[Op, None] = {}
    stack = [(value.producer, False)]
    while stack:
        op, is_done = stack.pop()
        if op is None or len(order) > MOST_OPS or not is_small(op):
            return []
        if is_done:
            order[op] = None
        elif op not in order:
            stack.append((op, True))
            stack.extend((operand.producer, False) for operand in op.operands)
    return list(order)


def is_small(op: Op) -> bool:
    is_pure = op.definition.is_pure and op.name != "call" and (not op.regions or op.definition.is_isolated)
    return is_pure and all(r.type.elements <= MOST_ELEMENTS and not r.type.bounded for r in op.results)
