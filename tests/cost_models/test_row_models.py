"""The hybrid on rows of tables: the same figures however many processors take part, and as networks get them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from ircost.backends import load_target
from ircost.cost_models.evaluation import ROW_MODELS
from ircost.cost_models.gpu import rows
from ircost.cost_models.gpu.constants import bundled_constants
from ircost.cost_models.gpu.machine import machine_of
from ircost.cost_models.gpu.rows import physical_limit_s
from ircost.cost_models.learned import row_models
from ircost.cost_models.learned.features import octaves
from ircost.cost_models.learned.grades import UNCORRECTED, UNKNOWN_HALF_WIDTH
from ircost.cost_models.learned.row_models import batches
from ircost.cost_models.learned.rows import Readable, expressed, readable, rows_of
from ircost.cost_models.learned.storage import bundled_models

ROWS = 3000


@pytest.fixture(scope="module")
def table() -> Readable:
    """Measured machines and others, in no order."""
    rng = np.random.default_rng(0)
    words = {"device": ["h100_sxm", "l40s", "rtx_4090"], "dtype": ["bfloat16", "fp8"], "framework": ["vllm", "trtllm"]}
    columns = {
        **{name: rng.choice(np.array(choices, dtype=object), ROWS) for name, choices in words.items()},
        **{name: np.round(2 ** rng.uniform(0, 14, ROWS)) for name in "mnk"},
        **{"batch": np.ones(ROWS), "latency_us": np.ones(ROWS)},
    }
    return readable(columns, "rows", lru_cache(maxsize=None)(load_target))


@pytest.mark.parametrize("model", ["roofline", "analytical", "hybrid"])
def test_figures_depend_on_no_number_of_processors(
    table: Readable, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "FEWEST_ROWS", ROWS // 3)
    found = []
    for processors in (1, 3):
        monkeypatch.setattr(rows, "processors", lambda processors=processors: processors)
        found.append(ROW_MODELS[model](table.family, table.columns, table.groups, bundled_constants()))
    np.testing.assert_array_equal(found[0], found[1])
    assert np.isfinite(found[0]).all()


def test_rows_get_what_networks_get(table: Readable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_models, "AT_ONCE", 100)  # too few to be asked about together
    rows_s = row_models.hybrid_rows(table.family, table.columns, table.groups, bundled_constants())
    model = bundled_models()["gemm"]
    for group in table.groups:
        setting = group.setting
        assert setting is not None
        own = {name: column[group.rows] for name, column in table.columns.items()}
        x = expressed(table.family, own, setting, group.labels, bundled_constants().of("gemm", group.labels))
        asked = model.asked(setting.machine, group.labels, bundled_constants())
        corrected = model.correct(model.features(x, asked), octaves(x), asked)
        latency_s = x.terms.latency_s * np.exp(corrected.believed)
        at_least = np.maximum(latency_s, physical_limit_s(table.family, own, setting))
        np.testing.assert_allclose(rows_s[group.rows], at_least, rtol=1e-12)


@pytest.mark.parametrize("most", [7, 64, 10_000])
def test_one_batch_is_of_machines_that_one_head_is_asked_about(most: int) -> None:
    model = bundled_models()["gemm"]
    count = 300
    columns = {
        **{name: np.full(count, 512.0) for name in ("m", "n", "k", "batch", "latency_us")},
        "device": np.array(["h100_sxm", "b200", "cpu", "l40s", "nobody's"] * (count // 5), dtype=object),
    }
    table = readable(columns, "rows", load_target)
    known = [group for group in table.groups if group.setting is not None]
    found = list(batches(table.groups, most, model, bundled_constants()))
    taken = np.concatenate([rows for batch in found for _, rows in batch])
    assert np.array_equal(np.sort(taken), np.sort(np.concatenate([group.rows for group in known])))
    for batch in found:
        targets = [group.setting.target for group, _ in batch if group.setting is not None]
        assert len({(target.kind == "gpu", model.knows(target.name)) for target in targets}) == 1
        assert sum(len(rows) for _, rows in batch) <= most
    if most > count:
        assert len(found) == 3


def test_rows_are_known_as_well_as_corrections_are(table: Readable) -> None:
    """What is said of rows and how well it is known come of one pass over them."""
    models = bundled_models()
    known = row_models.known_rows(models, table.family, table.columns, table.groups, bundled_constants())
    rows_s = row_models.hybrid_rows(table.family, table.columns, table.groups, bundled_constants())
    np.testing.assert_array_equal(known[:, 0], rows_s)
    for group in table.groups:
        assert group.setting is not None
        own = {name: column[group.rows] for name, column in table.columns.items()}
        x = expressed(table.family, own, group.setting, group.labels, bundled_constants().of("gemm", group.labels))
        asked = models["gemm"].asked(group.setting.machine, group.labels, bundled_constants())
        corrected = models["gemm"].correct(models["gemm"].features(x, asked), octaves(x), asked)
        np.testing.assert_allclose(known[group.rows, 1], corrected.half_width, rtol=1e-12)
        np.testing.assert_array_equal(known[group.rows, 2], corrected.grade)
    without = row_models.known_rows({}, table.family, table.columns, table.groups, bundled_constants())
    assert (without[:, 1] == UNKNOWN_HALF_WIDTH).all() and (without[:, 2] == UNCORRECTED).all()


def test_certainty_is_that_of_corrections(table: Readable) -> None:
    model = bundled_models()["gemm"]
    rows = rows_of(table, lambda target: bundled_constants(), model.vocabulary)
    for device in ("h100_sxm", "b200"):
        machine = machine_of(load_target(device))
        labels = {"device": machine.name, "architecture": machine.architecture, "runtime": "vllm"}
        asked = model.asked(machine, labels, bundled_constants())
        assert asked is not None
        corrected = model.correct(rows.features, rows.octaves, asked)
        half_width, grade = model.certainty(rows.features, rows.octaves, asked)
        np.testing.assert_array_equal(corrected.half_width, half_width)
        np.testing.assert_array_equal(corrected.grade, grade)
