"""Kernels of which few candidates are looked at take the same candidate, and the same time, as when all are."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ircost.backends import load_target
from ircost.cost_models.gpu.constants import bundled_constants
from ircost.cost_models.gpu.convolution import asked_convolution, convolution_demand
from ircost.cost_models.gpu.convolution_work import ConvolutionWork
from ircost.cost_models.gpu.demand import Amount, Constants, Terms, device_s, times
from ircost.cost_models.gpu.gemm import PARAMETERS, Candidates, GemmWork, gemm_demand
from ircost.cost_models.gpu.gemm_bound import least_s, screened_gemm
from ircost.cost_models.gpu.machine import GpuMachine, machine_of

TARGETS = ("h100", "a100", "l40s", "t4", "b200", "mi300x", "p100_pcie", "epyc_7003_core", "xeon_8480")
ROWS = 40


@st.composite
def machines(draw: st.DrawFn) -> GpuMachine:
    return machine_of(load_target(draw(st.sampled_from(TARGETS))))


@st.composite
def constants_of_any_fit(draw: st.DrawFn) -> dict[str, float]:
    """The fitted ones, each up to a factor of ten off: shares stay below one."""
    fitted = bundled_constants().of("gemm", {})
    factors = draw(st.lists(st.floats(-1, 1), min_size=len(fitted), max_size=len(fitted)))
    return {
        name: min(value * 10**power, 1.0) if PARAMETERS[name].kind == "share" else value * 10**power
        for (name, value), power in zip(fitted.items(), factors, strict=True)
    }


@st.composite
def products(draw: st.DrawFn) -> GemmWork:
    """Sizes spread over the scales, also such as fill tiles and waves to the last."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def sizes(most: int) -> np.ndarray:
        odd = np.round(2 ** rng.uniform(0, most, ROWS))
        return np.where(rng.random(ROWS) < 0.3, 2 ** rng.integers(0, most + 1, ROWS), odd).astype(float)

    def one_of(*values: Amount) -> Any:
        return draw(st.sampled_from(values))

    peak = one_of(1e13, 1e14, 1e15)
    return GemmWork(
        *(sizes(7), sizes(14), sizes(14), sizes(14)),
        *(one_of(0.53, 1.0, 2.0, 4.0), one_of(0.53, 1.0, 2.0, 4.0), one_of(2.0, 4.0)),
        *(one_of(0.0, 3.0), one_of(0.0, 3.0), one_of(1.0, 6.0, np.inf), rng.choice([1.0, 6.0, np.inf], ROWS), peak),
        extra_bytes=one_of(0.0, sizes(24)),
        extra_flops=one_of(0.0, 1e6),
        extra_special=one_of(0.0, 1e6),
        least_tile=one_of(16.0, 32.0, 64.0),
        most_split=one_of(np.inf, 1.0, rng.choice([1.0, np.inf], ROWS)),
        is_row_summed=one_of(0.0, 1.0),
        sustained_flops_per_s=one_of(np.inf, 0.6) * peak,
    )


def assert_same(one: Terms, other: Terms) -> None:
    np.testing.assert_array_equal(one.choice, other.choice)
    assert one.choices == other.choices
    for own, full in ((one.busy, other.busy), (one.fixed, other.fixed)):
        assert list(own) == list(full)
        for name in own:
            np.testing.assert_array_equal(own[name], full[name], name)
    for name in ("latency_s", "device_s"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), name)
    np.testing.assert_array_equal(one.demand.active, other.demand.active)
    for (seconds, footprint), (all_seconds, all_footprint) in zip(one.demand.reused, other.demand.reused, strict=True):
        np.testing.assert_array_equal(seconds, all_seconds)
        np.testing.assert_array_equal(footprint, all_footprint)


@settings(max_examples=60, deadline=None)
@given(products(), machines(), constants_of_any_fit(), st.booleans())
def test_screened_products_take_the_time_of_all_candidates(
    work: GemmWork, machine: GpuMachine, constants: dict[str, float], is_waited_for: bool
) -> None:
    full = times(gemm_demand(work, machine).issued(is_waited_for), constants)
    assert_same(times(screened_gemm(work, machine).issued(is_waited_for), constants), full)


