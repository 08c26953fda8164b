"""Memory in use over the program: weights stay, activations come and go and are given places."""

from __future__ import annotations

from dataclasses import dataclass

from ircost.backends import Target
from ircost.cost_models.allocation import Allocation, allocate
from ircost.cost_models.liveness import lifetimes
from ircost.ir.graph import Module, Op


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """Bytes that a module's values take.

    Args:
        weights_bytes: what stays for the whole run: constants and what is computed from them at load.
        peak_activations_bytes: most that inputs, intermediates and results take at one time: the lower bound of
            any allocation.
        peak_op: where that is; None in an empty program.
        allocation: places of all buffers but the weights'.
        has_flash: weights lie in a memory apart, and take nothing of main memory.
    """

    weights_bytes: int
    peak_activations_bytes: int
    peak_op: Op | None
    allocation: Allocation
    has_flash: bool = False

    @property
    def resident_bytes(self) -> int:
        """Of weights, in main memory."""
        return 0 if self.has_flash else self.weights_bytes

    @property
    def peak_bytes(self) -> int:
        """Of main memory: weights, and activations at the fullest moment."""
        return self.resident_bytes + self.peak_activations_bytes

    @property
    def allocated_bytes(self) -> int:
        """Of main memory: weights, and the arena of all else, what a run asks for."""
        return self.resident_bytes + self.allocation.arena_bytes


def memory_use(module: Module, *, alignment: int = 1, exact: bool = False, target: Target | None = None) -> MemoryUse:
    """Memory in program order, element-wise results in place where that is allowed.

    Args:
        alignment: of each buffer's place, in bytes.
        exact: ask a solver for the smallest arena.
        target: the machine, which may have flash for weights; where it is a microcontroller, an input's place is used
            again once nothing reads it, as its runtimes do. Left out, weights and inputs stay.

    Raises:
        SolverError: ``exact``, and no solver is installed.
    """
    lived = lifetimes(module, keeps_inputs=keeps_inputs(target))
    has_flash = target is not None and target.flash is not None
    return MemoryUse(lived.weights_bytes, lived.peak_bytes, lived.peak_op, allocate(lived, alignment, exact), has_flash)


def keeps_inputs(target: Target | None) -> bool:
    """Whether inputs lie where they are to the end of a run: runtimes of microcontrollers plan them like any value."""
    return target is None or target.kind != "microcontroller"
