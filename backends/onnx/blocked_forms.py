"""Which operators run on blocked values, what of them, and what that saves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ircost.backends.onnx.blocked_costs import conv_saving_s, stream_s, transpose_saving_s, window_saving_s
from ircost.backends.onnx.blocked_layout import (
    CHANNELS_AT_ONCE,
    blocked_node,
    filled,
    filter_of_blocks,
    filter_to_blocks,
    image_shape,
    padded,
)
from ircost.backends.onnx.emitter import Scope
from ircost.backends.onnx.node import Array, Attributes, Input, Known, Node, Output, node, whole_numbers
from ircost.backends.onnx.split import cut_axis, start
from ircost.ir.attributes import ints_of
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


def form_of(op: Op, made: list[Input], blocks: Blocks) -> Form | None:
    """The blocked form of what was emitted for an op, where there is one."""
    item = made[0] if len(op.results) == 1 else None
    if isinstance(item, Output):
        return slice_form(op, blocks) if item.node.operator == "Split" else None
    if not isinstance(item, Node) or item.operator not in FORMS:
        return None
    if item.operator != "ReduceMean" and image_shape(op.result.type) is None:
        return None
    return FORMS[item.operator](op, item, blocks)


# ---- convolutions


def conv_form(op: Op, item: Node, blocks: Blocks) -> Form | None:
    x, weight, *more = item.inputs
    bias, addend = (*more, None, None)[:2]
    if not isinstance(x, Value) or not isinstance(weight, Value) or not blocks.scope.is_known(weight):
        return None
    shape, block = float_image(x), blocks.block
    if shape is None or x.type.rank != op.result.type.rank or not (bias is None or is_known(bias, blocks)):
        return None
    outputs, inputs = weight.type.shape[:2]
    groups, wanted = shape[1] // inputs, padded(outputs, block)
    new_groups, padding, takes_blocks = groups, blocks.padding(outputs), True
    change = filter_of_blocks
    if groups > 1 and inputs == 1 and outputs == groups:
        change, new_groups = filter_to_blocks, wanted
    elif groups > 1:
        if inputs % block or (outputs // groups) % block:
            return None
    elif inputs < block and not blocks.may_come(x):
        change, takes_blocks = filter_to_blocks, False
    else:
        padding *= blocks.padding(inputs)
    reads = ((x,) if takes_blocks else ()) + ((addend,) if isinstance(addend, Value) else ())
    attributes = {**conv_attributes(item), "group": new_groups}
    weights = Known(weight, f"{change.__name__} {block}", lambda array: change(array, block))

    def make(in_blocks: InBlocks) -> Node:
        image = in_blocks(x) if takes_blocks else as_image(x)
        rest = [aligned(bias, block), in_blocks(addend) if isinstance(addend, Value) else None]
        while rest and rest[-1] is None:
            rest.pop()
        return blocked_node("Conv", image, weights, *rest, **attributes)

    return Form(reads, make, conv_saving_s(op.result.type, weight.type.shape[2:], inputs, groups, padding))


def float_image(x: Value) -> tuple[int, int, int, int] | None:
    return image_shape(x.type) if x.type.dtype == f32 else None


def is_known(item: Input, blocks: Blocks) -> bool:
    return isinstance(item, Known) or (isinstance(item, Value) and blocks.scope.is_known(item))


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


# ---- pools


def pool_form(op: Op, item: Node, blocks: Blocks) -> Form | None:
    (x,) = item.inputs
    if not isinstance(x, Value) or x.type.rank != 4 or float_image(x) is None:
        return None
    saving = window_saving_s(x.type, blocks.padding(x.type.shape[1]))
    attributes = item.attributes
    return Form((x,), lambda in_blocks: blocked_node(item.operator, in_blocks(x), **attributes), saving)


def flat_mean_form(op: Op, item: Node, blocks: Blocks) -> Form | None:
    """The mean of images without their axes: a pool whose result is as long as the channels."""
    x = op.operands[0]
    if op.name != "reduce_mean" or x.type.rank != 4 or float_image(x) is None or op.result.type.rank != 2:
        return None
    if sorted(axis % 4 for axis in ints_of(op.attrs, "axes")) != [2, 3]:
        return None
    n, channels = x.type.shape[:2]

    def make(in_blocks: InBlocks) -> Node:
        pooled: Input = blocked_node("GlobalAveragePool", in_blocks(x))
        if channels % blocks.block:
            pooled = blocked_node("ReorderOutput", pooled, channels=channels)
        return node("Reshape", pooled, whole_numbers(n, channels))

    return Form((x,), make, window_saving_s(x.type, blocks.padding(channels)), writes_blocks=False)


# ---- element by element


def unary_form(op: Op, item: Node, blocks: Blocks) -> Form | None:
    """Functions of one operand whose results are finite, so that what fills up blocks stays harmless."""
    x, *bounds = item.inputs
    if not isinstance(x, Value) or x.type.shape != op.result.type.shape or not all(map(is_number, bounds)):
        return None
    made = item

    def make(in_blocks: InBlocks) -> Node:
        return Node(made.operator, (in_blocks(x), *bounds), made.attributes, made.domain, opset=made.opset)

    return Form((x,), make, -filling_s(op, blocks))


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


def binary_form(op: Op, item: Node, blocks: Blocks) -> Form | None:
    """Both operands alike, or one of them a number, or one for each channel."""
    if len(item.inputs) != 2:
        return None
    left, right = item.inputs
    whole = [x for x in item.inputs if isinstance(x, Value) and x.type == op.result.type]
    if len(whole) == 2:
        reads = tuple(dict.fromkeys(whole))
        operator = item.operator

        def make(in_blocks: InBlocks) -> Node:
            return node(operator, in_blocks(whole[0]), in_blocks(whole[1]))

        return Form(reads, make, -filling_s(op, blocks))
    if len(whole) != 1:
        return None
    other = right if left is whole[0] else left
    if is_number(other):
        x = whole[0]
        operator = item.operator

        def make_with_number(in_blocks: InBlocks) -> Node:
            return node(operator, *(in_blocks(x) if operand is x else operand for operand in item.inputs))

        return Form((x,), make_with_number, -filling_s(op, blocks))
    return per_channel_form(op, item, whole[0], other, blocks)


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
        return unary_form(op, item, blocks)
    attributes: Attributes = {"group": padded(channels, block), "kernel_shape": (1, 1)}
    slopes = Known(slope, f"slopes {block}", lambda array: filled(array.reshape(-1, 1, 1, 1), 0, block))
    rest = Known(slope, f"less slopes {block}", lambda array: filled(1 - array.reshape(-1, 1, 1, 1), 0, block))

    def make(in_blocks: InBlocks) -> Node:
        above = blocked_node("Conv", node("Relu", in_blocks(x)), rest, **attributes)
        return blocked_node("Conv", in_blocks(x), slopes, None, above, **attributes)

    return Form((x,), make, -filling_s(op, blocks))


# ---- movement


def concat_form(op: Op, item: Node, blocks: Blocks) -> Form | None:
    """Along the channels, where each operand but the last has full blocks."""
    values = [x for x in item.inputs if isinstance(x, Value)]
    if item.attributes.get("axis") != 1 or len(values) != len(item.inputs):
        return None
    if any(value.type.shape[1] % blocks.block for value in values[:-1]):
        return None
    reads = tuple(dict.fromkeys(values))
    return Form(reads, lambda in_blocks: node("Concat", *map(in_blocks, values), axis=1), -filling_s(op, blocks))


def slice_form(op: Op, blocks: Blocks) -> Form | None:
    """Whole blocks of channels."""
    if op.name != "slice" or cut_axis(op) != 1:
        return None
    x, first, block = op.operands[0], start(op, 1), blocks.block
    end = first + op.result.type.shape[1]
    if first % block or (end % block and end != x.type.shape[1]):
        return None
    bounds = [whole_numbers(number) for number in (first, padded(end, block), 1)]
    return Form((x,), lambda in_blocks: node("Slice", in_blocks(x), *bounds), -filling_s(op, blocks))


def resize_form(op: Op, item: Node, blocks: Blocks) -> Form | None:
    """Each element as many times as a whole number says."""
    x = item.inputs[0]
    if not isinstance(x, Value) or item.attributes.get("mode") != "nearest" or x.type.rank != 4 or not float_image(x):
        return None
    if item.attributes.get("coordinate_transformation_mode") != "asymmetric":
        return None
    before, after = x.type.shape, op.result.type.shape
    if any(b % a for a, b in zip(before, after, strict=True)) or before[:2] != after[:2]:
        return None
    scales = tuple(b // a for a, b in zip(before, after, strict=True))
    return Form((x,), lambda in_blocks: blocked_node("Upsample", in_blocks(x), scales=scales), -filling_s(op, blocks))


TO_CHANNELS_LAST, FROM_CHANNELS_LAST = (0, 2, 3, 1), (0, 3, 1, 2)


def transpose_form(op: Op, item: Node, blocks: Blocks) -> Form | None:
    """Channels last out of blocks at once, or into them."""
    perm = ints_of(op.attrs, "perm") if op.name == "transpose" else ()
    x, block = op.operands[0], blocks.block
    if float_image(x) is None:
        return None
    if perm == TO_CHANNELS_LAST:
        attributes = {"channels": x.type.shape[1], "channels_last": 1}
        saving = transpose_saving_s(x.type, blocks.padding(x.type.shape[1]))
        return Form((x,), lambda in_blocks: blocked_node("ReorderOutput", in_blocks(x), **attributes), saving, False)
    if perm == FROM_CHANNELS_LAST and op.result.type.shape[1] % CHANNELS_AT_ONCE == 0:
        saving = transpose_saving_s(x.type, padded(x.type.shape[3], block) / x.type.shape[3])
        return Form((), lambda in_blocks: blocked_node("ReorderInput", x, channels_last=1), saving)
    return None


UNARY = ("Relu", "LeakyRelu", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "Elu", "Clip", "Gelu", "QuickGelu", "Erf")
STEPS = ("QuantizeLinear", "DequantizeLinear")
BINARY = ("Add", "Sub", "Mul", "Max", "Min")
FORMS: dict[str, Callable[[Op, Node, Blocks], Form | None]] = {
    **dict.fromkeys(("Conv", "FusedConv"), conv_form),
    **dict.fromkeys(("MaxPool", "AveragePool", "GlobalAveragePool"), pool_form),
    **dict.fromkeys((*UNARY, *STEPS, "Softplus", "Abs", "Neg"), unary_form),
    **dict.fromkeys(BINARY, binary_form),
    "BatchNormalization": batch_norm_form,
    "PRelu": prelu_form,
    "Concat": concat_form,
    "Slice": lambda op, item, blocks: slice_form(op, blocks),
    "Resize": resize_form,
    "Transpose": transpose_form,
    "ReduceMean": flat_mean_form,
}
