"""Blocked layout of onnxruntime: each operator, and random networks of them, against the interpreter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_modules import random_inputs

from ircost.backends.onnx import RUNTIMES, to_onnx
from ircost.backends.onnx.blocked import Layout
from ircost.backends.onnx.blocked_layout import DOMAIN
from ircost.ir import Builder, Function, IrcError, Module, TensorType, Value, interpret, ops
from ircost.ir.terminators import return_
from ircost.ir.types import f32

onnxruntime = pytest.importorskip("onnxruntime")

BLOCKS = 16
FOR = f"onnxruntime:nchw{BLOCKS}c"


def run(model: onnx.ModelProto, inputs: list[np.ndarray]) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [info.name for info in model.graph.input]
    return list(session.run(None, dict(zip(names, inputs, strict=True))))


@pytest.fixture(scope="module", autouse=True)
def _blocks_of_this_processor() -> None:
    """Skips where the processor has other blocks; files for it fail, which is what `test_guard` is about."""
    try:
        run(to_onnx(wide(), FOR), [np.zeros((1, 64, 56, 56), np.float32)])
    except Exception as error:  # of many classes, all onnxruntime's own
        pytest.skip(f"no blocks of {BLOCKS} here: {error}")


def module_of(shapes: list[tuple[int, ...]], body: Callable[..., Any]) -> Module:
    function = Function("main", [TensorType(shape, f32) for shape in shapes])
    build = Builder(function.block)
    results = body(*function.arguments)
    results = [results] if isinstance(results, Value) else list(results)
    for result in results:
        build(result)
    build.op(return_.create(results))
    return Module([function])


def weight(*shape: int, seed: int = 0) -> Value:
    array = np.random.default_rng([seed, *shape]).standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
    return ops.constant_of(array.astype(np.float32))


def conv(x: Value, outputs: int, size: int = 3, groups: int = 1, stride: int = 1, pad: int | None = None) -> Value:
    """With a bias."""
    spatial = x.type.rank - 2
    around = (size - 1) // 2 if pad is None else pad
    weights = weight(outputs, x.type.shape[1] // groups, *(size,) * spatial)
    ends = ((around, around),) * spatial
    made = ops.conv(x, weights, strides=(stride,) * spatial, dilations=(1,) * spatial, pads=ends)
    return ops.add(made, weight(outputs, *(1,) * spatial, seed=1))


def depthwise(x: Value, size: int = 3) -> Value:
    return conv(x, x.type.shape[1], size, groups=x.type.shape[1])


def per_image(x: Value) -> Value:
    return ops.reduce_mean(x, axes=(2, 3), keepdims=True)


def wide() -> Module:
    return module_of([(1, 64, 56, 56)], lambda x: conv(conv(x, 64), 64))


CASES: dict[str, tuple[list[tuple[int, ...]], Callable[..., Any]]] = {
    "few input channels": ([(1, 3, 20, 24)], lambda x: conv(x, 20, stride=2)),
    "filled up channels": ([(2, 20, 9, 7)], lambda x: conv(conv(x, 24), 12, size=1)),
    "odd output channels": ([(1, 20, 9, 7)], lambda x: conv(conv(x, 21), 5)),
    "few channels from blocks": ([(1, 16, 9, 7)], lambda x: conv(conv(x, 6), 16)),
    "depthwise": ([(1, 20, 9, 7)], lambda x: depthwise(depthwise(x, 5))),
    "groups of whole blocks": ([(1, 32, 9, 7)], lambda x: conv(x, 64, groups=2)),
    "groups of part of a block": ([(1, 24, 9, 7)], lambda x: conv(conv(x, 24), 36, groups=3)),
    "uneven padding": (
        [(1, 16, 9, 7)],
        lambda x: ops.conv(x, weight(16, 16, 3, 3), strides=(2, 1), dilations=(1, 2), pads=((0, 1), (2, 3))),
    ),
    "no padding, no bias": (
        [(1, 16, 9, 7)],
        lambda x: ops.conv(x, weight(16, 16, 2, 4), strides=(1, 1), dilations=(1, 1), pads=((0, 0), (0, 0))),
    ),
    "relu": ([(1, 16, 9, 7)], lambda x: ops.relu(conv(x, 20))),
    "sigmoid": ([(1, 16, 9, 7)], lambda x: ops.sigmoid(conv(x, 20))),
    "tanh": ([(1, 16, 9, 7)], lambda x: ops.tanh(conv(x, 20))),
    "leaky relu": ([(1, 16, 9, 7)], lambda x: ops.leaky_relu(conv(x, 20), alpha=0.2)),
    "hard sigmoid": ([(1, 16, 9, 7)], lambda x: ops.hard_sigmoid(conv(x, 20), alpha=0.2, beta=0.4)),
    "clip": ([(1, 16, 9, 7)], lambda x: clipped(conv(x, 20), -0.1, 0.3)),
    "a bound below": ([(1, 16, 9, 7)], lambda x: ops.maximum(conv(x, 20), number(0.1))),
    "silu": ([(1, 16, 9, 7)], lambda x: ops.silu(conv(x, 20))),
    "hard swish": ([(1, 16, 9, 7)], lambda x: ops.hard_swish(conv(x, 20))),
    "sum": ([(1, 16, 9, 7)], lambda x: ops.relu(ops.add(conv(ops.relu(conv(x, 16)), 16), x))),
    "sum of two convolutions": ([(1, 16, 9, 7)], lambda x: ops.add(conv(x, 20), conv(x, 20, size=1))),
    "sum with itself": ([(1, 16, 9, 7)], lambda x: twice(conv(x, 20))),
    "several readers": ([(1, 16, 9, 7)], lambda x: readers(conv(x, 20))),
    "results in blocks": ([(1, 16, 9, 7)], lambda x: [y := conv(x, 20), ops.relu(y), conv(y, 16)]),
    "squeeze and excite": ([(1, 24, 9, 7)], lambda x: excited(conv(x, 20))),
    "squeeze and excite, whole blocks": ([(1, 16, 9, 7)], lambda x: excited(conv(x, 32))),
    "factor of each image": ([(2, 16, 9, 7)], lambda x: excited(conv(x, 32))),
    "largest of each image": ([(1, 16, 9, 7)], lambda x: ops.reduce_max(conv(x, 20), axes=(2, 3), keepdims=True)),
    "mean without axes": ([(1, 16, 9, 7)], lambda x: ops.reduce_mean(conv(x, 20), axes=(2, 3), keepdims=False)),
    "max pool": (
        [(1, 16, 9, 7)],
        lambda x: ops.max_pool(conv(x, 20), window=(3, 2), strides=(2, 1), dilations=(1, 1), pads=((1, 1), (0, 1))),
    ),
    "average pool": ([(1, 16, 9, 7)], lambda x: average(conv(x, 20))),
    "concat": ([(1, 16, 9, 7)], lambda x: conv(ops.concat(conv(x, 32), conv(x, 20, size=1), axis=1), 16)),
    "concat of parts of blocks": ([(1, 16, 9, 7)], lambda x: ops.concat(conv(x, 20), conv(x, 16), axis=1)),
    "slices": ([(1, 16, 9, 7)], lambda x: halves(conv(x, 48))),
    "channels last": ([(1, 16, 9, 7)], lambda x: channels_last(conv(x, 20))),
    "from channels last": ([(1, 9, 7, 16)], lambda x: conv(ops.transpose(x, perm=(0, 3, 1, 2)), 20)),
    "enlarged": ([(1, 16, 4, 5)], lambda x: conv(enlarged(conv(x, 16)), 16)),
    "signals": ([(2, 16, 31)], lambda x: ops.relu(conv(ops.relu(conv(x, 20, size=5, stride=2)), 16))),
    "known operand": ([(1, 16, 4, 5)], lambda x: ops.mul(conv(x, 20), weight(1, 20, 4, 5))),
    "known factors": ([(1, 16, 4, 5)], lambda x: ops.mul(ops.relu(conv(x, 20)), weight(1, 20, 1, 1))),
    "number": ([(1, 16, 4, 5)], lambda x: ops.sub(number(1.0), ops.mul(conv(x, 20), number(0.5)))),
    "batch norm": ([(1, 16, 4, 5)], lambda x: normed(ops.concat(conv(x, 32), conv(x, 20), axis=1))),
    "batch norm with an activation": ([(1, 16, 4, 5)], lambda x: conv(ops.relu(normed(ops.relu(conv(x, 20)))), 16)),
    "activation of a value that is read twice": ([(1, 16, 4, 5)], lambda x: gated(normed(ops.relu(conv(x, 20))))),
    "slopes": ([(2, 16, 4, 5)], lambda x: ops.prelu(conv(x, 20), weight(20, 1, 1))),
    "one slope": ([(2, 16, 4, 5)], lambda x: ops.prelu(conv(x, 20), weight(1, 1, 1))),
    "slopes of signals": ([(2, 16, 9)], lambda x: ops.prelu(conv(x, 20), weight(20, 1))),
    "no images": ([(1, 16, 4)], lambda x: ops.mul(ops.add(x, x), x)),
}


def number(value: float) -> Value:
    return ops.constant_of(np.array(value, np.float32))


def clipped(x: Value, low: float, high: float) -> Value:
    return ops.minimum(ops.maximum(x, number(low)), number(high))


def twice(x: Value) -> Value:
    return ops.add(x, x)


def readers(y: Value) -> Value:
    """In blocks and in plain layout."""
    flipped = ops.transpose(ops.exp(y), perm=(0, 1, 3, 2))
    return ops.add(ops.relu(y), ops.add(conv(y, 20), ops.transpose(flipped, perm=(0, 1, 3, 2))))


def channels_last(x: Value) -> Value:
    return ops.transpose(x, perm=(0, 2, 3, 1))


def normed(x: Value) -> Value:
    scale, bias, mean, variance = (weight(x.type.shape[1], seed=seed) for seed in range(4))
    return ops.batch_norm(x, scale, bias, mean, ops.mul(variance, variance), epsilon=1e-3)


def gated(x: Value) -> Value:
    return ops.mul(x, ops.sigmoid(x))


def excited(x: Value) -> Value:
    factor = ops.sigmoid(conv(ops.relu(conv(per_image(x), 8, size=1)), x.type.shape[1], size=1))
    return conv(ops.mul(x, factor), 16)


def average(x: Value) -> Value:
    total = ops.sum_pool(x, window=(2, 2), strides=(2, 2), dilations=(1, 1), pads=((0, 0), (0, 0)))
    return ops.mul(total, number(0.25))


def halves(x: Value) -> Value:
    n, _, h, w = x.type.shape
    parts = [ops.slice(x, starts=(0, at, 0, 0), size=(n, 16, h, w)) for at in (0, 16, 32)]
    return ops.add(conv(parts[0], 16), ops.add(parts[1], ops.relu(parts[2])))


def enlarged(x: Value) -> Value:
    for axis in (2, 3):
        x = ops.gather(x, ops.constant_of(np.repeat(np.arange(x.type.shape[axis]), 2)), axis=axis)
    return x


@pytest.fixture(params=["by cost", "all in blocks"])
def choice(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "all in blocks":
        monkeypatch.setattr(Layout, "chosen", lambda layout: set(layout.forms))
    return str(request.param)


@pytest.mark.parametrize("name", CASES)
def test_outputs(name: str, choice: str) -> None:
    module = module_of(*CASES[name])
    assert_same(module)
    if choice == "all in blocks" and name != "no images":
        domains = Counter(node.domain for node in to_onnx(module, FOR).graph.node)
        assert domains[DOMAIN] > 1


def assert_same(module: Module) -> None:
    inputs = random_inputs(module.main)
    expected, actual = interpret(module, inputs), run(to_onnx(module, FOR), inputs)
    for ours, theirs in zip(actual, expected, strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


# ---- the choice


def operators(module: Module) -> Counter[str]:
    return Counter(f"{node.domain}:{node.op_type}" for node in to_onnx(module, FOR).graph.node)


def test_convolutions_in_a_row_are_reordered_at_the_ends_alone() -> None:
    found = operators(module_of([(1, 64, 56, 56)], lambda x: conv(ops.relu(conv(ops.relu(conv(x, 64)), 64)), 64)))
    assert found[f"{DOMAIN}:Conv"] == 3
    assert found[f"{DOMAIN}:ReorderInput"] == 1 + 1  # and the guard's
    assert found[f"{DOMAIN}:ReorderOutput"] == 1


def test_what_does_not_pay_stays_plain() -> None:
    """One small product between two reorders of more bytes than it has operations."""
    found = operators(module_of([(1, 16, 56, 56)], lambda x: conv(x, 16, size=1)))
    assert not any(name.startswith(DOMAIN) for name in found)


def test_a_plain_operator_in_between_pays_if_the_convolutions_do() -> None:
    """The sum runs in blocks, although it gains nothing: its operands come from there."""
    found = operators(
        module_of([(1, 64, 56, 56)], lambda x: conv(ops.sub(conv(x, 64), depthwise(ops.relu(conv(x, 64)))), 64))
    )
    assert found[f"{DOMAIN}:ReorderOutput"] == 1


@pytest.mark.parametrize("blocks", [8, 32])
def test_guard(blocks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights in blocks of another size than the processor's: an error, never numbers."""
    monkeypatch.setitem(RUNTIMES, FOR, blocks)
    model = to_onnx(wide(), FOR)
    assert any(node.domain == DOMAIN and node.op_type == "Conv" for node in model.graph.node)
    with pytest.raises(Exception, match=f"blocks_of_{blocks}|channel"):
        run(model, [np.zeros((1, 64, 56, 56), np.float32)])


