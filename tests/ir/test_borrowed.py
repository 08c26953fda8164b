"""Constants whose values another library holds."""

from __future__ import annotations

import numpy as np

from ircost.ir import Function, Module, interpret, ops
from ircost.ir.constant import Borrowed, materialise
from ircost.ir.parser import parse_module
from ircost.ir.printer import print_module
from ircost.ir.types import TensorType, f32

ARRAY = np.arange(40, dtype=np.float32).reshape(5, 8)
TYPE = TensorType((5, 8), f32)


def borrowed() -> Borrowed:
    return Borrowed(lambda: ARRAY, f32)


def test_values_are_those_of_the_holder() -> None:
    data = borrowed()
    assert np.shares_memory(materialise(data, TYPE), ARRAY)


def test_two_are_never_equal() -> None:
    """So that no pass merges weights without looking at their values."""
    first, second = borrowed(), borrowed()
    assert first == first
    assert first != second


def test_text_keeps_the_values() -> None:
    function = Function("main")
    weight = ops.constant.create((), {"value": borrowed()}, result_types=(TYPE,))
    function.block.append(weight)
    function.block.append(ops.return_.create([weight.result]))
    read = parse_module(print_module(Module([function])), "text")
    np.testing.assert_array_equal(interpret(read, [])[0], ARRAY)
