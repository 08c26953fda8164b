"""ONNX's own conformance cases for nodes: what is taken is computed right, and what is not is refused."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import Any

import numpy as np
import onnx
import pytest

from ircost.frontends.imported import ImportOptions
from ircost.frontends.onnx.importer import import_model
from ircost.ir import Module, interpret
from ircost.ir.errors import IrcError
from ircost.ir.verify import verify
from ircost.passes import run_pipeline

OLDEST_OPSET = 7
# Counted on onnx 1.23.2; more is better, fewer is a step back.
AT_LEAST_PASSED = 1334


def node_cases() -> list[Any]:
    """Cases of the installed onnx package, with tensors for inputs and outputs, of opsets that are taken."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = collect_testcases(None)
    return [case for case in cases if case.data_sets and is_taken(case)]


def is_taken(case: Any) -> bool:
    opset = max((o.version for o in case.model.opset_import if o.domain in ("", "ai.onnx")), default=0)
    arrays = [value for pair in case.data_sets for side in pair for value in side]
    is_plain = all(isinstance(value, np.ndarray) and value.dtype.kind not in "OUSc" for value in arrays)
    return opset >= OLDEST_OPSET and is_plain


def imported(case: Any) -> tuple[Module, list[np.ndarray]]:
    """The case as a module; inputs that decide shapes are bound to their values where that is needed."""
    inputs, _ = case.data_sets[0]
    names = [info.name for info in case.model.graph.input]
    by_name = dict(zip(names, inputs, strict=False))
    shapes = {name: array.shape for name, array in by_name.items()}
    small = {name: array for name, array in by_name.items() if array.size <= 64}
    whole = {name: array for name, array in small.items() if array.dtype.kind in "iub"}
    for values in ({}, whole, small):
        try:
            module = import_model(case.model, ImportOptions(shapes=shapes, values=values)).module
        except IrcError as error:
            refusal = error
            continue
        return module, [array for name, array in by_name.items() if name not in values]
    raise refusal


def outcome(case: Any) -> str:
    """``passed``, ``refused: ...`` or ``wrong: ...``."""
    try:
        module, inputs = imported(case)
        verify(module)
        before = interpret(module, inputs)
        run_pipeline(module, "canonicalize")
        after = interpret(module, inputs)
    except IrcError as error:
        return f"refused: {error.message}"
    for results in (before, after):
        for actual, expected in zip(results, case.data_sets[0][1], strict=True):
            if actual.shape != expected.shape:
                return f"wrong: shape {actual.shape}, {expected.shape} expected"
            if not is_close(actual, expected, case):
                return "wrong: values"
    return "passed"


def is_close(actual: np.ndarray, expected: np.ndarray, case: Any) -> bool:
    wide = [array.astype(np.float64) if array.dtype.kind != "c" else array for array in (actual, expected)]
    narrow = expected.dtype.itemsize < 4 and expected.dtype.kind not in "iub"
    rtol, atol = (1e-2, 1e-2) if narrow else (case.rtol, max(case.atol, 1e-6))
    return bool(np.allclose(wide[0], wide[1], rtol=rtol, atol=atol, equal_nan=True))


def test_no_node_case_is_computed_wrongly(capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = {}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for case in node_cases():
            outcomes[case.name] = outcome(case)
    counts = Counter(text.split(":")[0] for text in outcomes.values())
    wrong = {name: text for name, text in outcomes.items() if text.startswith("wrong")}
    with capsys.disabled():
        print(f"\nONNX {onnx.__version__} node cases: {dict(counts)}")
    assert not wrong
    assert counts["passed"] >= AT_LEAST_PASSED
