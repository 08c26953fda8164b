"""Third parties add ops, passes, targets, frontends and cost models by entry points; nothing of ours names them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ircost.ir.definition import OPS
from ircost.ir.errors import PluginError, UnknownNameError
from ircost.ir.registry import Registry

MODULE = """
from dataclasses import dataclass

import numpy as np

from ircost.cost_models.interface import CostModel
from ircost.cost_models.roofline import Roofline
from ircost.ir.structured import structured_op


@structured_op("n d, n d -> n", reduce="sum", types="F, F -> F")
def plugged_row_dot(x, y):
    "Dot product of rows."
    return x * y


class Doubled(Roofline):
    "Twice the roofline."
    name = "plugged-doubled"


doubled = Doubled()
"""

ENTRY_POINTS = """
[ircost.ops]
plugged_row_dot = plugged_in:plugged_row_dot
plugged_badly = plugged_nowhere:thing

[ircost.cost_models]
plugged-doubled = plugged_in:doubled
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package with entry points, for as long as a test runs."""
    (tmp_path / "plugged_in.py").write_text(MODULE)
    info = tmp_path / "plugged_in-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged-in\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "plugged_in", raising=False)


@pytest.mark.usefixtures("plugin")
def test_ops_and_cost_models_are_found_by_name() -> None:
    from ircost.cost_models.interface import COST_MODELS

    assert "plugged_row_dot" in OPS.names()
    assert OPS.get("plugged_row_dot").operand_names == ("x", "y")
    assert COST_MODELS.get("plugged-doubled").name == "plugged-doubled"


@pytest.mark.usefixtures("plugin")
def test_a_package_that_does_not_load_is_named() -> None:
    with pytest.raises(
        PluginError, match="op 'plugged_badly' of plugged-in does not load: ModuleNotFoundError"
    ) as raised:
        OPS.get("plugged_badly")
    assert raised.value.help is not None and "plugged_nowhere:thing" in raised.value.help


def test_an_unknown_name_lists_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="matmul"):
        OPS.get("matmull")


def test_two_things_of_one_name_are_refused() -> None:
    registry: Registry[int] = Registry("number", "ircost.no-such-group")
    registry.add("one", 1)
    with pytest.raises(UnknownNameError, match="two numbers are called 'one'"):
        registry.add("one", 11)
