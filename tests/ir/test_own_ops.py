"""Ops that third parties declare by hand: what they compute is held to what they say, and their faults are theirs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from ircost.ir import Function, Op, Region, TensorType, interpret
from ircost.ir.attributes import Attributes
from ircost.ir.definition import OPS, Arrays, InternalOpError, OpDefinition, register_op
from ircost.ir.errors import InterpreterError
from ircost.ir.parser import parse_module
from ircost.ir.types import f32, parse_type

TEXT = "func @main(%x: 2x3xf32) -> 2x3xf32 { %y = own %x return %y }"


class Own(OpDefinition):
    """An op whose results are what `given` says."""

    name = "own"
    operand_names = ("x",)

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        return (TensorType((2, 3), f32),)


class Evaluated(Own):
    def __init__(self, given: Callable[[], Any]) -> None:
        self.given = given

    def evaluate(self, op: Op, operands: Arrays) -> Sequence[np.ndarray]:
        return self.given()


@pytest.fixture(autouse=True)
def _no_own_op(monkeypatch: pytest.MonkeyPatch) -> None:
    OPS.names()
    monkeypatch.setattr(OPS, "_things", dict(OPS._things))


def run(definition: OpDefinition) -> list[np.ndarray]:
    register_op(definition)
    return interpret(parse_module(TEXT, locate=True), [np.zeros((2, 3))])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([np.zeros((1, 3))], "own gives 1x3xf64, 2x3xf32 declared"),
        ([np.zeros((2, 3))], "own gives 2x3xf64, 2x3xf32 declared"),
        ([np.zeros((3, 2), np.float32)], "own gives 3x2xf32, 2x3xf32 declared"),
        ([np.zeros((2, 3), complex)], "own gives 2x3xcomplex128, 2x3xf32 declared"),
        ([[0.0]], "own gives list, 2x3xf32 declared"),
        ([], "own gives 0 results, 1 declared"),
        (np.zeros((2, 3), np.float32), "own gives an array, a list of arrays expected"),
        (None, "own gives NoneType, a list of arrays expected"),
    ],
)
def test_results_are_held_to_what_is_declared(given: Any, words: str) -> None:
    with pytest.raises(InterpreterError, match=words) as raised:
        run(Evaluated(lambda: given))
    told = raised.value.render()
    assert "%y = own %x" in told and f"declared in {__name__}" in told


def test_results_as_declared_pass() -> None:
    assert run(Evaluated(lambda: (np.ones((2, 3), np.float32),)))[0].sum() == 6


def test_an_op_without_a_meaning_says_what_to_write() -> None:
    with pytest.raises(InterpreterError, match="own has no evaluate") as raised:
        run(Own())
    assert "write evaluate(self, op, operands)" in raised.value.render()


def test_an_evaluate_that_fails_is_its_authors_fault() -> None:
    def fail() -> None:
        raise AttributeError("on purpose")

    with pytest.raises(InternalOpError, match="own: its evaluate fails: AttributeError: on purpose") as raised:
        run(Evaluated(fail))
    assert raised.value.author == __name__ and "%y = own %x" in raised.value.render()


def test_an_infer_that_fails_is_its_authors_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyError("on purpose")

    monkeypatch.setattr(Own, "infer", fail)
    with pytest.raises(InternalOpError, match="own: its infer fails: KeyError: 'on purpose'") as raised:
        Own()(*Function("main", [parse_type("2x3xf32")]).arguments)
    assert raised.value.author == __name__
