"""Parts of a network's kernels as work for the models of their families."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ircost.backends import Target
from ircost.backends.runtime import RUNTIMES
from ircost.cost_models.engines import arithmetic_format, unit_and_peak
from ircost.cost_models.gpu.attention import PREFILL_QUERIES, AttentionWork, attention_demand
from ircost.cost_models.gpu.chain import ChainWork, chain_demand
from ircost.cost_models.gpu.constants import ConstantsFile
from ircost.cost_models.gpu.convolution import asked_convolution
from ircost.cost_models.gpu.convolution_work import ConvolutionWork, alignment
from ircost.cost_models.gpu.demand import Asked, Column
from ircost.cost_models.gpu.experts import ExpertsWork, experts_demand
from ircost.cost_models.gpu.gemm import LEAST_TILE, GemmWork, sums_rows
from ircost.cost_models.gpu.gemm_bound import screened_gemm
from ircost.cost_models.gpu.labels import GRAPH_REPLAY, OF_COLLECTIVES, labels_of, runtime_on
from ircost.cost_models.gpu.machine import GpuMachine
from ircost.cost_models.gpu.power_limit import product_flops_per_s, sustained_flops_per_s
from ircost.cost_models.gpu.scan import ScanWork, scan_demand
from ircost.cost_models.gpu.stream import ROW_IN_A_BLOCK, StreamWork, stream_demand
from ircost.cost_models.gpu.table_work import COLD_SETS, MOST_SHARED, masks_window, packs_heads
from ircost.cost_models.gpu.winograd import may_take
from ircost.cost_models.part_groups import FIELDS, PartGroup
from ircost.ir.types import DType

# Number formats of the IR, as tables of measurements name them.
TABLE_NAMES = {
    **{"f16": "float16", "bf16": "bfloat16", "f32": "float32", "tf32": "float32", "f64": "float64"},
    **{"f8e4m3": "fp8", "f8e5m2": "fp8", "i8": "int8", "u8": "int8", "f4e2m1": "nvfp4"},
}
# The same with scales for each block, by family, and what the name would be without. Products of one layer are not
# here: vLLM's were timed with what its host does (50 us, whatever the size), others differ little from plain fp8.
WITH_SCALES = {
    ("moe", "fp8", "blocks"): "fp8_block",
    ("moe", "int4_wo", "mx"): "w4a16_mxfp4",
}
WEIGHT_ONLY = {4: "int4_wo", 8: "int8_wo"}  # by bits of a weight that is unpacked on the way
# Where a family was not measured in a format: the one whose kernels are the same but for how wide a weight lies in
# memory. Source: vLLM 0.30 and SGLang 0.5, which run both widths by Marlin's kernels.
SAME_KERNELS = {"int8_wo": "int4_wo"}

OF_CPUS = "onnxruntime"  # whose kernels a CPU's are where nobody says: those that most is known of

# Runtimes that replay graphs have kernels of their own for sums within a node; all else that devices send each other
# they leave to NCCL, and so do all others. Source: vLLM 0.30, distributed/device_communicators; SGLang 0.5,
# distributed/parallel_state.py; TensorRT-LLM 1.0, plugins/ncclPlugin.
OWN_COLLECTIVE = "all_reduce"

ALONE = "row_in_a_block"  # beside the sizes of a stream, by its kind
PACKS = "packs_heads"  # of a kernel's library, beside the sizes of a part of attention

Columns = Mapping[str, Column]


@dataclass(frozen=True, slots=True)
class Rates:
    """What one number format gets on one machine.

    Args:
        unit: ``matrix`` or ``vector``: what runs products. arithmetic: the format that they are in.
        flops_per_s: its peak. sustained_flops_per_s: what the board's power leaves of it.
        lane_slowness: how much slower than in f32 the vector lanes are; 1 at least.
    """

    unit: str
    arithmetic: str
    flops_per_s: float
    sustained_flops_per_s: float
    lane_slowness: float

    @property
    def least_tile(self) -> float:
        return LEAST_TILE[self.unit]

    @property
    def is_row_summed(self) -> float:
        return float(sums_rows(self.unit, self.arithmetic))


def rates_of(target: Target, machine: GpuMachine, dtype: DType, scales: str = "") -> Rates:
    """Args:
    scales: as of ``Part.scales``.

    Raises:
    TargetError: the target cannot compute in this format.
    """
    unit, _ = unit_and_peak(target, "matrix", dtype)
    arithmetic = arithmetic_format("matrix", dtype).name
    _, lanes = unit_and_peak(target, "vector", dtype)
    lanes_per_s = float(lanes) * target.processors.boost
    peak = product_flops_per_s(target, arithmetic, is_block_scaled=scales == "mx")
    sustained = sustained_flops_per_s(target, arithmetic)
    return Rates(unit, arithmetic, peak, sustained, max(machine.vector_flops_per_s / lanes_per_s, 1.0))


def labels_of_group(group: PartGroup, machine: GpuMachine, constants: ConstantsFile) -> dict[str, str]:
    """What the group's fitted constants depend on.

    A runtime that replays graphs, but that this family was never measured with, counts as nobody's in particular.
    """
    runtime = runtime_label(machine.runtime, machine.kind, group.family, group.kind, constants)
    dtype = measured_name(group, constants)
    return labels_of(
        architecture=machine.architecture,
        device=machine.chip,
        runtime=runtime_on(machine.architecture, group.family, runtime),
        dtype=dtype,
        cache=cache_name(group),
        kind=group.kind,
        kernel=library_of_group(group, runtime, machine.architecture, dtype),
        machine=machine.kind,
    )


def runtime_label(runtime: str, machine_kind: str, family: str, kind: str, constants: ConstantsFile) -> str:
    """By whose constants kernels of a runtime are estimated.

    Args:
        runtime: a name in ``RUNTIMES``, or one that a table has; "" where nobody says. Then a CPU's are ONNX Runtime's.
            Kernels that only tables of other families have of a runtime count as if nobody said.
        kind: of kernels within the family.
    """
    is_met = constants.has_met_runtime(family, runtime)
    if runtime not in RUNTIMES and not is_met and runtime in constants.runtimes:
        runtime = ""
    if not runtime and machine_kind == "cpu":
        return OF_CPUS
    if runtime and runtime not in RUNTIMES:
        return runtime
    is_replayed = not runtime or RUNTIMES[runtime].launch == "graph"
    if family == "collective" and not (kind == OWN_COLLECTIVE and (is_replayed or is_met)):
        return OF_COLLECTIVES
    return runtime if is_met or not is_replayed else GRAPH_REPLAY


_VLLM_EXPERTS = {"moe bfloat16": "triton", "moe int4_wo": "marlin"}  # FP8 with block scales on Hopper: several
_SGLANG_EXPERTS = {"moe": "triton", "moe int4_wo": "marlin"}
# Whose kernels a runtime takes on an architecture, by kind, by family and format, of operands or of a cache, by heads
# of attention (``heads_name``), or else by family, where tables have more than one.
# Source: the kernels that ai-dynamo/aiconfigurator's tables name at 095f58a, most rows of each kind.
LIBRARIES: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("vllm", "hopper"): {
        **{"attention": "fa3", "attention of 512": "fa4", "scan context": "flashinfer", "mla, fp8 cache": "flashmla"},
        **{"moe fp8": "flashinfer", "moe w4a16_mxfp4": "oaitriton", **_VLLM_EXPERTS},
        **{"gemm fp8": "cutlass", "gemm fp8_block": "deepgemm"},
    },
    ("vllm", "ada"): {
        **{"attention": "fa2", "attention, fp8 cache": "flashinfer", "attention of 192, fp8 cache": "triton"},
        **{"attention of 192, window, fp8 cache": "triton", "scan context": "triton", "mla": "triton"},
        **{"moe fp8": "triton", "moe fp8_block": "triton", "moe w4a16_mxfp4": "marlin", **_VLLM_EXPERTS},
        **{"gemm fp8": "cutlass", "gemm fp8_block": "triton"},
    },
    ("vllm", "ampere"): {"mla": "triton"},
    ("trtllm", "hopper"): {"moe": "cutlass"},
    ("trtllm", "ada"): {"moe": "cutlass"},
    ("sglang", "hopper"): {
        **{"attention": "fa3", "attention of 256, window": "triton", "attention of 512": "triton", "encoder": ""},
        **{"gemm fp8_block": "deepgemm", **_SGLANG_EXPERTS},
    },
    ("sglang", "ada"): {
        **{"attention": "flashinfer", "attention of 64": "triton", "attention of 64, window": "triton"},
        **{"attention of 192": "triton", "attention of 192, window": "triton", "encoder": "triton", "mla": "triton"},
        **_SGLANG_EXPERTS,
    },
    ("sglang", "ampere"): _SGLANG_EXPERTS,
}


def library_of_group(group: PartGroup, runtime: str, architecture: str, dtype: str) -> str:
    """As ``library``.

    Args:
        dtype: the format, as tables name it.
    """
    return library(runtime, architecture, group.family, group.kind, dtype, cache_name(group), group.heads)


def library(
    runtime: str, architecture: str, family: str, kind: str, dtype: str, cache: str = "", heads: str = ""
) -> str:
    """Whose kernels those of one kind are; "" where nothing is known of it.

    Args:
        dtype, cache: formats of operands and of cached keys, as tables name them. heads: by ``heads_name``.
    """
    taken = LIBRARIES.get((runtime, architecture), {})
    own, cache = f"{family}{heads}", f", {cache} cache"
    names = (kind, f"{family} {dtype}", own + cache, family + cache, own, family)
    return next((taken[name] for name in names if name in taken), "")


def cache_name(group: PartGroup) -> str:
    """The table's name of the cache's format; "" where it is that of the operands."""
    return TABLE_NAMES.get(group.cache.name, group.cache.name) if group.cache is not None else ""


def measured_name(group: PartGroup, constants: ConstantsFile) -> str:
    """The table's name of the group's format, with its scales where the family was measured so."""
    plain = table_name(group)
    names = (WITH_SCALES.get((group.family, plain, group.scales), plain), plain, SAME_KERNELS.get(plain, plain))
    return next((name for name in names if constants.has_met(group.family, "dtype", name)), plain)


def table_name(group: PartGroup) -> str:
    if group.unpacked_bits:
        return WEIGHT_ONLY[group.unpacked_bits]
    return TABLE_NAMES.get(group.dtype.name, group.dtype.name)


def columns_of(group: PartGroup, at: slice | np.ndarray) -> dict[str, Column]:
    return dict(zip(FIELDS[group.family], group.sizes[at].T, strict=True))


def work_of(group: PartGroup, at: slice | np.ndarray, machine: GpuMachine, rates: Rates) -> Any:
    """Some of a group's parts as work for the model of their family."""
    columns = columns_of(group, at)
    if group.family in ("attention", "mla"):
        taken = library_of_group(group, machine.runtime, machine.architecture, table_name(group))
        if group.kind == "prefill" and masks_window(machine.runtime, taken):
            columns["window"] = _all(0.0, columns)
        columns[PACKS] = _all(float(packs_heads(machine.runtime, taken, machine.architecture)), columns)
    if group.family == "vector":
        columns[ALONE] = _all(float(group.kind in ROW_IN_A_BLOCK), columns)
    return KERNELS[group.family].work(columns, machine, rates)


