"""Matrix products on a GPU, tile by tile."""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import product

import numpy as np

from ircost.cost_models.gpu.machine import GpuMachine
from ircost.cost_models.gpu.terms import Column, Constants, Parameter, Terms, cold_share, overlapped

# Tiles of the output that libraries ship kernels for (CUTLASS, cuBLAS), rows x columns.
TILES = (
    *((256, 128), (128, 256), (128, 128), (256, 64), (64, 256), (128, 64), (64, 128), (64, 64)),
    *((32, 128), (128, 32), (32, 64), (64, 32), (16, 128), (16, 64), (16, 32)),
)
SPLITS = (1, 2, 3, 4, 6, 8, 12, 16, 32)
STEP = 32  # elements of k that are loaded at once
ACCUMULATOR_BYTES = 4
CANDIDATES = tuple(product(TILES, SPLITS))
CHOICES = tuple(f"{rows}x{columns}" + (f" split-k {split}" if split > 1 else "") for (rows, columns), split in CANDIDATES)
CHUNK = 4096  # rows at a time: what a few dozen columns of candidates take stays in the CPU's cache

PARAMETERS = {
    "arithmetic": Parameter(0.8, 0.2, 1.0, "share of the matrix units' peak that the main loop reaches"),
    "main_memory": Parameter(0.85, 0.3, 0.98, "share of main memory's bandwidth that long streams reach"),
    "port": Parameter(0.6, 0.1, 1.0, "share of the ports' bandwidth between L2 and the processors"),
    "launch_s": Parameter(2e-6, 1e-7, 1e-3, "start and end of a kernel"),
    "wave_s": Parameter(2e-6, 1e-8, 1e-4, "prologue and epilogue of a wave of tiles"),
    "split_s": Parameter(2e-6, 1e-8, 1e-2, "adding up the parts of a split reduction, beside their bytes"),
    "sharpness": Parameter(3.0, 1.0, 30.0, "how well arithmetic and loads overlap: exponent of their sum"),
    "resident": Parameter(0.15, 1e-3, 1.5, "share of the cache that keeps operands between two runs of a benchmark"),
}


@dataclass(frozen=True, slots=True)
class GemmWork:
    """Products ``batch m k, batch n k -> batch m n``; every field is [rows], or one number for all.

    Args:
        lhs_bytes, rhs_bytes, out_bytes: of an element; a format below a byte is a fraction.
        flops_per_s: peak of the units that run it.
    """

    batch: Column
    m: Column
    n: Column
    k: Column
    lhs_bytes: Column
    rhs_bytes: Column
    out_bytes: Column
    flops_per_s: Column

    def rows(self, which: slice) -> list[np.ndarray]:
        """All fields of some rows, as columns beside candidates."""
        count = len(self.m)
        return [np.broadcast_to(getattr(self, f.name), (count,))[which, None].astype(float) for f in fields(self)]


def gemm(work: GemmWork, machine: GpuMachine, constants: Constants) -> Terms:
    """Time of each product under its best tile.

    Every output tile is one block of threads; a split gives several blocks a share of k each, and adds up what they
    find. Blocks run in waves over the processors. In one wave, arithmetic, the ports into the processors and main
    memory work side by side. Arithmetic slows down where shared memory cannot feed a small tile. Tiles that run at the
    same time form a block as square as it goes, and share its rows and columns in L2; what does not fit there crosses
    main memory once in each wave.

    Source: NVIDIA, "Matrix Multiplication Background User's Guide", 2023 (tile and wave quantisation); Osama et al.,
    "Stream-K", PPoPP 2023 (splits).
    """
    count = len(work.m)
    parts = [_chunk(work, slice(start, start + CHUNK), machine, constants) for start in range(0, count, CHUNK)]
    if not parts:
        empty = np.zeros(0)
        return Terms(empty, {"matrix": empty}, {"launch": empty}, empty.astype(int), CHOICES)
    first = parts[0]
    return Terms(
        np.concatenate([part.latency_s for part in parts]),
        {name: np.concatenate([part.busy[name] for part in parts]) for name in first.busy},
        {name: np.concatenate([part.fixed[name] for part in parts]) for name in first.fixed},
        np.concatenate([part.choice for part in parts if part.choice is not None]),
        CHOICES,
    )


TILE_ROWS, TILE_COLUMNS, SPLIT = (
    np.array(column, dtype=float)[None] for column in zip(*((r, c, s) for (r, c), s in CANDIDATES), strict=True)
)


def _chunk(work: GemmWork, which: slice, machine: GpuMachine, constants: Constants) -> Terms:
    batch, m, n, k, lhs, rhs, out, peak = work.rows(which)
    processors = machine.processors
    down, across = np.ceil(m / TILE_ROWS), np.ceil(n / TILE_COLUMNS)
    blocks = batch * down * across * SPLIT
    depth = np.ceil(k / SPLIT / STEP) * STEP
    waves = np.ceil(blocks / processors)
    active = np.minimum(blocks, processors)

    peak_of_one = peak / processors
    fed = (TILE_ROWS * lhs + TILE_COLUMNS * rhs) / machine.shared_bytes_per_s
    computed = 2 * TILE_ROWS * TILE_COLUMNS / peak_of_one
    matrix_s = waves * depth * np.maximum(computed, fed) / constants["arithmetic"]

    loaded = blocks * (TILE_ROWS * lhs + TILE_COLUMNS * rhs) * depth
    port_s = loaded / (active * machine.port_bytes_per_s * constants["port"])

    operands = batch * (m * lhs + n * rhs) * k
    touched = operands + batch * m * n * out
    side = np.sqrt(active * TILE_COLUMNS / TILE_ROWS)
    rows_at_once = np.minimum(np.maximum(side, 1), down)
    columns_at_once = np.minimum(np.maximum(active / SPLIT / rows_at_once, 1), across)
    in_waves = waves * (rows_at_once * TILE_ROWS * lhs + columns_at_once * TILE_COLUMNS * rhs) * depth
    in_waves = np.minimum(in_waves * np.minimum(SPLIT, active), loaded)
    again = np.maximum(in_waves - operands, 0) / (1 + (0.7 * machine.cache_bytes / np.maximum(operands, 1)) ** 4)
    traffic = touched * cold_share(touched, machine, constants["resident"]) + again
    main_s = traffic / (machine.main_bytes_per_s * constants["main_memory"])

    partial = 2 * SPLIT * batch * m * n * ACCUMULATOR_BYTES
    add_up_s = np.where(
        SPLIT > 1,
        constants["split_s"] + partial / (processors * machine.port_bytes_per_s * constants["port"]),
        0.0,
    )
    wave_s = constants["wave_s"] * np.ceil(blocks / processors / 2)
    launch_s = np.full_like(wave_s, constants["launch_s"])
    busy = {"matrix": matrix_s, "l2": port_s, "main": main_s}
    latency_s = overlapped(busy, constants["sharpness"]) + wave_s + add_up_s + launch_s
    best = latency_s.argmin(axis=1)

    def chosen(table: np.ndarray) -> Column:
        wide = np.broadcast_to(table, latency_s.shape)
        result: Column = wide[np.arange(len(best)), best]
        return result

    return Terms(
        chosen(latency_s),
        {name: chosen(column) for name, column in busy.items()},
        {"launch": chosen(launch_s), "waves": chosen(wave_s), "split": chosen(add_up_s)},
        best,
        CHOICES,
    )
