"""Three ways to time a call of PyTorch: graphs and eager calls on a GPU, and the host's clock on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from ircost.datasets.measuring.host_clock import WARM_CALLS, host_run, launches
from ircost.datasets.measuring.library import Sampler
from ircost.datasets.measuring.pytorch.kernels import Call

# A graph's launches take so long together that its own start, some microseconds, is no percent of them.
GRAPH_S = 2e-3
EAGER_LAUNCH_S = 5e-6  # no call from Python is shorter: what short kernels are taken for, before a graph shows


class Clock(Protocol):
    """A way to time calls."""

    def sampler(self, calls: Sequence[Call]) -> Sampler:
        """Calls that do the same work, ready to be timed."""


@dataclass(frozen=True, slots=True)
class HostClock:
    """The host's, on a CPU."""

    def sampler(self, calls: Sequence[Call]) -> Sampler:
        return host_run(calls[0])


@dataclass(frozen=True, slots=True)
class GraphClock:
    """A graph of many launches, replayed: no launch waits for the host. Timed by events around each replay.

    Args:
        pool: memory that graphs share; only one of them is there at a time.
    """

    device: torch.device
    pool: Any = field(default_factory=torch.cuda.graph_pool_handle)

    def sampler(self, calls: Sequence[Call]) -> Sampler:
        stream = torch.cuda.Stream(self.device)
        stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(stream):
            launch_s = warmed(calls)
        count = launches(max(launch_s, EAGER_LAUNCH_S), GRAPH_S, len(calls))
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool, stream=stream):
            for number in range(count):
                calls[number % len(calls)]()
        graph.replay()  # the first one uploads it
        torch.cuda.synchronize(self.device)
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
