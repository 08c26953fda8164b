"""Holds every pass against every real model, and writes what came out into docs/models.md.

    python -m benchmarks.corpus_table ROWS DIR... [--write]

DIR are folders of models with their indexes, as for `pytest --zoo`. ROWS is a file with a line of JSON for each model;
models that stand in it are not run again, so that an interrupted run goes on. The checks are those of
`tests/passes/test_corpus.py`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from corpus import Setting, check, checks_of, settings_of_levels, settings_of_passes, subjects_of
from zoo import ZooModel, zoo_models

from ircost.frontends import load
from ircost.passes import parse_pipeline

PAGE = Path(__file__).resolve().parents[1] / "docs/models.md"
BEGIN, END = "<!-- table: benchmarks/corpus_table.py -->", "<!-- end of table -->"
HEAD = """\
| pipeline | target | models changed | largest difference | claims | failures |
|---|---|--:|--:|---|--:|"""

Row = dict[str, Any]


def main(rows_file: Path, folders: list[str], write: bool) -> None:
    done = {row["model"] for row in read(rows_file)}
    for folder in folders:
        for model in zoo_models(folder):
            if model.name not in done:
                with rows_file.open("a") as file:
                    print(json.dumps(row_of(model)), file=file)
    rows = read(rows_file)
    lines = [*summary(rows), HEAD, *(line_of(s, rows) for s in [*settings_of_levels(), *settings_of_passes()])]
    print("\n".join(lines))
    if write:
        head, tail = PAGE.read_text().split(BEGIN)[0], PAGE.read_text().split(END)[1]
        PAGE.write_text("\n".join([head + BEGIN, *lines, END]) + tail)


def read(rows_file: Path) -> list[Row]:
    return [json.loads(line) for line in rows_file.read_text().splitlines()] if rows_file.exists() else []


def row_of(model: ZooModel) -> Row:
    """What each pipeline did to a model: [whether it changed it, largest difference or None], or what failed."""
    start = time.perf_counter()
    subjects = subjects_of(model.name, load(str(model.path), model.options).module, model.feeds(), model.is_quantised)
    outcomes: dict[str, list[Any]] = {}
    for subject, setting in checks_of(subjects):
        try:
            outcome = check(subject, setting)
            found: Any = [outcome.is_changed, outcome.difference]
        except Exception as error:  # a row says what failed; the others go on
            found = f"{type(error).__name__}: {error}"
            print(f"{subject.name}: {setting}: {found}", file=sys.stderr, flush=True)
        outcomes.setdefault(str(setting), []).append(found)
    seconds = time.perf_counter() - start
    print(f"{model.name}: {seconds:.0f} s", file=sys.stderr, flush=True)
    return {"model": model.name, "seconds": seconds, "outcomes": outcomes}


def summary(rows: list[Row]) -> Iterator[str]:
    outcomes = [found for row in rows for each in row["outcomes"].values() for found in each]
    failures = sum(isinstance(found, str) for found in outcomes)
    changed = sum(not isinstance(found, str) and found[0] for found in outcomes)
    yield f"{len(rows)} models, {len(outcomes):,} runs of which {changed:,} changed the module, {failures} failures."
    yield ""


def line_of(setting: Setting, rows: list[Row]) -> str:
    by_model = [row["outcomes"].get(str(setting), []) for row in rows]
    fine = [found for each in by_model for found in each if not isinstance(found, str)]
    failures = sum(isinstance(found, str) for each in by_model for found in each)
    changed = sum(any(not isinstance(found, str) and found[0] for found in each) for each in by_model)
    differences = [found[1] for found in fine if found[0] and found[1] is not None]
    largest = "-" if not differences else "0" if not max(differences) else f"{max(differences):.0e}"
    passes = parse_pipeline(setting.pipeline)
    claims = ["exact"] if all(p.is_exact for p in passes) else []
    claims += ["idempotent"] if len(passes) == 1 and passes[0].is_idempotent else []
    cells = [f"`{setting.pipeline}`", setting.target or "none", changed, largest, ", ".join(claims) or "-", failures]
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    names = [argument for argument in sys.argv[1:] if argument != "--write"]
    main(Path(names[0]), names[1:], "--write" in sys.argv)
