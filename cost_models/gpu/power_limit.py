"""Where power sets the pace: what an operation takes on a generation of chips, against what its board may draw.

Cards with little power for their peak (T4, P4, L4) run their peak for an instant only. A target's own file cannot tell:
its energies are derived so that the peak just fits.
"""

from __future__ import annotations

from dataclasses import dataclass

from ircost.backends import Target
from ircost.backends.runtime import RUNTIMES


@dataclass(frozen=True, slots=True)
class OperationEnergy:
    """Energy of one operation, operands from registers and shared memory included.

    Args:
        vector_j: f32 on the vector lanes. matrix_j: 16-bit formats in the matrix units.
    """

    vector_j: float
    matrix_j: float


# 12 nm: 30 pJ of overhead and 1.5 pJ for a multiply-add of a lane (Dally, "Hardware for Deep Learning", Hot Chips
# 2023), less what wide lanes share; other nodes by TSMC's announced power at equal speed (16 to 7 nm: 0.4, 7 to 5 nm:
# 0.7; 28 to 16 nm: 0.4 to 0.6). Matrix units: Volta's instruction takes 0.86 pJ an operation there, operands from L2
# and shared memory come on top; Hopper's and Blackwell's read shared memory themselves. All are guesses to a third.
ENERGIES = {
    "maxwell": OperationEnergy(20e-12, 20e-12),
    "pascal": OperationEnergy(14e-12, 14e-12),
    "volta": OperationEnergy(12e-12, 1.25e-12),
    "turing": OperationEnergy(12e-12, 1.25e-12),
    "ampere": OperationEnergy(6e-12, 1.1e-12),
    "ampere_ga102": OperationEnergy(7e-12, 1.1e-12),
    "ada": OperationEnergy(3.5e-12, 1.1e-12),
    "hopper": OperationEnergy(3.5e-12, 0.6e-12),
    "blackwell": OperationEnergy(3.5e-12, 0.4e-12),
    "blackwell_rtx": OperationEnergy(3.5e-12, 1.0e-12),
}


def energy_j_per_flop(architecture: str, unit: str, arithmetic: str) -> float:
    """Of one operation; 0, no limit, where nobody knows the architecture.

    Matrix units take energy with the width of their operands: half of it for 8 bits, twice for tf32.
    """
    energies = ENERGIES.get(architecture)
    if energies is None:
        return 0.0
    bits = {"f64": 64, "f32": 32, "tf32": 32, "i8": 8, "f4e2m1": 4}.get(
        arithmetic, 8 if arithmetic.startswith("f8") else 16
    )
    return energies.matrix_j * bits / 16 if unit == "matrix" else energies.vector_j * bits / 32


def sustained_flops_per_s(target: Target, arithmetic: str) -> float:
    """What the board's power allows in a format, were all of it arithmetic: above the peak where power is no limit.

    Without end where nobody knows what an operation takes.

    Raises:
        TargetError: the target cannot compute in the format.
    """
    unit, unit_format = target.unit_for(arithmetic)
    energy_j = energy_j_per_flop(target.architecture, unit, unit_format)
    return (target.power.peak_w - target.power.idle_w) / energy_j if energy_j else float("inf")


# Lanes without an instruction that multiplies 16 bits and adds in 32: libraries convert and multiply in f32.
# Source: cuBLAS' manual, cublasGemmEx with CUBLAS_COMPUTE_32F, which frameworks call; LLVM's AMDGPU guide, in which
# dot instructions begin with gfx906.
LACKS_MIXED = frozenset(("maxwell", "pascal", "turing", "gcn5"))


def product_flops_per_s(target: Target, arithmetic: str, is_block_scaled: bool = False) -> float:
    """Peak of products in a format, at the highest clock; their sums are kept in f32 where it is narrower, unless the
    runtime says otherwise.

    Raises:
        TargetError: the target cannot compute in the format.
    """
    peak = float(target.peak_flops_per_s(arithmetic, is_block_scaled=is_block_scaled))
    unit, _ = target.unit_for(arithmetic)
    runtime = RUNTIMES.get(target.runtime)
    sums_wide = runtime is None or not runtime.sums_narrow
    is_mixed = unit == "vector" and arithmetic in ("f16", "bf16") and target.architecture in LACKS_MIXED
    found = min(peak, float(target.peak_flops_per_s("f32"))) if is_mixed and sums_wide else peak
    return found * target.processors.boost
