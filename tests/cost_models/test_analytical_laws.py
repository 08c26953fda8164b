"""Laws of the analytical model, over random kernels and machines.

Never below the physical limit; more of a resource is never slower, and a larger batch never faster.
"""

from __future__ import annotations

import numpy as np
import pytest
import random_modules
from hypothesis import given, settings
from hypothesis import strategies as st

import ircost
from ircost.backends import Target, load_target
from ircost.backends.target_files import parse_target
from ircost.cost_models.analytical import Analytical
from ircost.cost_models.kernel_table import KernelTable, kernel_table
from ircost.cost_models.lower_bound import model_lower_bound_s
from ircost.ir import Builder, Function, Module, Value, ops
from ircost.ir.types import DType, TensorType, bf16, f16, f32
from ircost.passes.kernel_making import make_kernel

BASES = (
    *("h100", "a100", "l40s", "v100", "t4", "rtx_4090", "b200", "mi300x", "h100_sxm+vllm"),
    *("epyc_7003_2cores", "xeon_8480"),
)
MODEL = Analytical()
SLACK = 1 + 1e-9


@st.composite
def extents(draw: st.DrawFn, most: int = 8192) -> int:
    """Spread over the scales: of small ones there are as many as of large ones."""
    return round(2 ** draw(st.floats(0, np.log2(most))))


def table_of(*values: Value, function: Function) -> KernelTable:
    build = Builder(function.block)
    for value in values:
        build(value)
    build.op(ops.return_.create(values))
    return kernel_table(Module([function]))


@st.composite
def kernels(draw: st.DrawFn) -> KernelTable:
    """One kernel: a product, a convolution, attention, a scan, a norm, element-wise work, a movement, a chain."""
    maker = draw(st.sampled_from([product, convolution, attention, scan, norm, elementwise, movement, chain]))
    table: KernelTable = maker(draw, draw(st.sampled_from([f32, f16, bf16])))(1)
    return table


def product(draw: st.DrawFn, dtype: DType):
    b, m, n, k = draw(extents(16)), draw(extents()), draw(extents()), draw(extents())

    def of(times: int) -> KernelTable:
        function = Function("main", [TensorType((b, times * m, k), dtype), TensorType((b, k, n), dtype)])
        return table_of(ops.matmul(*function.arguments), function=function)

    return of


def convolution(draw: st.DrawFn, dtype: DType):
    n, channels, filters, size = draw(extents(16)), draw(extents(512)), draw(extents(512)), draw(extents(112))
    kernel, stride = draw(st.sampled_from([1, 3, 5])), draw(st.sampled_from([1, 2]))

    def of(times: int) -> KernelTable:
        shape = (times * n, channels, size + kernel, size + kernel)
        function = Function("main", [TensorType(shape, dtype), TensorType((filters, channels, kernel, kernel), dtype)])
        return table_of(ops.conv(*function.arguments, strides=(stride, stride)), function=function)

    return of


def attention(draw: st.DrawFn, dtype: DType):
    b, heads, group = draw(extents(16)), draw(extents(16)), draw(st.sampled_from([1, 4]))
    m, n, width = draw(extents(2048)), draw(extents(4096)), draw(st.sampled_from([64, 128]))
    attrs = {"is_causal": draw(st.booleans()), "window": draw(st.sampled_from([0, 100, 1024]))}
    n = max(n, m) if attrs["is_causal"] else n

    def of(times: int) -> KernelTable:
        kv = TensorType((times * b, heads, n, width), dtype)
        function = Function("main", [TensorType((times * b, heads * group, m, width), dtype), kv, kv])
        return table_of(ops.attention(*function.arguments, scale=1.0, **attrs), function=function)

    return of


def scan(draw: st.DrawFn, dtype: DType):
    """A delta rule, or the convolution before it, of many tokens or of one behind a state."""
    b, tokens, heads = draw(extents(64)), draw(st.sampled_from([1, 4, 100, 4096])), draw(extents(64))
    is_short_convolution = draw(st.booleans())

    def of(times: int) -> KernelTable:
        rows, n = TensorType((times * b, tokens, heads, 64), dtype), times * b
        each, state = TensorType((n, tokens, heads), dtype), TensorType((n, heads, 64, 64), f32)
        if is_short_convolution:
            types = [TensorType((n, tokens, heads * 64), dtype), TensorType((heads * 64, 4), dtype)]
            function = Function("main", [*types, TensorType((n, 3, heads * 64), dtype)])
            made = ops.causal_conv1d.results(*function.arguments, has_state=True)
        else:
            function = Function("main", [rows, rows, rows, each, each, state])
            made = ops.gated_delta_rule.results(*function.arguments, scale=0.125, has_state=True)
        return table_of(*made, function=function)

    return of


