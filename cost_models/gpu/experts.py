"""A mixture of experts in one fused layer: two grouped products over the rows that each expert got."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ircost.cost_models.gpu.demand import COMMON, Amount, Demand, Parameter, beside
from ircost.cost_models.gpu.labels import OF_KERNEL
from ircost.cost_models.gpu.machine import GpuMachine
from ircost.ir.ops.experts import binomial, experts_met

ROW_TILES = (16, 32, 64, 128, 256)
COLUMN_TILES = (64, 128, 256)
STEP = 32
LOGARITHMIC = 1e-8  # from a skew to 1: nearer, powers lose their digits, and their limit is right to six of them
CHOICES = tuple(f"{rows}x{columns}" for rows in ROW_TILES for columns in COLUMN_TILES)
ROW_TILE = np.repeat(np.array(ROW_TILES, float), len(COLUMN_TILES))[None]
COLUMN_TILE = np.tile(np.array(COLUMN_TILES, float), len(ROW_TILES))[None]

PARAMETERS = {
    "matrix": Parameter("share", 0.7, "share of the matrix units' peak that the main loop reaches"),
    "vector": Parameter("share", 0.5, "share of the vector lanes' peak that unpacking weights reaches"),
    "shared": Parameter("share", 0.7, "share of the bandwidth of shared memory"),
    "l2": Parameter("share", 0.6, "share of the bandwidth between L2 and the processors"),
    "main": Parameter("share", 0.8, "share of main memory's bandwidth that the weights' stream reaches"),
    "launch": Parameter("time", 2e-5, "sorting the rows by expert, and all launches"),
    "wave": Parameter("time", 2e-6, "prologue and epilogue of a wave of tiles"),
    "step": Parameter("time", 3e-8, "one step along k: what its loads and barriers leave unhidden"),
    "rows": Parameter(
        "factor", 4.0, "how often a row of activations streams: gather, gate, convert, combine", OF_KERNEL
    ),
    "others": Parameter("factor", 1.0, "the same of rows that other ranks' experts take", OF_KERNEL),
    "expert": Parameter("time", 5e-8, "one more expert: its part of sorting and of the blocks' schedule"),
    **COMMON,
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
        is_row_summed: as of ``GemmWork``.
        is_drawn: 1 where each token draws its experts at random, all alike; 0 where they are dealt out by ``skew``.
        activation_bytes, weight_bytes: of an element.
        unpack_flops: vector operations on each weight before it can be multiplied.
        flops_per_s: peak of the matrix units in this format.
        sustained_flops_per_s: what the board's power leaves of it while all processors compute.
        sets: how many layers' weights take turns between two uses of one; without end where each is used once.
    """

    tokens: Amount
    hidden: Amount
    inner: Amount
    chosen: Amount
    experts: Amount
    ranks: Amount
    matrices: Amount
    skew: Amount
    activation_bytes: Amount
    weight_bytes: Amount
    unpack_flops: Amount
    flops_per_s: Amount
    sets: Amount
    sustained_flops_per_s: Amount = np.inf
    is_drawn: Amount = 0.0
    is_row_summed: Amount = 0.0


def experts_demand(work: ExpertsWork, machine: GpuMachine) -> Demand:
    """Routing, two grouped products and the rows' way between them, for each tile.

    An expert with r rows fills ceil(r / tile) tiles down; experts without rows are not read. Under skewed routing the
    busiest rank counts. Rows whose experts are on other ranks are not multiplied, but libraries that give every rank
    all tokens (vLLM's and SGLang's Triton and Marlin kernels) sort, write and add up those, too.

    Source: Gale et al., "MegaBlocks", MLSys 2023 (grouped products over experts).
    """
    loads = rank_loads(work)
    rows, met, tiles_down = loads[:, :1], loads[:, 1:2], loads[:, 2:]
    tokens, chosen, hidden, inner, matrices, total, ranks, activation, weight, *others = beside(
        *(work.tokens, work.chosen, work.hidden, work.inner, work.matrices, work.experts, work.ranks),
        *(work.activation_bytes, work.weight_bytes),
        *(work.unpack_flops, work.flops_per_s, work.sets, work.sustained_flops_per_s, work.is_row_summed),
    )
    unpack, peak, sets, sustained, is_summed = others
    tall = np.where((tokens == 1) & (is_summed > 0), 1.0, ROW_TILE)
    down = np.repeat(tiles_down, len(COLUMN_TILES), axis=1)
    processors, slower = machine.processors, machine.clocks_per_reference
    matrix_s = power_s = shared_s = l2_s = vector_s = wave = step = active = np.zeros_like(down)
    for columns, depth in (((matrices - 1) * inner, hidden), (hidden, inner)):
        blocks = np.maximum(down * np.ceil(columns / COLUMN_TILE), 1)
        waves = np.ceil(blocks / processors)
        steps = np.ceil(depth / STEP)
        deep = steps * STEP
        fed = tall * activation + COLUMN_TILE * weight
        of_tile = 2 * tall * COLUMN_TILE * deep
        matrix_s = matrix_s + waves * of_tile * processors / peak
        power_s = power_s + blocks * of_tile / sustained
        shared_s = shared_s + waves * deep * fed / machine.shared_bytes_per_s
        vector_s = vector_s + waves * deep * COLUMN_TILE * unpack * processors / machine.vector_flops_per_s
        l2_s = l2_s + blocks * fed * deep / machine.l2_bytes_per_s(np.minimum(blocks, processors))
        active = active + np.minimum(blocks / processors, 1) / 2
        wave = wave + np.ceil(blocks / processors / 2)
        step = step + steps * np.ceil(blocks / processors / 2)
    weights = met * matrices * hidden * inner * weight
    moved = rows * (hidden + inner) * activation
    elsewhere = np.maximum(tokens * chosen - rows, 0.0) * (hidden + inner) * activation * (ranks > 1)
    rate = machine.main_bytes_per_s
    ones = np.ones_like(down)
    return Demand(
        busy={
            "matrix": matrix_s,
            "vector": vector_s,
            "shared": shared_s,
            "l2": l2_s,
            "main": (weights + moved) / rate * ones,
        },
        fixed={
            "launch": slower * ones,
            "wave": wave * slower,
            "step": step * slower,
            "rows": moved / rate * ones,
            "others": elsewhere / rate * ones,
            "expert": total / ranks * slower * ones,
        },
        reused=(((weights + moved) / rate, machine.share_of_cache(sets * weights + moved)),),
        choices=CHOICES,
        least={"matrix": power_s},
        active=active,
        issues=np.full((1, 1), machine.host_launches),
    )


