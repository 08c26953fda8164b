"""What operators declare: an input or attribute that nobody reads could change the meaning; it is not passed over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import onnx

from ircost.frontends.onnx.node import Node
from ircost.ir.errors import did_you_mean


@dataclass(frozen=True, slots=True)
class Signature:
    """What may be written at a node.

    Args:
        inputs: how many at most.
        attributes: their names.
        neutral: further attributes, and the values at which they change nothing.
    """

    inputs: int
    attributes: frozenset[str]
    neutral: Mapping[str, tuple[object, ...]] = field(default_factory=dict)


def taken(inputs: int, attributes: str = "", **neutral: tuple[object, ...]) -> Signature:
    return Signature(inputs, frozenset(attributes.split()), neutral)


def check_declared(node: Node, domain: str) -> None:
    """Compares a node with its operator's signature; one that nobody knows passes.

    Raises:
        OnnxError: an input or an attribute is not known, or has a value at which it would matter.
    """
    signature = TAKEN.get((domain, node.proto.op_type)) or signature_of(node.proto.op_type, node.opset, domain)
    if signature is None:
        return
    for name in node.proto.input[signature.inputs :]:
        if name:
            raise node.error(f"input '{name}' is one too many: it takes {signature.inputs}")
    for attribute in node.proto.attribute:
        if attribute.name not in signature.attributes:
            check_neutral(node, attribute, signature)


def check_neutral(node: Node, attribute: onnx.AttributeProto, signature: Signature) -> None:
    known = signature.neutral.get(attribute.name)
    if known is None:
        help = did_you_mean(attribute.name, [*signature.attributes, *signature.neutral] or ["none"])
        raise node.error(f"attribute {attribute.name} is not known", help=help)
    value = onnx.helper.get_attribute_value(attribute)
    if value not in known:
        raise node.error(
            f"attribute {attribute.name} = {attribute_text(value)} is not supported, only {attribute_text(known[0])}",
            help="it changes the result, so it is not passed over",
        )


def attribute_text(value: object) -> str:
    """As users wrote it: ONNX keeps strings as bytes."""
    return repr(value.decode(errors="replace") if isinstance(value, bytes) else value)


@lru_cache(maxsize=4096)
def signature_of(op_type: str, opset: int, domain: str) -> Signature | None:
    """What ONNX itself says of an operator at an opset; None where it says nothing."""
    try:
        schema = onnx.defs.get_schema(op_type, opset, domain)
    except onnx.defs.SchemaError:
        return None
    return Signature(schema.max_input, frozenset(schema.attributes))


MANY = 1 << 31
_LSTM = "activation_alpha activation_beta activations clip direction hidden_size input_forget"
_WINDOW = "auto_pad dilations group kernel_shape pads strides"
_MOE = "activation_alpha activation_beta activation_type k normalize_routing_weights swiglu_fusion swiglu_limit"
_ROUTED: dict[str, tuple[object, ...]] = {"swiglu_limit_after_activation": (0,), "use_sparse_mixer": (0,)}
_CACHED: dict[str, tuple[object, ...]] = {"do_rotary": (0,), "past_present_share_buffer": (0,)}

# Operators that ONNX's schemas do not have: what our lowerings take of them. Attributes that say how a kernel works
# and not what it gives, such as `accuracy_level`, are taken.
# Source: the schemas that onnxruntime 1.32 registers (docs/ContribOperators.md of its repository).
TAKEN: dict[tuple[str, str], Signature] = {
    ("", "SimplifiedLayerNormalization"): taken(2, "axis epsilon stash_type"),
    **{
        ("com.microsoft", name): signature
        for name, signature in {
            "Attention": taken(
                6, "mask_filter_value num_heads qkv_hidden_sizes rotary_embedding_dim scale unidirectional", **_CACHED
            ),
            "BiasGelu": taken(2),
            "DequantizeLinear": taken(3, "axis"),
            "DynamicQuantizeLSTM": taken(12, _LSTM),
            "DynamicQuantizeMatMul": taken(5),
            "EmbedLayerNormalization": taken(9, "epsilon mask_index_type"),
            "FastGelu": taken(2),
            "FusedConv": taken(4, f"activation activation_params {_WINDOW}"),
            "FusedGemm": taken(
                3, "activation activation_alpha activation_beta activation_gamma alpha beta transA transB"
            ),
            "FusedMatMul": taken(2, "alpha transA transB", transBatchA=(0,), transBatchB=(0,)),
            "Gelu": taken(1),
            "GroupQueryAttention": taken(
                12,
                "causal do_rotary k_norm_epsilon kv_num_heads local_window_size num_heads q_norm_epsilon "
                "qk_norm_epsilon rotary_interleaved scale smooth_softmax softcap",
                k_quant_type=(b"NONE",),
                kv_cache_bit_width=(0,),
                qk_output=(0,),
                sliding_window_cache=(0,),
                v_quant_type=(b"NONE",),
            ),
            "MatMulIntegerToFloat": taken(7),
            "MatMulNBits": taken(6, "K N accuracy_level bits block_size", weight_prepacked=(0,)),
            "MoE": taken(8, _MOE, **_ROUTED),
            "MultiHeadAttention": taken(8, "mask_filter_value num_heads scale unidirectional"),
            "QAttention": taken(9, "mask_filter_value num_heads scale unidirectional", **_CACHED),
            "QGemm": taken(9, "alpha transA transB"),
            "QLinearAdd": taken(8),
            "QLinearAveragePool": taken(
                5, "auto_pad ceil_mode channels_last count_include_pad kernel_shape pads strides"
            ),
            "QLinearConcat": taken(MANY, "axis"),
            "QLinearGlobalAveragePool": taken(5, "channels_last"),
            "QLinearLeakyRelu": taken(5, "alpha"),
            "QLinearMul": taken(8),
            "QLinearSigmoid": taken(5),
            "QLinearSoftmax": taken(5, "axis opset"),
            "QLinearWhere": taken(9),
            "QMoE": taken(
                14,
                f"{_MOE} accuracy_level block_size expert_weight_bits",
                quant_type=(b"int",),
                weights_prepacked=(-1, 0),
                **_ROUTED,
            ),
            "QuantizeLinear": taken(3, "axis"),
            "QuickGelu": taken(1, "alpha"),
            "RotaryEmbedding": taken(
                4, "interleaved num_heads rotary_embedding_dim", is_packed_batching=(0,), scale=(1.0,)
            ),
            "SimplifiedLayerNormalization": taken(2, "axis epsilon stash_type"),
            "SkipLayerNormalization": taken(5, "epsilon"),
            "SkipSimplifiedLayerNormalization": taken(4, "epsilon"),
            "TransposeMatMul": taken(2, "alpha transA transB"),
        }.items()
    },
}
