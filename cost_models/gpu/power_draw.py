"""What a GPU draws: idle power and published energies, by fitted factors.

    joules = static * idle power * time                      leakage and clocks while anything runs
           + active * budget * time * share of processors    those that have work
           + ports  * budget / port rate * bytes             from L2 into the processors
           + operations * published energy * operations      power.energy_j_per_flop
           + published energy * bytes                        main memory: the target's own figure

and never more than the power limit for as long as it takes. The budget is the board's power above idle: what its
designers had to spend on whatever moves.
"""

from __future__ import annotations

from dataclasses import dataclass

from ircost.backends import Target
from ircost.cost_models.gpu.activity import Activity
from ircost.cost_models.gpu.demand import Column
from ircost.cost_models.gpu.machine import PORT_BYTES_PER_CLOCK
from ircost.cost_models.gpu.power_constants import PowerFactors
from ircost.cost_models.gpu.power_limit import energy_j_per_flop


@dataclass(frozen=True, slots=True)
class Drawn:
    """Joules of each run at factors of one; every column is [rows]. The first four are scaled by ``PowerFactors``."""

    static_j: Column
    active_j: Column
    ports_j: Column
    operations_j: Column
    main_j: Column

    def energy_j(self, factors: PowerFactors) -> Column:
        """[rows] before the power limit."""
        scaled = (self.static_j, self.active_j, self.ports_j, self.operations_j)
        found: Column = self.main_j + sum(
            factor * column for factor, column in zip(factors.to_array(), scaled, strict=True)
        )
        return found


def drawn(activity: Activity, operations_j: Column, latency_s: Column, target: Target) -> Drawn:
    """Args:
    operations_j: [rows] at published energies.
    latency_s: [rows] of one run.
    """
    budget_w = board_budget_w(target)
    return Drawn(
        float(target.power.idle_w) * latency_s,
        budget_w * activity.active_share * latency_s,
        budget_w / port_bytes_per_s(target) * activity.port_bytes,
        operations_j,
        main_memory_j_per_byte(target) * activity.main_bytes,
    )


def board_budget_w(target: Target) -> float:
    """The board's power above idle, at the limit that it was made for."""
    power = target.power
    return float((power.design_w or power.peak_w) - power.idle_w)


def port_bytes_per_s(target: Target) -> float:
    """Of all ports between L2 and the processors."""
    return float(PORT_BYTES_PER_CLOCK * target.processors.clock_hz * target.processors.count)


def operation_j(target: Target, arithmetic: str, engine: str) -> float:
    """Published energy of one operation, where the generation is known; else what the board's power leaves for it.

    Args:
        engine: ``matrix`` or ``vector``.

    Raises:
        TargetError: the target cannot compute in the format.
    """
    unit, unit_format = target.unit_for(arithmetic, "matrix" if engine == "matrix" else "vector")
    said = (target.energy.matrix if unit == "matrix" else target.energy.vector).get(unit_format)
    published = energy_j_per_flop(target.architecture, unit, unit_format)
    if published and (said is None or said.guess):
        return published
    return float(target.energy_j_per_flop(arithmetic, unit))


def main_memory_j_per_byte(target: Target) -> float:
    energy = target.main_memory.energy_j_per_byte
    assert energy is not None, "every target gives its main memory's energy"
    return float(energy)
