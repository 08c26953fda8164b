"""Several products in one kernel, chained through tiles on chip.

No such kernel is in any measured table but attention. Each product of a chain counts as a phase, on the constants that
were fitted to attention; resources work side by side within a phase, as they do there, and phases follow one another:
nothing of one is taken to hide behind another, though blocks that share a processor may do so. That is between the
slowest resource of all phases together, which is the best that is possible, and the sum of all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ircost.cost_models.gpu.demand import CHAIN, Column, Demand
from ircost.cost_models.gpu.machine import GpuMachine

# The largest tile that one pass of the main loop makes. Source: NVIDIA/cutlass, default tiles.
ROWS, COLUMNS = 128.0, 256.0
# A step of attention meets 64 keys with two products of its rows, by 64 columns and by 64 of the reduction each.
STEP_POINTS, PRODUCTS_OF_STEP = 64.0 * 64.0, 2.0


@dataclass(frozen=True, slots=True)
class ChainWork:
    """One product of a chain, and what follows it; every field is [rows].

    Args:
        blocks: tiles of the kernel. runs: steps that each goes through.
        batch, m, n, k: of the product in one step of one tile, halo included.
        lhs_bytes, rhs_bytes: of an element.
        lhs_loaded_bytes, rhs_loaded_bytes: of an operand from outside in one step of one tile; 0 of one on chip.
        beside_loaded_bytes: of what follows it from outside, by all tiles. kept_bytes: they write to shared memory.
        lane_flops, special: of what follows it, recomputation included, on the vector lanes and in the special units.
        lhs_once_bytes, rhs_once_bytes, other_bytes: compulsory traffic with main memory.
        is_on_lanes: 1 where the product runs on the vector lanes. is_first: 1 for the phase that is launched.
        lhs_sets, rhs_sets: how many operands take turns, see ``GemmWork``.
        flops_per_s, sustained_flops_per_s: of the units that run products. least_tile: of these.
    """

    blocks: Column
    runs: Column
    batch: Column
    m: Column
    n: Column
    k: Column
    lhs_bytes: Column
    rhs_bytes: Column
    lhs_loaded_bytes: Column
    rhs_loaded_bytes: Column
    beside_loaded_bytes: Column
    kept_bytes: Column
    lane_flops: Column
    special: Column
    lhs_once_bytes: Column
    rhs_once_bytes: Column
    other_bytes: Column
    is_on_lanes: Column
    is_first: Column
    lhs_sets: Column
    rhs_sets: Column
    flops_per_s: float
    sustained_flops_per_s: float
    least_tile: float


def chain_demand(work: ChainWork, machine: GpuMachine) -> Demand:
    """What one phase asks for: whole tiles on as many processors as there are blocks, one block on each.

    Operands from outside are loaded from L2 by every tile and step; main memory brings them once, and what does not
    stay in L2 once more in each wave.
    """
    processors, slower, rate = machine.processors, machine.clocks_per_reference, machine.main_bytes_per_s
    waves = np.ceil(work.blocks / processors)
    active = np.minimum(work.blocks, processors)
    on_lanes = work.is_on_lanes > 0
    least = work.least_tile
    rows, columns = (np.where(on_lanes, x, np.ceil(x / least) * least) for x in (work.m, work.n))
    of_block = 2 * work.batch * rows * columns * work.k * work.runs
    on_units = np.where(on_lanes, 0.0, of_block)
    matrix_s = waves * processors * on_units / work.flops_per_s
    power_s = work.blocks * on_units / work.sustained_flops_per_s
    # Blocks run whole: processors without one wait.
    idle = waves * processors / work.blocks
    lanes = work.lane_flops + np.where(on_lanes, work.blocks * of_block, 0.0)
    vector_s = idle * (lanes / machine.vector_flops_per_s + work.special / machine.special_per_s)
    passes_down, passes_across = np.ceil(work.m / ROWS), np.ceil(work.n / COLUMNS)
    fed = work.k * (work.m * work.lhs_bytes * passes_across + work.n * work.rhs_bytes * passes_down)
    # On the lanes, threads hold a window's neighbours in registers: each element is read once for each row of it.
    fed = np.where(on_lanes, np.sqrt(work.k) * work.m * work.lhs_bytes, fed) * work.batch * work.runs
    shared_s = waves * (fed + 2 * work.kept_bytes / work.blocks) / machine.shared_bytes_per_s
    loaded = work.blocks * work.runs * (work.lhs_loaded_bytes + work.rhs_loaded_bytes)
    l2_s = (loaded + work.beside_loaded_bytes + work.other_bytes) / machine.l2_bytes_per_s(active)
    activations, weights = work.lhs_once_bytes + work.other_bytes, work.rhs_once_bytes
    melt = 1 / (1 + (0.7 * machine.cache_bytes / np.maximum(activations + weights, 1)) ** 4)
    main_s = (activations + weights + (waves - 1) * weights * melt) / rate
    each = work.batch * passes_down * np.maximum(work.n * work.k / STEP_POINTS, 1.0)
    steps = work.runs * np.where(on_lanes, 1.0, each) / PRODUCTS_OF_STEP * np.maximum(work.blocks / processors, 1)
    columns_of = {
        **{"matrix": matrix_s, "vector": vector_s, "shared": shared_s, "l2": l2_s, "main": main_s},
        CHAIN: steps * slower,
    }
    fixed = {
        "launch": work.is_first * slower,
        "wave": np.maximum(work.blocks / processors - 1, 0) * slower,
    }
    return Demand(
        busy={name: column[:, None] for name, column in columns_of.items()},
        fixed={name: column[:, None] for name, column in fixed.items()},
        reused=(
            (
                (activations / rate)[:, None],
                machine.share_of_cache(work.lhs_sets * activations + weights)[:, None],
            ),
            (
                (weights / rate)[:, None],
                machine.share_of_cache(work.lhs_sets * activations + work.rhs_sets * weights)[:, None],
            ),
        ),
        issues=work.is_first[:, None] * machine.host_launches,
        least={"matrix": power_s[:, None]},
        active=(active / processors)[:, None],
    )