def demand_of(family: str, work: Any, machine: GpuMachine) -> Asked:
    """What such work asks of the machine."""
    return KERNELS[family].model(work, machine)


def sets(is_cold: Column) -> Column:
    """How many operands take turns; what is warm was written by the kernel before."""
    return np.where(is_cold > 0, COLD_SETS, 1.0)


def _gemm(of: Columns, machine: GpuMachine, rates: Rates) -> GemmWork:
    names = ("batch", "m", "n", "k", "lhs_bytes", "rhs_bytes", "out_bytes", "unpack_flops")
    return GemmWork(
        **{name: of[name] for name in names},
        converted_bytes=_all(0.0, of),
        lhs_sets=sets(of["is_lhs_cold"]),
        rhs_sets=sets(of["is_rhs_cold"]),
        flops_per_s=_all(rates.flops_per_s, of),
        sustained_flops_per_s=rates.sustained_flops_per_s,
        least_tile=rates.least_tile,
        is_row_summed=rates.is_row_summed,
        **_extra(of, rates),
    )


def _convolution(of: Columns, machine: GpuMachine, rates: Rates) -> ConvolutionWork:
    names = (
        *("batch", "groups", "in_channels", "in_height", "in_width", "out_channels", "out_height", "out_width"),
        *("kernel_height", "kernel_width", "direction", "element_bytes"),
    )
    return ConvolutionWork(
        **{name: of[name] for name in names},
        is_winograd=of["is_winograd"] * may_take(rates.unit, machine.kind),
        flops_per_s=_all(rates.flops_per_s, of),
        sustained_flops_per_s=rates.sustained_flops_per_s,
        sets=sets(of["is_lhs_cold"]),
        weight_sets=sets(of["is_rhs_cold"]),
        least_tile=rates.least_tile,
        most_split=np.inf if rates.unit == "matrix" else 1.0,
        aligned_channels=alignment(rates.unit, of["element_bytes"]),
        **_extra(of, rates),
    )


