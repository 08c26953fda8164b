"""Which unit of a machine runs which work, and how fast at best."""

from __future__ import annotations

import numpy as np

from ircost.backends import Target
from ircost.ir.types import DType, f32

ENGINES = ("matrix", "vector", "special")
# Units that bound a kernel from below. Special functions can also be computed on the vector lanes, by polynomials.
BOUNDING_ENGINES = slice(0, 2)


def unit_and_peak(target: Target, engine: str, dtype: DType, is_block_scaled: bool = False) -> tuple[str, float]:
    """The unit that runs such work, and its peak in operations per second.

    Contractions in a format that matrix units lack run on the vector lanes. A target that says nothing of its
    special-function units does not limit them.

    Args:
        engine: ``matrix`` (contractions), ``vector`` (all other arithmetic) or ``special`` (transcendental functions).
        dtype: format of the arithmetic. is_block_scaled: as of ``Target.peak_flops_per_s``.

    Raises:
        TargetError: the target cannot compute in this format.
    """
    if engine == "special":
        return engine, target.special_per_s if target.special_per_s is not None else np.inf
    wanted = arithmetic_format(engine, dtype)
    if engine == "vector" and target.kind == "microcontroller" and dtype.name in target.vector:
        wanted = dtype  # its data sheet does give the rate of integers, and without an FPU that of floats is far below
    unit, _ = target.unit_for(wanted, "matrix" if engine == "matrix" else "vector")
    return unit, target.peak_flops_per_s(wanted, unit, is_block_scaled)


def energy_j_per_flop(target: Target, engine: str, dtype: DType) -> float:
    """Energy of one operation in the unit that runs it."""
    return target.energy_j_per_flop(arithmetic_format(engine, dtype), "matrix" if engine == "matrix" else "vector")


def arithmetic_format(engine: str, dtype: DType) -> DType:
    """No data sheet gives a rate for index arithmetic and masks: vector lanes run them, at f32's rate at best."""
    return f32 if engine == "vector" and not dtype.is_float else dtype
