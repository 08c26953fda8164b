"""Feed-forward layers: dense ones, and mixtures of experts with their routers."""

from __future__ import annotations

import math
from statistics import NormalDist

from ircost.frontends.config.architecture import Quantisation
from ircost.frontends.config.layer_parts import Experts, FeedForward
from ircost.frontends.config.parts import ACTIVATIONS, linear, normed, part_of, scaled
from ircost.frontends.config.plan import Plan
from ircost.frontends.config.quantised_parts import expert_scales, form_of, short_block
from ircost.frontends.config.scope import Scope
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.ops.experts import experts_met
from ircost.ir.ops.normalization import scalar_like
from ircost.ir.types import TensorType


def feed_forward(scope: Scope, plan: Plan, part: FeedForward, x: Value, name: str = "mlp") -> Value:
    """x [batch, tokens, hidden]; gate and up are one product, as all engines run them."""
    inner = plan.share(part.inner, "columns of the feed-forward layer")
    with scope.at(name):
        if part.is_gated:
            activation = ACTIVATIONS[part.activation]
            both = linear(scope, x, "gate_up", 2 * inner, part.has_bias)
            gate, up = part_of(scope, both, 0, inner), part_of(scope, both, inner, inner)
            gate = _highest(scope, gate, part.sparsity) if part.sparsity else gate
            hidden = activation(scaled(scope, gate, part.gate_factor))
            hidden = scope(ops.mul(*_clipped(hidden, up, part.limit)))
        else:
            up = linear(scope, x, "up", inner, part.has_bias)
            hidden = _learnt(scope, up) if part.activation == "xielu" else scope(ACTIVATIONS[part.activation](up))
        out = scaled(scope, linear(scope, hidden, "down", x.type.shape[-1], part.has_bias), part.factor)
        plan.exchange("all_reduce", out.type.size_bytes, "sum of the columns' parts")
        return out


def _clipped(gate: Value, up: Value, limit: float) -> tuple[Value, Value]:
    if not limit:
        return gate, up
    most = scalar_like(limit, up)
    return ops.minimum(gate, most), ops.maximum(ops.minimum(up, most), scalar_like(-limit, up))


def _learnt(scope: Scope, x: Value) -> Value:
    """xIELU: above 0 a x^2 + x / 2, below b (exp(x) - 1 - x) + x / 2, with learnt a and b of the layer.

    The weights here are a and b; checkpoints hold numbers whose softplus they are, b less one half.

    Source: Huang, Schlag, "Deriving Activation Functions Using Integration", arXiv:2411.13010; transformers,
    ``XIELUActivation``.
    """
    with scope.at("activation"):
        above, below = scope.weight("above", 1), scope.weight("below", 1)
    high = ops.relu(x)
    low = ops.sub(x, high)
    curved = ops.sub(ops.sub(ops.exp(low), scalar_like(1.0, x)), low)
    squared = ops.mul(above, ops.mul(high, high))
    return scope(ops.add(ops.add(squared, ops.mul(below, curved)), ops.mul(x, scalar_like(0.5, x))))


def _highest(scope: Scope, x: Value, sparsity: float) -> Value:
    """What each element is above the mean of its row and so many standard deviations; kernels multiply zeros as well.

    Source: huggingface/transformers, ``Gemma3nTextMLP``.
    """
    last = (x.type.rank - 1,)
    mean = scope(ops.reduce_mean(x, axes=last, keepdims=True))
    away = scope(ops.sub(x, mean))
    deviation = scope(ops.sqrt(ops.reduce_mean(ops.mul(away, away), axes=last, keepdims=True)))
    limit = ops.mul(deviation, scalar_like(NormalDist().inv_cdf(sparsity), deviation))
    return scope(ops.relu(ops.sub(away, limit)))


