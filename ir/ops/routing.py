"""Routers of mixtures of experts: which experts a token meets, and with what shares."""

from __future__ import annotations

from ircost.ir.composite import composite
from ircost.ir.errors import AttributeTypeError, ShapeError
from ircost.ir.graph import Value
from ircost.ir.ops.constant import iota
from ircost.ir.ops.elementwise import add, as_format, div, equal, mul, sigmoid, where
from ircost.ir.ops.indexing import gather_elements, top_k
from ircost.ir.ops.movement import broadcast
from ircost.ir.ops.normalization import scalar_like, softmax
from ircost.ir.ops.recurrence import optional
from ircost.ir.ops.reduction import reduce_any, reduce_sum
from ircost.ir.ops.shape import reshape
from ircost.ir.types import TensorType, f32, i64

SCORES = ("softmax", "sigmoid", "softmax of chosen")
SMALLEST_SUM = 1e-20  # Source: deepseek-ai/DeepSeek-V3, inference/model.py


@composite
def expert_routing(
    logits: Value,
    *bias: Value,
    k: int,
    score: str = "softmax",
    is_renormalised: bool = False,
    factor: float = 1.0,
    groups: int = 1,
    chosen_groups: int = 1,
    best_of_group: int = 1,
    has_bias: bool = False,
) -> tuple[Value, ...]:
    """The ``k`` experts with the highest scores, and their scores as shares, all in f32.

    ``score``: softmax over all experts, sigmoid of each, or softmax over the logits of those that are chosen. A bias is
    added to scores for the choice alone. With ``groups`` the experts are of the ``chosen_groups`` whose
    ``best_of_group`` highest scores add up to most. Shares are ``is_renormalised`` to a sum of 1, times ``factor``.

    Shapes: logits [t, e], bias [e], where there is one. Results: shares [t, k] as the logits are, experts [t, k] of
    i64, the highest score first.
    Source: Shazeer et al. 2017; Jiang et al., "Mixtral of Experts", 2024; DeepSeek-V2, arXiv:2405.04434, and V3,
    arXiv:2412.19437, for groups, sigmoid and bias.
    """
    tokens, experts = check_router(logits, k, score, groups, chosen_groups, best_of_group)
    wide = as_format(logits, f32)
    scores = {"softmax": lambda: softmax(wide, axis=1), "sigmoid": lambda: sigmoid(wide)}.get(score, lambda: wide)()
    choice = scores
    for shift in optional(bias, (has_bias,))[0]:
        choice = add(choice, as_format(shift, f32))
    if chosen_groups < groups:
        best, _ = top_k.results(reshape(choice, shape=(tokens, groups, experts // groups)), k=best_of_group, axis=2)
        chosen = marked(reduce_sum(best, axes=(2,)), chosen_groups)
        wide_mark = broadcast(reshape(chosen, shape=(tokens, groups, 1)), shape=(tokens, groups, experts // groups))
        choice = where(reshape(wide_mark, shape=(tokens, experts)), choice, scalar_like(float("-inf"), choice))
    shares, found = top_k.results(choice, k=k, axis=1)
    if choice is not scores:
        shares = gather_elements(scores, found, axis=1)
    if score == "softmax of chosen":
        shares = softmax(shares, axis=1)
    if is_renormalised:
        total = reduce_sum(shares, axes=(1,), keepdims=True)
        shares = div(shares, add(total, scalar_like(SMALLEST_SUM, total)))
    shares = shares if factor == 1.0 else mul(shares, scalar_like(factor, shares))
    return as_format(shares, logits.type.dtype), found


def check_router(
    logits: Value, k: int, score: str, groups: int, chosen_groups: int, best_of_group: int
) -> tuple[int, int]:
    """Tokens and experts.

    Raises:
        ShapeError, AttributeTypeError: attributes do not fit the logits.
    """
    if score not in SCORES:
        raise AttributeTypeError(f"expert_routing: no score '{score}'", help=f"one of {', '.join(SCORES)}")
    if logits.type.rank != 2 or not 0 < k <= logits.type.shape[1]:
        raise ShapeError(f"expert_routing: {k} experts of logits {logits.type}", help="[tokens, experts]")
    tokens, experts = logits.type.shape
    each = experts // groups if groups > 0 and experts % groups == 0 else 0
    if not 0 < chosen_groups <= groups or not 0 < best_of_group <= each or k > chosen_groups * each:
        raise ShapeError(
            f"expert_routing: {k} experts of {chosen_groups} of {groups} groups by {best_of_group} of each, "
            f"{experts} experts in all"
        )
    return tokens, experts


def marked(scores: Value, count: int) -> Value:
    """[t, n] of bool: which are among the ``count`` highest of a row."""
    tokens, n = scores.type.shape
    _, places = top_k.results(scores, k=count, axis=1)
    ramp = iota.create((), {"axis": 0}, result_types=(TensorType((n,), i64),)).result
    return reduce_any(equal(reshape(places, shape=(tokens, count, 1)), ramp), axes=(1,))
