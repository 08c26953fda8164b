"""Operators that the frontend takes apart and the export puts together again: which come out, and their numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ircost.api import EXPORT_PIPELINE
from ircost.backends.onnx import to_onnx
from ircost.backends.onnx.node import node, outputs_of, values_of
from ircost.frontends import load
from ircost.ir import Builder, Function, Module, TensorType, Value, interpret, ops
from ircost.ir.numpy_dtypes import numpy_dtype
from ircost.ir.parser import parse_module
from ircost.ir.terminators import return_
from ircost.ir.types import DType, f16, f32, i8, i16, i32, i64, u8, u16, u32, u64
from ircost.passes import run_pipeline

onnxruntime = pytest.importorskip("onnxruntime")


def run(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return list(session.run(None, feeds))


def model_of(nodes: list[onnx.NodeProto], shape: tuple[int, ...], **known: np.ndarray) -> onnx.ModelProto:
    """x in, y out, both f32."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, s) for name, s in (("x", shape), ("y", None))]
    initializers = [numpy_helper.from_array(array, name) for name, array in known.items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def there_and_back(model: onnx.ModelProto, tmp_path: Any, rtol: float = 1e-5) -> list[str]:
    """Operators of the export; its outputs are those of the original."""
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    module = load(str(path)).module
    run_pipeline(module, EXPORT_PIPELINE)
    exported = to_onnx(module)
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    feeds = {"x": np.random.default_rng(0).standard_normal(shape).astype(np.float32)}
    for ours, theirs in zip(run(exported, feeds), run(model, feeds), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol)
    return [node.op_type for node in exported.graph.node]


@pytest.mark.parametrize("mode", ["half_pixel", "align_corners", "asymmetric"])
@pytest.mark.parametrize("sizes", [(8, 10), (7, 3), (4, 13)])
def test_linear_resize(mode: str, sizes: tuple[int, int], tmp_path: Any) -> None:
    attributes = {"mode": "linear", "coordinate_transformation_mode": mode}
    node = helper.make_node("Resize", ["x", "", "", "s"], ["y"], **attributes)
    model = model_of([node], (1, 2, 4, 5), s=np.array((1, 2, *sizes)))
    found = there_and_back(model, tmp_path)
    # Five columns become three of them: nothing lies between two.
    assert found[0] == "Resize"
    assert found[1:] == [] or (mode, sizes) == ("align_corners", (7, 3))


def test_a_cubic_resize_is_no_linear_one(tmp_path: Any) -> None:
    node = helper.make_node("Resize", ["x", "", "", "s"], ["y"], mode="cubic")
    assert there_and_back(model_of([node], (1, 2, 4, 5), s=np.array((1, 2, 8, 10))), tmp_path, 1e-4) != ["Resize"]


def test_an_interpolated_axis_that_is_read_elsewhere(tmp_path: Any) -> None:
    """What lies between the two steps is a result of its own: each is a Resize."""
    nodes = [
        helper.make_node("Resize", ["x", "", "", "s"], ["a"], mode="linear"),
        helper.make_node("Resize", ["a", "", "", "t"], ["b"], mode="linear"),
        helper.make_node("Exp", ["a"], ["c"]),
        helper.make_node("ReduceMax", ["c"], ["d"], keepdims=1),
        helper.make_node("Add", ["b", "d"], ["y"]),
    ]
    model = model_of(nodes, (1, 2, 4, 5), s=np.array((1, 2, 8, 5)), t=np.array((1, 2, 8, 10)))
    assert there_and_back(model, tmp_path).count("Resize") == 2


@pytest.mark.parametrize("mode", ["reflect", "edge"])
@pytest.mark.parametrize("pads", [(0, 0, 2, 1, 0, 0, 1, 3), (0, 0, 0, 4, 0, 0, 3, 0)])
def test_mirrored_pads(mode: str, pads: tuple[int, ...], tmp_path: Any) -> None:
    node = helper.make_node("Pad", ["x", "p"], ["y"], mode=mode)
    assert there_and_back(model_of([node], (1, 2, 4, 5), p=np.array(pads)), tmp_path) == ["Pad"]


@pytest.mark.parametrize(("kind", "zero"), [(np.int8, -7), (np.uint8, 100), (np.int8, 0)])
def test_linear_quantisation(kind: type, zero: int, tmp_path: Any) -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("Conv", ["d", "w"], ["c"]),
        helper.make_node("QuantizeLinear", ["c", "s", "z"], ["r"]),
        helper.make_node("DequantizeLinear", ["r", "s", "z"], ["y"]),
    ]
    weights = np.random.default_rng(1).standard_normal((3, 2, 2, 2)).astype(np.float32)
    known = {"s": np.array(0.02, np.float32), "z": np.array(zero, kind), "w": weights}
    found = there_and_back(model_of(nodes, (1, 2, 4, 5), **known), tmp_path)
    assert found == ["QuantizeLinear", "DequantizeLinear", "Conv", "QuantizeLinear", "DequantizeLinear"]


