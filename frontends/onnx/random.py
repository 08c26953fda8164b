"""Random operators. The seed is part of the op: one that the node does not give follows from the node's name."""

from __future__ import annotations

import zlib

import numpy as np

from ircost.frontends.onnx.node import Node, lowering
from ircost.ir import ops
from ircost.ir.attributes import Attribute
from ircost.ir.graph import Value
from ircost.ir.types import DType, TensorType, f32, f64, i64


@lowering("RandomUniform", "RandomUniformLike")
def random_uniform(node: Node) -> Value:
    return random(node, "uniform", node.float("low", 0.0), node.float("high", 1.0), result_type(node))


@lowering("RandomNormal", "RandomNormalLike")
def random_normal(node: Node) -> Value:
    return random(node, "normal", node.float("mean", 0.0), node.float("scale", 1.0), result_type(node))


def random(node: Node, distribution: str, low: float, high: float, type: TensorType) -> Value:
    attrs: dict[str, Attribute] = {"distribution": distribution, "low": low, "high": high, "seed": seed_of(node)}
    return ops.random.create((), attrs, result_types=(type,)).result


def seed_of(node: Node) -> int:
    """Whole seeds as they are; a float that is none, by its bits."""
    if "seed" not in node.attributes:
        return zlib.crc32(f"{node.importer.prefix}{node.name}".encode())
    seed = node.attributes["seed"].i if node.proto.op_type == "Dropout" else node.float("seed", 0.0)
    if np.isfinite(seed) and seed == int(seed) and 0 <= seed < 2**32:
        return int(seed)
    return int(np.float32(seed).view(np.uint32))


def result_type(node: Node) -> TensorType:
    """That of the input for the -Like operators, where no attribute says another format."""
    if "shape" in node.attributes:
        node.importer.check_elements(int(np.prod(node.ints("shape", ()), dtype=float)), node)
        return TensorType(node.ints("shape", ()), node.element_type(node.int("dtype", 1)))
    like = node[0].type
    return TensorType(like.shape, node.element_type(node.int("dtype", 1)) if "dtype" in node.attributes else like.dtype)


@lowering("Multinomial")
def multinomial(node: Node) -> Value:
    """Each draw takes the first class whose share of the probabilities, summed up to it, exceeds a random number.

    Shapes: unnormalised log-probabilities [b, c], out [b, sample_size].
    """
    logits, samples = node[0], node.int("sample_size", 1)
    batch, classes = logits.type.shape
    shares = ops.cumsum(ops.softmax(ops.cast(logits, to=f64), axis=1), axis=1)
    drawn = random(node, "uniform", 0.0, 1.0, TensorType((batch, samples, 1), f64))
    behind = ops.less_equal(ops.reshape(shares, shape=(batch, 1, classes)), drawn)
    position = ops.reduce_sum(ops.cast(behind, to=i64), axes=(2,))
    last = ops.constant_of(np.array(classes - 1, np.int64))  # the shares may add up to a little less than 1
    return ops.cast(ops.minimum(position, last), to=node.element_type(node.int("dtype", 6)))


@lowering("Dropout")
def dropout(node: Node) -> list[Value]:
    """Inference: the input, and a mask of ones. Training: a random mask, and what it leaves made larger."""
    x = node[0]
    ratio = float(node.known_number(1, "the ratio").item()) if node.get(1) is not None else 0.5
    if not trains(node) or ratio == 0:
        return [x] if len(node.proto.output) < 2 else [x, ops.constant_of(np.ones(x.type.shape, np.bool_))]
    numbers = random(node, "uniform", 0.0, 1.0, TensorType(x.type.shape, widest(x.type.dtype)))
    kept = ops.greater_equal(numbers, node.like(ratio, numbers))
    scale = node.like(1 / (1 - ratio) if ratio < 1 else 0.0, x)
    return [ops.mul(ops.mul(x, ops.cast(kept, to=x.type.dtype)), scale), kept]


def widest(dtype: DType) -> DType:
    return dtype if dtype == f64 else f32


def trains(node: Node) -> bool:
    """Whether a node runs in training mode.

    Raises:
        OnnxError: that depends on data.
    """
    return node.get(2) is not None and bool(node.known_number(2, "training_mode"))