@settings(max_examples=40, deadline=None)
@given(products(), machines(), constants_of_any_fit())
def test_no_candidate_is_faster_than_its_bound(
    work: GemmWork, machine: GpuMachine, constants: dict[str, float]
) -> None:
    bound_s = least_s(work, machine, Candidates.below(work.most_split), constants)
    demand = gemm_demand(work, machine)
    every = np.arange(demand.rows)
    for place in range(0, len(bound_s), 7):
        whole_s = device_s(demand.chosen(np.full(demand.rows, place)), constants)
        assert (bound_s[place] <= whole_s[every]).all()


def test_constants_may_differ_from_row_to_row() -> None:
    machine = machine_of(load_target("h100"))
    work = GemmWork(1.0, np.array([7.0, 4096.0, 100.0]), 4096.0, 512.0, 2, 2, 2, 0, 0, 1.0, 6.0, 1e15)
    plain = bundled_constants().of("gemm", {})
    columns: Constants = {name: np.array([1.0, 0.7, 0.4]) * value for name, value in plain.items()}
    assert_same(times(screened_gemm(work, machine), columns), times(gemm_demand(work, machine), columns))


def test_each_row_is_estimated_by_itself() -> None:
    machine = machine_of(load_target("a100"))
    sizes = np.array([1.0, 17.0, 333.0, 8192.0])
    work = GemmWork(1.0, sizes, 4096.0, sizes[::-1].copy(), 2, 2, 2, 0, 0, 1.0, 6.0, 3e14)
    constants = bundled_constants().of("gemm", {})
    together = times(screened_gemm(work, machine), constants).latency_s
    for row in range(len(sizes)):
        columns = {f.name: getattr(work, f.name) for f in fields(work)}
        own = {name: value[row : row + 1] for name, value in columns.items() if isinstance(value, np.ndarray)}
        assert times(screened_gemm(replace(work, **own), machine), constants).latency_s[0] == together[row]


@pytest.mark.parametrize("name", ["batch", "m", "n", "k", "rhs_sets"])
def test_one_size_may_be_that_of_all_rows(name: str) -> None:
    machine, constants = machine_of(load_target("h100")), bundled_constants().of("gemm", {})
    one = GemmWork(4.0, 300.0, 4096.0, 512.0, 2, 2, 2, 0, 0, 1.0, 6.0, 1e15)
    own = replace(one, **{name: np.array([1.0, 8.0, 1024.0])})
    every = replace(own, **{size: np.broadcast_to(getattr(own, size), 3) for size in ("batch", "m", "n", "k")})
    assert_same(times(screened_gemm(own, machine), constants), times(gemm_demand(every, machine), constants))


def test_products_without_elements_take_the_first_candidate() -> None:
    machine, constants = machine_of(load_target("h100")), bundled_constants().of("gemm", {})
    work = GemmWork(1.0, np.array([0.0, 128.0]), 4096.0, 512.0, 2, 2, 2, 0, 0, 1.0, 6.0, 1e15, extra_flops=1.0)
    with np.errstate(all="ignore"):
        assert_same(times(screened_gemm(work, machine), constants), times(gemm_demand(work, machine), constants))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), machines(), st.booleans(), st.sampled_from([0.0, 0.5, 1.0]))
def test_convolutions_take_the_shortcut_where_all_candidates_say_so(
    seed: int, machine: GpuMachine, is_waited_for: bool, open_share: float
) -> None:
    rng = np.random.default_rng(seed)
    batch, channels, size, filters = (2.0 ** rng.integers(0, most, ROWS) for most in (7, 11, 9, 11))
    kernel, stride = rng.choice([3.0, 5.0], ROWS), rng.choice([1.0, 2.0], ROWS)
    is_open = (rng.random(ROWS) < open_share) & (stride == 1)
    made = np.ceil(size / stride)
    work = ConvolutionWork(
        *(batch, np.ones(ROWS), channels, size, size, filters, made, made, kernel, kernel),
        *(rng.integers(0, 3, ROWS).astype(float), is_open.astype(float)),
        *(2.0, 1e14, rng.choice([1.0, 6.0, np.inf], ROWS)),
        most_split=np.inf,
    )
    constants = bundled_constants().of("conv", {})
    full = times(convolution_demand(work, machine).issued(is_waited_for), constants)
    asked = times(asked_convolution(work, machine).issued(is_waited_for), constants)
    kept = np.array(full.choices)[full.choice]
    assert (np.array(asked.choices)[asked.choice] == kept).all()
    assert_same(asked, full)
