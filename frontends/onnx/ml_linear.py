"""Linear models, support vectors and preprocessing of ai.onnx.ml."""

from __future__ import annotations

import numpy as np

from ircost.frontends.onnx.ml_scores import ML, as_floats, classified, labelled, transformed
from ircost.frontends.onnx.node import Node, lowering
from ircost.frontends.onnx.refused import STRINGS
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.types import f32, i64


@lowering("LinearRegressor", domain=ML)
def linear_regressor(node: Node) -> Value:
    return transformed(node, linear(node, node.int("targets", 1)))


@lowering("LinearClassifier", domain=ML)
def linear_classifier(node: Node) -> list[Value]:
    labels = len(node.ints("classlabels_ints", ())) or len(node.strings("classlabels_strings", ()))
    rows = len(node.floats("intercepts", ())) or labels
    return classified(node, linear(node, rows), is_positive=False)


def linear(node: Node, rows: int) -> Value:
    """x times the transpose of the coefficients [rows, features], plus the intercepts."""
    x, coefficients = as_floats(node[0]), node.floats("coefficients", ())
    if len(coefficients) != rows * x.type.shape[1]:
        raise node.error(f"{len(coefficients)} coefficients for {rows} rows of {x.type.shape[1]} features")
    weights = constant(np.reshape(coefficients, (rows, -1)), x)
    total = ops.contract(x, weights, notation="n f, r f -> n r")
    intercepts = node.floats("intercepts", ())
    return ops.add(total, constant(np.array(intercepts), x)) if intercepts else total


def constant(array: np.ndarray, like: Value) -> Value:
    """Numbers in the format of ``like``."""
    value = ops.constant_of(np.asarray(array, np.float32))
    return value if like.type.dtype == f32 else ops.cast(value, to=like.type.dtype)


@lowering("SVMRegressor", domain=ML)
def svm_regressor(node: Node) -> Value:
    """Kernels of x with each support vector, times the coefficients; without support vectors a linear model."""
    x = as_floats(node[0])
    count, coefficients = node.int("n_supports", 0), np.array(node.floats("coefficients", ()))
    vectors = np.reshape(node.floats("support_vectors", ()), (count, -1)) if count else coefficients[None]
    products = kernel(node, x, vectors)
    total = ops.matmul(products, constant(coefficients.reshape(-1, 1) if count else np.ones((1, 1)), x))
    total = ops.add(total, constant(np.array(node.floats("rho", (0.0,))[:1]), x))
    if node.int("one_class", 0):
        total = ops.where(ops.greater(total, node.like(0, total)), node.like(1, total), node.like(-1, total))
    return transformed(node, total)


@lowering("SVMClassifier", domain=ML)
def svm_classifier(node: Node) -> list[Value]:
    """One score for each pair of classes, and the class that wins most pairs; or a linear model of each class."""
    if node.floats("prob_a", ()):
        raise node.error("probabilities (prob_a) are not supported", help="export the classifier without them")
    x, per_class = as_floats(node[0]), node.ints("vectors_per_class", ())
    classes = len(node.ints("classlabels_ints", ())) or len(node.strings("classlabels_strings", ()))
    coefficients, offsets = np.array(node.floats("coefficients", ())), np.array(node.floats("rho", ()))
    if not per_class:
        products = ops.contract(x, constant(coefficients.reshape(classes, -1), x), notation="n f, c f -> n c")
        return classified(node, ops.add(products, constant(offsets[:1], x)), is_positive=False)
    vectors = np.reshape(node.floats("support_vectors", ()), (sum(per_class), -1))
    pairs = [(i, j) for i in range(len(per_class)) for j in range(i + 1, len(per_class))]
    weights = pair_weights(coefficients.reshape(-1, sum(per_class)), per_class, pairs)
    scores = ops.add(ops.matmul(kernel(node, x, vectors), constant(weights, x)), constant(offsets[: len(pairs)], x))
    wins = ops.cast(ops.greater(scores, node.like(0, scores)), to=x.type.dtype)
    of_first, of_second = (np.eye(len(per_class))[[pair[side] for pair in pairs]] for side in (0, 1))
    losses = ops.sub(node.like(1, wins), wins)
    votes = ops.add(ops.matmul(wins, constant(of_first, x)), ops.matmul(losses, constant(of_second, x)))
    label = labelled(node, ops.argmax(votes, axis=1))
    if len(pairs) == 1:
        scores = ops.concat(ops.neg(scores), scores, axis=1)
    return [label, transformed(node, scores)]


