"""Which part of a producer a tile of a consumer needs: boxes carried backwards through access maps, halos included."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

from ircost.ir.graph import Block, Op, Value
from ircost.ir.index import Affine, IterationSpace
from ircost.ir.structured import StructuredOp
from ircost.ir.types import TensorType

Box = tuple[int, ...]  # extents of a part of a tensor, an axis each


def boxes_behind(ops: Sequence[Op], wanted: Mapping[Value, Box]) -> dict[Value, Box]:
    """The box of every value that boxes of some values need, through ops in program order.

    Tiles are taken as aligned: a value that two ops read is needed as far as the larger of both boxes.

    Args:
        ops: of one block. wanted: boxes of what they make.

    Returns:
        Boxes of what the ops make and read; of what nothing wanted needs, none.

    >>> from ircost.ir.parser import parse_module
    >>> text = "func @main(%x: 8x32xf32) -> 8x32xf32 { %m = reduce_max %x {axes = [1], keepdims = true}"
    >>> function = parse_module(text + " %y = sub %x, %m return %y }").main
    >>> *ops, _ = function.block.ops
    >>> boxes = boxes_behind(ops, {function.results[0]: (1, 1)})
    >>> boxes[function.arguments[0]], boxes[ops[0].result]
    ((1, 32), (1, 1))
    """
    boxes = dict(wanted)
    for op in reversed(ops):
        results = [boxes.get(result) for result in op.results]
        if all(box is None for box in results):
            continue
        known = [box or (0,) * result.type.rank for box, result in zip(results, op.results, strict=True)]
        for operand, box in zip(op.operands, needed_boxes(op, known), strict=True):
            boxes[operand] = _hull(boxes[operand], box) if operand in boxes else box
    return boxes


def needed_boxes(op: Op, results: Sequence[Box]) -> list[Box]:
    """The box of each operand that a box of each result needs; all of it where access depends on data."""
    if op.definition.is_isolated:
        return _through_body(op.regions[0].block, results)
    if is_element_by_element(op):
        return [results[0] for _ in op.operands]
    if op.name == "reshape":
        return [reshaped_box(results[0], op.result.type.shape, op.operands[0].type.shape)]
    space = op.definition.iteration_space(op)
    if space is None:
        return [operand.type.shape for operand in op.operands]
    sizes = dims_of_box(space, results[0])
    return [tuple(axis.span(sizes) for axis in access.axes) for access in space.operands]


def is_element_by_element(op: Op) -> bool:
    """Whether an element of the result is made of those in its place of each operand, none of them broadcast."""
    if not isinstance(op.definition, StructuredOp) or not op.definition.is_elementwise:
        return False
    shape = op.result.type.shape
    return all(operand.type.shape == shape for operand in op.operands)


def dims_of_box(space: IterationSpace, box: Box) -> list[int]:
    """Extent of each dim that a box of the result takes; reduction dims are whole."""
    sizes = [dim.extent for dim in space.dims]
    for axis, extent in zip(space.results[0].axes, box, strict=True):
        if any(space.dims[dim].is_reduction for dim, _ in axis.terms):
            continue  # results that windows scatter into: all points may meet there
        for dim, size in _terms_of_run(space, axis, extent):
            sizes[dim] = size
    return sizes


def _terms_of_run(space: IterationSpace, axis: Affine, extent: int) -> Iterable[tuple[int, int]]:
    """How many values of each dim a run along an axis takes; composed axes go from the innermost dim out."""
    inner = 1
    for dim, coefficient in sorted(axis.terms, key=lambda term: abs(term[1])):
        whole = space.dims[dim].extent
        if len(axis.terms) > 1 and abs(coefficient) != inner:
            yield dim, whole
            continue
        yield dim, min(whole, max(math.ceil(extent / max(abs(coefficient), 1)), min(extent, 1)))
        inner = abs(coefficient) * whole


def reshaped_box(box: Box, shape: Sequence[int], source: Sequence[int]) -> Box:
    """The box of a tensor of shape ``source`` that holds a box of the same elements under another shape.

    >>> reshaped_box((1, 4, 1, 64), (1, 128, 12, 64), (128, 768))
    (4, 64)
    """
    found = [1] * len(source)
    axis = place = 0
    while axis < len(shape) and place < len(source):
        last, end = axis + 1, place + 1
        mine, theirs = shape[axis], source[place]
        while mine != theirs:
            if mine < theirs and last < len(shape):
                mine, last = mine * shape[last], last + 1
            elif theirs < mine and end < len(source):
                theirs, end = theirs * source[end], end + 1
            else:
                return tuple(source)
        found[place:end] = _same_elements(box[axis:last], shape[axis:last], source[place:end])
        axis, place = last, end
    return tuple(found)


def _same_elements(box: Sequence[int], shape: Sequence[int], source: Sequence[int]) -> list[int]:
    """A box of axes as a box of others that have the same elements between them."""
    if len(source) == 1:
        strides = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
        return [1 + sum((count - 1) * stride for count, stride in zip(box, strides, strict=True))]
    if len(shape) > 1:
        return list(source)
    (run,) = box
    found = []
    for i, extent in enumerate(source):
        stride = math.prod(source[i + 1 :])
        is_aligned = run % stride == 0 or stride % run == 0  # else some tiles cross into one more
        found.append(min(extent, math.ceil(run / stride) + (0 if is_aligned else 1)))
    return found


def _through_body(block: Block, results: Sequence[Box]) -> list[Box]:
    *ops, terminator = block.ops
    boxes: dict[Value, Box] = {}
    for value, box in zip(terminator.operands, results, strict=True):
        boxes[value] = _hull(boxes[value], box) if value in boxes else box
    behind = boxes_behind(ops, boxes)
    return [behind.get(argument, (0,) * argument.type.rank) for argument in block.arguments]


def _hull(first: Box, second: Box) -> Box:
    return tuple(map(max, first, second))


def box_bytes(type: TensorType, box: Box) -> float:
    """Bytes of a box of a tensor."""
    return math.prod(box) * type.dtype.bits / 8


def on_chip_bytes(ops: Sequence[Op], boxes: Mapping[Value, Box], leaving: Collection[Value]) -> float:
    """Most bytes that one tile keeps of what passes between ops: boxes from where they are made to their last reader.

    Args:
        ops: in program order. boxes: of their values. leaving: results, which go out as they are made.
    """
    made = {op.result for op in ops if not op.definition.is_view and op.result in boxes}
    shown: dict[Value, Value] = {}  # what views are views of
    last: dict[Value, int] = {}
    for place, op in enumerate(ops):
        reads = [shown.get(value, value) for value in op.operands]
        if op.definition.is_view:
            shown[op.result] = reads[0]
        else:
            last.update(dict.fromkeys(reads, place))
    live = most = 0.0
    for place, op in enumerate(ops):
        if op.result in made and op.result in last:
            live += box_bytes(op.result.type, boxes[op.result])
        most = max(most, live)
        for value in dict.fromkeys(shown.get(operand, operand) for operand in op.operands):
            if value in made and last.get(value) == place:
                live -= box_bytes(value.type, boxes[value])
    return most
