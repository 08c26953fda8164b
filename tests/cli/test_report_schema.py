"""The published schema is that of the report, and real reports hold to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import ircost
from ircost.report_file import mistakes
from ircost.report_schema import report_schema

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "ircost/report_schema.json").read_text())
PROMISED = [
    "target",
    "dtype",
    "latency_s",
    "lower_bound_s",
    "energy_j",
    "peak_memory_bytes",
    "weights_bytes",
    "flops",
    "macs",
    "model",
    "kernels",
]
PROMISED_OF_KERNELS = ["name", "op", "source_nodes", "latency_s", "energy_j", "flops", "bytes", "bound"]


def test_schema_is_current() -> None:
    assert report_schema() == SCHEMA, "run: python -m ircost.report_schema > ircost/report_schema.json"


def test_promised_keys_are_required() -> None:
    assert set(PROMISED) <= set(SCHEMA["required"])
    assert set(PROMISED_OF_KERNELS) <= set(SCHEMA["$defs"]["kernel"]["required"])


def test_the_page_names_every_key() -> None:
    page = (ROOT / "docs/command-line.md").read_text()
    keys = [*SCHEMA["properties"], *SCHEMA["$defs"]["kernel"]["properties"]]
    assert [key for key in keys if f"`{key}`" not in page] == []


def test_a_real_report_holds_to_it() -> None:
    report = json.loads(ircost.compile(ROOT / "datasets/models/resnet50.onnx").to_json())
    assert mistakes(report) == []
    assert report.keys() == SCHEMA["properties"].keys()
    assert report["kernels"][0].keys() == SCHEMA["$defs"]["kernel"]["properties"].keys()


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": 2},
        {"latency_s": "0.1 s"},
        {"latency_s": -1.0},
        {"notes": "one"},
        {"fits": 1},
        {"flops": 1.5},
        {"bound_shares": {"hbm": "all"}},
        {"kernels": [{"name": "x"}]},
    ],
    ids=str,
)
def test_other_reports_do_not(mlp: Path, change: dict[str, Any]) -> None:
    report = json.loads(ircost.compile(mlp).to_json())
    assert mistakes(report) == []
    assert mistakes({**report, **change})


def test_a_report_without_a_key_does_not(mlp: Path) -> None:
    report = json.loads(ircost.compile(mlp).to_json())
    for key in SCHEMA["required"]:
        assert mistakes({k: v for k, v in report.items() if k != key}), key
