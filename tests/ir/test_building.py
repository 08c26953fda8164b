"""Building a module by hand: what is there can be looked at before it is whole, and slips are told as such."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ircost
from ircost.ir import Builder, Function, IrcError, Module, interpret, ops
from ircost.ir.errors import InterpreterError, OperandError, UnsupportedError
from ircost.ir.parser import parse_module
from ircost.ir.types import parse_type

TEXT = "func @main(%x: 4xf32) -> 4xf32 { %y = relu %x return %y }"


def test_a_function_without_an_end_prints() -> None:
    function = Function("main", [parse_type("4xf32")])
    assert str(Module([function])) == "func @main(%0: 4xf32) -> () {\n}\n"
    Builder(function.block)(ops.relu(function.arguments[0]))
    assert str(Module([function])) == "func @main(%0: 4xf32) -> () {\n  %1 = relu %0 : 4xf32\n}\n"


def test_modules_and_functions_show_in_short() -> None:
    module = parse_module(f"module @net {TEXT}")
    assert (repr(module), repr(module.main)) == ("<module @net: @main>", "<function @main of 1 arguments>")


@pytest.mark.parametrize(
    ("operand", "words"), [(1.5, "1.5"), (np.ones(4), "ndarray"), ((1, 0), "tuple"), (None, "NoneType")]
)
def test_an_operand_that_is_no_value_is_told(operand: Any, words: str) -> None:
    (x,) = Function("main", [parse_type("4xf32")]).arguments
    with pytest.raises(OperandError, match=f"add: operand 1 is {words}, a value expected"):
        ops.add(x, operand)
    assert x.uses == {}


def test_a_function_that_is_not_there_is_told() -> None:
    with pytest.raises(InterpreterError, match="there is no function @mian") as raised:
        interpret(parse_module(TEXT), [np.ones(4)], "mian")
    assert raised.value.help == "did you mean main?"


@pytest.mark.parametrize("model", [None, 3, Function("main")])
def test_what_is_no_model_is_told(model: Any) -> None:
    with pytest.raises(UnsupportedError, match="is not a model"):
        ircost.compile(model)


def test_an_attribute_in_a_list_is_told_to_be_a_tuple() -> None:
    (x,) = Function("main", [parse_type("4x3xf32")]).arguments
    with pytest.raises(IrcError, match="in Python a tuple"):
        ops.transpose(x, perm=[1, 0])  # type: ignore[arg-type]
