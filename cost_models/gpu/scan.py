"""State-space and linear-attention layers: a state for each head that time runs through, in chunks or step by step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ircost.cost_models.gpu.demand import COMMON, Amount, Demand, Parameter, beside
from ircost.cost_models.gpu.machine import GpuMachine

CHUNK = 64  # tokens whose part of the scan is a matrix product. Source: Yang et al., "Gated Delta Networks", 2024

PARAMETERS = {
    "matrix": Parameter("share", 0.3, "share of the peak of the units that run it"),
    "main": Parameter("share", 0.6, "share of main memory's bandwidth"),
    "l2": Parameter("share", 0.3, "share of the bandwidth between L2 and the processors"),
    "launch": Parameter("time", 8e-6, "start and end of all its kernels"),
    "chunk": Parameter("time", 1e-6, "one chunk behind another: the state passes from one to the next"),
    **COMMON,
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
        sets: how many operands take turns between two uses of one; without end where each is used once.
    """

    batch: Amount
    steps: Amount
    heads: Amount
    key_width: Amount
    value_width: Amount
    touched_bytes: Amount
    is_chunked: Amount
    flops_per_s: Amount
    sets: Amount


def scan_demand(work: ScanWork, machine: GpuMachine) -> Demand:
    """Bytes, products of each chunk, and the chain of chunks that each processor walks along."""
    batch, steps, heads, key_width, value_width, touched, is_chunked, peak, sets = beside(
        *(work.batch, work.steps, work.heads, work.key_width, work.value_width, work.touched_bytes),
        *(work.is_chunked, work.flops_per_s, work.sets),
    )
    chunk = np.where(is_chunked > 0, CHUNK, 1)
    chunks = np.ceil(steps / chunk)
    state = key_width * value_width
    # Of a chunk: scores and their inverse, two products with values, two with the state.
    of_chunk = 2 * chunk * chunk * (2 * key_width + 2 * value_width) + 4 * chunk * state
    flops = batch * heads * chunks * of_chunk
    rounds = np.ceil(batch * heads / machine.processors)
    rate = np.where(is_chunked > 0, peak, machine.vector_flops_per_s)
    slower = machine.clocks_per_reference
    ones = np.ones_like(touched)
    active = np.minimum(batch * heads * chunks, machine.processors)
    return Demand(
        busy={
            "matrix": flops / rate,
            "main": touched / machine.main_bytes_per_s,
            "l2": touched / machine.l2_bytes_per_s(active),
        },
        fixed={"launch": slower * ones, "chunk": chunks * rounds * slower * ones},
        reused=((touched / machine.main_bytes_per_s, machine.share_of_cache(sets * touched)),),
        active=active / machine.processors,
        issues=np.full((1, 1), machine.host_launches),
    )
