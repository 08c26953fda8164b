"""Writes models/resnet50.onnx: the architecture of ResNet-50, its weights declared but not shipped.

    python -m ircost.datasets.make_resnet50

Source: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", 2015, table 1, column "50-layer";
with the stride in the 3x3 convolution, as in Goyal et al., "Accurate, Large Minibatch SGD", 2017 ("v1.5").
Batch normalisation is folded into the convolutions, as exporters do.
"""

from __future__ import annotations

import math
from pathlib import Path

import onnx
from onnx import TensorProto, helper

PATH = Path(__file__).parent / "models" / "resnet50.onnx"
WEIGHTS = "resnet50.weights"
BLOCKS = (3, 4, 6, 3)  # of layer1 to layer4
EXPANSION = 4  # channels out of a block, per channel of its 3x3 convolution
CLASSES = 1000
F32_BYTES = 4


def resnet50() -> onnx.ModelProto:
    """ResNet-50 for images [N, 3, 224, 224]; opset 17, every weight in an external file that need not exist.

    >>> len(resnet50().graph.node)
    122
    """
    image = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, 224, 224])
    logits = helper.make_tensor_value_info("output", TensorProto.FLOAT, ["N", CLASSES])
    network = _Network()
    network.classify(network.layers(network.stem("input")), "output")
    graph = helper.make_graph(network.nodes, "resnet50", [image], [logits], network.weights)
    opset = helper.make_opsetid("", 17)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8, producer_name="ircost")


class _Network:
    """Nodes and weights so far. Each method adds some and returns the name of the last one's output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[TensorProto] = []
        self.weights_bytes = 0

    def stem(self, image: str) -> str:
        x = self.relu(self.conv(image, "", "conv1", 3, 64, kernel=7, stride=2), "")
        attributes = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
        return self.node("MaxPool", [x], "/maxpool/MaxPool", **attributes)

    def layers(self, x: str) -> str:
        channels = 64
        for layer, blocks in enumerate(BLOCKS, start=1):
            width = 32 * 2**layer
            for block in range(blocks):
                stride = 2 if layer > 1 and block == 0 else 1
                x = self.bottleneck(x, f"layer{layer}.{block}", channels, width, stride)
                channels = width * EXPANSION
        return x

    def bottleneck(self, x: str, block: str, channels: int, width: int, stride: int) -> str:
        """1x1, 3x3, 1x1; the shortcut is a 1x1 convolution where the shape changes."""
        out = width * EXPANSION
        y = self.relu(self.conv(x, block, "conv1", channels, width), block)
        y = self.relu(self.conv(y, block, "conv2", width, width, kernel=3, stride=stride), block, "_1")
        y = self.conv(y, block, "conv3", width, out)
        if channels != out:
            x = self.conv(x, block, "downsample.0", channels, out, stride=stride)
        return self.relu(self.node("Add", [y, x], f"{_scope(block)}/Add"), block, "_2")

    def classify(self, x: str, logits: str) -> None:
        x = self.node("GlobalAveragePool", [x], "/avgpool/GlobalAveragePool")
        x = self.node("Flatten", [x], "/Flatten", axis=1)
        features = 512 * EXPANSION
        operands = [x, self.weight("fc.weight", CLASSES, features), self.weight("fc.bias", CLASSES)]
        self.nodes.append(helper.make_node("Gemm", operands, [logits], name="/fc/Gemm", transB=1))

    def conv(self, x: str, block: str, module: str, channels: int, out: int, kernel: int = 1, stride: int = 1) -> str:
        name = f"{block}.{module}".lstrip(".")
        weight = self.weight(f"{name}.weight", out, channels, kernel, kernel)
        bias = self.weight(f"{name}.bias", out)
        attributes = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [kernel // 2] * 4}
        # An exporter writes a module in a sequence twice: /downsample/downsample.0.
        path = f"{module.split('.')[0]}/{module}" if "." in module else module
        return self.node("Conv", [x, weight, bias], f"{_scope(block)}/{path}/Conv", **attributes)

    def relu(self, x: str, block: str, suffix: str = "") -> str:
        return self.node("Relu", [x], f"{_scope(block)}/relu/Relu{suffix}")

    def node(self, op: str, inputs: list[str], name: str, **attributes: int | list[int]) -> str:
        made = helper.make_node(op, inputs, [f"{name}_output_0"], name=name)
        made.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        self.nodes.append(made)
        return f"{name}_output_0"

    def weight(self, name: str, *shape: int) -> str:
        length = F32_BYTES * math.prod(shape)
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape)
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", WEIGHTS), ("offset", self.weights_bytes), ("length", length)):
            tensor.external_data.add(key=key, value=str(value))
        self.weights.append(tensor)
        self.weights_bytes += length
        return name


def _scope(block: str) -> str:
    """``layer1.0`` -> ``/layer1/layer1.0``, as exporters name nodes."""
    return f"/{block.split('.')[0]}/{block}" if block else ""


if __name__ == "__main__":
    PATH.write_bytes(resnet50().SerializeToString(deterministic=True))
