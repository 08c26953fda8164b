"""Terminators: they end a block and pass values to the op or function around it."""

from __future__ import annotations

from collections.abc import Sequence

from ircost.ir.attributes import Attributes
from ircost.ir.definition import OpDefinition, register_op
from ircost.ir.graph import Region
from ircost.ir.types import TensorType


class Terminator(OpDefinition):
    """Ends a block; has no result of its own."""

    operand_names = ("results",)
    is_variadic = True
    is_pure = False
    is_terminator = True

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        return ()


class Return(Terminator):
    """Ends a function; its operands are the function's results."""

    name = "return"


class Yield(Terminator):
    """Ends a body; its operands are what the body hands back."""

    name = "yield"


return_ = register_op(Return())
yield_ = register_op(Yield())


def yielded(region: Region) -> tuple[TensorType, ...]:
    """Types of what a body hands back."""
    return tuple(value.type for value in region.block.terminator.operands)
