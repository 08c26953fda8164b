"""The code in the docs runs, top to bottom, page by page."""

import re
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def python_blocks(page: Path) -> list[str]:
    return BLOCK.findall(page.read_text())


@pytest.mark.parametrize("page", ["write-an-op.md", "write-a-pass.md", "memory.md", "export.md", "layers.md"])
def test_page_runs(page: str) -> None:
    blocks = python_blocks(DOCS / page)
    assert blocks, f"{page} has no code"
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, page, "exec"), names)


def test_a_new_structured_op_takes_under_15_lines() -> None:
    declaration = python_blocks(DOCS / "write-an-op.md")[0]
    assert len([line for line in declaration.splitlines() if line.strip()]) < 15


def test_a_new_pass_takes_under_25_lines() -> None:
    declaration = python_blocks(DOCS / "write-a-pass.md")[0]
    assert len([line for line in declaration.splitlines() if line.strip()]) <= 25
