"""What a learned model is, what it was made of, and how far it is off: for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ircost.cost_models.learned.calibration import Calibration
from ircost.cost_models.learned.family_model import FamilyModel
from ircost.cost_models.learned.grades import GRADE_MEANINGS
from ircost.cost_models.learned.stored_estimator import TREES

LEVEL_NAMES = ("beside training rows", "in their neighbourhood", "beyond")


def card_text(model: FamilyModel) -> str:
    """Markdown."""
    return "\n".join(_lines(model)) + "\n"


def _lines(model: FamilyModel) -> Iterator[str]:
    about: Mapping[str, Any] = model.about
    what = f"the power of {model.family} kernels" if model.extra else f"{model.family} kernels"
    yield f"# Learned corrections of {what}"
    yield ""
    yield from _what_predicts(model.seen.estimator)
    yield ""
    yield f"- rows: {about.get('rows', 0):,}"
    yield f"- devices: {', '.join(model.machines)}"
    for name, digest in about.get("tables", {}).items():
        yield f"- table: {name}, SHA-256 {digest}"
    yield ""
    yield "| machine | lies | share of a correction that is believed | interval, times the spread |"
    yield "|---|---|--:|--:|"
    heads = (("measured", model.seen), ("measured, no runtime named", model.unnamed), ("a stranger", model.unseen))
    for name, head in heads:
        if head is not None:
            yield from _trust_lines(name, head.calibration)
    if model.kin is not None:
        yield from _trust_lines("kin of one that was measured", model.kin)
    yield ""
    yield "Errors on rows that were held out, analytical and hybrid, MAPE / median in percent; share of rows inside of"
    yield "their 90 % interval, and its mean width as a share of the latency:"
    yield ""
    yield "| held out | rows | analytical | hybrid | inside | width |"
    yield "|---|--:|--:|--:|--:|--:|"
    for line in about.get("errors", ()):
        pairs = (f"{line[f'{which}_mape']:.1f} / {line[f'{which}_median']:.1f}" for which in ("analytical", "hybrid"))
        figures = f"{line['coverage']:.0f} % | {line['width']:.0f} %"
        yield f"| {line['held_out']} | {line['rows']:,} | {' | '.join(pairs)} | {figures} |"
    yield ""
    yield "Grades: " + "; ".join(f"{grade}: {meaning}" for grade, meaning in GRADE_MEANINGS.items()) + "."


def _what_predicts(estimator: str) -> Iterator[str]:
    if estimator == TREES:
        yield "Boosted trees (LightGBM's, packed by xz) predict ln(measured / analytical); `model.json` says how far"
        yield "to believe them."
    else:
        yield f"The estimator `{estimator}` (JSON, packed by xz) predicts ln(measured / analytical); `model.json` says"
        yield "how far to believe it, and boosted trees (LightGBM's) how large its errors are."


def _trust_lines(name: str, calibration: Calibration) -> Iterator[str]:
    for where, trust, quantile in zip(LEVEL_NAMES, calibration.trust, calibration.quantile, strict=True):
        yield f"| {name} | {where} | {trust:.2f} | {quantile:.2f} |"
