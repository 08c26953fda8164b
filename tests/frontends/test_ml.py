"""Operators of ai.onnx.ml against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ircost.frontends.onnx.backend import InterpreterBackend
from ircost.frontends.onnx.importer import import_model
from ircost.ir.errors import IrcError

onnxruntime = pytest.importorskip("onnxruntime")
RANDOM = np.random.default_rng(2)
X = RANDOM.uniform(-2, 2, (7, 4)).astype(np.float32)


def model_of(operator: str, outputs: int, x: np.ndarray = X, **attributes: Any) -> onnx.ModelProto:
    names = ["y", "z"][:outputs]
    node = helper.make_node(operator, ["x"], names, domain="ai.onnx.ml", name="node", **attributes)
    inputs = [helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)]
    kinds = [TensorProto.INT64 if outputs == 2 and name == "y" else TensorProto.FLOAT for name in names]
    results = [helper.make_tensor_value_info(name, kind, None) for name, kind in zip(names, kinds, strict=True)]
    domains = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(helper.make_graph([node], "g", inputs, results), opset_imports=domains, ir_version=8)


def compare(model: onnx.ModelProto, x: np.ndarray = X) -> None:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(None, {"x": x})
    for ours, theirs in zip(InterpreterBackend.prepare(model).run([x]), expected, strict=True):
        np.testing.assert_allclose(ours.reshape(theirs.shape), theirs, rtol=1e-4, atol=1e-5)


def trees(count: int, depth: int, columns: int, kind: str, low: float = -1.0) -> dict[str, Any]:
    """Full trees with random splits; each leaf gives to one column."""
    random = np.random.default_rng([count, depth, columns])  # the same whichever tests ran before
    per_tree, first_leaf = 2 ** (depth + 1) - 1, 2**depth - 1
    nodes = [(tree, i) for tree in range(count) for i in range(per_tree)]
    leaves = [(tree, i) for tree, i in nodes if i >= first_leaf]
    return {
        "nodes_treeids": [tree for tree, _ in nodes],
        "nodes_nodeids": [i for _, i in nodes],
        "nodes_featureids": random.integers(0, 4, len(nodes)).tolist(),
        "nodes_values": random.uniform(-1, 1, len(nodes)).tolist(),
        "nodes_modes": ["LEAF" if i >= first_leaf else "BRANCH_LEQ" for _, i in nodes],
        "nodes_truenodeids": [2 * i + 1 if i < first_leaf else 0 for _, i in nodes],
        "nodes_falsenodeids": [2 * i + 2 if i < first_leaf else 0 for _, i in nodes],
        f"{kind}_treeids": [tree for tree, _ in leaves],
        f"{kind}_nodeids": [i for _, i in leaves],
        f"{kind}_ids": random.integers(0, columns, len(leaves)).tolist(),
        f"{kind}_weights": random.uniform(low, 1, len(leaves)).tolist(),
    }


@pytest.mark.parametrize("how", ["SUM", "AVERAGE", "MIN", "MAX"])
def test_tree_regressor(how: str) -> None:
    attributes = trees(5, 3, 1, "target")
    compare(model_of("TreeEnsembleRegressor", 1, n_targets=1, aggregate_function=how, base_values=[0.5], **attributes))


@pytest.mark.parametrize("transform", ["NONE", "SOFTMAX", "LOGISTIC"])
def test_tree_classifier(transform: str) -> None:
    attributes = trees(5, 3, 3, "class")
    compare(model_of("TreeEnsembleClassifier", 2, classlabels_int64s=[3, 5, 8], post_transform=transform, **attributes))


@pytest.mark.parametrize(("low", "transform"), [(-1.0, "LOGISTIC"), (0.0, "LOGISTIC"), (-1.0, "NONE"), (0.0, "NONE")])
def test_two_classes_with_one_score(low: float, transform: str) -> None:
    attributes = trees(3, 2, 1, "class", low)
    compare(model_of("TreeEnsembleClassifier", 2, classlabels_int64s=[0, 1], post_transform=transform, **attributes))


@pytest.mark.parametrize(
    ("operator", "outputs", "attributes"),
    [
        ("LinearRegressor", 1, {"coefficients": [float(i) for i in range(8)], "intercepts": [0.5, -1.0], "targets": 2}),
        (
            "LinearClassifier",
            2,
            {
                "coefficients": [float(i) for i in range(-6, 6)],
                "intercepts": [0.1, 0.2, 0.3],
                "classlabels_ints": [4, 5, 6],
            },
        ),
        ("Scaler", 1, {"offset": [0.0, 1.0, 2.0, 3.0], "scale": [1.0, 2.0, 0.5, 0.1]}),
        ("Normalizer", 1, {"norm": "L2"}),
        ("Normalizer", 1, {"norm": "L1"}),
        ("Binarizer", 1, {"threshold": 0.3}),
        (
            "SVMRegressor",
            1,
            {
                **{"n_supports": 3, "coefficients": [0.5, -1.0, 0.3], "rho": [0.2], "kernel_type": "RBF"},
                **{"kernel_params": [0.4, 0.0, 3.0], "support_vectors": [x / 7 for x in range(12)]},
            },
        ),
    ],
)
def test_as_onnxruntime(operator: str, outputs: int, attributes: dict[str, Any]) -> None:
    compare(model_of(operator, outputs, **attributes))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"nodes_truenodeids": [99] * 15}, "no node 99"),
        ({"nodes_featureids": [9] * 15}, "feature"),
        ({"nodes_values": [1.0]}, "length"),
        ({"nodes_truenodeids": [1, 0, *[2 * i + 1 if i < 7 else 0 for i in range(2, 15)]]}, "circle"),
    ],
)
def test_damaged_trees_are_refused(change: dict[str, Any], word: str) -> None:
    attributes = {**trees(1, 3, 1, "target"), **change}
    with pytest.raises(IrcError, match=word):
        import_model(model_of("TreeEnsembleRegressor", 1, n_targets=1, **attributes))


@pytest.mark.parametrize("kernel", ["LINEAR", "RBF"])
@pytest.mark.parametrize("classes", [2, 3])
def test_support_vector_classifier(classes: int, kernel: str) -> None:
    vectors, pairs = 6 * classes, classes * (classes - 1) // 2
    model = model_of(
        "SVMClassifier",
        2,
        classlabels_ints=list(range(classes)),
        vectors_per_class=[6] * classes,
        support_vectors=RANDOM.uniform(-1, 1, vectors * 4).tolist(),
        coefficients=RANDOM.uniform(-1, 1, (classes - 1) * vectors).tolist(),
        rho=RANDOM.uniform(-1, 1, pairs).tolist(),
        kernel_type=kernel,
        kernel_params=[0.3, 0.1, 2.0],
    )
    compare(model)


def test_linear_support_vector_classifier() -> None:
    coefficients = RANDOM.uniform(-1, 1, 12).tolist()
    attributes = {"classlabels_ints": [0, 1, 2], "coefficients": coefficients, "rho": [0.3]}
    compare(model_of("SVMClassifier", 2, kernel_params=[0.3, 0.1, 2.0], **attributes))


def test_scores_stay_scores_where_maps_would_carry_the_labels() -> None:
    labels = [3, 5, 8]
    model = model_of("TreeEnsembleClassifier", 2, classlabels_int64s=labels, **trees(5, 3, 3, "class"))
    model.graph.node.append(
        helper.make_node("ZipMap", ["z"], ["maps"], domain="ai.onnx.ml", classlabels_int64s=labels, name="zip")
    )
    maps = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    model.graph.output[1].CopyFrom(helper.make_value_info("maps", helper.make_sequence_type_proto(maps)))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = [[row[label] for label in labels] for row in session.run(["maps"], {"x": X})[0]]
    np.testing.assert_allclose(InterpreterBackend.prepare(model).run([X])[1], expected, rtol=1e-5)
    assert any("'zip': the output is its scores" in note for note in import_model(model).notes)
