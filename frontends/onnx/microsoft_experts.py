"""Mixtures of experts of com.microsoft."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ircost.frontends.onnx.microsoft_fused import MICROSOFT
from ircost.frontends.onnx.microsoft_quantised import packed
from ircost.frontends.onnx.node import Node, lowering
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.types import DTYPES

ACTIVATIONS = {"relu": "relu", "gelu": "gelu_tanh", "silu": "silu", "swiglu": "silu", "identity": "identity"}
GATES = {0: "none", 1: "pairs", 2: "halves"}  # by swiglu_fusion


@lowering("MoE", domain=MICROSOFT)
def moe(node: Node) -> Value:
    """Inputs: rows, logits of the router, then weights and bias of the layers up, down, and perhaps of a gated one."""
    up, down = node[2], node[4]
    biases = [node.get(3), node.get(5)]
    gated = node.get(6)
    if gated is not None:
        up = ops.concat(up, gated, axis=1)
        biases[0] = None if biases[0] is None else ops.concat(biases[0], node[7], axis=1)
    return mixture(node, up, down, biases, (), has_third=gated is not None)


@lowering("QMoE", domain=MICROSOFT)
def quantised_moe(node: Node) -> Value:
    """The same with weights of 4 or 8 bits; each layer has scales [e, n] or [e, n, blocks] behind its weights."""
    bits = node.int("expert_weight_bits", 4)
    if bits not in (2, 4, 8):
        raise node.error(f"expert_weight_bits is {bits}", help="2, 4 or 8")
    narrow = DTYPES[f"u{bits}"]
    layers = [layer(node, at, zeros, narrow.bits) for at, zeros in ((2, 11), (5, 12))]
    biases = [node.get(4), node.get(7)]
    gated = node.get(8)
    if gated is not None:
        third = layer(node, 8, 13, narrow.bits)
        zeros = layers[0][2] if layers[0][2].type.rank == 0 else ops.concat(layers[0][2], third[2], axis=1)
        layers[0] = (*(ops.concat(a, b, axis=1) for a, b in zip(layers[0][:2], third[:2], strict=True)), zeros)
        biases[0] = None if biases[0] is None else ops.concat(biases[0], node[10], axis=1)
    (up, *up_scales), (down, *down_scales) = layers
    return mixture(node, up, down, biases, (*up_scales, *down_scales), has_third=gated is not None)


def layer(node: Node, at: int, zeros_at: int, bits: int) -> tuple[Value, ...]:
    """Weights [e, n, k] in few bits, their scales [e, n, blocks], and zero points alike, or of one element."""
    weights, scales = node[at], node[at + 1]
    narrow, (experts, rows, width) = DTYPES[f"u{bits}"], weights.type.shape
    weights = packed(weights, (experts, rows, width * 8 // bits), narrow)
    blocks = scales.type.shape[2] if scales.type.rank == 3 else 1
    zeros = node.get(zeros_at)
    if zeros is None:
        point = ops.cast(ops.constant_of(np.array(2 ** (bits - 1), np.float32)), to=scales.type.dtype)
    elif bits == 8 or zeros.type.shape == scales.type.shape:
        point = ops.reshape(ops.cast(zeros, to=scales.type.dtype), shape=(experts, rows, blocks))
    else:
        per_byte = zeros.type.shape[-1] * 8 // bits
        shape = (experts, rows, per_byte) if zeros.type.rank == 3 else (experts, per_byte, 1)
        wide = ops.cast(packed(zeros, shape, narrow), to=scales.type.dtype)
        point = ops.slice(wide, starts=(0, 0, 0), size=(experts, rows, blocks))
    return weights, ops.reshape(scales, shape=(experts, rows, blocks)), point


def mixture(
    node: Node, up: Value, down: Value, biases: Sequence[Value | None], scales: Sequence[Value], has_third: bool
) -> Value:
    name, fusion = node.string("activation_type", "relu"), node.int("swiglu_fusion", 0)
    if name not in ACTIVATIONS or fusion not in GATES:
        raise node.error(f"activation_type '{name}' with swiglu_fusion = {fusion} is not known")
    gate = "halves" if has_third else GATES[fusion] if name == "swiglu" else "none"
    if name == "swiglu" and gate == "none":
        raise node.error("swiglu needs its gate: a third layer, or swiglu_fusion of 1 or 2")
    x, rows = node[0], node[0].type
    flat = x if rows.rank == 2 else ops.reshape(x, shape=(rows.elements // rows.shape[-1], rows.shape[-1]))
    shares, experts = routed(node, node[1])
    given = [bias for bias in biases if bias is not None]
    if len(given) == 1:
        zeros = [ops.scalar_like(0, w if not scales else x) for w in (up, down)]
        given = [
            b if b is not None else ops.broadcast(z, shape=w.type.shape[:2])
            for b, z, w in zip(biases, zeros, (up, down), strict=True)
        ]
    limit = node.float("swiglu_limit", 0.0)
    out = ops.mixture_of_experts(
        *(flat, shares, experts, up, down, *given, *scales),
        activation=ACTIVATIONS[name],
        gate=gate,
        slope=node.float("activation_alpha", 1.0) if name == "swiglu" else 1.0,
        offset=node.float("activation_beta", 0.0) if name == "swiglu" else 0.0,
        limit=limit if name == "swiglu" and np.isfinite(limit) else 0.0,
        has_biases=bool(given),
        has_scales=bool(scales),
    )
    return out if rows.rank == 2 else ops.reshape(out, shape=rows.shape)


def routed(node: Node, logits: Value) -> tuple[Value, Value]:
    """Shares and numbers of the k best experts of each row."""
    shares, experts = ops.top_k.results(ops.softmax(logits, axis=1), k=node.int("k", 1), axis=1, largest=True)
    if node.int("normalize_routing_weights", 0):
        shares = ops.div(shares, ops.reduce_sum(shares, axes=(1,), keepdims=True))
    return shares, experts