def test_averages_keep_the_opset_whose_kernel_is_fast(tmp_path: Any) -> None:
    node = helper.make_node("AveragePool", ["x"], ["y"], kernel_shape=[2, 2])
    assert there_and_back(model_of([node], (1, 2, 4, 5)), tmp_path) == ["AveragePool"]
    assert to_onnx(parse_module(POOL)).opset_import[0].version == 18


@pytest.mark.parametrize("included", [0, 1])
@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 2, 1)])
@pytest.mark.parametrize("ceil", [0, 1])
def test_averages_are_one_operator(included: int, pads: tuple[int, ...], ceil: int, tmp_path: Any) -> None:
    node = helper.make_node(
        "AveragePool",
        ["x"],
        ["y"],
        kernel_shape=[3, 3],
        strides=[2, 2],
        pads=pads,
        ceil_mode=ceil,
        count_include_pad=included,
    )
    found = there_and_back(model_of([node], (1, 2, 8, 7)), tmp_path)
    assert found[0] == "AveragePool"
    assert found == ["AveragePool"] or (included and ceil)


DIVIDED = """
func @main(%x: 1x2x8x7xDTYPE) -> 1x2x6x5xDTYPE {
  %s = sum_pool %x {window = [3, 3]}
  %c = constant dense<[COUNT]> : DTYPE
  %y = div %s, %c
  return %y
}
"""


@pytest.mark.parametrize(
    ("dtype", "count", "is_average"),
    [("f32", 9.0, True), ("f32", 9.008, False), ("f32", 9.000001, False), ("f16", 9.0, True), ("f16", 9.008, False)],
)
def test_averages_divide_by_the_count_itself(dtype: str, count: float, is_average: bool) -> None:
    nodes = assert_same(parse_module(DIVIDED.replace("DTYPE", dtype).replace("COUNT", str(count))), rtol=2e-3)
    assert ([node.op_type for node in nodes] == ["AveragePool"]) == is_average


@pytest.mark.parametrize("dtype", [f16, f32])
@pytest.mark.parametrize("size", [3, 5, 7, 10, 14])
def test_products_with_the_rounded_reciprocal_are_averages(dtype: DType, size: int) -> None:
    share = np.array(1 / size**2, numpy_dtype(dtype))
    types = [TensorType((1, 2, 16, 16), dtype)]
    module = module_of(types, lambda x: ops.mul(ops.sum_pool(x, window=(size, size)), ops.constant_of(share)))
    assert [node.op_type for node in assert_same(module, rtol=5e-3)] == ["AveragePool"]


@pytest.mark.parametrize("pool", [ops.sum_pool, ops.max_pool])
@pytest.mark.parametrize("pads", [((3, 3), (3, 3)), ((0, 4), (1, 0))])
def test_padding_as_wide_as_the_window_is_a_pad(pool: Any, pads: tuple[tuple[int, int], ...]) -> None:
    types = [TensorType((1, 2, 8, 7), f32)]
    nodes = assert_same(module_of(types, lambda x: pool(x, window=(3, 3), strides=(2, 1), pads=pads)))
    assert [node.op_type for node in nodes][:2] == ["Pad", "MaxPool" if pool is ops.max_pool else "AveragePool"]


@pytest.mark.parametrize("dtype", [i8, i16, i32, i64, u8, u16, u32, u64], ids=str)
@pytest.mark.parametrize("shift", [ops.shift_left, ops.shift_right])
def test_shifts(shift: Any, dtype: DType) -> None:
    """Of signed integers too, which BitShift does not take."""
    least, most = dtype.integer_range
    x = np.array([least, least + 1, -(dtype.is_signed * 5), 0, 1, 100, most], numpy_dtype(dtype))[:, None]
    count = np.arange(dtype.bits, dtype=numpy_dtype(dtype))
    module = module_of([TensorType(a.shape, dtype) for a in (x, count)], shift)
    model = to_onnx(module)
    onnx.checker.check_model(model, full_check=True)
    names = [info.name for info in model.graph.input]
    (ours,) = run(model, dict(zip(names, (x, count), strict=True)))
    np.testing.assert_array_equal(ours, interpret(module, [x, count])[0])


