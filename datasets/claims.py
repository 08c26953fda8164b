"""Claims of papers as data: what was claimed, of which configuration, and how near a prediction has to come.

A claim is never a place to tune: nothing that predicts may be fitted to it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from ircost.datasets.claim_yaml import ClaimError, Section, read_file
from ircost.ir.errors import did_you_mean

BUNDLED = Path(__file__).parent / "papers"
TOLERANCE = re.compile(r"(?P<sign>\+-)? ?(?P<amount>\d+(\.\d+)?) ?(?P<percent>%)?")

# Claims that wait for what predicts them: what is claimed, and what has to be there first.
WAITING = {
    "C01": ("vocabulary methods: throughput and memory", "split of the vocabulary, pipeline schedules, stage memory"),
    "C02": ("microbatches in flight", "a verifier of pipeline schedules"),
    "C04": ("weak scaling to a trillion parameters", "parallel training, recomputation, collectives by tier"),
    "C05": ("gain of interleaved schedules", "pipeline schedules"),
    "C06": ("overlap by a split of tokens", "shares of processors, overlap, fused collectives"),
    "C07": ("time of a collective by thread blocks", "shares of processors for collectives"),
    "C09": ("residual that comes a block late", "rewrite of residuals, overlap"),
    "C11": ("overlap in mixture-of-experts layers", "overlap by tiles, all-to-all"),
    "C12": ("optimum of serving, and how near engines come", "overlap of nano-batches, interference"),
    "C13": ("training that attention bounds", "attention's gradient, eager baseline"),
    "C14": ("traffic law of attention", "optimiser of tiles, lower bounds by cache size"),
    "C15": ("attention on an array", "cascades, mapping to arrays, energy table"),
    "C19": ("formats of the KV cache", "a type for the KV cache, quantising passes"),
    "C27": ("disaggregation and placement", "simulation of serving"),
    "C28": ("activations explain time", "time of whole networks on a V100"),
    "C29": ("KV cache over PCIe", "memory tiers, copies, speculation"),
}


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How near a prediction has to come.

    Args:
        kind: ``relative`` to what was claimed, ``absolute`` in its unit, or ``exact``.
        amount: a fraction, or in the unit; 0 for exact.
    """

    kind: Literal["relative", "absolute", "exact"]
    amount: float = 0.0

    def holds(self, claimed: float | str, predicted: float | str) -> bool:
        """Whether a prediction is near enough; the edge counts as inside.

        >>> Tolerance("relative", 0.1).holds(3.87, 3.5), Tolerance("exact").holds("memory", "compute")
        (True, False)
        """
        if isinstance(claimed, str) or isinstance(predicted, str):
            return claimed == predicted
        allowed = {"relative": self.amount * abs(claimed), "absolute": self.amount, "exact": 0.0}[self.kind]
        rounding = 1e-9 * abs(claimed)
        return abs(predicted - claimed) <= allowed + (rounding if self.kind != "exact" else 0.0)

    def __str__(self) -> str:
        return {"relative": f"{self.amount * 100:g} %", "absolute": f"+-{self.amount:g}", "exact": "exact"}[self.kind]


def parse_tolerance(text: object) -> Tolerance:
    """``10 %`` of what was claimed, ``+-0.05`` in its unit, or ``exact``.

    >>> parse_tolerance("10 %"), parse_tolerance("exact").kind
    (Tolerance(kind='relative', amount=0.1), 'exact')
    """
    if isinstance(text, Tolerance):
        return text
    match = TOLERANCE.fullmatch(text) if isinstance(text, str) else None
    if text == "exact":
        return Tolerance("exact")
    if match is None or bool(match["sign"]) == bool(match["percent"]):
        raise ValueError(f"'{text}' is no tolerance: write '10 %', '+-0.05' or 'exact'")
    amount = float(match["amount"])
    return Tolerance("relative", amount / 100) if match["percent"] else Tolerance("absolute", amount)


