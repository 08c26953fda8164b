"""Predicts how the least traffic of attention falls with the size of the fast memory."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from pydantic import Field

from ircost.backends import load_target
from ircost.cost_models.traffic_bounds import Tiling, best_attention_tiling
from ircost.datasets.claim_yaml import Section
from ircost.datasets.claims import Written
from ircost.predictors.prediction import Point, Prediction, yes_or_no
from ircost.quantity_text import three_digits

SIZES = 17  # of the fast memory in each sweep, evenly apart by their logarithms


class TrafficConfiguration(Written):
    """Args:
    target: the machine whose processors hold a tile.
    rows: of queries, and of keys.
    widths: of a head.
    smallest: elements of the smallest fast memory.
    once: share of the law's traffic above d^2 that reading q and writing the output once may make up at most: there the
        sweep ends, since beyond it the law no longer is what decides.
    """

    target: str
    rows: int = Field(ge=1)
    widths: list[int] = Field(min_length=1)
    smallest: int = Field(ge=4)
    once: float = Field(gt=0, lt=1)

    def sweeps(self, width: int) -> dict[str, tuple[float, float]]:
        """Sizes of the fast memory from and to. Above d^2 rows of q and of the output stay while all keys and values
        stream by: 2 N d + 4 N^2 d^2 / M elements, of which the first term is ``once`` of the second at the end."""
        border = float(width**2)
        return {"below d^2": (self.smallest, border), "above d^2": (border, 2.0 * self.once * self.rows * width)}


def predict_attention_traffic(section: Section) -> Prediction:
    """The best tiling of each size of memory; the slope is that of a straight line through the logarithms.

    Raises:
        ClaimError: the configuration is wrong, or the target unknown.
    """
    wanted = section.read(TrafficConfiguration)
    with section.blaming("target"):
        target = load_target(wanted.target)
    values: dict[Point, float | str] = {}
    reasons: dict[Point, str] = {}
    beyond = []
    for width in wanted.widths:
        tilings: list[Tiling] = []
        every = slope(sweep(wanted.rows, width, width**2, 2.0 * wanted.rows * width))
        beyond.append(f"{three_digits(every)} at d {width}")
        for name, sizes in wanted.sweeps(width).items():
            found = sweep(wanted.rows, width, *sizes)
            values[f"slope {name}", f"d {width}"] = slope(found)
            reasons[f"slope {name}", f"d {width}"] = _reason(list(found.values()))
            tilings += found.values()
        values["ratio under 4", f"d {width}"] = yes_or_no(max(tiling.ratio for tiling in tilings) < 4.0)
        values["under the bound", f"d {width}"] = yes_or_no(any(tiling.ratio < 1.0 for tiling in tilings))
        for name in ("ratio under 4", "under the bound"):
            ratios = [tiling.ratio for tiling in tilings]
            reasons[name, f"d {width}"] = f"{three_digits(min(ratios))} to {three_digits(max(ratios))} times the bound"
    return Prediction(
        values=values,
        reasons=reasons,
        target=target,
        figures=("memory.shared.capacity_bytes",),
        model="search over tiles and schedules, no constants. From d^2 up to a memory that holds all keys and values, "
        f"where everything crosses once and the law has ended, the slope is {', '.join(beyond)}",
    )


def sweep(rows: int, width: int, smallest: float, largest: float) -> dict[float, Tiling]:
    """The best tiling for each size of the fast memory, evenly apart by their logarithms."""
    memories = np.unique(np.round(np.geomspace(smallest, largest, SIZES)))
    return {float(memory): best_attention_tiling(rows, width, float(memory)) for memory in memories}


def slope(tilings: dict[float, Tiling]) -> float:
    """Of a straight line through the logarithms of traffic over those of memory."""
    traffic = [tiling.traffic for tiling in tilings.values()]
    return float(np.polyfit(np.log(list(tilings)), np.log(traffic), 1)[0])


def _reason(tilings: list[Tiling]) -> str:
    """The schedules in the order in which a growing memory makes them best."""
    names = [tiling.schedule for tiling in tilings]
    kept = names[:1] + [after for before, after in pairwise(names) if before != after]
    first, last = tilings[0], tilings[-1]
    return (
        f"{three_digits(first.traffic)} elements by tiles of {first.rows} x {first.columns} to "
        f"{three_digits(last.traffic)} by {last.rows} x {last.columns}; schedules: {', '.join(kept)}"
    )
