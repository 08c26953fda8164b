"""Writes docs/estimators.md's results: every estimator on every family, shapes and devices held out, and intervals.

    python -m benchmarks.estimators_table DIR [FAMILY...]

DIR holds the measured tables as Parquet or CSV. Of large tables ROWS rows are drawn, small groups whole. Takes half an
hour or more; families that are named are computed anew, the lines of all others stay.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ircost.backends import load_target
from ircost.cost_models.evaluation import Prediction, scores_of
from ircost.cost_models.gpu.constants import bundled_constants
from ircost.cost_models.gpu.table_work import Columns
from ircost.cost_models.learned.calibration import Held
from ircost.cost_models.learned.conformal import FLOOR, conformal_quantile, spread_of
from ircost.cost_models.learned.estimators.boosted import BoostedResidual
from ircost.cost_models.learned.estimators.registry import estimator_names
from ircost.cost_models.learned.held_out import held_out_folds
from ircost.cost_models.learned.recipes import RECIPES
from ircost.cost_models.learned.rows import always, readable, rows_of, thinned
from ircost.cost_models.learned.stored_estimator import TREES
from ircost.cost_models.split_evaluation import predictions_of_split
from ircost.datasets.tables import read_table

PAGE = Path(__file__).resolve().parents[1] / "docs/estimators.md"
ROWS = 60_000  # of a table
SECTIONS = ("shapes", "devices", "intervals")


def main() -> None:
    folder, *families = sys.argv[1:]
    page = PAGE.read_text()
    for family in families or RECIPES:
        columns, at = sample(Path(folder), family)
        for section, line in zip(SECTIONS, lines(columns, at), strict=True):
            page = with_line(page, section, line)
        PAGE.write_text(page)
        print(f"{family} done", flush=True)


def sample(folder: Path, family: str) -> tuple[Columns, str]:
    """Some rows of a family's table."""
    path = str(next(path for ending in ("parquet", "csv") if (path := folder / f"{family}.{ending}").exists()))
    columns = read_table(path).columns
    table = thinned(readable(columns, path, load_target), ROWS)
    known = [group.rows for group in table.groups if group.setting is not None]
    place = table.place[np.sort(np.concatenate(known))]
    return {name: column[place] for name, column in columns.items()}, path


def lines(columns: Columns, at: str) -> Iterator[str]:
    """One of each section."""
    names = estimator_names()
    by_shape = predictions_of_split(columns, at, "shape", load_target, estimators=names)
    yield line_of(by_shape, names, error_of_rows)
    by_device = predictions_of_split(columns, at, "device", load_target, estimators=names)
    yield line_of(by_device, names, error_of_devices)
    yield intervals_line(columns, at)


def line_of(found: Mapping[str, Prediction], names: Sequence[str], error: Callable[[Prediction], str]) -> str:
    own = [found["analytical"], *(found[f"learned ({name})"] for name in names)]
    return f"| {own[0].family} | {len(own[0].measured_s):,} | {' | '.join(map(error, own))} |"


def error_of_rows(found: Prediction) -> str:
    score = scores_of(found, [])[0]
    return f"{score.mape:.1f} / {score.median_ape:.1f}"


def error_of_devices(found: Prediction) -> str:
    """Each device counts alike."""
    return f"{np.mean([score.median_ape for score in scores_of(found, ['device'])]):.1f}"


def intervals_line(columns: Columns, at: str) -> str:
    """Shares inside and mean widths, both judged on errors of the trees on shapes that these did not see."""
    table = readable(columns, at, load_target)
    rows = rows_of(table, always(bundled_constants()), table.vocabulary())
    held = held_out_folds(rows, replace(RECIPES[rows.family], estimator=TREES), "shape").held
    error = held.residual - held.correction
    cells = []
    for low, high in (ends_by_size(held, error), ends_by_quantiles(held, error)):
        inside, width = (low <= error) & (error <= high), np.exp(high) - np.exp(low)
        cells.append(f"{100 * inside.mean():.0f} % | {100 * width.mean():.0f} %")
    return f"| {rows.family} | {' | '.join(cells)} |"


def folds(held: Held) -> Iterator[np.ndarray]:
    """[rows] whether a row is in the fold, for each."""
    for name in np.unique(held.group):
        yield held.group == name


def ends_by_size(held: Held, error: np.ndarray) -> np.ndarray:
    """[2, rows] as in use: trees tell the size of errors, and one factor makes nine in ten fit."""
    size, told = np.maximum(np.abs(error), FLOOR), np.empty(len(error))
    for out in folds(held):
        told[out] = np.exp(spread_of(held.features[~out], size[~out]).predict(held.features[out]))
    half = told.copy()
    for out in folds(held):
        half[out] *= conformal_quantile(size[~out] / told[~out])
    return np.array([-half, half])


def ends_by_quantiles(held: Held, error: np.ndarray) -> np.ndarray:
    """[2, rows] two quantiles of errors, moved apart until nine in ten fit.

    Source: Romano, Patterson, Candes, "Conformalized quantile regression", NeurIPS 2019.
    """
    low, high = np.empty(len(error)), np.empty(len(error))
    for out in folds(held):
        for end, quantile in ((low, 0.05), (high, 0.95)):
            trees = BoostedResidual(100, 31, least_rows=50, refinements=0, quantile=quantile)
            end[out] = trees.fit(held.features[~out], error[~out]).predict(held.features[out])
    beyond, more = np.maximum(low - error, error - high), np.empty(len(error))
    for out in folds(held):
        more[out] = conformal_quantile(beyond[~out])
    return np.array([low - more, high + more])


def with_line(page: str, section: str, line: str) -> str:
    """The page with a line of a section in its place, by the name it begins with."""
    first, last = f"<!-- {section}: written by benchmarks/estimators_table.py -->", f"<!-- end of {section} -->"
    before, _, rest = page.partition(first)
    inside, _, after = rest.partition(last)
    head, rule, *others = [text for text in inside.split("\n") if text]
    kept = {text.split("|")[1].strip(): text for text in others} | {line.split("|")[1].strip(): line}
    return "\n".join(
        [before + first, "", head, rule, *(kept[name] for name in RECIPES if name in kept), "", last + after]
    )


if __name__ == "__main__":
    main()