def norm(draw: st.DrawFn, dtype: DType):
    rows, columns = draw(extents()), draw(extents())

    def of(times: int) -> KernelTable:
        function = Function("main", [TensorType((times * rows, columns), dtype)])
        return table_of(ops.softmax(function.arguments[0], axis=-1), function=function)

    return of


def elementwise(draw: st.DrawFn, dtype: DType):
    rows, columns = draw(extents()), draw(extents())
    op = draw(st.sampled_from([ops.relu, ops.exp, ops.gelu]))

    def of(times: int) -> KernelTable:
        function = Function("main", [TensorType((times * rows, columns), dtype)])
        return table_of(op(function.arguments[0]), function=function)

    return of


def movement(draw: st.DrawFn, dtype: DType):
    rows, columns = draw(extents()), draw(extents())

    def of(times: int) -> KernelTable:
        function = Function("main", [TensorType((times * rows, columns), dtype)])
        return table_of(ops.transpose(function.arguments[0], perm=(1, 0)), function=function)

    return of


def chain(draw: st.DrawFn, dtype: DType):
    rows, read, hidden, made = draw(extents()), draw(extents(512)), draw(extents()), draw(extents(512))
    tile, step = draw(st.sampled_from([16, 64, 256])), draw(st.sampled_from([32, 128, 8192]))

    def of(times: int) -> KernelTable:
        shapes = ((times * rows, read), (read, hidden), (hidden, made))
        function = Function("main", [TensorType(shape, dtype) for shape in shapes])
        x, up, down = function.arguments
        build = Builder(function.block)
        inner = build(ops.matmul(x, up))
        lively = build(ops.gelu(inner))
        result = build(ops.matmul(lively, down))
        members = [value.producer for value in (inner, lively, result) if value.producer is not None]
        kernel = make_kernel(members, [result], f"chain m={tile} k={step}")
        build.op(ops.return_.create([kernel.result]))
        return kernel_table(Module([function]))

    return of


MAKERS = st.sampled_from([product, convolution, attention, scan, norm, elementwise, movement, chain])


def seconds(table: KernelTable, target: Target) -> float:
    latency_s = MODEL.estimate(table, target).latency_s
    return float(sum(latency_s[run.row] * run.count for run in table.runs))


@settings(deadline=None, max_examples=200)
@given(kernels(), st.sampled_from(BASES))
def test_no_kernel_is_below_the_physical_limit(table: KernelTable, base: str) -> None:
    target = load_target(base)
    estimates = MODEL.estimate(table, target)
    assert (estimates.latency_s >= estimates.lower_bound_s).all()
    assert (estimates.terms_s <= estimates.latency_s[:, None] * SLACK).all()
    assert (estimates.energy_j <= target.power.peak_w * estimates.latency_s * SLACK).all()


@settings(deadline=None, max_examples=60)
@given(random_modules.modules(), st.sampled_from(BASES))
def test_no_model_is_below_its_limit(module: Module, base: str) -> None:
    target = load_target(base)
    table = kernel_table(module)
    report = ircost.compile(module, target=target, pipeline="", cost_model="analytical")
    assert report.latency_s >= model_lower_bound_s(module, table, [], target)
    assert report.latency_s >= report.lower_bound_s
    assert np.isfinite(report.latency_s)


@settings(deadline=None, max_examples=200)
@given(kernels(), st.sampled_from(BASES), st.floats(1, 8))
def test_more_bandwidth_is_never_slower(table: KernelTable, base: str, factor: float) -> None:
    target = load_target(base)
    assert seconds(table, better(target, base, bandwidth=factor)) <= seconds(table, target) * SLACK


@settings(deadline=None, max_examples=200)
@given(kernels(), st.sampled_from(BASES), st.floats(1, 8))
def test_more_flops_are_never_slower(table: KernelTable, base: str, factor: float) -> None:
    target = load_target(base)
    assert seconds(table, better(target, base, flops=factor)) <= seconds(table, target) * SLACK


@settings(deadline=None, max_examples=300)
@given(kernels(), st.sampled_from(BASES), st.integers(1, 200))
def test_more_processors_are_never_slower(table: KernelTable, base: str, more: int) -> None:
    """Each with its own arithmetic, shared memory and way to the last cache."""
    target = load_target(base)
    count = int(target.processors.count)
    assert seconds(table, better(target, base, processors=(count + more) / count)) <= seconds(table, target) * SLACK


@settings(deadline=None, max_examples=300)
@given(st.data(), MAKERS, st.sampled_from([f32, f16, bf16]), st.sampled_from(BASES), st.integers(2, 5))
def test_a_larger_batch_never_takes_less_time(data, maker, dtype: DType, base: str, times: int) -> None:
    of = maker(data.draw, dtype)
    target = load_target(base)
    assert seconds(of(1), target) <= seconds(of(times), target) * SLACK


