"""Equations against NumPy's einsum."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from ircost.frontends.onnx.importer import import_model
from ircost.ir import interpret
from ircost.ir.errors import IrcError

EQUATIONS: dict[str, list[tuple[int, ...]]] = {
    "bhid,bhjd->bhij": [(2, 3, 4, 5), (2, 3, 6, 5)],
    "...ij,...jk->...ik": [(1, 3, 4), (2, 3, 4, 5)],
    "i,j,k->kji": [(2,), (3,), (4,)],
    "ij,jk,kl->li": [(2, 3), (3, 4), (4, 5)],
    "ii": [(3, 3)],
    "iji->j": [(2, 3, 2)],
    "...ii->...i": [(2, 3, 3)],
    "ij,ij": [(3, 4), (3, 4)],
    "ij,ij->ij": [(3, 1), (3, 4)],
    "ba": [(2, 3)],
    "bi,bj->ij": [(2, 3), (2, 4)],
    "ij,k->ki": [(2, 3), (4,)],
    "ijk->": [(2, 3, 4)],
}


def einsum_model(equation: str, shapes: list[tuple[int, ...]]) -> ModelProto:
    names = [f"x{i}" for i in range(len(shapes))]
    graph = helper.make_graph(
        [helper.make_node("Einsum", names, ["y"], equation=equation)],
        "graph",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in zip(names, shapes, strict=True)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


@pytest.mark.parametrize("equation", EQUATIONS)
def test_meaning(equation: str) -> None:
    random = np.random.default_rng(0)
    arrays = [random.standard_normal(shape).astype(np.float32) for shape in EQUATIONS[equation]]
    module = import_model(einsum_model(equation, EQUATIONS[equation])).module
    (actual,) = interpret(module, arrays)
    expected = np.einsum(equation, *arrays)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


def test_two_operands_are_one_contraction() -> None:
    module = import_model(einsum_model("bhid,bhjd->bijh", [(2, 3, 4, 5), (2, 3, 6, 5)])).module
    assert [op.name for op in module.walk()] == ["contract", "return"]


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ij,jk", [(2, 3)]),
        ("ijk->i", [(2, 3)]),
        ("i;j", [(2, 3)]),
        ("ij->k", [(2, 3)]),
        ("ij->ii", [(2, 3)]),
        ("ij,jk->ik", [(2, 3), (4, 5)]),
    ],
)
def test_what_does_not_fit_is_refused(equation: str, shapes: list[tuple[int, ...]]) -> None:
    with pytest.raises(IrcError, match="Einsum"):
        import_model(einsum_model(equation, shapes))
