"""Memory in use over the program: weights stay, activations come and go and are given places."""

from __future__ import annotations

from dataclasses import dataclass

from ircost.cost_models.allocation import Allocation, allocate
from ircost.cost_models.liveness import lifetimes
from ircost.ir.graph import Module, Op


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """Bytes in main memory.

    Args:
        weights_bytes: what stays for the whole run: constants and what is computed from them at load.
        peak_activations_bytes: most that inputs, intermediates and results take at one time: the lower bound of
            any allocation.
        peak_op: where that is; None in an empty program.
        allocation: places of all buffers but the weights'.
    """

    weights_bytes: int
    peak_activations_bytes: int
    peak_op: Op | None
    allocation: Allocation

    @property
    def peak_bytes(self) -> int:
        """Weights, and activations at the fullest moment."""
        return self.weights_bytes + self.peak_activations_bytes

    @property
    def allocated_bytes(self) -> int:
        """Weights, and the arena of all else: what a run asks for."""
        return self.weights_bytes + self.allocation.arena_bytes


def memory_use(module: Module, *, alignment: int = 1, exact: bool = False) -> MemoryUse:
    """Memory in program order, element-wise results in place where that is allowed.

    Args:
        alignment: of each buffer's place, in bytes.
        exact: ask a solver for the smallest arena.

    Raises:
        SolverError: ``exact``, and no solver is installed.
    """
    lived = lifetimes(module)
    return MemoryUse(lived.weights_bytes, lived.peak_bytes, lived.peak_op, allocate(lived, alignment, exact))
