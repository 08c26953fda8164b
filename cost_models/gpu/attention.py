"""Attention in one kernel: scores never leave the processor."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from ircost.cost_models.gpu.demand import CHAIN, COMMON, NEVER, STEPS, Amount, Column, Demand, Parameter, beside
from ircost.cost_models.gpu.machine import GpuMachine

QUERY_TILES = (16, 64, 128)  # rows of queries that one block holds
KEY_TILE = 64  # keys that it meets at once
SPLITS = (1, 2, 4, 8, 16, 32, 64)  # blocks that share the keys of one tile
# Blocks that share a processor at most, for what their accumulators take of its registers, by the rows of their tile.
BESIDE_OF = {16: 4.0, 64: 2.0, 128: 2.0}
CANDIDATES = tuple(product(QUERY_TILES, SPLITS))
CHOICES = tuple(f"{rows} queries" + (f", keys split {split}" if split > 1 else "") for rows, split in CANDIDATES)
TILE, SPLIT = (np.array(column, dtype=float)[None] for column in zip(*CANDIDATES, strict=True))
BESIDE = np.array([BESIDE_OF[rows] for rows, _ in CANDIDATES])[None]
PREFILL_QUERIES = 64.0  # rows of the smallest tile of kernels for more than one new token
# Scale, mask, maximum, difference, sum and rescaling of one score. Source: Dao, "FlashAttention-2", 2023, algorithm 1.
FLOPS_PER_SCORE = 6
ACCUMULATOR_BYTES = 4

PARAMETERS = {
    "matrix": Parameter("share", 0.6, "share of the matrix units' peak that the main loop reaches"),
    "vector": Parameter("share", 0.5, "share of the vector and special units' peak in the softmax"),
    "l2": Parameter("share", 0.5, "share of the bandwidth between L2 and the processors"),
    "main": Parameter("share", 0.8, "share of main memory's bandwidth that long streams reach"),
    "launch": Parameter("time", 4e-6, "start and end of a kernel"),
    "wave": Parameter("time", 1e-6, "prologue and epilogue of one more wave of tiles"),
    CHAIN: replace(STEPS, default=3e6),
    "split": Parameter("time", 2e-6, "putting the parts of split keys together, beside their bytes"),
    **COMMON,
}


@dataclass(frozen=True, slots=True)
class AttentionWork:
    """Every field is [rows], or one number for all.

    Args:
        batch, queries, keys: sequences, new tokens of each, and tokens they may see at most, the new included.
        heads, kv_heads: of queries; of keys and values.
        key_width, value_width: of a head.
        kv_bytes: of keys and values of one token and head of them.
        query_bytes: of an element of queries and results.
        window: keys that a query sees at most; 0 for all.
        is_causal: 1 where the last query sees all keys, the one before it one less, and so on; 0 where all see all.
        flops_per_s: peak of the matrix units in this format.
        fewest_queries: rows of the smallest tile of queries that there is a kernel for.
        most_shared: heads that one block can hold beside each other; where more share keys, each is on its own.
        sets: how many caches of keys and values take turns; without end where each is used once.
        extra_bytes: of what is fused into it: masks, further operands.
        extra_flops: of that, on the vector lanes.
        sustained_flops_per_s: what the board's power leaves of it while all processors compute.
    """

    batch: Amount
    queries: Amount
    keys: Amount
    heads: Amount
    kv_heads: Amount
    key_width: Amount
    value_width: Amount
    kv_bytes: Amount
    query_bytes: Amount
    window: Amount
    is_causal: Amount
    flops_per_s: Amount
    sets: Amount
    most_shared: Amount
    fewest_queries: Amount
    extra_bytes: Amount = 0.0
    extra_flops: Amount = 0.0
    sustained_flops_per_s: Amount = np.inf


def pairs_per_head(queries: Amount, keys: Amount, window: Amount, is_causal: Amount) -> Column:
    """Pairs of a query and a key that it sees, of one sequence and head.

    >>> pairs_per_head(*(np.array([x]) for x in (3.0, 5.0, 0.0, 1.0)))
    array([12.])
    """
    seen = np.where(window > 0, np.minimum(window, keys), keys)
    # Query i of n sees keys - n + i of them, up to the window: an arithmetic series, then a constant.
    first = keys - queries + 1
    growing = np.clip(seen - first + 1, 0, queries)
    causal = growing * (2 * first + growing - 1) / 2 + (queries - growing) * seen
    return np.where(is_causal > 0, causal, queries * seen)


def in_view(queries: Amount, keys: Amount, window: Amount, is_causal: Amount) -> Column:
    """Keys that a query sees, in the mean."""
    return np.maximum(pairs_per_head(queries, keys, window, is_causal) / queries, 1)


def attention_demand(work: AttentionWork, machine: GpuMachine) -> Demand:
    """What each tile of queries and split of the keys asks for.

    The queries of all heads that share keys and values fill the rows of one tile. A block walks over the keys that its
    queries see, a tile of them at a time: two products, and a softmax on the vector and special units beside them.
    Where there are fewer blocks than processors the keys are split. Keys and values cross main memory once.

    Source: Dao, "FlashAttention-2", 2023; Dao et al., "Flash-Decoding", 2023.
    """
    (
        batch,
        queries,
        keys,
        heads,
        kv_heads,
        wide,
        out_wide,
        kv_bytes,
        q_bytes,
        window,
        causal,
        peak,
        sets,
        most,
        least,
    ) = beside(
        *(work.batch, work.queries, work.keys, work.heads, work.kv_heads, work.key_width, work.value_width),
        *(
            work.kv_bytes,
            work.query_bytes,
            work.window,
            work.is_causal,
            work.flops_per_s,
            work.sets,
            work.most_shared,
            work.fewest_queries,
        ),
    )
    fused_bytes, fused_flops, sustained = beside(work.extra_bytes, work.extra_flops, work.sustained_flops_per_s)
    processors, slower = machine.processors, machine.clocks_per_reference
    group = np.where(heads / kv_heads > most, 1, heads / kv_heads)
    alone = heads / group  # groups of heads that walk over keys of their own

    tiles = np.ceil(queries * group / TILE)
    tile = queries * group / tiles if machine.cuts_to_size else TILE
    blocks = batch * alone * tiles * SPLIT
    active = np.minimum(blocks, processors)
    # A tile of queries walks over all keys that any of them sees, and over whole tiles of those: with a window, which
    # each of its queries sees another part of, over as many more as it has queries.
    held = np.minimum(tile / group, queries)
    longest = np.where(window > 0, np.minimum(window + held - 1, keys), keys)
    walked = np.minimum(in_view(queries, keys, 0.0, causal) + np.where(causal > 0, held / 2, 0), keys)
    if np.any(window > 0):
        narrow = in_view(queries, keys, window, causal) + held - 1
        walked = np.where(window > 0, np.minimum(narrow, walked), walked)
    steps = walked / SPLIT / KEY_TILE
    most_steps = longest / SPLIT / KEY_TILE
    if not machine.cuts_to_size:
        steps, most_steps = np.ceil(steps), np.ceil(most_steps)
    # Long and short tiles even out over the processors, but the longest is there as a whole.
    rounds = np.maximum(blocks / processors * steps, np.maximum(most_steps, np.ceil(blocks / processors) * steps * 0.5))
    rounds = np.where(blocks <= processors, most_steps, rounds)

    # Blocks that share a processor hide each other's waits.
    resident = KEY_TILE * kv_bytes + tile * wide * q_bytes
    chain = np.maximum(most_steps, rounds / np.clip(machine.shared_bytes / resident, 1, BESIDE))
    of_step = 2 * tile * KEY_TILE * (wide + out_wide)
    matrix_s = rounds * of_step * processors / peak
    softmax_s = rounds * tile * KEY_TILE * processors
    softmax_s = softmax_s * (FLOPS_PER_SCORE / machine.vector_flops_per_s + 1 / machine.special_per_s)
    # Whole tiles: half an empty one takes as long.
    each_row = fused_flops / (batch * heads * queries)
    softmax_s = softmax_s + np.ceil(blocks / processors) * tile * each_row * processors / machine.vector_flops_per_s
    partial = np.where(SPLIT > 1, 2 * SPLIT * batch * heads * queries * out_wide * ACCUMULATOR_BYTES, 0.0)
    loaded = blocks * (steps * KEY_TILE * kv_bytes + tile * (wide + out_wide) * q_bytes)
    loaded = loaded + tiles * tile / (queries * group) * fused_bytes
    l2_s = loaded / machine.l2_bytes_per_s(active) + partial / machine.l2_bytes_per_s(processors)
    seen = np.minimum(keys, np.where(window > 0, window + queries, keys))
    cached = batch * kv_heads * seen * kv_bytes
    rows = batch * heads * queries * (wide + out_wide) * q_bytes + fused_bytes
    rate = machine.main_bytes_per_s
    ones = np.ones_like(rounds)
    return Demand(
        busy={
            "matrix": matrix_s,
            "vector": softmax_s,
            "l2": l2_s,
            "main": (cached + rows) / rate * ones,
            CHAIN: chain * slower,
        },
        fixed={
            "launch": slower * ones + np.where(least > TILE, NEVER, 0.0),
            "wave": np.maximum(blocks / processors - 1, 0) * slower,
            "split": np.where(SPLIT > 1, slower, 0.0) * ones,
        },
        reused=(((cached + rows) / rate, machine.share_of_cache(sets * cached + rows)),),
        choices=CHOICES,
        least={"matrix": blocks * steps * of_step / sustained},
        active=active / processors,
        issues=np.full((1, 1), machine.host_launches),
    )
