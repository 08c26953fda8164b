"""Predicts how the least traffic of attention falls with the size of the fast memory."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from pydantic import Field

from ircost.backends import TargetError, load_target
from ircost.cost_models.traffic_bounds import Tiling, best_attention_tiling
from ircost.datasets.claim_yaml import ClaimError, Section
from ircost.datasets.claims import Written
from ircost.prediction import Point, Prediction
from ircost.quantity_text import three_digits

SIZES = 17  # of the fast memory in each sweep, evenly apart by their logarithms


class TrafficConfiguration(Written):
    """Args:
    target: the machine whose processors hold a tile.
    rows: of queries, and of keys.
    widths: of a head.
    below, above: sizes of the fast memory, from and to, as multiples of the square of the width.
    """

    target: str
    rows: int = Field(ge=1)
    widths: list[int] = Field(min_length=1)
    below: tuple[float, float]
    above: tuple[float, float]


def predict_attention_traffic(section: Section) -> Prediction:
    """The best tiling of each size of memory; the slope is that of a straight line through the logarithms.

    Raises:
        ClaimError: the configuration is wrong, or the target unknown.
    """
    wanted = section.read(TrafficConfiguration)
    try:
        target = load_target(wanted.target)
    except TargetError as error:
        raise ClaimError(error.message, at=section.place("target"), help=error.help) from error
    values: dict[Point, float | str] = {}
    reasons: dict[Point, str] = {}
    for width in wanted.widths:
        tilings: list[Tiling] = []
        for name, sizes in {"below d^2": wanted.below, "above d^2": wanted.above}.items():
            memories = np.unique(np.round(np.geomspace(*sizes, SIZES) * width**2))
            found = [best_attention_tiling(wanted.rows, width, float(memory)) for memory in memories]
            slope = np.polyfit(np.log(memories), np.log([tiling.traffic for tiling in found]), 1)[0]
            values[f"slope {name}", f"d {width}"] = float(slope)
            reasons[f"slope {name}", f"d {width}"] = _reason(found)
            tilings += found
        values["ratio under 4", f"d {width}"] = _yes(max(tiling.ratio for tiling in tilings) < 4.0)
        values["under the bound", f"d {width}"] = _yes(any(tiling.ratio < 1.0 for tiling in tilings))
        for name in ("ratio under 4", "under the bound"):
            ratios = [tiling.ratio for tiling in tilings]
            reasons[name, f"d {width}"] = f"{three_digits(min(ratios))} to {three_digits(max(ratios))} times the bound"
    return Prediction(
        values=values,
        reasons=reasons,
        target=target,
        figures=("memory.shared.capacity_bytes",),
        model="search over tiles and schedules, no constants; the law holds for a fast memory of any size",
    )


def _yes(is_true: bool) -> str:
    return "yes" if is_true else "no"


def _reason(tilings: list[Tiling]) -> str:
    """The schedules in the order in which a growing memory makes them best."""
    names = [tiling.schedule for tiling in tilings]
    kept = names[:1] + [after for before, after in pairwise(names) if before != after]
    first, last = tilings[0], tilings[-1]
    return (
        f"{three_digits(first.traffic)} elements by tiles of {first.rows} x {first.columns} to "
        f"{three_digits(last.traffic)} by {last.rows} x {last.columns}; schedules: {', '.join(kept)}"
    )