def _attention(of: Columns, machine: GpuMachine, rates: Rates) -> AttentionWork:
    names = (
        *("batch", "queries", "keys", "heads", "kv_heads", "key_width", "value_width", "kv_bytes", "query_bytes"),
        *("is_causal", "window"),
    )
    is_latent = (of["key_width"] > of["value_width"]) & (of["kv_heads"] == 1)
    is_step, of_steps = of["queries"] == 1, MOST_SHARED.get(machine.runtime, np.inf)
    extra = _extra(of, rates)
    special_flops = extra["extra_special"] * (machine.vector_flops_per_s / machine.special_per_s)
    return AttentionWork(
        **{name: of[name] for name in names},
        flops_per_s=_all(rates.flops_per_s, of),
        sustained_flops_per_s=rates.sustained_flops_per_s,
        most_shared=np.select([is_latent, is_step, of[PACKS] > 0], [np.inf, of_steps, np.inf], 1.0),
        fewest_queries=np.where(is_step | is_latent, 1.0, PREFILL_QUERIES),
        sets=sets(of["is_rhs_cold"]),
        extra_bytes=extra["extra_bytes"],
        extra_flops=extra["extra_flops"] + special_flops,
    )


def _experts(of: Columns, machine: GpuMachine, rates: Rates) -> ExpertsWork:
    names = (
        *("tokens", "hidden", "inner", "chosen", "experts", "matrices", "activation_bytes", "weight_bytes"),
        "unpack_flops",
    )
    return ExpertsWork(
        **{name: of[name] for name in names},
        ranks=_all(1.0, of),
        skew=_all(0.0, of),
        is_drawn=_all(1.0, of),
        is_row_summed=rates.is_row_summed,
        flops_per_s=_all(rates.flops_per_s, of),
        sustained_flops_per_s=rates.sustained_flops_per_s,
        sets=sets(of["is_rhs_cold"]),
    )


