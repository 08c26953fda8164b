"""Each way to break a module is refused, at its op, with the rule that it breaks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ircost.ir import Block, Function, Module, Op, Region, TensorType, ops
from ircost.ir.constant import Splat, literal
from ircost.ir.errors import IrcError, VerifyError
from ircost.ir.parser import parse_module
from ircost.ir.reading import read_module
from ircost.ir.types import f16, f32, u8
from ircost.ir.verify import VerifierMemory, verify

TEXT = """
func @layer(%x: 2x3xf32) -> 2x3xf32 {
  %y = relu %x
  return %y
}

func @main(%c: bool, %x: 2x3xf32, %w: 3x4xf32) -> (2x4xf32, 2x3xf32, 2x3xf32, 2x3xf32) {
  %a = exp %x loc("net.onnx": "block/Exp")
  %b = matmul %a, %w
  %d = if %c then() {
    %e = neg %a
    yield %e
  } else() {
    yield %x
  }
  %k = kernel %a body(%p: 2x3xf32) {
    %q = tanh %p
    yield %q
  }
  %l = call %k {callee = "layer"} : 2x3xf32
  %s = softmax %l
  return %b, %d, %l, %s
}
"""


def op_named(module: Module, name: str) -> Op:
    return next(op for op in module.main.walk() if op.name == name)


def change_type(module: Module) -> None:
    op_named(module, "exp").result.type = TensorType((2, 3), f16)


def drop_return(module: Module) -> None:
    block = module.main.block
    block.remove(block.terminator)


def yield_a_function(module: Module) -> None:
    block = module.main.block
    operands = block.terminator.operands
    block.remove(block.terminator)
    block.append(ops.yield_.create(operands))


def return_twice(module: Module) -> None:
    block = module.main.block
    block.insert_before(ops.return_.create(()), op_named(module, "matmul"))


def use_before_definition(module: Module) -> None:
    op_named(module, "exp").set_operand(0, op_named(module, "softmax").result)


def use_out_of_branch(module: Module) -> None:
    op_named(module, "softmax").set_operand(0, op_named(module, "neg").result)


def use_into_other_branch(module: Module) -> None:
    op_named(module, "if").regions[1].block.terminator.set_operand(0, op_named(module, "neg").result)


def look_out_of_kernel(module: Module) -> None:
    op_named(module, "tanh").set_operand(0, module.main.arguments[1])


def look_into_other_function(module: Module) -> None:
    op_named(module, "exp").set_operand(0, module.functions["layer"].arguments[0])


def use_detached(module: Module) -> None:
    op_named(module, "exp").set_operand(0, ops.relu(module.main.arguments[1]))


def forget_a_use(module: Module) -> None:
    exp = op_named(module, "exp")
    del exp.operands[0].uses[exp, 0]


def invent_a_use(module: Module) -> None:
    exp, softmax = op_named(module, "exp"), op_named(module, "softmax")
    exp.result.uses[softmax, 0] = None


def wrong_attribute(module: Module) -> None:
    op_named(module, "softmax").attrs = {"axis": 1.5}


def unknown_attribute(module: Module) -> None:
    op_named(module, "exp").attrs = {"alpha": 1}


def too_many_operands(module: Module) -> None:
    exp = op_named(module, "exp")
    exp._operands *= 2
    exp.operands[1].uses[exp, 1] = None


def mixed_formats(module: Module) -> None:
    module.main.arguments[2].type = TensorType((3, 4), f16)


def contraction_mismatch(module: Module) -> None:
    module.main.arguments[2].type = TensorType((5, 4), f32)


def drop_a_region(module: Module) -> None:
    op = op_named(module, "kernel")
    op.regions = ()


def steal_a_region(module: Module) -> None:
    op_named(module, "kernel").regions[0].parent = op_named(module, "if")


def add_branch_argument(module: Module) -> None:
    op_named(module, "if").regions[0].block.add_argument(TensorType((), f32))


def add_kernel_argument(module: Module) -> None:
    op_named(module, "kernel").regions[0].block.add_argument(TensorType((), f32))


def branches_differ(module: Module) -> None:
    branch = op_named(module, "if").regions[1].block.terminator
    branch.set_operand(0, module.main.arguments[2])


def condition_no_bool(module: Module) -> None:
    op_named(module, "if").set_operand(0, module.main.arguments[1])


def unknown_callee(module: Module) -> None:
    op_named(module, "call").attrs = {"callee": "nobody"}


def call_takes_another_type(module: Module) -> None:
    op_named(module, "call").set_operand(0, module.main.arguments[2])


def call_gives_another_type(module: Module) -> None:
    op_named(module, "call").results[0].type = TensorType((3, 2), f32)


def call_itself(module: Module) -> None:
    call = op_named(module, "call")
    layer = module.functions["layer"].block
    again = ops.call.create([layer.arguments[0]], {"callee": "layer"}, result_types=[call.result.type])
    layer.insert_before(again, layer.terminator)


def call_in_a_circle(module: Module) -> None:
    layer = module.functions["layer"].block
    types = [value.type for value in module.main.results]
    arguments = [ops.opaque.create((), {"op": "any"}, result_types=[a.type]) for a in module.main.arguments]
    for op in arguments:
        layer.insert_before(op, layer.terminator)
    back = ops.call.create([op.result for op in arguments], {"callee": "main"}, result_types=types)
    layer.insert_before(back, layer.terminator)


def constant_of_another_format(module: Module) -> None:
    constant = ops.constant.create((), {"value": Splat(-1)}, result_types=[TensorType((2,), u8)])
    module.main.block.insert_before(constant, op_named(module, "exp"))


def constant_too_short(module: Module) -> None:
    constant = ops.constant.create((), {"value": literal(np.ones(3, np.int8))}, result_types=[TensorType((2, 2), u8)])
    module.main.block.insert_before(constant, op_named(module, "exp"))


def misfile(module: Module) -> None:
    module.functions["other"] = module.functions.pop("main")


def empty(module: Module) -> None:
    module.functions.clear()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (change_type, "exp: result types are (2x3xf16), operands and attributes give (2x3xf32)"),
        (drop_return, "a block ends with softmax, 'return' expected"),
        (yield_a_function, "a block ends with yield, 'return' expected"),
        (return_twice, "'return' is before the end of its block"),
        (use_before_definition, "used before it is defined, or outside of the body"),
        (use_out_of_branch, "used before it is defined, or outside of the body"),
        (use_into_other_branch, "used before it is defined, or outside of the body"),
        (look_out_of_kernel, "an operand is an argument of another block"),
        (look_into_other_function, "an operand is an argument of another block"),
        (use_detached, "an operand is the result of an op that stands nowhere: %0 = relu"),
        (forget_a_use, "operand 0 does not list the op among its uses"),
        (invent_a_use, "lists 'softmax' among the users of its result"),
        (wrong_attribute, "attribute 'axis' is 1.5, expected a whole number"),
        (unknown_attribute, "no attribute 'alpha'"),
        (too_many_operands, "2 operands given, expected 1 (x)"),
        (mixed_formats, "matmul: rhs is f16, f32 expected"),
        (contraction_mismatch, "matmul: dim k is 3 in "),
        (drop_a_region, "kernel: 0 regions, 1 expected"),
        (steal_a_region, "a region belongs to another op"),
        (add_branch_argument, "a body takes (f32), () expected"),
        (add_kernel_argument, "a body takes (2x3xf32, f32), (2x3xf32) expected"),
        (branches_differ, "then yields [2x3xf32], else yields [3x4xf32]"),
        (condition_no_bool, "condition is 2x3xf32, a single bool expected"),
        (unknown_callee, "there is no function @nobody"),
        (call_takes_another_type, "@layer takes (2x3xf32)"),
        (call_gives_another_type, "call: result types are (3x2xf32), operands and attributes give (2x3xf32)"),
        (call_itself, "function @layer calls itself, by way of @layer"),
        (call_in_a_circle, "calls itself, by way of"),
        (constant_of_another_format, "constant: -1 is no u8"),
        (constant_too_short, "constant: 3 bytes of i8 are not the elements of a 2x2xu8"),
        (misfile, "function @main is filed under the name 'other'"),
        (empty, "the module has no function"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_damage_is_refused(damage: Callable[[Module], None], message: str) -> None:
    module = parse_module(TEXT)
    verify(module)
    damage(module)
    with pytest.raises(VerifyError) as raised:
        verify(module)
    assert message in raised.value.render()


def test_the_place_shows_node_and_lines_around() -> None:
    module = parse_module(TEXT)
    change_type(module)
    with pytest.raises(VerifyError) as raised:
        verify(module)
    text = raised.value.render()
    assert "at node 'block/Exp' in net.onnx" in text
    assert "> " in text and "matmul" in text


def test_branches_see_values_from_around_them() -> None:
    verify(parse_module(TEXT))


def test_isolated_text_does_not_see_around() -> None:
    text = "func @main(%x: 2xf32) -> 2xf32 { %k = kernel body() { %y = neg %x yield %y } return %k }"
    with pytest.raises(IrcError, match="%x is not defined here"):
        parse_module(text)


def test_results_remembered_from_equal_ops_are_checked_all_the_same() -> None:
    module = parse_module("func @main(%x: 2xf32) -> (2xf32, 2xf32) { %a = exp %x %b = exp %x return %a, %b }")
    memory = VerifierMemory()
    verify(module, memory)
    op_named(module, "exp").result.type = TensorType((3,), f32)
    with pytest.raises(VerifyError, match="result types are"):
        verify(module, memory)


def test_a_scan_that_never_yields_its_state() -> None:
    function = Function("main", [TensorType((2,), f32), TensorType((3, 2), f32)])
    body = Block([TensorType((2,), f32), TensorType((2,), f32)])
    body.append(ops.yield_.create([body.arguments[0]]))
    scan = ops.scan.create(function.arguments, {"length": 3, "states": 1}, regions=[Region(body)])
    function.block.append(scan)
    function.block.append(ops.return_.create([scan.result]))
    verify(Module([function]))
    body.arguments[1].type = TensorType((4,), f32)
    with pytest.raises(VerifyError, match="scan: the body takes"):
        verify(Module([function]))


def calling(callees: int, calls: int) -> Module:
    """Functions that each call the one before ``calls`` times, one after another."""
    texts = ["func @f0(%x: 2xf32) -> 2xf32 { %y = reshape %x {shape = [2]} return %y }"]
    for i in range(1, callees):
        lines = [f'%v{k + 1} = call %v{k} {{callee = "f{i - 1}"}} : 2xf32' for k in range(calls)]
        texts.append(f"func @f{i}(%v0: 2xf32) -> 2xf32 {{ {' '.join(lines)} return %v{calls} }}")
    return parse_module("\n".join(texts))


@pytest.mark.parametrize(
    ("callees", "calls", "message"),
    [(40, 2, "come to 1,048,574 calls, more than 1,000,000"), (2_000, 1, "calls nest deeper than 64")],
)
def test_calls_that_nobody_could_follow(callees: int, calls: int, message: str) -> None:
    with pytest.raises(VerifyError, match=message):
        verify(calling(callees, calls))
    verify(calling(12, calls))


def test_a_long_chain_of_views_in_a_callee() -> None:
    module = calling(2, 1)
    callee = module.functions["f0"].block
    reshape, value = callee.first, callee.arguments[0]
    assert reshape is not None
    for _ in range(3_000):
        value = ops.reshape(value, shape=(2,))
        assert value.producer is not None
        callee.insert_before(value.producer, reshape)
    reshape.set_operand(0, value)
    verify(module)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('  %y = call %x {callee = "layr"} : 2xf32\n  return %y\n', "net.irc:2:8: call: there is no function @layr"),
        ("  return %x\n  return %x\n", "net.irc:2:3: return: 'return' is before the end"),
        ("  %y = relu %x\n  yield %y\n", "net.irc:3:3: yield: a block ends with yield, 'return' expected"),
        ("  %y = iota {axis = 2} : 2xi64\n  return %x\n", "net.irc:2:8: iota: there is no axis 2 in 2xi64"),
        (
            "  %y = kernel %x body(%a: 2xf32) {\n    %b = iota {axis = 1} : 2xf32\n    yield %b\n  }\n  return %y\n",
            "net.irc:3:10: iota: there is no axis 1",
        ),
    ],
)
def test_faults_of_text_have_line_and_column(text: str, message: str) -> None:
    with pytest.raises(VerifyError) as raised:
        read_module(f"func @main(%x: 2xf32) -> 2xf32 {{\n{text}}}\n", "net.irc")
    assert message in raised.value.render()
    assert "^" in raised.value.render()


def test_faults_of_no_op_name_the_file() -> None:
    with pytest.raises(VerifyError, match=r"net\.irc: the module has no function"):
        read_module("", "net.irc")
