"""Writes the results of the text model into docs/text-model.md, between its marks.

    python -m benchmarks.text_model_table RESULTS.json --measured DIR --models DIR...

What is not yet in RESULTS.json is measured and added there, an hour in all on one processor: the folder of measured
tables for kernels, folders of real models (`tests/zoo.py`) for networks. Without them only the page is written.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import text_model_networks, text_model_rows
from benchmarks.network_figures import FIGURES, Sample, generated, sample_of
from ircost.backends import load_target
from ircost.frontends import load
from tests.zoo import zoo_models

PAGE = Path(__file__).resolve().parents[1] / "docs/text-model.md"
TARGET = "h100_sxm"
NETWORKS = 420
ROW_MODELS = {
    **{"roofline": "roofline", "analytical": "analytical", "features": "features", "hybrid": "hybrid"},
    **{
        "features, same trees": "features, text's trees",
        "text": "text",
        "text over analytical": "text over analytical",
    },
}
DEVICE_MODELS = ("analytical", "features", "hybrid", "features, same trees", "text")


def main() -> None:
    options = parser().parse_args()
    path = Path(options.results)
    results = json.loads(path.read_text()) if path.exists() else {}
    for family in text_model_rows.FAMILIES if options.measured else ():
        if family not in results.setdefault("rows", {}):
            results["rows"][family] = text_model_rows.results_of(Path(options.measured), family)
            path.write_text(json.dumps(results))
    if options.models and "networks" not in results:
        results["networks"] = text_model_networks.results_of(*samples(options.models))
        path.write_text(json.dumps(results))
    sections = {"rows": row_lines(results["rows"]), "networks": network_lines(results["networks"])}
    PAGE.write_text(with_sections(PAGE.read_text(), sections))


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("results")
    found.add_argument("--measured", metavar="DIR")
    found.add_argument("--models", metavar="DIR", nargs="*", default=())
    return found


def samples(folders: list[str]) -> tuple[list[Sample], list[Sample]]:
    """Generated networks, and real ones."""
    target = load_target(TARGET)
    made = [sample_of(kind, module, target) for kind, module in generated(NETWORKS)]
    models = [model for folder in folders for model in zoo_models(folder)]
    return made, [sample_of(model.name, load(model.path, model.options).module, target) for model in models]


def with_sections(page: str, sections: dict[str, Iterator[str]]) -> str:
    for name, lines in sections.items():
        first, last = f"<!-- {name}: written by benchmarks/text_model_table.py -->", f"<!-- end of {name} -->"
        before, _, rest = page.partition(first)
        _, _, after = rest.partition(last)
        page = "\n".join([before + first, "", *lines, "", last + after])
    return page


# ---- measured rows


def row_lines(results: dict[str, Any]) -> Iterator[str]:
    yield "Shapes held out, MAPE / median in percent, and Kendall's tau:"
    yield ""
    yield f"| family | rows | {' | '.join(ROW_MODELS.values())} |"
    yield f"|---|--:|{'--:|' * len(ROW_MODELS)}"
    for family, own in sorted(results.items()):
        cells = (cell(own["shapes"][model]) for model in ROW_MODELS)
        yield f"| {family} | {own['shapes']['rows']:,} | {' | '.join(cells)} |"
    yield ""
    for family, own in sorted(results.items()):
        if "words alone" in own["shapes"]:
            words = cell(own["shapes"]["words alone"])
            yield f"Numbers as words, as they are and by their octave (800 columns, 200 trees), for {family}: {words}."
            yield ""
    yield "Devices held out, one in turn; means over devices of MAPE / median, and on how many devices text has the"
    yield "lower median than the analytical model, and than `features`:"
    yield ""
    names = " | ".join(ROW_MODELS[model] for model in DEVICE_MODELS)
    yield f"| family | devices | {names} | below analytical | below features |"
    yield f"|---|--:|{'--:|' * (len(DEVICE_MODELS) + 2)}"
    for family, own in sorted(results.items()):
        yield device_line(family, list(own["devices"].values()))
    yield ""
    yield "Each of them, MAPE / median, those first that text is worst on:"
    yield ""
    yield f"| family | device | rows | {names} |"
    yield f"|---|---|--:|{'--:|' * len(DEVICE_MODELS)}"
    lines = [(family, device, line) for family, own in results.items() for device, line in own["devices"].items()]
    for family, device, line in sorted(lines, key=lambda own: (-own[2]["text"][1], own[:2])):
        cells = (f"{line[model][0]:.1f} / {line[model][1]:.1f}" for model in DEVICE_MODELS)
        yield f"| {family} | {device} | {line['rows']:,} | {' | '.join(cells)} |"


def device_line(family: str, lines: list[dict[str, Any]]) -> str:
    cells = []
    for model in DEVICE_MODELS:
        mape, median, _ = np.mean([line[model] for line in lines], axis=0)
        cells.append(f"{mape:.1f} / {median:.1f}")
    wins = [sum(line["text"][1] < line[model][1] for line in lines) for model in ("analytical", "features")]
    return f"| {family} | {len(lines)} | {' | '.join(cells)} | {wins[0]} | {wins[1]} |"


def cell(figures: list[float]) -> str:
    return f"{figures[0]:.1f} / {figures[1]:.1f}, {figures[2]:.2f}"


# ---- networks


def network_lines(results: dict[str, Any]) -> Iterator[str]:
    counts = f"{results['generated']} generated networks and {results['real']} real ones"
    yield f"{counts}; MAPE / median in percent, and Kendall's tau:"
    yield ""
    yield "| judged | figure | counts | text |"
    yield "|---|---|--:|--:|"
    for way, own in results["ways"].items():
        for figure, meaning in FIGURES.items():
            yield f"| {way} | {meaning} | {cell(own[figure]['counts'])} | {cell(own[figure]['text'])} |"
    yield ""
    text, counted, compiled, tiled = (
        1e3 * results["seconds"][name] for name in ("text", "features", "compile", "tile")
    )
    yield (
        f"Processor time of one real model, median: {text:.0f} ms to print, read and foretell one figure, "
        f"{counted:.0f} ms to count, {compiled:.0f} ms to compile for time, kernels and memory, "
        f"{tiled:.0f} ms more for tiles."
    )


if __name__ == "__main__":
    main()
