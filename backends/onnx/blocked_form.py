"""What a blocked form of an operator is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from ircost.backends.onnx.blocked_costs import stream_s
from ircost.backends.onnx.blocked_layout import image_shape, padded
from ircost.backends.onnx.emitter import Scope
from ircost.backends.onnx.node import Array, Input, Known, Node
from ircost.ir.graph import Op, Value
from ircost.ir.types import f32

InBlocks: TypeAlias = Callable[[Value], Input]


@dataclass(frozen=True, slots=True)
class Form:
    """An operator on blocked values.

    Args:
        reads: values that it takes in blocks; all others as they are.
        make: the node, given the blocked form of what it reads.
        saving_s: by how much it is faster than the operator in plain layout; negative where it is slower.
        writes_blocks: False where the result is in plain layout.
    """

    reads: tuple[Value, ...]
    make: Callable[[InBlocks], Node]
    saving_s: float
    writes_blocks: bool = True


@dataclass(frozen=True, slots=True)
class Blocks:
    """What forms depend on besides the operator.

    Args:
        block: channels in a block.
        may_come: whether a value may come in blocks from where it is made.
    """

    block: int
    scope: Scope
    may_come: Callable[[Value], bool]

    def padding(self, channels: int) -> float:
        return padded(channels, self.block) / channels


def float_image(x: Value) -> tuple[int, int, int, int] | None:
    return image_shape(x.type) if x.type.dtype == f32 else None


def is_known(item: Input, blocks: Blocks) -> bool:
    return isinstance(item, Known) or (isinstance(item, Value) and blocks.scope.is_known(item))


def is_number(item: Input) -> bool:
    """One element, or an optional input left out."""
    if isinstance(item, Array):
        return item.array.size == 1
    if isinstance(item, Known):
        return item.value.type.elements == 1
    return item is None or (isinstance(item, Value) and item.type.elements == 1 and item.type.rank <= 4)


def filling_s(op: Op, blocks: Blocks) -> float:
    """What the channels that fill up blocks cost an element-wise operator."""
    type = op.result.type
    return (blocks.padding(type.shape[1]) - 1) * stream_s(type.elements)
