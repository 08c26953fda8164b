"""The code in the docs runs, top to bottom, page by page."""

import re
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def python_blocks(page: Path) -> list[str]:
    return BLOCK.findall(page.read_text())


PAGES = [
    *("write-an-op.md", "write-a-pass.md", "write-a-cost-model.md", "memory.md", "export.md", "layers.md"),
    *("yaml-graphs.md", "text-model.md"),
]


@pytest.mark.parametrize("page", PAGES)
def test_page_runs(page: str) -> None:
    blocks = python_blocks(DOCS / page)
    assert blocks, f"{page} has no code"
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, page, "exec"), names)


@pytest.mark.parametrize("number", range(3))
def test_yaml_of_the_page_compiles(number: int) -> None:
    import ircost
    from ircost.frontends.yaml.importer import import_yaml_text

    text = re.findall(r"^```yaml\n(.*?)^```$", (DOCS / "yaml-graphs.md").read_text(), re.MULTILINE | re.DOTALL)[number]
    assert ircost.compile(import_yaml_text(text), "h100").latency_s > 0


def test_the_page_on_yaml_names_every_layer() -> None:
    from ircost.frontends.yaml.layer import LAYERS

    page = (DOCS / "yaml-graphs.md").read_text()
    assert [name for name in LAYERS if f"`{name}`" not in page] == []


def test_a_new_structured_op_takes_under_15_lines() -> None:
    declaration = python_blocks(DOCS / "write-an-op.md")[0]
    assert len([line for line in declaration.splitlines() if line.strip()]) < 15


def test_a_new_pass_takes_under_25_lines() -> None:
    declaration = python_blocks(DOCS / "write-a-pass.md")[0]
    assert len([line for line in declaration.splitlines() if line.strip()]) <= 25
