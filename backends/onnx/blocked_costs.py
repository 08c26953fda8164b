"""What layouts cost, in seconds of one core; only differences between layouts are asked for, and only decide."""

from __future__ import annotations

import math

from ircost.ir.types import TensorType

# Fitted by benchmarks/blocked_layout.py to onnxruntime 1.32 on one core with AVX-512 (Zen 4, 3.6 GHz).
BLOCKED_FLOPS_PER_S = 114e9
PLAIN_FLOPS_PER_S = 98e9
COLUMNS_BYTES_PER_S = 26e9  # windows that a convolution in plain layout copies side by side
GROUP_S = 0.68e-6  # each group is a product of its own in plain layout
REORDER_BYTES_PER_S = 41e9
CHANNELS_LAST_BYTES_PER_S = 38e9  # a reorder from or to channels last
TRANSPOSE_BYTES_PER_S = 20e9
STREAM_BYTES_PER_S = 44e9  # an element-wise operator of one operand
PLAIN_WINDOW_BYTES_PER_S = 15e9
BLOCKED_WINDOW_BYTES_PER_S = 57e9
NODE_S = 0.22e-6


def reorder_s(type: TensorType) -> float:
    """A value from one layout into the other."""
    return NODE_S + 4 * type.elements / REORDER_BYTES_PER_S


def stream_s(elements: int) -> float:
    return 4 * elements / STREAM_BYTES_PER_S


def transpose_saving_s(type: TensorType, padding: float) -> float:
    """A transpose from or to channels last, against a reorder that does the same."""
    moved = 4 * type.elements
    return moved / TRANSPOSE_BYTES_PER_S - padding * moved / CHANNELS_LAST_BYTES_PER_S


def window_saving_s(type: TensorType, padding: float) -> float:
    """A pool of an operand of this type; ``padding`` is the part by which blocks are larger."""
    taken = 4 * type.elements
    return taken / PLAIN_WINDOW_BYTES_PER_S - padding * taken / BLOCKED_WINDOW_BYTES_PER_S


def conv_saving_s(result: TensorType, window: tuple[int, ...], inputs: int, groups: int, padding: float) -> float:
    """A convolution with ``inputs`` channels a group; in blocks it has ``padding`` times as many operations."""
    points = result.elements // result.shape[1]
    flops = 2 * result.elements * math.prod(window) * inputs
    columns = 4 * points * math.prod(window) * inputs * groups if math.prod(window) > 1 else 0
    plain = flops / PLAIN_FLOPS_PER_S + columns / COLUMNS_BYTES_PER_S + (GROUP_S * groups if groups > 1 else 0.0)
    return plain - padding * flops / BLOCKED_FLOPS_PER_S
