"""What models of ai.onnx.ml do with their scores: transforms, labels."""

from __future__ import annotations

import numpy as np

from ircost.frontends.onnx.node import Node, lowering
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.types import f32

ML = "ai.onnx.ml"
TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")  # in the order of TreeEnsemble-5's numbers


def numbers(node: Node, name: str) -> np.ndarray:
    """A list of floats, or since version 3 a tensor beside it."""
    if f"{name}_as_tensor" in node.attributes:
        return node.array(f"{name}_as_tensor").reshape(-1).astype(np.float64)
    return np.array(node.floats(name, ()), np.float64)


def base_values(node: Node) -> np.ndarray | None:
    found = numbers(node, "base_values")
    return found if len(found) else None


def as_floats(x: Value) -> Value:
    """[n, f] in floats; a vector is one row."""
    x = x if x.type.dtype.is_float else ops.cast(x, to=f32)
    return x if x.type.rank == 2 else ops.reshape(x, shape=(1, x.type.elements))


def transform_of(node: Node) -> str:
    if "post_transform" not in node.attributes:
        return "NONE"
    if node.proto.op_type == "TreeEnsemble":
        return TRANSFORMS[node.int("post_transform", 0) % len(TRANSFORMS)]
    return node.string("post_transform", "NONE")


def transformed(node: Node, scores: Value) -> Value:
    name = transform_of(node)
    if name == "SOFTMAX":
        return ops.softmax(scores, axis=1)
    if name == "LOGISTIC":
        return ops.sigmoid(scores)
    if name == "SOFTMAX_ZERO":
        zero = node.like(0, scores)
        low = ops.where(ops.equal(scores, zero), node.like(-np.inf, scores), scores)
        return ops.where(ops.equal(scores, zero), zero, ops.softmax(low, axis=1))
    if name != "NONE":
        raise node.error(f"post_transform = '{name}' is not supported", help="NONE, SOFTMAX, LOGISTIC or SOFTMAX_ZERO")
    return scores


def classified(node: Node, scores: Value, is_positive: bool) -> list[Value]:
    """Labels and scores; the one score of two classes becomes two, as onnxruntime has it."""
    if scores.type.shape[1] > 1:
        return [labelled(node, ops.argmax(scores, axis=1)), transformed(node, scores)]
    limit = 0.5 if is_positive else 0.0
    index = ops.cast(ops.greater(scores, node.like(limit, scores)), to=ops.argmax(scores, axis=1).type.dtype)
    if transform_of(node) == "LOGISTIC":
        first, second = ops.sigmoid(ops.neg(scores)), ops.sigmoid(scores)
    elif is_positive:
        first, second = ops.sub(node.like(1, scores), scores), scores
    else:
        first, second = ops.neg(scores), scores
    both = ops.concat(first, second, axis=1)
    return [labelled(node, ops.reshape(index, shape=(scores.type.shape[0],))), both]


@lowering("ZipMap", domain=ML)
def zip_map(node: Node) -> Value:
    """One map from label to score a row is the scores: the labels are known before the model runs."""
    node.importer.context.notes.append(f"{node.operator} '{node.name}': the output is its scores, without their labels")
    return node[0]


def labelled(node: Node, index: Value) -> Value:
    """The labels of class numbers; of labels that are text the numbers stay."""
    labels = node.ints("classlabels_int64s", ()) or node.ints("classlabels_ints", ())
    if labels:
        return ops.gather(ops.constant_of(np.array(labels, np.int64)), index, axis=0)
    node.importer.context.notes.append(
        f"{node.operator} '{node.name}': its labels are text; the output is their positions in classlabels_strings"
    )
    return index
