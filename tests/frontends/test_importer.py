"""Binding of inputs, and what is wrong with a graph: one message each, with place and cure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from ircost.frontends.imported import ImportOptions
from ircost.frontends.onnx.importer import import_model
from ircost.ir import interpret
from ircost.ir.errors import IrcError
from ircost.passes import run_pipeline

FLOAT = TensorProto.FLOAT


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[tuple[str, int, list[Any] | None]],
    outputs: Sequence[str] = ("y",),
    opset: int = 17,
    weights: Sequence[onnx.TensorProto] = (),
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(*info) for info in inputs],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
        list(weights),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


OPSETS = [helper.make_opsetid("", 17)]
RELU = helper.make_node("Relu", ["x"], ["y"], name="the/relu")


def shapes(proto: onnx.ModelProto, **options: Any) -> list[tuple[int, ...]]:
    imported = import_model(proto, ImportOptions(**options), file="some.onnx")
    return [argument.type.shape for argument in imported.module.main.arguments]


def refusal(proto: onnx.ModelProto, **options: Any) -> str:
    with pytest.raises(IrcError) as caught:
        import_model(proto, ImportOptions(**options), file="some.onnx")
    return caught.value.render()


def test_a_leading_dim_becomes_1_and_the_report_says_so() -> None:
    imported = import_model(model([RELU], [("x", FLOAT, ["N", 3])]))
    assert imported.module.main.arguments[0].type.shape == (1, 3)
    assert any("--dim N=" in note for note in imported.notes)


def test_dims_bind_by_name_and_shapes_as_a_whole() -> None:
    proto = model([RELU], [("x", FLOAT, ["N", "length"])])
    assert shapes(proto, dims={"N": 2, "length": 5}) == [(2, 5)]
    assert shapes(proto, shapes={"x": (4, 7)}) == [(4, 7)]
    assert shapes(model([RELU], [("x", FLOAT, None)]), shapes={"x": (4, 7)}) == [(4, 7)]
    assert shapes(model([RELU], [("x", FLOAT, [-1, 0])]), shapes={"x": (4, 7)}) == [(4, 7)]


def test_a_named_dim_in_a_shape_binds_it_in_other_inputs() -> None:
    """Else the mask of four sentences would be that of one, and broadcast."""
    add = helper.make_node("Add", ["x", "mask"], ["y"])
    proto = model([add], [("x", FLOAT, ["N", "T"]), ("mask", FLOAT, ["N", "T"])])
    assert shapes(proto, shapes={"x": (4, 9)}) == [(4, 9), (4, 9)]
    assert shapes(proto, shapes={"x": (4, 9)}, dims={"N": 1}) == [(4, 9), (1, 9)]
    assert not import_model(proto, ImportOptions(shapes={"x": (4, 9)})).notes
    two = model([add], [("x", FLOAT, ["N", "T"]), ("mask", FLOAT, ["N", "T"]), ("z", FLOAT, ["T"])])
    assert "dims: T of 'z'" in refusal(two, shapes={"x": (4, 9), "mask": (4, 1)})  # of two extents none is guessed


def test_a_dim_that_an_input_has_twice_is_listed_once() -> None:
    text = refusal(model([RELU], [("x", FLOAT, [1, "T", "T"])]))
    assert text.count("T of 'x'") == 1


def test_all_unbound_dims_are_listed_with_what_binds_them() -> None:
    text = refusal(model([RELU], [("x", FLOAT, ["N", "length"]), ("z", FLOAT, [2, None])]))
    assert "length of 'x'" in text
    assert "axis 1 of 'z'" in text
    assert "--dim length=" in text
    assert "--shape z=2," in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dims": {"lenght": 5}}, ["'lenght'", "length"]),
        ({"dims": {"length": 0}}, ["'length'", "1 or more"]),
        ({"shapes": {"x": (1, 2, 3)}}, ["1x2x3", "?x?"]),
        ({"shapes": {"y": (1, 2)}}, ["no input 'y'", "x"]),
        ({"values": {"sr": np.array(1)}}, ["no input 'sr'"]),
    ],
)
def test_a_binding_that_does_not_fit(options: dict[str, Any], words: list[str]) -> None:
    text = refusal(model([RELU], [("x", FLOAT, ["N", "length"])]), **options)
    assert all(word in text for word in words), text


def test_a_constant_without_an_output_is_told() -> None:
    constant = helper.make_node("Constant", [], [], value=helper.make_tensor("v", FLOAT, [1], [1.0]), name="lost")
    text = refusal(model([constant, RELU], [("x", FLOAT, [2])]))
    assert "Constant (opset 17): it has no output" in text and "lost" in text


def test_a_bound_value_decides_a_branch() -> None:
    branches = {
        f"{name}_branch": helper.make_graph(
            [helper.make_node(op, ["x"], [name])], name, [], [helper.make_tensor_value_info(name, FLOAT, None)]
        )
        for name, op in (("then", "Relu"), ("else", "Exp"))
    }
    proto = model(
        [
            helper.make_node("Equal", ["rate", "wanted"], ["is_wanted"]),
            helper.make_node("If", ["is_wanted"], ["y"], **branches),
        ],
        [("x", FLOAT, [3]), ("rate", TensorProto.INT64, [])],
        weights=[helper.make_tensor("wanted", TensorProto.INT64, [], [16000])],
    )
    both = import_model(proto).module
    assert any(op.name == "if" for op in both.walk())
    x = np.array([-1, 0, 2], np.float32)
    np.testing.assert_allclose(interpret(both, [x, np.array(8000)])[0], np.exp(x), rtol=1e-6)
    one = import_model(proto, ImportOptions(values={"rate": np.array(16000)})).module
    assert [op.name for op in one.walk() if op.name != "constant"] == ["relu", "return"]


def two_rates() -> onnx.ModelProto:
    """As models that take two sample rates: the branch for the other one has other shapes."""
    branches = {
        f"{name}_branch": helper.make_graph(
            [helper.make_node("Add", ["x", weight], [name], name=f"{name}/add")],
            name,
            [],
            [helper.make_tensor_value_info(name, FLOAT, None)],
        )
        for name, weight in (("then", "three"), ("else", "five"))
    }
    return model(
        [
            helper.make_node("Cast", ["rate"], ["is_high"], to=TensorProto.BOOL),
            helper.make_node("If", ["is_high"], ["y"], name="which", **branches),
        ],
        [("x", FLOAT, ["N"]), ("rate", TensorProto.INT64, [])],
        weights=[helper.make_tensor(n, FLOAT, [k], [1.0] * k) for n, k in (("three", 3), ("five", 5))],
    )


def test_a_branch_that_fits_no_input_is_not_taken() -> None:
    imported = import_model(two_rates(), ImportOptions(shapes={"x": (3,)}))
    assert [op.name for op in imported.module.walk()].count("if") == 0
    assert any("--value rate=..." in note for note in imported.notes)
    add = next(op for op in imported.module.walk() if op.name == "add")
    assert add.location is not None and add.location.nodes == ("which/then/add",)  # not 'which', as all others too
    assert shapes(two_rates(), shapes={"x": (3,)}, values={"rate": np.array(1)}) == [(3,)]
    assert "which/else/add" in refusal(two_rates(), shapes={"x": (3,)}, values={"rate": np.array(0)})


def test_branches_that_fit_no_input_say_which_input_decides() -> None:
    text = refusal(two_rates(), shapes={"x": (7,)})
    for word in ("which/then/add", "--value rate=...", "'which'"):
        assert word in text


def test_an_unknown_operator_is_named_and_never_skipped() -> None:
    node = helper.make_node("FancyThing", ["x"], ["y"], name="deep/fancy", domain="com.example")
    proto = model([node], [("x", FLOAT, [3])])
    proto.opset_import.append(helper.make_opsetid("com.example", 4))
    text = refusal(proto)
    for word in ("com.example::FancyThing", "opset 4", "deep/fancy", "some.onnx", "--allow-opaque"):
        assert word in text


def test_an_opaque_operator_stays_in_the_module() -> None:
    node = helper.make_node("FancyThing", ["x"], ["y"], name="deep/fancy", domain="com.example", axis=1)
    proto = model([node], [("x", FLOAT, [3])])
    proto.opset_import.append(helper.make_opsetid("com.example", 4))
    proto.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", FLOAT, [3]))
    (op, _) = import_model(proto, ImportOptions(allow_opaque=True)).module.main.block.ops
    assert (op.name, op.attrs["op"]) == ("opaque", "com.example::FancyThing")


def test_a_value_that_nothing_makes() -> None:
    text = refusal(model([helper.make_node("Relu", ["xx"], ["y"], name="the/relu")], [("x", FLOAT, [3])]))
    assert "'xx'" in text
    assert "the/relu" in text


def test_a_circle() -> None:
    nodes = [
        helper.make_node("Add", ["x", "b"], ["a"], name="first"),
        helper.make_node("Neg", ["a"], ["b"], name="second"),
    ]
    text = refusal(model([*nodes, helper.make_node("Neg", ["a"], ["y"])], [("x", FLOAT, [3])]))
    assert "circle" in text
    assert "'first'" in text


def test_nodes_out_of_order_are_sorted() -> None:
    nodes = [helper.make_node("Neg", ["a"], ["y"]), helper.make_node("Exp", ["x"], ["a"])]
    module = import_model(model(nodes, [("x", FLOAT, [3])])).module
    assert [op.name for op in module.walk()] == ["exp", "neg", "return"]


def test_two_values_of_one_name() -> None:
    assert "two values" in refusal(model([RELU, RELU], [("x", FLOAT, [3])]))


def test_what_means_something_else_in_an_old_opset_is_refused() -> None:
    reshape = helper.make_node("Reshape", ["x"], ["y"], name="flat", shape=[3])
    assert "before opset 7" in refusal(model([reshape], [("x", FLOAT, [3, 1])], opset=4))
    norm = helper.make_node("BatchNormalization", ["x", *"vvvv"], ["y"], name="norm")
    assert "is_test" in refusal(model([norm], [("x", FLOAT, [1, 3]), ("v", FLOAT, [3])], opset=6))


def test_opset_6_broadcasts_along_an_axis() -> None:
    add = helper.make_node("Add", ["x", "z"], ["y"], broadcast=1, axis=1)
    proto = model([add], [("x", FLOAT, [2, 3, 4]), ("z", FLOAT, [3])], opset=6)
    x, z = np.ones((2, 3, 4), np.float32), np.arange(3, dtype=np.float32)
    (y,) = interpret(import_model(proto).module, [x, z])
    np.testing.assert_array_equal(y, x + z[:, None])


def test_text_is_refused() -> None:
    assert "string" in refusal(model([RELU], [("x", TensorProto.STRING, [3])]))


def test_shapes_that_do_not_fit_name_the_node() -> None:
    node = helper.make_node("MatMul", ["x", "z"], ["y"], name="layer/matmul")
    text = refusal(model([node], [("x", FLOAT, [2, 3]), ("z", FLOAT, [4, 5])]))
    assert "layer/matmul" in text
    assert "3" in text
    assert "4" in text


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (helper.make_node("MaxPool", ["x"], ["y"], name="pool"), ["window of 0 axes"]),
        (helper.make_node("Concat", ["x", "x"], ["y"], name="join", axis=9), ["[9]"]),
        (helper.make_node("Max", [], ["y"], name="most"), ["input"]),
        (helper.make_node("ConvTranspose", ["x", "x"], ["y"], name="up", strides=[1, 1, 1]), ["strides"]),
        (helper.make_node("InstanceNormalization", ["v", "v", "v"], ["y"], name="norm"), ["channels"]),
        (helper.make_node("GroupNormalization", ["x", "v", "v"], ["y"], name="norm", num_groups=2), ["groups"]),
    ],
    ids=lambda value: value.op_type if isinstance(value, onnx.NodeProto) else "",
)
def test_an_invalid_node_is_the_models_fault(node: onnx.NodeProto, words: list[str]) -> None:
    text = refusal(model([node], [("x", FLOAT, [1, 3, 5, 5]), ("v", FLOAT, [3])], opset=21))
    for word in (node.op_type, node.name, *words):
        assert word in text


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (helper.make_node("Softmax", ["x"], ["y"], axiss=0, name="n"), ["attribute axiss is not known", "axis"]),
        (helper.make_node("Cast", ["x", "x"], ["y"], to=1, name="n"), ["input 'x' is one too many: it takes 1"]),
        (helper.make_node("Gelu", ["x"], ["y"], tanh=1, name="n"), ["attribute tanh", "approximate"]),
        (helper.make_node("HannWindow", ["x"], ["y"], period=1, name="n"), ["attribute period", "periodic"]),
    ],
)
def test_what_an_operator_does_not_declare_is_not_passed_over(node: onnx.NodeProto, words: list[str]) -> None:
    message = refusal(model([node], [("x", FLOAT, [2, 3])], opset=20))
    assert all(word in message for word in [*words, "'n'"])


def test_a_call_with_more_inputs_than_the_function_has() -> None:
    function = helper.make_function("own", "F", ["a"], ["b"], [helper.make_node("Exp", ["a"], ["b"])], OPSETS)
    call = helper.make_node("F", ["x", "x"], ["y"], domain="own", name="call")
    proto = model([call], [("x", FLOAT, [2])])
    proto.functions.append(function)
    assert "2 inputs, its function has 1" in refusal(proto)


def test_functions_of_one_name_are_told_apart_by_their_overload() -> None:
    proto = model([], [("x", FLOAT, [2])], ["y0", "y1"])
    for i, operator in enumerate(("Exp", "Neg")):
        body = [helper.make_node(operator, ["a"], ["b"])]
        proto.functions.append(helper.make_function("own", "F", ["a"], ["b"], body, OPSETS, overload=str(i)))
        proto.graph.node.append(helper.make_node("F", ["x"], [f"y{i}"], domain="own", overload=str(i)))
    x = np.array([1, 2], np.float32)
    for ours, expected in zip(interpret(import_model(proto).module, [x]), (np.exp(x), -x), strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-6)


def test_functions_that_call_each_other_without_end_are_refused_at_once() -> None:
    proto = model([helper.make_node("F30", ["x"], ["y"], domain="own")], [("x", FLOAT, [2])])
    proto.functions.append(
        helper.make_function("own", "F0", ["a"], ["b"], [helper.make_node("Exp", ["a"], ["b"])], OPSETS)
    )
    for i in range(1, 31):
        ways = [(f"F{i - 1}", "a", "t"), (f"F{i - 1}", "t", "b")]
        body = [helper.make_node(name, [x], [y], domain="own") for name, x, y in ways]
        proto.functions.append(helper.make_function("own", f"F{i}", ["a"], ["b"], body, OPSETS))
    assert "its functions expand to more than" in refusal(proto)


@pytest.mark.parametrize("flat", [True, False])
def test_a_sparse_weight_is_dense_in_memory(flat: bool) -> None:
    places = np.array([1, 7] if flat else [[0, 1], [1, 3]], np.int64)
    values = onnx.numpy_helper.from_array(np.array([2, 3], np.float32), "w")
    sparse = helper.make_sparse_tensor(values, onnx.numpy_helper.from_array(places), [2, 4])
    proto = model([helper.make_node("MatMul", ["x", "w"], ["y"])], [("x", FLOAT, [3, 2])])
    proto.graph.sparse_initializer.append(sparse)
    inside = helper.make_node("Constant", [], ["w"], sparse_value=sparse)
    of_node = model([inside, helper.make_node("MatMul", ["x", "w"], ["y"])], [("x", FLOAT, [3, 2])])
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    expected = x @ np.array([[0, 2, 0, 0], [0, 0, 0, 3]], np.float32)
    for either in (proto, of_node):
        np.testing.assert_array_equal(interpret(import_model(either).module, [x])[0], expected)


def test_indices_that_do_not_fit_a_sparse_weight() -> None:
    values, places = (onnx.numpy_helper.from_array(np.arange(n, dtype=t), "w") for n, t in ((2, "f4"), (3, "i8")))
    proto = model([helper.make_node("MatMul", ["x", "w"], ["y"])], [("x", FLOAT, [3, 2])])
    proto.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [2, 4]))
    assert "sparse tensor 'w' of shape [2, 4] has values 2xf32 and indices 3xi64" in refusal(proto)


def test_two_weights_of_one_name() -> None:
    weights = [onnx.numpy_helper.from_array(np.zeros((3, n), np.float32), "w") for n in (4, 5)]
    product = helper.make_node("MatMul", ["x", "w"], ["y"])
    assert "two values are called 'w'" in refusal(model([product], [("x", FLOAT, [2, 3])], weights=weights))


def test_a_window_that_fits_nowhere() -> None:
    pool = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[3], name="pool")
    message = refusal(model([pool], [("x", FLOAT, [1, 4, "length"])]), dims={"length": 2})
    assert "a window of 3, dilation 1, has no place in 2 elements" in message and "'pool'" in message


def test_a_real_signal_may_lack_the_axis_of_its_parts() -> None:
    given = {"step": np.array(4), "window": np.linspace(0, 1, 16, dtype=np.float32), "length": np.array(16)}
    weights = [onnx.numpy_helper.from_array(array, name) for name, array in given.items()]
    node = helper.make_node("STFT", ["x", "step", "window", "length"], ["y"])
    x = np.sin(np.arange(64, dtype=np.float32)).reshape(2, 32)
    (ours,) = interpret(import_model(model([node], [("x", FLOAT, [2, 32])], weights=weights)).module, [x])
    frames = np.lib.stride_tricks.sliding_window_view(x, 16, axis=1)[:, ::4] * given["window"]
    np.testing.assert_allclose(ours[..., 0] + 1j * ours[..., 1], np.fft.rfft(frames), atol=1e-5)


def test_a_long_range_is_not_written_down() -> None:
    ends = [onnx.numpy_helper.from_array(np.array(n), name) for name, n in (("a", 5), ("b", 5 + 2 * 2**39), ("c", 2))]
    nodes = [helper.make_node("Range", ["a", "b", "c"], ["r"]), helper.make_node("Gather", ["r", "x"], ["y"])]
    module = import_model(model(nodes, [("x", TensorProto.INT64, [2])], weights=ends)).module
    (gather,) = (op for op in module.walk() if op.name == "gather")
    assert gather.operands[0].type.shape == (2**39,)


def test_what_a_terminal_would_act_on_is_escaped_in_names() -> None:
    message = refusal(
        model([helper.make_node("Softmax", ["x"], ["y"], axis=7, name="\x1b[31mred")], [("x", FLOAT, [2])])
    )
    assert "\\x1b[31mred" in message and "\x1b" not in message


def test_a_tensor_larger_than_any_memory() -> None:
    node = helper.make_node("Expand", ["x", "shape"], ["y"], name="huge")
    weights = [helper.make_tensor("shape", TensorProto.INT64, [2], [2**40, 2**20])]
    assert "huge" in refusal(model([node], [("x", FLOAT, [1, 1])], weights=weights))


def test_a_loop_leaves_no_trace_of_the_graph_it_was_made_from() -> None:
    """Its body reads a value from around it: afterwards only ops of the module do."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go_in"], ["go"]), helper.make_node("Add", ["state", "step"], ["next"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_in", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", FLOAT, [3]),
        ],
        [helper.make_tensor_value_info("go", TensorProto.BOOL, []), helper.make_tensor_value_info("next", FLOAT, [3])],
    )
    nodes = [helper.make_node("Exp", ["x"], ["step"]), helper.make_node("Loop", ["n", "", "x"], ["y"], body=body)]
    weights = [helper.make_tensor("n", TensorProto.INT64, [], [4])]
    module = import_model(model(nodes, [("x", FLOAT, [3])], weights=weights)).module
    ours = set(module.walk())
    values = [*module.main.arguments, *(result for op in ours for result in op.results)]
    assert all(user in ours for value in values for user in value.users)
    x = np.array([0.0, 1.0, -1.0], np.float32)
    np.testing.assert_allclose(interpret(module, [x])[0], x + 4 * np.exp(x), rtol=1e-6)