@pytest.mark.parametrize("operator", ["ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp"])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_reductions_of_functions(operator: str, keepdims: int, tmp_path: Any) -> None:
    node = helper.make_node(operator, ["x", "a"], ["y"], keepdims=keepdims)
    assert there_and_back(model_of([node], (1, 2, 8, 7), a=np.array([1, 3])), tmp_path) == [operator]


ALONE: list[tuple[str, tuple[int, ...], dict[str, Any]]] = [
    ("GlobalAveragePool", (1, 2, 8, 7), {}),
    ("Softsign", (2, 3), {}),
    ("ThresholdedRelu", (2, 3), {"alpha": 0.3}),
    ("SpaceToDepth", (2, 3, 4, 6), {"blocksize": 2}),
    ("DepthToSpace", (2, 12, 4, 6), {"blocksize": 2}),
    ("DepthToSpace", (2, 18, 4, 6), {"blocksize": 3, "mode": "CRD"}),
]


@pytest.mark.parametrize(("operator", "shape", "attributes"), ALONE)
def test_operators_that_stay(operator: str, shape: tuple[int, ...], attributes: dict[str, Any], tmp_path: Any) -> None:
    model = model_of([helper.make_node(operator, ["x"], ["y"], **attributes)], shape)
    assert there_and_back(model, tmp_path) == [operator]


def test_tiles(tmp_path: Any) -> None:
    model = model_of([helper.make_node("Tile", ["x", "r"], ["y"])], (2, 3, 4), r=np.array([2, 1, 3]))
    assert there_and_back(model, tmp_path) == ["Tile"]


