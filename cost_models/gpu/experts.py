"""A mixture of experts in one fused layer: two grouped products over the rows that each expert got."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ircost.cost_models.gpu.machine import GpuMachine
from ircost.cost_models.gpu.terms import Column, Constants, Parameter, Terms, cold_share, overlapped

ROW_TILES = (16, 32, 64, 128, 256)
COLUMN_TILES = (64, 128, 256)
STEP = 32
CHOICES = tuple(f"{rows}x{columns}" for rows in ROW_TILES for columns in COLUMN_TILES)

PARAMETERS = {
    "arithmetic": Parameter(0.7, 0.1, 1.0, "share of the matrix units' peak that the main loop reaches"),
    "main_memory": Parameter(0.8, 0.3, 0.98, "share of main memory's bandwidth that the weights' stream reaches"),
    "port": Parameter(0.5, 0.05, 1.0, "share of the ports' bandwidth between L2 and the processors"),
    "launch_s": Parameter(2e-5, 1e-6, 1e-2, "sorting the rows by expert, and all launches"),
    "wave_s": Parameter(2e-6, 1e-8, 1e-4, "prologue and epilogue of a wave of tiles"),
    "rows": Parameter(4.0, 0.5, 30.0, "how often a row of activations crosses main memory: gather, gate, combine"),
    "sharpness": Parameter(3.0, 1.0, 30.0, "how well arithmetic and loads overlap: exponent of their sum"),
    "resident": Parameter(0.15, 1e-3, 1.5, "share of the cache that keeps operands between two runs of a benchmark"),
}


@dataclass(frozen=True, slots=True)
class ExpertsWork:
    """Every field is [rows], or one number for all.

    Args:
        tokens: before routing, of all ranks that share the experts.
        hidden, inner: widths of the model and of one expert on this rank.
        chosen: experts for each token.
        experts, ranks: of the whole layer, and over how many ranks they are spread.
        matrices: 3 with a gate, 2 without.
        skew: exponent of the power law that tokens follow over the experts; 0: all get as many.
        activation_bytes, weight_bytes: of an element.
        flops_per_s: peak of the matrix units in this format.
    """

    tokens: Column
    hidden: Column
    inner: Column
    chosen: Column
    experts: Column
    ranks: Column
    matrices: Column
    skew: Column
    activation_bytes: Column
    weight_bytes: Column
    flops_per_s: Column


def experts(work: ExpertsWork, machine: GpuMachine, constants: Constants) -> Terms:
    """Time of routing, two grouped products and the rows' way between them, under the best tile.

    An expert with r rows fills ceil(r / tile) tiles down; experts without rows are not read. Under skewed routing the
    busiest rank counts.

    Source: Gale et al., "MegaBlocks", MLSys 2023 (grouped products over experts).
    """
    names = ("tokens", "hidden", "inner", "chosen", "experts", "ranks", "matrices", "skew")
    count = len(work.tokens)
    tokens, hidden, inner, chosen, total, ranks, matrices, skew = (
        np.broadcast_to(getattr(work, name), (count,)).astype(float) for name in names
    )
    keys, index = np.unique(np.column_stack([tokens, chosen, total, ranks, skew]), axis=0, return_inverse=True)
    loads = np.array([rank_load(*(float(x) for x in key)) for key in keys])[index.reshape(-1)]
    rows, met, tiles_down = loads[:, 0], loads[:, 1], loads[:, 2:]

    activation = np.broadcast_to(work.activation_bytes, (count,))[:, None]
    weight = np.broadcast_to(work.weight_bytes, (count,))[:, None]
    peak = np.broadcast_to(work.flops_per_s, (count,))[:, None]
    row_tile = np.repeat(np.array(ROW_TILES, float), len(COLUMN_TILES))[None]
    column_tile = np.tile(np.array(COLUMN_TILES, float), len(ROW_TILES))[None]
    down = np.repeat(tiles_down, len(COLUMN_TILES), axis=1)

    matrix_s = port_s = wave_s = np.zeros_like(down)
    up_columns = (matrices - 1) * inner
    for columns, depth in ((up_columns, hidden), (hidden, inner)):
        blocks = np.maximum(down * np.ceil(columns[:, None] / column_tile), 1)
        waves = np.ceil(blocks / machine.processors)
        steps = np.ceil(depth[:, None] / STEP) * STEP
        fed = (row_tile * activation + column_tile * weight) / machine.shared_bytes_per_s
        computed = 2 * row_tile * column_tile / (peak / machine.processors)
        matrix_s = matrix_s + waves * steps * np.maximum(computed, fed) / constants["arithmetic"]
        loaded = blocks * (row_tile * activation + column_tile * weight) * steps
        active = np.minimum(blocks, machine.processors)
        port_s = port_s + loaded / (active * machine.port_bytes_per_s * constants["port"])
        wave_s = wave_s + constants["wave_s"] * np.ceil(blocks / machine.processors / 2)

    weights = (met * matrices * hidden * inner)[:, None] * weight
    moved = (rows * (hidden + inner))[:, None] * activation * constants["rows"]
    traffic = (weights + moved) * cold_share(weights + moved, machine, constants["resident"])
    main_s = np.broadcast_to(traffic / (machine.main_bytes_per_s * constants["main_memory"]), matrix_s.shape)
    launch_s = np.full_like(matrix_s, constants["launch_s"])
    busy = {"matrix": matrix_s, "l2": port_s, "main": main_s}
    latency_s = overlapped(busy, constants["sharpness"]) + wave_s + launch_s
    best = latency_s.argmin(axis=1)
    at = np.arange(count), best
    return Terms(
        latency_s[at],
        {name: column[at] for name, column in busy.items()},
        {"launch": launch_s[at], "waves": wave_s[at]},
        best,
        CHOICES,
    )


@lru_cache(maxsize=1 << 16)
def rank_load(tokens: float, chosen: float, experts: float, ranks: float, skew: float) -> tuple[float, ...]:
    """Of the busiest rank: its rows, the experts that got any, and the tiles down for each of ``ROW_TILES``.

    Balanced routing deals rows out one by one. Skewed routing draws each expert's share from a power law between one
    row and four fifths of the tokens; here its quantiles stand for the draw, dealt to the ranks in a fixed shuffle.
    """
    total = tokens * chosen
    count = int(experts)
    if skew <= 0:
        local = max(count / ranks, 1)
        rows = total / experts * local
        met = min(local, max(rows, min(1.0, total)))
        each = rows / met if met else 0.0
        return rows, met, *(met * np.ceil(each / tile) for tile in ROW_TILES)
    places = (np.arange(count) + 0.5) / count
    top, power = max(0.8 * tokens, 1.0 + 1e-9), 1.0 - skew
    shares = (1.0 + places * (top**power - 1.0)) ** (1.0 / power)
    loads = np.minimum(shares / shares.sum() * total, tokens)
    loads = np.random.default_rng(0).permutation(loads)
    by_rank = loads.reshape(int(ranks), -1) if count % int(ranks) == 0 else loads[None]
    busiest = by_rank[by_rank.sum(axis=1).argmax()]
    # A share below one row is a row with that chance.
    met = np.minimum(busiest, 1.0)
    return (
        float(busiest.sum()),
        float(met.sum()),
        *(float((np.where(busiest < 1, met, np.ceil(busiest / tile))).sum()) for tile in ROW_TILES),
    )
