"""An op's operands computed from its results: the step by which a reversible chain runs backwards."""

from __future__ import annotations

from collections.abc import Callable

from ircost.ir.builder import build_body
from ircost.ir.clone import clone_op
from ircost.ir.graph import Block, Op, Value
from ircost.ir.terminators import yield_

Standing = Callable[[Value], Value]


def rebuilt(op: Op, index: int, standing: Standing) -> Value | None:
    """Operand ``index`` as detached ops that read the result and the other operands; None where it is lost.

    A kernel is gone through backwards, as long as the operand meets the result in one chain of ops that all have an
    inverse: ``kernel(x, w, skip) { conv; add }`` gives back ``skip`` by a kernel of conv and sub. Of floats it is
    equal up to rounding.

    Args:
        standing: what stands for a value where the ops will be; the value itself, or a copy.

    >>> from ircost.ir.parser import parse_module
    >>> module = parse_module("func @main(%x: 4xf32, %b: 4xf32) -> 4xf32 { %y = add %x, %b return %y }")
    >>> rebuilt(module.main.block.first, 0, lambda value: value).producer
    %0 = sub %y, %b : 4xf32
    """
    if len(op.results) != 1 or op.operands.count(op.operands[index]) > 1:
        return None
    if op.name == "kernel":
        return _kernel_backwards(op, index, standing)
    return op.definition.inverse(op, index, standing(op.result), [standing(operand) for operand in op.operands])


def _kernel_backwards(op: Op, index: int, standing: Standing) -> Value | None:
    """kernel(.., a, ..) { f(a, ..) }  ->  kernel(.., y) { the other operands of f; inverse of f }"""
    body = op.regions[0].block
    chain = _chain(body, body.arguments[index])
    if chain is None or any(_lost(inner, place) for inner, place in chain.items()):
        return None
    others = [i for i in range(len(op.operands)) if i != index]

    def backwards(*arguments: Value) -> Value:
        *given, value = arguments
        mapping = dict(zip([body.arguments[i] for i in others], given, strict=True))
        for inner in body.ops:
            if inner not in chain and not inner.definition.is_terminator:
                clone_op(inner, mapping)
        for inner, place in reversed(chain.items()):
            operands = [mapping.get(operand, operand) for operand in inner.operands]
            before = inner.definition.inverse(inner, place, value, operands)
            assert before is not None, "each of the chain has an inverse"
            value = before
        return value

    operands = [*(op.operands[i] for i in others), op.result]
    region = build_body([value.type for value in operands], backwards, yield_)
    return op.definition.create([standing(value) for value in operands], op.attrs, regions=[region]).result


def _lost(op: Op, index: int) -> bool:
    return op.definition.inverse(op, index, op.result, op.operands) is None


def _chain(body: Block, argument: Value) -> dict[Op, int] | None:
    """The ops between an argument and the result, each with the place at which it reads the one before."""
    chain: dict[Op, int] = {}
    value = argument
    while value.users != [body.terminator]:
        if len(value.uses) != 1:
            return None
        ((user, place),) = value.uses
        if user.definition.is_terminator or len(user.results) != 1 or user.regions:
            return None
        chain[user] = place
        value = user.result
    return chain if len(value.uses) == 1 and len(body.terminator.operands) == 1 else None
