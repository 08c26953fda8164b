"""How `irc measure` times a runtime's kernels is what the models take its rows for."""

from __future__ import annotations

import numpy as np
import pytest

from ircost.backends import RUNTIMES, load_target
from ircost.cost_models.gpu.calibrate import calibrate, measured
from ircost.cost_models.gpu.demand import ISSUE
from ircost.cost_models.gpu.families import FAMILIES
from ircost.cost_models.gpu.rows import setting_of
from ircost.cost_models.gpu.table_schema import completed
from ircost.cost_models.gpu.table_work import COLD_SETS, Setting
from ircost.datasets.measuring.library import EAGER, GRAPHS, SESSIONS

ROWS = 32


def columns(device: str, runtime: str) -> dict[str, np.ndarray]:
    """Products of four layers that take what their operations take at a tenth of the data sheet, and 5 us."""
    m, n = np.repeat(2.0 ** np.arange(5, 13), 4), np.tile(2.0 ** np.arange(9, 13), 8)
    peak = float(load_target(device).peak_flops_per_s("f32"))
    words = {"device": device, "framework": runtime, "dtype": "float32"}
    return {
        **{name: np.full(ROWS, word, object) for name, word in words.items()},
        **{"m": m, "n": n, "k": np.full(ROWS, 1024.0)},
        "latency_us": 5 + 1e6 * 2 * m * n * 1024 / (0.1 * peak),
    }


def setting(device: str, runtime: str) -> Setting:
    found, failure = setting_of(device, runtime, "float32", load_target)
    assert found is not None, failure
    return found


@pytest.mark.parametrize("runtime", [EAGER, GRAPHS, SESSIONS])
def test_targets_may_name_them(runtime: str) -> None:
    assert load_target(f"h100+{RUNTIMES[runtime].key}").runtime == runtime


@pytest.mark.parametrize(
    ("device", "runtime", "waits"),
    [("t4", EAGER, 1.0), ("t4", GRAPHS, 0.0), ("cpu", EAGER, 0.0), ("cpu", SESSIONS, 0.0)],
)
def test_only_a_gpu_waits_for_a_host(device: str, runtime: str, waits: float) -> None:
    family = FAMILIES["gemm"]
    rows = completed(family, columns(device, runtime))
    assert np.all(family.demand(rows, setting(device, runtime)).fixed[ISSUE] == waits)


@pytest.mark.parametrize(("runtime", "sets"), [(GRAPHS, COLD_SETS), (EAGER, 1.0), (SESSIONS, 1.0)])
def test_weights_of_graphs_come_from_main_memory(runtime: str, sets: float) -> None:
    family = FAMILIES["gemm"]
    work = family.work(completed(family, columns("t4", runtime)), setting("t4", runtime))
    assert np.all(work.rhs_sets == sets) and np.all(work.lhs_sets == 1.0)


@pytest.mark.parametrize(("device", "runtime"), [("t4", GRAPHS), ("cpu", EAGER), ("cpu", SESSIONS)])
def test_networks_of_no_runtime_get_what_was_fitted_to_the_one_that_was_measured(device: str, runtime: str) -> None:
    fitted = calibrate([measured(columns(device, runtime), "table", load_target)])
    effects = fitted.fits["gemm"].effects
    assert effects[("runtime", "graph replay")] == effects[("runtime", runtime)]