def test_a_mean_that_is_a_sum_over_a_number_stays_plain() -> None:
    def body(x: Value) -> Value:
        total = ops.reduce_sum(conv(x, 64), axes=(1,), keepdims=False)
        return ops.div(total, ops.constant_of(np.array(64, np.float32)))

    module = module_of([(1, 64, 28, 28)], body)
    assert operators(module)[":ReduceMean"] == 1
    assert_same(module)


def test_no_other_runtime_gets_blocks() -> None:
    for runtime in ("", "onnxruntime"):
        assert all(node.domain != DOMAIN for node in to_onnx(wide(), runtime).graph.node)
    with pytest.raises(IrcError, match="nchw16c"):
        to_onnx(wide(), "onnxruntime:nchw32c")


# ---- random networks

CHANNELS = st.sampled_from([4, 8, 12, 16, 20, 32, 48])


@st.composite
def networks(draw: Callable[..., Any]) -> Module:
    """Up to ten steps, each on values that are there; several of them are results."""
    shape = (draw(st.sampled_from([1, 1, 2])), draw(st.sampled_from([3, 8, 16, 20])), 6, draw(st.sampled_from([1, 5])))

    def body(x: Value) -> list[Value]:
        values = [x]
        for _ in range(draw(st.integers(2, 10))):
            values.append(draw(st.sampled_from(STEPS))(draw, draw(st.sampled_from(values[-3:])), values))
        return [values[-1], draw(st.sampled_from(values[1:]))]

    return module_of([shape], body)


