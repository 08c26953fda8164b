"""Families of kernels, and how rows of measured tables become work for their models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ircost.backends import Target
from ircost.cost_models.gpu import attention as attention_model
from ircost.cost_models.gpu import collective as collective_model
from ircost.cost_models.gpu import convolution as convolution_model
from ircost.cost_models.gpu import experts as experts_model
from ircost.cost_models.gpu import gemm as gemm_model
from ircost.cost_models.gpu import scan as scan_model
from ircost.cost_models.gpu import stream as stream_model
from ircost.cost_models.gpu.formats import Format
from ircost.cost_models.gpu.machine import GpuMachine
from ircost.cost_models.gpu.terms import Column, Constants, Parameter, Terms

Columns = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Totals:
    """What no machine can do without: operations in the units that run them, and bytes touched once."""

    flops: Column
    touched_bytes: Column


@dataclass(frozen=True, slots=True)
class Setting:
    """Rows of one target, one number format."""

    target: Target
    machine: GpuMachine
    format: Format
    flops_per_s: float


@dataclass(frozen=True, slots=True)
class Family:
    """Args:
    name: as tables and constants have it.
    columns: that a table of it has.
    parameters: constants of its model.
    kinds: a word for each row: rows of one kind share their constants.
    estimate: times of rows.
    totals: for the physical limit.
    """

    name: str
    columns: frozenset[str]
    parameters: Mapping[str, Parameter]
    kinds: Callable[[Columns], np.ndarray]
    estimate: Callable[[Columns, Setting, Constants], Terms]
    totals: Callable[[Columns, Setting], Totals]


def one_kind(columns: Columns) -> np.ndarray:
    return np.full(len(next(iter(columns.values()))), "")


def floats(columns: Columns, *names: str) -> list[Column]:
    return [columns[name].astype(float) for name in names]


# ---- gemm


def gemm_work(columns: Columns, setting: Setting) -> gemm_model.GemmWork:
    batch, m, n, k = floats(columns, "batch", "m", "n", "k")
    form = setting.format
    widths = form.activation_bytes, form.weight_bytes, form.result_bytes
    return gemm_model.GemmWork(batch, m, n, k, *widths, setting.flops_per_s)


def gemm_totals(columns: Columns, setting: Setting) -> Totals:
    batch, m, n, k = floats(columns, "batch", "m", "n", "k")
    form = setting.format
    touched = batch * (m * k * form.activation_bytes + n * k * form.weight_bytes + m * n * form.result_bytes)
    return Totals(2 * batch * m * n * k, touched)


# ---- attention and multi-head latent attention

LATENT, ROPE, NOPE, VALUE = 512, 64, 128, 128  # DeepSeek-V2 and V3: arXiv:2405.04434, table of hyper-parameters


def attention_work(columns: Columns, setting: Setting) -> attention_model.AttentionWork:
    batch, queries, keys, heads, kv_heads, width, window = floats(
        columns, "batch", "q_len", "kv_len", "heads", "kv_heads", "head_dim", "window"
    )
    causal = (columns["phase"] != "encoder").astype(float)
    kv_bytes = 2 * width * element_bytes(columns["kv_dtype"], setting)
    q_bytes = max(setting.format.activation_bytes, 2.0)
    return attention_model.AttentionWork(
        *(batch, queries, keys, heads, kv_heads, width, width, kv_bytes),
        *(q_bytes, np.maximum(window, 0), causal, setting.flops_per_s),
    )


def mla_work(columns: Columns, setting: Setting) -> attention_model.AttentionWork:
    """Prefill: heads with keys of their own. Decode: all heads share one latent, which is key and value at once."""
    batch, queries, keys, heads = floats(columns, "batch", "q_len", "kv_len", "heads")
    absorbed = columns["phase"] != "prefill"
    wide = element_bytes(columns["kv_dtype"], setting)
    return attention_model.AttentionWork(
        *(batch, queries, keys, heads, np.where(absorbed, 1.0, heads)),
        np.where(absorbed, LATENT + ROPE, NOPE + ROPE).astype(float),
        np.where(absorbed, LATENT, VALUE).astype(float),
        np.where(absorbed, (LATENT + ROPE) * wide, (NOPE + ROPE + VALUE) * 2.0),
        *(2.0, 0.0, 1.0, setting.flops_per_s),
    )


def element_bytes(names: np.ndarray, setting: Setting) -> Column:
    from ircost.cost_models.gpu.formats import format_of

    widths = {name: form.weight_bytes for name in np.unique(names) if (form := format_of(str(name))) is not None}
    return np.array([widths.get(name, setting.format.weight_bytes) for name in names], dtype=float)


def attention_totals_of(work: attention_model.AttentionWork) -> Totals:
    full = [np.broadcast_to(np.asarray(x, float), np.shape(work.batch)) for x in (work.window, work.is_causal)]
    pairs = attention_model.pairs_per_head(work.queries, work.keys, *full)
    flops = 2 * work.batch * work.heads * pairs * (work.key_width + work.value_width)
    seen = np.where(full[0] > 0, np.minimum(full[0] + work.queries, work.keys), work.keys)
    rows = work.heads * work.queries * (work.key_width + work.value_width) * work.query_bytes
    return Totals(flops, work.batch * (work.kv_heads * seen * work.kv_bytes + rows))


# ---- experts


def experts_work(columns: Columns, setting: Setting) -> experts_model.ExpertsWork:
    tokens, hidden, inner, chosen, total, tp, ep = floats(
        columns, "tokens", "hidden", "inter", "topk", "experts", "tp", "ep"
    )
    matrices = {name: 2.0 if "nongated" in str(name) else 3.0 for name in np.unique(columns["kernel"])}
    skews = {name: skew_of(str(name)) for name in np.unique(columns["distribution"])}
    return experts_model.ExpertsWork(
        *(tokens, hidden, inner / tp, chosen, total, ep),
        np.array([matrices[name] for name in columns["kernel"]]),
        np.array([skews[name] for name in columns["distribution"]]),
        *(setting.format.activation_bytes, setting.format.weight_bytes, setting.flops_per_s),
    )


def skew_of(distribution: str) -> float:
    """1.2 of ``power_law_1.2``; 0 of ``balanced``."""
    tail = distribution.rpartition("_")[2]
    return float(tail) if distribution.startswith("power_law") and tail.replace(".", "", 1).isdigit() else 0.0


def experts_totals(columns: Columns, setting: Setting) -> Totals:
    work = experts_work(columns, setting)
    rows = work.tokens * work.chosen / work.ranks
    met = np.minimum(np.minimum(work.experts / work.ranks, work.chosen), np.maximum(rows, 1))
    return Totals(
        2 * rows * work.matrices * work.hidden * work.inner,
        met * work.matrices * work.hidden * work.inner * setting.format.weight_bytes,
    )


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
    "pow_scalar": PerElement(1, 1, 1, 0),
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
    "softmax_gradient": PerElement(2, 1, 4, 0, True),
    "layer_norm_gradient": PerElement(3, 1, 12, 0, True),
    "computescale": PerElement(1, 0, 2, 0, True),
    "scale_matrix": PerElement(1, 0.5, 2, 0),
}


def stream_work(columns: Columns, setting: Setting) -> stream_model.StreamWork:
    rows, cols = floats(columns, "rows", "cols")
    wide = 2.0 if setting.format.arithmetic.startswith("f8") else setting.format.activation_bytes
    table = {name: VECTOR_OPS[str(name)] for name in np.unique(columns["op"])}

    def each(field: str) -> Column:
        return np.array([float(getattr(table[name], field)) for name in columns["op"]])

    elements = rows * cols
    return stream_model.StreamWork(
        *(elements, elements * each("reads") * wide, elements * each("writes") * wide),
        *(elements * each("flops"), elements * each("special"), rows * each("is_reduced")),
    )


def stream_totals(columns: Columns, setting: Setting) -> Totals:
    work = stream_work(columns, setting)
    return Totals(np.zeros_like(work.elements), work.read_bytes + work.write_bytes)


def vector_kinds(columns: Columns) -> np.ndarray:
    """Element-wise, or a reduction of rows; of the rest its own name."""
    words = {
        name: str(name) if name in ("embedding", "rope", "computescale", "scale_matrix", "softmax")
        else "rows" if name in VECTOR_OPS and VECTOR_OPS[str(name)].is_reduced else "elements"
        for name in np.unique(columns["op"])
    }
    return np.array([words[name] for name in columns["op"]])


# ---- recurrent


def scan_work(columns: Columns, setting: Setting) -> scan_model.ScanWork:
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
    is_conv = np.array(["conv1d" in str(name) for name in columns["kernel"]])
    states = batch * heads * key_width * value_width * 4
    mixing = tokens * (channels + heads * (value_width + 2)) * 2 + 2 * states
    wide = np.where(is_conv, tokens * channels * 4 + batch * channels * 2 * 3 * 2, mixing)
    return scan_model.ScanWork(
        *(batch, steps, np.where(is_conv, 1.0, heads), np.where(is_conv, 1.0, key_width)),
        *(np.where(is_conv, 1.0, value_width), wide),
        ((columns["phase"] == "context") & ~is_conv).astype(float),
        setting.flops_per_s,
    )


def scan_totals(columns: Columns, setting: Setting) -> Totals:
    work = scan_work(columns, setting)
    return Totals(np.zeros(len(work.batch)), np.asarray(work.touched_bytes, float) / 2)


def scan_kinds(columns: Columns) -> np.ndarray:
    words = {name: kernel_word(str(name)) for name in np.unique(columns["kernel"])}
    kernels = np.array([words[name] for name in columns["kernel"]])
    return np.char.add(np.char.add(columns["phase"].astype(str), " "), kernels)


def kernel_word(kernel: str) -> str:
    if "conv1d" in kernel:
        return "conv qkv" if "qkv" in kernel else "conv"
    return "flash" if "flash" in kernel else "scan"


# ---- convolutions


def convolution_work(columns: Columns, setting: Setting) -> convolution_model.ConvolutionWork:
    batch, cin, high, wide, cout, kh, kw, sh, sw, ph, pw = floats(
        columns,
        *("batch", "in_channels", "in_h", "in_w", "out_channels", "kernel_h", "kernel_w"),
        *("stride_h", "stride_w", "pad_h", "pad_w"),
    )
    out_high, out_wide = np.floor((high + 2 * ph - kh) / sh) + 1, np.floor((wide + 2 * pw - kw) / sw) + 1
    direction = np.select([columns["op"] == "conv2d_dgrad", columns["op"] == "conv2d_wgrad"], [1.0, 2.0], 0.0)
    is_winograd = (kh == 3) & (kw == 3) & (sh == 1) & (sw == 1) & setting.format.arithmetic.startswith("f")
    groups = floats(columns, "groups")[0] if "groups" in columns else np.ones_like(batch)
    return convolution_model.ConvolutionWork(
        *(batch, groups, cin, high, wide, cout, np.maximum(out_high, 1), np.maximum(out_wide, 1), kh, kw),
        *(direction, is_winograd.astype(float), setting.format.activation_bytes, setting.flops_per_s),
    )


def convolution_totals(columns: Columns, setting: Setting) -> Totals:
    work = convolution_work(columns, setting)
    macs = work.batch * work.out_height * work.out_width * work.out_channels * work.in_channels / work.groups
    flops = 2 * macs * work.kernel_height * work.kernel_width
    pixels = work.in_channels * work.in_height * work.in_width + work.out_channels * work.out_height * work.out_width
    # Winograd needs a quarter of the products.
    return Totals(np.where(work.is_winograd > 0, flops / 4, flops), work.batch * pixels * work.element_bytes)


# ---- collectives

BUS_LINKS = ("pcie",)


def collective_work(columns: Columns, setting: Setting) -> collective_model.CollectiveWork:
    world, size = floats(columns, "world_size", "bytes")
    per_node = {name: devices_per_node(str(name)) for name in np.unique(columns["topology"])}
    here = np.array([per_node[name] or np.inf for name in columns["topology"]])
    nodes = np.where(np.isfinite(here), np.ceil(world / here), 1.0)
    link = setting.target.link
    pairs = np.array(["pairs" in str(name) for name in columns["topology"]])
    pcie = next((float(x.bandwidth_bytes_per_s) for x in setting.target.links if x.name in BUS_LINKS), 16e9)
    own = float(link.bandwidth_bytes_per_s) if link is not None else pcie
    is_bus = (pairs & (world / nodes > 2)) | (link is None or link.name in BUS_LINKS)
    numbers = {name: collective_model.OPS.index(str(name)) for name in np.unique(columns["op"])}
    return collective_model.CollectiveWork(
        np.array([numbers[name] for name in columns["op"]]),
        *(world, nodes, size, np.where(is_bus, pcie, own)),
        *(np.full_like(world, NETWORK_BYTES_PER_S), is_bus.astype(float), np.zeros_like(world)),
    )


# One network card for each device, 200 Gb/s, as DGX A100 has. Source: NVIDIA DGX A100 data sheet, 2020.
NETWORK_BYTES_PER_S = 25e9


def devices_per_node(topology: str) -> int:
    """8 of ``dgx nvlink; 8 per node``; 0 where all stand in one node."""
    head, _, tail = topology.rpartition(";")
    word = tail.strip().partition(" ")[0]
    return int(word) if head and word.isdigit() and "per node" in tail else 0


def collective_totals(columns: Columns, setting: Setting) -> Totals:
    return Totals(np.zeros(len(columns["bytes"])), np.zeros(len(columns["bytes"])))


def collective_kinds(columns: Columns) -> np.ndarray:
    """How it is started, and over what: these cost more than the algorithm."""
    eager = np.array(["eager" if "eager" in str(k) or "torch" in str(k) else "graph" for k in columns["kernel"]])
    return eager


FAMILIES: dict[str, Family] = {}


def add(name: str, columns: str, parameters: Mapping[str, Parameter], kinds, estimate, totals) -> None:  # type: ignore[no-untyped-def]
    FAMILIES[name] = Family(name, frozenset(columns.split()), parameters, kinds, estimate, totals)


add(
    "gemm",
    "batch m n k dtype",
    gemm_model.PARAMETERS,
    lambda columns: np.where(columns["batch"] > 1, "batched", ""),
    lambda columns, setting, constants: gemm_model.gemm(gemm_work(columns, setting), setting.machine, constants),
    gemm_totals,
)
add(
    "attention",
    "batch q_len kv_len heads kv_heads head_dim window phase dtype kv_dtype",
    attention_model.PARAMETERS,
    lambda columns: columns["phase"].astype(str),
    lambda columns, setting, constants: attention_model.attention(
        attention_work(columns, setting), setting.machine, constants
    ),
    lambda columns, setting: attention_totals_of(attention_work(columns, setting)),
)
add(
    "mla",
    "batch q_len kv_len heads phase dtype kv_dtype",
    attention_model.PARAMETERS,
    lambda columns: columns["phase"].astype(str),
    lambda columns, setting, constants: attention_model.attention(
        mla_work(columns, setting), setting.machine, constants
    ),
    lambda columns, setting: attention_totals_of(mla_work(columns, setting)),
)
add(
    "moe",
    "tokens hidden inter topk experts tp ep distribution kernel dtype",
    experts_model.PARAMETERS,
    one_kind,
    lambda columns, setting, constants: experts_model.experts(
        experts_work(columns, setting), setting.machine, constants
    ),
    experts_totals,
)
add(
    "recurrent",
    "batch seq_len num_k_heads head_k_dim num_v_heads head_v_dim nheads n_groups d_state head_dim phase kernel",
    scan_model.PARAMETERS,
    scan_kinds,
    lambda columns, setting, constants: scan_model.scan(scan_work(columns, setting), setting.machine, constants),
    scan_totals,
)
add(
    "conv",
    "batch in_channels in_h in_w out_channels kernel_h kernel_w stride_h stride_w pad_h pad_w op dtype",
    convolution_model.PARAMETERS,
    lambda columns: np.where(columns["op"] == "conv2d", "forward", "gradient"),
    lambda columns, setting, constants: convolution_model.convolution(
        convolution_work(columns, setting), setting.machine, constants
    ),
    convolution_totals,
)
add(
    "collective",
    "op world_size bytes topology kernel",
    collective_model.PARAMETERS,
    collective_kinds,
    lambda columns, setting, constants: collective_model.collective(collective_work(columns, setting), constants),
    collective_totals,
)
add(
    "quantize",
    "op rows cols dtype power_w",
    stream_model.PARAMETERS,
    vector_kinds,
    lambda columns, setting, constants: stream_model.stream(stream_work(columns, setting), setting.machine, constants),
    stream_totals,
)
add(
    "vector",
    "op rows cols dtype",
    stream_model.PARAMETERS,
    vector_kinds,
    lambda columns, setting, constants: stream_model.stream(stream_work(columns, setting), setting.machine, constants),
    stream_totals,
)
