"""Which operators run on blocked values, what of them, and what that saves."""

from __future__ import annotations

from collections.abc import Callable

from ircost.backends.onnx.blocked_convolutions import batch_norm_form, conv_form, per_channel_form, prelu_form
from ircost.backends.onnx.blocked_costs import transpose_saving_s, window_saving_s
from ircost.backends.onnx.blocked_form import Blocks, Form, InBlocks, filling_s, float_image, is_number
from ircost.backends.onnx.blocked_layout import CHANNELS_AT_ONCE, blocked_node, image_shape, padded
from ircost.backends.onnx.node import Input, Node, Output, node, whole_numbers
from ircost.backends.onnx.split import cut_axis, start
from ircost.ir.attributes import ints_of
from ircost.ir.graph import Op, Value


def form_of(op: Op, made: list[Input], blocks: Blocks) -> Form | None:
    """The blocked form of what was emitted for an op, where there is one."""
    item = made[0] if len(op.results) == 1 else None
    if isinstance(item, Output):
        return slice_form(op, blocks) if item.node.operator == "Split" else None
    if not isinstance(item, Node) or item.operator not in FORMS:
        return None
    if item.operator not in ("ReduceMean", "ReduceMax") and image_shape(op.result.type) is None:
        return None
    return FORMS[item.operator](op, item, blocks)


# ---- pools


def pool_form(op: Op, item: Node, blocks: Blocks) -> Form | None:
    (x,) = item.inputs
    if not isinstance(x, Value) or x.type.rank != 4 or float_image(x) is None:
        return None
    saving = window_saving_s(x.type, blocks.padding(x.type.shape[1]))
    attributes = item.attributes
    return Form((x,), lambda in_blocks: blocked_node(item.operator, in_blocks(x), **attributes), saving)


def reduction_form(op: Op, item: Node, blocks: Blocks) -> Form | None:
    """The mean or the largest element of each channel: a pool, whose axes may be left out."""
    if op.name not in REDUCTIONS:  # a sum over a constant is a mean too
        return None
    (x,) = op.operands
    rank = x.type.rank
    if rank != 4 or float_image(x) is None:
        return None
    if sorted(axis % rank for axis in ints_of(op.attrs, "axes")) != [2, 3]:
        return None
    n, channels = x.type.shape[:2]

    def make(in_blocks: InBlocks) -> Node:
        pooled = blocked_node(REDUCTIONS[op.name], in_blocks(x))
        if op.attrs["keepdims"]:
            return pooled
        if channels % blocks.block:
            pooled = blocked_node("ReorderOutput", pooled, channels=channels)
        return node("Reshape", pooled, whole_numbers(n, channels))

    saving = window_saving_s(x.type, blocks.padding(channels))
    return Form((x,), make, saving, writes_blocks=bool(op.attrs["keepdims"]))


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


REDUCTIONS = {"reduce_mean": "GlobalAveragePool", "reduce_max": "GlobalMaxPool"}
UNARY = ("Relu", "LeakyRelu", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "Elu", "Clip", "Gelu", "QuickGelu", "Erf")
STEPS = ("QuantizeLinear", "DequantizeLinear")
BINARY = ("Add", "Sub", "Mul", "Max", "Min")
FORMS: dict[str, Callable[[Op, Node, Blocks], Form | None]] = {
    **dict.fromkeys(("Conv", "FusedConv"), conv_form),
    **dict.fromkeys(("MaxPool", "AveragePool", "GlobalAveragePool"), pool_form),
    **dict.fromkeys((*UNARY, *STEPS, "Softplus", "Abs", "Neg"), unary_form),
    **dict.fromkeys(BINARY, binary_form),
    "BatchNormalization": batch_norm_form,
    "PRelu": lambda op, item, blocks: prelu_form(op, item, blocks) or unary_form(op, item, blocks),
    "Concat": concat_form,
    "Slice": lambda op, item, blocks: slice_form(op, blocks),
    "Resize": resize_form,
    "Transpose": transpose_form,
    **dict.fromkeys(("ReduceMean", "ReduceMax"), reduction_form),
}
