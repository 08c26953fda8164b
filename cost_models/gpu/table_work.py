"""How rows of measured tables become work for the models of their families."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ircost.backends import Link, Target
from ircost.cost_models.gpu.attention import PREFILL_QUERIES, AttentionWork, pairs_per_head
from ircost.cost_models.gpu.collective import OPS, SEND_RECV, CollectiveWork, least_sent_s
from ircost.cost_models.gpu.convolution_work import ConvolutionWork, alignment
from ircost.cost_models.gpu.demand import Amount, Column
from ircost.cost_models.gpu.experts import ExpertsWork, rank_loads
from ircost.cost_models.gpu.formats import Format, format_of
from ircost.cost_models.gpu.gemm import LEAST_TILE, GemmWork, sums_rows
from ircost.cost_models.gpu.labels import THROUGH_HOST, WITH_PEERS
from ircost.cost_models.gpu.machine import GpuMachine
from ircost.cost_models.gpu.power_limit import sustained_flops_per_s
from ircost.cost_models.gpu.scan import ScanWork
from ircost.cost_models.gpu.stream import ROW_IN_A_BLOCK, StreamWork
from ircost.cost_models.gpu.winograd import TILES, may_take, saved

Columns = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Totals:
    """What no machine can do without: operations in the units that run them, bytes touched once, and what is sent.

    Args:
        sent_s: seconds that a device's fastest way out takes for what it must send; no run is shorter.
        sent_at_rate_s: the same by the data sheet's rates, which some messages were measured to beat.
    """

    flops: Amount
    touched_bytes: Amount
    sent_s: Amount = 0.0
    sent_at_rate_s: Amount = 0.0


@dataclass(frozen=True, slots=True)
class Setting:
    """Rows of one target, one runtime, one number format.

    Args:
        arithmetic: the format of the products, or the wider one that the target has.
        flops_per_s: its peak.
    """

    target: Target
    machine: GpuMachine
    runtime: str
    format: Format
    arithmetic: str
    flops_per_s: float

    @property
    def unit(self) -> str:
        """``matrix`` or ``vector``: what runs products."""
        return self.target.unit_for(self.arithmetic)[0]

    @property
    def least_tile(self) -> float:
        return LEAST_TILE[self.unit]

    @property
    def is_row_summed(self) -> float:
        return float(sums_rows(self.unit, self.arithmetic))

    @property
    def sustained_flops_per_s(self) -> float:
        """What the board's power leaves of the peak."""
        return sustained_flops_per_s(self.target, self.arithmetic)


