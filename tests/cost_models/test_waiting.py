"""Kernels timed one call at a time: the host issues, then device and host work side by side until both are done."""

from __future__ import annotations

import numpy as np
import pytest
from fit_slopes import checked_slopes

from ircost.backends import load_target
from ircost.cost_models.gpu.constants import bundled_constants
from ircost.cost_models.gpu.demand import HOST, ISSUE, RECORD, Demand, times
from ircost.cost_models.gpu.families import FAMILIES
from ircost.cost_models.gpu.fit import Sample, _Design, _Errors, _Loss, start_of, value_of
from ircost.cost_models.gpu.rows import groups_of
from ircost.cost_models.gpu.table_schema import completed

FAMILY = FAMILIES["vector"]
ROWS = np.array([1.0, 512.0, 2048.0, 65536.0])  # of 4,096 numbers: from nothing to far beyond the host's time
CONSTANTS = {**bundled_constants().of("vector", {}), HOST: 1e-6, ISSUE: 15e-6, RECORD: 10e-6}


def demand(framework: str) -> Demand:
    words = {"device": "v100_pcie", "dtype": "float32", "framework": framework, "op": "add"}
    columns = {name: np.full(len(ROWS), word, dtype=object) for name, word in words.items()}
    sizes = {"rows": ROWS, "cols": np.full(len(ROWS), 4096.0), "latency_us": np.ones(len(ROWS))}
    whole = completed(FAMILY, {**columns, **sizes})
    (group,) = groups_of(FAMILY, whole, load_target)
    assert group.setting is not None
    return FAMILY.demand(whole, group.setting)


def test_short_kernels_take_what_the_host_does_and_long_ones_follow_its_launch() -> None:
    """Measured, NeuSight: adds on a V100 take 32 us up to 8 MB; beyond, 17 us and the bytes over the bandwidth."""
    waited, ahead = times(demand("pytorch"), CONSTANTS), times(demand("vendor library"), CONSTANTS)
    floor = CONSTANTS[ISSUE] + CONSTANTS[RECORD] + CONSTANTS[HOST]
    assert waited.latency_s[0] == pytest.approx(floor, rel=0.01)
    assert waited.latency_s[-1] == pytest.approx(ahead.device_s[-1] + CONSTANTS[ISSUE], rel=0.01)
    assert (np.diff(waited.latency_s) >= 0).all()
    assert (waited.latency_s > ahead.latency_s).all()


def test_a_host_that_runs_ahead_records_nothing() -> None:
    ahead = demand("vendor library")
    slower = {**CONSTANTS, ISSUE: 1.0, RECORD: 1.0}
    assert times(ahead, slower).latency_s == pytest.approx(times(ahead, CONSTANTS).latency_s)


def test_slopes_are_those_of_the_errors_on_both_sides_of_the_host() -> None:
    parameters = FAMILY.parameters
    chosen = demand("pytorch").chosen(np.zeros(len(ROWS), dtype=int))
    errors = _Errors(parameters, [chosen], [np.full(len(ROWS), 3e-5)])
    assert checked_slopes(errors, parameters)[RECORD][0] > 0.1


def test_errors_are_those_of_the_estimates() -> None:
    parameters, own = FAMILY.parameters, demand("pytorch")
    errors = _Errors(parameters, [own.chosen(np.zeros(len(ROWS), dtype=int))], [np.full(len(ROWS), 1e-6)])
    point = np.array([[start_of(parameter) for parameter in parameters.values()]])
    constants = {name: float(value_of(p, point[0, i])) for i, (name, p) in enumerate(parameters.items())}
    assert errors.of(point)[0] == pytest.approx(np.log(times(own, constants).latency_s / 1e-6))


def test_a_step_beyond_all_numbers_is_one_that_leads_nowhere() -> None:
    parameters, own = FAMILY.parameters, demand("pytorch")
    samples = [Sample({}, own, np.full(len(ROWS), 3e-5))]
    design = _Design.of(parameters, samples, {}, {})
    errors = _Errors(parameters, [own.chosen(np.zeros(len(ROWS), dtype=int))], [samples[0].measured_s])
    loss = _Loss(design, errors, 60.0)
    near, _ = loss(design.origin.ravel())
    step = np.zeros_like(design.origin)
    step[0, list(parameters).index("launch")] = 800.0
    far, slope = loss((design.origin + step).ravel())
    assert near < far < np.inf
    assert not slope.any()