def same_shape(draw: Callable[..., Any], x: Value, values: list[Value]) -> Value:
    found: Value = draw(st.sampled_from([value for value in values if value.type == x.type]))
    return found


STEPS: list[Callable[..., Value]] = [
    lambda draw, x, values: conv(x, draw(CHANNELS), size=draw(st.sampled_from([1, 3]))),
    lambda draw, x, values: conv(x, draw(CHANNELS), size=1),
    lambda draw, x, values: depthwise(x),
    lambda draw, x, values: conv(x, 2 * x.type.shape[1], groups=2) if x.type.shape[1] % 2 == 0 else x,
    lambda draw, x, values: draw(st.sampled_from([ops.relu, ops.sigmoid, ops.hard_swish, ops.silu, ops.abs]))(x),
    lambda draw, x, values: draw(st.sampled_from([ops.add, ops.mul, ops.maximum]))(x, same_shape(draw, x, values)),
    lambda draw, x, values: clipped(x, -0.5, 0.5),
    lambda draw, x, values: ops.mul(x, ops.sigmoid(per_image(x))),
    lambda draw, x, values: ops.concat(x, same_shape(draw, x, values), axis=1),
    lambda draw, x, values: ops.transpose(ops.exp(channels_last(clipped(x, -1, 1))), perm=(0, 3, 1, 2)),
]


@pytest.mark.parametrize("forced", [False, True])
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(module=networks())
def test_random_networks(forced: bool, module: Module) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if forced:
            patch.setattr(Layout, "chosen", lambda layout: set(layout.forms))
        assert_same(module)
