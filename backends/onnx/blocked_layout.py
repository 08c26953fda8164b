"""Blocked layout: channels in blocks of 8 or 16, one block's channels beside each other, as vector units want them.

A value [n, c, h, w] lies in memory as [n, c / b, h, w, b], its last block filled up with channels that nobody reads. It
is called [n, c', h, w] all the same, c' being c rounded up, so that whatever treats elements alone stays as it is.

Source: operators of the domain ``com.microsoft.nchwc``, as onnxruntime's own optimiser uses them
(onnxruntime/core/optimizer/nchwc_transformer.cc, onnxruntime/contrib_ops/cpu/nchwc_ops.cc).
"""

from __future__ import annotations

import numpy as np

from ircost.backends.onnx.node import Array, Attribute, Input, Known, Node, node, whole_numbers
from ircost.ir.graph import Value
from ircost.ir.types import TensorType, f32

DOMAIN = "com.microsoft.nchwc"
# ReorderInput moves channels by fours.
CHANNELS_AT_ONCE = 4


def blocked_node(operator: str, *inputs: Input, **attributes: Attribute) -> Node:
    return Node(operator, inputs, attributes, domain=DOMAIN)


def padded(channels: int, block: int) -> int:
    """The number of channels with those that fill up the last block."""
    return -(-channels // block) * block


def image_shape(type: TensorType) -> tuple[int, int, int, int] | None:
    """[n, c, h, w]; a signal [n, c, w] is an image of one row. None for all else."""
    if type.bounded or type.rank not in (3, 4) or not type.elements:
        return None
    n, c, *rows, width = type.shape
    return n, c, (rows or [1])[0], width


def can_be_reordered(type: TensorType) -> bool:
    """Whether there is an operator that takes a value into blocks and out of them; for all else there is none."""
    return type.dtype == f32 and type.shape[1] % CHANNELS_AT_ONCE == 0


def is_both(type: TensorType, block: int) -> bool:
    """Whether a value lies in memory the same way in both layouts: full blocks of images of one point."""
    shape = image_shape(type)
    return shape is not None and shape[2:] == (1, 1) and shape[1] % block == 0


def into_blocks(value: Value, x: Input, block: int) -> Input:
    """The blocked form of ``x``, which has the type of ``value``."""
    shape = image_shape(value.type)
    assert shape is not None, "only images have blocks"
    image = x if value.type.rank == 4 else node("Reshape", x, whole_numbers(*shape))
    return image if is_both(value.type, block) else blocked_node("ReorderInput", image)


def out_of_blocks(value: Value, x: Input, block: int) -> Input:
    """A blocked ``x`` as ``value`` is."""
    shape = image_shape(value.type)
    assert shape is not None, "only images have blocks"
    image = x if is_both(value.type, block) else blocked_node("ReorderOutput", x, channels=shape[1])
    return image if value.type.rank == 4 else node("Reshape", image, whole_numbers(*value.type.shape))


def known_in_blocks(value: Value, block: int) -> Known:
    """A value that is known at load, reordered now."""
    return Known(value, f"blocks of {block}", lambda array: blocks_of(array, block))


# ---- arrays


def blocks_of(array: np.ndarray, block: int) -> np.ndarray:
    """[n, c, ..] to [n, c', h, w] whose memory is [n, c' / b, h, w, b].

    >>> blocks_of(np.arange(8).reshape(1, 4, 1, 2), 2).ravel().tolist()
    [0, 2, 1, 3, 4, 6, 5, 7]
    """
    n, c, *rows, width = array.shape
    full = filled(array.reshape(n, c, *(rows or [1]), width), 1, block)
    split = full.reshape(n, -1, block, *full.shape[2:])
    return np.ascontiguousarray(split.transpose(0, 1, 3, 4, 2)).reshape(full.shape)


def filled(array: np.ndarray, axis: int, block: int) -> np.ndarray:
    """Zeros behind an axis, up to whole blocks."""
    missing = padded(array.shape[axis], block) - array.shape[axis]
    return np.pad(array, [(0, missing if i == axis else 0) for i in range(array.ndim)])


def filter_of_blocks(weight: np.ndarray, block: int) -> np.ndarray:
    """[o, i, h, w] for inputs and outputs in blocks: memory is [o / b, i / b, h, w, b of i, b of o]."""
    full = filled(filled(image_filter(weight), 0, block), 1, block)
    o, i, h, w = full.shape
    split = full.reshape(o // block, block, i // block, block, h, w)
    return np.ascontiguousarray(split.transpose(0, 2, 4, 5, 3, 1)).reshape(full.shape)


def filter_to_blocks(weight: np.ndarray, block: int) -> np.ndarray:
    """[o, i, h, w] for outputs in blocks alone, or one input channel each: memory is [o / b, i, h, w, b of o]."""
    full = filled(image_filter(weight), 0, block)
    o, i, h, w = full.shape
    split = full.reshape(o // block, block, i, h, w)
    return np.ascontiguousarray(split.transpose(0, 2, 3, 4, 1)).reshape(full.shape)


def image_filter(weight: np.ndarray) -> np.ndarray:
    return weight if weight.ndim == 4 else weight[:, :, None]


# ---- the wrong processor


def guard(block: int) -> Node:
    """A node that fails where blocks have another size: convolutions would give wrong numbers without a word."""
    probe = blocked_node("ReorderInput", Array(np.zeros((1, CHANNELS_AT_ONCE, 1, 1), np.float32)))
    return node("Reshape", probe, whole_numbers(block))
