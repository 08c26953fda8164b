"""What a compilation says: figures, where each kernel comes from, and notes. Immutable; SI base units throughout."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ircost.quantity_text import small_text

if TYPE_CHECKING:
    from ircost.ir.graph import Module
    from ircost.transformer_figures import TransformerFigures

SCHEMA_VERSION = 1
OWN_FORM = ("module", "kernels", "transformer")  # fields that JSON has in a form of their own, or not at all


@dataclass(frozen=True, slots=True, repr=False)
class KernelReport:
    """One kernel at one place of the model; all figures are of its ``count`` executions together.

    Args:
        name: the node of the user's model that it is mostly for.
        op: the op, or those fused into it, joined by ``+``.
        source_nodes: every node of the user's model in it.
        count: how often one run of the model executes it here; loops and calls around it multiply.
        latency_s, energy_j: what it adds to the whole, which is less than it takes by itself where a host launches
            kernel by kernel and runs ahead; None where nobody knows: an opaque operator.
        flops, macs: operations; a multiply-add is one MAC and two flops.
        bytes: read from and written to main memory.
        bound: what limits it: ``matrix``, ``vector``, ``special``, ``shared``, ``l2``, the main memory's name,
            ``launch``, ``steps`` (latency of steps that wait for each other), ``link`` (what ranks send each other),
            ``unknown``.
        of_peak: time of the busier of arithmetic and main memory by the data sheet, as a share of latency_s.
        tile: which tile and split of the work it runs with; empty where the cost model knows of none.
        low_s, high_s: ends of the interval that ``latency_s`` lies in with a probability of 90 %; None of cost models
            that give none.
        grade: how well it is known: A, B or C (docs/learned-models.md); empty of cost models that give none.
    """

    name: str
    op: str
    source_nodes: tuple[str, ...]
    count: int
    latency_s: float | None
    energy_j: float | None
    flops: int
    macs: int
    bytes: int
    bound: str
    of_peak: float | None
    tile: str
    low_s: float | None = None
    high_s: float | None = None
    grade: str = ""

    @property
    def flops_per_byte(self) -> float | None:
        """Arithmetic intensity; None where nothing crosses the main memory."""
        return self.flops / self.bytes if self.bytes else None

    def __repr__(self) -> str:
        time = "unknown" if self.latency_s is None else small_text(self.latency_s, "s")
        return f"<KernelReport {self.name}: {time}, {self.op}, {self.bound}>"

    def to_dict(self) -> dict[str, Any]:
        """The fields, and what follows from them."""
        return {**{name: getattr(self, name) for name in self.__slots__}, "flops_per_byte": self.flops_per_byte}


COLUMNS = (*KernelReport.__slots__, "flops_per_byte")


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """The answer of ``irc compile``.

    Args:
        source: the model file, as the user named it.
        nodes: operators in the user's model.
        target, target_description: the machine.
        target_digest: SHA-256 of all that is said of it, sources included.
        dtype: number format of most of the arithmetic.
        model: the cost model that the figures are from.
        latency_s: one run, kernels one after another. Opaque operators are left out: see ``unknown``.
        lower_bound_s: no run on this machine is shorter, by its data sheet.
        energy_j: of one run, idle power included.
        peak_memory_bytes: of main memory: weights and, at the fullest moment, activations.
        weights_bytes: what stays for the whole run: in main memory, or in flash where the target has that.
        arena_bytes: what inputs, intermediates and results take once each has its place.
        lower_bound_bytes: what they take at the fullest moment: no arena is smaller, in this order of ops.
        peak_at: the node at the fullest moment.
        memory_capacity_bytes: of the target's main memory.
        memory_limit_bytes: what weights and arena have to fit in: that capacity, or the limit that was asked for.
        transformer: more of a model that came as a configuration; None of all others.
        remedies: what would make it fit, where it does not.
        flops, macs: of one run; a multiply-add is one MAC and two flops.
        bytes: traffic of all kernels.
        bound_shares: part of the latency that each bound limits; they add up to 1.
        kernels: in program order.
        distinct_kernels: how many of them differ.
        load_time_ops: ops that run once when the model is loaded; they cost nothing here.
        unknown: opaque operators, whose cost is in no figure.
        pipeline: the passes that ran, as text that can be run again.
        notes: what the reader should know: dims that were bound, branches that were chosen.
        module: the IR that was costed.
        flash_bytes: of the memory apart that holds weights; None where they lie in main memory.
        low_s, high_s: ends of the interval that ``latency_s`` lies in with a probability of 90 %; None of cost models
            that give none.
    """

    source: str
    nodes: int
    target: str
    target_description: str
    target_digest: str
    dtype: str
    model: str
    latency_s: float
    lower_bound_s: float
    energy_j: float
    peak_memory_bytes: int
    weights_bytes: int
    peak_at: str
    arena_bytes: int
    lower_bound_bytes: int
    memory_capacity_bytes: int
    memory_limit_bytes: int
    flops: int
    macs: int
    bytes: int
    bound_shares: dict[str, float]
    kernels: tuple[KernelReport, ...]
    distinct_kernels: int
    load_time_ops: int
    unknown: tuple[str, ...]
    pipeline: str
    notes: tuple[str, ...]
    remedies: tuple[str, ...]
    transformer: TransformerFigures | None
    module: Module
    flash_bytes: int | None = None
    low_s: float | None = None
    high_s: float | None = None

    @property
    def fits(self) -> bool:
        """Whether weights and arena fit the limit: the target's main memory, where no other was given; and weights
        that lie in flash, that.

        Of a request all of its passes have to, up to the last token.
        """
        request = None if self.transformer is None else self.transformer.request
        held = self.allocated_bytes if request is None else max(self.allocated_bytes, request.peak_memory_bytes)
        return held <= self.memory_limit_bytes and self.weights_fit

    @property
    def weights_fit(self) -> bool:
        """Whether the memory apart that holds weights, if there is one, has room for them."""
        return self.flash_bytes is None or self.weights_bytes <= self.flash_bytes

    @property
    def resident_bytes(self) -> int:
        """Of weights, in main memory."""
        return self.weights_bytes if self.flash_bytes is None else 0

    @property
    def allocated_bytes(self) -> int:
        """Of main memory: weights and arena, what a run asks for."""
        return self.resident_bytes + self.arena_bytes

    @property
    def power_w(self) -> float:
        """Mean power over one run."""
        return self.energy_j / self.latency_s if self.latency_s else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in the published schema (``report_schema.json``)."""
        from ircost import __version__

        plain = {name: getattr(self, name) for name in self.__slots__ if name not in OWN_FORM}
        return {
            "schema_version": SCHEMA_VERSION,
            "irc_version": __version__,
            **plain,
            "fits": self.fits,
            "power_w": self.power_w,
            "transformer": self.transformer.to_dict() if self.transformer else None,
            "kernels": [kernel.to_dict() for kernel in self.kernels],
        }

    def to_json(self) -> str:
        """JSON, keys sorted; the same input gives the same bytes."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True, allow_nan=False)

    def to_csv(self) -> str:
        """The kernels, a line each, with a header; nodes are joined by ``;``."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(COLUMNS)
        for kernel in self.kernels:
            row = kernel.to_dict()
            writer.writerow([";".join(v) if name == "source_nodes" else v for name, v in row.items()])
        return out.getvalue()

    def to_columns(self) -> dict[str, list[Any]]:
        """The kernels as columns by name, in program order: what frames take.

        ``pandas.DataFrame(report.to_columns())`` has a row for each kernel.
        """
        rows = [kernel.to_dict() for kernel in self.kernels]
        return {name: [row[name] for row in rows] for name in COLUMNS}

    def __repr__(self) -> str:
        figures = f"{small_text(self.latency_s, 's')}, {small_text(self.energy_j, 'J')}, {self.model}"
        return f"<Report {self.source} on {self.target}: {figures}>"

    def _repr_html_(self) -> str:
        """What notebooks show."""
        from ircost.answer_html import report_html

        return report_html(self)