@pytest.mark.parametrize("mode", ["half_pixel", "align_corners", "asymmetric"])
@pytest.mark.parametrize("word", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
@pytest.mark.parametrize("sizes", [(8, 10), (7, 13), (3, 2), (9, 7)])
def test_nearest_resize(mode: str, word: str, sizes: tuple[int, int], tmp_path: Any) -> None:
    """Whichever comes out, elements are the same."""
    attributes: dict[str, Any] = {"coordinate_transformation_mode": mode, "nearest_mode": word}
    node = helper.make_node("Resize", ["x", "", "", "s"], ["y"], mode="nearest", **attributes)
    found = there_and_back(model_of([node], (1, 2, 4, 5), s=np.array((1, 2, *sizes))), tmp_path)
    assert set(found) <= {"Resize", "Gather", "Slice"}


def test_a_nearest_resize_whose_positions_are_between_steps(tmp_path: Any) -> None:
    node = helper.make_node("Resize", ["x", "", "", "s"], ["y"], mode="nearest")
    assert there_and_back(model_of([node], (1, 2, 9, 9), s=np.array((1, 2, 15, 15))), tmp_path) == ["Resize"]


POOL = """
func @main(%x: 1x2x4x4xf32) -> 1x2x2x2xf32 {
  %s = sum_pool %x {window = [2, 2], strides = [2, 2], dilations = [1, 1], pads = [[0, 0], [0, 0]]}
  %c = constant dense<[0.25]> : f32
  %y = mul %s, %c
  return %y
}
"""


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_quantised_lstms_stay_what_they_are(direction: str, tmp_path: Any) -> None:
    """No standard operator is one, and the runtime of the original has it."""
    rng = np.random.default_rng(3)
    known: dict[str, np.ndarray] = {
        "w": rng.integers(0, 255, (1, 6, 16)).astype(np.uint8),
        "r": rng.integers(0, 255, (1, 4, 16)).astype(np.uint8),
        "b": rng.standard_normal((1, 32)).astype(np.float32),
        **{name: np.full(1, 0.01, np.float32) for name in ("ws", "rs")},
        **{name: np.full(1, 120, np.uint8) for name in ("wz", "rz")},
    }
    names = ["x", "w", "r", "b", "", "", "", "", "ws", "wz", "rs", "rz"]
    node = helper.make_node(
        "DynamicQuantizeLSTM", names, ["y"], domain="com.microsoft", hidden_size=4, direction=direction
    )
    model = model_of([node], (5, 1, 6), **known)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    assert "DynamicQuantizeLSTM" in there_and_back(model, tmp_path)


def module_of(types: list[TensorType], result: Any) -> Module:
    function = Function("main", types)
    build = Builder(function.block)
    value: Value = build(result(*function.arguments))
    build.op(return_.create([value]))
    return Module([function])


def random_of(type: TensorType) -> np.ndarray:
    rng = np.random.default_rng([0, *type.shape])
    if type.dtype == i64:
        return rng.integers(0, 3, type.shape)
    return rng.standard_normal(type.shape).astype(np.float16 if type.dtype == f16 else np.float32)


def assert_same(module: Module, for_runtime: str = "", rtol: float = 1e-5) -> list[onnx.NodeProto]:
    inputs = [random_of(argument.type) for argument in module.main.arguments]
    model = to_onnx(module, for_runtime)
    names = [info.name for info in model.graph.input]
    for ours, theirs in zip(run(model, dict(zip(names, inputs, strict=True))), interpret(module, inputs), strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol)
    return list(model.graph.node)


@pytest.mark.parametrize(
    ("notation", "left", "right", "operators"),
    [
        ("... m k, ... n k -> ... m n", (4, 3), (2, 5, 3), {"Transpose", "MatMul"}),
        ("... k m, ... k n -> ... m n", (2, 3, 4), (3, 5), {"Transpose", "MatMul"}),
        ("... m k, ... k n -> ... m n", (7, 2, 4, 3), (2, 3, 5), {"MatMul"}),
        ("... m k, ... k n -> ... n m", (7, 4, 3), (3, 5), {"Einsum"}),
    ],
)
def test_products_of_batches(notation: str, left: tuple[int, ...], right: tuple[int, ...], operators: set[str]) -> None:
    types = [TensorType(shape, f32) for shape in (left, right)]
    nodes = assert_same(module_of(types, lambda a, b: ops.contract(a, b, notation=notation)))
    assert {node.op_type for node in nodes} == operators


def test_products_grouped_by_expert() -> None:
    types = [TensorType((6, 4), f32), TensorType((6,), i64), TensorType((3, 5, 4), f32)]
    assert_same(module_of(types, ops.expert_matmul))


def test_half_precision_is_widened_for_processors_alone() -> None:
    types = [TensorType((3, 16), f16)]
    weight = np.random.default_rng(2).standard_normal((16, 8)).astype(np.float16)
    module = module_of(types, lambda x: ops.matmul(x, ops.constant_of(weight)))
    for runtime, formats in (("", {TensorProto.FLOAT16}), ("onnxruntime:nchw16c", {TensorProto.FLOAT})):
        assert_same(module, runtime, rtol=1e-2)
        assert {tensor.data_type for tensor in to_onnx(module, runtime).graph.initializer} == formats


LOOP = """
func @main(%x: 4xf32, %w: 4x4xf32) -> 4xf32 {
  %y, %v = while %x, %w {trip_bound = 5} condition(%a: 4xf32, %b: 4x4xf32) {
    %s = reduce_max %a {axes = [0]}
    %ten = constant dense<[10.0]> : f32
    %go = less %s, %ten
    yield %go
  } body(%a: 4xf32, %b: 4x4xf32) {
    %t = transpose %b {perm = [1, 0]}
    %e = exp %t
    %p = reduce_sum %e {axes = [0]}
    %sum = add %a, %p
    yield %sum, %b
  }
  return %y
}
"""


def test_invariants_of_loops() -> None:
    module = parse_module(LOOP)
    before = assert_same(module)
    run_pipeline(module, EXPORT_PIPELINE)
    after = assert_same(module)
    loops = [next(node for node in nodes if node.op_type == "Loop") for nodes in (before, after)]
    assert [len(loop.output) for loop in loops] == [2, 1]
    assert [node.op_type for node in after if node.op_type == "Exp"] == ["Exp"]


def test_a_view_of_a_part_is_a_slice() -> None:
    function = Function("main", [TensorType((4, 6), f32)])
    part = ops.subview(function.arguments[0], starts=(1, 2), size=(2, 3))
    build = Builder(function.block)
    build.op(return_.create([build(part)]))
    exported = to_onnx(Module([function], "view"))
    x = np.arange(24, dtype=np.float32).reshape(4, 6)
    (out,) = run(exported, {exported.graph.input[0].name: x})
    assert [node.op_type for node in exported.graph.node] == ["Slice"]
    np.testing.assert_array_equal(out, x[1:3, 2:5])


def test_nodes_behind_many_outputs_are_looked_at_once() -> None:
    """A scan of thousands of states is one node, which every one of its results reads all inputs through."""
    function = Function("main", [TensorType((2,), f32)] * 50)
    shared = node("Identity", *function.arguments)
    scan = node("Scan", *outputs_of(shared), shared, outputs=50)
    assert list(values_of(outputs_of(scan))) == list(function.arguments)
