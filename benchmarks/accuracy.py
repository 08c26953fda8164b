"""Writes the standing accuracy table into docs/cost-models.md, between its two marks.

    python -m benchmarks.accuracy DIR

DIR holds the measured tables, one for each family, as Parquet or CSV; ours of CPUs, `datasets/measured`, come beside
them. Takes some minutes: constants are fitted anew without each device. `irc evaluate DIR/gemm.parquet
--leave-out-device --by device` prints the same of one family.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ircost.commands.measured_tables import constants_without_each, given_constants, read_tables, target_finder
from ircost.commands.score_text import percent_text
from ircost.cost_models.evaluation import ROW_MODELS, Prediction, Score, predict_table, scores_of

TABLES = (
    *("gemm", "attention", "mla", "moe", "recurrent", "conv", "vector", "quantize", "collective"),
    "model_ops",
)
ROOT = Path(__file__).resolve().parents[1]
PAGE, OWN = ROOT / "docs/cost-models.md", ROOT / "datasets/measured"
FIRST, LAST = "<!-- accuracy: written by benchmarks/accuracy.py -->", "<!-- end of accuracy -->"
HEAD = "rows | failed | MAPE | median | p90 | bias | tau | below bound |"


def main() -> None:
    page = PAGE.read_text()
    before, _, rest = page.partition(FIRST)
    _, _, after = rest.partition(LAST)
    section = "\n".join(accuracy(Path(sys.argv[1])))
    PAGE.write_text(f"{before}{FIRST}\n\n{section}\n\n{LAST}{after}")
    print(section)


def accuracy(folder: Path) -> Iterator[str]:
    """The section, line by line."""
    files = [path for name in TABLES if (path := table_file(folder, name)) is not None]
    files += [path for name in TABLES if (path := table_file(OWN, f"cpu_{name}")) is not None]
    tables = read_tables(map(str, files))
    target_of = target_finder(())
    seen, unseen = given_constants(None), constants_without_each(tables, target_of)
    runs = [("roofline", "roofline", seen), ("analytical", "analytical", seen)]
    runs.append(("analytical, device left out", "analytical", unseen))
    found: list[list[Prediction]] = []
    for _, model, constants_of in runs:
        found.append([predict_table(t.columns, t.path, target_of, ROW_MODELS[model], constants_of) for t in tables])
    yield f"| family | model | {HEAD}"
    yield "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    for file, *predictions in zip(files, *found, strict=True):
        whose = ", CPUs" if file.parent == OWN else ""
        for (name, _, _), prediction in zip(runs, predictions, strict=True):
            yield from (f"| {score.family}{whose} | {name} | {cells(score)} |" for score in scores_of(prediction))
    yield ""
    yield "Each device predicted by constants fitted to the others only, worst first:"
    yield ""
    yield f"| family | device | {HEAD}"
    yield "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    yield from (f"| {s.family} | {s.labels['device']} | {cells(s)} |" for s in worst_first(found[-1]))


def table_file(folder: Path, name: str) -> Path | None:
    return next((path for ending in ("parquet", "csv") if (path := folder / f"{name}.{ending}").exists()), None)


def worst_first(predictions: Iterable[Prediction]) -> Sequence[Score]:
    scores = [score for prediction in predictions for score in scores_of(prediction, ("device",))]
    return sorted(scores, key=lambda score: -(score.median_ape or 0.0))


def cells(score: Score) -> str:
    numbers = (percent_text(value) for value in (score.mape, score.median_ape, score.p90_ape))
    tau = "-" if score.kendall_tau is None else f"{score.kendall_tau:.3f}"
    last = (percent_text(score.bias, "+"), tau, percent_text(score.below_bound))
    return " | ".join((f"{score.rows:,}", f"{score.failed:,}", *numbers, *last))


if __name__ == "__main__":
    main()
