"""The analytical model on CPUs: tiles cut to size, no host, an effect of their own; and what was measured on some."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ircost.backends import load_target
from ircost.commands.measured_tables import given_constants, read_tables, target_finder
from ircost.cost_models.evaluation import ROW_MODELS, predict_table, scores_of
from ircost.cost_models.gpu.constants import bundled_constants
from ircost.cost_models.gpu.demand import SHARPNESS, Parameter
from ircost.cost_models.gpu.families import FAMILIES, kind_on
from ircost.cost_models.gpu.fit import value_of
from ircost.cost_models.gpu.gemm import GemmWork, gemm_demand
from ircost.cost_models.gpu.labels import labels_of
from ircost.cost_models.gpu.machine import GpuMachine, machine_of

OWN = Path(__file__).resolve().parents[2] / "datasets/measured"
TABLES = [OWN / f"cpu_{family}.csv" for family in ("gemm", "conv", "attention")]
PEAK = 1e11


def machine(name: str) -> GpuMachine:
    return machine_of(load_target(name))


def product(m: float, n: float, k: float) -> GemmWork:
    one = np.ones(1)
    return GemmWork(one, one * m, one * n, one * k, 4.0, 4.0, 4.0, 0.0, 0.0, 1.0, 1.0, PEAK, least_tile=32.0)


@pytest.mark.parametrize(("m", "n", "k"), [(1, 1000, 100), (3, 77, 5), (130, 300, 1000), (17, 1, 9)])
def test_no_tile_computes_what_nobody_asked_for(m: float, n: float, k: float) -> None:
    demand = gemm_demand(product(m, n, k), machine("epyc_7003_core"))
    assert demand.busy["matrix"] == pytest.approx(2 * m * n * k / PEAK)
    on_gpu = gemm_demand(product(m, n, k), machine("t4"))
    assert on_gpu.busy["matrix"].min() > 2 * m * n * k / PEAK


def test_cores_share_a_product_evenly() -> None:
    demand = gemm_demand(product(96, 512, 256), machine("epyc_7003_2cores"))
    assert demand.busy["matrix"].min() == pytest.approx(2 * 96 * 512 * 256 / PEAK)


def test_no_host_works_beside_a_cpu() -> None:
    assert not gemm_demand(product(8, 8, 8), machine("xeon_8480")).issues.any()
    assert gemm_demand(product(8, 8, 8), machine("h100")).issues.all()


def test_what_cpus_have_in_common_holds_for_one_that_nobody_measured() -> None:
    def labels(kind: str) -> dict[str, str]:
        return labels_of(architecture="unheard_of", device="", runtime="", dtype="float32", machine=kind)

    constants = bundled_constants()
    assert labels("gpu")["machine"] == "" and labels("cpu")["machine"] == "cpu"
    assert constants.of("gemm", labels("cpu"))["launch"] < constants.of("gemm", labels("gpu"))["launch"]
    assert "machine" in constants.unseen("gemm", labels("tpu"))
    assert "machine" not in constants.unseen("gemm", labels("cpu"))


def test_powers_are_kernels_of_their_own_on_cpus() -> None:
    assert [kind_on("elements", op, "cpu") for op in ("pow", "pow_scalar", "add")] == ["pow", "pow", "elements"]
    assert kind_on("elements", "pow", "gpu") == "elements"


def test_resources_side_by_side_take_no_longer_than_one_after_the_other() -> None:
    found = value_of(Parameter("exponent", 3.0, ""), np.array([-50.0, 0.0, 1.0]))
    assert found == pytest.approx([1.0, 3.0, 3.0 * float(np.exp(1.0))])
    assert {family.parameters[SHARPNESS].kind for family in FAMILIES.values()} == {"exponent"}


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_measured_kernels_are_nearer_than_a_roofline_and_none_beats_the_limit(path: Path) -> None:
    (table,) = read_tables([str(path)])
    found = {
        name: scores_of(predict_table(table.columns, path.name, target_finder(()), model, given_constants(None)))[0]
        for name, model in ROW_MODELS.items()
    }
    assert found["analytical"].failed == 0 and found["analytical"].rows > 200
    errors = {name: score.median_ape or np.inf for name, score in found.items()}
    assert errors["analytical"] < 0.5 * errors["roofline"]
    assert found["roofline"].below_bound == 0
