"""ONNX's own conformance suite: what is taken is computed right, before and after canonicalisation."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict

import numpy as np
import onnx
import pytest
from onnx_conformance import all_cases, outcome

LEAST_PART_PASSED = 0.99


def test_conformance(capsys: pytest.CaptureFixture[str]) -> None:
    counts: Counter[str] = Counter()
    by_operator: dict[str, Counter[str]] = defaultdict(Counter)
    failures = {}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for case in all_cases():
            result = outcome(case) if case.why_left_out is None else f"left out ({case.why_left_out})"
            word = result.split(":")[0]
            counts[word] += 1
            by_operator[case.operator][word] += 1
            if word in ("refused", "wrong"):
                failures[case.name] = result
    with capsys.disabled():
        print(f"\nONNX {onnx.__version__} conformance: {dict(counts)}")
        for operator, words in sorted(by_operator.items()):
            if set(words) != {"passed"}:
                print(f"  {operator:24} {', '.join(f'{n} {word}' for word, n in sorted(words.items()))}")
    assert not {name: result for name, result in failures.items() if result.startswith("wrong")}
    judged = counts["passed"] + counts["refused"]
    assert counts["passed"] >= LEAST_PART_PASSED * judged, failures
