"""Feed-forward layers: dense ones, and mixtures of experts with their routers."""

from __future__ import annotations

from ircost.frontends.config.layer_parts import Experts, FeedForward
from ircost.frontends.config.parts import ACTIVATIONS, linear, part_of, scaled
from ircost.frontends.config.plan import Plan
from ircost.frontends.config.quantised_parts import expert_scales, is_quantised
from ircost.frontends.config.scope import Scope
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.ops.normalization import scalar_like


def feed_forward(scope: Scope, plan: Plan, part: FeedForward, x: Value, name: str = "mlp") -> Value:
    """x [batch, tokens, hidden]; gate and up are one product, as all engines run them."""
    inner = plan.share(part.inner, "columns of the feed-forward layer")
    activation = ACTIVATIONS[part.activation]
    with scope.at(name):
        if part.is_gated:
            both = linear(scope, x, "gate_up", 2 * inner, part.has_bias)
            gate, up = part_of(scope, both, 0, inner), part_of(scope, both, inner, inner)
            hidden = scope(ops.mul(activation(gate), up))
        else:
            hidden = scope(activation(linear(scope, x, "up", inner, part.has_bias)))
        out = linear(scope, hidden, "down", x.type.shape[-1], part.has_bias)
        plan.exchange("all_reduce", out.type.size_bytes, "sum of the columns' parts")
        return out


def experts(scope: Scope, plan: Plan, part: Experts, x: Value) -> Value:
    """Routed experts, and the shared layer where there is one; each rank has a part of every expert."""
    batch, rows, hidden = x.type.shape
    inner = plan.share(part.inner, "columns of an expert")
    with scope.at("experts"):
        flat = scope(ops.reshape(x, shape=(batch * rows, hidden)))
        shares, chosen = _routed(scope, part, x)
        form = scope.quantisation if is_quantised(scope) else None
        dtype = form.weights if form is not None else None
        weights = [
            scope.weight("gate_up", part.count, 2 * inner, hidden, dtype=dtype),
            scope.weight("down", part.count, hidden, inner, dtype=dtype),
        ]
        biases = []
        if part.has_bias:
            biases = [
                scope.weight("gate_up_bias", part.count, 2 * inner),
                scope.weight("down_bias", part.count, hidden),
            ]
        scales = []
        if form is not None:
            named = zip(("gate_up", "down"), weights, strict=True)
            scales = [value for name, weight in named for value in expert_scales(scope, name, weight.type)]
        mixed = ops.mixture_of_experts(
            *(flat, shares, chosen, *weights, *biases, *scales),
            activation=part.activation,
            gate="pairs" if part.is_interleaved else "halves",
            slope=part.slope,
            offset=1.0 if part.is_interleaved else 0.0,
            limit=part.limit,
            has_biases=part.has_bias,
            has_scales=form is not None,
            is_narrow=form is not None and form.activations is not None,
        )
        out = scope(ops.reshape(scope(mixed), shape=x.type.shape))
        if part.shared is not None:
            out = scope(ops.add(out, _shared(scope, plan, part, x)))
        plan.exchange("all_reduce", out.type.size_bytes, "sum of the experts' parts")
        return out


def _shared(scope: Scope, plan: Plan, part: Experts, x: Value) -> Value:
    """The layer that every token passes; its sum over ranks is taken with the experts'."""
    assert part.shared is not None, "asked for where there is one"
    known = len(plan.collectives)
    out = feed_forward(scope, plan, part.shared, x, "shared")
    del plan.collectives[known:]
    if part.is_shared_gated:
        out = scope(ops.mul(out, ops.sigmoid(linear(scope, x, "shared_gate", 1))))
    return out


def _routed(scope: Scope, part: Experts, x: Value) -> tuple[Value, Value]:
    """Shares and numbers of the chosen experts, [batch * tokens, chosen] each."""
    batch, rows, _ = x.type.shape
    with scope.at("router"):
        logits = scope(ops.reshape(linear(scope, x, "gate", part.count), shape=(batch * rows, part.count)))
        if part.router == "softmax of chosen":
            logits = scope(ops.add(logits, scope.weight("bias", part.count))) if part.has_router_bias else logits
            best, chosen = _top(scope, logits, part.chosen)
            return scaled(scope, scope(ops.softmax(best)), part.factor), chosen
        if part.router == "sigmoid of chosen":
            best, chosen = _top(scope, logits, part.chosen)
            return scope(ops.sigmoid(best)), chosen
        scores = scope(ops.sigmoid(logits) if part.router == "sigmoid" else ops.softmax(logits))
        ranked = scores
        if part.has_router_bias:
            ranked = scope(ops.add(scores, scope.weight("bias", part.count)))
        if part.groups > 1:
            ranked = _in_best_groups(scope, part, ranked)
        best, chosen = _top(scope, ranked, part.chosen)
        if ranked is not scores:
            best = scope(ops.gather_elements(scores, chosen, axis=1))
        if part.is_normalised:
            best = scope(ops.div(best, ops.reduce_sum(best, axes=(1,), keepdims=True)))
        return scaled(scope, best, part.factor), chosen


def _top(scope: Scope, x: Value, count: int) -> tuple[Value, Value]:
    op = scope.build.op(ops.top_k.create([x], {"k": count, "axis": 1}))
    return op.results[0], op.results[1]


def _in_best_groups(scope: Scope, part: Experts, scores: Value) -> Value:
    """Scores of experts outside of the best groups become 0; a group is as good as its best two.

    Source: DeepSeek-AI, "DeepSeek-V3", arXiv:2412.19437, 2.1.2 (node-limited routing).
    """
    rows, count = scores.type.shape
    apart = scope(ops.reshape(scores, shape=(rows * part.groups, count // part.groups)))
    two, _ = _top(scope, apart, min(2, count // part.groups))
    group_scores = scope(ops.reshape(scope(ops.reduce_sum(two, axes=(1,))), shape=(rows, part.groups)))
    best, _ = _top(scope, group_scores, part.groups_chosen)
    least = part_of(scope, best, part.groups_chosen - 1, 1)
    is_in = scope(ops.reshape(scope(ops.greater_equal(group_scores, least)), shape=(rows, part.groups, 1)))
    grouped = scope(ops.reshape(scores, shape=(rows, part.groups, count // part.groups)))
    kept = scope(ops.where(is_in, grouped, scalar_like(0.0, grouped)))
    return scope(ops.reshape(kept, shape=(rows, count)))
