"""Kernels of PyTorch compute what their cases say; graphs on a GPU are recorded and replayed as they should be."""

from __future__ import annotations

from itertools import islice
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="kernels of PyTorch are run")

from small_cases import CASES, F32  # noqa: E402

from ircost.datasets.measuring.cases import Case, Conv, Gemm, Vector  # noqa: E402
from ircost.datasets.measuring.errors import CaseError, MeasureError  # noqa: E402
from ircost.datasets.measuring.pytorch import clocks  # noqa: E402
from ircost.datasets.measuring.pytorch.kernels import Operands, calls_of  # noqa: E402
from ircost.datasets.measuring.pytorch.library import open_pytorch  # noqa: E402
from ircost.datasets.measuring.sampling import Limits, cases  # noqa: E402
from ircost.datasets.measuring.session import Measured, Session  # noqa: E402
from ircost.datasets.measuring.timing import Effort  # noqa: E402


def operands(**options: Any) -> Operands:
    device = torch.device("cpu")
    return Operands(device, torch.Generator(device).manual_seed(0), **options)


@pytest.mark.parametrize(("case", "shape"), CASES, ids=lambda value: getattr(value, "op", None))
def test_the_result_is_of_the_case(case: Case, shape: tuple[int, ...]) -> None:
    (call,) = calls_of(case, operands())
    result = call()
    assert tuple(result.shape) == shape
    assert bool(torch.isfinite(result).all()) and float(result.max() - result.min()) > 0


def test_operands_beyond_what_is_drawn_are_not_zeros() -> None:
    made = operands().normal(F32, 3, 2**21)
    assert float(made[2].std()) == pytest.approx(1.0, abs=0.01)


def test_weights_take_turns_until_they_are_more_than_a_cache_holds() -> None:
    case = Gemm("linear", F32, 1, 1, 64, 64)
    assert len(calls_of(case, operands(weights_in_turn_bytes=10 * case.weight_bytes))) == 10
    assert len(calls_of(case, operands(weights_in_turn_bytes=1e9))) == 512
    assert len(calls_of(case, operands(weights_in_turn_bytes=1.0))) == 1


def test_drawn_cases_run_on_the_cpu() -> None:
    library = open_pytorch("cpu", eager=False, threads=1)
    drawn = islice(cases(library.kinds, [F32], 0, Limits(1e6, 1e7)), 60)
    found = list(Session(library, "mine", "us", Effort(least=1, most=1)).measure(drawn))
    assert all(isinstance(own, Measured) for own in found)
    assert {own.case.family for own in found} == {"gemm", "attention", "vector", "conv"}
    assert library.framework == "pytorch"


def test_a_case_that_pytorch_refuses_is_told() -> None:
    impossible = Conv("conv2d", F32, 1, 3, 2, 2, 4, *(7, 7, 1, 1, 0, 0))
    with pytest.raises(CaseError), open_pytorch("cpu", eager=False, threads=None).ready(impossible, seed=0):
        pass


def test_numbers_that_are_not_finite_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from ircost.datasets.measuring.pytorch import library

    monkeypatch.setattr(library, "calls_of", lambda case, operands: [lambda: torch.tensor([float("nan")])])
    with (
        pytest.raises(CaseError, match="not finite"),
        open_pytorch("cpu", eager=False, threads=None).ready(Vector("add", F32, 2, 2), seed=0),
    ):
        pass


@pytest.mark.parametrize(("device", "message"), [("tpu9", "no such device"), ("meta", "measured on GPUs")])
def test_a_device_that_is_none_is_told(device: str, message: str) -> None:
    with pytest.raises(MeasureError, match=message):
        open_pytorch(device, eager=False, threads=None)


# ---- a GPU, made up: what is recorded, and what is timed


class FakeCuda:
    """``torch.cuda`` of a GPU: a launch takes 3 us, the start of a graph 6 us; and a list of what is done."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.now_s = 0.0
        self.recorded: int | None = None  # launches of the graph that is being recorded

    def launch(self) -> None:
        if self.recorded is not None:
            self.recorded += 1
        else:
            self.now_s += 3e-6
            self.done.append("launch")

    @property
    def side_stream(self) -> Any:
        return SimpleNamespace(wait_stream=lambda other: self.done.append("wait"))

    def current_stream(self) -> object:
        return "current"

    def stream(self, stream: object) -> FakeCuda:
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        pass

    def synchronize(self) -> None:
        self.done.append("synchronize")

    def Event(self, enable_timing: bool) -> Any:  # noqa: N802
        assert enable_timing
        event = SimpleNamespace(at=0.0, synchronize=lambda: None)
        event.record = lambda: setattr(event, "at", self.now_s)
        event.elapsed_time = lambda end: 1e3 * (end.at - event.at)
        return event

    def CUDAGraph(self) -> Any:  # noqa: N802
        graph = SimpleNamespace(launches=0)

        def replay() -> None:
            self.now_s += 6e-6 + 3e-6 * graph.launches
            self.done.append("replay")

        graph.replay = replay
        return graph

    def graph(self, graph: Any, stream: object) -> Any:
        cuda = self

        class Recording:
            def __enter__(self) -> None:
                cuda.recorded = 0

            def __exit__(self, *error: object) -> None:
                graph.launches, cuda.recorded = cuda.recorded, None

        return Recording()


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    fake = FakeCuda()
    monkeypatch.setattr(clocks, "torch", SimpleNamespace(cuda=fake))
    return fake


def test_a_graph_of_whole_turns_is_recorded_warm_and_replayed(cuda: FakeCuda) -> None:
    turns = [cuda.launch for _ in range(6)]
    sampler = clocks.GraphClock(cuda.side_stream).sampler(turns)
    assert cuda.done == ["wait", *["launch"] * 9, "replay", "synchronize"]
    assert isinstance(sampler, clocks.GraphRun) and sampler.count % 6 == 0 and sampler.count >= 400
    assert sampler.sample() == pytest.approx(3e-6, rel=0.01)  # the graph's start is no percent of it


def test_long_kernels_are_recorded_once_for_each_turn(cuda: FakeCuda) -> None:
    def long() -> None:
        for _ in range(10_000):
            cuda.launch()

    sampler = clocks.GraphClock(cuda.side_stream).sampler([long])
    assert isinstance(sampler, clocks.GraphRun) and sampler.count == 1


def test_eager_calls_are_timed_one_by_one(cuda: FakeCuda) -> None:
    sampler = clocks.EventClock().sampler([cuda.launch])
    before = len(cuda.done)
    assert sampler.sample() == pytest.approx(3e-6)
    assert cuda.done[before:] == ["launch"]
