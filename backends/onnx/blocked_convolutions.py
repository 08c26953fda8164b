"""Convolutions on blocked values, and what is one there: factors, offsets and slopes of the channels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ircost.backends.onnx.blocked_costs import conv_saving_s
from ircost.backends.onnx.blocked_form import Blocks, Form, InBlocks, filling_s, float_image, is_known
from ircost.backends.onnx.blocked_layout import (
    blocked_node,
    filled,
    filter_of_blocks,
    filter_to_blocks,
    image_shape,
    padded,
)
from ircost.backends.onnx.node import Attributes, Input, Known, Node, node, whole_numbers
from ircost.ir.graph import Op, Value


@dataclass(frozen=True, slots=True)
class Filter:
    """How a convolution runs in blocks.

    Args:
        change: brings the weights into order, given the size of a block.
        groups: channels that fill up blocks are groups of their own where each channel is one.
        padding: how many times the operations there are.
        takes_blocks: False where the image is read as it is, all its channels at once.
    """

    change: Callable[[np.ndarray, int], np.ndarray]
    groups: int
    padding: float
    takes_blocks: bool = True


def filter_of(x: Value, weight: Value, blocks: Blocks) -> Filter | None:
    outputs, inputs = weight.type.shape[:2]
    groups, block, padding = x.type.shape[1] // inputs, blocks.block, blocks.padding(outputs)
    if groups > 1 and inputs == 1 and outputs == groups:
        return Filter(filter_to_blocks, padded(outputs, block), padding)
    if groups > 1:
        is_whole = inputs % block == 0 and (outputs // groups) % block == 0
        return Filter(filter_of_blocks, groups, padding) if is_whole else None
    if inputs < block and not blocks.may_come(x):
        return Filter(filter_to_blocks, 1, padding, takes_blocks=False)
    return Filter(filter_of_blocks, 1, padding * blocks.padding(inputs))


def conv_form(op: Op, item: Node, blocks: Blocks) -> Form | None:
    """A convolution whose weights, and whose bias, are known at load; what it adds comes in blocks, too."""
    x, weight, *more = item.inputs
    bias, addend = (*more, None, None)[:2]
    if not isinstance(x, Value) or not isinstance(weight, Value) or not blocks.scope.is_known(weight):
        return None
    if float_image(x) is None or x.type.rank != op.result.type.rank or not (bias is None or is_known(bias, blocks)):
        return None
    filter = filter_of(x, weight, blocks)
    if filter is None:
        return None
    block, addends = blocks.block, (addend,) if isinstance(addend, Value) else ()
    attributes = {**conv_attributes(item), "group": filter.groups}
    weights = Known(weight, f"{filter.change.__name__} {block}", lambda array: filter.change(array, block))

    def make(in_blocks: InBlocks) -> Node:
        image = in_blocks(x) if filter.takes_blocks else as_image(x)
        return blocked_node("Conv", image, weights, aligned(bias, block), *map(in_blocks, addends), **attributes)

    reads = (x, *addends) if filter.takes_blocks else addends
    window, inputs = weight.type.shape[2:], weight.type.shape[1]
    groups = x.type.shape[1] // inputs
    return Form(reads, make, conv_saving_s(op.result.type, window, inputs, groups, filter.padding))


def as_image(x: Value) -> Input:
    shape = image_shape(x.type)
    assert shape is not None, "was checked"
    return x if x.type.rank == 4 else node("Reshape", x, whole_numbers(*shape))


def conv_attributes(item: Node) -> Attributes:
    """Those of a window over images: a signal's has a row of one."""
    attributes = dict(item.attributes)
    if len(attributes["kernel_shape"]) == 2:
        return attributes
    before, after = attributes["pads"]
    attributes["pads"] = (0, before, 0, after)
    return attributes | {
        name: (1, *attributes[name]) for name in ("kernel_shape", "strides", "dilations") if name in attributes
    }


