"""What a predictor says of a claim's configuration, and what it leant on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ircost.backends import Target
from ircost.cost_models.gpu.constants import Share

Point = tuple[str, str]  # a figure's name, and one of its points


def yes_or_no(is_true: bool) -> str:
    """A claim's words for what is so or not."""
    return "yes" if is_true else "no"


@dataclass(frozen=True, slots=True)
class UsedConstant:
    """A fitted constant that a prediction depends on.

    Args:
        name, meaning: the model's.
        kind: ``share``, ``time`` (in seconds) or ``factor``.
        value: as used.
        shares: how it comes about, the family's own value first.
        influence: by how much, in percent, the kernel's time moves at most where the constant moves by one percent.
    """

    name: str
    meaning: str
    kind: str
    value: float
    shares: tuple[Share, ...]
    influence: float


@dataclass(frozen=True, slots=True)
class UsedFit:
    """The constants of one kernel.

    Args:
        kernel: that they are for.
        family: of kernels that was fitted. rows, devices: of that fit, and of what was fitted onto it. median_error: of
            the first alone.
        labels: the kernel's, those of a level only.
        unseen: those of ``labels`` that no measurement has: there, what all have in common stands in.
        format_seen_with: with what the number format was measured: levels by effect, such as runtime -> trtllm.
        constants: the most influential first; those without influence are left out.
    """

    kernel: str
    family: str
    rows: int
    devices: tuple[str, ...]
    median_error: float
    labels: Mapping[str, str]
    unseen: tuple[str, ...]
    format_seen_with: Mapping[str, tuple[str, ...]]
    constants: tuple[UsedConstant, ...]


@dataclass(frozen=True, slots=True)
class Prediction:
    """Args:
    values: predicted numbers and words, by figure and point.
    reasons: how a value comes about, for where it is off.
    target: the machine; None where none plays a part. figures: paths in ``target.sources()`` that decide.
    model: the cost model, in a few words.
    fits: what was fitted; none for a closed form.
    """

    values: Mapping[Point, float | str]
    reasons: Mapping[Point, str]
    target: Target | None
    figures: tuple[str, ...]
    model: str
    fits: tuple[UsedFit, ...] = ()