@pytest.mark.parametrize("has_mask", [False, True])
def test_causal_attention_computes_no_score_that_it_hides(has_mask: bool) -> None:
    """Attention-23 by its function, then recognised; against onnx's reference."""
    names = ["q", "k", "v", *(["mask"] if has_mask else [])]
    inputs = [(name, FLOAT, [1, 4, 6, 8]) for name in "qkv"] + [("mask", FLOAT, [1, 1, 6, 6])] * has_mask
    proto = model([helper.make_node("Attention", names, ["y"], is_causal=1)], inputs, opset=23)
    module = import_model(proto, ImportOptions(), file="some.onnx").module
    run_pipeline(module, "canonicalize,recognise")
    (op,) = [op for op in module.main.walk() if op.name == "attention"]
    assert (op.attrs["is_causal"], len(op.operands)) == (True, len(names))
    assert op.definition.counts(op).multiply_add == 4 * 21 * (8 + 8)
    arrays = [np.random.default_rng(i).standard_normal(info[2]).astype(np.float32) for i, info in enumerate(inputs)]
    (expected,) = list(ReferenceEvaluator(proto).run(None, dict(zip(names, arrays, strict=True))))
    np.testing.assert_allclose(interpret(module, arrays)[0], expected, rtol=1e-4, atol=1e-6)
