"""Resizing along one axis: a weighted sum of gathers whose places are known when the model is read."""

from __future__ import annotations

import numpy as np

from ircost.ir import ops
from ircost.ir.graph import Value


def weighted(x: Value, axis: int, places: np.ndarray, weights: np.ndarray) -> Value:
    """Sum over taps of gather(x, places) * weights; both [out, taps]."""
    total: Value | None = None
    for index, weight in zip(places.T, weights.T, strict=True):
        if not weight.any():
            continue
        factor = ops.constant_of(along(weight, axis, x.type.rank), x.type.dtype)
        part = ops.mul(ops.gather(x, ops.constant_of(index), axis=axis), factor)
        total = part if total is None else ops.add(total, part)
    assert total is not None, "weights add up to 1"
    return total


def along(vector: np.ndarray, axis: int, rank: int) -> np.ndarray:
    """A vector that broadcasts along one axis."""
    return vector.reshape(tuple(-1 if i == axis else 1 for i in range(rank)))


def at_nearest(x: Value, axis: int, places: np.ndarray) -> Value:
    """The element at each place, rounded down, of the ones that there are."""
    index = np.clip(np.floor(places), 0, x.type.shape[axis] - 1).astype(np.int64)
    return ops.gather(x, ops.constant_of(index), axis=axis)


def at_linear(x: Value, axis: int, places: np.ndarray) -> Value:
    """Linear interpolation between the two neighbours of each place; beyond the ends, the last element."""
    low = np.floor(places)
    return _of_neighbours(x, axis, low, np.stack([low + 1 - places, places - low], axis=1), first=0)


def at_cubic(x: Value, axis: int, places: np.ndarray) -> Value:
    """Cubic interpolation between four neighbours, a = -0.75 as PyTorch has it."""
    low = np.floor(places)
    distances = np.abs(places[:, None] - (low[:, None] + np.arange(-1, 3)))
    return _of_neighbours(x, axis, low, cubic(distances, -0.75), first=-1)


def _of_neighbours(x: Value, axis: int, low: np.ndarray, weights: np.ndarray, first: int) -> Value:
    places = low[:, None] + np.arange(first, first + weights.shape[1])
    return weighted(x, axis, np.clip(places, 0, x.type.shape[axis] - 1).astype(np.int64), weights)


def cubic(distance: np.ndarray, a: float) -> np.ndarray:
    """Convolution kernel of R. Keys, "Cubic convolution interpolation for digital image processing", 1981."""
    d = np.clip(distance, 0, 2)
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    weight: np.ndarray = np.where(d <= 1, near, far)
    return weight
