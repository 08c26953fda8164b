"""Claims as data: what a file may say, how mistakes in it are told, when a prediction is near enough."""

from __future__ import annotations

from pathlib import Path

import pytest

from ircost.datasets.claim_yaml import ClaimError, read_text
from ircost.datasets.claims import (
    BUNDLED,
    Claim,
    Tolerance,
    claim_ids,
    parse_tolerance,
    read_claim,
    read_claims,
    waiting,
)

TEXT = """\
id: C99
paper: {title: Faster, authors: [Doe], venue: "2024", arxiv: "2401.00001"}
claim: it is faster
predictor: gemm speedup
configuration: {target: a10}
figures:
  - name: speedup
    unit: x
    values: {batch 1: 2, batch 2: 1.5}
    tolerance: 10 %
    source: table 1
"""


def mistake(old: str, new: str) -> str:
    """What is told of the text above with one place changed."""
    assert old in TEXT
    with pytest.raises(ClaimError) as raised:
        read_text(TEXT.replace(old, new), "C99.yaml").read(Claim)
    return raised.value.render()


def test_a_claim_as_written() -> None:
    claim = read_text(TEXT, "C99.yaml").read(Claim)
    assert claim.paper.authors == ("Doe",)
    assert claim.figures[0].values == {"batch 1": 2.0, "batch 2": 1.5}
    assert claim.figures[0].tolerance == Tolerance("relative", 0.1)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("predictor:", "predicter:", ["predicter: no such key", "C99.yaml:4", "did you mean predictor?"]),
        ("title: Faster", "titel: Faster", ["paper.titel: no such key", "C99.yaml:2", "did you mean title?"]),
        ("    unit: x\n", "    units: x\n", ["figures.0.units: no such key", "C99.yaml:8", "did you mean unit?"]),
        ("    tolerance: 10 %\n", "", ["figures.0.tolerance: missing", "C99.yaml:7"]),
        ("    source: table 1\n", "", ["figures.0.source: missing", "C99.yaml:7"]),
        ("10 %", "10", ["'10' is no tolerance", "'10 %', '+-0.05' or 'exact'", "C99.yaml:10"]),
        ("1.5}", "slow}", ["'slow' is a word: its tolerance has to be 'exact'", "C99.yaml:7"]),
        ('"2401.00001"', "2401.00001", ["paper.arxiv: here goes text", "C99.yaml:2", "put it in quotes"]),
        ("id: C99", "id: ninety-nine", ["id: ", "C99.yaml:1"]),
        ("batch 2: 1.5", "batch 1: 1.5", ["'batch 1' is there twice", "C99.yaml:9", "first in line 9"]),
        ("[Doe]", "[Doe", ["not YAML", "C99.yaml:"]),
        ("claim: it is faster", "claim: &a it is faster", ["anchors", "C99.yaml:3"]),
        ("it is faster", "!python/none it", ["not YAML: could not determine a constructor", "C99.yaml:3"]),
        ("it is faster", "[" * 30 + "]" * 30, ["nested too deep", "C99.yaml:3"]),
    ],
)
def test_mistakes_are_told_with_their_line(old: str, new: str, told: list[str]) -> None:
    shown = mistake(old, new)
    assert all(part in shown for part in told), shown


def test_a_point_is_claimed_once() -> None:
    again = "  - {name: speedup, values: {batch 1: 3}, tolerance: exact, source: table 2}\n"
    with pytest.raises(ClaimError, match="'speedup' at 'batch 1' is claimed twice"):
        read_text(TEXT + again, "C99.yaml").read(Claim)


@pytest.mark.parametrize(
    ("tolerance", "claimed", "near", "far"),
    [
        ("10 %", 2.0, 2.2, 2.21),
        ("10 %", 2.0, 1.8, 1.79),
        ("10 %", -2.0, -2.2, -2.21),
        ("+-0.05", 1.16, 1.21, 1.22),
        ("exact", 70272.0, 70272.0, 70272.5),
    ],
)
def test_the_edge_of_a_tolerance_is_inside(tolerance: str, claimed: float, near: float, far: float) -> None:
    judged = parse_tolerance(tolerance)
    assert judged.holds(claimed, near)
    assert not judged.holds(claimed, far)
    assert not judged.holds(claimed, float("nan"))
    assert str(judged) == tolerance


def test_words_are_equal_or_not() -> None:
    assert Tolerance("exact").holds("memory", "memory")
    assert not Tolerance("exact").holds("memory", "launch")


@pytest.mark.parametrize("text", ["", "10", "+-5 %", "ten %", "-10 %", 10])
def test_what_is_no_tolerance(text: object) -> None:
    with pytest.raises(ValueError, match="is no tolerance"):
        parse_tolerance(text)


def test_bundled_claims_are_named_as_their_files() -> None:
    assert [file.claim.id for file in read_claims()] == claim_ids()
    assert not set(claim_ids()) & set(waiting())


def test_ids_are_found_in_either_case() -> None:
    assert read_claim("c17") == read_claim("C17")


def test_unknown_ids(tmp_path: Path) -> None:
    with pytest.raises(ClaimError, match="did you mean C17"):
        read_claim("C71")
    with pytest.raises(ClaimError, match="nothing predicts C04 yet"):
        read_claim("C04")
    (tmp_path / "C98.yaml").write_text(TEXT)
    with pytest.raises(ClaimError, match=r"id is 'C99'"):
        read_claim("C98", tmp_path)


def test_every_bundled_file_is_a_claim() -> None:
    assert {path.suffix for path in BUNDLED.iterdir()} == {".yaml"}
