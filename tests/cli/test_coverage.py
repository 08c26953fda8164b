"""``irc ops --coverage``, and the page that it writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "onnx.md"


def test_every_operator_is_listed_with_each_version(irc: Callable[..., Any]) -> None:
    rows = {
        (row["domain"], row["operator"]): row["versions"] for row in json.loads(irc("ops", "--coverage", "--json").out)
    }
    assert rows["", "Conv"] == {"1": "native", "11": "native", "22": "native"}
    assert rows["", "Reshape"]["1"] == "refused"  # its shape was an attribute before opset 5
    assert rows["", "ImageDecoder"] == {"20": "refused"}
    schemas = {(s.domain, s.name) for s in onnx.defs.get_all_schemas() if s.domain in ("", "ai.onnx.ml")}
    assert schemas <= rows.keys()


def test_text_sums_up_each_domain(irc: Callable[..., Any]) -> None:
    assert "ai.onnx: " in irc("ops", "--coverage").out


def test_page_is_current(irc: Callable[..., Any]) -> None:
    page = PAGE.read_text()
    if f"onnx {onnx.__version__}," not in page:
        pytest.skip("docs/onnx.md is of another version of onnx")
    assert page == irc("ops", "--coverage", "--markdown").out, "run: irc ops --coverage --markdown > docs/onnx.md"
