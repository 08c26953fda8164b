"""Reports by the hybrid say of every figure how well it is known, whatever the model and the machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ircost.report_file import mistakes

ROOT = Path(__file__).resolve().parents[2]
CASES = {
    "layers": ("examples/small_cnn.yaml", "--target", "t4"),
    "no GPU": ("examples/small_cnn.yaml", "--target", "cpu"),
    "a runtime": ("examples/small_cnn.yaml", "--target", "h100+vllm"),
    "prompt": ("gpt2", "--target", "h200", "--phase", "prefill", "--seq", "64"),
    "ranks": ("llama-3.1-8b", "--target", "h100", "--phase", "decode", "--mesh", "tp=2,pp=2"),
}


@pytest.mark.parametrize("case", CASES)
def test_every_kernel_has_an_interval_and_a_grade(irc, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    report = json.loads(irc("compile", *CASES[case], "--model", "hybrid", "--json").out)
    assert mistakes(report) == []
    for kernel in report["kernels"]:
        assert kernel["low_s"] <= kernel["latency_s"] <= kernel["high_s"], kernel["name"]
        assert kernel["grade"] in {"A", "B", "C"}
    assert max(report["lower_bound_s"], 0) <= report["low_s"] < report["latency_s"] < report["high_s"]
    # Not the ends of all kernels at once: errors that are a kernel's own even out.
    slack = 1 + 1e-9
    assert report["low_s"] * slack >= min(report["latency_s"], sum(kernel["low_s"] for kernel in report["kernels"]))
    assert report["high_s"] <= slack * sum(kernel["high_s"] for kernel in report["kernels"])
    if case == "no GPU":
        plain = json.loads(irc("compile", *CASES[case], "--model", "analytical", "--json").out)
        assert report["latency_s"] == pytest.approx(plain["latency_s"], rel=1e-9)
        assert {kernel["grade"] for kernel in report["kernels"]} == {"C"}
    if case == "ranks":
        assert {kernel["grade"] for kernel in report["kernels"] if kernel["bound"] == "link"} <= {"A", "B"}


def test_the_text_has_the_interval_beside_the_latency(irc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    line = next(x for x in irc("compile", *CASES["layers"], "--model", "hybrid").out.splitlines() if "latency" in x)
    assert "hybrid; 90 % of runs take" in line
    assert "90 %" not in irc("compile", *CASES["layers"], "--model", "analytical").out


def test_all_kernels_are_listed_with_their_grades(irc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for model, has_grades in (("hybrid", True), ("analytical", False)):
        lines = irc("compile", *CASES["layers"], "--model", model, "--all").out.splitlines()
        (head,) = (line for line in lines if line.split()[:2] == ["time", "share"])
        assert ("grade" in head.split()) == has_grades


def test_reports_of_before_are_read(irc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    report = json.loads(irc("compile", *CASES["layers"], "--model", "analytical", "--json").out)
    new = ("low_s", "high_s", "grade")
    assert report["low_s"] is report["kernels"][0]["high_s"] is None and report["kernels"][0]["grade"] == ""
    old = {name: value for name, value in report.items() if name not in new}
    old["kernels"] = [{k: v for k, v in kernel.items() if k not in new} for kernel in report["kernels"]]
    for name, plain in (("old.json", old), ("new.json", report)):
        (tmp_path / name).write_text(json.dumps(plain))
    outcome = irc("diff", str(tmp_path / "old.json"), str(tmp_path / "new.json"), "--fail-above", "0.001")
    assert outcome.code == 0


def test_points_of_a_sweep_have_the_interval_of_their_report(irc) -> None:
    asked = ("compile", "llama-3.1-8b", "--target", "h100", "--phase", "decode", "--mesh", "tp=2", "--context", "512")
    points = json.loads(irc(*asked, "--sweep", "batch=1,64", "--json").out)["points"]
    for point in points:
        alone = json.loads(irc(*asked, "--batch", str(point["batch"]), "--json").out)
        assert (point["low_s"], point["high_s"]) == pytest.approx((alone["low_s"], alone["high_s"]), rel=1e-9)
    assert "90 % within" in irc(*asked, "--sweep", "batch=1,64").out
    plain = irc(*asked, "--sweep", "batch=1,64", "--model", "analytical")
    assert "90 %" not in plain.out
