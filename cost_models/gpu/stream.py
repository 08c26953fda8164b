"""Kernels that move data and do a little with it: element-wise ops, reductions, norms, copies, quantisation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ircost.cost_models.gpu.machine import GpuMachine
from ircost.cost_models.gpu.terms import Column, Constants, Parameter, Terms, cold_share, overlapped

# Elements that one block of 256 threads takes, four each: what spreads a small tensor over the processors.
BLOCK_ELEMENTS = 1024

PARAMETERS = {
    "main_memory": Parameter(0.85, 0.3, 0.98, "share of main memory's bandwidth that long streams reach"),
    "port": Parameter(0.5, 0.05, 1.0, "share of the ports' bandwidth between L2 and the processors"),
    "arithmetic": Parameter(0.5, 0.05, 1.0, "share of the vector lanes' peak"),
    "launch_s": Parameter(3e-6, 1e-7, 1e-3, "start and end of a kernel"),
    "row_s": Parameter(5e-8, 1e-10, 1e-4, "a wave of rows that are reduced: synchronisation of their threads"),
    "sharpness": Parameter(3.0, 1.0, 30.0, "how well arithmetic and loads overlap: exponent of their sum"),
    "resident": Parameter(0.3, 1e-3, 1.5, "share of the cache that keeps operands between two runs of a benchmark"),
}


@dataclass(frozen=True, slots=True)
class StreamWork:
    """Every field is [rows], or one number for all.

    Args:
        elements: of the result.
        read_bytes, write_bytes: of operands and results, each once.
        flops: on the vector lanes; special: transcendental functions.
        reduced_rows: rows that are reduced, each by threads that wait for each other; 0 for element-wise work.
    """

    elements: Column
    read_bytes: Column
    write_bytes: Column
    flops: Column
    special: Column
    reduced_rows: Column


def stream(work: StreamWork, machine: GpuMachine, constants: Constants) -> Terms:
    """Bytes over bandwidth, arithmetic beside it, and what a kernel costs anyhow.

    A tensor with fewer elements than all processors take at a time keeps some of them idle: their ports are missing.
    """
    traffic = np.asarray(work.read_bytes + work.write_bytes, dtype=float)
    blocks = np.maximum(np.ceil(np.asarray(work.elements, dtype=float) / BLOCK_ELEMENTS), 1)
    active = np.minimum(blocks, machine.processors)
    main_s = traffic * cold_share(traffic, machine, constants["resident"])
    main_s = main_s / (machine.main_bytes_per_s * constants["main_memory"])
    port_s = traffic / (active * machine.port_bytes_per_s * constants["port"])
    share = active / machine.processors * constants["arithmetic"]
    vector_s = work.flops / (machine.vector_flops_per_s * share)
    special_s = work.special / (machine.special_per_s * share)
    rows_s = constants["row_s"] * np.ceil(np.asarray(work.reduced_rows, dtype=float) / machine.processors)
    busy = {"main": main_s, "l2": port_s, "vector": vector_s + special_s}
    launch_s = np.full_like(traffic, constants["launch_s"])
    latency_s = overlapped(busy, constants["sharpness"]) + rows_s + launch_s
    return Terms(latency_s, busy, {"launch": launch_s, "rows": rows_s})
