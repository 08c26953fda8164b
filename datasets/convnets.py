"""Convolutional networks as modules, from their published hyper-parameters: ResNet, ResNeXt, RegNet, EfficientNet.

Layers are written one op each, as PyTorch runs them op by op: batch norms apart from convolutions, SiLU a sigmoid and
a product. Sources: He et al., "Deep Residual Learning", CVPR 2016; Xie et al., "Aggregated Residual Transformations",
CVPR 2017; Radosavovic et al., "Designing Network Design Spaces", CVPR 2020; Tan, Le, "EfficientNet", ICML 2019; details
and hyper-parameters as in pycls, github.com/facebookresearch/pycls, configs/dds_baselines.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ircost.ir import Builder, Function, Location, Module, TensorType, Value, ops
from ircost.ir.constant import Missing
from ircost.ir.types import f32

CLASSES = 1000
SQUEEZE = 0.25  # channels inside a squeeze-and-excitation, of those of the block's operand


@dataclass(frozen=True, slots=True)
class Stage:
    """Bottleneck blocks of one width.

    Args:
        inside: channels of the 3 x 3 convolution. group_width: channels that it sums up at a time.
    """

    blocks: int
    width: int
    inside: int
    group_width: int


@dataclass(frozen=True, slots=True)
class ResNet:
    """Bottleneck blocks behind a 7 x 7 stem; with groups, ResNeXt.

    Args:
        blocks: of each stage. groups, base_width: 1 x 64 for ResNet, 32 x 4 for ResNeXt.
    """

    blocks: tuple[int, int, int, int]
    groups: int = 1
    base_width: int = 64
    resolution: int = 224

    @property
    def stages(self) -> tuple[Stage, ...]:
        return tuple(
            Stage(count, 256 * 2**i, self.groups * self.base_width * 2**i, self.base_width * 2**i)
            for i, count in enumerate(self.blocks)
        )


@dataclass(frozen=True, slots=True)
class RegNet:
    """Stages whose widths are a rounded line over the blocks.

    Args:
        w0, wa: width of the first block, and how much each adds. wm: widths differ by powers of it.
        depth: blocks. group_width: channels of a group. squeezes: with squeeze-and-excitation: RegNetY.
    """

    w0: int
    wa: float
    wm: float
    depth: int
    group_width: int
    squeezes: bool = False
    resolution: int = 224

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Source: the paper, equations 2 to 4; widths are multiples of 8, then of the groups' width.

        >>> [(stage.blocks, stage.width) for stage in RegNet(24, 36.44, 2.49, 13, 8).stages]
        [(1, 24), (1, 56), (4, 152), (7, 368)]
        """
        powers = [round(math.log((self.w0 + self.wa * i) / self.w0) / math.log(self.wm)) for i in range(self.depth)]
        widths = Counter(8 * round(self.w0 * self.wm**power / 8) for power in powers)
        return tuple(self._stage(count, width) for width, count in sorted(widths.items()))

    def _stage(self, count: int, width: int) -> Stage:
        group = min(self.group_width, width)
        whole = max(group, round(width / group) * group)
        return Stage(count, whole, whole, group)


