"""Fits the constants of backends/onnx/blocked_costs.py: convolutions and all that moves with them, in both layouts.

    python -m benchmarks.blocked_layout

Prints the time of each operator, in microseconds of one core, then the constants. Blocks are of 16 channels: a
processor with AVX-512 is needed.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from ircost.backends.onnx import blocked_costs
from ircost.backends.onnx.blocked_layout import DOMAIN, padded

BLOCK = 16
# Kind, input channels, output channels, extent, window, stride: of ResNet-50, MobileNets, EfficientNet and ConvNeXt.
CONVOLUTIONS = [
    *[("first", 3, 32, 224, 3, 2), ("first", 3, 64, 224, 7, 2), ("first", 1, 64, 120, 3, 1)],
    *[("first", 8, 16, 112, 3, 1), ("window", 12, 20, 56, 3, 1)],
    *[("window", 16, 16, 112, 3, 1), ("window", 32, 32, 56, 3, 1), ("window", 64, 64, 56, 3, 1)],
    *[("window", 128, 128, 28, 3, 1), ("window", 256, 256, 14, 3, 1), ("window", 512, 512, 7, 3, 1)],
    *[("window", 24, 24, 28, 5, 1), ("window", 64, 64, 56, 3, 2)],
    *[("point", 16, 64, 112, 1, 1), ("point", 64, 64, 56, 1, 1), ("point", 64, 256, 56, 1, 1)],
    *[("point", 256, 64, 56, 1, 1), ("point", 128, 512, 28, 1, 1), ("point", 512, 128, 28, 1, 1)],
    *[("point", 1024, 256, 14, 1, 1), ("point", 2048, 512, 7, 1, 1), ("point", 24, 72, 28, 1, 1)],
    *[("point", 40, 120, 14, 1, 1), ("point", 576, 96, 7, 1, 1)],
    *[("depth", 16, 16, 112, 3, 1), ("depth", 64, 64, 56, 3, 1), ("depth", 72, 72, 56, 3, 2)],
    *[("depth", 120, 120, 28, 5, 1), ("depth", 240, 240, 14, 5, 1), ("depth", 576, 576, 7, 5, 1)],
    ("depth", 96, 96, 56, 7, 1),
]
IMAGES = [(64, 112), (256, 56), (64, 56), (128, 28), (576, 7)]


@dataclass(frozen=True, slots=True)
class Convolution:
    """One convolution in both layouts.

    Args:
        flops: in plain layout; ``padding`` times as many in blocks. columns: bytes of the windows side by side.
    """

    kind: str
    flops: float
    padding: float
    columns: float
    groups: int
    plain_s: float
    blocked_s: float


def main() -> None:
    idle = seconds("Relu", [(1, 1, 1, 1)])
    print("| convolution | plain us | blocked us |\n|---|--:|--:|")
    convolutions = list(measured_convolutions(idle))
    rates = list(fitted(convolutions)) + list(moved(idle))
    print("\n| constant | fitted here | in use |\n|---|--:|--:|")
    for name, value in rates:
        print(f"| {name} | {value:.3g} | {getattr(blocked_costs, name):.3g} |")


def measured_convolutions(idle: float) -> Iterator[Convolution]:
    for kind, inputs, outputs, extent, window, stride in CONVOLUTIONS:
        groups = inputs if kind == "depth" else 1
        wide, more = padded(outputs, BLOCK), inputs if kind == "first" else padded(inputs, BLOCK)
        shape = (1, inputs, extent, extent)
        attributes = {"strides": [stride] * 2, "pads": [(window - 1) // 2] * 4, "kernel_shape": [window] * 2}
        weights = np.ones((outputs, inputs // groups, window, window), np.float32)
        plain_s = seconds("Conv", [shape], weights=weights, group=groups, **attributes) - idle
        blocks = np.ones((wide, 1 if kind == "depth" else more, window, window), np.float32)
        shape, new_groups = (1, more, extent, extent), wide if kind == "depth" else 1
        blocked_s = seconds("Conv", [shape], DOMAIN, weights=blocks, group=new_groups, **attributes) - idle
        points = math.ceil(extent / stride) ** 2
        flops = 2 * outputs * points * window**2 * inputs / groups
        columns = 4 * points * window**2 * inputs if window > 1 else 0.0
        padding = wide / outputs * (1 if kind == "depth" else more / inputs)
        print(f"| {kind} {inputs} {outputs} {extent} {window} {stride} | {1e6 * plain_s:.1f} | {1e6 * blocked_s:.1f} |")
        yield Convolution(kind, flops, padding, columns, groups, plain_s, blocked_s)


def fitted(rows: list[Convolution]) -> Iterator[tuple[str, float]]:
    """Rates as medians: of products alone, then of what is left beside them."""
    plain = statistics.median(row.flops / row.plain_s for row in rows if row.kind == "point")
    yield "PLAIN_FLOPS_PER_S", plain
    yield "BLOCKED_FLOPS_PER_S", statistics.median(row.padding * row.flops / row.blocked_s for row in rows)
    deep = [row for row in rows if row.kind == "depth"]
    terms = np.array([[row.columns, row.groups] for row in deep])
    left = np.array([row.plain_s - row.flops / plain for row in deep])
    per_byte, per_group = np.linalg.lstsq(terms / left[:, None], np.ones(len(deep)), rcond=None)[0]
    yield "COLUMNS_BYTES_PER_S", 1 / per_byte
    yield "GROUP_S", per_group


def moved(idle: float) -> Iterator[tuple[str, float]]:
    def rate(operator: str, last: bool = False, **attributes: Any) -> float:
        found = []
        for channels, extent in IMAGES:
            shape = (1, extent, extent, channels) if last else (1, channels, extent, extent)
            found.append(4 * channels * extent**2 / (seconds(operator, [shape], **attributes) - idle))
        return statistics.median(found)

    pool = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1] * 4}
    yield "REORDER_BYTES_PER_S", rate("ReorderInput", domain=DOMAIN)
    yield "CHANNELS_LAST_BYTES_PER_S", rate("ReorderInput", last=True, domain=DOMAIN, channels_last=1)
    yield "TRANSPOSE_BYTES_PER_S", rate("Transpose", perm=[0, 2, 3, 1])
    yield "STREAM_BYTES_PER_S", rate("Relu")
    yield "PLAIN_WINDOW_BYTES_PER_S", rate("MaxPool", **pool)
    yield "BLOCKED_WINDOW_BYTES_PER_S", rate("MaxPool", domain=DOMAIN, **pool)
    yield "NODE_S", (seconds("Relu", [(1, 1, 1, 1)], copies=64) - idle) / 63


def seconds(
    operator: str,
    shapes: list[tuple[int, ...]],
    domain: str = "",
    weights: np.ndarray | None = None,
    copies: int = 1,
    least_s: float = 0.2,
    **attributes: Any,
) -> float:
    """Time of one application, or of ``copies`` in a row, by the fastest fifth of many runs."""
    import onnxruntime

    helper = onnx.helper
    names = [f"x{i}" for i in range(len(shapes))]
    known = [] if weights is None else [onnx.numpy_helper.from_array(weights, "w")]
    reads = [*names, *(tensor.name for tensor in known)]
    nodes = [helper.make_node(operator, reads, ["y0"], domain=domain, **attributes)]
    nodes += [helper.make_node(operator, [f"y{i - 1}"], [f"y{i}"], domain=domain) for i in range(1, copies)]
    inputs = [helper.make_tensor_value_info(name, 1, shape) for name, shape in zip(names, shapes, strict=True)]
    graph = helper.make_graph(nodes, "g", inputs, [helper.make_tensor_value_info(f"y{copies - 1}", 1, None)], known)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    for name, shape in zip(names, shapes, strict=True):
        binding.bind_cpu_input(name, np.random.default_rng(0).random(shape, np.float32))
    binding.bind_output(f"y{copies - 1}")
    session.run_with_iobinding(binding)
    times = []
    end = time.perf_counter() + least_s
    while time.perf_counter() < end or len(times) < 5:
        start = time.thread_time()
        session.run_with_iobinding(binding)
        times.append(time.thread_time() - start)
    return float(np.percentile(times, 20))


if __name__ == "__main__":
    main()
