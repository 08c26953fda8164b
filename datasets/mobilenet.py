"""MobileNetV2 as a module, from its published hyper-parameters.

Source: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018, table 2. Batch
normalisation is folded into the convolutions. Number formats are those of storage: the scales of an int8 network
take next to nothing.
"""

from __future__ import annotations

from ircost.ir import Builder, Function, Location, Module, TensorType, Value, ops
from ircost.ir.constant import Missing
from ircost.ir.types import DType, parse_dtype

STEM_CHANNELS = 32
# Expansion t, channels c, blocks n, stride s of the first one.
BLOCKS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
HEAD_CHANNELS = 1280
CLASSES = 1000


def mobilenet_v2(resolution: int = 224, dtype: str = "i8") -> Module:
    """The network for one image [1, 3, resolution, resolution], weights declared but not there.

    >>> module = mobilenet_v2()
    >>> sum(op.name == "conv" for op in module.walk()), str(module.main.results[0].type)
    (52, '1x1000xi8')
    """
    format = parse_dtype(dtype)
    function = Function("main", [TensorType((1, 3, resolution, resolution), format)])
    network = _Network(Builder(function.block), format)
    x = network.conv(function.arguments[0], "stem", STEM_CHANNELS, kernel=3, stride=2)
    for group, (expansion, channels, count, stride) in enumerate(BLOCKS, start=1):
        for number in range(count):
            x = network.block(x, f"{group}.{number}", expansion, channels, stride if number == 0 else 1)
    x = network.conv(x, "head", HEAD_CHANNELS)
    logits = network.classify(x)
    network.build.op(ops.return_.create([logits]))
    return Module([function], f"mobilenet_v2_{resolution}")


class _Network:
    def __init__(self, build: Builder, format: DType) -> None:
        self.build = build
        self.format = format

    def block(self, x: Value, name: str, expansion: int, channels: int, stride: int) -> Value:
        """Expand, filter each channel by itself, project; the input is added where shapes allow."""
        inside = x.type.shape[1] * expansion
        y = x if expansion == 1 else self.conv(x, f"{name}/expand", inside)
        y = self.conv(y, f"{name}/depthwise", inside, kernel=3, stride=stride, is_depthwise=True)
        y = self.conv(y, f"{name}/project", channels, is_linear=True)
        if y.type != x.type:
            return y
        self.build.location = Location("", (f"{name}/add",))
        return self.build(ops.add(y, x))

    def conv(
        self,
        x: Value,
        name: str,
        channels: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        is_depthwise: bool = False,
        is_linear: bool = False,
    ) -> Value:
        self.build.location = Location("", (name,))
        weight = self.weight(channels, 1 if is_depthwise else x.type.shape[1], kernel, kernel)
        around = ((kernel // 2, kernel // 2),) * 2
        y = self.build(ops.conv(x, weight, strides=(stride, stride), pads=around))
        return y if is_linear else self.build(ops.relu(y))

    def classify(self, x: Value) -> Value:
        self.build.location = Location("", ("classifier",))
        pooled = self.build(ops.reduce_max(x, axes=(2, 3)))  # a mean moves as much, but needs floats
        return self.build(ops.matmul(pooled, self.weight(HEAD_CHANNELS, CLASSES)))

    def weight(self, *shape: int) -> Value:
        type = TensorType(shape, self.format)
        return self.build(
            ops.constant.create((), {"value": Missing("weights are not shipped")}, result_types=(type,)).result
        )
