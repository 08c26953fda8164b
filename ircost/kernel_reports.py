"""One kernel of a report: the node it stands for, its op, and its figures where the model runs it."""

from __future__ import annotations

from collections.abc import Iterator

from ircost.backends import Target
from ircost.cost_models.kernel_table import KernelRun
from ircost.cost_models.roofline import data_sheet_s
from ircost.costed_runs import CostedRuns
from ircost.ir.graph import Op
from ircost.ir.schedule import parse_schedule
from ircost.report import KernelReport


def kernel_reports(costed: CostedRuns, target: Target) -> Iterator[KernelReport]:
    """The kernels in program order, a report for each place that runs one."""
    at_peak_s = data_sheet_s(costed.table, target).tolist()
    columns = (costed.seconds.tolist(), costed.energies_j.tolist())
    for run, seconds, energy_j in zip(costed.runs, *columns, strict=True):
        yield _kernel_report(costed, run, at_peak_s[run.row], seconds, energy_j)


def _kernel_report(
    costed: CostedRuns, run: KernelRun, at_peak_s: float, seconds: float, energy_j: float
) -> KernelReport:
    """Args:
    at_peak_s: of one repetition, at data-sheet speed. seconds, energy_j: that all of them add to the whole.
    """
    table, estimates = costed.table, costed.estimates
    row, count = run.row, run.count
    is_unknown = bool(table.is_unknown[row])
    once_s, alone_s = seconds / count if count else 0.0, float(estimates.latency_s[row])
    repeats = seconds / alone_s if alone_s else 0.0
    return KernelReport(
        name=node_name(run.op),
        op=_op_label(run.op),
        source_nodes=run.location.nodes if run.location else (),
        count=count,
        latency_s=None if is_unknown else seconds,
        energy_j=None if is_unknown else energy_j,
        flops=int(table.flops[row]) * count,
        macs=int(table.macs[row]) * count,
        bytes=int(table.traffic_bytes[row]) * count,
        bound="unknown" if is_unknown else estimates.bound_names[int(estimates.bound[row])],
        of_peak=None if is_unknown or not once_s else min(at_peak_s / once_s, 1.0),
        tile=(estimates.choice[row] if estimates.choice else "") or innermost_tile(run.op),
        low_s=None if is_unknown or estimates.low_s is None else float(estimates.low_s[row]) * repeats,
        high_s=None if is_unknown or estimates.high_s is None else float(estimates.high_s[row]) * repeats,
        grade=estimates.grades[row] if estimates.grades and not is_unknown else "",
    )


def innermost_tile(op: Op) -> str:
    """The tile nearest to the arithmetic, of a kernel with a schedule."""
    tiles = parse_schedule(str(op.attrs.get("schedule", ""))).named("tile")
    return str(tiles[-1]) if tiles else ""


def node_name(op: Op) -> str:
    """The node that an op is mostly for: of a fused one, that of the op in it that does most; the first of equals."""
    if op.name == "kernel":
        inside = [inner for inner in op.regions[0].block.ops if inner.location and inner.location.nodes]
        op = max(inside, key=lambda inner: inner.definition.counts(inner).flops, default=op)
    return op.location.nodes[0] if op.location and op.location.nodes else f"{op.name}"


def _op_label(op: Op) -> str:
    if op.name == "opaque":
        return str(op.attrs["op"])
    if op.name != "kernel":
        return op.name
    inside = [inner for inner in op.regions[0].block.ops if not inner.definition.is_terminator]
    return "+".join(inner.name for inner in inside if not inner.definition.is_view and inner.name != "constant")
