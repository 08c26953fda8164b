"""Kernels of ONNX Runtime compute what their cases say, and can be timed."""

from __future__ import annotations

import math
from itertools import islice

import numpy as np
import pytest

onnxruntime = pytest.importorskip("onnxruntime", reason="kernels of onnxruntime are run")

from small_cases import CASES, F32  # noqa: E402

from ircost.datasets.measuring import onnxruntime_library  # noqa: E402
from ircost.datasets.measuring.cases import Case, Conv, Gemm, Vector  # noqa: E402
from ircost.datasets.measuring.errors import CaseError  # noqa: E402
from ircost.datasets.measuring.host_clock import HostRun  # noqa: E402
from ircost.datasets.measuring.onnxruntime_library import node_of, open_onnxruntime  # noqa: E402
from ircost.datasets.measuring.sampling import Limits, cases  # noqa: E402
from ircost.datasets.measuring.session import Measured, Session  # noqa: E402
from ircost.datasets.measuring.timing import Effort  # noqa: E402


@pytest.mark.parametrize(("case", "shape"), CASES, ids=lambda value: getattr(value, "op", None))
def test_the_result_is_of_the_case(case: Case, shape: tuple[int, ...]) -> None:
    node = node_of(case, np.random.default_rng(0))
    session = onnxruntime.InferenceSession(node.model(), providers=["CPUExecutionProvider"])
    (result,) = session.run(None, dict(node.inputs))
    assert result.shape == shape
    assert np.isfinite(result).all() and np.ptp(result) > 0


@pytest.mark.parametrize("case", [case for case, _ in CASES], ids=lambda case: getattr(case, "op", None))
def test_it_can_be_timed(case: Case) -> None:
    with open_onnxruntime(1).ready(case, seed=0) as sampler:
        assert 0 < sampler.sample() < math.inf


def test_a_case_that_the_runtime_refuses_is_told() -> None:
    impossible = Conv("conv2d", F32, 1, 3, 2, 2, 4, *(7, 7, 1, 1, 0, 0))
    with pytest.raises(CaseError), open_onnxruntime(1).ready(impossible, seed=0):
        pass


def test_drawn_cases_run() -> None:
    library = open_onnxruntime(1)
    drawn = islice(cases(library.kinds, [F32], 0, Limits(1e6, 1e7)), 60)
    found = list(Session(library, "mine", "us", Effort(least=1, most=1)).measure(drawn))
    assert all(isinstance(own, Measured) for own in found)
    assert {own.case.family for own in found} == {"gemm", "attention", "vector", "conv"}


@pytest.mark.parametrize(("session_s", "kernels"), [(3e-6, 34), (1e-3, 1)], ids=["short", "long"])
def test_short_kernels_are_timed_by_the_dozen(session_s: float, kernels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a session's own microseconds little is left then."""
    monkeypatch.setattr(onnxruntime_library, "warm_s", lambda call: session_s)
    with open_onnxruntime(1).ready(Gemm("linear", F32, 1, 1, 16, 8), seed=0) as run:
        assert isinstance(run, HostRun) and run.kernels == kernels


def test_nodes_that_are_alike_stay_apart() -> None:
    node = node_of(Vector("add", F32, 3, 64), np.random.default_rng(0))
    session = onnxruntime.InferenceSession(node.model(5), providers=["CPUExecutionProvider"])
    results = session.run(None, dict(node.inputs))
    assert len(results) == 5 and all(np.array_equal(result, results[0]) for result in results)
