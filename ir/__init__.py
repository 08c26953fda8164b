"""The tensor IR: types, graph, ops, text format, verifier, rewriting, reference interpreter."""

from ircost.ir.builder import Builder
from ircost.ir.errors import IrcError
from ircost.ir.graph import Block, Function, Module, Op, Region, Value
from ircost.ir.interpreter import interpret
from ircost.ir.location import Location
from ircost.ir.types import DType, TensorType

__all__ = [
    "Block",
    "Builder",
    "DType",
    "Function",
    "IrcError",
    "Location",
    "Module",
    "Op",
    "Region",
    "TensorType",
    "Value",
    "interpret",
]
