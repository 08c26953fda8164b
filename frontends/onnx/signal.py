"""Fourier transforms and what belongs to them."""

from __future__ import annotations

import numpy as np

from ircost.frontends.onnx.node import Node, lowering
from ircost.ir import ops
from ircost.ir.graph import Value


@lowering("DFT")
def dft(node: Node) -> Value:
    """The axis was an attribute up to opset 19, with another default, and is an input since."""
    x = node[0]
    axis = node.int("axis", 1)
    if node.opset >= 20:
        axis = node.known_int(2, "the axis") if node.get(2) is not None else -2
    axis %= x.type.rank
    inverse, onesided = bool(node.int("inverse", 0)), bool(node.int("onesided", 0))
    # The frequencies of one side are those of twice as many real numbers.
    default = 2 * (x.type.shape[axis] - 1) if inverse and onesided else x.type.shape[axis]
    length = node.known_int(1, "the length") if node.get(1) is not None else default
    return ops.fft(x, axis=axis, length=length, inverse=inverse, onesided=onesided)


@lowering("STFT")
def stft(node: Node) -> Value:
    """Frames of the signal, each times the window, and transformed.

    Real signals are [b, n, 1], or [b, n], as torch.onnx writes them and onnxruntime takes them.
    """
    signal, window = node[0], node.get(2)
    if signal.type.rank == 2:
        signal = ops.reshape(signal, shape=(*signal.type.shape, 1))
    step = node.known_int(1, "the frame step")
    length = node.known_int(3, "the frame length") if node.get(3) is not None else 0
    length = length or (window.type.shape[0] if window is not None else 0)
    if not 0 < length <= signal.type.shape[1] or step < 1:
        raise node.error(f"frames of {length} in steps of {step} do not fit {signal.type}")
    count = (signal.type.shape[1] - length) // step + 1
    places = np.arange(count)[:, None] * step + np.arange(length)
    frames = ops.gather(signal, ops.constant_of(places.astype(np.int64)), axis=1)
    if window is not None:
        frames = ops.mul(frames, ops.reshape(window, shape=(length, 1)))
    return ops.fft(frames, axis=2, length=length, onesided=bool(node.int("onesided", 1)))


@lowering("MelWeightMatrix")
def mel_weight_matrix(node: Node) -> Value:
    """Triangles over the bins of a spectrogram, evenly spaced in mel. Source: ONNX MelWeightMatrix-17."""
    bands, length, rate = (node.known_int(i, what) for i, what in enumerate(("the bands", "the length", "the rate")))
    low, high = (float(node.known_number(i, "a frequency").item()) for i in (3, 4))
    first, last = (2595 * np.log10(1 + hertz / 700) for hertz in (low, high))
    mel = np.linspace(first, last, bands + 2, endpoint=False)
    hertz = 700 * (10 ** (mel / 2595) - 1)
    edges = ((length + 1) * hertz // rate).astype(int)
    weights = np.zeros((length // 2 + 1, bands))
    for band, (left, centre, right) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        rising, falling = np.arange(left, centre + 1), np.arange(centre, right)
        weights[rising, band] = (rising - left) / (centre - left) if centre > left else 1.0
        if right > centre:
            weights[falling, band] = (right - falling) / (right - centre)
    dtype = node.element_type(node.int("output_datatype", 1))
    return ops.cast(ops.constant_of(weights), to=dtype)
