"""Cards that run above the clock of their data sheet: bounds and rates are of the highest that the driver allows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ircost.backends import TargetError, load_target
from ircost.cost_models.gpu.machine import machine_of
from ircost.cost_models.gpu.power_limit import product_flops_per_s
from ircost.cost_models.row_estimates import estimate_rows


def test_rates_are_of_the_top_clock() -> None:
    target = load_target("rtx_4090")
    boost = 3.105 / 2.52
    assert target.processors.boost == pytest.approx(boost)
    assert target.peak_flops_per_s("bf16") == 165.2e12, "the data sheet's"
    assert product_flops_per_s(target, "bf16") == pytest.approx(165.2e12 * boost)
    machine = machine_of(target)
    assert machine.clock_hz == pytest.approx(3.105e9)
    assert machine.vector_flops_per_s == pytest.approx(82.6e12 * boost, rel=1e-3)


def test_no_measured_product_beats_the_bound() -> None:
    """torch.mm on an RTX 5080 and 5070 Ti, bf16, 4,096 and 8,192: datasets/published, source torch_mm."""
    columns = {
        "device": np.array(["rtx_5070_ti"] * 2, dtype=object),
        **{name: np.array([4096.0, 8192.0]) for name in ("m", "n", "k")},
    }
    found = estimate_rows(columns, "products", load_target, "analytical")
    rated_s = 2 * columns["m"] ** 3 / float(load_target("rtx_5070_ti").peak_flops_per_s("bf16"))
    assert (found.at_best_s < rated_s).all() and (found.latency_s >= found.at_best_s).all()


def test_data_centre_cards_have_none() -> None:
    assert {load_target(name).processors.boost for name in ("h100", "a100", "a10", "a10g", "a40", "l40s", "t4")} == {
        1.0
    }


def test_a_top_below_the_clock_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine\nextends: h100\nprocessors: {top_clock: 1 GHz, source: nobody}\n")
    with pytest.raises(TargetError, match=r"top_clock is below clock"):
        load_target("mine", [tmp_path])


def test_machines_of_no_measured_kind_have_the_roofline() -> None:
    """Gaudi 2 was measured at 99 % of its peak; the model of GPUs said a thirtieth."""
    columns = {
        "device": np.array(["gaudi2", "h100"], dtype=object),
        **{name: np.full(2, 8192.0) for name in ("m", "n", "k")},
    }
    for model in ("hybrid", "analytical"):
        found = estimate_rows(columns, "products", load_target, model)
        assert found.latency_s[0] == pytest.approx(2 * 8192**3 / 432e12, rel=0.01)
        assert found.latency_s[1] > found.at_best_s[1]
