"""Attention in one kernel: scores never leave the processor."""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import product

import numpy as np

from ircost.cost_models.gpu.machine import GpuMachine
from ircost.cost_models.gpu.terms import Column, Constants, Parameter, Terms, cold_share, overlapped

QUERY_TILES = (16, 64, 128)  # rows of queries that one block holds
KEY_TILE = 64  # keys that it meets at once
SPLITS = (1, 2, 4, 8, 16, 32, 64)  # blocks that share the keys of one tile
CANDIDATES = tuple(product(QUERY_TILES, SPLITS))
CHOICES = tuple(f"{rows} queries" + (f", keys split {split}" if split > 1 else "") for rows, split in CANDIDATES)
CHUNK = 16384
# Scale, mask, maximum, difference, sum and rescaling of one score. Source: Dao, "FlashAttention-2", 2023, algorithm 1.
FLOPS_PER_SCORE = 6

PARAMETERS = {
    "arithmetic": Parameter(0.6, 0.1, 1.0, "share of the matrix units' peak that the main loop reaches"),
    "softmax": Parameter(0.6, 0.05, 1.0, "share of the vector and special units' peak in the softmax"),
    "main_memory": Parameter(0.85, 0.3, 0.98, "share of main memory's bandwidth that long streams reach"),
    "port": Parameter(0.4, 0.05, 1.0, "share of the ports' bandwidth between L2 and the processors"),
    "launch_s": Parameter(4e-6, 1e-7, 1e-3, "start and end of a kernel"),
    "wave_s": Parameter(1e-6, 1e-8, 1e-4, "prologue and epilogue of a wave of tiles"),
    "step_s": Parameter(2e-7, 1e-9, 1e-5, "one step over a tile of keys: what its loads and barriers leave unhidden"),
    "split_s": Parameter(2e-6, 1e-8, 1e-2, "putting the parts of split keys together, beside their bytes"),
    "shared_heads": Parameter(16.0, 1.0, 128.0, "heads of queries that one block holds beside each other, at most"),
    "sharpness": Parameter(3.0, 1.0, 30.0, "how well arithmetic and loads overlap: exponent of their sum"),
    "resident": Parameter(0.15, 1e-3, 1.5, "share of the cache that keeps operands between two runs of a benchmark"),
}


@dataclass(frozen=True, slots=True)
class AttentionWork:
    """Every field is [rows], or one number for all.

    Args:
        batch, queries, keys: sequences, new tokens of each, and tokens that they may see at most, the new ones included.
        heads, kv_heads: of queries; of keys and values.
        key_width, value_width: of a head.
        kv_bytes: of keys and values of one token and head of them.
        query_bytes: of an element of queries and results.
        window: keys that a query sees at most; 0 for all.
        is_causal: 1 where the last query sees all keys, the one before it one less, and so on; 0 where all see all.
        flops_per_s: peak of the matrix units in this format.
    """

    batch: Column
    queries: Column
    keys: Column
    heads: Column
    kv_heads: Column
    key_width: Column
    value_width: Column
    kv_bytes: Column
    query_bytes: Column
    window: Column
    is_causal: Column
    flops_per_s: Column

    def rows(self, which: slice) -> list[np.ndarray]:
        count = len(self.batch)
        return [np.broadcast_to(getattr(self, f.name), (count,))[which, None].astype(float) for f in fields(self)]


def pairs_per_head(queries: Column, keys: Column, window: Column, is_causal: Column) -> Column:
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


def attention(work: AttentionWork, machine: GpuMachine, constants: Constants) -> Terms:
    """Time under the best tile and split of the keys.

    The queries of all heads that share keys and values fill the rows of one tile. A block walks over the keys that its
    queries see, a tile of them at a time: two products, and a softmax on the vector and special units beside them.
    Where there are fewer blocks than processors the keys are split. Keys and values cross main memory once.

    Source: Dao, "FlashAttention-2", 2023; Dao et al., "Flash-Decoding", 2023.
    """
    count = len(work.batch)
    parts = [_chunk(work, slice(start, start + CHUNK), machine, constants) for start in range(0, max(count, 1), CHUNK)]
    first = parts[0]
    return Terms(
        np.concatenate([part.latency_s for part in parts]),
        {name: np.concatenate([part.busy[name] for part in parts]) for name in first.busy},
        {name: np.concatenate([part.fixed[name] for part in parts]) for name in first.fixed},
        np.concatenate([part.choice for part in parts if part.choice is not None]),
        CHOICES,
    )


