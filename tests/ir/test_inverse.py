"""Operands built again out of results."""

from __future__ import annotations

import numpy as np
import pytest
from random_modules import random_inputs

from ircost.ir import Builder, Op, interpret, ops
from ircost.ir.inverse import rebuilt
from ircost.ir.parser import parse_module
from ircost.ir.verify import verify
from ircost.passes import run_pipeline

INTEGERS = "func @main(%x: 3x4xi8, %y: 3x4xi8) -> 3x4xi8"
FLOATS = "func @main(%x: 3x4xf64, %y: 3x4xf64) -> {}"


def with_operand_rebuilt(text: str, index: int, prepare: str = "") -> tuple[list[np.ndarray], np.ndarray]:
    """The inputs, and what the operand of the last op before the return is built to."""
    module = parse_module(text)
    verify(module)
    if prepare:
        run_pipeline(module, prepare)
    op = last_op(module.main.block.terminator)
    value = rebuilt(op, index, lambda v: v)
    assert value is not None
    terminator = module.main.block.terminator
    build = Builder(module.main.block)
    module.main.block.remove(terminator)
    build(value)
    build.op(ops.return_.create([value]))
    verify(module)
    inputs = random_inputs(module.main)
    return inputs, interpret(module, inputs)[0]


def last_op(terminator: Op) -> Op:
    op = terminator.operands[0].producer
    assert op is not None
    return op


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("name", ["add", "sub"])
def test_sums_and_differences(name: str, index: int) -> None:
    inputs, found = with_operand_rebuilt(f"{FLOATS.format('3x4xf64')} {{ %z = {name} %x, %y return %z }}", index)
    np.testing.assert_allclose(found, inputs[index], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("index", [0, 1])
def test_integers_wrap_and_come_back_exactly(index: int) -> None:
    module = parse_module(f"{INTEGERS} {{ %z = add %x, %y return %z }}")
    op = last_op(module.main.block.terminator)
    value = rebuilt(op, index, lambda v: v)
    assert value is not None and value.producer is not None
    assert value.producer.name == "sub"
    x, y = np.full((3, 4), 100, np.int8), np.full((3, 4), 99, np.int8)
    (z,) = interpret(module, [x, y])
    other = y if index == 0 else x
    np.testing.assert_array_equal((z - other).astype(np.int8), (x, y)[index])


@pytest.mark.parametrize(
    ("result", "op", "index"),
    [
        ("3x4xf64", "neg %x", 0),
        ("4x3xf64", "transpose %x {perm = [1, 0]}", 0),
        ("2x6xf64", "reshape %x {shape = [2, 6]}", 0),
        ("3x8xf64", "concat %x, %y {axis = 1}", 0),
        ("3x8xf64", "concat %x, %y {axis = 1}", 1),
        ("6x4xf64", "concat %x, %y {axis = -2}", 1),
    ],
)
def test_what_is_exact(result: str, op: str, index: int) -> None:
    inputs, found = with_operand_rebuilt(f"{FLOATS.format(result)} {{ %z = {op} return %z }}", index)
    np.testing.assert_array_equal(found, inputs[index])


def test_a_transpose_of_three_axes() -> None:
    text = "func @main(%x: 2x3x4xf64) -> 4x2x3xf64 { %z = transpose %x {perm = [2, 0, 1]} return %z }"
    inputs, found = with_operand_rebuilt(text, 0)
    np.testing.assert_array_equal(found, inputs[0])


def test_a_kernel_is_gone_through_backwards() -> None:
    text = """
    func @main(%x: 3x4xf64, %w: 4x4xf64, %s: 3x4xf64) -> 3x4xf64 {
      %m = matmul %x, %w
      %a = add %m, %s
      %n = neg %a
      return %n
    }"""
    inputs, found = with_operand_rebuilt(text, 2, prepare="fuse")
    np.testing.assert_allclose(found, inputs[2], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        f"{FLOATS.format('3x4xf64')} {{ %z = mul %x, %y return %z }}",  # where %y is 0, %x is gone
        f"{FLOATS.format('3x4xf64')} {{ %z = add %x, %x return %z }}",  # half of it, but no op says so
        "func @main(%x: 4xf64, %y: 3x4xf64) -> 3x4xf64 { %z = add %x, %y return %z }",  # broadcast
        f"{FLOATS.format('3x4xf64')} {{ %z = relu %x return %z }}",
    ],
    ids=["product", "twice", "broadcast", "relu"],
)
def test_what_is_lost(text: str) -> None:
    op = last_op(parse_module(text).main.block.terminator)
    assert rebuilt(op, 0, lambda v: v) is None


def test_a_kernel_that_reads_the_operand_twice_keeps_it() -> None:
    text = """
    func @main(%x: 3x4xf64, %w: 4x4xf64) -> 3x4xf64 {
      %z = kernel %x, %w body(%a: 3x4xf64, %b: 4x4xf64) {
        %m = matmul %a, %b
        %s = add %m, %a
        yield %s
      }
      return %z
    }"""
    op = last_op(parse_module(text).main.block.terminator)
    assert rebuilt(op, 0, lambda v: v) is None