def experts(scope: Scope, plan: Plan, part: Experts, x: Value, routed_by: Value | None = None) -> Value:
    """Routed experts, and the shared layer where there is one; each rank has a part of each expert, or some experts.

    Args:
        routed_by: what the router reads, where that is not x.
    """
    batch, rows, hidden = x.type.shape
    count, inner, mesh = plan.local_experts(part.count), plan.expert_share(part.inner), plan.mesh
    width, first = part.latent or hidden, "gate_up" if part.is_gated else "up"
    up = 2 * inner if part.is_gated else inner
    with scope.at("experts"):
        shares, chosen = _routed(scope, part, x if routed_by is None else routed_by)
        taken = linear(scope, x, "latent_in", width) if part.latent else x
        flat = scope(ops.reshape(taken, shape=(batch * rows, width)))
        form = form_of(scope)
        dtype = form.weights if form is not None else None
        weights = [
            scope.weight(first, count, up, width, dtype=dtype),
            scope.weight("down", count, width, inner, dtype=dtype),
        ]
        biases = []
        if part.has_bias:
            biases = [
                scope.weight(f"{first}_bias", count, up),
                scope.weight("down_bias", count, width),
            ]
        scales = []
        if form is not None:
            named = zip((first, "down"), weights, strict=True)
            scales = [value for name, weight in named for value in expert_scales(scope, name, weight.type)]
        mixed = ops.mixture_of_experts(
            *(flat, shares, chosen, *weights, *biases, *scales),
            activation=part.activation,
            gate=("pairs" if part.is_interleaved else "halves") if part.is_gated else "none",
            slope=part.slope,
            offset=1.0 if part.is_interleaved else 0.0,
            limit=part.limit,
            is_limit_behind=part.is_limit_behind,
            has_biases=part.has_bias,
            has_scales=form is not None,
            is_narrow=form is not None and form.activations is not None,
            ranks=mesh.ep,
            senders=mesh.dp if mesh.sends_tokens else 1,
            balance=mesh.balance,
            block=short_block(form.block, width, inner) if form is not None else 0,
        )
        out = scope(ops.reshape(scope(mixed), shape=taken.type.shape))
        if mesh.sends_tokens:
            _note_sent(plan, part, form, batch * rows, out.type)
        if part.latent:
            # Each rank has all of it, and the sums of ranks are taken behind it, with those of the shared layer.
            out = linear(scope, out, "latent_out", hidden)
        if part.shared is not None:
            out = scope(ops.add(out, _shared(scope, plan, part, x)))
        if not mesh.sends_tokens or part.shared is not None:
            plan.exchange("all_reduce", out.type.size_bytes, "sum of the experts' parts")
        else:
            plan.exchange("all_gather", out.type.size_bytes, "results of the ranks' tokens")
        return out


def _note_sent(plan: Plan, part: Experts, form: Quantisation | None, tokens: int, out: TensorType) -> None:
    """Each rank of a group sends its part of the tokens to the ranks of their experts, once to each, and has them back.

    Tokens go out as they are multiplied, in 8 bits with a scale for each 128 elements where those are narrow, and come
    back as wide as activations; all wait for the rank that most go to. Source: deepseek-ai/DeepEP, as vLLM and SGLang
    run it.
    """
    mesh = plan.mesh
    own = -(-tokens // mesh.tp)
    met = min(own * experts_met(part.chosen, 1, mesh.ep) / mesh.balance, own * mesh.ep)
    element_bytes = out.dtype.bits / 8
    is_narrow = form is not None and form.activations is not None and form.activations.bits <= 8
    sent_bytes = 1 + 4 / 128 if is_narrow else element_bytes
    for bytes_each, purpose in (
        (sent_bytes, "tokens to their experts"),
        (element_bytes, "tokens back from their experts"),
    ):
        plan.send(math.ceil(met * out.shape[-1] * bytes_each), part.chosen, purpose)


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
    """Shares and numbers of the chosen experts, [batch * tokens, chosen] each; one kernel, as all engines run it.

    A bias of gpt-oss belongs to the logits, others to the choice alone. Groups are as good as their best expert where
    scores are a softmax (DeepSeek-V2), as their best two where they are sigmoids (V3).
    """
    batch, rows, _ = x.type.shape
    with scope.at("router"):
        if part.router_norm is not None:
            x = normed(scope, x, "norm", part.router_norm)
            x = scaled(scope, scope(ops.mul(x, scope.weight("scale", x.type.shape[-1]))), x.type.shape[-1] ** -0.5)
        logits = scope(ops.reshape(linear(scope, x, "gate", part.count), shape=(batch * rows, part.count)))
        bias = [scope.weight("bias", part.count)] if part.has_router_bias else []
        if bias and part.router == "softmax of chosen":
            logits = scope(ops.add(logits, bias.pop()))
        best = 2 if part.router == "sigmoid" else 1
        routing = ops.expert_routing.create(
            [logits, *bias],
            {
                "k": part.chosen,
                # Sigmoids are in the order of their logits: those of the chosen are the highest of all.
                "score": "sigmoid" if part.router == "sigmoid of chosen" else part.router,
                "is_renormalised": part.is_normalised and not part.router.endswith("of chosen"),
                "factor": part.factor,
                "groups": part.groups,
                "chosen_groups": part.groups_chosen,
                "best_of_group": min(best, part.count // part.groups),
                "has_bias": bool(bias),
            },
        )
        shares, chosen = scope.build.op(routing).results
        if part.has_scales:
            factors = ops.gather(scope.weight("expert_scales", part.count), chosen, axis=0)
            shares = scope(ops.mul(shares, factors))
        return shares, chosen
