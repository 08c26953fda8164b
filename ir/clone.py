"""Copies of ops, bodies and modules. Copies of ops are detached; their locations are those of the originals."""

from __future__ import annotations

from collections.abc import Sequence

from ircost.ir.graph import Block, Function, Module, Op, Region, Value

Mapping = dict[Value, Value]


def clone_op(op: Op, mapping: Mapping) -> Op:
    """A detached copy that reads ``mapping[x]`` where the original reads ``x``; its results enter the mapping."""
    copy = Op(
        op.definition,
        [mapping.get(operand, operand) for operand in op.operands],
        op.attrs,
        [result.type for result in op.results],
        [clone_region(region, mapping) for region in op.regions],
        op.location,
    )
    for old, new in zip(op.results, copy.results, strict=True):
        new.name = old.name
        mapping[old] = new
    return copy


def clone_region(region: Region, mapping: Mapping) -> Region:
    """A copy of a body, with arguments of its own."""
    block = Block(argument.type for argument in region.block.arguments)
    copy_block(region.block, block, mapping)
    return Region(block)


def copy_block(source: Block, target: Block, mapping: Mapping) -> None:
    """Appends copies of all ops of ``source`` to ``target``, whose arguments stand for those of ``source``."""
    for old, new in zip(source.arguments, target.arguments, strict=True):
        new.name = old.name
        mapping[old] = new
    for op in source.ops:
        target.append(clone_op(op, mapping))


def inline_body(region: Region, arguments: Sequence[Value]) -> list[Value]:
    """What a body yields for these arguments, as detached copies of its ops."""
    mapping: Mapping = dict(zip(region.block.arguments, arguments, strict=True))
    for op in region.block.ops:
        if op.definition.is_terminator:
            return [mapping.get(value, value) for value in op.operands]
        clone_op(op, mapping)
    raise AssertionError("a body ends with a terminator")


def clone_module(module: Module) -> Module:
    """A copy that shares nothing mutable with the original. Linear in the number of ops."""
    copy = Module(name=module.name, attrs=module.attrs)
    for function in module.functions.values():
        new = copy.add(Function(function.name, [a.type for a in function.arguments], function.attrs))
        copy_block(function.block, new.block, {})
    return copy
