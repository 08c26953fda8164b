"""A host that launches kernel by kernel runs ahead behind long kernels, and is waited for behind short ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ircost
from ircost.backends import load_target
from ircost.cost_models.analytical import Analytical
from ircost.cost_models.interface import CostModel, Estimates
from ircost.cost_models.kernel_table import KernelRun, kernel_table
from ircost.cost_models.learned.hybrid import Hybrid
from ircost.cost_models.other_launches import FreeLaunches, OneByOne, Replayed
from ircost.explaining import explain_report
from ircost.ir import Builder, Function, Module, ops
from ircost.ir.types import TensorType, f16
from ircost.launching import run_seconds

SECONDS = st.floats(0, 1e3).map(lambda us: us * 1e-6)
KERNELS = st.lists(st.tuples(SECONDS, SECONDS, st.sampled_from([1, 1, 2, 32])), min_size=1, max_size=20)
RESNET = Path(__file__).parents[2] / "datasets/models/resnet50.onnx"


def one_relu() -> Module:
    function = Function("main", [TensorType((8, 8), f16)])
    build = Builder(function.block)
    build.op(ops.return_.create((build(ops.relu(function.arguments[0])),)))
    return Module([function])


def launched(host_s: list[float], device_s: list[float]) -> Estimates:
    host, device = np.array(host_s), np.array(device_s)
    one = Analytical().estimate(kernel_table(one_relu()), load_target("h100+pytorch"))
    assert one.host_s is not None and one.host_s[0] > 0
    return replace(one, latency_s=np.maximum(host, device), host_s=host, device_s=device)


def runs_of(counts: list[int]) -> list[KernelRun]:
    (parameter,) = Function("main", [TensorType((8, 8), f16)]).arguments
    op = ops.relu(parameter).producer
    assert op is not None
    return [KernelRun(row, count, op, None) for row, count in enumerate(counts)]


@given(KERNELS)
def test_the_whole_takes_no_less_than_either_and_no_more_than_each_kernel_alone(
    kernels: list[tuple[float, float, int]],
) -> None:
    host_s, device_s, counts = (list(column) for column in zip(*kernels, strict=True))
    estimates = launched(host_s, device_s)
    shown_s = run_seconds(runs_of(counts), estimates)
    assert (shown_s >= 0).all()
    assert shown_s.sum() >= max(np.dot(host_s, counts), np.dot(device_s, counts)) * (1 - 1e-9)
    assert shown_s.sum() <= np.dot(estimates.latency_s, counts) * (1 + 1e-9)


def test_launches_hide_behind_a_long_kernel_and_show_before_it() -> None:
    """Ten launches of 10 us: with 200 us of the device first, all are made while it works; last, none is."""
    host_s, short, long = [10e-6] * 10, [1e-6] * 9, [200e-6]
    first, last = (launched(host_s, device_s) for device_s in (long + short, short + long))
    assert run_seconds(runs_of([1] * 10), first).sum() == pytest.approx(209e-6)
    assert run_seconds(runs_of([1] * 10), last).sum() == pytest.approx(290e-6)


@given(st.lists(st.tuples(SECONDS, SECONDS), min_size=1, max_size=6), st.tuples(SECONDS, SECONDS), st.integers(1, 40))
def test_trips_of_a_loop_are_as_if_written_out(
    body: list[tuple[float, float]], before: tuple[float, float], trips: int
) -> None:
    host_s, device_s = (list(column) for column in zip(before, *body, strict=True))
    looped = run_seconds(runs_of([1] + [trips] * len(body)), launched(host_s, device_s))
    host_s, device_s = (list(column) for column in zip(before, *(body * trips), strict=True))
    written = run_seconds(runs_of([1] * len(host_s)), launched(host_s, device_s))
    assert looped.sum() == pytest.approx(written.sum(), abs=1e-12)


def test_replayed_kernels_take_their_own_time() -> None:
    estimates = replace(launched([1e-5, 1e-5], [1e-6, 1e-4]), host_s=None, device_s=None)
    assert run_seconds(runs_of([3, 2]), estimates) == pytest.approx([3e-5, 2e-4])


@pytest.mark.parametrize(("target", "is_ahead"), [("t4+pytorch", True), ("t4", False), ("cpu+pytorch", False)])
def test_reports_and_their_explanation_add_up(target: str, is_ahead: bool) -> None:
    """A batch whose short kernels follow long ones: kernels, the whole, what is explained, and a sweep agree."""
    report = ircost.compile(RESNET, target, dtype="f32" if target.startswith("cpu") else "f16", dims={"N": 8})
    table = kernel_table(report.module)
    estimates = Hybrid().estimate(table, load_target(target))
    alone_s = sum(float(estimates.latency_s[run.row]) * run.count for run in table.runs)
    assert sum(kernel.latency_s or 0.0 for kernel in report.kernels) == pytest.approx(report.latency_s)
    assert (report.latency_s < 0.95 * alone_s) == is_ahead
    assert report.low_s is not None and report.high_s is not None
    assert report.low_s < report.latency_s < report.high_s
    tree = explain_report(report, load_target(target))
    assert tree.value == pytest.approx(report.latency_s)
    assert sum(node.value for node in tree.children) == pytest.approx(tree.value)


@pytest.mark.parametrize(
    ("model", "target", "is_launched"),
    [
        *[(FreeLaunches(), "h100+pytorch", False), (Replayed(), "h100+pytorch", False), (OneByOne(), "h100", True)],
        *[(Analytical(), "h100+pytorch", True), (Analytical(), "h100+vllm", False), (Hybrid(), "h100+pytorch", True)],
    ],
)
def test_who_launches_kernel_by_kernel(model: CostModel, target: str, is_launched: bool) -> None:
    estimates = model.estimate(kernel_table(one_relu()), load_target(target))
    assert (estimates.host_s is not None) == (estimates.device_s is not None) == is_launched
    if estimates.host_s is not None and estimates.device_s is not None:
        longer_s = np.maximum(estimates.host_s, estimates.device_s)
        assert (longer_s <= estimates.latency_s * (1 + 1e-9)).all() and (longer_s > 0.85 * estimates.latency_s).all()