def aligned(bias: Input, block: int) -> Input:
    """A bias with zeros for the channels that fill up the last block."""
    if bias is None:
        return None
    known = bias if isinstance(bias, Known) else Known(bias, "", lambda array: array)  # type: ignore[arg-type]
    form = f"{known.form} in blocks of {block}"
    return Known(known.value, form, lambda array: filled(known.change(array), 0, block))


def per_channel_form(op: Op, item: Node, x: Value, scale: Input, blocks: Blocks) -> Form | None:
    """x * s, with a number for each channel of one image: a depthwise convolution of 1 x 1, whose weights are s."""
    if item.operator != "Mul" or float_image(x) is None or not isinstance(scale, Value) or x.type.shape[0] != 1:
        return None
    channels = x.type.shape[1]
    if scale.type.shape != (1, channels, *(1,) * (x.type.rank - 2)):
        return None
    wanted = padded(channels, blocks.block)
    attributes: Attributes = {"group": wanted, "kernel_shape": (1, 1)}

    def make(in_blocks: InBlocks) -> Node:
        weights = node("Reshape", in_blocks(scale), whole_numbers(wanted, 1, 1, 1))
        return blocked_node("Conv", in_blocks(x), weights, **attributes)

    return Form((x, scale), make, -filling_s(op, blocks))


def batch_norm_form(op: Op, item: Node, blocks: Blocks) -> Form | None:
    """A factor and an offset for each channel, known at load: a depthwise convolution of 1 x 1."""
    x, *statistics = item.inputs
    if not isinstance(x, Value) or float_image(x) is None or not all(is_known(value, blocks) for value in statistics):
        return None
    scale, *_ = values = [value for value in statistics if isinstance(value, Value)]
    wanted, epsilon = padded(x.type.shape[1], blocks.block), float(item.attributes["epsilon"])
    form = f"batch norm {[id(value) for value in values]} {epsilon} {blocks.block}"

    def change(index: int) -> Known:
        def folded(array: np.ndarray) -> np.ndarray:
            _, bias, mean, variance = map(blocks.scope.array, values)
            factor = array / np.sqrt(variance + np.float32(epsilon))
            return filled((factor, bias - mean * factor)[index], 0, blocks.block)

        return Known(scale, f"{form} {index}", folded)

    weights = Known(scale, f"{form} weights", lambda array: change(0).change(array).reshape(-1, 1, 1, 1))
    attributes: Attributes = {"group": wanted, "kernel_shape": (1, 1)}
    return Form(
        (x,),
        lambda in_blocks: blocked_node("Conv", in_blocks(x), weights, change(1), **attributes),
        -filling_s(op, blocks),
    )


def prelu_form(op: Op, item: Node, blocks: Blocks) -> Form | None:
    """x s + relu(x) (1 - s), for known slopes s of the channels: depthwise convolutions, the second adds the first.

    That takes as long as PRelu in plain layout does (benchmarks/blocked_layout.py has both).
    """
    x, slope = item.inputs
    if not isinstance(x, Value) or float_image(x) is None or not isinstance(slope, Value) or x.type != op.result.type:
        return None
    channels, block = x.type.shape[1], blocks.block
    shape = (1,) * (x.type.rank - slope.type.rank) + slope.type.shape
    if not is_known(slope, blocks) or shape != (1, channels, *(1,) * (x.type.rank - 2)):
        return None
    attributes: Attributes = {"group": padded(channels, block), "kernel_shape": (1, 1)}
    slopes = Known(slope, f"slopes {block}", lambda array: filled(array.reshape(-1, 1, 1, 1), 0, block))
    rest = Known(slope, f"less slopes {block}", lambda array: filled(1 - array.reshape(-1, 1, 1, 1), 0, block))

    def make(in_blocks: InBlocks) -> Node:
        above = blocked_node("Conv", node("Relu", in_blocks(x)), rest, **attributes)
        return blocked_node("Conv", in_blocks(x), slopes, None, above, **attributes)

    return Form((x,), make, -filling_s(op, blocks))
