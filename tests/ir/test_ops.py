"""Each op against an independent formulation in NumPy or SciPy, and a list that no op is left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.signal
import scipy.special
from op_support import RANDOM, check, floats, run

from ircost.ir import Value, ops
from ircost.ir.builder import build_body
from ircost.ir.definition import OPS
from ircost.ir.errors import ShapeError
from ircost.ir.terminators import yield_
from ircost.ir.types import DTYPES, TensorType, f16, i32

X, Y = floats(3, 4), floats(3, 4)
POSITIVE, UNIT = floats(3, 4, low=0.1, high=3.0), floats(3, 4, low=-0.9, high=0.9)
WHOLE, OTHER = RANDOM.integers(-9, 9, (3, 4)), RANDOM.integers(1, 5, (3, 4))
TRUTH, TRUTH2 = RANDOM.random((3, 4)) < 0.5, RANDOM.random((3, 4)) < 0.5
ODD = np.array([0.5, 1.5, 2.5, -0.5, np.nan, np.inf, -np.inf, -0.0], np.float32)

SIGMOID = scipy.special.expit
UNARY: dict[str, tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]] = {
    **{
        name: (X, getattr(np, name))
        for name in ("exp", "tanh", "sin", "cos", "tan", "sinh", "cosh", "floor", "ceil", "sign", "abs")
    },
    **{"log": (POSITIVE, np.log), "sqrt": (POSITIVE, np.sqrt), "rsqrt": (POSITIVE, lambda x: x**-0.5)},
    **{"asin": (UNIT, np.arcsin), "acos": (UNIT, np.arccos), "atan": (X, np.arctan), "asinh": (X, np.arcsinh)},
    **{"acosh": (POSITIVE + 1, np.arccosh), "atanh": (UNIT, np.arctanh), "erf": (X, scipy.special.erf)},
    **{"neg": (X, np.negative), "reciprocal": (POSITIVE, np.reciprocal), "round": (ODD, np.round)},
    **{"relu": (X, lambda x: x * (x > 0)), "leaky_relu": (X, lambda x: np.where(x > 0, x, 0.01 * x))},
    **{"elu": (X, lambda x: np.where(x > 0, x, np.expm1(x))), "softplus": (X * 40, lambda x: np.logaddexp(x, 0))},
    **{"sigmoid": (X, SIGMOID), "silu": (X, lambda x: x * SIGMOID(x)), "logical_not": (TRUTH, np.logical_not)},
    **{"power_of_two_below": (POSITIVE, lambda x: np.exp2(np.floor(np.log2(x))))},
    **{"bitwise_not": (WHOLE, lambda x: -1 - x)},
    **{"hard_sigmoid": (X * 2, lambda x: np.clip(0.2 * x + 0.5, 0, 1))},
    **{"hard_swish": (X * 2, lambda x: x * np.clip(x + 3, 0, 6) / 6)},
    **{"gelu": (X, lambda x: x * scipy.special.ndtr(x)), "isnan": (ODD, np.isnan), "isinf": (ODD, np.isinf)},
    **{"gelu_tanh": (X, lambda x: x * (np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)) + 1) / 2)},
}
BINARY: dict[str, tuple[np.ndarray, np.ndarray, Callable[..., np.ndarray]]] = {
    **{"add": (X, Y, np.add), "sub": (X, Y, np.subtract), "mul": (X, Y, np.multiply), "div": (X, POSITIVE, np.divide)},
    **{"mod": (WHOLE, OTHER, np.mod), "fmod": (WHOLE, OTHER, np.fmod), "pow": (POSITIVE, Y, np.power)},
    **{"maximum": (X, Y, np.maximum), "minimum": (X, Y, np.minimum)},
    **{"equal": (WHOLE, OTHER, np.equal), "not_equal": (WHOLE, OTHER, np.not_equal)},
    **{"less": (WHOLE, OTHER, np.less), "less_equal": (WHOLE, OTHER, np.less_equal)},
    **{"greater": (WHOLE, OTHER, np.greater), "greater_equal": (WHOLE, OTHER, np.greater_equal)},
    **{"logical_and": (TRUTH, TRUTH2, np.logical_and), "logical_or": (TRUTH, TRUTH2, np.logical_or)},
    **{"bitwise_and": (WHOLE, OTHER, np.bitwise_and), "bitwise_or": (WHOLE, OTHER, np.bitwise_or)},
    **{"bitwise_xor": (WHOLE, OTHER, np.bitwise_xor), "shift_right": (WHOLE, OTHER, lambda x, n: np.floor(x / 2**n))},
    **{"shift_left": (WHOLE, OTHER, lambda x, n: x * 2**n)},
    **{"logical_xor": (TRUTH, TRUTH2, np.logical_xor), "prelu": (X, POSITIVE, lambda x, s: np.where(x > 0, x, s * x))},
}


@pytest.mark.parametrize("name", UNARY)
def test_unary(name: str) -> None:
    x, expected = UNARY[name]
    check(OPS.get(name), expected(x), x)
    check(OPS.get(name), expected(x[:0]), x[:0])


@pytest.mark.parametrize("name", BINARY)
def test_binary(name: str) -> None:
    x, y, expected = BINARY[name]
    check(OPS.get(name), expected(x, y), x, y)
    check(OPS.get(name), expected(x[:, None], y[0]), x[:, None], y[0])


def test_integer_division_truncates() -> None:
    check(ops.div, np.trunc(WHOLE / OTHER).astype(np.int64), WHOLE, OTHER)


def test_where_and_cast() -> None:
    check(ops.where, np.where(TRUTH, X, Y), TRUTH, X, Y)
    check(lambda x: ops.cast(x, to=i32), np.trunc(X * 3).astype(np.int32), X * 3)
    check(lambda x: ops.cast(x, to=f16), X.astype(np.float16), X)


REDUCTIONS: dict[str, Callable[..., Any]] = {
    "reduce_sum": np.sum,
    "reduce_prod": np.prod,
    "reduce_max": np.max,
    "reduce_min": np.min,
    "reduce_mean": np.mean,
}


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions(name: str, keepdims: bool) -> None:
    x = floats(2, 3, 4)
    for axes in ((1,), (0, -1), (0, 1, 2)):
        expected = REDUCTIONS[name](x, axis=axes, keepdims=keepdims)
        check(lambda v, axes=axes: OPS.get(name)(v, axes=axes, keepdims=keepdims), expected, x)


def test_truth_and_position_reductions() -> None:
    check(lambda x: ops.reduce_any(x, axes=(1,)), TRUTH.any(1), TRUTH)
    check(lambda x: ops.reduce_all(x, axes=(0,)), TRUTH.all(0), TRUTH)
    check(lambda x: ops.argmax(x, axis=1), X.argmax(1), X)
    check(lambda x: ops.argmin(x, axis=0, keepdims=True), X.argmin(0)[None], X)


def test_contractions() -> None:
    a, b = floats(2, 1, 3, 5), floats(4, 5, 2)
    check(ops.matmul, a @ b, a, b, rtol=1e-4)
    check(lambda x, y: ops.contract(x, y, notation="a b, c b -> c a"), Y @ X.T, X, Y, rtol=1e-4)
    check(lambda x, y: ops.contract(x, y, notation="a b, a c -> b"), X.T @ Y.sum(1), X, Y, rtol=1e-4)
    eight, other = RANDOM.integers(0, 255, (3, 6)).astype(np.uint8), RANDOM.integers(-128, 127, (6, 2)).astype(np.int8)
    check(ops.matmul_integer, eight.astype(np.int32) @ other.astype(np.int32), eight, other)


def correlate(
    x: np.ndarray, weight: np.ndarray, strides: tuple[int, int], pads: Any, dilations: tuple[int, int], groups: int
) -> np.ndarray:
    """Convolution by SciPy, one channel at a time: dilated by zeros in the kernel, strided by leaving out."""
    x = np.pad(x, [(0, 0), (0, 0), *pads])
    per_group, outputs = weight.shape[1], weight.shape[0]
    wide = np.zeros((outputs, per_group, *((k - 1) * d + 1 for k, d in zip(weight.shape[2:], dilations, strict=True))))
    wide[:, :, :: dilations[0], :: dilations[1]] = weight
    result = []
    for f in range(outputs):
        group = f // (outputs // groups)
        channels = [scipy.signal.correlate(x[0, group * per_group + c], wide[f, c], "valid") for c in range(per_group)]
        result.append(sum(channels)[:: strides[0], :: strides[1]])
    return np.stack(result)[None]


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_convolution(groups: int) -> None:
    x, weight = floats(1, 4, 9, 10), floats(8, 4 // groups, 3, 2)
    attrs: dict[str, Any] = {"strides": (2, 1), "dilations": (1, 2), "pads": ((1, 2), (0, 1))}
    expected = correlate(x, weight, attrs["strides"], attrs["pads"], attrs["dilations"], groups)
    check(lambda a, b: ops.conv(a, b, **attrs), expected, x, weight, rtol=1e-4)
    whole = [np.round(a * 3).astype(np.int8) for a in (x, weight)]
    left, right = (a.astype(np.float64) for a in whole)
    exact = correlate(left, right, attrs["strides"], attrs["pads"], attrs["dilations"], groups)
    check(lambda a, b: ops.conv_integer(a, b, **attrs), np.round(exact).astype(np.int32), *whole)


def test_transposed_convolution_is_the_gradient_of_convolution() -> None:
    """<conv(x, w), y> = <x, conv_transpose(y, w)> for all x and y."""
    x, weight = floats(1, 4, 7, 8), floats(6, 2, 3, 3)
    attrs: dict[str, Any] = {"strides": (2, 1), "dilations": (1, 1), "pads": ((1, 1), (0, 1))}
    (forward,) = run(lambda a, b: ops.conv(a, b, **attrs), x, weight)
    y = floats(*forward.shape)
    (back,) = run(lambda a, b: ops.conv_transpose(a, b, g=2, **attrs), y, weight)
    assert back.shape == x.shape
    assert np.vdot(forward, y) == pytest.approx(np.vdot(x, back), rel=1e-4)


def test_pools() -> None:
    x = floats(1, 2, 6, 7)
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(x, [(0, 0), (0, 0), (1, 0), (0, 0)], constant_values=-9), (3, 2), (2, 3)
    )
    attrs: dict[str, Any] = {"window": (3, 2), "strides": (2, 1), "pads": ((1, 0), (0, 0))}
    check(lambda v: ops.max_pool(v, **attrs), windows[:, :, ::2].max((-1, -2)), x)
    zeros = np.lib.stride_tricks.sliding_window_view(np.pad(x, [(0, 0), (0, 0), (1, 0), (0, 0)]), (3, 2), (2, 3))
    check(lambda v: ops.sum_pool(v, **attrs), zeros[:, :, ::2].sum((-1, -2)), x)


def test_movement() -> None:
    x = floats(2, 3, 4)
    check(lambda v: ops.transpose(v, perm=(2, 0, 1)), x.transpose(2, 0, 1), x)
    check(lambda v: ops.broadcast(v, shape=(5, 2, 3, 4)), np.broadcast_to(x, (5, 2, 3, 4)), x)
    check(lambda v: ops.slice(v, starts=(1, 2, 0), size=(1, 2, 2), steps=(1, -2, 3)), x[1:2, 2::-2, 0::3], x)
    check(
        lambda v: ops.pad(v, pads=((0, 1), (-1, 0), (2, 0)), value=5.0),
        np.pad(x[:, 1:], ((0, 1), (0, 0), (2, 0)), constant_values=5),
        x,
    )
    check(lambda v: ops.reshape(v, shape=(4, 6)), x.reshape(4, 6), x)
    check(lambda v: ops.concat(v, v, axis=1), np.concatenate([x, x], 1), x)


def test_indexing() -> None:
    x = floats(3, 4)
    rows = np.array([[2, -1], [0, 1]])
    check(lambda v, i: ops.gather(v, i, axis=0), x[rows], x, rows)
    places = np.array([[0, 2, 1, -1], [1, 1, 0, 0]])
    check(lambda v, i: ops.gather_elements(v, i, axis=0), np.take_along_axis(x, places % 3, 0), x, places)
    pairs = np.array([[[0, 1]], [[2, -1]]])
    check(ops.gather_nd, x[pairs[..., 0], pairs[..., 1]], x, pairs)
    batched = np.array([[1], [0], [3]])
    check(lambda v, i: ops.gather_nd(v, i, batch_dims=1), x[np.arange(3), batched[:, 0]], x, batched)
    updates = floats(2, 4)
    added = x.copy()
    np.add.at(added, (places % 3, np.arange(4)), updates)
    check(lambda v, i, u: ops.scatter_elements(v, i, u, axis=0, reduction="add"), added, x, places, updates)
    put = x.copy()
    put[[0, 2]] = updates
    check(ops.scatter_nd, put, x, np.array([[0], [2]]), updates)


def test_ordered() -> None:
    x = floats(3, 5)
    check(lambda v: ops.cumsum(v, axis=1), x.cumsum(1), x)
    check(lambda v: ops.cumsum(v, axis=1, reverse=True, exclusive=True), x[:, ::-1].cumsum(1)[:, ::-1] - x, x)
    order = np.argsort(-x, axis=1, kind="stable")[:, :2]
    check(lambda v: ops.top_k.results(v, k=2, axis=1), [np.take_along_axis(x, order, 1), order], x)
    order = np.argsort(x, axis=0, kind="stable")[:1]
    check(lambda v: ops.top_k.results(v, k=1, axis=0, largest=False), [np.take_along_axis(x, order, 0), order], x)


def test_norms() -> None:
    x, scale, bias = floats(2, 3, 4), floats(4), floats(4)
    check(lambda v: ops.softmax(v, axis=1), scipy.special.softmax(x, 1), x)
    check(lambda v: ops.log_softmax(v), scipy.special.log_softmax(x, -1), x, rtol=1e-4)
    normal = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-3)
    check(lambda v, s, b: ops.layer_norm(v, s, b, epsilon=1e-3), normal * scale + bias, x, scale, bias, rtol=1e-4)
    rms = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-3)
    check(lambda v, s: ops.rms_norm(v, s, epsilon=1e-3), rms * scale, x, scale, rtol=1e-4)
    image, mean, variance = floats(2, 4, 3, 3), floats(4), floats(4, low=0.5)
    channel = (1, 4, 1, 1)
    expected = (image - mean.reshape(channel)) / np.sqrt(variance.reshape(channel) + 1e-5) * scale.reshape(
        channel
    ) + bias.reshape(channel)
    check(ops.batch_norm, expected, image, scale, bias, mean, variance, rtol=1e-4)
    grouped = image.reshape(2, 2, -1)
    unit = ((grouped - grouped.mean(-1, keepdims=True)) / np.sqrt(grouped.var(-1, keepdims=True) + 1e-5)).reshape(
        image.shape
    )
    check(
        lambda v, s, b: ops.group_norm(v, s, b, groups=2),
        unit * scale.reshape(channel) + bias.reshape(channel),
        image,
        scale,
        bias,
        rtol=1e-4,
    )


@pytest.mark.parametrize("reverse", [False, True])
def test_recurrent(reverse: bool) -> None:
    """Step by step, by the equations of ONNX."""
    t, n, k, h = 4, 2, 3, 5
    x, state, cell = floats(t, n, k), floats(n, h), floats(n, h)
    w, r, bias = floats(4 * h, k), floats(4 * h, h), floats(4 * h)
    every, hidden, memory = [np.zeros((n, h))] * t, state, cell
    for step in reversed(range(t)) if reverse else range(t):
        i, o, f, c = np.split(x[step] @ w.T + hidden @ r.T + bias, 4, axis=1)
        memory = SIGMOID(f) * memory + SIGMOID(i) * np.tanh(c)
        hidden = every[step] = SIGMOID(o) * np.tanh(memory)
    check(
        lambda *v: ops.lstm.results(*v, reverse=reverse),
        [np.stack(every), hidden, memory],
        x,
        w,
        r,
        bias,
        state,
        cell,
        rtol=1e-4,
    )

    w, r, wb, rb = floats(3 * h, k), floats(3 * h, h), floats(3 * h), floats(3 * h)
    for after in (False, True):
        hidden = state
        for step in reversed(range(t)) if reverse else range(t):
            xz, xr, xh = np.split(x[step] @ w.T + wb, 3, axis=1)
            (rz, rr, rh), (bz, br, bh) = np.split(r, 3), np.split(rb, 3)
            z, reset = SIGMOID(xz + hidden @ rz.T + bz), SIGMOID(xr + hidden @ rr.T + br)
            candidate = np.tanh(xh + (reset * (hidden @ rh.T + bh) if after else (reset * hidden) @ rh.T + bh))
            hidden = every[step] = (1 - z) * candidate + z * hidden
        make = lambda *v, after=after: ops.gru.results(*v, reverse=reverse, linear_before_reset=after)  # noqa: E731
        check(make, [np.stack(every), hidden], x, w, r, wb, rb, state, rtol=1e-4)

    w, r, bias = floats(h, k), floats(h, h), floats(h)
    for name, activation in (("tanh", np.tanh), ("relu", lambda v: np.maximum(v, 0)), ("sigmoid", SIGMOID)):
        hidden = state
        for step in reversed(range(t)) if reverse else range(t):
            hidden = every[step] = activation(x[step] @ w.T + hidden @ r.T + bias)
        make = lambda *v, name=name: ops.rnn.results(*v, reverse=reverse, activations=name)  # noqa: E731
        check(make, [np.stack(every), hidden], x, w, r, bias, state, rtol=1e-4)


def test_control_flow() -> None:
    def counted(n: Value) -> Value:
        """Doubles 1 until it reaches n."""
        one = ops.constant_of(np.array(1, np.int64))
        condition = build_body([n.type], lambda v: [ops.less(v, n)], yield_)
        body = build_body([n.type], lambda v: [ops.add(v, v)], yield_)
        return ops.while_.create([one], {}, regions=[condition, body]).result

    check(counted, np.array(16), np.array(9))

    def choose(p: Value, x: Value) -> Value:
        bodies = [build_body([], make, yield_) for make in (lambda: [ops.neg(x)], lambda: [ops.exp(x)])]
        return ops.if_.create([p], {}, regions=bodies).result

    check(choose, -X, np.array(True), X)
    check(choose, np.exp(X), np.array(False), X)

    def scanned(h: Value, xs: Value) -> tuple[Value, ...]:
        body = build_body([h.type, h.type], lambda s, x: [ops.add(s, x), ops.mul(s, x)], yield_)
        return ops.scan.create([h, xs], {"length": 3, "states": 1}, regions=[body]).results

    xs, start = floats(3, 4), floats(4)
    before = start + np.concatenate([np.zeros((1, 4)), xs.cumsum(0)[:-1]])
    check(scanned, [start + xs.sum(0), before * xs], start, xs)


def test_parts_of_other_ranks_are_not_joined() -> None:
    with pytest.raises(ShapeError, match="differ in more than axis 1"):
        run(lambda x, y: ops.concat(x, y, axis=1), floats(2, 3), floats(2))


def test_iota() -> None:
    type = TensorType((2, 3), DTYPES["i64"])
    check(lambda: ops.iota.create((), {"axis": 1}, result_types=(type,)).result, np.tile(np.arange(3), (2, 1)))


TESTED = {
    *UNARY,
    *BINARY,
    *REDUCTIONS,
    *[
        "where",
        "cast",
        "reduce_any",
        "reduce_all",
        "argmax",
        "argmin",
        "matmul",
        "contract",
        "matmul_integer",
        "conv",
        "conv_integer",
        "conv_transpose",
    ],
    *[
        "max_pool",
        "sum_pool",
        "transpose",
        "broadcast",
        "slice",
        "pad",
        "reshape",
        "concat",
        "gather",
        "gather_elements",
        "gather_nd",
        "iota",
    ],
    *[
        "scatter_elements",
        "scatter_nd",
        "cumsum",
        "top_k",
        "softmax",
        "log_softmax",
        "layer_norm",
        "rms_norm",
        "batch_norm",
        "group_norm",
        "lstm",
        "gru",
        "rnn",
    ],
    *["if", "while", "scan"],
}
# Tested elsewhere: constants with types, calls and kernels with passes, opaque ops with the frontend.
ELSEWHERE = {
    *("constant", "call", "kernel", "return", "yield", "opaque"),
    # test_selection.py
    *("nonzero", "compress", "unique", "non_max_suppression", "shape_of", "dynamic_slice", "slice_between"),
    # test_more_ops.py
    *("cumprod", "det", "fft", "bitcast", "random", "sample", "roi_align", "max_pool_position"),
    *("attention", "rotary_embedding", "quick_gelu", "swiglu"),
    *("cached_attention", "latent_attention", "subview"),  # test_cached_attention.py
    *("index_scores", "chosen_keys", "chosen_attention"),  # test_chosen_keys.py
    *("quantise_rows", "scaled_matmul"),  # test_scaled.py
    "update_cache",  # test_cache.py
    *("causal_conv1d", "selective_scan", "ssd_scan", "linear_attention", "gated_delta_rule"),  # test_state_space.py
    *("expert_routing", "sample_token"),  # test_routing.py
    "lstm_cell",  # tests/passes/recognise.irc
    "view",  # tests/passes/views.irc
    "tree_ensemble",  # tests/frontends/test_ml.py
    *("unpack", "block_quantised_matmul", "expert_matmul", "mixture_of_experts"),  # tests/frontends/test_microsoft.py
    "dynamic_quantized_lstm",  # tests/frontends/test_recurrent.py
}


def test_no_op_is_left_out() -> None:
    ours = {name for name in OPS.names() if type(OPS.get(name)).__module__.startswith("ircost.")}
    declared_here = {name for name in ours if name.startswith(("plugged", "squared_distance"))}
    assert ours - ELSEWHERE - declared_here == TESTED