def pair_weights(coefficients: np.ndarray, per_class: tuple[int, ...], pairs: list[tuple[int, int]]) -> np.ndarray:
    """[supports, pairs]: what each support vector weighs in the contest of two classes.

    ``coefficients`` [classes - 1, supports] hold for each vector those against the other classes, in order.
    Source: ONNX SVMClassifier-1; Chang, Lin, "LIBSVM", 2011, section 7.
    """
    ends = np.cumsum(per_class)
    weights = np.zeros((coefficients.shape[1], len(pairs)))
    for column, (i, j) in enumerate(pairs):
        for own, other in ((i, j - 1), (j, i)):
            place = slice(ends[own] - per_class[own], ends[own])
            weights[place, column] = coefficients[other, place]
    return weights


def kernel(node: Node, x: Value, vectors: np.ndarray) -> Value:
    """[n, supports]: linear, polynomial, of radial basis, or sigmoid. Source: ONNX SVMRegressor-1."""
    name = node.string("kernel_type", "LINEAR")
    gamma, offset, degree = (*node.floats("kernel_params", ()), 0.0, 0.0, 0.0)[:3]
    weights = constant(vectors, x)
    product = ops.contract(x, weights, notation="n f, s f -> n s")
    if name == "LINEAR":
        return product
    if name == "RBF":
        squares = ops.reduce_sum(ops.mul(x, x), axes=(1,), keepdims=True)
        others = constant((vectors.astype(np.float32) ** 2).sum(1), x)
        distance = ops.sub(ops.add(squares, others), ops.mul(product, node.like(2, product)))
        return ops.exp(ops.mul(distance, node.like(-gamma, product)))
    inner = ops.add(ops.mul(product, node.like(gamma, product)), node.like(offset, product))
    if name == "POLY":
        return ops.pow(inner, node.like(degree, product))
    if name == "SIGMOID":
        return ops.tanh(inner)
    raise node.error(f"kernel_type = '{name}' is not known", help="LINEAR, POLY, RBF or SIGMOID")


@lowering("Scaler", domain=ML)
def scaler(node: Node) -> Value:
    """(x - offset) * scale, one for all features or for each."""
    x = node[0] if node[0].type.dtype.is_float else ops.cast(node[0], to=f32)
    offset, scale = (node.floats(name, default) for name, default in (("offset", (0.0,)), ("scale", (1.0,))))
    return ops.mul(ops.sub(x, constant(np.array(offset), x)), constant(np.array(scale), x))


@lowering("Normalizer", domain=ML)
def normalizer(node: Node) -> Value:
    """Rows over their largest element, their sum, or their length; a row whose norm is 0 as it is."""
    x = node[0] if node[0].type.dtype.is_float else ops.cast(node[0], to=f32)
    axes = (x.type.rank - 1,)
    name = node.string("norm", "MAX")
    if name == "L2":
        size = ops.sqrt(ops.reduce_sum(ops.mul(x, x), axes=axes, keepdims=True))
    elif name == "L1":
        size = ops.reduce_sum(ops.abs(x), axes=axes, keepdims=True)
    elif name == "MAX":
        size = ops.reduce_max(x, axes=axes, keepdims=True)
    else:
        raise node.error(f"norm = '{name}' is not known", help="MAX, L1 or L2")
    one = node.like(1, x)
    return ops.div(x, ops.where(ops.equal(size, node.like(0, x)), one, size))


@lowering("Binarizer", domain=ML)
def binarizer(node: Node) -> Value:
    x = node[0]
    return ops.cast(ops.greater(x, node.like(node.float("threshold", 0.0), x)), to=x.type.dtype)


