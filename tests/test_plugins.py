"""Third parties add ops, passes, targets, frontends and cost models by entry points; nothing of ours names them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from ircost.backends.target_files import TARGETS
from ircost.cli import run
from ircost.cost_models.interface import COST_MODELS
from ircost.cost_models.learned.estimators.registry import ESTIMATORS
from ircost.cost_models.roofline import Roofline
from ircost.frontends.load import FRONTENDS
from ircost.ir.definition import OPS
from ircost.ir.errors import DeclarationError, PluginError, UnknownNameError
from ircost.ir.registry import Registry
from ircost.passes import PASSES

MODULE = """
from dataclasses import dataclass, replace

import numpy as np

from ircost.cost_models.interface import CostModel
from ircost.cost_models.roofline import Roofline
from ircost.ir.definition import OpDefinition
from ircost.passes import Pass
from ircost.ir.structured import structured_op


@structured_op("n d, n d -> n", reduce="sum", types="F, F -> F")
def plugged_row_dot(x, y):
    "Dot product of rows."
    return x * y


class Doubled(Roofline):
    "Twice the roofline."
    name = "plugged-doubled"


doubled = Doubled()


class Short(Doubled):
    name = "plugged-short"

    def estimate(self, kernels, target):
        return replace(super().estimate(kernels, target), latency_s=np.zeros(1))


class Empty(Doubled):
    name = "plugged-empty"

    def estimate(self, kernels, target):
        return None


class Failing(Doubled):
    name = "plugged-failing"

    def estimate(self, kernels, target):
        raise KeyError("on purpose")


short, empty, failing = Short(), Empty(), Failing()


def boosting(layout, trees):
    "scikit-learn's own, which nobody taught how to be stored."
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(max_iter=20)


number = 7


class Undecorated(Pass):
    "Does nothing."


@dataclass(frozen=True)
class Instance(Pass):
    "Does nothing."
    name = "plugged-instance"


instance = Instance()


class Stumbling(OpDefinition):
    "Fails."
    name = "plugged_stumbling"
    operand_names = ("x",)

    def infer(self, operands, attrs, regions):
        raise AttributeError("on purpose")


stumbling = Stumbling()


def function():
    pass
"""

ENTRY_POINTS = """
[ircost.ops]
plugged_row_dot = plugged_in:plugged_row_dot
plugged_badly = plugged_nowhere:thing
plugged_class = plugged_in:Stumbling
plugged_stumbling = plugged_in:stumbling

[ircost.cost_models]
plugged-doubled = plugged_in:doubled
plugged-class = plugged_in:Doubled
plugged-short = plugged_in:short
plugged-empty = plugged_in:empty
plugged-failing = plugged_in:failing

[ircost.estimators]
plugged-boosting = plugged_in:boosting
plugged-number = plugged_in:number

[ircost.passes]
plugged-undecorated = plugged_in:Undecorated
plugged-instance = plugged_in:instance

[ircost.targets]
plugged_function = plugged_in:function

[ircost.frontends]
plugged = plugged_in:instance
"""


REGISTRIES: tuple[Registry[Any], ...] = (OPS, COST_MODELS, PASSES, TARGETS, FRONTENDS, ESTIMATORS)


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
    for registry in REGISTRIES:
        registry.names()
        monkeypatch.setattr(registry, "_things", dict(registry._things))


@pytest.mark.usefixtures("plugin")
def test_ops_and_cost_models_are_found_by_name() -> None:
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


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("op", "plugged_class", "is the class Stumbling, what structured_op"),
        ("cost model", "plugged-class", "is the class Doubled, an instance of a subclass of CostModel is wanted"),
        ("pass", "plugged-undecorated", "is the class Undecorated, a subclass of Pass below @register_pass"),
        ("pass", "plugged-instance", "is an object of type Instance, a subclass of Pass"),
        ("target", "plugged_function", "is the function function, the path of a YAML file"),
        ("estimator", "plugged-number", "is an object of type int, a function of a layout"),
        ("frontend", "plugged", "is an object of type Instance, a function of"),
    ],
)
def test_an_entry_point_of_another_kind_is_told(kind: str, name: str, words: str) -> None:
    registry = next(each for each in REGISTRIES if each.kind == kind)
    with pytest.raises(PluginError, match=f"{kind} '{name}' of plugged-in {words}") as raised:
        registry.get(name)
    assert "its entry point is plugged_in:" in raised.value.render()


def test_what_is_registered_by_hand_is_of_its_kind() -> None:
    with pytest.raises(DeclarationError, match="cost model 'class' is the class Roofline, an instance"):
        COST_MODELS.add("class", Roofline)  # type: ignore[arg-type]


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize(
    ("verb", "listed", "broken"),
    [("ops", "plugged_row_dot", "plugged_badly"), ("passes", "canonicalize", "plugged-undecorated")],
)
def test_what_does_not_load_hides_nothing_else(
    capfd: pytest.CaptureFixture[str], verb: str, listed: str, broken: str
) -> None:
    assert run([verb]) == 2
    out, err = capfd.readouterr()
    assert listed in out and broken not in out
    assert f"'{broken}' of plugged-in" in err


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("plugged-short", "latency_s is an array of 1 rows, 2 kernels asked for"),
        ("plugged-empty", "estimate gives NoneType, Estimates expected"),
        ("plugged-failing", "estimate fails: KeyError: 'on purpose'"),
    ],
)
def test_a_cost_model_that_fails_is_its_authors_fault(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, model: str, words: str
) -> None:
    path = tmp_path / "two.irc"
    path.write_text("func @main(%x: 4x4xf32) -> 4x4xf32 { %y = matmul %x, %x %z = matmul %y, %x return %z }")
    assert run(["compile", str(path), "--opt", "0", "--model", model]) == 70
    err = capfd.readouterr().err
    assert f"cost model '{model}': {words}" in err
    assert "a fault of the cost model, in plugged_in" in err


@pytest.mark.usefixtures("plugin")
def test_an_op_that_fails_is_told_with_its_line_and_author(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "own.irc"
    path.write_text("func @main(%x: 4xf32) -> 4xf32 {\n  %y = plugged_stumbling %x\n  return %y\n}\n")
    assert run(["opt", str(path)]) == 70
    err = capfd.readouterr().err
    assert "plugged_stumbling: its infer fails: AttributeError: on purpose" in err
    assert "own.irc:2" in err and "a fault of the op, in plugged_in" in err


def test_an_unknown_name_lists_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="matmul"):
        OPS.get("matmull")


def test_two_things_of_one_name_are_refused() -> None:
    registry: Registry[int] = Registry("number", "ircost.no-such-group")
    registry.add("one", 1)
    with pytest.raises(UnknownNameError, match="there is another number 'one'"):
        registry.add("one", 11)


@pytest.mark.usefixtures("plugin")
def test_an_estimator_of_another_package_is_compared_but_not_stored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "rows.csv"
    rows = [f"t4,pytorch,add,float32,{r},{c},{3 + r * c / 1e5}" for r in range(1, 17) for c in range(64, 1088, 64)]
    table.write_text("\n".join(["device,framework,op,dtype,rows,cols,latency_us", *rows]) + "\n")
    own = ("--estimator", "plugged-boosting")
    assert run(["evaluate", str(table), "--split", "shape", "--model", "learned", *own]) == 0
    assert "vector" in capsys.readouterr().out
    assert run(["train", str(table), *own, "-o", str(tmp_path / "models")]) == 2
    told = capsys.readouterr().err
    assert "HistGradientBoostingRegressor cannot be stored" in told and "irc evaluate takes it" in told
    assert not (tmp_path / "models").exists()
