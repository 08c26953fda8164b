"""The page of models names every family and every bundled model."""

from __future__ import annotations

import re
from pathlib import Path

from ircost.datasets.model_configs import model_names
from ircost.frontends.config.families import FAMILIES

PAGE = Path(__file__).resolve().parents[3] / "docs" / "config-models.md"


def test_names_all() -> None:
    families, models = PAGE.read_text(encoding="utf-8").split("## Known models")
    named = [re.findall(r"^\| ([^ |]+) \|", part, re.MULTILINE) for part in (families, models)]
    assert named[0][1:] == sorted(FAMILIES), "run: python -m benchmarks.config_table > docs/config-models.md"
    assert named[1][1:] == model_names(), "run: python -m benchmarks.config_table > docs/config-models.md"
