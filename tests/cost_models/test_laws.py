"""Laws that every estimate obeys: at or above its bound, and a better machine is never slower."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ircost.backends import Target
from ircost.backends.target_files import parse_target
from ircost.cost_models.interface import COST_MODELS
from ircost.cost_models.kernel_table import kernel_table
from ircost.cost_models.lower_bound import model_lower_bound_s
from ircost.ir import Builder, Function, Module, Value, ops
from ircost.ir.types import DType, TensorType, bf16, f16, f32

BASES = ("h100", "a100", "l40s", "v100", "t4", "rtx_4090", "b200", "mi300x", "cpu")
EXTENT = st.integers(1, 300)


@st.composite
def modules(draw: st.DrawFn) -> Module:
    """A function of 1 to 8 ops: contractions, element-wise ops, norms, movements."""
    dtype = draw(st.sampled_from([f32, f16, bf16]))
    rows, columns = draw(EXTENT), draw(EXTENT)
    function = Function("main", [TensorType((rows, columns), dtype)])
    build = Builder(function.block)
    value = function.arguments[0]
    earlier = [value]
    for _ in range(draw(st.integers(1, 8))):
        value = build(draw(st.sampled_from(STEPS))(draw, function, value, earlier))
        earlier.append(value)
    build.op(ops.return_.create([value, draw(st.sampled_from(earlier))]))
    return Module([function])


def weight(function: Function, shape: tuple[int, ...], dtype: DType) -> Value:
    return function.block.add_argument(TensorType(shape, dtype))


def matmul(draw: st.DrawFn, function: Function, x: Value, earlier: list[Value]) -> Value:
    return ops.matmul(x, weight(function, (x.type.shape[1], draw(EXTENT)), x.type.dtype))


def elementwise(draw: st.DrawFn, function: Function, x: Value, earlier: list[Value]) -> Value:
    return draw(st.sampled_from([ops.relu, ops.gelu, ops.exp]))(x)


def residual(draw: st.DrawFn, function: Function, x: Value, earlier: list[Value]) -> Value:
    alike = [value for value in earlier if value.type == x.type]
    return ops.add(x, draw(st.sampled_from(alike)))


def softmax(draw: st.DrawFn, function: Function, x: Value, earlier: list[Value]) -> Value:
    return ops.softmax(x, axis=draw(st.sampled_from([0, 1])))


def transpose(draw: st.DrawFn, function: Function, x: Value, earlier: list[Value]) -> Value:
    return ops.transpose(x, perm=(1, 0))


def half(draw: st.DrawFn, function: Function, x: Value, earlier: list[Value]) -> Value:
    rows, columns = x.type.shape
    return ops.slice(x, starts=(0, 0), size=((rows + 1) // 2, columns), steps=(2, 1))


def regroup(draw: st.DrawFn, function: Function, x: Value, earlier: list[Value]) -> Value:
    return ops.reshape(x, shape=(1, x.type.elements))


STEPS = (matmul, elementwise, residual, softmax, transpose, half, regroup)


def latency_s(module: Module, target: Target) -> float:
    table = kernel_table(module)
    estimates = COST_MODELS.get("roofline").estimate(table, target)
    return float(sum(estimates.latency_s[run.row] * run.count for run in table.runs))


@settings(deadline=None)
@given(modules(), st.sampled_from(BASES))
def test_estimate_is_at_or_above_every_bound(module: Module, base: str) -> None:
    target = parse_target(f"name: same\nextends: {base}\nsource: test")
    table = kernel_table(module)
    estimates = COST_MODELS.get("roofline").estimate(table, target)
    assert (estimates.latency_s >= estimates.lower_bound_s).all()
    assert latency_s(module, target) >= model_lower_bound_s(module, table, table.runs, target) * (1 - 1e-12)
    assert (estimates.energy_j <= target.power.peak_w * estimates.latency_s * (1 + 1e-12)).all()
    assert (estimates.energy_j >= target.power.idle_w * estimates.latency_s * (1 - 1e-12)).all()


@settings(deadline=None)
@given(modules(), st.sampled_from(BASES), st.floats(1, 8), st.floats(1, 8))
def test_a_better_machine_is_never_slower(module: Module, base: str, more_bandwidth: float, more_flops: float) -> None:
    target = parse_target(f"name: same\nextends: {base}\nsource: test")
    better = parse_target(scaled(target, base, more_bandwidth, more_flops))
    assert latency_s(module, better) <= latency_s(module, target) * (1 + 1e-12)


def scaled(target: Target, base: str, bandwidth: float, flops: float) -> str:
    """A target file for the same machine with more of everything."""
    main = target.main_memory
    lines = [f"name: better\nextends: {base}\nsource: test", "memory:"]
    lines.append(f"  {main.name}: {{bandwidth: {main.bandwidth_bytes_per_s * bandwidth!r} B/s}}")
    for engine, peaks in (("matrix", target.matrix), ("vector", target.vector)):
        if peaks:
            lines.append(f"{engine}:")
            lines.extend(f"  {dtype}: {peak * flops!r} flop/s" for dtype, peak in peaks.items())
    return "\n".join(lines)


def test_a_bandwidth_bound_kernel_takes_the_time_of_its_bytes() -> None:
    function = Function("main", [TensorType((1 << 28,), f16)])
    build = Builder(function.block)
    build.op(ops.return_.create([build(ops.relu(function.arguments[0]))]))
    target = parse_target("name: same\nextends: h100\nsource: test")
    assert latency_s(Module([function]), target) == pytest.approx(4 * (1 << 28) / 3.35e12, rel=1e-6)