def _scan(of: Columns, machine: GpuMachine, rates: Rates) -> ScanWork:
    names = ("batch", "steps", "heads", "key_width", "value_width", "touched_bytes", "is_chunked")
    return ScanWork(
        **{name: of[name] for name in names},
        flops_per_s=_all(min(rates.flops_per_s, rates.sustained_flops_per_s), of),
        sets=sets(of["is_cold"]),
    )


def _chain(of: Columns, machine: GpuMachine, rates: Rates) -> ChainWork:
    names = (
        *("blocks", "runs", "batch", "m", "n", "k", "lhs_bytes", "rhs_bytes", "lhs_loaded_bytes", "rhs_loaded_bytes"),
        *(
            "beside_loaded_bytes",
            "kept_bytes",
            "special",
            "lhs_once_bytes",
            "rhs_once_bytes",
            "other_bytes",
            "is_on_lanes",
            "is_first",
        ),
    )
    return ChainWork(
        **{name: of[name] for name in names},
        lane_flops=of["lane_flops"] * rates.lane_slowness,
        lhs_sets=sets(of["is_lhs_cold"]),
        rhs_sets=sets(of["is_rhs_cold"]),
        flops_per_s=rates.flops_per_s,
        sustained_flops_per_s=rates.sustained_flops_per_s,
        least_tile=rates.least_tile,
    )


def _stream(of: Columns, machine: GpuMachine, rates: Rates) -> StreamWork:
    # Products that have no family of their own: at the peak of their units, told in operations of the lanes.
    products = of["contraction_flops"] * (machine.vector_flops_per_s / rates.flops_per_s)
    return StreamWork(
        elements=of["elements"],
        read_bytes=of["read_bytes"],
        write_bytes=of["write_bytes"],
        flops=of["flops"] * rates.lane_slowness + products,
        special=of["special"],
        reduced_rows=of["reduced_rows"],
        sets=_all(1.0, of),
        cold_bytes=of["cold_bytes"],
        row_length=of["row_length"],
        row_in_a_block=of[ALONE],
    )


def _all(value: float, of: Columns) -> Column:
    return np.full(len(next(iter(of.values()))), value)


def _extra(of: Columns, rates: Rates) -> dict[str, Column]:
    return {
        "extra_bytes": of["extra_bytes"],
        "extra_flops": of["extra_flops"] * rates.lane_slowness,
        "extra_special": of["extra_special"],
    }


@dataclass(frozen=True, slots=True)
class Kernels:
    """How parts of one family become work, and what that asks of a machine."""

    work: Callable[[Columns, GpuMachine, Rates], Any]
    model: Callable[[Any, GpuMachine], Asked]


KERNELS: dict[str, Kernels] = {
    "gemm": Kernels(_gemm, screened_gemm),
    "conv": Kernels(_convolution, asked_convolution),
    **dict.fromkeys(("attention", "mla"), Kernels(_attention, attention_demand)),
    "recurrent": Kernels(_scan, scan_demand),
    "chain": Kernels(_chain, chain_demand),
    "moe": Kernels(_experts, experts_demand),
    "vector": Kernels(_stream, stream_demand),
}
