"""Memory of a model by its configuration: what for, on the rank that holds most, and how many sequences fit."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ircost.cost_models.memory import MemoryUse, memory_use
from ircost.frontends.config.build import BuiltModel, build_model
from ircost.ir.graph import Function

LARGEST_BATCH = 2**20  # that is looked for


@dataclass(frozen=True, slots=True)
class RankMemory:
    """Bytes of the rank that holds most."""

    weights_bytes: int
    cache_bytes: int
    activations_bytes: int

    @property
    def total_bytes(self) -> int:
        return self.weights_bytes + self.cache_bytes + self.activations_bytes


def rank_memory(built: BuiltModel) -> RankMemory:
    """Of the fullest stage, before passes."""
    stages = [built] if built.mesh.pp == 1 else [built.of_stage(stage) for stage in range(built.mesh.pp)]
    return max((memory_of(stage, memory_use(stage.module)) for stage in stages), key=lambda memory: memory.total_bytes)


def memory_of(stage: BuiltModel, use: MemoryUse) -> RankMemory:
    """Weights and activations as the module says, the cache with the new tokens in it.

    Args:
        stage: a stage alone, or a model that has one. use: memory of its module.
    """
    main = stage.module.main
    cache = [value for name, value in zip(_names(main, "inputs"), main.arguments, strict=True) if ".past_" in name]
    cache += [value for name, value in zip(_names(main, "outputs"), main.results, strict=True) if "." in name]
    held = sum(value.type.size_bytes for value in cache)
    return RankMemory(use.weights_bytes, held, max(use.allocation.arena_bytes - held, 0))


def _names(main: Function, which: str) -> list[str]:
    names = main.attrs[which]
    assert isinstance(names, tuple), "the builder names inputs and outputs"
    return [str(name) for name in names]


def batches_held(memory: RankMemory, most: int, capacity_bytes: float) -> int:
    """Batches that can be in the stages at once: a rank holds the caches of each, and the activations of one.

    Args:
        memory: of the fullest rank, with one batch. most: that are asked for.

    Returns:
        1 to ``most``; 1, too, where not even one fits.

    >>> batches_held(RankMemory(weights_bytes=30, cache_bytes=10, activations_bytes=5), 4, 60.0)
    2
    """
    if not memory.cache_bytes:
        return most
    left_bytes = capacity_bytes - memory.weights_bytes - memory.activations_bytes
    return min(max(int(left_bytes // memory.cache_bytes), 1), most)


def largest_batch(built: BuiltModel, capacity_bytes: float) -> int:
    """The most sequences whose pass fits a rank's memory, which grows with them, of all copies; 0 where none does.

    In one batch; shared among batches in flight they take no more: as much cache, and activations of fewer.

    What one sequence more takes is nearly always the same, so a straight line through two sizes says where to look;
    the interval that is left is halved as often as it needs.
    """

    def held(batch: int) -> int:
        work = replace(built.workload, batch=batch * built.mesh.dp)
        return rank_memory(build_model(built.architecture, work, built.mesh)).total_bytes

    one = held(1)
    if one > capacity_bytes:
        return 0
    low, high = 1, LARGEST_BATCH + 1
    probe, each = 2, 0.0
    while high - low > 1:
        taken = held(probe)
        low, high = (probe, high) if taken <= capacity_bytes else (low, probe)
        if probe > 1:
            each = (taken - one) / (probe - 1)
        guess = int(1 + (capacity_bytes - one) / each) if each > 0 else LARGEST_BATCH
        # Where the line was right, the next size up does not fit: two sizes, and the search is over.
        guess = guess + 1 if guess == low else guess
        probe = guess if low < guess < high else (low + high) // 2
    return low * built.mesh.dp
