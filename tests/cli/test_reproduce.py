"""``irc reproduce``: verdicts, reasons, exit codes, and the page that it writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ircost.datasets.claim_yaml import ClaimError
from ircost.datasets.claims import ClaimFile, claim_ids, read_claim
from ircost.reproduction import reproduce

PAGE = Path(__file__).resolve().parents[2] / "docs" / "papers.md"
Irc = Callable[..., Any]

CLAIM = """\
id: C99
paper: {title: Faster, authors: [Doe, Roe], venue: "2024"}
claim: it is faster
predictor: gemm roofline
configuration: {target: rtx_a6000, dtype: f16, model: llama-2-7b, part: query, rows: {decode: 1}}
figures:
  - {name: intensity, unit: op/B, values: {decode: 1}, tolerance: 2 %, source: table 1}
  - {name: bound, values: {decode: memory}, tolerance: exact, source: table 1}
"""


def claim(folder: Path, old: str = "", new: str = "") -> ClaimFile:
    """The claim above with one place changed."""
    assert old in CLAIM
    (folder / "C99.yaml").write_text(CLAIM.replace(old, new) if old else CLAIM)
    return read_claim("C99", folder)


def facts(irc: Irc, name: str) -> dict[str, Any]:
    (found,) = json.loads(irc("reproduce", name, "--json").out)
    return dict(found)


def test_all_inside_exits_with_0(irc: Irc) -> None:
    outcome = irc("reproduce", "C22")
    assert outcome.code == 0
    assert "OUTSIDE" not in outcome.out
    assert "why" not in outcome.out


def test_exit_code_and_words_follow_the_verdict(irc: Irc) -> None:
    found = facts(irc, "C17")
    outcome = irc("reproduce", "C17")
    outside = [figure for figure in found["figures"] if not figure["inside"]]
    assert outcome.code == (1 if outside else 0)
    assert outcome.out.count("OUTSIDE") == len(outside)
    assert outcome.out.count("why batch") == len(outside)
    assert found["inside"] == (not outside)


def test_figures_agree_with_their_verdict(irc: Irc) -> None:
    for name in claim_ids():
        for figure in facts(irc, name)["figures"]:
            if isinstance(figure["claimed"], str) or figure["tolerance"] == "exact":
                assert figure["inside"] == (figure["claimed"] == figure["predicted"])
            else:
                assert figure["ratio"] == pytest.approx(figure["predicted"] / figure["claimed"])
                is_relative = figure["tolerance"].endswith(" %")
                allowed = float(figure["tolerance"].removesuffix(" %").removeprefix("+-"))
                off = abs(figure["predicted"] - figure["claimed"])
                assert figure["inside"] == (off <= (allowed / 100 * abs(figure["claimed"]) if is_relative else allowed))


def test_constants_are_told_with_where_they_are_from(irc: Irc) -> None:
    found = facts(irc, "C17")
    baseline, compared = found["constants"]
    assert (baseline["kernel"], compared["kernel"]) == ("float16 product", "int4_wo product")
    for kernel in (baseline, compared):
        assert kernel["rows"] > 0 and kernel["devices"]
        assert "device" not in kernel["unseen"], "others published products on an A10, in float32"
        assert "ampere" in kernel["format_seen_with"]["architecture"]
    assert (baseline["unseen"], compared["unseen"]) == ([], ["architecture, dtype"])
    for kernel in (baseline, compared):
        main = kernel["constants"]["main"]
        assert 0 < main["value"] < 1
        assert main["from"][0][0] == "all"
    assert found["target_figures"]["memory.gddr.bandwidth_bytes_per_s"]["value"] == 600e9


def test_the_gain_falls_with_the_batch(irc: Irc) -> None:
    """Whatever the constants: more rows for the same weights make arithmetic count."""
    found = facts(irc, "C17")
    batch = {figure["point"]: figure["predicted"] for figure in found["figures"]}
    assert 1 < batch["batch 128"] < batch["batch 64"] < batch["batch 16"]


def test_closed_forms_use_no_constants(irc: Irc) -> None:
    found = facts(irc, "C22")
    assert found["constants"] == []
    attained = {figure["point"]: figure for figure in found["figures"] if figure["figure"] == "attainable"}
    assert attained["prefill"]["predicted"] == pytest.approx(154.8)


def test_one_kernel_is_faster_the_more_so_the_longer_the_sequence(irc: Irc) -> None:
    """Whatever the constants: scores that are written grow with the square of the length."""
    gains = {f["point"]: f["predicted"] for f in facts(irc, "C13")["figures"] if f["figure"] == "gain"}
    assert 1 < gains["1.3B 2k"] < gains["1.3B 8k"]
    assert 1 < gains["2.7B 2k"] < gains["2.7B 8k"]


def test_activations_tell_apart_what_flops_do_not(irc: Irc) -> None:
    """At a tenth more flops and four times the activations, whatever the constants."""
    (ratio,) = [f["predicted"] for f in facts(irc, "C28")["figures"] if f["figure"] == "ratio of times"]
    assert ratio > 1.5


def test_sweeps_end_where_the_law_and_the_tolerance_say() -> None:
    from ircost.predictors.attention_traffic import TrafficConfiguration

    wanted = TrafficConfiguration(target="a100", rows=4096, widths=[64], smallest=16, once=0.05)
    below, above = wanted.sweeps(64).values()
    assert below == (16, 64**2)
    # What crosses once, 2 N d, is a twentieth of 4 N^2 d^2 / M there.
    assert 2 * 4096 * 64 / (4 * 4096**2 * 64**2 / above[1]) == pytest.approx(0.05)


def test_other_readings_of_the_patches_are_told(irc: Irc) -> None:
    reason = facts(irc, "C20")["figures"][1]["reason"]
    assert "image held as a whole the peak would be 305 KiB" in reason
    assert "5 blocks behind the stem, 227 KiB and 26.3% done again" in reason


def test_no_ids_are_all(irc: Irc) -> None:
    assert [found["id"] for found in json.loads(irc("reproduce", "--json").out)] == claim_ids()


def test_a_claim_named_twice_is_judged_once(irc: Irc) -> None:
    assert [found["id"] for found in json.loads(irc("reproduce", "C22", "c22", "--json").out)] == ["C22"]


def test_unknown_ids(irc: Irc) -> None:
    outcome = irc("reproduce", "C71")
    assert outcome.code == 2
    assert outcome.err.startswith("error: no claim 'C71'\n  help: did you mean C17")


def test_claims_that_wait(irc: Irc) -> None:
    outcome = irc("reproduce", "C04")
    assert outcome.code == 2
    assert outcome.err.startswith("error: nothing predicts C04 yet")


def test_json_and_markdown_exclude_each_other(irc: Irc) -> None:
    assert irc("reproduce", "--json", "--markdown").code == 2


def test_page_is_current(irc: Irc) -> None:
    outcome = irc("reproduce", "--markdown")
    assert outcome.code == 0
    assert PAGE.read_text() == outcome.out, "run: irc reproduce --markdown > docs/papers.md"


def test_a_figure_outside_has_its_reason(tmp_path: Path) -> None:
    assert reproduce(claim(tmp_path)).inside
    judged = reproduce(claim(tmp_path, "decode: memory", "decode: compute"))
    assert not judged.inside
    assert [judgement.inside for judgement in judged.judgements] == [True, False]
    assert judged.judgements[1].reason.endswith("bound by gddr")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("gemm roofline", "gem roofline", ["no predictor 'gem roofline'", "C99.yaml:4", "did you mean gemm roofline"]),
        ("dtype:", "dtyp:", ["configuration.dtyp: no such key", "C99.yaml:5", "did you mean dtype?"]),
        ("part: query", "part: gate", ["configuration.part: ", "C99.yaml:5"]),
        ("rtx_a6000", "rtx_a600", ["no target 'rtx_a600'", "C99.yaml:5", "did you mean rtx_a6000"]),
        ("f16", "f61", ["f61", "C99.yaml:5"]),
        ("name: intensity", "name: intensty", ["nothing predicts intensty at decode", "C99.yaml:7", "did you mean"]),
        ("values: {decode: 1}", "values: {deocde: 1}", ["nothing predicts intensity at deocde", "C99.yaml:7"]),
    ],
)
def test_mistakes_are_told_with_their_line(tmp_path: Path, old: str, new: str, told: list[str]) -> None:
    with pytest.raises(ClaimError) as raised:
        reproduce(claim(tmp_path, old, new))
    shown = raised.value.render()
    assert all(part in shown for part in told), shown
