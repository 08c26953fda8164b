"""Matrix products on a GPU, tile by tile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from ircost.cost_models.gpu.demand import CHAIN, COMMON, NEVER, STEPS, Amount, Column, Demand, Parameter
from ircost.cost_models.gpu.labels import OF_KERNEL
from ircost.cost_models.gpu.machine import GpuMachine

# Tiles of the output that libraries ship kernels for (CUTLASS, cuBLAS), rows x columns.
TILES = (
    *((256, 128), (128, 256), (128, 128), (256, 64), (64, 256), (128, 64), (64, 128), (64, 64)),
    *((32, 128), (128, 32), (32, 64), (64, 32), (16, 128), (16, 64), (16, 32)),
)
SPLITS = (1, 2, 3, 4, 6, 8, 12, 16, 32)  # blocks that share a reduction, as those kernels have it
STEP = 32  # elements of k that are loaded at once
# Activations that a block of threads converts at once, and what a row takes beside them, in such pieces: at any m of
# 1,024 and more vLLM's products in fp8 take as long up to a k of 2,048, and a step more for each 2,048 (H100, H200).
PIECE, BESIDE_PIECES = 2048, 0.5
ACCUMULATOR_BYTES = 4
# Rows and columns of the smallest tile, by the units. Source: NVIDIA/cutlass, tensor-op and SIMT tile shapes.
LEAST_TILE = {"matrix": 16.0, "vector": 32.0}
BESIDE = 2  # blocks that share a processor, and hide each other's waits
CANDIDATES = tuple(product(TILES, SPLITS))
CHOICES = tuple(
    f"{rows}x{columns}" + (f" split-k {split}" if split > 1 else "") for (rows, columns), split in CANDIDATES
)
# The same where only the first so many splits are there.
CHOICES_BELOW = {
    count: tuple(words for words, (_, split) in zip(CHOICES, CANDIDATES, strict=True) if split <= SPLITS[count - 1])
    for count in range(1, len(SPLITS) + 1)
}
# Columns are [tiles, splits, rows]: what depends on the tile alone is worked out once for all splits, and the many rows
# lie beside each other in memory.
TILE_ROWS, TILE_COLUMNS = (np.array(column, dtype=float)[:, None, None] for column in zip(*TILES, strict=True))

PARAMETERS = {
    "matrix": Parameter("share", 0.8, "share of the peak that the main loop reaches"),
    "vector": Parameter("share", 0.5, "share of the vector lanes' peak that unpacking weights reaches"),
    "shared": Parameter("share", 0.7, "share of the bandwidth of shared memory"),
    "l2": Parameter("share", 0.6, "share of the ports' bandwidth between L2 and the processors"),
    "main": Parameter("share", 0.85, "share of main memory's bandwidth that long streams reach"),
    "launch": Parameter("time", 2e-6, "start and end of a kernel"),
    "convert": Parameter(
        "factor", 1.0, "how often the activations' conversion to a narrow format streams them", OF_KERNEL
    ),
    "row": Parameter(
        "time", 1e-7, "a piece of a row of activations that a block of threads converts to a narrow format"
    ),
    "wave": Parameter("time", 1e-6, "prologue and epilogue of a wave of tiles"),
    CHAIN: STEPS,
    "split": Parameter("time", 1e-6, "adding up the parts of a split reduction, beside their bytes"),
    **COMMON,
}


def sums_rows(unit: str, arithmetic: str) -> bool:
    """Whether products of one row have kernels of their own: those of floats on lanes, one sum in each, no tile.

    Source: cuBLAS, level 2 functions (gemv); ggml-org/llama.cpp, ``mul_mat_vec``. Integers on lanes were measured to
    take tiles (DeepBench, GTX 1080 Ti and Titan X), and matrix units have nothing smaller.

    Args:
        unit: ``matrix`` or ``vector``. arithmetic: the format that products are in.
    """
    return unit == "vector" and not arithmetic.startswith(("i", "u"))


@dataclass(frozen=True, slots=True)
class GemmWork:
    """Products ``batch m k, batch n k -> batch m n``; every field is [rows], or one number for all.

    Args:
        lhs_bytes, rhs_bytes, out_bytes: of an element; a format below a byte is a fraction.
        unpack_flops: vector operations on each element of rhs before it can be multiplied.
        converted_bytes: of an element of lhs, read and written, where a kernel of its own converts it first; else 0.
        lhs_sets, rhs_sets: how many operands take turns between two uses of one: 1 where a benchmark runs the same
            again and again, without end where each is used once.
        flops_per_s: peak of the units that run it.
        extra_bytes: of what is fused behind it: further operands, larger results, as a whole.
        extra_flops, extra_special: of that, on the vector lanes and in the special units.
        least_tile: rows and columns of the smallest tile that there is a kernel for.
        most_split: how many blocks may share a reduction.
        is_row_summed: 1 where one row is no tile, but a sum of each lane's own (``sums_rows``).
        sustained_flops_per_s: what the board's power leaves of it while all processors compute.
    """

    batch: Amount
    m: Amount
    n: Amount
    k: Amount
    lhs_bytes: Amount
    rhs_bytes: Amount
    out_bytes: Amount
    unpack_flops: Amount
    converted_bytes: Amount
    lhs_sets: Amount
    rhs_sets: Amount
    flops_per_s: Amount
    extra_bytes: Amount = 0.0
    extra_flops: Amount = 0.0
    extra_special: Amount = 0.0
    least_tile: Amount = 16.0
    most_split: Amount = np.inf
    is_row_summed: Amount = 0.0
    sustained_flops_per_s: Amount = np.inf

    def converted_pieces(self, machine: GpuMachine) -> Column:
        """Of rows of lhs that are converted first, for each processor."""
        pieces = self.batch * self.m * (np.ceil(np.asarray(self.k) / PIECE) + BESIDE_PIECES) / machine.processors
        return np.where(np.asarray(self.converted_bytes) > 0, pieces, 0.0)


@dataclass(frozen=True, slots=True)
class Cut:
    """A result in tiles.

    Args:
        rows, columns: of a tile.
        down, across: tiles.
    """

    rows: Column
    columns: Column
    down: Column
    across: Column


@dataclass(frozen=True, slots=True)
class Candidates:
    """Tiles and splits beside the columns of rows: [tiles, splits, 1] for all of them, or [pairs], one for each row.

    Args:
        rows, columns: of a tile.
    """

    rows: Column
    columns: Column
    split: Column

    @staticmethod
    def below(most_split: Amount) -> Candidates:
        """All; where nothing may be split, a ninth of them is left."""
        splits = np.array([split for split in SPLITS if split <= np.max(most_split)], dtype=float)
        return Candidates(TILE_ROWS, TILE_COLUMNS, splits[None, :, None])

    @property
    def choices(self) -> tuple[str, ...]:
        return CHOICES_BELOW[self.split.size]

    def at(self, places: Column) -> Candidates:
        """One for each pair."""
        tile, split = np.divmod(places, self.split.size)
        return Candidates(self.rows.ravel()[tile], self.columns.ravel()[tile], self.split.ravel()[split])

    def cut(self, work: GemmWork, machine: GpuMachine) -> Cut:
        """The result in tiles."""
        m, n = np.asarray(work.m, dtype=float), np.asarray(work.n, dtype=float)
        down, across = np.ceil(m / self.rows), np.ceil(n / self.columns)
        if machine.cuts_to_size:
            return Cut(m / down, n / across, down, across)
        is_summed = (m == 1) & (np.asarray(work.is_row_summed) > 0)
        return Cut(np.where(is_summed, 1.0, self.rows) if is_summed.any() else self.rows, self.columns, down, across)

    def steps(self, work: GemmWork, machine: GpuMachine) -> Column:
        """Of the main loop in each block: whole ones, but where the machine cuts them to size."""
        steps: Column = np.asarray(work.k, dtype=float) / self.split / STEP
        return steps if machine.cuts_to_size else np.ceil(steps)

    def is_barred(self, work: GemmWork, machine: GpuMachine) -> Column:
        """Where there is no kernel of that tile and split."""
        is_small = np.minimum(self.rows, self.columns) < (0.0 if machine.cuts_to_size else work.least_tile)
        return np.asarray(is_small | (work.most_split < self.split))


def gemm_demand(work: GemmWork, machine: GpuMachine) -> Demand:
    """What each tile and split asks for.

    Every output tile is one block of threads; a split gives several blocks a share of k each, and adds up what they
    find. Blocks run in waves over the processors. In one wave, arithmetic, the ports into the processors and main
    memory work side by side. Arithmetic slows down where shared memory cannot feed a small tile. Tiles that run at the
    same time form a block as square as it goes, and share its rows and columns in L2; what does not fit there crosses
    main memory once in each wave.

    Source: NVIDIA, "Matrix Multiplication Background User's Guide", 2023 (tile and wave quantisation); Osama et al.,
    "Stream-K", PPoPP 2023 (splits).
    """
    candidates = Candidates.below(work.most_split)
    shape = len(TILES), candidates.split.size

    def flat(column: Column) -> Column:
        """[tiles, splits, rows] as [rows, candidates]; what depends on neither stays one column."""
        if column.ndim < 3:
            return column.reshape(1, -1).T
        return np.broadcast_to(column, (*shape, column.shape[-1])).reshape(-1, column.shape[-1]).T

    return replace(_demand(work, machine, candidates, flat), choices=candidates.choices)


def gemm_demand_at(work: GemmWork, machine: GpuMachine, candidates: Candidates) -> Demand:
    """What one tile and split of each row asks for; all columns are [rows]."""
    shape = np.shape(candidates.rows)
    found = _demand(
        work, machine, candidates, lambda column: column if column.shape == shape else np.full(shape, column)
    )
    return replace(found, issues=np.full(shape, machine.host_launches))


def _demand(work: GemmWork, machine: GpuMachine, candidates: Candidates, shaped: Callable[[Column], Column]) -> Demand:
    batch, m, n, k, lhs, rhs, out, unpack, converted, lhs_sets, rhs_sets, peak, *extras = (
        np.asarray(column, dtype=float)
        for column in (
            *(work.batch, work.m, work.n, work.k, work.lhs_bytes, work.rhs_bytes, work.out_bytes),
            *(work.unpack_flops, work.converted_bytes, work.lhs_sets, work.rhs_sets, work.flops_per_s),
            *(work.extra_bytes, work.extra_flops, work.extra_special, work.sustained_flops_per_s),
        )
    )
    extra, extra_flops, extra_special, sustained = extras
    cut, split = candidates.cut(work, machine), candidates.split
    tall, wide, down, across = cut.rows, cut.columns, cut.down, cut.across
    processors, slower, rate = machine.processors, machine.clocks_per_reference, machine.main_bytes_per_s
    tiles = batch * down * across
    area = tall * wide
    blocks = tiles * split
    steps = candidates.steps(work, machine)
    in_each = blocks / processors
    waves = np.ceil(in_each)
    active = np.minimum(blocks, processors)
    deep = waves * (steps * STEP)

    fed = tall * lhs + wide * rhs
    matrix_s = deep * (2 * area * processors / peak)
    power_s = blocks * (steps * STEP) * (2 * area / sustained)
    shared_s = deep * (fed / machine.shared_bytes_per_s)
    vector_s = np.zeros_like(tiles)
    if np.any(extra_flops) or np.any(extra_special):
        # What is fused behind it runs on whole tiles: half an empty one takes as long.
        fused_s = extra_flops / machine.vector_flops_per_s + extra_special / machine.special_per_s
        vector_s = np.ceil(tiles / processors) * area * processors * (fused_s / (batch * m * n))
    if np.any(unpack):
        vector_s = vector_s + deep * (wide * unpack * processors / machine.vector_flops_per_s)

    # A cluster shares the columns of its tiles; a lone tile counts alike, so that a larger product is never faster.
    apart = tall * lhs + wide * rhs / machine.served_at_once
    loaded = blocks * (steps * STEP) * apart
    partial = np.where(split > 1, 2 * split * batch * m * n * ACCUMULATOR_BYTES, 0.0)
    padded = tiles * area / (batch * m * n) * extra if np.any(extra) else 0.0
    port_s = (loaded + padded) / machine.l2_bytes_per_s(active) + partial / machine.l2_bytes_per_s(processors)

    operands = batch * (m * lhs + n * rhs) * k
    touched = operands + batch * m * n * out + extra
    # Blocks spread evenly over the waves: the last is no smaller than the others.
    at_once = blocks / waves
    rows_at_once = np.minimum(np.maximum(np.sqrt(at_once * (wide / tall)), 1), down)
    columns_at_once = np.minimum(np.maximum(at_once / (split * rows_at_once), 1), across)
    in_waves = rows_at_once * (tall * lhs) + columns_at_once * (wide * rhs)
    in_waves = np.minimum(in_waves * deep * np.minimum(split, active), loaded)
    melt = 1 / (1 + (0.7 * machine.cache_bytes / np.maximum(operands, 1)) ** 4)
    main_s = (touched + np.maximum(in_waves - operands, 0) * melt) / rate
    activations, weights = batch * m * (k * lhs + n * out) + extra, batch * n * k * rhs
    return Demand(
        busy={
            name: shaped(column)
            for name, column in (
                ("matrix", matrix_s),
                ("vector", vector_s),
                ("shared", shared_s),
                ("l2", port_s),
                ("main", main_s),
                (CHAIN, steps * np.maximum(in_each / BESIDE, 1) * slower),
            )
        },
        fixed={
            name: shaped(column)
            for name, column in (
                (
                    "launch",
                    (1.0 + (converted > 0)) * slower + np.where(candidates.is_barred(work, machine), NEVER, 0.0),
                ),
                ("convert", batch * m * k * converted / rate),
                ("row", work.converted_pieces(machine) * slower),
                ("wave", np.maximum(in_each - 1, 0) * slower),
                ("split", np.where(split > 1, slower, 0.0)),
            )
        },
        reused=(
            (shaped(activations / rate), shaped(machine.share_of_cache(lhs_sets * activations + weights))),
            (shaped(weights / rate), shaped(machine.share_of_cache(lhs_sets * activations + rhs_sets * weights))),
        ),
        least={"matrix": shaped(power_s)},
        active=shaped(active / processors),
        issues=np.full((1, 1), machine.host_launches),
    )
