"""Kernels that move data and do a little with it: element-wise ops, reductions, norms, copies, quantisation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ircost.cost_models.gpu.demand import COMMON, RESIDENT, SHARPNESS, Amount, Column, Demand, Parameter, beside
from ircost.cost_models.gpu.labels import OF_KERNEL, OF_MACHINE, OF_START
from ircost.cost_models.gpu.machine import GpuMachine

# Elements that one block of 256 threads takes, four each: what spreads a small tensor over the processors.
BLOCK_ELEMENTS = 1024
# What one processor keeps on its way from main memory: some 2,048 threads with 16 bytes each.
# Source: CUDA C++ Programming Guide, "Compute Capabilities" (threads per SM); 16-byte loads.
IN_FLIGHT_BYTES = 32768
# Kernels for faster memory keep more on its way, as much as it takes; of the machines that constants are fitted to an
# H100 has the fastest. Source: NVIDIA/cccl, cub/device/dispatch/tuning/tuning_transform.cuh, bytes in flight for a
# processor: 12 KiB on a V100, 16 on an A100, 32 on an H100, 48 on an H200, 64 on a B200, about as their bandwidths.
# Kernels that quantise do not: an H200's take as long as with an H100's bytes (with its own, errors of each of the two,
# left out, rise from 13.0 and 14.5 % to 16.8 and 19.0).
FITTED_BYTES_PER_S = 3.35e12
# From main memory to a register. Source: Jia et al., "Dissecting the NVIDIA Volta GPU", 2018, some 400 ns unloaded.
MEMORY_LATENCY_S = 5e-7

PARAMETERS = {
    "main": Parameter("share", 0.85, "share of main memory's bandwidth that long streams reach"),
    # Hardware, and the same of every kernel: what one of them loads in small pieces is ``loads``.
    "l2": Parameter("share", 0.7, "share of the bandwidth between L2 and the processors", frozenset(), freedom=0.2),
    "flight": Parameter("share", 0.7, "share of the loads that could be in flight", frozenset(), freedom=0.3),
    "vector": Parameter("share", 0.5, "share of the vector lanes' peak"),
    # Held near once: else a share of main memory's bandwidth and passes of less than one make up for one another.
    "passes": Parameter(
        "factor", 1.0, "how often its operands are streamed, for once that it takes", OF_KERNEL, freedom=0.3
    ),
    "loads": Parameter("factor", 1.0, "loads for those of 16 bytes that would do", OF_KERNEL),
    "launch": Parameter("time", 3e-6, "start and end of a kernel", OF_START),
    "row": Parameter("time", 5e-8, "a wave of rows that are reduced: synchronisation of their threads"),
    **COMMON,
    # One for all kernels: as an effect of kinds it would make any of them slow or fast at any size.
    SHARPNESS: replace(COMMON[SHARPNESS], effects=frozenset()),
    # Of a stream it is also what of its results is read again, and how soon they are written back.
    RESIDENT: Parameter("factor", 0.6, "share of the cache that keeps what is used again", OF_MACHINE),
}


# Kinds of kernels, as tables name them, in which one block takes a row, however long: what comes of the row is needed
# for all of it. Source: pytorch/pytorch, aten/src/ATen/native/cuda: layer_norm_kernel.cu and SoftMax.cu, a block a row.
ROW_IN_A_BLOCK = frozenset(
    ("softmax", "layer_norm", "norm", "rms_norm", "softmax_gradient", "layer_norm_gradient"),
)


@dataclass(frozen=True, slots=True)
class StreamWork:
    """Every field is [rows], or one number for all.

    Args:
        elements: of the result.
        read_bytes, write_bytes: of operands and results, each once.
        flops: on the vector lanes; special: transcendental functions.
        reduced_rows: rows that are reduced, each by threads that wait for each other; 0 for element-wise work.
        sets: how many operands take turns between two uses of one; without end where each is used once.
        cold_bytes: of those read or written, what no cache holds, however small.
        row_length: elements along the innermost axis.
        row_in_a_block: 1 where one block of threads takes a row that is reduced, else blocks share it.
        keeps_pace: 1 where more bytes are kept in flight if memory is faster; 0: as many as ever.
    """

    elements: Amount
    read_bytes: Amount
    write_bytes: Amount
    flops: Amount
    special: Amount
    reduced_rows: Amount
    sets: Amount
    cold_bytes: Amount = 0.0
    row_length: Amount = 1.0
    row_in_a_block: Amount = 0.0
    keeps_pace: Amount = 1.0


def in_flight_bytes(work: StreamWork, machine: GpuMachine) -> Column:
    """[rows, 1] of one processor, where enough of a tensor is its own."""
    more = machine.main_bytes_per_s / FITTED_BYTES_PER_S
    (keeps_pace,) = beside(work.keeps_pace)
    return IN_FLIGHT_BYTES * np.where(keeps_pace > 0, max(more, 1.0) if machine.kind == "gpu" else 1.0, 1.0)


def stream_demand(work: StreamWork, machine: GpuMachine) -> Demand:
    """Bytes over bandwidth, arithmetic beside it, and what a kernel costs anyhow.

    A tensor with fewer elements than all processors take at a time keeps some of them idle: their ports are missing,
    and so are their loads in flight, without which main memory's latency shows. So does one with few rows,
    where a block takes each.

    Source: Little's law, for the loads in flight: Volkov, "Better Performance at Lower Occupancy", GTC 2010.
    """
    elements, read, written, flops, special, rows, sets = beside(
        *(work.elements, work.read_bytes, work.write_bytes, work.flops, work.special, work.reduced_rows, work.sets)
    )
    (cold,) = beside(work.cold_bytes)
    traffic = read + written
    # No whole blocks: one more element must not look as if it woke a processor for all that the others do.
    active = np.minimum(np.maximum(elements / BLOCK_ELEMENTS, 1), machine.processors)
    (is_alone,) = beside(work.row_in_a_block)
    active = np.where((rows > 0) & (is_alone > 0), np.minimum(active, np.maximum(rows, 1)), active)
    rate = machine.main_bytes_per_s
    share = active / machine.processors
    slower = machine.clocks_per_reference
    ones = np.ones_like(traffic)
    return Demand(
        busy={
            "main": traffic / rate,
            "l2": traffic / machine.l2_bytes_per_s(active),
            "flight": traffic * MEMORY_LATENCY_S * slower / (active * in_flight_bytes(work, machine)),
            "vector": (flops / machine.vector_flops_per_s + special / machine.special_per_s) / share,
        },
        fixed={"launch": slower * ones, "row": np.ceil(rows / machine.processors) * slower * ones},
        reused=(((traffic - np.minimum(cold, traffic)) / rate, machine.share_of_cache(sets * traffic)),),
        repeats={"main": "passes", "l2": "passes", "flight": "loads"},
        active=share,
        issues=np.full((1, 1), machine.host_launches),
    )