def coded(column: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """A column of words as numbers, and the words that they stand for, in order of appearance."""
    words = column.tolist()
    numbers = {word: number for number, word in enumerate(dict.fromkeys(words))}
    codes = np.fromiter(map(numbers.__getitem__, words), np.int64, len(words))
    return codes, [str(word) for word in numbers]


def each(column: np.ndarray, of: Callable[[str], float]) -> Column:
    """A number for each word of a column; each distinct word is looked at once."""
    codes, words = coded(column)
    return np.array([of(word) for word in words], dtype=float)[codes] if words else np.zeros(0)


def floats(columns: Columns, *names: str) -> list[Column]:
    return [np.asarray(columns[name], dtype=float) for name in names]


# ---- how a benchmark repeats itself

# Weights, and activations, that take turns in a loop over one shape. Source: ai-dynamo/aiconfigurator at 095f58a,
# collector/{vllm,sglang,trtllm}/collect_gemm.py; elsewhere the same operands are used again and again.
# `irc measure` takes as many weights as no cache holds.
COLD_SETS = 1e9  # of operands between two uses of one: no cache keeps it
TURNING_SETS = 6.0
WEIGHT_SETS = {"vllm": TURNING_SETS, "sglang": TURNING_SETS, "trtllm": 5.0, "pytorch graphs": COLD_SETS}
ACTIVATION_SETS = {"sglang": TURNING_SETS}
# Words of the column `caches`: flushed before each run, or operands took turns; left as they were, with the same
# operands again; weights of products took turns, as with most runtimes that replay graphs, and nothing else did.
COLD, WARM, TURNING = "cold", "warm", "turning weights"
SETS = {COLD: COLD_SETS, WARM: 1.0}  # whatever is usual


def sets_of(columns: Columns, usual: Column | float = 1.0, words: Mapping[str, float] = SETS) -> Column | float:
    """Sets of operands that take turns: as a row says, else the usual ones."""
    caches = columns.get("caches")
    if caches is None:
        return usual
    told = each(caches, lambda word: words.get(word, math.nan))
    return np.where(np.isnan(told), usual, told)


def gemm_sets(columns: Columns, weight_bytes: Column, setting: Setting) -> tuple[Column | float, Column | float]:
    """Sets of activations, and of weights."""
    weights = np.full(len(weight_bytes), WEIGHT_SETS.get(setting.runtime, 1.0))
    if setting.runtime == "vllm" and setting.format.is_blocked:
        weights = np.ones_like(weights)
    elif setting.runtime == "trtllm":
        enough = np.ceil(setting.machine.cache_bytes / np.maximum(weight_bytes, 1))
        weights = np.clip(enough, 1, weights)
    turning = {**SETS, TURNING: TURNING_SETS}
    return sets_of(columns, ACTIVATION_SETS.get(setting.runtime, 1.0)), sets_of(columns, weights, turning)


# ---- gemm


def gemm_work(columns: Columns, setting: Setting) -> GemmWork:
    batch, m, n, k = floats(columns, "batch", "m", "n", "k")
    form = setting.format
    lhs_sets, rhs_sets = gemm_sets(columns, n * k * form.weight_bytes, setting)
    return GemmWork(
        *(batch, m, n, k, form.activation_bytes, form.weight_bytes, form.result_bytes),
        *(form.unpack_flops, form.converted_bytes, lhs_sets, rhs_sets, setting.flops_per_s),
        least_tile=setting.least_tile,
        is_row_summed=setting.is_row_summed,
        sustained_flops_per_s=setting.sustained_flops_per_s,
    )


def gemm_totals(columns: Columns, setting: Setting) -> Totals:
    batch, m, n, k = floats(columns, "batch", "m", "n", "k")
    form = setting.format
    touched = batch * (m * k * form.activation_bytes + n * k * form.weight_bytes + m * n * form.result_bytes)
    return Totals(2 * batch * m * n * k, touched)


# ---- attention and multi-head latent attention

# Heads that share keys and values: TensorRT-LLM's XQA kernel takes up to 32; beyond, an older one runs each by itself.
# Source: NVIDIA/TensorRT-LLM, docs/source/advanced/gpt-attention.md (XQA optimisation).
MOST_SHARED = {"trtllm": 32.0}
# SGLang's Triton kernel for prefill masks what lies outside of a window, and walks over it all the same: measured, a
# window of 128 in 4,096 keys and more takes 0.7 to 0.9 of the time without one, where other kernels take 0.1 to 0.3.
MASKING = ("sglang", "triton")
LATENT, ROPE, NOPE, VALUE = 512, 64, 128, 128  # DeepSeek-V2 and V3: arXiv:2405.04434, table of hyper-parameters


def attention_work(columns: Columns, setting: Setting) -> AttentionWork:
    batch, queries, keys, heads, kv_heads, width, window = floats(
        columns, "batch", "q_len", "kv_len", "heads", "kv_heads", "head_dim", "window"
    )
    causal = each(columns["phase"], lambda phase: float(phase != "encoder"))
    if "kernel" in columns:
        masks = each(columns["kernel"], lambda kernel: float(masks_window(setting.runtime, kernel))) > 0
        is_prefill = each(columns["phase"], lambda phase: float(phase == "prefill")) > 0
        window = np.where(masks & is_prefill, 0, window)
    kv_bytes = 2 * width * element_bytes(columns["kv_dtype"], setting)
    q_bytes = max(setting.format.activation_bytes, 2.0)
    return AttentionWork(
        *(batch, queries, keys, heads, kv_heads, width, width, kv_bytes),
        *(q_bytes, np.maximum(window, 0), causal, setting.flops_per_s, sets_of(columns)),
        most_shared(columns, setting),
        each(columns["phase"], lambda phase: 1.0 if phase == "decode" else PREFILL_QUERIES),
        sustained_flops_per_s=setting.sustained_flops_per_s,
    )


def most_shared(columns: Columns, setting: Setting) -> Column:
    """Heads that one block holds beside each other, at most."""
    is_decode = each(columns["phase"], lambda phase: float(phase == "decode")) > 0
    kernels = columns.get("kernel", np.full(len(is_decode), "", dtype=object))
    architecture = setting.machine.architecture
    packs = each(kernels, lambda kernel: float(packs_heads(setting.runtime, kernel, architecture))) > 0
    is_step = (np.asarray(columns["q_len"]) == 1) & (setting.runtime == "vllm")
    of_prompts = np.where(packs | is_step, np.inf, 1.0)
    return np.where(is_decode, MOST_SHARED.get(setting.runtime, np.inf), of_prompts)


def packs_heads(runtime: str, kernel: str, architecture: str) -> bool:
    """Whether a kernel for prompts puts heads that share keys into the rows of one tile; else each is by itself.

    FlashAttention-3 and FlashInfer do; FlashAttention-2 (but for prompts of one token), TensorRT-LLM's and SGLang's
    Triton kernels do not. Measured, 64 prompts of 16 tokens with more than 8 heads to a key take two and a half times
    as long in TensorRT-LLM as if they did.
    Sources: Dao-AILab/flash-attention, hopper/heuristics.h (should_pack_gqa); Ye et al., "FlashInfer", MLSys 2025
    (head-group fusion).

    Args:
        kernel: or the library that it is of, as ``library`` names it; "" where nobody says.
    """
    low = kernel.lower().replace("_", "")
    if runtime == "vllm":
        is_second = "fa2" in low or (architecture != "hopper" and (low in ("", "vllmflashattn")))
        return not is_second
    return runtime != "trtllm" and not (runtime == "sglang" and "triton" in low)


def masks_window(runtime: str, kernel: str) -> bool:
    """Whether a kernel for prompts, or a library of such, walks over keys that are out of view."""
    return runtime == MASKING[0] and MASKING[1] in kernel


def mla_work(columns: Columns, setting: Setting) -> AttentionWork:
    """Prefill: heads with keys of their own. Decode: all heads share one latent, which is key and value at once."""
    batch, queries, keys, heads = floats(columns, "batch", "q_len", "kv_len", "heads")
    absorbed = each(columns["phase"], lambda phase: float(phase != "prefill")) > 0
    wide = element_bytes(columns["kv_dtype"], setting)
    return AttentionWork(
        *(batch, queries, keys, heads, np.where(absorbed, 1.0, heads)),
        np.where(absorbed, LATENT + ROPE, NOPE + ROPE).astype(float),
        np.where(absorbed, LATENT, VALUE).astype(float),
        np.where(absorbed, (LATENT + ROPE) * wide, (NOPE + ROPE + VALUE) * 2.0),
        *(2.0, 0.0, 1.0, setting.flops_per_s, sets_of(columns), np.inf),
        np.where(absorbed, 1.0, PREFILL_QUERIES),
        sustained_flops_per_s=setting.sustained_flops_per_s,
    )


def element_bytes(names: np.ndarray, setting: Setting) -> Column:
    def of(name: str) -> float:
        form = format_of(name)
        return setting.format.weight_bytes if form is None else form.weight_bytes

    return each(names, of)


def attention_totals(work: AttentionWork) -> Totals:
    window, causal = (
        np.broadcast_to(np.asarray(x, float), np.shape(work.batch)) for x in (work.window, work.is_causal)
    )
    pairs = pairs_per_head(work.queries, work.keys, window, causal)
    flops = 2 * work.batch * work.heads * pairs * (work.key_width + work.value_width)
    seen = np.where(window > 0, np.minimum(window + work.queries, work.keys), work.keys)
    rows = work.heads * work.queries * (work.key_width + work.value_width) * work.query_bytes
    return Totals(flops, work.batch * (work.kv_heads * seen * work.kv_bytes + rows))


# ---- experts

POWER_LAW = re.compile(r"power_law_(\d+\.?\d*|\.\d+)", re.ASCII)


def experts_work(columns: Columns, setting: Setting) -> ExpertsWork:
    tokens, hidden, inner, chosen, total, tp, ep = floats(
        columns, "tokens", "hidden", "inter", "topk", "experts", "tp", "ep"
    )
    form = setting.format
    return ExpertsWork(
        *(tokens, hidden, inner / tp, chosen, total, ep),
        each(columns["kernel"], lambda kernel: 2.0 if "nongated" in kernel else 3.0),
        each(columns["distribution"], _known_skew),
        *(form.activation_bytes, form.weight_bytes, form.unpack_flops, setting.flops_per_s, sets_of(columns)),
        sustained_flops_per_s=setting.sustained_flops_per_s,
        is_row_summed=setting.is_row_summed,
    )


def skew_of(distribution: str) -> float | None:
    """1.2 of ``power_law_1.2``; 0 of ``balanced``; None of what is neither."""
    if distribution == "balanced":
        return 0.0
    written = POWER_LAW.fullmatch(distribution)
    skew = float(written[1]) if written else math.inf
    return skew if math.isfinite(skew) else None


def _known_skew(distribution: str) -> float:
    skew = skew_of(distribution)
    assert skew is not None, "rows of other distributions failed before"
    return skew


def experts_totals(work: ExpertsWork) -> Totals:
    """The rank's share of the products; weights of as few experts as its rows can do with."""
    rows = work.tokens * work.chosen / work.ranks
    met = np.minimum(np.minimum(work.experts / work.ranks, work.chosen), np.maximum(rows, 1))
    if np.any(np.asarray(work.skew) > 0):
        loads = rank_loads(work)
        rows = np.where(np.asarray(work.skew) > 0, np.minimum(rows, loads[:, 0]), rows)
    each_expert = work.matrices * work.hidden * work.inner
    return Totals(2 * rows * each_expert, met * each_expert * work.weight_bytes)


# ---- streams: element-wise ops, norms, quantisation


@dataclass(frozen=True, slots=True)
class PerElement:
    """Of an op on ``rows x cols``: elements read and written for each of the result, and arithmetic."""

    reads: float
    writes: float
    flops: float
    special: float
    is_reduced: bool = False


# Flops of special functions as CUDA's math library expands them are beside the special units' own. Source: CUDA C++
# Programming Guide, "Arithmetic Instructions"; ops by the IR's own definitions.
VECTOR_OPS = {
    "add": PerElement(2, 1, 1, 0),
    "mul": PerElement(2, 1, 1, 0),
    "div": PerElement(2, 1, 8, 1),
    "pow": PerElement(2, 1, 40, 2),
    "add_scalar": PerElement(1, 1, 1, 0),
    "mul_scalar": PerElement(1, 1, 1, 0),
    "div_scalar": PerElement(1, 1, 1, 0),
    "pow_scalar": PerElement(1, 1, 40, 2),  # measured: where arithmetic shows, as many elements a second as of pow
    "relu": PerElement(1, 1, 1, 0),
    "tanh": PerElement(1, 1, 12, 1),
    "gelu": PerElement(1, 1, 20, 1),
    "activation": PerElement(1, 1, 20, 1),
    "silu_and_mul": PerElement(2, 1, 10, 2),
    "softmax": PerElement(1, 1, 4, 1, True),
    "layer_norm": PerElement(1, 1, 8, 0, True),
    "norm": PerElement(1, 1, 6, 0, True),
    "rms_norm": PerElement(1, 1, 6, 0, True),
    "rope": PerElement(1, 1, 4, 0),
    "embedding": PerElement(1, 1, 0, 0),
    "copy": PerElement(1, 1, 0, 0),
    "where": PerElement(3, 1, 1, 0),
    "cumsum": PerElement(1, 1, 1, 0, True),
    "dropout": PerElement(1, 1.25, 10, 0),
    "softmax_gradient": PerElement(2, 1, 4, 0, True),
    "layer_norm_gradient": PerElement(3, 1, 12, 0, True),
    "computescale": PerElement(1, 0, 2, 0, True),
    "scale_matrix": PerElement(1, 0.5, 2, 0),
}
QUANTIZING = frozenset(("computescale", "scale_matrix"))


def stream_work(columns: Columns, setting: Setting) -> StreamWork:
    """Raises:
    KeyError: an op that nobody knows; ``unknown_ops`` finds them before.
    """
    rows, cols = floats(columns, "rows", "cols")
    wide = 2.0 if setting.format.arithmetic.startswith("f8") else setting.format.activation_bytes

    def of(field: str) -> Column:
        return each(columns["op"], lambda op: float(getattr(VECTOR_OPS[op], field)))

    elements = rows * cols
    return StreamWork(
        *(elements, elements * of("reads") * wide, elements * of("writes") * wide),
        *(elements * of("flops"), elements * of("special"), rows * of("is_reduced"), sets_of(columns)),
        row_length=cols,
        row_in_a_block=each(columns["op"], lambda op: float(op in ROW_IN_A_BLOCK)),
        keeps_pace=each(columns["op"], lambda op: float(op not in QUANTIZING)),
    )


def stream_totals(work: StreamWork) -> Totals:
    return Totals(np.zeros_like(work.elements), work.read_bytes + work.write_bytes)


# ---- recurrent


def scan_work(columns: Columns, setting: Setting) -> ScanWork:
    batch, steps, key_heads, key_width, value_heads, value_width, heads, groups, state, head = floats(
        columns,
        *("batch", "seq_len", "num_k_heads", "head_k_dim", "num_v_heads", "head_v_dim"),
        *("nheads", "n_groups", "d_state", "head_dim"),
    )
    is_mamba = heads > 0
    heads = np.where(is_mamba, heads, value_heads)
    key_width, value_width = np.where(is_mamba, state, key_width), np.where(is_mamba, head, value_width)
    key_heads = np.where(is_mamba, groups, key_heads)
    tokens = batch * steps
    channels = 2 * key_heads * key_width + heads * value_width
    is_conv = each(columns["kernel"], lambda kernel: float("conv1d" in kernel)) > 0
    states = batch * heads * key_width * value_width * 4
    mixing = tokens * (channels + heads * (value_width + 2)) * 2 + 2 * states
    wide = np.where(is_conv, tokens * channels * 4 + batch * channels * 2 * 3 * 2, mixing)
    is_context = each(columns["phase"], lambda phase: float(phase == "context")) > 0
    return ScanWork(
        *(batch, steps, np.where(is_conv, 1.0, heads), np.where(is_conv, 1.0, key_width)),
        *(
            np.where(is_conv, 1.0, value_width),
            wide,
            (is_context & ~is_conv).astype(float),
            min(setting.flops_per_s, setting.sustained_flops_per_s),
            sets_of(columns),
        ),
    )


def scan_totals(work: ScanWork) -> Totals:
    return Totals(np.zeros(np.size(work.batch)), np.asarray(work.touched_bytes, float) / 2)


# ---- convolutions


def convolution_work(columns: Columns, setting: Setting) -> ConvolutionWork:
    batch, groups, cin, high, wide, cout, kh, kw, sh, sw, ph, pw = floats(
        columns,
        *("batch", "groups", "in_channels", "in_h", "in_w", "out_channels", "kernel_h", "kernel_w"),
        *("stride_h", "stride_w", "pad_h", "pad_w"),
    )
    out_high, out_wide = np.floor((high + 2 * ph - kh) / sh) + 1, np.floor((wide + 2 * pw - kw) / sw) + 1
    direction = each(columns["op"], lambda op: {"conv2d_dgrad": 1.0, "conv2d_wgrad": 2.0}.get(op, 0.0))
    is_plain = np.isin(kh, tuple(TILES)) & (kw == kh) & (sh == 1) & (sw == 1)
    may = may_take(setting.unit, setting.target.kind) and setting.format.arithmetic.startswith("f")
    return ConvolutionWork(
        *(batch, groups, cin, high, wide, cout, np.maximum(out_high, 1), np.maximum(out_wide, 1), kh, kw),
        *(direction, (is_plain & (groups == 1) & may).astype(float)),
        *(setting.format.activation_bytes, setting.flops_per_s, sets_of(columns)),
        least_tile=setting.least_tile,
        sustained_flops_per_s=setting.sustained_flops_per_s,
        aligned_channels=alignment(setting.unit, setting.format.activation_bytes),
    )


def convolution_totals(work: ConvolutionWork) -> Totals:
    macs = work.batch * work.out_height * work.out_width * work.out_channels * work.in_channels / work.groups
    flops = 2 * macs * work.kernel_height * work.kernel_width
    # Strides may skip inputs: those that no window meets need not be read.
    met_high = np.minimum(work.in_height, work.out_height * work.kernel_height)
    met_wide = np.minimum(work.in_width, work.out_width * work.kernel_width)
    pixels = work.in_channels * met_high * met_wide + work.out_channels * work.out_height * work.out_width
    fewest = np.where(work.is_winograd > 0, flops / saved(work.kernel_height), flops)
    return Totals(fewest, work.batch * pixels * work.element_bytes)


# ---- collectives

BUS_BYTES_PER_S = 16e9  # PCIe 3 x16, where a target names no bus: PCI Express Base Specification 3.0, 2010
NETWORK_BYTES_PER_S = 12.5e9  # one 100 Gb/s card a machine, where a target names no network


LARGEST_NODE = 8  # devices, where a target does not say how many stand in one


def collective_work(columns: Columns, setting: Setting) -> CollectiveWork:
    """Between nodes the network counts; within one the fastest link that joins so many, or the bus where none does.

    Machines that a network alone joins, as boards on Ethernet, are a node each. Over a mesh a device sends to each
    other one by the wire between them: of its bandwidth the part that leads to those which take part. Where a row tells
    no topology, a node has as many devices as links join. Where it names a server, that has no such links.
    """
    target = setting.target
    world, size = floats(columns, "world_size", "bytes")
    is_alone, unsaid = is_joined_by_a_network_alone(target), devices_in_a_node(target)
    told = each(columns["topology"], lambda name: (devices_per_node(name) or np.inf) if name else unsaid)
    here = np.where(is_alone, 1.0, told)
    nodes = np.where(np.isfinite(here), np.ceil(world / here), 1.0)
    ops = each(columns["op"], lambda op: float(OPS.index(op)))
    others = np.where(ops == SEND_RECV, 1.0, np.maximum(world / nodes - 1, 1.0))
    pairs = each(columns["topology"], lambda name: float("pairs" in name)) > 0
    in_a_server = each(columns["server"], lambda name: float(name != "")) > 0 if "server" in columns else False
    network, links = target.network, [link for link in target.links if link.topology not in ("bus", "network")]
    network_rate = float(network.bandwidth_bytes_per_s) if network is not None else NETWORK_BYTES_PER_S
    bus = bus_between(target)
    bus_rate = float(bus.bandwidth_bytes_per_s) if bus is not None else BUS_BYTES_PER_S
    rate, is_bus = np.full_like(world, network_rate if is_alone else bus_rate), np.full_like(world, not is_alone)
    for link in reversed(links):
        joined = (world / nodes <= np.minimum(bridged(link), np.where(pairs, 2, np.inf))) & ~np.asarray(in_a_server)
        reached = float(link.bandwidth_bytes_per_s) * wires_among(link, others) / link.wires
        rate, is_bus = np.where(joined, reached, rate), np.where(joined, 0.0, is_bus)
    has_bridges = any(np.isfinite(bridged(link)) for link in links)
    return CollectiveWork(
        *(ops, world, nodes, size, rate),
        network_rate,
        is_bus,
        # Where bridges join a few, a ring crosses the bus once each way; without links all devices do.
        np.where((pairs | has_bridges) & ~np.asarray(in_a_server), 1.0, np.maximum(world / nodes / 2, 1.0)),
        np.full_like(world, float(target.link is not None and target.link.reduces)),
    )


def devices_in_a_node(target: Target) -> int:
    """As many as its links join; of graphics cards at least as many as a server takes, whatever bridges join of them.

    One, where there is a network and nothing else, as of boards on Ethernet.

    >>> from ircost.backends import load_target
    >>> names = ("h100_sxm", "gb200", "h100_nvl", "xeon_8480", "jetson_nano")
    >>> [devices_in_a_node(load_target(name)) for name in names]
    [8, 72, 8, 2, 1]
    """
    if is_joined_by_a_network_alone(target):
        return 1
    joined = max((link.devices or 0 for link in target.links if link.topology != "network"), default=0)
    return max(joined, LARGEST_NODE) if target.kind == "gpu" else joined or LARGEST_NODE


def is_joined_by_a_network_alone(target: Target) -> bool:
    return target.link is None and target.network is not None


def is_on_a_bus(target: Target) -> bool:
    """Whether the devices of a node have no links of their own, and send over the host's bus.

    >>> from ircost.backends import load_target
    >>> [is_on_a_bus(load_target(name)) for name in ("l40s", "h100_sxm", "h100_nvl", "jetson_agx_orin")]
    [True, False, False, False]
    """
    has_links = any(link.topology not in ("bus", "network") for link in target.links)
    return not has_links and not is_joined_by_a_network_alone(target)


def architecture_on_a_bus(target: Target, peer: str = "") -> str:
    """What collectives over the host's bus go by.

    Args:
        peer: ``yes`` or ``no`` where somebody saw whether devices write to one another; else the target's file tells.

    >>> from ircost.backends import load_target
    >>> [architecture_on_a_bus(load_target(name)) for name in ("l40s", "rtx_4090")]
    ['peers on a bus', 'cards behind their host']
    """
    bus = bus_between(target)
    has_peers = {"yes": True, "no": False}.get(peer, bus is None or bus.peers)
    return WITH_PEERS if has_peers else THROUGH_HOST


def wires_among(link: Link, others: Column) -> Column:
    """How many of a device's wires lead to so many others, who stand as close as they can.

    In a grid of k devices each has log2 k neighbours on the mean at most: two of four, three of eight.

    Source: Harper, "Optimal Assignments of Numbers to Vertices", SIAM J. 12(1), 1964, for cubes; Ahlswede, Bezrukov,
    "Edge Isoperimetric Theorems for Integer Point Arrays", Appl. Math. Lett. 8(2), 1995, for grids.
    """
    reached = np.ceil(np.log2(others + 1)) if link.topology == "torus" else others
    wires: Column = np.minimum(reached, link.wires)
    return wires


def bus_between(target: Target) -> Link | None:
    """What devices without links of their own send over: PCIe, where a faster bus leads to the host alone."""
    return next((link for link in target.links if link.name.startswith("pcie")), target.bus)


def bridged(link: Link) -> float:
    """How many devices a bridge joins, where others stand in the same node; without bound of what joins all of it."""
    most = link.devices or (2 if link.topology == "pair" else None)
    return float(most) if most is not None and most < LARGEST_NODE else np.inf


def devices_per_node(topology: str) -> int:
    """8 of ``dgx nvlink; 8 per node``; 0 where all stand in one node."""
    head, _, tail = topology.rpartition(";")
    word = tail.strip().partition(" ")[0]
    return int(word) if head and word.isdigit() and "per node" in tail else 0


def collective_totals(work: CollectiveWork) -> Totals:
    """Links are not the device: what is sent over them is all that bounds it."""
    # Pairs over bridges were measured at 343 GB/s, each way, where data sheets say 300: nothing is held to bound them.
    at_rate_s = least_sent_s(work)
    sent_s = np.where(np.asarray(work.op) == SEND_RECV, 0.0, at_rate_s)
    return Totals(np.zeros_like(work.size_bytes), np.zeros_like(work.size_bytes), sent_s, at_rate_s)
