"""What puts elements back to where windows took them from: Col2Im, MaxUnpool."""

from __future__ import annotations

import math

import numpy as np

from ircost.frontends.onnx.node import Node, lowering
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.types import TensorType


@lowering("Col2Im")
def col2im(node: Node) -> Value:
    """Columns [n, c * k, blocks] added up into an image [n, c, ...], each element where its block took it from."""
    x, image, block = node[0], node.known_ints(1, "the image's shape"), node.known_ints(2, "the block's shape")
    rank = len(image)
    strides, dilations = node.ints("strides", (1,) * rank), node.ints("dilations", (1,) * rank)
    pads = node.ints("pads", (0,) * 2 * rank)
    padded = tuple(n + pads[i] + pads[rank + i] for i, n in enumerate(image))
    counts = tuple((n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(padded, block, strides, dilations, strict=True))
    taps, places = math.prod(block), math.prod(counts)
    if x.type.rank != 3 or min(counts) < 1 or x.type.shape[1] % taps or x.type.shape[2] != places:
        raise node.error(f"columns {x.type} do not fit blocks of {block} over an image of {image}")
    batch, channels = x.type.shape[0], x.type.shape[1] // taps
    index = np.zeros((taps, places), np.int64)
    for i, extent in enumerate(padded):
        tap = np.indices(block)[i].reshape(-1, 1) * dilations[i]
        place = np.indices(counts)[i].reshape(1, -1) * strides[i]
        index = index * extent + tap + place
    columns = ops.transpose(ops.reshape(x, shape=(batch * channels, taps * places)), perm=(1, 0))
    empty = ops.splat(0, TensorType((math.prod(padded), batch * channels), x.type.dtype))
    added = ops.scatter_nd(empty, ops.constant_of(index.reshape(-1, 1)), columns, reduction="add")
    whole = ops.reshape(ops.transpose(added, perm=(1, 0)), shape=(batch, channels, *padded))
    return ops.slice(whole, starts=(0, 0, *pads[:rank]), size=(batch, channels, *image))


@lowering("MaxUnpool")
def max_unpool(node: Node) -> Value:
    """Maxima put back to their places, 0 elsewhere; a larger output shape is filled with 0 at the ends."""
    x, places = node[0], node[1]
    size = node.ints("kernel_shape", ())
    rank = len(size)
    strides, pads = node.ints("strides", (1,) * rank), node.ints("pads", (0,) * 2 * rank)
    if rank != x.type.rank - 2 or places.type.shape != x.type.shape:
        raise node.error(f"a window of {rank} axes and indices {places.type} do not fit {x.type}")
    spatial = ((n - 1) * strides[i] - pads[i] - pads[rank + i] + size[i] for i, n in enumerate(x.type.shape[2:]))
    shape = (*x.type.shape[:2], *spatial)
    count = x.type.elements
    node.importer.check_elements(math.prod(shape), node)
    empty = ops.splat(0, TensorType((math.prod(shape),), x.type.dtype))
    flat = ops.scatter_nd(empty, ops.reshape(places, shape=(count, 1)), ops.reshape(x, shape=(count,)))
    result = ops.reshape(flat, shape=shape)
    wanted = node.known_ints(2, "the output's shape") if node.get(2) is not None else shape
    if len(wanted) != len(shape):
        raise node.error(f"output shape {wanted} has another rank than {x.type}")
    return ops.pad(result, pads=tuple((0, n - m) for n, m in zip(wanted, shape, strict=True)))
