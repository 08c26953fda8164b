"""Work that is split over processes gives what it gives in one."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

import ircost.sweeping as sweeps
from ircost.api import import_options_of
from ircost.backends import load_target
from ircost.cost_models.automatic import chosen_model
from ircost.cost_models.side_by_side import processors, side_by_side
from ircost.model_source import model_file
from ircost.passes import DEFAULT_LEVEL, pipeline_of_level
from ircost.sweep_axes import SweepError
from ircost.sweeping import sweep

pytestmark = pytest.mark.skipif(processors() == 1, reason="one processor, or no processes that can be copied")


def squares_and_process(items: Sequence[int]) -> list[tuple[int, int]]:
    return [(item * item, os.getpid()) for item in items]


@pytest.mark.parametrize(("count", "processes", "used"), [(10, 3, 3), (10, 100, 5), (3, 2, 1), (0, 4, 1)])
def test_results_come_in_order_from_as_many_processes_as_are_worth_it(count: int, processes: int, used: int) -> None:
    found = side_by_side(squares_and_process, range(count), processes, 2)
    assert [square for square, _ in found] == [item * item for item in range(count)]
    assert len({process for _, process in found} | {os.getpid()}) == used


def test_the_first_fault_is_raised() -> None:
    def work(items: Sequence[int]) -> list[int]:
        if items[0]:
            raise SweepError(f"at {items[0]}", help="elsewhere")
        return list(items)

    with pytest.raises(SweepError, match="at 10") as caught:
        side_by_side(work, range(30), 3, 2)
    assert caught.value.help == "elsewhere"


def test_no_copy_is_made_of_a_copy_nor_while_others_work() -> None:
    assert side_by_side(lambda items: [processors() for _ in items], range(4), 2, 2)[2:] == [1, 1]
    told, over = [], threading.Event()
    for is_daemon, seen in ((False, 1), (True, processors())):
        over.clear()
        other = threading.Thread(target=over.wait, daemon=is_daemon)
        other.start()
        told.append(processors() == seen)
        over.set()
        other.join()
    assert all(told)


def test_a_sweep_does_not_depend_on_the_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "FEWEST_POINTS", 4)
    target = load_target("h100")
    model, pipeline = chosen_model("auto", target), pipeline_of_level(DEFAULT_LEVEL, target.kind)
    options = import_options_of(phase="decode", mesh="tp=2")
    axes = {"batch": (1, 2, 4), "context": (128, 512, 2048)}
    path: Path = model_file("mixtral-8x7b")
    alone, shared = (sweep(path, options, axes, target, model, pipeline, processes) for processes in (1, 2))
    assert alone == shared and alone.items == "tokens"
