"""Families of kernels: each has a model, constants, and a way from the rows of a measured table to its work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ircost.cost_models.gpu import attention, collective, convolution, experts, gemm, scan, stream
from ircost.cost_models.gpu import table_work as rows
from ircost.cost_models.gpu.demand import ALL_EFFECTS, COMMON, SHARPNESS, Asked, Demand, Parameter
from ircost.cost_models.gpu.gemm_bound import screened_gemm
from ircost.cost_models.gpu.labels import BETWEEN_NODES
from ircost.cost_models.gpu.machine import GpuMachine
from ircost.cost_models.gpu.table_work import Columns, Setting, Totals, coded


@dataclass(frozen=True, slots=True)
class Family:
    """Args:
    name: as tables and constants have it.
    columns: that a table of it has.
    parameters: constants of its model.
    kinds: a word for each row: what kernels of one kind have in common is an effect of its own.
    work: rows as work for the family's model.
    model: what such work asks of a machine, once it is launched.
    totals: for the physical limit.
    asked: as ``model``, where only the fastest candidate counts; None where that is no shorter way.
    stiffness: how hard effects are held to zero when its constants are fitted: the less, the
        harder. Of 8 to 720, three to a decade, about the one that errs least on devices that were left out.
    """

    name: str
    columns: frozenset[str]
    parameters: Mapping[str, Parameter]
    kinds: Callable[[Columns], np.ndarray]
    work: Callable[[Columns, Setting], Any]
    model: Callable[[Any, GpuMachine], Demand]
    totals: Callable[[Columns, Setting], Totals]
    stiffness: float = 60.0
    asked: Callable[[Any, GpuMachine], Asked] | None = None

    def demand(self, columns: Columns, setting: Setting) -> Demand:
        """What rows ask for, as their runtime's benchmark launches them."""
        return self.demand_of(self.work(columns, setting), setting)

    def demand_of(self, work: Any, setting: Setting) -> Demand:
        """What work of rows asks for, as their runtime's benchmark launches it."""
        return self.model(work, setting.machine).issued(is_waited_for(setting))

    def asked_of(self, work: Any, setting: Setting) -> Asked:
        """The same where only the fastest candidate of each row counts."""
        asked: Asked = (self.asked or self.model)(work, setting.machine)
        return asked.issued(is_waited_for(setting))


# Runtimes whose kernels were timed one call at a time, the host's part included: PyTorch, by events around each call.
# Source: sitar-lab/NeuSight, arXiv:2407.13853, section 6.
WAITED_FOR = frozenset({"pytorch"})


def is_waited_for(setting: Setting) -> bool:
    """Whether a device waits for the host before each kernel. A CPU has no host: what a call costs is its kernel's."""
    return setting.runtime in WAITED_FOR and setting.machine.kind != "cpu"


def columns_named(names: str) -> frozenset[str]:
    return frozenset(names.split())


def words(column: np.ndarray, of: Callable[[str], str]) -> np.ndarray:
    """A word for each word of a column; each distinct one is looked at once."""
    codes, names = coded(column)
    return np.array([of(name) for name in names], dtype=object)[codes] if names else column


def one_kind(columns: Columns) -> np.ndarray:
    return np.full(len(columns["device"]), "", dtype=object)


def gemm_kinds(columns: Columns) -> np.ndarray:
    return np.where(np.asarray(columns["batch"]) > 1, "batched", "").astype(object)


def phases(columns: Columns) -> np.ndarray:
    return words(columns["phase"], str)


def attention_kinds(columns: Columns) -> np.ndarray:
    """Phases; decoding kernels differ by whether heads share keys and values."""
    kinds = phases(columns)
    is_shared = np.asarray(columns["heads"]) > np.asarray(columns["kv_heads"])
    return np.where((kinds == "decode") & is_shared, "decode, shared heads", kinds).astype(object)


# Ops of one tensor or two, with nothing but arithmetic on each element, cost the same on every library.
PLAIN = frozenset(
    (
        *("add", "mul", "div", "pow", "relu", "gelu", "tanh", "copy", "where", "dropout"),
        *("add_scalar", "mul_scalar", "div_scalar", "pow_scalar"),
    )
)


def vector_kind(op: str) -> str:
    """Plain arithmetic on elements is one kind; each other op has kernels of its own."""
    return "elements" if op in PLAIN else op


# On CPUs a power is a call of the C library for each element, and shows; elsewhere it is arithmetic as any other.
POWERS = frozenset(("pow", "pow_scalar"))


def kind_on(kind: str, op: str, machine_kind: str) -> str:
    """The kind of kernels of an op on such a machine: one that is plain elsewhere may have a kind of its own."""
    return "pow" if machine_kind == "cpu" and op in POWERS else kind


