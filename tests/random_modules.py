"""Random modules for property tests: small, verified, of every kind of op that passes treat differently."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from ircost.ir import Block, Builder, Function, Location, Module, Region, TensorType, Value, ops
from ircost.ir.attributes import Attribute
from ircost.ir.builder import build_body
from ircost.ir.constant import ConstantData, FileSlice, Missing, Splat, literal
from ircost.ir.numpy_dtypes import numpy_dtype
from ircost.ir.terminators import yield_
from ircost.ir.types import DTYPES, DType, f16, f32, f64, i32

Draw = Callable[..., Any]

ODD_NAMES = [None, "x", "x", "x_0", "0", "7up", "a.b/c", "é", "%", "-", "true", "f32", "loc", 'say "hi"', "tab\t\n"]
NAMES = st.sampled_from(ODD_NAMES)
FILES = st.sampled_from(["", "model.onnx", 'odd "file"\\.onnx', "dir/é.onnx"])
NODES = st.sampled_from(["/layer.0/MatMul", "", "new\nline", 'quo"te', "%x // no comment", "é"])
LOCATIONS = st.none() | st.builds(Location, FILES, st.lists(NODES, min_size=1, max_size=3).map(tuple))
EXTENTS = st.integers(1, 4)
SHAPES = st.lists(EXTENTS, max_size=3).map(tuple)


@st.composite
def modules(draw: Draw, runnable: bool = True) -> Module:
    """A module with a `main` of up to 12 steps, and a function that it may call.

    Args:
        runnable: every value is known; otherwise weights in files, missing ones and opaque ops occur too.
    """
    callee = Function("odd name" if draw(st.booleans()) else "layer", [TensorType((2, 3), f32)])
    Writer(draw, callee, None, runnable).fill(steps=2)
    types = [TensorType((2, 3), f32), *(TensorType(shape, f32) for shape in draw(st.lists(SHAPES, max_size=2)))]
    main = Function("main", types, {"origin": "random", "seed": 3} if draw(st.booleans()) else None)
    Writer(draw, main, callee, runnable).fill(steps=draw(st.integers(0, 12)))
    name = draw(st.sampled_from(["", "net", 'odd "net"']))
    return Module([callee, main], name, {"opset": 17, "ratio": 0.5} if draw(st.booleans()) else None)


def random_inputs(function: Function, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(a.type.shape).astype(numpy_dtype(a.type.dtype)) for a in function.arguments]


class Writer:
    """Fills a function, a step at a time; each step reads values that are there and adds new ones."""

    def __init__(self, draw: Draw, function: Function, callee: Function | None, runnable: bool) -> None:
        self.draw = draw
        self.callee = callee
        self.runnable = runnable
        self.build = Builder(function.block)
        self.values = list(function.arguments)
        for argument in function.arguments:
            argument.name = draw(NAMES)

    def fill(self, steps: int) -> None:
        kinds = [k for k in STEPS if self.callee is not None or k is not call_step]
        kinds += [] if self.runnable else [unknown_weight_step, opaque_step]
        for _ in range(steps):
            self.add(*self.draw(st.sampled_from(kinds))(self))
        chosen = self.draw(st.lists(st.sampled_from(self.values), min_size=1, max_size=3))
        self.build.op(ops.return_.create(chosen))

    def add(self, *values: Value) -> None:
        self.build.location = self.draw(LOCATIONS)
        for value in values:
            if value.producer is not None and value.producer.block is None:
                self.build(value)
            value.name = self.draw(NAMES)
        self.values += values

    def pick(self, accept: Callable[[TensorType], bool] = lambda type: True) -> Value:
        """A float value of f32 that fits; a new constant where none does."""
        fitting = [v for v in self.values if v.type.dtype == f32 and accept(v.type)]
        return self.draw(st.sampled_from(fitting)) if fitting else self.constant((2, 3))

    def constant(self, shape: tuple[int, ...], dtype: DType = f32) -> Value:
        """A constant of numbers that every format holds, detached."""
        if self.draw(st.booleans()):
            return typed_constant(Splat(self.draw(st.sampled_from([0.0, 1.0]))), TensorType(shape, dtype))
        seed = self.draw(st.integers(0, 3))
        array = np.random.default_rng(seed).integers(0, 2, shape).astype(numpy_dtype(dtype))
        return typed_constant(literal(array), TensorType(shape, dtype))


def typed_constant(data: ConstantData, type: TensorType) -> Value:
    return ops.constant.create((), {"value": data}, result_types=(type,)).result


# ---- steps: each returns new values


def unary_step(w: Writer) -> list[Value]:
    names = ["neg", "relu", "abs", "tanh", "sigmoid", "floor", "gelu", "neg", "relu"]
    return [getattr(ops, w.draw(st.sampled_from(names)))(w.pick())]


def binary_step(w: Writer) -> list[Value]:
    op = getattr(ops, w.draw(st.sampled_from(["add", "sub", "mul", "maximum", "minimum"])))
    x = w.pick()
    y = w.pick(lambda type: type.shape == x.type.shape) if w.draw(st.booleans()) else w.constant(())
    if y.type.shape != x.type.shape:
        y = w.constant(w.draw(st.sampled_from([x.type.shape, x.type.shape[1:], ()])))
    return [op(x, y) if w.draw(st.booleans()) else op(y, x)]


def choice_step(w: Writer) -> list[Value]:
    x = w.pick()
    condition = ops.less(x, w.constant(())) if w.draw(st.booleans()) else w.constant(x.type.shape, DTYPES["bool"])
    return [ops.where(condition, x, ops.neg(x))]


def cast_step(w: Writer) -> list[Value]:
    between = w.draw(st.sampled_from([f16, f64, i32, f32]))
    return [ops.cast(ops.cast(w.pick(), to=between), to=f32)]


def constant_step(w: Writer) -> list[Value]:
    return [w.constant(w.draw(SHAPES), w.draw(st.sampled_from([d for d in DTYPES.values() if d.name != "f8e8m0"])))]


def matmul_step(w: Writer) -> list[Value]:
    x = w.pick(lambda type: type.rank >= 2)
    return [ops.matmul(x, w.constant((x.type.shape[-1], w.draw(EXTENTS))))]


def conv_step(w: Writer) -> list[Value]:
    x = w.pick(lambda type: type.rank == 3)
    if x.type.rank != 3:
        x = ops.reshape(x, shape=(1, 1, x.type.elements))
    weight = w.constant((2, x.type.shape[1], 2))
    return [ops.conv(x, weight, pads=((1, 1),), strides=(w.draw(st.integers(1, 2)),))]


def reduction_step(w: Writer) -> list[Value]:
    x = w.pick(lambda type: type.rank > 0)
    op = w.draw(st.sampled_from([ops.reduce_sum, ops.reduce_max, ops.reduce_mean]))
    return [op(x, axes=(w.draw(st.integers(0, x.type.rank - 1)),), keepdims=w.draw(st.booleans()))]


def movement_step(w: Writer) -> list[Value]:
    x = w.pick()
    shape = x.type.shape
    perm = tuple(w.draw(st.permutations(range(len(shape)))))
    flat = (x.type.elements,)
    sizes = tuple(w.draw(st.integers(1, n)) for n in shape)
    starts = tuple(n - size for n, size in zip(shape, sizes, strict=True))
    choices: list[Callable[[], Value]] = [
        lambda: ops.transpose(x, perm=perm),
        lambda: ops.reshape(x, shape=flat),
        lambda: ops.reshape(x, shape=(1, *shape)),
        lambda: ops.slice(x, starts=starts, size=sizes),
        lambda: ops.slice(x, starts=tuple(n - 1 for n in shape), size=shape, steps=(-1,) * len(shape)),
        lambda: ops.pad(x, pads=tuple((1, -1) for _ in shape), value=2.0),
        lambda: ops.broadcast(x, shape=(2, *shape)),
        lambda: ops.concat(*([x] * w.draw(st.integers(1, 2))), axis=-1) if shape else ops.neg(x),
    ]
    return [w.draw(st.sampled_from(choices))()]


def composite_step(w: Writer) -> list[Value]:
    x = w.pick(lambda type: type.rank > 0)
    if w.draw(st.booleans()):
        return [ops.softmax(x, axis=w.draw(st.sampled_from([0, -1])))]
    last = x.type.shape[-1:]
    return [ops.layer_norm(x, w.constant(last), w.constant(last), epsilon=w.draw(st.sampled_from([1e-5, 0.1])))]


def image(w: Writer) -> Value:
    """A value of rank 4: batch, channels, two spatial axes."""
    x = w.pick(lambda type: type.rank == 4)
    return x if x.type.rank == 4 else ops.reshape(x, shape=(1, 1, 1, x.type.elements))


def normed_conv_step(w: Writer) -> list[Value]:
    """What folds: a convolution with factors and offsets before and behind it."""
    x, channels = image(w), w.draw(EXTENTS)
    number = w.constant(())
    if w.draw(st.booleans()):
        x = w.draw(st.sampled_from([ops.mul, ops.add]))(x, number)
    groups = x.type.shape[1] if w.draw(st.booleans()) and channels % x.type.shape[1] == 0 else 1
    weight = w.constant((channels, x.type.shape[1] // groups, 1, 2))
    y = ops.conv(x, weight, pads=((0, 0), w.draw(st.sampled_from([(0, 1), (1, 1)]))))
    per_channel = w.draw(st.sampled_from([(channels, 1, 1), (1, channels, 1, 1), ()]))
    for _ in range(w.draw(st.integers(0, 2))):
        y = w.draw(st.sampled_from([ops.mul, ops.add]))(y, w.constant(per_channel))
    if w.draw(st.booleans()):
        scale, bias, mean = (w.constant((channels,)) for _ in range(3))
        variance = typed_constant(Splat(w.draw(st.sampled_from([0.5, 1.0]))), TensorType((channels,), f32))
        y = ops.batch_norm(y, scale, bias, mean, variance, epsilon=1e-5)
    return [ops.relu(y)] if w.draw(st.booleans()) else [y]


def pool_step(w: Writer) -> list[Value]:
    x = image(w)
    op = w.draw(st.sampled_from([ops.max_pool, ops.sum_pool]))
    return [op(x, window=(1, 2), strides=(1, w.draw(st.integers(1, 2))), pads=((0, 0), (1, 1)))]


def written_out_step(w: Writer) -> list[Value]:
    """What is recognised: softmax, layer norm, GELU and gates as exporters write them; or nearly so."""
    x = w.pick(lambda type: type.rank > 0)

    def number(value: float) -> Value:
        return ops.scalar_like(w.draw(st.sampled_from([value, value, value, 0.3])), x)

    def softmax() -> Value:
        exponentials = ops.exp(ops.sub(x, ops.reduce_max(x, axes=(-1,), keepdims=True)))
        return ops.div(exponentials, ops.reduce_sum(exponentials, axes=(-1,), keepdims=True))

    def norm() -> Value:
        centred = ops.sub(x, ops.reduce_mean(x, axes=(-1,), keepdims=True))
        variance = ops.reduce_mean(ops.mul(centred, centred), axes=(-1,), keepdims=True)
        normed = ops.div(centred, ops.sqrt(ops.add(variance, number(1e-2))))
        return ops.add(ops.mul(normed, w.constant(x.type.shape[-1:])), w.constant(x.type.shape[-1:]))

    def gelu() -> Value:
        return ops.mul(ops.mul(x, ops.add(ops.erf(ops.mul(x, number(2**-0.5))), number(1.0))), number(0.5))

    def gate() -> Value:
        return ops.mul(x, ops.sigmoid(ops.mul(x, number(1.702))))

    return [w.draw(st.sampled_from([softmax, norm, gelu, gate]))()]


def attention_step(w: Writer) -> list[Value]:
    """Three products of one value, which may merge, then attention written out; keys transposed or not."""
    x = w.pick(lambda type: type.rank >= 2)
    width = w.draw(st.integers(1, 3))
    query, key, value = (ops.matmul(x, w.constant((x.type.shape[-1], width))) for _ in range(3))
    rank = x.type.rank
    turned = ops.transpose(key, perm=(*range(rank - 2), rank - 1, rank - 2))
    scores = ops.matmul(query, turned)
    if w.draw(st.booleans()):
        scores = ops.mul(scores, ops.scalar_like(0.5, scores))
    return [ops.matmul(ops.softmax(scores, axis=-1), value), query]


def layers_step(w: Writer) -> list[Value]:
    """Equal layers one after another, each with weights of its own: what `outline` finds."""
    x = w.pick(lambda type: type.rank >= 2)
    size = x.type.shape[-1]
    for _ in range(w.draw(st.integers(2, 4))):
        x = ops.add(x, ops.tanh(ops.relu(ops.matmul(x, w.constant((size, size))))))
    return [x]


def joined_step(w: Writer) -> list[Value]:
    """Parts side by side, of which one may be empty; and one of them again."""
    x = w.pick(lambda type: type.rank > 0)
    y = w.pick(lambda type: type.shape == x.type.shape)
    parts = [x, y if y.type.shape == x.type.shape else ops.tanh(x), w.constant((0, *x.type.shape[1:]))]
    joined = ops.concat(*parts[: w.draw(st.integers(2, 3))], axis=0)
    length = x.type.shape[0]
    return [joined, ops.slice(joined, starts=(length, *(0,) * (x.type.rank - 1)), size=x.type.shape)]


def round_trip_step(w: Writer) -> list[Value]:
    """Transposes and reshapes that undo one another, with something in between that does not mind."""
    x = w.pick(lambda type: type.rank >= 2)
    perm = tuple(w.draw(st.permutations(range(x.type.rank))))
    inverse = tuple(perm.index(axis) for axis in range(len(perm)))
    y = w.draw(st.sampled_from([ops.relu, ops.tanh, ops.neg]))(ops.transpose(x, perm=perm))
    y = ops.add(y, w.constant(())) if w.draw(st.booleans()) else y
    return [ops.transpose(ops.reshape(ops.reshape(y, shape=(y.type.elements,)), shape=y.type.shape), perm=inverse)]


def top_k_step(w: Writer) -> list[Value]:
    x = w.pick(lambda type: type.rank > 0)
    return list(ops.top_k.results(x, k=1, axis=0))


def kernel_step(w: Writer) -> list[Value]:
    x = w.pick()
    body = build_body([x.type], lambda a: ops.tanh(ops.add(a, a)), yield_)
    return [ops.kernel.create([x], {"schedule": "stages shared=2"}, regions=[body]).result]


def if_step(w: Writer) -> list[Value]:
    x = w.pick()
    known = w.draw(st.booleans())
    condition = w.build(
        w.constant((), DTYPES["bool"]) if known else ops.less(ops.reduce_sum(x, axes=all_axes(x)), w.constant(()))
    )
    then = build_body([], lambda: ops.neg(ops.neg(x)), yield_)
    otherwise = build_body([], lambda: ops.add(x, x), yield_)
    return [ops.if_.create([condition], regions=[then, otherwise]).result]


def all_axes(x: Value) -> tuple[int, ...]:
    return tuple(range(x.type.rank))


def scan_step(w: Writer) -> list[Value]:
    x = w.pick(lambda type: type.rank > 0)
    outer = w.pick(lambda type: type.shape == ())
    state = w.build(ops.reduce_sum(x, axes=(0,)))
    block = Block([state.type, state.type])
    inside = Builder(block)
    carried, item = block.arguments
    following = inside(ops.mul(ops.add(carried, item), outer if outer.type.shape == () else item))
    inside.op(yield_.create([following, item]))
    attrs = {"length": x.type.shape[0], "states": 1, "reverse": w.draw(st.booleans())}
    return list(ops.scan.create([state, x], attrs, regions=[Region(block)]).results)


def call_step(w: Writer) -> list[Value]:
    assert w.callee is not None
    x = w.pick(lambda type: type.shape == (2, 3))
    if x.type.shape != (2, 3):
        x = w.build(w.constant((2, 3)))
    types = [value.type for value in w.callee.results]
    return list(ops.call.create([x], {"callee": w.callee.name}, result_types=types).results)


def unknown_weight_step(w: Writer) -> list[Value]:
    x = w.pick()
    stored = w.draw(st.sampled_from([f32, f16]))
    size = x.type.elements * stored.bits // 8
    file = FileSlice(w.draw(st.sampled_from(["weights.bin", 'a "b"\\é'])), w.draw(st.integers(0, 2**40)), size, stored)
    data = w.draw(st.sampled_from([file, Missing("not in the file"), Missing('a > b, "c"')]))
    return [ops.mul(x, typed_constant(data, x.type))]


def opaque_step(w: Writer) -> list[Value]:
    x = w.pick()
    attrs: dict[str, Attribute] = {"op": "my.domain::Op", "attributes": ("axis=1", 'mode="x"')}
    return list(ops.opaque.create([x], attrs, result_types=(x.type, x.type)).results)


STEPS = (
    *(unary_step, binary_step, choice_step, cast_step, constant_step, matmul_step, conv_step, reduction_step),
    *(movement_step, composite_step, top_k_step, kernel_step, if_step, scan_step, call_step),
    *(normed_conv_step, pool_step, written_out_step, attention_step, layers_step, joined_step, round_trip_step),
)
