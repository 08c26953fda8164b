"""Every pass, and every pipeline of `--opt`, on modules of all kinds: generated ones always, real models by ``--zoo DIR``.

    python -m pytest tests/passes/test_corpus.py --zoo DIR -k bert_base
    python -m pytest tests/passes/test_corpus.py --zoo DIR -m "not slow"

What must hold is in `tests/corpus.py`. Each real model is interpreted once, and once in the form that passes see in a
pipeline; passes that leave a module as it was are not followed by another run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpus import Setting, Subject, check, difference_of, settings_of_levels, settings_of_passes, subjects_of
from generated_modules import KINDS
from hypothesis import given, settings
from random_modules import modules, random_inputs
from zoo import ZooModel, zoo_models

from ircost.frontends import load
from ircost.ir import Module, ops
from ircost.ir.graph import Op, Value
from ircost.ir.parser import parse_module
from ircost.ir.rewrite import RewritePattern
from ircost.passes import PASSES, Pass, PassContext, register_pass

SLOW_BYTES = 100_000_000  # of a file: its outputs take seconds each time
GENERATED_OPS = 150
SETTINGS = settings_of_passes()
LEVELS = settings_of_levels()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Model by model, so that one at a time is held in memory."""
    if "model" in metafunc.fixturenames:
        models = zoo_models(metafunc.config.getoption("--zoo"))
        slow = pytest.mark.slow
        rows = [pytest.param(m, id=m.name, marks=slow if m.path.stat().st_size > SLOW_BYTES else ()) for m in models]
        none = pytest.param(None, id="none", marks=pytest.mark.skip(reason="no models: give a folder by --zoo"))
        metafunc.parametrize("model", rows or [none], scope="module")


@lru_cache(maxsize=1)
def subjects_of_model(path: Path) -> tuple[Subject, Subject]:
    (model,) = [model for model in zoo_models(path.parent) if model.path == path]
    return subjects_of(model.name, load(str(path), model.options).module, model.feeds(), model.is_quantised)


@lru_cache(maxsize=1)
def generated(kind: str) -> tuple[Subject, Subject]:
    module = KINDS[kind](GENERATED_OPS)
    return subjects_of(kind, module, {str(i): array for i, array in enumerate(random_inputs(module.main))})


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_pass_on_a_real_model(model: ZooModel, setting: Setting) -> None:
    for subject in subjects_of_model(model.path):
        check(subject, setting)


@pytest.mark.parametrize("setting", LEVELS, ids=str)
def test_level_on_a_real_model(model: ZooModel, setting: Setting) -> None:
    check(subjects_of_model(model.path)[0], setting)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("setting", [*SETTINGS, *LEVELS], ids=str)
def test_generated_module(kind: str, setting: Setting) -> None:
    for subject in generated(kind):
        check(subject, setting)


@pytest.mark.parametrize("setting", [*SETTINGS, *LEVELS], ids=str)
def test_random_module(setting: Setting) -> None:
    @settings(max_examples=25)
    @given(module=modules())
    def holds(module: Module) -> None:
        check(Subject("random", module, random_inputs(module.main)), setting)

    holds()


# ---- what is found where something is wrong


class Doubled(RewritePattern):
    """relu(x)  ->  relu(x + x), for ever more"""

    root = "relu"

    def rewrite(self, op: Op) -> Value | None:
        x = op.operands[0]
        return None if is_double(x) and is_double(x.producer.operands[0]) else ops.relu(ops.add(x, x))  # type: ignore[union-attr]


def is_double(x: Value) -> bool:
    return x.producer is not None and x.producer.name == "add"


@dataclass(frozen=True, slots=True)
class Doubles(Pass):
    """Keeps no outputs."""

    def patterns(self) -> tuple[RewritePattern, ...]:
        return (Doubled(),)


@dataclass(frozen=True, slots=True)
class Grows(Pass):
    """Claims to be idempotent, and adds a negation and its inverse each time."""

    is_exact = True

    def run(self, module: Module, context: PassContext) -> Counter[str]:
        last = module.main.block.terminator
        twice = [ops.neg.create([last.operands[0]])]
        twice.append(ops.neg.create([twice[0].result]))
        for op in twice:
            module.main.block.insert_before(op, last)
        last.set_operand(0, twice[1].result)
        return Counter({"grown": 1})


@dataclass(frozen=True, slots=True)
class Rounds(Pass):
    """Claims to be exact, and adds a number that rounds the last digits away, and takes it off again."""

    is_exact = True

    def run(self, module: Module, context: PassContext) -> Counter[str]:
        last = module.main.block.terminator
        number = ops.scalar_like(8.0, last.operands[0])
        off = ops.sub(ops.add(last.operands[0], number), number)
        for op in (number.producer, off.producer.operands[0].producer, off.producer):  # type: ignore[union-attr]
            assert op is not None
            module.main.block.insert_before(op, last)
        last.set_operand(0, off)
        return Counter({"rounded": 1})


@pytest.fixture
def wrong_passes() -> Iterator[None]:
    wrong: dict[str, Any] = {"test-doubles": Doubles, "test-grows": Grows, "test-rounds": Rounds}
    for name, cls in wrong.items():
        register_pass(name)(cls)
    yield
    for name in wrong:
        del PASSES._things[name]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("test-doubles", "output 0 differs by"), ("test-grows", "a second run"), ("test-rounds", "output 0 differs by")],
)
@pytest.mark.usefixtures("wrong_passes")
def test_what_is_wrong_is_found(name: str, reason: str) -> None:
    module = parse_module("func @main(%x: 2x3xf32) -> 2x3xf32 { %y = relu %x return %y }")
    subject = Subject("small", module, random_inputs(module.main))
    with pytest.raises(AssertionError, match=reason):
        check(subject, Setting(name))


@pytest.mark.parametrize(
    ("have", "want", "difference"),
    [
        ([1.0, -1.0], [1.0, -1.0], 0.0),
        ([1.5, -1.0], [1.0, -1.0], 0.5),
        ([np.nan, 1.0], [np.nan, 1.0], 0.0),
        ([np.nan, 1.0], [2.0, 1.0], np.inf),
        ([2.0, 1.0], [np.inf, 1.0], np.inf),
        ([3, 4, 5, 6], [3, 4, 5, 7], 0.25),
    ],
)
def test_differences(have: list[float], want: list[float], difference: float) -> None:
    assert difference_of(np.array(have), np.array(want)) == difference
