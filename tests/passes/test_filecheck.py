"""Text for the rewrite, numbers for the meaning: every .irc file in this folder is checked by both."""

from __future__ import annotations

import re
import sys
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from filecheck.finput import FInput
from filecheck.matcher import Matcher
from filecheck.options import Options
from filecheck.parser import Parser

from ircost.ir import Function, Module, TensorType, interpret
from ircost.ir.clone import clone_module
from ircost.ir.constant import FileSlice, Missing
from ircost.ir.numpy_dtypes import numpy_dtype
from ircost.ir.parser import parse_module
from ircost.ir.printer import print_module
from ircost.ir.verify import verify
from ircost.passes import PASSES, parse_pipeline, run_pipeline

FOLDER = Path(__file__).parent
RUN = re.compile(r"// RUN: irc opt %s --passes (?P<pipeline>\S+) \| filecheck %s")

# Relative error that a few roundings of the format add up to; integers and booleans agree exactly.
TOLERANCE = {
    **{"f64": 1e-12, "f32": 1e-5, "tf32": 1e-2, "f16": 1e-2, "bf16": 5e-2},
    **{"f8e4m3": 0.4, "f8e5m2": 0.6, "f8e8m0": 0.5},
}


@dataclass(frozen=True, slots=True)
class Case:
    """A text file: its pipeline, and the module before and after it."""

    pipeline: str
    before: Module
    after: Module


def load_case(path: Path) -> Case:
    text = path.read_text()
    run = RUN.fullmatch(text.splitlines()[0])
    assert run is not None, f"{path.name} does not begin with '{RUN.pattern}'"
    before = parse_module(text, path.name)
    verify(before)
    after = clone_module(before)
    run_pipeline(after, run["pipeline"].strip("'"))
    return Case(run["pipeline"].strip("'"), before, after)


def matches(path: Path, output: str) -> bool:
    """Whether the CHECK lines of a file hold for an output; what does not is told on stderr."""
    options = Options(match_filename=str(path))
    matcher = Matcher(options, FInput("output", output), Parser.from_opts(options))
    matcher.stderr = sys.stderr
    return matcher.run() == 0


def random_inputs(function: Function, seed: int) -> list[np.ndarray]:
    """Normal floats, small integers, either boolean; an argument called %variance is positive."""
    rng = np.random.default_rng(seed)
    return [random_array(rng, a.type, positive=a.name == "variance") for a in function.arguments]


def random_array(rng: np.random.Generator, type: TensorType, positive: bool) -> np.ndarray:
    if type.dtype.is_float:
        normal = rng.standard_normal(type.shape)
        return (np.abs(normal) + 0.1 if positive else normal).astype(numpy_dtype(type.dtype))
    low = -2 if type.dtype.is_integer and type.dtype.is_signed else 0
    return rng.integers(low, 2, type.shape).astype(numpy_dtype(type.dtype))


def can_run(function: Function) -> bool:
    """Whether all values are at hand: weights in files are not, nor what opaque ops do, nor memory without end."""
    if any(result.type.elements > 1_000_000 for op in function.walk() for result in op.results):
        return False
    data = [op.attrs["value"] for op in function.walk() if op.name == "constant"]
    is_opaque = any(op.name == "opaque" for op in function.walk())
    return not is_opaque and not any(isinstance(d, (FileSlice, Missing)) for d in data)


def tolerance(*functions: Function) -> float:
    """That of the coarsest format in which anything is computed."""
    values = [v for f in functions for v in (*f.arguments, *(r for op in f.walk() for r in op.results))]
    return max((TOLERANCE[v.type.dtype.name] for v in values if v.type.dtype.is_float), default=0.0)


CASES = sorted(FOLDER.glob("*.irc"))
RUNNABLE = [
    pytest.param(path, function.name, id=f"{path.stem}-{function.name}")
    for path in CASES
    for function in parse_module(path.read_text(), path.name).functions.values()
    if can_run(function)
]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_rewrite_reads_as_expected(path: Path) -> None:
    output = print_module(load_case(path).after)
    assert matches(path, output), f"printed:\n{output}"


@pytest.mark.parametrize(("path", "name"), RUNNABLE)
def test_rewrite_keeps_outputs(path: Path, name: str) -> None:
    case = load_case(path)
    rtol = tolerance(case.before.functions[name], case.after.functions[name])
    for seed in range(3):
        inputs = random_inputs(case.before.functions[name], seed + zlib.crc32(name.encode()))
        expected, actual = interpret(case.before, inputs, name), interpret(case.after, inputs, name)
        for want, have in zip(expected, actual, strict=True):
            assert want.shape == have.shape
            np.testing.assert_allclose(have.astype(np.float64), want.astype(np.float64), rtol=rtol, atol=rtol)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_printed_result_reads_back(path: Path) -> None:
    after = str(load_case(path).after)
    assert str(parse_module(after)) == after


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_every_function_has_its_label(path: Path) -> None:
    text = path.read_text()
    assert re.findall(r"// CHECK-LABEL: func @(\w+)", text) == list(parse_module(text, path.name).functions)


def test_a_case_can_fail(tmp_path: Path) -> None:
    path = FOLDER / "cancel_transposes.irc"
    case = load_case(path)
    wrong = tmp_path / "wrong.irc"
    wrong.write_text(path.read_text() + "// CHECK: no such line\n")
    assert not matches(wrong, print_module(case.after))
    assert not matches(path, print_module(case.before))


@lru_cache
def changes_of_last_pass(path: Path) -> tuple[str, list[bool]]:
    """The last pass of a case, and of each function of the case, whether that pass changed it."""
    case = load_case(path)
    *first, last = parse_pipeline(case.pipeline)
    module = clone_module(case.before)
    run_pipeline(module, tuple(first))
    before = [str(Module([function])) for function in module.functions.values()]
    names = list(module.functions)
    run_pipeline(module, (last,))
    after = [str(Module([module.functions[name]])) if name in module.functions else "" for name in names]
    return last.name, [old != new for old, new in zip(before, after, strict=True)]


OURS = [name for name in sorted(PASSES.names()) if PASSES.get(name).__module__.startswith("ircost.passes")]


@pytest.mark.parametrize("name", OURS)
def test_every_pass_is_seen_to_fire_and_to_leave_alone(name: str) -> None:
    """A function that it changes, one that it must not change, and an edge of either."""
    cases = [changes_of_last_pass(path) for path in CASES]
    changed = [is_changed for last, changes in cases for is_changed in changes if last == name]
    assert any(changed), f"no function that {name} changes"
    assert not all(changed), f"no function that {name} must leave alone"
    assert len(changed) > 2, f"no edge of {name}"
