"""Constants fitted onto others: what was known stays, what was never met is fitted, and how far it is known."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from ircost.backends import load_target
from ircost.cost_models.gpu.calibrate import FEWEST_ONTO, Measured, calibrate, measured
from ircost.cost_models.gpu.constants import ConstantsFile, bundled_constants, differences, read_constants
from ircost.cost_models.gpu.labels import GRAPH_REPLAY
from ircost.cost_models.gpu.table_work import Columns
from ircost.cost_models.learned.fitted_onto import half_widths, with_half_widths
from ircost.cost_models.learned.hybrid import Hybrid
from ircost.cost_models.learned.trained import digest_of
from ircost.cost_models.row_estimates import estimate_rows
from ircost.datasets.tables import read_table

target_of = lru_cache(maxsize=None)(load_target)
BASE = bundled_constants().base
PUBLISHED = Path(__file__).resolve().parents[2] / "datasets/published"


def products(device: str, times: float = 1.0, runtime: str = GRAPH_REPLAY) -> Columns:
    """What the base says of products on a machine, so many times longer."""
    m = np.array([1.0, 64.0, 512.0, 2048.0, 4096.0, 8192.0])
    columns = {
        **{name: np.full(len(m), word, dtype=object) for name, word in (("device", device), ("dtype", "bfloat16"))},
        **{"m": m, "n": np.full(len(m), 4096.0), "k": np.full(len(m), 8192.0)},
        "framework": np.full(len(m), runtime, dtype=object),
    }
    found = estimate_rows(columns, "products", target_of, "analytical", fitted=BASE)
    return {**columns, "latency_us": found.latency_s * 1e6 * times}


def sampled(*tables: Columns) -> list[Measured]:
    return [measured(table, "products", target_of, fewest_rows=FEWEST_ONTO) for table in tables]


def errors(columns: Columns, constants: ConstantsFile) -> np.ndarray:
    found = estimate_rows(columns, "products", target_of, "analytical", fitted=constants)
    size: np.ndarray = np.abs(np.log(found.latency_s * 1e6 / columns["latency_us"]))
    return size


def test_what_is_known_stays_and_a_new_machine_is_fitted() -> None:
    own = products("b200", times=1.6)
    found = calibrate(sampled(own), {"mine.csv": "1"}, onto=BASE)
    assert found.base == BASE and not differences(found.base, BASE)
    assert found.fits["attention"] == BASE.fits["attention"]
    gemm = found.fits["gemm"]
    assert set(gemm.added) == {
        ("architecture", "blackwell"),
        ("architecture, dtype", "blackwell 16 bit"),
        ("device", "b200_sxm"),
    }
    assert (gemm.added_rows, gemm.added_devices, found.added_tables) == (6, ("b200_sxm",), {"mine.csv": "1"})
    assert np.median(errors(own, found)) < 0.25 * np.median(errors(own, BASE))


def test_rows_of_what_was_met_move_nothing() -> None:
    found = calibrate(sampled(products("h100_sxm", times=3.0)), onto=BASE)
    assert not found.fits["gemm"].added
    assert found.of("gemm", {"architecture": "hopper", "device": "h100_sxm"}) == BASE.of(
        "gemm", {"architecture": "hopper", "device": "h100_sxm"}
    )


def test_a_pair_of_what_was_met_moves_no_other_machine() -> None:
    """The base has products in f32, and runtimes that replay graphs, but not both together."""
    own = {**products("b200", times=1.6), "dtype": np.full(6, "float32", dtype=object)}
    pair = ("runtime, dtype", f"{GRAPH_REPLAY} float32")
    assert pair not in BASE.fits["gemm"].effects
    added = calibrate(sampled(own), onto=BASE).fits["gemm"].added
    assert pair not in added and ("architecture, dtype", "blackwell float32") in added


def test_a_machine_of_the_architecture_profits() -> None:
    found = calibrate(sampled(products("b200", times=1.6)), onto=BASE)
    other = products("gb200", times=1.6)
    assert np.median(errors(other, found)) < 0.8 * np.median(errors(other, BASE))


def test_what_rows_do_not_tell_of_stays() -> None:
    """Large squares that others published, which scatter, say nothing of main memory, of launches or of overlap."""
    columns = read_table(PUBLISHED / "gemm.csv").columns
    is_own = columns["device"] == "jetson_orin_nano_super"
    assert columns["m"][is_own].min() >= 2048
    found = calibrate(sampled({name: column[is_own] for name, column in columns.items()}), onto=BASE)
    moved = found.fits["gemm"].added["device", "jetson_orin_nx"]
    assert moved["matrix"] > 0.5
    assert max(abs(amount) for name, amount in moved.items() if name != "matrix") < 0.02


def test_a_file_holds_both(tmp_path: Path) -> None:
    found = calibrate(sampled(products("b200", times=1.6)), {"mine.csv": "1"}, onto=BASE)
    fits = {**found.fits, "gemm": replace(found.fits["gemm"], added_half_width=0.5, half_width_of={"blackwell": 0.25})}
    (tmp_path / "constants.json").write_text(replace(found, fits=fits).to_json())
    there = read_constants(tmp_path / "constants.json")
    assert there.to_json() == replace(found, fits=fits).to_json()
    assert not differences(there, replace(found, fits=fits)) and differences(there, BASE)
    assert there.half_width_of_added("gemm", {"architecture": "blackwell", "device": "gb200"}) == 0.25
    assert there.half_width_of_added("gemm", {"architecture": "", "device": "b200_sxm"}) == 0.5
    assert there.half_width_of_added("gemm", {"architecture": "hopper", "device": "h100_sxm"}) is None


def test_corrections_belong_to_the_base() -> None:
    found = calibrate(sampled(products("b200", times=1.6)), onto=BASE)
    assert digest_of(found, "gemm") == digest_of(BASE, "gemm") == digest_of(bundled_constants(), "gemm")
    assert digest_of(BASE, "gemm") != digest_of(BASE, "vector")


def test_how_far_a_new_machine_is_known_comes_of_those_left_out() -> None:
    alike = sampled(*(products(name, times=1.5) for name in ("b200", "gb200", "b300", "gb300")))
    apart = sampled(*(products(name, times) for name, times in zip(("b200", "gb200", "b300"), (1, 2, 4), strict=True)))
    joined = [replace(alike[0], samples=sum((x.samples for x in own), ()), devices=sum((x.devices for x in own), ()))
              for own in (alike, apart)]  # fmt: skip
    near, far = (half_widths(own, BASE) for own in joined)
    assert near[""] < 0.5 < far[""]
    assert not near.keys() - {""}, "four machines of an architecture are not many"
    assert half_widths(alike[0], BASE) == {}, "of one machine nothing follows for the next"
    found = with_half_widths(calibrate(joined[:1], onto=BASE), joined[:1], BASE)
    assert found.fits["gemm"].added_half_width == near[""]


def test_one_machine_more_leaves_what_was_known_of_others() -> None:
    """Whoever fits a card onto the bundled constants keeps the intervals of those that were fitted onto before."""
    own, bundled = sampled(products("arc_pro_b60", times=1.6)), bundled_constants()
    found = with_half_widths(calibrate(own, onto=bundled), own, bundled)
    assert ("device", "arc_pro_b60") in found.fits["gemm"].added
    assert found.fits["gemm"].added_half_width == bundled.fits["gemm"].added_half_width is not None


@pytest.mark.parametrize(("device", "is_fitted"), [("b200", True), ("gb300", True), ("h100_sxm", False)])
def test_published_rows_narrow_intervals(device: str, is_fitted: bool) -> None:
    """Of machines that the bundled constants were fitted onto; no correction of strangers is added to them."""
    constants = bundled_constants()
    labels = {"architecture": target_of(device).architecture, "device": target_of(device).name}
    width = constants.half_width_of_added("gemm", labels)
    assert (width is not None) == is_fitted
    own = {name: column for name, column in products(device, runtime="").items() if name != "latency_us"}
    hybrid = estimate_rows(own, "products", target_of, "hybrid", Hybrid().models)
    if width is not None:
        assert (np.log(hybrid.high_s / hybrid.latency_s) <= width + 1e-9).all()
        plain = estimate_rows(own, "products", target_of, "analytical")
        assert hybrid.latency_s == pytest.approx(plain.latency_s)
        assert set(hybrid.grade) == {"C"}
