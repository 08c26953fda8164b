"""Every .irc file here: its RUN line is followed, its CHECK lines must match, and no rewrite may change what a function returns."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from filecheck.matcher import Matcher
from filecheck.options import Options

from ircost.ir import Function, Module, interpret
from ircost.ir.clone import clone_module
from ircost.ir.numpy_dtypes import numpy_dtype, to_format
from ircost.ir.parser import parse_module
from ircost.ir.types import TensorType
from ircost.ir.verify import verify
from ircost.passes import run_pipeline

CASES = sorted(Path(__file__).parent.glob("*.irc"))
RUN = re.compile(r"^// RUN: irc opt %s --passes (\S+) \| filecheck %s$", re.MULTILINE)
# Rounding of a whole module to another format, and everything else.
TOLERANCE = {"convert-dtype": 5e-2, "fold-batch-norm": 1e-4}


def pipeline_of(case: Path) -> str:
    found = RUN.search(case.read_text())
    assert found, f"{case.name} has no RUN line"
    return found[1].strip("'")


def rewritten(case: Path) -> tuple[Module, Module]:
    """The module of a case before and after its pipeline."""
    before = parse_module(case.read_text(), case.name)
    verify(before)
    after = clone_module(before)
    run_pipeline(after, pipeline_of(case))
    return before, after


def random_inputs(function: Function, seed: int) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random_array(argument.type, random) for argument in function.arguments]


def random_array(type: TensorType, random: np.random.Generator) -> np.ndarray:
    if type.dtype.is_float:
        return to_format(random.uniform(-2, 2, type.shape).astype(np.float32), type.dtype)
    if type.dtype.is_integer:
        return random.integers(0, 3, type.shape).astype(numpy_dtype(type.dtype))
    return random.random(type.shape) < 0.5


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_checks_match(case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, after = rewritten(case)
    printed = tmp_path / "printed.irc"
    printed.write_text(str(after))
    code = Matcher.from_opts(Options(str(case), str(printed))).run()
    captured = capsys.readouterr()
    assert code == 0, captured.out + captured.err + f"\nprinted:\n{after}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_rewrite_keeps_outputs(case: Path) -> None:
    before, after = rewritten(case)
    rtol = max([TOLERANCE.get(name, 0.0) for name in re.split(r"[,{]", pipeline_of(case))] + [1e-6])
    for name, function in before.functions.items():
        inputs = random_inputs(function, seed=0)
        expected, actual = interpret(before, inputs, name), interpret(after, inputs, name)
        for old, new in zip(expected, actual, strict=True):
            np.testing.assert_allclose(
                new.astype(np.float64), old.astype(np.float64), rtol=rtol, atol=rtol, err_msg=f"@{name}"
            )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_printed_result_reads_back(case: Path) -> None:
    _, after = rewritten(case)
    assert str(parse_module(str(after))) == str(after)


def test_every_pass_has_a_case() -> None:
    from ircost.passes import PASSES

    used = {re.sub(r"\{.*", "", name) for case in CASES for name in pipeline_of(case).split(",")}
    assert used >= set(PASSES.names())
