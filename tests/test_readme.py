"""What the README shows is what comes out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import ircost
from ircost.cli import run
from ircost.datasets.model_configs import model_names
from ircost.quantity_text import three_digits

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
COST_MODELS = (ROOT / "docs" / "cost-models.md").read_text()
LEARNED_MODELS = (ROOT / "docs" / "learned-models.md").read_text()


def test_the_first_screen_shows_the_true_report(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("COLUMNS", raising=False)
    shown = re.search(r"^```console\n\$ irc (.*?)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert shown is not None
    assert run(shown[1].split()) == 0
    assert capsys.readouterr().out == shown[2]


def test_the_python_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    block = re.search(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert block is not None
    exec(compile(block[1], "README.md", "exec"), {})


PREFILL = {"phase": "prefill", "dims": {"batch": 1, "seq": 2048}}
DECODE = {"phase": "decode", "dims": {"batch": 1, "context": 2048}}
DECODE_32 = {"phase": "decode", "dims": {"batch": 32, "context": 2048}}
LLAMA_3 = {"phase": "decode", "dims": {"batch": 32, "context": 4096}, "mesh": "tp=8"}
PASSES: dict[str, tuple[str, dict[str, Any]]] = {
    "Llama-2-7B, prefill of 2,048 tokens": ("llama-2-7b", PREFILL),
    "Llama-2-7B, decode, batch 1 at 2,048": ("llama-2-7b", DECODE),
    "Llama-2-7B, decode, batch 32 at 2,048": ("llama-2-7b", DECODE_32),
    "Llama-3-70B, 8 GPUs, decode, batch 32 at 4,096": ("llama-3-70b", LLAMA_3),
}


def table_rows(page: str, head: str) -> list[list[str]]:
    """The cells of every row of the first table in a page whose head starts so."""
    table = re.search(rf"^\| {re.escape(head)}.*?\n\|[-:|]+\|\n(.*?)\n\n", page, re.MULTILINE | re.DOTALL)
    assert table is not None
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[1].splitlines()]


@pytest.mark.parametrize("row", table_rows(README, "pass | target"), ids=lambda row: f"{row[0]} on {row[1]}")
def test_times_of_language_models_are_those_that_are_predicted(row: list[str]) -> None:
    words, target, roofline, predicted, _ = row
    model, options = PASSES[words]
    for name, shown in (("roofline", roofline), ("auto", predicted)):
        report = ircost.compile(model, target.lower(), dtype="f16", cost_model=name, **options)
        assert f"{three_digits(report.latency_s * 1e3)} ms" == shown


FAMILIES = {
    "matrix products": "gemm",
    "attention": "attention",
    "mixtures of experts": "moe",
    "element-wise, norms, softmax": "vector",
    "convolutions": "conv",
    "collectives": "collective",
}


@pytest.mark.parametrize("row", table_rows(README, "kernels | rows"), ids=lambda row: row[0])
def test_errors_of_kernels_are_those_of_the_pages(row: list[str]) -> None:
    kernels, rows, *shown = row
    family = FAMILIES[kernels]
    analytical = {cells[1]: cells for cells in table_rows(COST_MODELS, "family | model") if cells[0] == family}
    shapes, unnamed = (
        next(cells for cells in table_rows(part, "family | rows") if cells[0] == family)
        for part in re.split("The same with no runtime named", LEARNED_MODELS)
    )
    in_turn = analytical["analytical, device left out"]
    assert rows == analytical["roofline"][2] == shapes[1]
    medians = [analytical["roofline"][5], shapes[5].split("/")[1], unnamed[5].split("/")[1], in_turn[5]]
    for figure, median in zip(shown, medians, strict=True):
        assert float(figure.strip(" %")) == pytest.approx(float(median.strip(" %")), abs=0.501)


def test_known_configurations_are_counted() -> None:
    counted = re.search(r"(\d+) configurations are known by name", README)
    assert counted is not None and int(counted[1]) == len(model_names())
