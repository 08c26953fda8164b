"""Ops declared in a way that means nothing are refused, with the op, the mistake and the cure."""

# No `from __future__ import annotations`: whoever declares an op may leave it out, and then annotations are types.

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from ircost.ir import Builder, Function, interpret, ops
from ircost.ir.attributes import Ints
from ircost.ir.composite import composite
from ircost.ir.definition import OPS
from ircost.ir.errors import DeclarationError, UnknownNameError
from ircost.ir.parser import parse_module
from ircost.ir.scalar import Scalar, call
from ircost.ir.structured import structured_op
from ircost.ir.types import DType, parse_type


@pytest.fixture(autouse=True)
def known_ops() -> Iterator[None]:
    names = set(OPS.names())
    yield
    for name in set(OPS._things) - names:
        del OPS._things[name]


def used(notation: str, body: Callable[..., Any], **options: Any) -> None:
    """Declares an op and makes one of it."""
    definition = structured_op(notation, name="declared", **options)(body)
    function = Function("main", [parse_type("4x3xf32")] * len(definition.operand_names))
    value = Builder(function.block)(definition(*function.arguments))
    assert value.producer is not None
    value.producer.definition.counts(value.producer)


MISTAKES: dict[str, tuple[str, Callable[..., Any], dict[str, Any], str]] = {
    "no arrow": ("n d n", lambda x: x, {}, "declared: not index notation"),
    "another number of operands": ("n d, n d -> n d", lambda x: x, {}, "has 2 operands, the function 1 (x)"),
    "attribute before the *": ("n d -> n d", lambda x, alpha: x, {}, "attributes come after a *"),
    "no reduction": ("n d -> n", lambda x: x, {}, "lacks d, and nothing says how to reduce"),
    "unknown format": ("n d -> n d", lambda x: x, {"types": "Q -> Q"}, "'Q' in 'Q -> Q' is not a format"),
    "formats of others": ("n d -> n d", lambda x: x, {"types": "F, F -> F"}, "has formats of 2 operands, it has 1"),
    "a branch": ("n d -> n d", lambda x: x if x > 0 else -x, {}, 'call("where", condition, x, y) chooses'),
    "a power": ("n d -> n d", lambda x: x**2, {}, "use + - * /"),
    "no expression": ("n d -> n d", lambda x: 1.0, {}, "gives float, an expression expected"),
    "unknown reduction": ("n d -> n", lambda x: x, {"reduce": "mean"}, "reduce= takes sum, prod"),
    "misspelt function": ("n d -> n d", lambda x: call("tnah", x), {}, "did you mean tanh"),
    "too many arguments": ("n d -> n d", lambda x: call("erf", x, x), {}, 'write call("erf", x)'),
    "unknown format of the result": ("n d -> n d", lambda x: x, {"types": "F -> G"}, "nothing says what 'G' in"),
    "unknown attribute": ("n d -> n d", lambda x: x, {"types": "F -> out|F"}, "nothing says what 'out' in"),
    "formats of two results": ("n d -> n d", lambda x: x, {"types": "F -> F, F"}, "has formats of 2 results"),
    "formats without an arrow": ("n d -> n d", lambda x: x, {"types": "F, F"}, "no formats of operands and results"),
    "nothing": ("n d -> n d", lambda x: None, {}, "gives NoneType, an expression expected"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_declaration_that_means_nothing_is_refused(mistake: str) -> None:
    notation, body, options, message = MISTAKES[mistake]
    with pytest.raises(DeclarationError) as raised:
        used(notation, body, **options)
    assert "declared: " in raised.value.render() and message in raised.value.render()


def test_annotations_may_be_types_or_text() -> None:
    def as_types(
        x: Scalar, *, alpha: float = 0.5, axes: Ints = (), to: DType | None = None, keep: bool = True
    ) -> Scalar:
        return x * alpha

    def as_text(x: "Scalar", *, alpha: "float" = 0.5, axes: "tuple[int, ...]" = (), name: "str" = "") -> "Scalar":
        return x * alpha

    def body_of(x: Any, *, axis: int = -1) -> Any:
        return ops.softmax(x, axis=axis)

    used("n d -> n d", as_types)
    kinds = {name: spec.kind for name, spec in OPS.get("declared").attributes.items()}
    assert kinds == {"alpha": "float", "axes": "Ints", "to": "DType | None", "keep": "bool"}
    text = structured_op("n d -> n d", name="as_text")(as_text)
    assert {name: spec.kind for name, spec in text.attributes.items()} == {
        **{"alpha": "float", "axes": "Ints", "name": "str"}
    }
    assert composite(body_of).attributes["axis"].kind == "int"


def test_an_annotation_that_is_no_kind_is_refused() -> None:
    def odd(x: Scalar, *, alpha: complex = 1.0) -> Scalar:
        return x

    with pytest.raises(DeclarationError, match=r"declared: attribute 'alpha' is annotated .*complex"):
        structured_op("n d -> n d", name="declared")(odd)
    with pytest.raises(DeclarationError, match="attribute 'alpha' has no annotation"):
        structured_op("n d -> n d", name="declared")(lambda x, *, alpha=1.0: x)


def test_a_name_of_ours_is_taken() -> None:
    with pytest.raises(UnknownNameError) as raised:
        structured_op("n d -> n d", name="relu")(lambda x: x)
    assert "rename the one that is yours" in raised.value.render()


def test_a_declaration_may_be_run_again() -> None:
    first = structured_op("n d -> n d", name="declared")(lambda x: x + 1)
    second = structured_op("n d -> n d", name="declared")(lambda x: x + 2)
    assert first is not second and OPS.get("declared") is second
    module = parse_module("func @main(%x: 1x1xf32) -> 1x1xf32 { %y = declared %x return %y }")
    assert interpret(module, [np.zeros((1, 1))]) == [[[2.0]]]


def test_another_modules_name_is_taken() -> None:
    def elsewhere(x: Scalar) -> Scalar:
        return x

    structured_op("n d -> n d", name="declared")(lambda x: x)
    elsewhere.__module__ = "somebody.else"
    with pytest.raises(UnknownNameError, match=f"there is another op 'declared', of {__name__}"):
        structured_op("n d -> n d", name="declared")(elsewhere)
