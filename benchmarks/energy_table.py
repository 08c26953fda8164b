"""Writes the results of docs/energy.md, between its marks: factors, kernels, servers, image generation.

    python -m benchmarks.energy_table DIR

DIR holds the measured tables as Parquet, among them energy_llm and energy_diffusion; they are not part of the package.
Takes some minutes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.energy_diffusion import diffusion_lines
from benchmarks.energy_kernels import POWERED, kernel_lines
from benchmarks.energy_servers import is_fitted, sampling_s_per_logit, server_lines, server_rows
from ircost.backends import Target, load_target
from ircost.cost_models.gpu.power_constants import FACTORS, bundled_power_constants
from ircost.cost_models.gpu.power_draw import board_budget_w, operation_j, port_bytes_per_s
from ircost.datasets.tables import read_table

PAGE = Path(__file__).resolve().parents[1] / "docs/energy.md"
SHOWN = ("h200_sxm", "a100_sxm_80gb", "l40s", "t4", "mi300x")


def main() -> None:
    folder = Path(sys.argv[1])
    page = PAGE.read_text()
    sections = {
        **{"factors": factor_lines(), "kernels": all_kernel_lines(folder)},
        **{"servers": all_server_lines(folder), "images": diffusion_lines(str(folder / "energy_diffusion.parquet"))},
    }
    for name, lines in sections.items():
        first, last = f"<!-- {name}: written by benchmarks/energy_table.py -->", f"<!-- end of {name} -->"
        before, _, rest = page.partition(first)
        _, _, after = rest.partition(last)
        page = "\n".join([before + first, "", *lines, "", last + after])
    PAGE.write_text(page)


def factor_lines() -> Iterator[str]:
    constants = bundled_power_constants()
    yield "| factor | value | standard error |"
    yield "|---|--:|--:|"
    for name in FACTORS:
        value, spread = (getattr(own, name) for own in (constants.factors, constants.spread))
        yield f"| `{name}` | {value:.3f} | {'read' if name == 'static' else f'{spread:.3f}'} |"
    yield ""
    yield "| machine | static | active | from L2 | 16-bit products | main memory |"
    yield "|---|--:|--:|--:|--:|--:|"
    for name in SHOWN:
        yield f"| `{name}` | {' | '.join(_figures(load_target(name)))} |"


def _figures(target: Target) -> Iterator[str]:
    """What the factors come to on a machine."""
    factors, budget_w = bundled_power_constants().factors, board_budget_w(target)
    yield f"{factors.static * target.power.idle_w:.0f} W"
    yield f"{factors.active * budget_w:.0f} W"
    yield f"{1e12 * factors.ports * budget_w / port_bytes_per_s(target):.0f} pJ/B"
    yield f"{1e12 * factors.operations * operation_j(target, 'f16', 'matrix'):.2f} pJ"
    yield f"{1e12 * (target.main_memory.energy_j_per_byte or 0.0):.0f} pJ/B"


def all_kernel_lines(folder: Path) -> Iterator[str]:
    yield "| family | readings | rows | analytical: error | bias | learned: error | bias | aim |"
    yield "|---|---|--:|--:|--:|--:|--:|--:|"
    for name in POWERED:
        yield from kernel_lines(name, read_table(folder / f"{name}.parquet").columns)


def all_server_lines(folder: Path) -> Iterator[str]:
    rows = server_rows(str(folder / "energy_llm.parquet"))
    s_per_logit = sampling_s_per_logit([row for row in rows if is_fitted(row.model, rows)])
    yield from server_lines(rows, s_per_logit)
    yield ""
    yield f"Sampling: {1e9 * s_per_logit:.2f} ns for each sequence and word of the vocabulary."


if __name__ == "__main__":
    main()
