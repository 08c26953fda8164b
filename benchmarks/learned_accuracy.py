"""Writes the results of the learned models into docs/learned-models.md, between its marks.

    python -m benchmarks.learned_accuracy DIR

DIR holds the measured tables as Parquet or CSV. Held-out errors are those on the cards of the bundled models; results
on little data and on larger sizes are computed here, in a few minutes. The speed is printed, not written. `irc evaluate
TABLE --split shape` computes the errors of one family again.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ircost.backends import load_target
from ircost.cost_models.evaluation import ROW_MODELS
from ircost.cost_models.gpu.calibrate import calibrate, measured
from ircost.cost_models.gpu.constants import bundled_constants
from ircost.cost_models.learned.calibration import calibrated
from ircost.cost_models.learned.columns import DEVICE, SIZES, WORDS, columns_of
from ircost.cost_models.learned.held_out import corrections_of, held_out_folds
from ircost.cost_models.learned.made import SAMPLE_ROWS, UNNAMED
from ircost.cost_models.learned.novelty import Novelty
from ircost.cost_models.learned.recipes import RECIPES
from ircost.cost_models.learned.rows import Readable, Rows, always, readable, rows_of, thinned
from ircost.cost_models.learned.storage import bundled_models
from ircost.datasets.tables import read_table

PAGE = Path(__file__).resolve().parents[1] / "docs/learned-models.md"
AIMS = {
    **{"gemm": (5, 3.5, 12), "attention": (8, 6, 15), "mla": (7, 5, None), "moe": (14, 10, 20)},
    **{"vector": (3, 2, 12), "conv": (12, 8, 14), "collective": (25, 12, 20)},
}
MODELS = ("roofline", "analytical", "learned", "hybrid")
AIM_PER_S = 300_000  # kernels, on two processors
FEW = 1000  # rows of a machine
FEW_DEVICES = ("a100_sxm_80gb", "h100_sxm", "l40s")
LARGEST_M = 1024
RECIPE = RECIPES["gemm"]


def main() -> None:
    folder = Path(sys.argv[1])
    page = PAGE.read_text()
    path = table_of_products(folder)
    products = readable(read_table(path).columns, str(path), load_target)
    sections = {"columns": column_lines(), "results": card_lines(), "other": other_lines(products, path)}
    for name, lines in sections.items():
        first, last = f"<!-- {name}: written by benchmarks/learned_accuracy.py -->", f"<!-- end of {name} -->"
        before, _, rest = page.partition(first)
        _, _, after = rest.partition(last)
        page = "\n".join([before + first, "", *lines, "", last + after])
    PAGE.write_text(page)
    print(speed_line(products))


def column_lines() -> Iterator[str]:
    """The columns of all families, read off their declaration."""
    found: dict[str, tuple[str, list[str]]] = {}
    for family in SIZES:
        for column in columns_of(family):
            found.setdefault(column.name, (column.meaning, []))[1].append(family)
    yield "| column | meaning | families |"
    yield "|---|---|---|"
    for name, (meaning, families) in found.items():
        yield f"| `{name}` | {meaning} | {'all' if len(families) == len(SIZES) else ', '.join(families)} |"
    for name, meaning in {**WORDS, DEVICE: "the target's name"}.items():
        yield f"| `{name}` | category: {meaning} | all |"


def card_lines() -> Iterator[str]:
    """Held-out errors of the bundled models, worst first."""
    errors = {family: model.about["errors"] for family, model in bundled_models().items()}
    lines: list[tuple[str, dict[str, Any]]] = [
        (family, line)
        for family, own in errors.items()
        for line in own  # type: ignore[attr-defined]
    ]
    for held_out, title in (
        ("shapes", "Shapes held out, MAPE / median:"),
        (UNNAMED, "The same with no runtime named, so that differences between runtimes count as error:"),
    ):
        yield title
        yield ""
        yield f"| family | rows | {' | '.join(MODELS)} | aim | tau | inside | width |"
        yield f"|---|--:|{'--:|' * (len(MODELS) + 4)}"
        yield from _card_table(((f, line) for f, line in lines if line["held_out"] == held_out), 0)
        yield ""
    yield "Devices held out, one in turn:"
    yield ""
    yield f"| family | device | rows | {' | '.join(MODELS)} | aim (median) | tau | inside | width |"
    yield f"|---|---|--:|{'--:|' * (len(MODELS) + 4)}"
    yield from _card_table(((f, line) for f, line in lines if line["held_out"] not in ("shapes", UNNAMED)), 1)


def _card_table(lines: Iterable[tuple[str, dict[str, Any]]], kind: int) -> Iterator[str]:
    for family, line in sorted(lines, key=lambda pair: -pair[1]["hybrid_median"]):
        mape, median, unseen = AIMS.get(family, (None, None, None))
        is_aimed_at = mape and line["held_out"] != UNNAMED
        aim = (f"{mape} / {median}" if is_aimed_at else "") if kind == 0 else (f"{unseen}" if unseen else "")
        pairs = " | ".join(f"{line[f'{name}_mape']:.1f} / {line[f'{name}_median']:.1f}" for name in MODELS)
        where = f"{line['held_out']} | " if kind else ""
        tau = "-" if line["tau"] is None else f"{line['tau']:.3f}"
        rest = f"{tau} | {line['coverage']:.0f} % | {line['width']:.0f} %"
        yield f"| {family} | {where}{line['rows']:,} | {pairs} | {aim} | {rest} |"


def other_lines(table: Readable, path: Path) -> Iterator[str]:
    yield "| test | rows | analytical | learned | aim (MAPE) |"
    yield "|---|--:|--:|--:|--:|"
    for device in FEW_DEVICES:
        yield _line(f"{FEW:,} products of {device}, its other shapes", *few_rows(table, str(path), device), 6)
    yield _line(f"products with m up to {LARGEST_M:,}, those above", *larger_products(table), 8)


def table_of_products(folder: Path) -> Path:
    return next(path for ending in ("parquet", "csv") if (path := folder / f"gemm.{ending}").exists())


def _line(name: str, rows: Rows, correction: np.ndarray, aim: int) -> str:
    sizes = [100 * np.abs(np.exp(own - rows.residual) - 1) for own in (np.zeros(len(rows)), correction)]
    pairs = " | ".join(f"{size.mean():.1f} / {np.median(size):.1f}" for size in sizes)
    return f"| {name} | {len(rows):,} | {pairs} | {aim} |"


def few_rows(table: Readable, at: str, device: str) -> tuple[Rows, np.ndarray]:
    """A machine of which a thousand rows of some shapes are known, judged on its other shapes.

    As whoever has measured them would go about it: the analytical model's constants are fitted to these and to all
    other machines' rows (`irc calibrate`), and corrections are learned of both (`irc train`).
    """
    table, vocabulary = thinned(table, RECIPE.most_rows), table.vocabulary()
    own = np.concatenate([g.rows for g in table.groups if g.setting is not None and g.labels["device"] == device])
    draw = np.random.default_rng(0)
    shape = table.shapes()
    shapes = draw.permutation(np.unique(shape[own]))
    others = shapes[len(shapes) // 2 :]
    few = draw.permutation(np.sort(own[~np.isin(shape[own], others)]))[:FEW]
    met = np.concatenate([np.setdiff1d(np.arange(len(shape)), own), few])
    known = {name: column[met] for name, column in table.columns.items()}
    constants = calibrate([measured(known, at, load_target, SAMPLE_ROWS)])
    rows = rows_of(table, always(constants), vocabulary)
    of_device = rows.device == device
    chosen = np.flatnonzero(np.isin(rows.place, table.place[few]))
    model = corrections_of(rows.at(np.concatenate([np.flatnonzero(~of_device), chosen])), RECIPE)
    test = rows.at(of_device & np.isin(rows.shape, others))
    return test, model.predict(test.features)


def larger_products(table: Readable) -> tuple[Rows, np.ndarray]:
    """Trust is what folds of the small products say; sizes above are novel."""
    constants = bundled_constants()
    rows = rows_of(thinned(table, RECIPE.most_rows), always(constants), table.vocabulary())
    is_small = rows.octaves[:, SIZES["gemm"].index("m")] <= np.log2(LARGEST_M) + 1e-6
    small, large = rows.at(is_small), rows.at(~is_small)
    calibration = calibrated(held_out_folds(small, RECIPE, "shape").held, by_group=False)
    model = corrections_of(small, RECIPE)
    return large, calibration.believed(model.predict(large.features), Novelty.of(small.octaves).level(large.octaves))


def speed_line(table: Readable) -> str:
    """All products of the table: by the time of processors, whoever else uses them, and by the clock."""
    groups = [group for group in table.groups if group.setting is not None]
    per_s, by_clock, got = {}, {}, {}
    for name in ("analytical", "hybrid"):
        ROW_MODELS[name](table.family, table.columns, groups[:1], bundled_constants())  # reads its files
        processor_s, clock_s = _processor_s(), time.perf_counter()
        found = ROW_MODELS[name](table.family, table.columns, groups, bundled_constants())
        processor_s, clock_s = _processor_s() - processor_s, time.perf_counter() - clock_s
        count = int(np.isfinite(found).sum())
        per_s[name], by_clock[name], got[name] = count / processor_s, count / clock_s, processor_s / clock_s
    reached = "is" if by_clock["hybrid"] >= AIM_PER_S and os.cpu_count() == 2 else "is not"
    return (
        f"Speed, features included, on all {count:,} products: {per_s['hybrid']:,.0f} a second of a processor's time, "
        f"the analytical model alone {per_s['analytical']:,.0f}. By the clock {by_clock['hybrid']:,.0f}, where others "
        f"left it {got['hybrid']:.1f} of {os.cpu_count()} processors. The aim, {AIM_PER_S:,} on two, is "
        f"{AIM_PER_S // 2:,} of each; by the clock it {reached} reached."
    )


def _processor_s() -> float:
    """What this process has had of processors, and the copies of it that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


if __name__ == "__main__":
    main()
