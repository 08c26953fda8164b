"""Language models: how long a cold command line takes, and a sweep; as multiples of what this machine takes anyway.

    make bench

Goals on two idle cores: a cold `irc compile` of the largest models under 1 s, 1,000 points of a sweep under 5 s.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from ircost.api import import_options_of
from ircost.backends import load_target
from ircost.cost_models.automatic import chosen_model
from ircost.model_source import model_file
from ircost.passes import DEFAULT_LEVEL, pipeline_of_level
from ircost.sweeping import sweep

DECODE = ("--target", "h100", "--mesh", "tp=8", "--phase", "decode", "--batch", "8", "--context", "4096")
NUMPY = [sys.executable, "-c", "import numpy, pydantic, yaml, click"]
MOST_TIMES_NUMPY = 12.0  # of starting Python with what is needed anyway
MOST_TIMES_COMPILE = 1.2  # of compiling as many points one by one


def best_s(run: Callable[[], object], times: int = 3) -> float:
    """The quickest of some runs: what else the machine does only ever adds."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return min(found)


@pytest.mark.parametrize("model", ["llama-3.1-405b", "deepseek-v3"])
def test_cold_start(model: str) -> None:
    command = [sys.executable, "-m", "ircost", "compile", model, *DECODE]
    cold_s = best_s(lambda: subprocess.run(command, capture_output=True, check=False))
    python_s = best_s(lambda: subprocess.run(NUMPY, capture_output=True, check=True))
    print(f"\n{model}: {cold_s:.2f} s cold, {cold_s / python_s:.1f} times Python with numpy")
    assert cold_s < MOST_TIMES_NUMPY * python_s


def test_a_point_of_a_sweep_costs_no_more_than_its_part() -> None:
    """As many points at once against one by one: reading, pricing and reporting are shared."""
    target = load_target("h100")
    model, pipeline = chosen_model("auto", target), pipeline_of_level(DEFAULT_LEVEL, target.kind)
    options = import_options_of(phase="decode", dims={"context": 4096})

    def swept(*batches: int) -> None:
        sweep(model_file("llama-3-8b"), options, {"batch": batches}, target, model, pipeline)

    one_s = best_s(lambda: [swept(batch) for batch in range(1, 51)], 1)
    all_s = best_s(lambda: swept(*range(1, 51)), 1)
    print(f"\n{1000 * all_s / 50:.1f} s for 1,000 points; {all_s / one_s:.2f} of one by one")
    assert all_s < MOST_TIMES_COMPILE * one_s
