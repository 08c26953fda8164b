"""Mixtures of experts: each row of a batch meets the weights of the few experts that a router picked for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from ircost.ir.attributes import Attributes
from ircost.ir.composite import CompositeOp, composite
from ircost.ir.counts import Counts
from ircost.ir.definition import Arrays, OpDefinition, register_op
from ircost.ir.errors import AttributeTypeError, DTypeError, ShapeError, did_you_mean
from ircost.ir.graph import Op, Region, Value
from ircost.ir.ops.block_scales import block_of, by_element
from ircost.ir.ops.contraction import contract
from ircost.ir.ops.elementwise import (
    add,
    as_format,
    cast,
    gelu,
    gelu_tanh,
    less,
    maximum,
    minimum,
    mul,
    relu,
    sigmoid,
    silu,
    sub,
    where,
)
from ircost.ir.ops.indexing import gather, wrap_indices
from ircost.ir.ops.movement import broadcast, slice
from ircost.ir.ops.normalization import scalar_like
from ircost.ir.ops.scaled import quantise_rows
from ircost.ir.ops.shape import reshape
from ircost.ir.types import DType, TensorType


def experts_met(rows: float, chosen: float, experts: float) -> float:
    """How many experts any row meets, on the mean, where each draws ``chosen`` of them at random, all alike.

    A row leaves an expert out with a chance of 1 - chosen / experts, and rows draw apart from one another. Trained
    routers are balanced over long runs; what rows of one batch have in common makes them meet rather fewer.

    >>> round(experts_met(32, 8, 256), 1), experts_met(1, 8, 256), experts_met(10_000, 8, 256)
    (163.3, 8.0, 256.0)
    """
    return experts * (1.0 - (1.0 - chosen / experts) ** rows) if experts else 0.0


def rows_of_busiest(rows: float, chosen: float, ranks: int, balance: float = 1.0) -> float:
    """Of all that rows choose, what falls to the rank that most falls to, on the mean.

    Ranks all alike get what chance deals out: they are taken to draw apart from one another, which is a little too few
    where rows are few. Where some are asked for more often, the busiest gets 1 / balance of the mean: no fewer than by
    chance, and no more than there are.

    >>> rows_of_busiest(1, 8, 1), round(rows_of_busiest(1, 8, 4), 1), round(rows_of_busiest(4096, 8, 8))
    (8, 3.3, 4181)
    >>> rows_of_busiest(4096, 8, 8, balance=0.8)
    5120.0
    """
    draws, chance = rows * chosen, 1 / ranks
    if ranks <= 1 or draws <= 0:
        return draws
    low, logs = binomial(draws, chance)
    below = np.minimum(np.cumsum(np.exp(logs)), 1.0)
    # The mean of a whole number is the sum over j of the chance that it is above j.
    by_chance = float(low + (1.0 - below**ranks).sum())
    return max(by_chance, min(draws * chance / balance, draws))


def binomial(draws: float, chance: float) -> tuple[int, np.ndarray]:
    """The first of the sums looked at, and logarithms of the chances of it and of those behind it, one by one.

    Sums further than twelve standard deviations from the mean are not looked at.
    """
    mean = draws * chance
    reach = 12 * math.sqrt(mean * (1 - chance)) + 12
    low, high = max(math.floor(mean - reach), 0), min(math.ceil(mean + reach), int(draws))
    sums = np.arange(low, high + 1)
    start = math.lgamma(draws + 1) - math.lgamma(low + 1) - math.lgamma(draws - low + 1)
    odds = math.log(chance) - math.log1p(-chance)
    ratios = np.log(draws - sums[:-1]) - np.log(sums[1:]) + odds
    first = start + low * odds + draws * math.log1p(-chance)
    return low, first + np.concatenate([[0.0], np.cumsum(ratios)])


class ExpertMatmul(OpDefinition):
    """out[r] = weights[expert[r]] x[r]: a product grouped by expert; no copy of the weights is made for a row.

    Shapes: x [r, k], expert [r] of integers (negative ones count from the end),
    weights [e, n, k]; out [r, n]. The traffic counts the experts that rows meet which draw them at random.
    Source: Gale et al., "MegaBlocks: Efficient Sparse Training with Mixture-of-Experts", MLSys 2023.
    """

    name = "expert_matmul"
    operand_names = ("x", "expert", "weights")

    @property
    def is_contraction(self) -> bool:
        return True

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        x, expert, weights = operands
        if (x.rank, expert.rank, weights.rank) != (2, 1, 3) or x.shape != (expert.shape[0], weights.shape[2]):
            raise ShapeError(
                f"expert_matmul: x is {x}, expert is {expert}, weights are {weights}", help="[r, k], [r], [e, n, k]"
            )
        if not expert.dtype.is_integer or x.dtype != weights.dtype:
            raise DTypeError(f"expert_matmul: formats {x.dtype}, {expert.dtype}, {weights.dtype} do not fit")
        return (TensorType((x.shape[0], weights.shape[1]), x.dtype),)

    def evaluate(self, op: Op, operands: Arrays) -> Sequence[np.ndarray]:
        x, expert, weights = operands
        expert = wrap_indices(op, expert, len(weights))
        out = np.zeros((len(x), weights.shape[1]), x.dtype)
        for number in np.unique(expert):
            rows = expert == number
            out[rows] = x[rows] @ weights[number].T
        return [out]

    def operand_bytes(self, op: Op) -> Sequence[int]:
        x, expert, weights = (operand.type for operand in op.operands)
        return x.size_bytes, expert.size_bytes, bytes_met(weights, x.shape[0], 1)

    def fewest_operand_bytes(self, op: Op) -> Sequence[int]:
        x, expert, weights = (operand.type for operand in op.operands)
        return x.size_bytes, expert.size_bytes, weights.size_bytes // max(weights.shape[0], 1) if x.shape[0] else 0

    def counts(self, op: Op) -> Counts:
        x, _, weights = (operand.type for operand in op.operands)
        return Counts(multiply_add=x.elements * weights.shape[1])


expert_matmul = register_op(ExpertMatmul())

ACTIVATIONS: dict[str, Callable[[Value], Value]] = {
    **{"silu": silu, "gelu": gelu, "gelu_tanh": gelu_tanh, "relu": relu, "identity": lambda x: x},
    "relu2": lambda x: mul(relu(x), relu(x)),
}
GATES = ("none", "halves", "pairs")


def bytes_met(weights: TensorType, rows: int, chosen: int, ranks: int = 1) -> int:
    """Of weights [e, ..], those of the experts that rows meet.

    Args:
        ranks: that hold as many experts each, all of which rows choose from.
    """
    experts = weights.shape[0] * ranks
    return round(weights.size_bytes * experts_met(rows, min(chosen, experts), experts) / max(experts, 1))


def spread(op: Op) -> tuple[int, int]:
    """Ranks that the experts of a mixture are spread over, and groups of ranks that send rows to them."""
    ranks, senders = op.attrs["ranks"], op.attrs["senders"]
    assert isinstance(ranks, int) and isinstance(senders, int), "as declared"
    return ranks, senders


class Experts(CompositeOp):
    """A mixture whose rows meet experts at random, as its traffic says, or all the same few at the fewest."""

    def operand_bytes(self, op: Op) -> Sequence[int]:
        return self._bytes(op, op.operands[2].type.shape[0] * spread(op)[1])

    def fewest_operand_bytes(self, op: Op) -> Sequence[int]:
        return self._bytes(op, min(op.operands[2].type.shape[0], 1))

    def counts_within(self, op: Op, inner: Op, counts: Counts) -> Counts:
        """Of the rows that choose experts of this rank, on the mean, whoever sent them."""
        ranks, senders = spread(op)
        return counts.share(senders, ranks) if ranks > 1 else counts

    def arithmetic_within(self, op: Op, inner: Op) -> DType | None:
        """Narrow products with weights; the sum of the experts' results, which the body yields, is none of them."""
        assert inner.block is not None, "it stands in the body"
        is_sum = inner.result in inner.block.terminator.operands
        if not op.attrs["is_narrow"] or not inner.definition.is_contraction or is_sum:
            return None
        return op.operands[3].type.dtype

    def _bytes(self, op: Op, rows: int) -> Sequence[int]:
        """With the experts that so many rows meet; zero points that all experts share are read as they are."""
        types, chosen = [operand.type for operand in op.operands], op.operands[2].type.shape[1]
        ranks, senders = spread(op)
        rows_here = min(chosen, ranks) * senders  # a row goes to so many ranks at most
        whole = [-(-types[0].size_bytes * rows_here // ranks), types[1].size_bytes, types[2].size_bytes]
        parts = [bytes_met(type, rows, chosen, ranks) if type.rank > 1 else type.size_bytes for type in types[3:]]
        return *whole, *parts


@partial(composite, kind=Experts)
def mixture_of_experts(
    x: Value,
    shares: Value,
    experts: Value,
    up: Value,
    down: Value,
    *more: Value,
    activation: str = "silu",
    gate: str = "halves",
    slope: float = 1.0,
    offset: float = 0.0,
    limit: float = 0.0,
    is_limit_behind: bool = False,
    has_biases: bool = False,
    has_scales: bool = False,
    is_narrow: bool = False,
    ranks: int = 1,
    senders: int = 1,
    balance: float = 1.0,
    block: int = 0,
) -> Value:
    """The feed-forward layers of the experts of each row, added up by the shares that the router gave them.

    With ``gate`` = halves the first half of what ``up`` gives passes the activation and multiplies the second, with
    pairs every even one does so with the odd one behind it, with none there is no gate. ``slope`` multiplies the
    sigmoid's input of a silu, ``offset`` is added to the gated half, ``limit`` is a clip of both (0: none), of the
    first behind its activation where ``is_limit_behind``. With ``is_narrow`` products are in the format of the
    weights: rows are quantised on the way.

    With ``ranks`` the weights are those of one rank of so many, the first: rows choose among ranks * e experts, and
    what other ranks hold adds nothing here. ``senders`` groups of ranks have as many rows each that they send to the
    ranks of their experts: they are counted, and their results go back to them. ``balance`` is the mean of the rows
    that ranks get over those that the busiest gets, 1 where all experts are asked for alike.

    Shapes: x [t, h], shares and experts [t, k], up [e, m, h], down [e, h, i] with m = i, or 2 i where there is a gate;
    then, where there are such, biases [e, m] and [e, h]; then scales and zero points of up [e, p, blocks] and those of
    down [e, r, blocks], p a divisor of m and r one of h, the zero points of that shape or of one element; out [t, h].
    With ``block`` as many elements of a row share a scale, and the last block may be shorter.
    Source: Shazeer et al., "Outrageously Large Neural Networks", 2017; com.microsoft::MoE-1, QMoE-1.
    """
    if activation not in ACTIVATIONS or gate not in GATES:
        raise AttributeTypeError(
            f"mixture_of_experts: activation '{activation}' or gate '{gate}' is not known",
            help=did_you_mean(activation, ACTIVATIONS) or f"gates are {', '.join(GATES)}",
        )
    t, k = experts.type.shape
    if ranks < 1 or senders < 1:
        raise AttributeTypeError(f"mixture_of_experts: {ranks} ranks, {senders} senders", help="1 at least of each")
    if not 0 < balance <= 1:
        raise AttributeTypeError(f"mixture_of_experts: balance {balance}", help="above 0, 1 at most")
    if ranks > 1:
        shares, experts = of_first_rank(shares, experts, up.type.shape[0])
    biases, scales = (more[:2], more[2:]) if has_biases else ((), more)
    expert = reshape(experts, shape=(t * k,))
    rows = broadcast(reshape(x, shape=(t, 1, x.type.shape[1])), shape=(t, k, x.type.shape[1]))
    rows = reshape(rows, shape=(t * k, x.type.shape[1]))
    hidden = layer(rounded(rows, up, is_narrow), expert, up, biases[:1], scales[:2], block)
    activate = clipped(ACTIVATIONS[activation], limit) if is_limit_behind else ACTIVATIONS[activation]
    inner = rounded(gated(hidden, activate, gate, slope, offset, limit, is_limit_behind), down, is_narrow)
    out = reshape(layer(inner, expert, down, biases[1:], scales[2:], block), shape=(t, k, down.type.shape[1]))
    return contract(shares, out, notation="t k, t k h -> t h")


def of_first_rank(shares: Value, experts: Value, held: int) -> tuple[Value, Value]:
    """Shares that are 0 of experts that are not among the first ``held``, and numbers that are."""
    is_here = less(experts, scalar_like(held, experts))
    return where(is_here, shares, scalar_like(0, shares)), where(is_here, experts, scalar_like(0, experts))


def layer(x: Value, expert: Value, weights: Value, bias: Sequence[Value], scales: Sequence[Value], block: int) -> Value:
    """Each row through the layer of its expert; where rows are fewer than experts only theirs are read."""
    dtype = x.type.dtype
    if x.type.shape[0] < weights.type.shape[0]:
        picked = [gather(part, expert, axis=0) for part in (weights, *scales[:1])]
        zeros = [gather(z, expert, axis=0) if z.type.rank == 3 else z for z in scales[1:]]
        out = contract(x, dequantised(picked[0], [*picked[1:], *zeros], dtype, block), notation="r k, r n k -> r n")
    else:
        out = expert_matmul(x, expert, dequantised(weights, scales, dtype, block))
    return add(out, gather(bias[0], expert, axis=0)) if bias else out


def rounded(x: Value, weights: Value, is_narrow: bool) -> Value:
    """What is left of x when it is quantised row by row for products in the format of the weights."""
    if not is_narrow:
        return x
    narrow, scale = quantise_rows.results(x, to=weights.type.dtype, block=x.type.shape[-1])
    return mul(cast(narrow, to=x.type.dtype), cast(scale, to=x.type.dtype))


def dequantised(weights: Value, scales: Sequence[Value], dtype: DType, block: int) -> Value:
    """[.., n, k] in ``dtype``, with a scale and a zero point for each block; as they are where there are no scales."""
    if not scales:
        return weights
    scale, zero = (as_format(part, dtype) for part in scales)
    *lead, n, k = weights.type.shape
    rows, blocks = scale.type.shape[-2:]
    size = block_of("mixture_of_experts", k, blocks, block)
    if blocks * size != k:
        scale = by_element(scale, n, k, size)
        zero = by_element(zero, n, k, size) if zero.type.rank > 1 else zero
        return mul(sub(as_format(weights, dtype), zero), scale)
    apart = as_format(reshape(weights, shape=(*lead, rows, n // rows, blocks, k // blocks)), dtype)
    each = (*lead, rows, 1, blocks, 1)
    zero = reshape(zero, shape=each) if zero.type.elements == scale.type.elements else zero
    return reshape(mul(sub(apart, zero), reshape(scale, shape=each)), shape=(*lead, n, k))


def clipped(activation: Callable[[Value], Value], limit: float) -> Callable[[Value], Value]:
    """The activation and a clip from above behind it; the same where there is no limit."""
    return (lambda x: minimum(activation(x), scalar_like(limit, x))) if limit else activation


def gated(
    x: Value,
    activation: Callable[[Value], Value],
    gate: str,
    slope: float,
    offset: float,
    limit: float,
    is_limit_behind: bool = False,
) -> Value:
    """[r, m] as [r, i]."""
    if gate == "none":
        return activation(x)
    r, m = x.type.shape
    if gate == "pairs":
        x = reshape(x, shape=(r, m // 2, 2))
        parts = [reshape(slice(x, starts=(0, 0, i), size=(r, m // 2, 1)), shape=(r, m // 2)) for i in range(2)]
    else:
        parts = [slice(x, starts=(0, i * m // 2), size=(r, m // 2)) for i in range(2)]
    first, second = parts
    if limit:
        first = first if is_limit_behind else minimum(first, scalar_like(limit, x))
        second = maximum(minimum(second, scalar_like(limit, x)), scalar_like(-limit, x))
    second = add(second, scalar_like(offset, x)) if offset else second
    if slope != 1.0:
        return mul(mul(first, sigmoid(mul(first, scalar_like(slope, x)))), second)
    return mul(activation(first), second)
