"""The code in the docs runs, top to bottom, page by page."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from ircost.backends.target_files import TARGETS
from ircost.cost_models.interface import COST_MODELS
from ircost.cost_models.learned.estimators.registry import ESTIMATORS
from ircost.frontends.load import FRONTENDS
from ircost.frontends.yaml.ir_op import op_layers
from ircost.ir.definition import OPS
from ircost.ir.registry import Registry
from ircost.passes.base import PASSES

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
TEXTS = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def python_blocks(page: Path) -> list[str]:
    return BLOCK.findall(page.read_text())


PAGES = [
    *("write-an-op.md", "write-a-pass.md", "write-a-cost-model.md", "memory.md", "export.md", "layers.md"),
    *("yaml-graphs.md", "text-model.md", "estimators.md"),
]


@contextmanager
def declarations_forgotten() -> Iterator[None]:
    """Takes ops, passes and models that are declared meanwhile away again: other tests list all that there are."""
    with pytest.MonkeyPatch.context() as patch:
        for registry in (OPS, PASSES, COST_MODELS, FRONTENDS, TARGETS, ESTIMATORS):
            registry.names()  # with all of our own in it
            patch.setattr(registry, "_things", dict(registry._things))
        yield
    op_layers.cache_clear()


def run_page(page: str) -> None:
    blocks = python_blocks(DOCS / page)
    assert blocks, f"{page} has no code"
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, page, "exec"), names)


@pytest.mark.parametrize("page", PAGES)
def test_page_runs(page: str) -> None:
    with declarations_forgotten():
        run_page(page)


@pytest.mark.parametrize(
    ("page", "registry", "name"),
    [
        ("write-an-op.md", OPS, r"@structured_op.*\ndef (\w+)"),
        ("write-a-pass.md", PASSES, r'@register_pass\("([\w-]+)"\)'),
    ],
    ids=["op", "pass"],
)
def test_what_a_page_declares_is_gone_after_it(page: str, registry: Registry[Any], name: str) -> None:
    declared = set(re.findall(name, "".join(python_blocks(DOCS / page))))
    with declarations_forgotten():
        run_page(page)
        assert declared and declared <= {*registry.names()}
    assert not declared & {*registry.names()}


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


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.name)
def test_links_lead_to_headings_that_are_there(page: Path) -> None:
    for link, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)", page.read_text()):
        target = page.parent / link if link else page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            assert anchor in [slug(heading) for heading in headings], f"{link}#{anchor}"


def test_the_page_on_architecture_names_files_that_are_there() -> None:
    folders = ("ir", "passes", "cost_models", "frontends", "backends", "datasets", "ircost", "tests", "benchmarks")
    files = [path.relative_to(ROOT).as_posix() for folder in folders for path in (ROOT / folder).rglob("*.*")]
    named = re.findall(r"`([\w/*]+\.(?:py|lark))`", (DOCS / "architecture.md").read_text())
    assert len(named) > 100
    assert [name for name in named if not any(fnmatch(f"/{file}", f"*/{name}") for file in files)] == []


@pytest.mark.parametrize("target", ["jetson_nano", "jetson_agx_xavier"])
def test_the_page_on_cost_models_has_the_predictions_of_embedded_gpus(target: str) -> None:
    """Of the network that the repository carries."""
    import ircost
    from ircost.quantity_text import three_digits

    page = (DOCS / "cost-models.md").read_text()
    row = re.search(rf"^\| ResNet-50 \| {target} \| (\S+) ms \| (\S+) to (\S+) ms \|", page, re.MULTILINE)
    report = ircost.compile(ROOT / "datasets/models/resnet50.onnx", target, dtype="f16")
    assert row is not None and report.low_s is not None and report.high_s is not None
    figures_s = (report.latency_s, report.low_s, report.high_s)
    assert row.groups() == tuple(three_digits(seconds * 1e3) for seconds in figures_s)
