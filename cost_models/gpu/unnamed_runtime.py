"""Kernels of no named runtime, and the constants that stand in for theirs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from ircost.cost_models.gpu.families import Family, words
from ircost.cost_models.gpu.fit import Effect, Effects
from ircost.cost_models.gpu.labels import GRAPH_REPLAY, of_work
from ircost.cost_models.gpu.table_work import Columns, coded

# Whose kernels stand for those of nobody's runtime in particular: the first of these groups that a family was measured
# with. Each was timed without a host: as replayed graphs, by a profiler, in a loop, or on a CPU.
GRAPH_REPLAYS = (
    *(("vllm", "sglang", "trtllm"), ("sarathi",), ("nccl",), ("vendor library",)),
    *(("pytorch graphs",), ("onnxruntime",)),
)
# Where there is none of them: on a GPU the host of eager PyTorch has constants of its own, which networks' kernels do
# not have.
STANDING = (*GRAPH_REPLAYS, ("pytorch",))
# Families whose runtimes are so far apart that the fastest of them are no kind of kernels: of latent attention's one
# takes ten times as long as another. Published machines that were left out erred by 35 % with them, by 25 without.
FAR_APART = frozenset(("mla",))


def with_graph_replay(effects: Effects) -> dict[Effect, Mapping[str, float]]:
    """The same with a runtime of nobody's in particular: the mean of those that replay graphs, or of who stands in."""
    known = {level for effect, level in effects if effect == "runtime"}
    chosen = next((group for group in STANDING if known & set(group)), ())
    levels: dict[Effect, list[Mapping[str, float]]] = {}
    for (effect, level), amounts in effects.items():
        own = next(
            (name for name in chosen if effect.startswith("runtime") and f"{level} ".startswith(f"{name} ")), None
        )
        if own is not None:
            levels.setdefault((effect, GRAPH_REPLAY + level.removeprefix(own)), []).append(amounts)
    means = {
        key: {name: sum(amounts[name] for amounts in found) / len(found) for name in found[0]}
        for key, found in levels.items()
    }
    return {**effects, **means}


def fastest_rows(family: Family, columns: Columns) -> dict[str, np.ndarray]:
    """Each kernel of a machine by the fastest of the runtimes that it was measured with.

    Kernels that one runtime alone was measured with count where no other has their format.

    Args:
        columns: completed, of rows that tell of a kernel and of a latency.

    Returns: those rows; none where there is one runtime only, or where runtimes are too far apart.
    """
    runtimes, names = coded(columns["framework"])
    rows = np.flatnonzero(np.isin(runtimes, [names.index(name) for name in GRAPH_REPLAYS[0] if name in names]))
    runtimes = runtimes[rows]
    if len(np.unique(runtimes)) < 2 or family.name in FAR_APART:
        return {name: column[:0] for name, column in columns.items()}
    formats = _numbered(columns[name][rows] for name in ("device", "dtype", "kv_dtype") if name in columns)
    sizes = (columns[name][rows] for name in sorted(family.columns - {"kernel", "power_w"}))
    computed = (family.kinds(columns)[rows], words(columns["kernel"], of_work)[rows])
    kernels = _numbered((formats, columns["caches"][rows], *computed, *sizes))
    order = np.lexsort((columns["latency_us"][rows], kernels))
    is_fastest = np.zeros(len(rows), dtype=bool)
    is_fastest[order[np.r_[True, np.diff(kernels[order]) > 0]]] = True
    counts = _has_several(kernels, runtimes) | ~_has_several(formats, runtimes)
    return {name: column[rows[is_fastest & counts]] for name, column in columns.items()}


def _numbered(columns: Iterable[np.ndarray]) -> np.ndarray:
    """[rows] a number for each combination of what stands in columns."""
    found = np.zeros(1, dtype=np.int64)
    for column in columns:
        own = coded(column)[0] if column.dtype == object else np.unique(column, return_inverse=True)[1]
        _, found = np.unique(found * (int(own.max(initial=0)) + 1) + own, return_inverse=True)
    return found


def _has_several(groups: np.ndarray, runtimes: np.ndarray) -> np.ndarray:
    """[rows] whether more than one runtime is in a row's group."""
    pairs = np.unique(np.stack([groups, runtimes]), axis=1)
    found: np.ndarray = (np.bincount(pairs[0]) > 1)[groups]
    return found
