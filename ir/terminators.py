"""What ends a block, and hands values to whoever runs it."""

from __future__ import annotations

from collections.abc import Sequence

from ircost.ir.attributes import Attributes
from ircost.ir.definition import OpDefinition, declared_op
from ircost.ir.graph import Op, Region
from ircost.ir.types import TensorType


def yielded(region: Region) -> tuple[TensorType, ...]:
    """Types of what a body hands back."""
    return tuple(value.type for value in region.block.terminator.operands)


@declared_op
class return_(OpDefinition):  # noqa: N801
    """Ends a function; its operands are the function's results."""

    name = "return"
    operand_names = ("results",)
    is_variadic = True
    is_pure = False
    is_terminator = True

    def infer(self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]) -> tuple[TensorType, ...]:
        return ()


@declared_op
class yield_(OpDefinition):  # noqa: N801
    """Ends a body; its operands are what the body hands back."""

    name = "yield"
    operand_names = ("results",)
    is_variadic = True
    is_pure = False
    is_terminator = True

    def infer(self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]) -> tuple[TensorType, ...]:
        return ()
