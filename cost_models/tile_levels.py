"""The memories of a target as levels that tiles are made for."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from ircost.backends import Target
from ircost.backends.target_parts import MemoryLevel

# A cache that evicts what was used least recently misses at most twice as often as the best of half its size, so that
# tiles are planned for half. Source: Sleator, Tarjan, "Amortized Efficiency of List Update and Paging Rules", CACM 28,
# 1985; Frigo et al., "Cache-Oblivious Algorithms", FOCS 1999.
SHARE_OF_CACHE = 0.5
# In memories that software fills, the next operand tile arrives while one is used.
STAGES = 2
# Half of the registers hold sums, the other half operands and addresses.
SHARE_OF_REGISTERS = 0.5
REGISTERS = "registers"


@dataclass(frozen=True, slots=True)
class Level:
    """One memory that holds tiles.

    Args:
        name: as of the target.
        room_bytes: for tiles, of the one there is, or of each processor's own.
        stages: how often each operand tile has room.
        sums_bytes: room for results apart from that, in registers; 0 where results are among the tiles.
        copies: processors that have one each; 1 where all share it.
        source, source_bytes_per_s: the memory behind it.
        inner_bytes: capacity of this memory and of all that are nearer to the arithmetic, of one copy: what a bound
            has to allow for.
        hands_out: its tiles are what processors are given, one at a time.
    """

    name: str
    room_bytes: float
    stages: int
    sums_bytes: float
    copies: int
    source: str
    source_bytes_per_s: float
    inner_bytes: float
    hands_out: bool


def levels_of(target: Target) -> tuple[Level, ...]:
    """From main memory inward. Registers are no level: sums stay there, while operands stream through.

    >>> from ircost.backends import load_target
    >>> [(level.name, level.stages, level.copies) for level in levels_of(load_target("h100"))]
    [('l2', 1, 1), ('shared', 2, 132)]
    """
    memory = [level for level in target.memory if level.name != REGISTERS]
    registers = sum(float(level.capacity_bytes) for level in target.memory if level.name == REGISTERS)
    first_own = next((level for level in memory[1:] if level.per_processor), None)
    found = []
    for outer, level in pairwise(memory):
        is_filled = target.kind in ("accelerator", "microcontroller") or (target.kind == "gpu" and level.per_processor)
        found.append(
            Level(
                name=level.name,
                room_bytes=float(level.capacity_bytes) * (1.0 if is_filled else SHARE_OF_CACHE),
                stages=STAGES if is_filled else 1,
                sums_bytes=registers * SHARE_OF_REGISTERS if level is memory[-1] else 0.0,
                copies=int(target.processors.count) if level.per_processor else 1,
                source=outer.name,
                source_bytes_per_s=float(outer.bandwidth_bytes_per_s),
                inner_bytes=_from_here_inward(target, level),
                hands_out=level is first_own,
            )
        )
    return tuple(found)


def _from_here_inward(target: Target, level: MemoryLevel) -> float:
    """Bytes of a memory and of all nearer to the arithmetic; those of one processor where it has its own."""
    inner = target.memory[target.memory.index(level) :]
    each = 1.0 if level.per_processor else float(target.processors.count)
    return sum(float(other.capacity_bytes) * (each if other.per_processor else 1.0) for other in inner)