@lowering("Imputer", domain=ML)
def imputer(node: Node) -> Value:
    """One value, or one for each feature, in place of a replaced value, which may be NaN."""
    x = node[0]
    if x.type.dtype.is_float:
        gap, values = node.float("replaced_value_float", 0.0), node.floats("imputed_value_floats", ())
        missing = ops.isnan(x) if np.isnan(gap) else ops.equal(x, node.like(gap, x))
    else:
        values = tuple(map(float, node.ints("imputed_value_int64s", ())))
        missing = ops.equal(x, node.like(node.int("replaced_value_int64", 0), x))
    wanted = np.array(values if len(values) > 1 else values[:1] or (0.0,))
    return ops.where(missing, ops.cast(ops.constant_of(wanted), to=x.type.dtype), x)


@lowering("ArrayFeatureExtractor", domain=ML)
def array_feature_extractor(node: Node) -> Value:
    """Some places along the last axis."""
    x, places = node[0], ops.reshape(node[1], shape=(node[1].type.elements,))
    found = ops.gather(x, places, axis=x.type.rank - 1)
    return ops.reshape(found, shape=(1, found.type.elements)) if x.type.rank == 1 else found


@lowering("OneHotEncoder", domain=ML)
def one_hot_encoder(node: Node) -> Value:
    """1 for the category that each element is; a row of zeros, or an error of the run, for others."""
    categories = node.ints("cats_int64s", ())
    if not categories:
        raise node.error(f"cats_strings: {STRINGS}")
    x = node[0] if node[0].type.dtype == i64 else ops.cast(node[0], to=i64)
    wide = ops.reshape(x, shape=(*x.type.shape, 1))
    return ops.cast(ops.equal(wide, ops.constant_of(np.array(categories, np.int64))), to=f32)


@lowering("FeatureVectorizer", domain=ML)
def feature_vectorizer(node: Node) -> Value:
    """All inputs side by side."""
    parts = [as_floats(x) for x in node.given]
    return ops.concat(*(x if x.type.dtype == f32 else ops.cast(x, to=f32) for x in parts), axis=1)


@lowering("LabelEncoder", domain=ML)
def label_encoder(node: Node) -> Value:
    """The value of each key; of what is no key the default. Keys and values are numbers here."""
    keys, values, default = (label_numbers(node, name) for name in ("keys", "values", "default"))
    x = node[0]
    if keys is None or values is None or len(keys) != len(values):
        raise node.error(f"keys or values are text: {STRINGS}")
    fallback = default if default is not None else np.array([-1 if values.dtype.kind == "i" else 0], values.dtype)
    result = ops.broadcast(ops.constant_of(fallback.reshape(())), shape=x.type.shape)
    for key, value in zip(keys[::-1], values[::-1], strict=True):
        known = ops.cast(ops.constant_of(np.array(key)), to=x.type.dtype)
        is_key = ops.isnan(x) if x.type.dtype.is_float and np.isnan(key) else ops.equal(x, known)
        result = ops.where(is_key, ops.constant_of(np.array(value, values.dtype)), result)
    return result


def label_numbers(node: Node, name: str) -> np.ndarray | None:
    """``keys_int64s``, ``default_float``, ... as an array; None where they are text, or left out."""
    if f"{name}_tensor" in node.attributes:
        array = node.array(f"{name}_tensor").reshape(-1)
        return array if array.dtype.kind in "iuf" else None
    for suffix in ("int64s", "int64"):
        if f"{name}_{suffix}" in node.attributes:
            many = suffix.endswith("s")
            return np.atleast_1d(
                np.array(node.ints(f"{name}_int64s", ()) if many else node.int(f"{name}_int64", 0), np.int64)
            )
    if f"{name}_floats" in node.attributes:
        return np.array(node.floats(f"{name}_floats", ()), np.float32)
    if f"{name}_float" in node.attributes:
        return np.array([node.float(f"{name}_float", 0.0)], np.float32)
    return None