class Written(BaseModel):
    """A part of a claim's file: fixed once read, and without keys that nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Paper(Written):
    """Args:
    title, authors, venue: authors by surname, the venue with its year where there is one.
    arxiv: number of the preprint; "" where there is none.
    repository: where its code is; "" where there is none.
    """

    title: str
    authors: tuple[str, ...] = Field(min_length=1)
    venue: str
    arxiv: str = ""
    repository: str = ""


class ClaimedFigure(Written):
    """One quantity at some points.

    Args:
        name: of the quantity, as its predictor calls it.
        unit: "" for words and plain numbers.
        values: what was claimed, by point; a number, or a word.
        tolerance: see ``parse_tolerance``.
        source: where it says so, or ``own calculation``.
    """

    name: str
    unit: str = ""
    values: dict[str, float | str] = Field(min_length=1)
    tolerance: Annotated[Tolerance, BeforeValidator(parse_tolerance)]
    source: str = Field(min_length=1)

    @model_validator(mode="after")
    def _words_are_exact(self) -> ClaimedFigure:
        word = next((value for value in self.values.values() if isinstance(value, str)), None)
        if word is not None and self.tolerance.kind != "exact":
            raise ValueError(f"'{word}' is a word: its tolerance has to be 'exact'")
        return self


class Claim(Written):
    """What a paper says, for a prediction to be held against.

    Args:
        id: as ``irc reproduce`` takes it.
        claim: in one line.
        predictor: what predicts it, by name.
        configuration: what is predicted; its keys are the predictor's.
        figures: the claimed ones.
        cautions: what the reader should know before judging.
    """

    id: str = Field(pattern=r"^C\d\d$")
    paper: Paper
    claim: str
    predictor: str
    configuration: dict[str, Any]
    figures: tuple[ClaimedFigure, ...] = Field(min_length=1)
    cautions: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _each_point_once(self) -> Claim:
        seen = set()
        for figure in self.figures:
            for point in figure.values:
                if (figure.name, point) in seen:
                    raise ValueError(f"'{figure.name}' at '{point}' is claimed twice")
                seen.add((figure.name, point))
        return self


@dataclass(frozen=True, slots=True)
class ClaimFile:
    """A claim, and the file that it stands in: predictors read their configuration there, and tell its lines."""

    claim: Claim
    document: Section

    @property
    def configuration(self) -> Section:
        return self.document.inner("configuration")


def claim_ids(folder: Path = BUNDLED) -> list[str]:
    """All claims that have a file.

    >>> "C17" in claim_ids()
    True
    """
    return sorted(path.stem for path in folder.glob("*.yaml"))


def waiting(folder: Path = BUNDLED) -> Mapping[str, tuple[str, str]]:
    """Claims without a file yet: what is claimed, and what has to be there first."""
    return {name: words for name, words in WAITING.items() if name not in claim_ids(folder)}


def read_claims(ids: Sequence[str] = (), folder: Path = BUNDLED) -> list[ClaimFile]:
    """The claims with these ids, in this order, each once; all where none are given.

    Raises:
        ClaimError: there is none of that id, or a file is wrong.
    """
    files = [read_claim(name, folder) for name in ids or claim_ids(folder)]
    return list({file.claim.id: file for file in files}.values())


def read_claim(name: str, folder: Path = BUNDLED) -> ClaimFile:
    """The claim with that id; case plays no part.

    Raises:
        ClaimError: there is none, or its file is wrong: what, in which line, and the cure.
    """
    known = claim_ids(folder)
    own = name.upper()
    if own not in known:
        raise _unknown(name, known, waiting(folder))
    document = read_file(folder / f"{own}.yaml")
    claim = document.read(Claim)
    if claim.id != own:
        raise ClaimError(f"id is '{claim.id}'", at=document.place("id"), help=f"the file's name says {own}")
    return ClaimFile(claim, document)


def _unknown(name: str, known: Sequence[str], later: Mapping[str, tuple[str, str]]) -> ClaimError:
    if name.upper() in later:
        what, needs = later[name.upper()]
        return ClaimError(f"nothing predicts {name.upper()} yet: {what}", help=f"it waits for: {needs}")
    return ClaimError(f"no claim '{name}'", help=did_you_mean(name.upper(), known, f"there are {', '.join(known)}"))