TILE, SPLIT = (np.array(column, dtype=float)[None] for column in zip(*CANDIDATES, strict=True))


def _chunk(work: AttentionWork, which: slice, machine: GpuMachine, constants: Constants) -> Terms:
    batch, queries, keys, heads, kv_heads, wide, out_wide, kv_bytes, q_bytes, window, causal, peak = work.rows(which)
    processors = machine.processors
    group = heads / kv_heads
    pairs = pairs_per_head(queries, keys, window, causal)
    span = np.maximum(pairs / queries, 1)  # keys that a query sees, in the mean
    longest = np.where(window > 0, np.minimum(window, keys), keys)

    held = np.minimum(TILE, constants["shared_heads"] * queries)
    tiles = np.ceil(queries * group / held)
    blocks = batch * kv_heads * tiles * SPLIT
    active = np.minimum(blocks, processors)
    # A tile of queries walks over all keys that any of them sees, and over whole tiles of those.
    extra = np.where(causal > 0, np.minimum(TILE / group, queries) / 2, 0)
    steps = np.ceil(np.minimum(span + extra, longest) / SPLIT / KEY_TILE)
    most_steps = np.ceil(longest / SPLIT / KEY_TILE)
    # Long and short tiles even out over the processors, but the longest is there as a whole.
    rounds = np.maximum(blocks / processors * steps, np.maximum(most_steps, np.ceil(blocks / processors) * steps * 0.5))
    rounds = np.where(blocks <= processors, most_steps, rounds)

    step_flops = 2 * TILE * KEY_TILE * (wide + out_wide)
    matrix_s = rounds * step_flops / (peak / processors * constants["arithmetic"])
    scores = rounds * TILE * KEY_TILE
    vector_rate = machine.vector_flops_per_s / processors * constants["softmax"]
    special_rate = machine.special_per_s / processors * constants["softmax"]
    softmax_s = scores * (FLOPS_PER_SCORE / vector_rate + 1 / special_rate)
    loaded = blocks * (steps * KEY_TILE * kv_bytes + TILE * (wide + out_wide) * q_bytes)
    port_s = loaded / (active * machine.port_bytes_per_s * constants["port"])
    seen = np.minimum(keys, np.where(window > 0, window + queries, keys))
    touched = batch * (kv_heads * seen * kv_bytes + heads * queries * (wide + out_wide) * q_bytes)
    traffic = touched * cold_share(touched, machine, constants["resident"])
    main_s = traffic / (machine.main_bytes_per_s * constants["main_memory"])

    step_s = constants["step_s"] * rounds
    wave_s = constants["wave_s"] * np.ceil(blocks / processors / 2)
    partial = 2 * SPLIT * batch * heads * queries * out_wide * 4
    put_together_s = np.where(
        SPLIT > 1,
        constants["split_s"] + partial / (processors * machine.port_bytes_per_s * constants["port"]),
        0.0,
    )
    launch_s = np.full_like(wave_s, constants["launch_s"])
    busy = {"matrix": matrix_s, "vector": softmax_s, "l2": port_s, "main": main_s}
    fixed = {"launch": launch_s, "waves": wave_s, "steps": step_s, "split": put_together_s}
    latency_s = overlapped(busy, constants["sharpness"]) + step_s + wave_s + put_together_s + launch_s
    best = latency_s.argmin(axis=1)

    def chosen(table: np.ndarray) -> Column:
        wide_table = np.broadcast_to(table, latency_s.shape)
        result: Column = wide_table[np.arange(len(best)), best]
        return result

    return Terms(
        chosen(latency_s),
        {name: chosen(column) for name, column in busy.items()},
        {name: chosen(column) for name, column in fixed.items()},
        best,
        CHOICES,
    )
