"""Operators of com.microsoft against onnxruntime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ircost.frontends.onnx.backend import InterpreterBackend
from ircost.frontends.onnx.declared import TAKEN
from ircost.frontends.onnx.importer import import_model
from ircost.frontends.onnx.node import LOWERINGS
from ircost.ir.errors import IrcError
from ircost.ir.types import DTYPES

onnxruntime = pytest.importorskip("onnxruntime")
RANDOM = np.random.default_rng(5)


def floats(*shape: int) -> np.ndarray:
    return RANDOM.uniform(-1, 1, shape).astype(np.float32)


def whole(low: int, high: int, *shape: int, dtype: type = np.uint8) -> np.ndarray:
    return RANDOM.integers(low, high, shape).astype(dtype)


def model_of(
    operator: str,
    feeds: dict[str, np.ndarray | None],
    outputs: list[str],
    element_type: int = TensorProto.FLOAT,
    **attributes: Any,
) -> onnx.ModelProto:
    given = {name: array for name, array in feeds.items() if array is not None}
    node = helper.make_node(
        operator, [n if n in given else "" for n in feeds], outputs, domain="com.microsoft", name="node", **attributes
    )
    inputs = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in given.items()
    ]
    results = [helper.make_tensor_value_info(name, element_type, None) for name in outputs if name]
    domains = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(helper.make_graph([node], "g", inputs, results), opset_imports=domains, ir_version=8)


CASES: list[tuple[str, dict[str, np.ndarray | None], dict[str, Any], list[str]]] = [
    ("Gelu", {"x": floats(3, 8)}, {}, ["y"]),
    ("BiasGelu", {"x": floats(3, 8), "b": floats(8)}, {}, ["y"]),
    ("FastGelu", {"x": floats(3, 8), "b": floats(8)}, {}, ["y"]),
    ("QuickGelu", {"x": floats(3, 8)}, {}, ["y"]),
    ("QuickGelu", {"x": floats(3, 8)}, {"alpha": 1.2}, ["y"]),
    ("FusedMatMul", {"a": floats(2, 4, 3), "b": floats(5, 4)}, {"transA": 1, "transB": 1, "alpha": 0.5}, ["y"]),
    ("FusedConv", {"x": floats(1, 3, 6, 6), "w": floats(4, 3, 3, 3), "b": floats(4)}, {"activation": "Relu"}, ["y"]),
    (
        "SkipLayerNormalization",
        {"x": floats(2, 3, 8), "s": floats(2, 3, 8), "g": floats(8), "b": floats(8), "bias": floats(8)},
        {"epsilon": 1e-5},
        ["y", "", "", "sum"],
    ),
    (
        "SkipSimplifiedLayerNormalization",
        {"x": floats(2, 3, 8), "s": floats(2, 3, 8), "g": floats(8)},
        {"epsilon": 1e-5},
        ["y", "", "", "sum"],
    ),
    (
        "MatMulNBits",
        {"a": floats(3, 64), "w": whole(0, 256, 16, 2, 16), "s": floats(32)},
        {"K": 64, "N": 16, "bits": 4, "block_size": 32},
        ["y"],
    ),
    (
        "MatMulNBits",
        {"a": floats(2, 3, 48), "w": whole(0, 256, 8, 3, 8), "s": floats(24), "z": whole(0, 256, 16)},
        {"K": 48, "N": 8, "bits": 4, "block_size": 16},
        ["y"],
    ),
    (
        "DynamicQuantizeMatMul",
        {"a": floats(3, 8), "b": whole(0, 256, 8, 5), "s": np.array(0.02, np.float32), "z": np.array(128, np.uint8)},
        {},
        ["y"],
    ),
    (
        "MatMulIntegerToFloat",
        {
            **{"a": whole(0, 256, 3, 8), "b": whole(0, 256, 8, 5), "as": np.array(0.1, np.float32)},
            **{"bs": np.array(0.2, np.float32), "az": np.array(100, np.uint8), "bz": np.array(120, np.uint8)},
        },
        {},
        ["y"],
    ),
    (
        "RotaryEmbedding",
        {"x": floats(2, 5, 32), "ids": whole(0, 9, 2, 5, dtype=np.int64), "c": floats(9, 4), "s": floats(9, 4)},
        {},
        ["y"],
    ),
    (
        "RotaryEmbedding",
        {"x": floats(1, 5, 16), "ids": np.array([3]), "c": floats(9, 4), "s": floats(9, 4)},
        {"interleaved": 1},
        ["y"],
    ),
    (
        "MultiHeadAttention",
        {
            **{"q": floats(2, 3, 16), "k": floats(2, 5, 16), "v": floats(2, 5, 16), "b": floats(48), "mask": None},
            "bias": floats(1, 4, 3, 5),
        },
        {"num_heads": 4},
        ["y"],
    ),
    (
        "Attention",
        {"x": floats(2, 5, 16), "w": floats(16, 48), "b": floats(48)},
        {"num_heads": 4, "unidirectional": 1},
        ["y"],
    ),
    (
        "GroupQueryAttention",
        {
            **{"q": floats(1, 1, 64), "k": floats(1, 1, 32), "v": floats(1, 1, 32)},
            **{"pk": floats(1, 2, 6, 16), "pv": floats(1, 2, 6, 16)},
            **{"seqlens": np.array([6], np.int32), "total": np.array(7, np.int32)},
            **{"cos": floats(16, 8), "sin": floats(16, 8)},
        },
        {"num_heads": 4, "kv_num_heads": 2, "do_rotary": 1},
        ["y", "k2", "v2"],
    ),
    (
        "GroupQueryAttention",
        {
            **{"q": floats(1, 5, 128), "k": None, "v": None, "pk": None, "pv": None},
            **{"seqlens": np.array([4], np.int32), "total": np.array(5, np.int32)},
        },
        {"num_heads": 4, "kv_num_heads": 2},
        ["y", "k2", "v2"],
    ),
    (
        "MoE",
        {"x": floats(6, 8), "r": floats(6, 4), "u": floats(4, 16, 8), "ub": floats(4, 16), "d": floats(4, 8, 16)},
        {"k": 2, "activation_type": "silu", "normalize_routing_weights": 1},
        ["y"],
    ),
    (
        "MoE",
        {
            **{"x": floats(1, 8), "r": floats(1, 4), "u": floats(4, 32, 8), "ub": floats(4, 32)},
            **{"d": floats(4, 8, 16), "db": floats(4, 8)},
        },
        {
            **{"k": 2, "activation_type": "swiglu", "swiglu_fusion": 1, "swiglu_limit": 0.5},
            **{"activation_alpha": 1.702, "activation_beta": 1.0},
        },
        ["y"],
    ),
    (
        "QMoE",
        {
            **{
                "x": floats(6, 32),
                "r": floats(6, 4),
                "u": whole(0, 256, 4, 64, 16),
                "us": floats(4, 64, 2),
                "ub": None,
            },
            **{"d": whole(0, 256, 4, 32, 32), "ds": floats(4, 32, 4), "db": None, "g": None, "gs": None, "gb": None},
            **{"uz": whole(0, 256, 4, 64, 1), "dz": whole(0, 256, 4, 32, 2)},
        },
        {"k": 2, "activation_type": "relu", "normalize_routing_weights": 1, "expert_weight_bits": 4, "block_size": 16},
        ["y"],
    ),
    (
        "QMoE",
        {
            **{"x": floats(1, 32), "r": floats(1, 4), "u": whole(0, 256, 4, 64, 32), "us": floats(4, 64), "ub": None},
            **{"d": whole(0, 256, 4, 32, 64), "ds": floats(4, 32)},
        },
        {"k": 1, "activation_type": "identity", "normalize_routing_weights": 1, "expert_weight_bits": 8},
        ["y"],
    ),
    (
        "Attention",
        {
            **{"x": floats(2, 5, 16), "w": floats(16, 48), "b": floats(48)},
            **{"mask": whole(0, 2, 2, 8, dtype=np.int32), "past": floats(2, 2, 4, 3, 4)},
        },
        {"num_heads": 4, "unidirectional": 1},
        ["y", "present"],
    ),
    (
        "Attention",
        {"x": floats(2, 5, 16), "w": floats(16, 48), "b": floats(48), "ends": np.array([3, 5], np.int32)},
        {"num_heads": 4},
        ["y"],
    ),
    (
        "QAttention",
        {
            **{"x": whole(0, 256, 2, 5, 16), "w": whole(0, 256, 16, 48), "b": floats(48)},
            **{"xs": np.array(0.01, np.float32), "ws": np.array(0.02, np.float32), "mask": None},
            **{"xz": np.array(100, np.uint8), "wz": np.array(120, np.uint8), "past": floats(2, 2, 4, 3, 4)},
        },
        {"num_heads": 4},
        ["y", "present"],
    ),
    (
        "MultiHeadAttention",
        {
            **{"q": floats(2, 3, 16), "k": floats(2, 5, 16), "v": floats(2, 5, 16), "b": None},
            "padding": whole(0, 2, 2, 5, dtype=np.int32),
        },
        {"num_heads": 4},
        ["y"],
    ),
    (
        "GroupQueryAttention",
        {
            **{"q": floats(1, 5, 128), "k": None, "v": None, "pk": floats(1, 2, 0, 16), "pv": floats(1, 2, 0, 16)},
            **{"seqlens": np.array([4], np.int32), "total": np.array(5, np.int32)},
        },
        {"num_heads": 4, "kv_num_heads": 2, "local_window_size": 2, "softcap": 3.0},
        ["y", "k2", "v2"],
    ),
    (
        "GroupQueryAttention",
        {
            **{"q": floats(1, 2, 64), "k": floats(1, 2, 32), "v": floats(1, 2, 32)},
            **{"pk": floats(1, 2, 6, 16), "pv": floats(1, 2, 6, 16)},
            **{"seqlens": np.array([7], np.int32), "total": np.array(8, np.int32)},
            **{"cos": floats(16, 8), "sin": floats(16, 8), "ids": np.array([[9, 11]]), "bias": None, "s": floats(4)},
        },
        {"num_heads": 4, "kv_num_heads": 2, "do_rotary": 1},
        ["y", "k2", "v2"],
    ),
    (
        "GroupQueryAttention",
        {
            **{"q": floats(1, 3, 64), "k": floats(1, 3, 32), "v": floats(1, 3, 32), "pk": None, "pv": None},
            **{"seqlens": np.array([2], np.int32), "total": np.array(3, np.int32)},
            **{"cos": floats(16, 8), "sin": floats(16, 8), "ids": np.array([[5, 9, 1]])},
        },
        {"num_heads": 4, "kv_num_heads": 2, "do_rotary": 1, "smooth_softmax": 1, "causal": 0},
        ["y", "k2", "v2"],
    ),
    ("FusedGemm", {"a": floats(3, 5), "b": floats(6, 5), "c": floats(6)}, {"activation": "Relu", "transB": 1}, ["y"]),
    (
        "FusedGemm",
        {"a": floats(3, 5), "b": floats(5, 6), "c": floats(6)},
        {"activation": "LeakyRelu", "activation_alpha": 0.3, "alpha": 0.5, "beta": 2.0},
        ["y"],
    ),
    (
        "QGemm",
        {
            **{"a": whole(0, 256, 3, 5), "as": np.array(0.1, np.float32), "az": np.array(100, np.uint8)},
            **{"b": whole(0, 256, 6, 5), "bs": np.array(0.2, np.float32), "bz": np.array(120, np.uint8)},
            "c": whole(-900, 900, 6, dtype=np.int32),
        },
        {"transB": 1},
        ["y"],
    ),
    ("DequantizeLinear", {"x": whole(0, 65536, 4, dtype=np.uint16), "s": np.array(0.1, np.float32)}, {}, ["y"]),
    (
        "EmbedLayerNormalization",
        {
            **{"ids": whole(0, 9, 2, 4, dtype=np.int32), "segments": whole(0, 2, 2, 4, dtype=np.int32)},
            **{"words": floats(9, 8), "positions": floats(6, 8), "kinds": floats(2, 8), "g": floats(8), "b": floats(8)},
        },
        {},
        ["y", ""],
    ),
]


@pytest.mark.parametrize(("operator", "feeds", "attributes", "outputs"), CASES)
def test_as_onnxruntime(
    operator: str, feeds: dict[str, np.ndarray | None], attributes: dict[str, Any], outputs: list[str]
) -> None:
    model = model_of(operator, feeds, outputs, **attributes)
    given = {name: array for name, array in feeds.items() if array is not None}
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(None, given)
    for ours, theirs in zip(InterpreterBackend.prepare(model).run(list(given.values())), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-4)


def by(scale: float, zero: int) -> tuple[np.ndarray, np.ndarray]:
    return np.array(scale, np.float32), np.array(zero, np.uint8)


A, B, OUT, SHARE = by(0.02, 7), by(0.03, 90), by(0.05, 11), by(1 / 256, 0)
QUANTISED: list[tuple[str, Sequence[np.ndarray], dict[str, Any]]] = [
    ("QLinearAdd", (whole(0, 256, 3, 5), *A, whole(0, 256, 5), *B, *OUT), {}),
    ("QLinearMul", (whole(0, 256, 3, 5), *A, whole(0, 256, 3, 1), *B, *OUT), {}),
    ("QLinearWhere", (np.array([True, False]), whole(0, 256, 3, 2), *A, whole(0, 256, 3, 2), *B, *OUT), {}),
    ("QLinearSigmoid", (whole(0, 256, 3, 5), *A, *SHARE), {}),
    ("QLinearLeakyRelu", (whole(0, 256, 3, 5), *A, *OUT), {"alpha": 0.3}),
    ("QLinearSoftmax", (whole(0, 256, 3, 5, 2), *A, *SHARE), {"axis": 1, "opset": 13}),
    ("QLinearSoftmax", (whole(0, 256, 3, 5, 2), *A, *SHARE), {"axis": 1, "opset": 11}),
    ("QLinearConcat", (*OUT, whole(0, 256, 3, 5), *A, whole(0, 256, 3, 2), *B), {"axis": 1}),
    ("QLinearGlobalAveragePool", (whole(0, 256, 1, 3, 5, 5), *A, *B), {}),
    ("QLinearGlobalAveragePool", (whole(0, 256, 1, 5, 5, 3), *A, *B), {"channels_last": 1}),
    ("QLinearAveragePool", (whole(0, 256, 1, 3, 5, 5), *A, *B), {"kernel_shape": [2, 3], "pads": [1, 0, 0, 1]}),
    (
        "QLinearAveragePool",
        (whole(0, 256, 1, 5, 5, 3), *A, *B),
        {"kernel_shape": [2, 2], "pads": [1, 1, 0, 0], "count_include_pad": 1, "channels_last": 1},
    ),
    (
        "QGemm",
        (whole(0, 256, 5, 3), *A, whole(0, 256, 5, 6), *B, whole(-900, 900, 6, dtype=np.int32), *OUT),
        {"transA": 1, "alpha": 0.5},
    ),
    ("QuantizeLinear", (floats(3, 5), *A), {}),
]


@pytest.mark.parametrize(("operator", "arrays", "attributes"), QUANTISED)
def test_quantised_as_onnxruntime(operator: str, arrays: Sequence[np.ndarray], attributes: dict[str, Any]) -> None:
    feeds: dict[str, np.ndarray | None] = {f"i{n}": array for n, array in enumerate(arrays)}
    model = model_of(operator, feeds, ["y"], TensorProto.UINT8, **attributes)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, feeds)
    (ours,) = InterpreterBackend.prepare(model).run(list(arrays))
    assert ours.dtype == expected.dtype and len(np.unique(expected)) > 2
    # One step apart where a sum in another order falls to the other side of a half.
    np.testing.assert_allclose(ours.astype(int), expected.astype(int), atol=1)


def registered() -> dict[str, Any]:
    schemas = onnxruntime.capi.onnxruntime_pybind11_state.get_all_operator_schema()
    return {schema.name: schema for schema in schemas if schema.domain == "com.microsoft"}


@pytest.mark.parametrize("operator", sorted(name for domain, name in LOWERINGS if domain == "com.microsoft"))
def test_every_lowering_says_what_it_takes(operator: str) -> None:
    signature = TAKEN["com.microsoft", operator]
    schema = registered().get(operator)
    if schema is not None:  # SimplifiedLayerNormalization is of another domain there
        assert signature.inputs <= (len(schema.inputs) if operator != "QLinearConcat" else signature.inputs)
        assert {*signature.attributes, *signature.neutral} <= {*schema.attributes}


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"scaled": 2.0}, ["attribute scaled is not known", "did you mean scale"]),
        ({"qk_output": 1}, ["attribute qk_output = 1 is not supported, only 0"]),
        ({"k_quant_type": "PER_TENSOR"}, ["attribute k_quant_type", "= 'PER_TENSOR' is not supported, only 'NONE'"]),
    ],
)
def test_what_would_change_the_meaning_is_refused(attributes: dict[str, Any], words: list[str]) -> None:
    feeds = CASES[[case[0] for case in CASES].index("GroupQueryAttention")][1]
    with pytest.raises(IrcError) as caught:
        import_model(model_of("GroupQueryAttention", feeds, ["y"], num_heads=4, kv_num_heads=2, **attributes))
    assert all(word in caught.value.render() for word in [*words, "'node'"])


def test_weights_of_four_bits_are_read_as_such() -> None:
    feeds: dict[str, np.ndarray | None] = {"a": floats(1, 64), "w": whole(0, 256, 16, 2, 16), "s": floats(32)}
    module = import_model(model_of("MatMulNBits", feeds, ["y"], K=64, N=16, bits=4, block_size=32)).module
    (unpack,) = (op for op in module.walk() if op.name == "unpack")
    assert unpack.result.type.dtype == DTYPES["u4"]
    (product,) = (op for op in module.walk() if op.name == "block_quantised_matmul")
    assert product.definition.operand_bytes(product)[1] == 16 * 64 // 2


def test_few_rows_read_the_weights_of_their_experts_only() -> None:
    feeds: dict[str, np.ndarray | None] = {
        **{"x": floats(1, 8), "r": floats(1, 16), "u": floats(16, 32, 8), "b": None, "d": floats(16, 8, 32)}
    }
    module = import_model(model_of("MoE", feeds, ["y"], k=2)).module
    (mixture,) = (op for op in module.walk() if op.name == "mixture_of_experts")
    reads = mixture.definition.operand_bytes(mixture)
    assert [*reads[3:5]] == [2 * 32 * 8 * 4, 2 * 8 * 32 * 4]
    assert mixture.definition.counts(mixture).macs == 2 * 2 * 32 * 8 + 2 * 8
