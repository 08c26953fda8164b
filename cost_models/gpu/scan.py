"""State-space and linear-attention layers: a state for each head that time runs through, in chunks or step by step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ircost.cost_models.gpu.machine import GpuMachine
from ircost.cost_models.gpu.terms import Column, Constants, Parameter, Terms, cold_share, overlapped

CHUNK = 64  # tokens whose part of the scan is a matrix product. Source: Yang et al., "Gated Delta Networks", 2024

PARAMETERS = {
    "arithmetic": Parameter(0.3, 0.02, 1.0, "share of the matrix units' peak"),
    "main_memory": Parameter(0.8, 0.1, 0.98, "share of main memory's bandwidth"),
    "launch_s": Parameter(8e-6, 5e-7, 1e-2, "start and end of all its kernels"),
    "chunk_s": Parameter(1e-6, 1e-9, 1e-4, "one chunk behind another: the state passes from one to the next"),
    "passes": Parameter(2.0, 0.5, 20.0, "how often operands cross main memory: kernels that pass on what they made"),
    "sharpness": Parameter(3.0, 1.0, 30.0, "how well arithmetic and loads overlap: exponent of their sum"),
    "resident": Parameter(0.15, 1e-3, 1.5, "share of the cache that keeps operands between two runs of a benchmark"),
}


@dataclass(frozen=True, slots=True)
class ScanWork:
    """Every field is [rows], or one number for all.

    Args:
        batch, steps: sequences, and tokens of each.
        heads: states side by side.
        key_width, value_width: of a state; its elements are their product.
        touched_bytes: of operands, results and states, each once.
        is_chunked: 1 where chunks of tokens are matrix products, 0 where the state takes step by step.
        flops_per_s: peak of the matrix units in this format.
    """

    batch: Column
    steps: Column
    heads: Column
    key_width: Column
    value_width: Column
    touched_bytes: Column
    is_chunked: Column
    flops_per_s: Column


def scan(work: ScanWork, machine: GpuMachine, constants: Constants) -> Terms:
    """Bytes, products of each chunk, and the chain of chunks that each processor walks along."""
    batch, steps, heads = (np.asarray(x, float) for x in (work.batch, work.steps, work.heads))
    chunk = np.where(work.is_chunked > 0, CHUNK, 1)
    chunks = np.ceil(steps / chunk)
    state = work.key_width * work.value_width
    # Of a chunk: scores and their inverse, two products with values, two with the state.
    of_chunk = 2 * chunk * chunk * (2 * work.key_width + 2 * work.value_width) + 4 * chunk * state
    flops = batch * heads * chunks * of_chunk
    traffic = work.touched_bytes * constants["passes"]
    traffic = traffic * cold_share(np.asarray(traffic, float), machine, constants["resident"])
    rounds = np.ceil(batch * heads / machine.processors)
    chain_s = constants["chunk_s"] * chunks * rounds
    rate = np.where(work.is_chunked > 0, work.flops_per_s, machine.vector_flops_per_s)
    busy = {
        "matrix": flops / (rate * constants["arithmetic"]),
        "main": traffic / (machine.main_bytes_per_s * constants["main_memory"]),
        "chain": chain_s,
    }
    launch_s = np.full_like(traffic, constants["launch_s"])
    return Terms(overlapped(busy, constants["sharpness"]) + launch_s, busy, {"launch": launch_s})