def scan_kinds(columns: Columns) -> np.ndarray:
    kernels = words(columns["kernel"], scan_kernel)
    return words(kernels + " " + words(columns["phase"], str), str)


def scan_kernel(kernel: str) -> str:
    if "conv1d" in kernel:
        return "conv qkv" if "qkv" in kernel else "conv"
    return "flash" if "flash" in kernel else "scan"


def conv_kind(op: str) -> str:
    return {"conv2d_dgrad": "gradient of data", "conv2d_wgrad": "gradient of weights"}.get(op, "")


def collective_kinds(columns: Columns) -> np.ndarray:
    """How it is started, which costs more than the algorithm; and how far it goes."""
    started = words(columns["kernel"], lambda kernel: "eager" if "eager" in kernel or "torch" in kernel else "")
    here = rows.each(columns["topology"], lambda name: rows.devices_per_node(name) or np.inf)
    place = np.where(np.asarray(columns["world_size"], float) > here, BETWEEN_NODES, "").astype(object)
    return words(started + " " + words(columns["op"], str) + " " + place, str.strip)


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            "gemm",
            columns_named("batch m n k dtype"),
            gemm.PARAMETERS,
            gemm_kinds,
            rows.gemm_work,
            gemm.gemm_demand,
            rows.gemm_totals,
            stiffness=240.0,
            asked=screened_gemm,
        ),
        Family(
            "attention",
            columns_named("batch q_len kv_len heads kv_heads head_dim window phase dtype kv_dtype"),
            attention.PARAMETERS,
            attention_kinds,
            rows.attention_work,
            attention.attention_demand,
            lambda columns, setting: rows.attention_totals(rows.attention_work(columns, setting)),
            stiffness=80.0,
        ),
        Family(
            "mla",
            columns_named("batch q_len kv_len heads phase dtype kv_dtype"),
            attention.PARAMETERS,
            phases,
            rows.mla_work,
            attention.attention_demand,
            lambda columns, setting: rows.attention_totals(rows.mla_work(columns, setting)),
        ),
        Family(
            "moe",
            columns_named("tokens hidden inter topk experts tp ep distribution kernel dtype"),
            experts.PARAMETERS,
            one_kind,
            rows.experts_work,
            experts.experts_demand,
            lambda columns, setting: rows.experts_totals(rows.experts_work(columns, setting)),
            stiffness=240.0,
        ),
        Family(
            "recurrent",
            columns_named(
                "batch seq_len num_k_heads head_k_dim num_v_heads head_v_dim nheads n_groups d_state head_dim "
                "phase kernel"
            ),
            scan.PARAMETERS,
            scan_kinds,
            rows.scan_work,
            scan.scan_demand,
            lambda columns, setting: rows.scan_totals(rows.scan_work(columns, setting)),
        ),
        Family(
            "conv",
            columns_named(
                "batch groups in_channels in_h in_w out_channels kernel_h kernel_w stride_h stride_w pad_h pad_w"
                " op dtype"
            ),
            convolution.PARAMETERS,
            lambda columns: words(columns["op"], conv_kind),
            rows.convolution_work,
            convolution.convolution_demand,
            lambda columns, setting: rows.convolution_totals(rows.convolution_work(columns, setting)),
            stiffness=40.0,
            asked=convolution.asked_convolution,
        ),
        Family(
            "collective",
            columns_named("op world_size bytes topology kernel"),
            collective.PARAMETERS,
            collective_kinds,
            rows.collective_work,
            collective.collective_demand,
            lambda columns, setting: rows.collective_totals(rows.collective_work(columns, setting)),
            stiffness=20.0,
        ),
        Family(
            "vector",
            columns_named("op rows cols dtype"),
            stream.PARAMETERS,
            lambda columns: words(columns["op"], vector_kind),
            rows.stream_work,
            stream.stream_demand,
            lambda columns, setting: rows.stream_totals(rows.stream_work(columns, setting)),
            stiffness=8.0,
        ),
    )
}
FAMILIES["quantize"] = Family(
    "quantize",
    columns_named("op rows cols dtype power_w"),
    {
        **stream.PARAMETERS,
        # Two kinds of kernels on machines of one sort each: what tells them apart is left to the fit.
        "launch": replace(stream.PARAMETERS["launch"], effects=ALL_EFFECTS),
        "passes": replace(stream.PARAMETERS["passes"], freedom=1.0),
        SHARPNESS: COMMON[SHARPNESS],
    },
    *(FAMILIES["vector"].kinds, FAMILIES["vector"].work, FAMILIES["vector"].model, FAMILIES["vector"].totals),
    stiffness=180.0,
)
