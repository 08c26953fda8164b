"""Matrix products with few of their tiles and splits looked at: a bound tells which cannot be the fastest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace

import numpy as np

from ircost.cost_models.gpu.demand import CHAIN, NEVER, RESIDENT, SHARPNESS, Column, Constants, cold_share
from ircost.cost_models.gpu.gemm import BESIDE, STEP, Candidates, GemmWork, gemm_demand_at
from ircost.cost_models.gpu.machine import PORT_BYTES_PER_CLOCK, GpuMachine
from ircost.cost_models.gpu.screening import Screened, work_at

# A bound in single precision: a dozen operations, each right to 6e-8 of itself, err by less than is taken off. Blocks
# for each processor are rounded up to whole waves only after as much is taken off them, too.
BELOW = 1 - 1e-5
TANGENT = 0.5  # of the slowest, how long the two beside it are where ``shown`` is exact: of 0.4 to 0.7 it passes most


def screened_gemm(work: GemmWork, machine: GpuMachine) -> Screened:
    """The same as ``gemm_demand`` where only the fastest tile and split counts."""
    candidates = Candidates.below(work.most_split)
    return Screened(
        rows=rows_in(work),
        least_s=lambda constants: least_s(work, machine, candidates, constants),
        at=lambda rows, places: gemm_demand_at(work_at(work, rows), machine, candidates.at(places)),
        choices=candidates.choices,
    )


def rows_in(work: GemmWork) -> int:
    """How many products."""
    return np.broadcast(*(getattr(work, field.name) for field in fields(work))).size


def least_s(work: GemmWork, machine: GpuMachine, candidates: Candidates, constants: Constants) -> Column:
    """[candidates, rows] seconds that no tile and split is below: what ``gemm_demand`` asks for, without what hides.

    Arithmetic, loads from L2 and the chain of steps grow with the steps, in whole waves or in parts of one; main memory
    brings operands and results at least once. The slowest of these, what shows of the others at least, and all that
    nothing hides is the bound: no bytes beside the operands', no shared memory.
    """
    work = replace(work, m=np.broadcast_to(np.asarray(work.m, dtype=float), (rows_in(work),)))
    cut, split = candidates.cut(work, machine), candidates.split
    tall, wide = cut.rows, cut.columns
    processors, slower = machine.processors, machine.clocks_per_reference
    area, matrix = tall * wide, constants["matrix"]
    port_s = 1 / (PORT_BYTES_PER_CLOCK * machine.clock_hz)  # of a byte, into one processor
    loads = STEP * (tall * work.lhs_bytes + wide * work.rhs_bytes / machine.served_at_once) / constants["l2"]
    # Seconds of one step: of a wave, however full; of each block for a processor; of the shortest.
    of_wave = STEP * 2 * area * processors / work.flops_per_s / matrix
    of_powered = STEP * 2 * area * processors / work.sustained_flops_per_s
    of_block = np.maximum(
        loads * max(port_s, processors / machine.cache_bytes_per_s), slower / BESIDE / constants[CHAIN]
    )
    at_least = np.maximum(loads * port_s, slower / constants[CHAIN])

    tiles = work.batch * cut.down * cut.across
    in_each = narrow(tiles / processors * BELOW) * narrow(split)
    matrix = np.ceil(in_each)
    matrix *= narrow(of_wave)
    if np.any(of_powered > of_wave):
        np.maximum(matrix, in_each * narrow(of_powered), out=matrix)
    beside = in_each * narrow(of_block)
    np.maximum(beside, narrow(at_least), out=beside)
    steps = narrow(candidates.steps(work, machine))
    matrix *= steps
    beside *= steps
    found = shown(matrix, beside, narrow(_main_s(work, machine, constants)), constants[SHARPNESS])
    in_each -= 1
    np.maximum(in_each, 0, out=in_each)
    in_each *= narrow(slower * constants["wave"])
    found += in_each
    for fixed_s in _fixed_s(work, machine, candidates, constants):
        found += narrow(fixed_s)
    found *= np.float32(BELOW)
    return np.asarray(found.reshape(-1, found.shape[-1]))


def shown(one: Column, other: Column, third: Column, sharpness: Column | float) -> Column:
    """At least the time of three resources side by side: a plane that touches the norm from below, or the slowest.

    By Hölder's inequality (a^p + b^p + c^p)^(1/p) >= (a + s b + s c) / (1 + 2 s^q)^(1/q), with 1/p + 1/q = 1 and any s;
    where it is exact, b and c are s^(q/p) of a. Of p below one, the norm is above the sum.

    Args:
        one, other: [tiles, splits, rows], which are written over. third: [rows], as all in single precision.
    """
    p = np.maximum(sharpness, 1.0)
    share, scale = TANGENT ** (p - 1), (1 + 2 * TANGENT**p) ** ((1 - p) / p)
    slowest = np.maximum(one, other)
    np.maximum(slowest, third, out=slowest)
    one += other
    one += third
    one *= narrow(scale * share)
    np.multiply(slowest, narrow(scale * (1 - share)), out=other)
    one += other
    np.maximum(slowest, one, out=one)
    return one


def narrow(column: Column | float) -> Column:
    """In single precision: all columns of candidates are then half as large."""
    return np.asarray(column, dtype=np.float32)


def _main_s(work: GemmWork, machine: GpuMachine, constants: Constants) -> Column:
    """[rows] of main memory, where each wave finds in L2 what it shares with the one before."""
    activations = np.asarray(
        work.batch * work.m * (work.k * work.lhs_bytes + work.n * work.out_bytes) + work.extra_bytes
    )
    weights = np.asarray(work.batch * work.n * work.k * work.rhs_bytes)
    crossing: Column | float = 0.0
    for held, rhs_sets in ((activations, 1.0), (weights, work.rhs_sets)):
        footprint = machine.share_of_cache(work.lhs_sets * activations + rhs_sets * weights)
        crossing = crossing + held * cold_share(footprint, constants[RESIDENT])
    return np.asarray(crossing / machine.main_bytes_per_s / constants["main"])


def _fixed_s(work: GemmWork, machine: GpuMachine, candidates: Candidates, constants: Constants) -> Iterator[Column]:
    """What nothing hides, but for waves: of tiles and splits, and of rows."""
    slower = machine.clocks_per_reference
    launches = (1.0 + (np.asarray(work.converted_bytes) > 0)) * slower + np.where(
        candidates.is_barred(work, machine), NEVER, 0.0
    )
    yield launches * constants["launch"] + np.where(candidates.split > 1, slower, 0.0) * constants["split"]
    if np.any(work.converted_bytes):
        converted_s = work.batch * work.m * work.k * work.converted_bytes / machine.main_bytes_per_s
        yield np.asarray(converted_s * constants["convert"])
        yield work.converted_pieces(machine) * (slower * constants["row"])
