"""Three ways to time a call of PyTorch: graphs and eager calls on a GPU, and the host's clock on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from ircost.datasets.measuring.host_clock import WARM_CALLS, host_run, launches
from ircost.datasets.measuring.library import EAGER, GRAPHS, Sampler
from ircost.datasets.measuring.pytorch.kernels import Call

# A graph's launches take so long together that its own start, some microseconds, is no percent of them.
GRAPH_S = 2e-3
EAGER_LAUNCH_S = 5e-6  # no call from Python is shorter: what short kernels are taken for, before a graph shows


class Clock(Protocol):
    """A way to time calls."""

    @property
    def framework(self) -> str:
        """Whose kernels tables call those that are launched so."""

    @property
    def protocol(self) -> str:
        """How they are launched, and what is in caches: for people."""

    @property
    def weights_take_turns(self) -> bool:
        """Whether second operands of products are to come from main memory."""

    def sampler(self, calls: Sequence[Call]) -> Sampler:
        """Calls that do the same work, ready to be timed."""


@dataclass(frozen=True, slots=True)
class HostClock:
    """The host's, on a CPU."""

    framework = EAGER
    protocol = "eager calls by the host's clock; operands are used again and may lie in caches"
    weights_take_turns = False

    def sampler(self, calls: Sequence[Call]) -> Sampler:
        return host_run(calls[0])


@dataclass(frozen=True, slots=True)
class GraphClock:
    """A graph of many launches, replayed: no launch waits for the host. Timed by events around each replay.

    Args:
        stream: on which calls are warmed and recorded.
    """

    stream: torch.cuda.Stream

    framework = GRAPHS
    protocol = (
        "CUDA graphs of many launches, replayed, by events around each replay; second operands of products take turns "
        "and come from main memory, all else is used again and may lie in caches"
    )
    weights_take_turns = True

    def sampler(self, calls: Sequence[Call]) -> Sampler:
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            launch_s = warmed(calls)
        count = launches(max(launch_s, EAGER_LAUNCH_S), GRAPH_S, len(calls))
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self.stream):
            for number in range(count):
                calls[number % len(calls)]()
        graph.replay()  # the first one uploads it
        torch.cuda.synchronize()
        return GraphRun(graph, count)


@dataclass(frozen=True, slots=True)
class GraphRun:
    graph: torch.cuda.CUDAGraph
    count: int

    def sample(self) -> float:
        return elapsed_s(self.graph.replay) / self.count


@dataclass(frozen=True, slots=True)
class EventClock:
    """Events around each call, one call at a time: what the host does to launch it is inside."""

    framework = EAGER
    protocol = "events around each eager call, which waits for the host; operands are used again and may lie in caches"
    weights_take_turns = False

    def sampler(self, calls: Sequence[Call]) -> Sampler:
        warmed(calls)
        return EventRun(calls[0])


@dataclass(frozen=True, slots=True)
class EventRun:
    call: Call

    def sample(self) -> float:
        return elapsed_s(self.call)


def warmed(calls: Sequence[Call]) -> float:
    """Seconds of a call, by events around all of them but the first ones."""
    for number in range(WARM_CALLS):
        calls[number % len(calls)]()

    def all_of_them() -> None:
        for call in calls:
            call()

    return elapsed_s(all_of_them) / len(calls)


def elapsed_s(action: Callable[[], object]) -> float:
    """Seconds from before a GPU's work until it is done, by events on the current stream."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in "se")
    start.record()
    action()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) * 1e-3