@dataclass(frozen=True, slots=True)
class EfficientNet:
    """Inverted bottlenecks with squeeze-and-excitation; B0 scaled by factors.

    Args:
        width, depth: of all channels and blocks.
    """

    width: float
    depth: float
    resolution: int

    def channels(self, base: int) -> int:
        """The multiple of 8 nearest to the scaled width; one up where that is less than nine tenths of it."""
        scaled = base * self.width
        nearest = max(8, int(scaled + 4) // 8 * 8)
        return nearest + 8 if nearest < 0.9 * scaled else nearest

    def blocks(self, base: int) -> int:
        return math.ceil(base * self.depth)


# Of EfficientNet-B0: expansion, channels, blocks, stride of the first one, kernel.
MOBILE_STAGES = (
    *((1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3)),
    *((6, 112, 3, 1, 5), (6, 192, 4, 2, 5), (6, 320, 1, 1, 3)),
)

Network = ResNet | RegNet | EfficientNet
Activation = Callable[[Value], Value]


@dataclass(frozen=True, slots=True)
class Complexity:
    """What papers on such networks count, for one image.

    Args:
        flops: multiply-adds of convolutions and products, and a bias once for each channel.
        parameters: weights, scales and biases; running means and variances of batch norms are none.
        activations: elements that convolutions, products and pooling write.
    """

    flops: int
    parameters: int
    activations: int


def convnet(network: Network, batch: int = 1) -> Module:
    """The network for images [batch, 3, resolution, resolution] in f32, weights declared but not there.

    >>> module = convnet(ResNet((3, 4, 6, 3)))
    >>> sum(op.name == "conv" for op in module.walk()), str(module.main.results[0].type)
    (53, '1x1000xf32')
    """
    function = Function("main", [TensorType((batch, 3, network.resolution, network.resolution), f32)])
    layers = _Layers(Builder(function.block))
    logits = layers.classify(_features(layers, function.arguments[0], network))
    layers.build.op(ops.return_.create([logits]))
    return Module([function], "convnet")


def _features(layers: _Layers, image: Value, network: Network) -> Value:
    match network:
        case ResNet():
            return _resnet(layers, image, network)
        case RegNet():
            return _regnet(layers, image, network)
        case EfficientNet():
            return _efficientnet(layers, image, network)


def _resnet(layers: _Layers, x: Value, network: ResNet) -> Value:
    x = layers.relu(layers.conv(x, "stem", 64, kernel=7, stride=2))
    layers.at("pool")
    x = layers.build(ops.max_pool(x, window=(3, 3), strides=(2, 2), pads=((1, 1), (1, 1))))
    return _bottlenecks(layers, x, network.stages, strides=(1, 2, 2, 2), squeezes=False)


def _regnet(layers: _Layers, x: Value, network: RegNet) -> Value:
    x = layers.relu(layers.conv(x, "stem", 32, kernel=3, stride=2))
    return _bottlenecks(layers, x, network.stages, strides=(2,) * len(network.stages), squeezes=network.squeezes)


def _bottlenecks(layers: _Layers, x: Value, stages: Sequence[Stage], strides: Sequence[int], squeezes: bool) -> Value:
    for number, (stage, stride) in enumerate(zip(stages, strides, strict=True), start=1):
        for block in range(stage.blocks):
            x = _bottleneck(layers, x, f"{number}.{block}", stage, stride if block == 0 else 1, squeezes)
    return x


def _bottleneck(layers: _Layers, x: Value, name: str, stage: Stage, stride: int, squeezes: bool) -> Value:
    """1 x 1, 3 x 3 in groups, 1 x 1; where the shape changes, a 1 x 1 convolution is the way around."""
    narrow = x.type.shape[1]
    y = layers.relu(layers.conv(x, f"{name}/a", stage.inside))
    groups = stage.inside // stage.group_width
    y = layers.relu(layers.conv(y, f"{name}/b", stage.inside, kernel=3, stride=stride, groups=groups))
    if squeezes:
        y = layers.squeeze(y, f"{name}/squeeze", round(narrow * SQUEEZE), layers.relu)
    y = layers.conv(y, f"{name}/c", stage.width)
    around = layers.conv(x, f"{name}/around", stage.width, stride=stride) if y.type != x.type else x
    layers.at(f"{name}/add")
    return layers.relu(layers.build(ops.add(around, y)))


def _efficientnet(layers: _Layers, x: Value, network: EfficientNet) -> Value:
    x = layers.silu(layers.conv(x, "stem", network.channels(32), kernel=3, stride=2))
    for number, (expansion, channels, blocks, stride, kernel) in enumerate(MOBILE_STAGES, start=1):
        for block in range(network.blocks(blocks)):
            width, step = network.channels(channels), stride if block == 0 else 1
            x = _inverted(layers, x, f"{number}.{block}", expansion, width, step, kernel)
    return layers.silu(layers.conv(x, "head", network.channels(1280)))


def _inverted(layers: _Layers, x: Value, name: str, expansion: int, width: int, stride: int, kernel: int) -> Value:
    narrow = x.type.shape[1]
    inside = narrow * expansion
    y = x if expansion == 1 else layers.silu(layers.conv(x, f"{name}/expand", inside))
    y = layers.silu(layers.conv(y, f"{name}/depthwise", inside, kernel=kernel, stride=stride, groups=inside))
    y = layers.squeeze(y, f"{name}/squeeze", int(narrow * SQUEEZE), layers.silu)
    y = layers.conv(y, f"{name}/project", width)
    layers.at(f"{name}/add")
    return layers.build(ops.add(x, y)) if y.type == x.type else y


class _Layers:
    """Appends layers, each under its name."""

    def __init__(self, build: Builder) -> None:
        self.build = build
        self.weights = 0

    def at(self, name: str) -> None:
        self.build.location = Location("", (name,))

    def conv(self, x: Value, name: str, channels: int, *, kernel: int = 1, stride: int = 1, groups: int = 1) -> Value:
        """Without bias, a batch norm behind it."""
        self.at(name)
        weight = self.weight(channels, x.type.shape[1] // groups, kernel, kernel)
        around = ((kernel // 2, kernel // 2),) * 2
        y = self.build(ops.conv(x, weight, strides=(stride, stride), pads=around))
        self.at(f"{name}/norm")
        return self.build(ops.batch_norm(y, *(self.weight(channels) for _ in range(4)), epsilon=1e-5))

    def relu(self, x: Value) -> Value:
        return self.build(ops.relu(x))

    def silu(self, x: Value) -> Value:
        return self.build(ops.mul(x, self.build(ops.sigmoid(x))))

    def squeeze(self, x: Value, name: str, inside: int, activation: Activation) -> Value:
        """x * sigmoid(w2 f(w1 mean(x) + b1) + b2), a factor for each channel."""
        self.at(name)
        mean = self.build(ops.reduce_mean(x, axes=(2, 3), keepdims=True))
        y = activation(self._biased(mean, inside))
        return self.build(ops.mul(x, self.build(ops.sigmoid(self._biased(y, x.type.shape[1])))))

    def _biased(self, x: Value, channels: int) -> Value:
        y = self.build(ops.conv(x, self.weight(channels, x.type.shape[1], 1, 1)))
        return self.build(ops.add(y, self.weight(1, channels, 1, 1)))

    def classify(self, x: Value) -> Value:
        self.at("classifier")
        pooled = self.build(ops.reduce_mean(x, axes=(2, 3)))
        logits = self.build(ops.matmul(pooled, self.weight(x.type.shape[1], CLASSES)))
        return self.build(ops.add(logits, self.weight(CLASSES)))

    def weight(self, *shape: int) -> Value:
        self.weights += 1  # each is another: equal ones would be merged
        value = Missing(f"weight {self.weights}")
        return self.build(ops.constant.create((), {"value": value}, result_types=(TensorType(shape, f32),)).result)