def rank_loads(work: ExpertsWork) -> np.ndarray:
    """[rows, 2 + row tiles] of the busiest rank, see ``rank_load``; each distinct routing is looked at once."""
    names = ("tokens", "chosen", "experts", "ranks", "skew", "is_drawn")
    count = np.size(work.tokens)
    columns = [np.broadcast_to(getattr(work, name), (count,)).astype(float) for name in names]
    # Column by column: sorting whole rows takes NumPy several times as long.
    codes = np.zeros(count, dtype=np.int64)
    for column in columns:
        values, own = np.unique(column, return_inverse=True)
        if len(values) > 1:
            _, codes = np.unique(codes * len(values) + own, return_inverse=True)
    _, first, index = np.unique(codes, return_index=True, return_inverse=True)
    loads = np.array([rank_load(*(float(column[row]) for column in columns)) for row in first])
    found: np.ndarray = loads[index.reshape(-1)]
    return found


@lru_cache(maxsize=1 << 16)
def rank_load(
    tokens: float, chosen: float, experts: float, ranks: float, skew: float, is_drawn: float
) -> tuple[float, ...]:
    """Of the busiest rank: its rows, the experts that got any, and the tiles down for each of ``ROW_TILES``.

    Balanced routing deals rows out one by one. Skewed routing draws each expert's share from a power law between one
    row and four fifths of the tokens; here its quantiles stand for the draw, dealt to the ranks in a fixed shuffle.
    Of a random draw it is what is to be expected of any rank.
    """
    if is_drawn:
        local = max(experts / ranks, 1)
        share = min(chosen / experts, 1.0)
        met = experts_met(tokens, chosen, experts) * local / experts
        return tokens * share * local, met, *(local * n for n in tiles_expected(tokens, share))
    total = tokens * chosen
    count = int(experts)
    if skew <= 0:
        local = max(count / ranks, 1)
        rows = total / experts * local
        met = min(local, max(rows, min(1.0, total)))
        each = rows / met if met else 0.0
        return rows, met, *(met * np.ceil(each / tile) for tile in ROW_TILES)
    shares = power_law_shares(count, max(0.8 * tokens, 1.0 + 1e-9), skew)
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


def power_law_shares(count: int, top: float, skew: float) -> np.ndarray:
    """[count] ascending quantiles of a power law between 1 and ``top`` whose density falls as x to the minus ``skew``.

    >>> power_law_shares(3, 64.0, 1.0).round(6).tolist()
    [2.0, 8.0, 32.0]
    """
    places, power = (np.arange(count) + 0.5) / count, 1.0 - skew
    if abs(power) < LOGARITHMIC:
        logarithmic: np.ndarray = top**places
        return logarithmic
    found: np.ndarray = (1.0 + places * (top**power - 1.0)) ** (1.0 / power)
    return found


def tiles_expected(tokens: float, share: float) -> np.ndarray:
    """[row tiles] of an expert that each token draws with a chance of ``share``: the mean of ceil(rows / tile).

    It is the sum over j of the chance of more than j tiles' rows, which follow a binomial distribution.
    """
    if share >= 1.0 or tokens < 1:
        return np.ceil(tokens * share / np.array(ROW_TILES))
    low, logs = binomial(tokens, share)
    rows, chance = low + np.arange(len(logs)), np.exp(logs)
    return np.array([float(chance @ np.ceil(rows / tile)) for tile in ROW_TILES])