@settings(deadline=None, max_examples=200)
@given(st.data(), st.sampled_from(BASES), st.sampled_from([1, 2, 64, 1000]), st.booleans())
def test_who_sees_fewer_keys_is_not_slower(data, base: str, m: int, is_causal: bool) -> None:
    """A narrower window, a cache that is filled less far, and a mask that attributes name."""
    draw, target = data.draw, load_target(base)
    b, group, g = draw(extents(64)), draw(st.sampled_from([1, 8])), draw(extents(16))
    n = m + draw(extents(8192))
    kv = TensorType((b, g, n, 128), f16)

    def of(**attrs: int) -> float:
        function = Function("main", [TensorType((b, g * group, m, 128), f16), kv, kv])
        table = table_of(ops.attention(*function.arguments, scale=1.0, **attrs), function=function)
        estimates = MODEL.estimate(table, target)
        assert (estimates.latency_s >= estimates.lower_bound_s).all()
        return float(estimates.latency_s[0])

    narrow, wide = sorted((draw(extents(8192)), draw(extents(8192))))
    assert of(is_causal=is_causal, window=narrow) <= of(is_causal=is_causal, window=wide) * SLACK
    assert of(is_causal=is_causal, window=wide) <= of(is_causal=is_causal) * SLACK
    assert of(is_causal=is_causal, length=m + (n - m) // 2) <= of(is_causal=is_causal) * SLACK


def better(target: Target, base: str, bandwidth: float = 1.0, flops: float = 1.0, processors: float = 1.0) -> Target:
    """The same machine with more of something; processors bring arithmetic, cache bandwidth and power along."""
    main = target.main_memory
    name, _, runtime = base.partition("+")
    # By its old name: what was fitted to this device goes on to hold.
    lines = [f"name: {target.name.partition('+')[0]}\nextends: {name}\nsource: test", "memory:"]
    lines.append(f"  {main.name}: {{bandwidth: {float(main.bandwidth_bytes_per_s) * bandwidth!r} B/s}}")
    for level in target.memory[1:]:
        lines.append(f"  {level.name}: {{bandwidth: {float(level.bandwidth_bytes_per_s) * processors!r} B/s}}")
    lines.append(f"processors: {{count: {round(float(target.processors.count) * processors)}}}")
    power = {"peak": target.power.peak_w, "idle": target.power.idle_w}
    watts = ", ".join(f"{name}: {float(value) * processors!r} W" for name, value in power.items())
    lines.append(f"power: {{{watts}}}")
    if target.special_per_s is not None:
        lines.append(f"special: {float(target.special_per_s) * flops * processors!r} flop/s")
    for engine, peaks in (("matrix", target.matrix), ("vector", target.vector)):
        if peaks:
            lines.append(f"{engine}:")
            lines.extend(f"  {dtype}: {float(peak) * flops * processors!r} flop/s" for dtype, peak in peaks.items())
    made = parse_target("\n".join(lines))
    return made.with_runtime(runtime) if runtime else made


@pytest.mark.parametrize("base", BASES)
def test_weights_come_from_main_memory_and_fresh_activations_may_not(base: str) -> None:
    """The second of two equal ops reads what the first has just written."""
    target = load_target(base)
    function = Function("main", [TensorType((256, 1024), f16)])
    build = Builder(function.block)
    value = function.arguments[0]
    for _ in range(3):
        value = build(ops.relu(value))
    build.op(ops.return_.create([value]))
    latency_s = MODEL.estimate(kernel_table(Module([function])), target).latency_s
    first, middle, last = latency_s
    assert middle <= min(first, last)


@pytest.mark.parametrize(
    ("device", "dtype", "is_summed"),
    [
        *[("p40", "float16", True), ("p100_pcie", "float32", True), ("mi50", "int4_wo", True)],
        *[("gtx_1080_ti", "int8", False), ("h100", "float16", False), ("t4", "float16", False)],
    ],
)
def test_one_row_of_floats_on_lanes_is_no_tile(device: str, dtype: str, is_summed: bool) -> None:
    """Two rows take the time of a whole tile, one that of the weights; where one is a tile, both take the same."""
    rows = {"device": device, "dtype": dtype, "m": [1, 2], "n": 4096, "k": 16384}
    one_s, two_s = ircost.predict(rows, model="analytical").latency_s
    assert two_s > 1.1 * one_s if is_summed else two_s < 1.01 * one_s


def test_a_token_of_experts_on_lanes_is_no_tile_either() -> None:
    rows = {
        **{"device": "p100_pcie", "dtype": "float16", "tokens": [1, 2], "hidden": 4096, "inter": 4096, "topk": 8},
        "experts": 8,
    }
    one_s, two_s = ircost.predict(rows, model="analytical").latency_s
    assert two_s > 1.5 * one_s, "both meet all experts"
