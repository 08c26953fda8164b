"""Work split over forked copies of the process, so that only results are passed between them."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise
from multiprocessing.connection import Connection
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def processors() -> int:
    """How many processes may work at a time; 1 where this one cannot be copied.

    That is where the system has no such thing, or libraries that do not stand it (macOS), in a copy, and while other
    threads do work: what they hold stays held in a copy for ever. Threads that only serve this one (daemons, as of a
    progress bar) are no hindrance.
    """
    if "fork" not in multiprocessing.get_all_start_methods() or sys.platform == "darwin":
        return 1
    if multiprocessing.current_process().daemon:
        return 1
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.current_thread()):
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def side_by_side(
    work: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item], processes: int, fewest: int
) -> list[Result]:
    """``work(items)``, neighbours in a process each; of what goes wrong the first is raised, by the items' order.

    Args:
        work: of some of the items; what it gives for one must not depend on the others, and must be plain data.
        processes: at most. fewest: items that are worth a process.
    """
    count = max(min(processes, len(items) // fewest), 1)
    if count == 1:
        return work(items)
    ends = [len(items) * part // count for part in range(count + 1)]
    first, *others = [items[begin:end] for begin, end in pairwise(ends)]
    copies = [_Copy(work, part) for part in others]
    try:
        return [result for part in (work(first), *(copy.results() for copy in copies)) for result in part]
    finally:
        for copy in copies:
            copy.end()


class _Copy(Generic[Result]):
    """A process that works on some of the items."""

    def __init__(self, work: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item]) -> None:
        context = multiprocessing.get_context("fork")
        self.inbox, outbox = context.Pipe(duplex=False)
        self.process = context.Process(target=_told, args=(outbox, work, items), daemon=True)
        with warnings.catch_warnings():  # Python 3.12 sees threads of BLAS, which do nothing now
            warnings.simplefilter("ignore", DeprecationWarning)
            self.process.start()
        outbox.close()

    def results(self) -> list[Result]:
        """Raises what the work has raised."""
        found, error = self.inbox.recv()
        if error is not None:
            raise error
        return found  # type: ignore[no-any-return]

    def end(self) -> None:
        self.process.terminate()
        self.process.join()
        self.inbox.close()


def _told(outbox: Connection, work: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item]) -> None:
    try:
        outbox.send((work(items), None))
    except Exception as error:  # told where the results are waited for
        outbox.send((None, error))
