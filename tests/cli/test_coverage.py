"""``irc ops --coverage``, and the page that it writes."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from click.testing import CliRunner

from ircost.cli import main

PAGE = Path(__file__).resolve().parents[2] / "docs" / "onnx.md"


def output(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["ops", "--coverage", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_every_operator_is_listed_with_each_version() -> None:
    rows = {(row["domain"], row["operator"]): row["versions"] for row in json.loads(output("--json"))}
    assert rows["", "Conv"] == {"1": "native", "11": "native", "22": "native"}
    assert rows["", "Reshape"]["1"] == "refused"  # its shape was an attribute before opset 5
    assert rows["", "ImageDecoder"] == {"20": "refused"}
    schemas = {(s.domain, s.name) for s in onnx.defs.get_all_schemas() if s.domain in ("", "ai.onnx.ml")}
    assert schemas <= rows.keys()


def test_text_sums_up_each_domain() -> None:
    assert "ai.onnx: " in output().splitlines()[-4]


def test_page_is_current() -> None:
    page = PAGE.read_text()
    if f"onnx {onnx.__version__}," not in page:
        pytest.skip("docs/onnx.md is of another version of onnx")
    assert page == output("--markdown"), "run: irc ops --coverage --markdown > docs/onnx.md"
