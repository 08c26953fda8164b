"""Two compilations side by side: kernels aligned by the nodes they stand for, and what became of the time of each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ircost.quantity_text import bytes_text, si_text, small_text
from ircost.report import KernelReport, Report
from ircost.report_file import ReportFileError, read_report

SCHEMA_VERSION = 1
SAME = 0.01  # amounts that differ by less than a hundredth are no reason for anything
METRICS = {"latency": "latency_s", "energy": "energy_j", "memory": "peak_memory_bytes", "bytes": "bytes"}
TOTALS = ("latency_s", "energy_j", "peak_memory_bytes", "weights_bytes", "bytes", "flops", "macs")
SUBJECT = ("source", "target", "dtype", "model", "pipeline")
WHOLE_MODEL = "limit of the whole model"
RATES = ("tokens_per_s", "tokens_per_j")  # of language models: of all devices, where totals are of one
MESH = ("tp", "pp", "dp", "ep")


@dataclass(frozen=True, slots=True)
class Side:
    """What a comparison asks of a report.

    Args:
        subject: what was compiled for what: ``source``, ``target``, ``dtype``, ``model``, ``pipeline``.
        totals: by the names of the report's keys; of one device.
        rates: of a language model, of all devices together: ``tokens_per_s``, ``tokens_per_j``; else nothing.
        workload: of a language model: phase, sizes and mesh, in words.
    """

    subject: Mapping[str, str]
    totals: Mapping[str, float]
    kernels: tuple[KernelReport, ...]
    rates: Mapping[str, float] = field(default_factory=dict)
    workload: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """Kernels of both sides that stand for the same nodes.

    Args:
        name: the node that they are mostly for.
        op: ops of B, or of A where B has none.
        a, b: the kernels of each side; none where they are new or dropped.
        a_s, b_s: their time together.
        why: what differs, in words, the likeliest reason first.
    """

    name: str
    op: str
    a: tuple[KernelReport, ...]
    b: tuple[KernelReport, ...]
    a_s: float
    b_s: float
    why: tuple[str, ...]

    @property
    def delta_s(self) -> float:
        return self.b_s - self.a_s


@dataclass(frozen=True, slots=True, repr=False)
class Comparison:
    """The answer of ``irc diff``.

    Args:
        changes: largest first; their deltas add up to the difference of the latencies.
    """

    a: Side
    b: Side
    changes: tuple[Change, ...]

    def __repr__(self) -> str:
        a_s, b_s = (small_text(side.totals["latency_s"], "s") for side in (self.a, self.b))
        return f"<Comparison {a_s} -> {b_s}, {len(self.changes)} changes>"

    def _repr_html_(self) -> str:
        """What notebooks show."""
        from ircost.answer_html import comparison_html

        return comparison_html(self)

    def to_columns(self) -> dict[str, list[Any]]:
        """The changes as columns by name, largest first: what frames take."""
        names = ("name", "op", "a_s", "b_s", "delta_s", "why")
        return {name: [getattr(change, name) for change in self.changes] for name in names}

    def worse(self, metric: str) -> float:
        """By how much B is worse than A, as a share of A: 0.1 is ten percent more.

        Energy is that of all devices for a token, where both are language models: meshes share it out differently.

        Args:
            metric: key of ``METRICS``.
        """
        if metric == "energy" and self.a.rates and self.b.rates:
            return self.a.rates["tokens_per_j"] / self.b.rates["tokens_per_j"] - 1
        a, b = self.a.totals[METRICS[metric]], self.b.totals[METRICS[metric]]
        return b / a - 1 if a else math.inf if b else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as ``irc diff --json`` prints them."""
        return {
            "schema_version": SCHEMA_VERSION,
            "a": {**self.a.subject, "workload": self.a.workload, **self.a.totals, **self.a.rates},
            "b": {**self.b.subject, "workload": self.b.workload, **self.b.totals, **self.b.rates},
            "delta": {name: self.b.totals[name] - self.a.totals[name] for name in TOTALS},
            "changes": [_change_dict(change) for change in self.changes],
        }


def compare(a: Report | str | Path, b: Report | str | Path) -> Comparison:
    """Compares two reports, or the JSON files that hold them.

    Kernels whose source nodes overlap belong together, however they were fused: connected components of shared nodes.
    Kernels without nodes, as of IR text without locations, are matched by op and order.

    Raises:
        ReportFileError: a file is no report.
    """
    return compare_sides(side_of(a), side_of(b))


def side_of(report: Report | str | Path) -> Side:
    if not isinstance(report, (Report, str, Path)):
        raise ReportFileError(
            f"a {type(report).__name__} is not a report", help="give what ircost.compile returned, or a file"
        )
    values = report.to_dict() if isinstance(report, Report) else read_report(report)
    kernels = [{**kernel, "source_nodes": tuple(kernel["source_nodes"])} for kernel in values["kernels"]]
    return Side(
        subject={name: values[name] for name in SUBJECT},
        totals={name: values[name] for name in TOTALS},
        kernels=tuple(
            KernelReport(**{name: kernel[name] for name in KernelReport.__slots__ if name in kernel})
            for kernel in kernels
        ),
        rates=_served(values["transformer"]),
        workload=_workload(values["transformer"]),
    )


def _served(figures: Mapping[str, Any] | None) -> dict[str, float]:
    found = {name: (figures or {}).get(name) for name in RATES}
    return {name: float(value) for name, value in found.items() if value} if all(found.values()) else {}


def _workload(figures: Mapping[str, Any] | None) -> str:
    """
    >>> _workload({"phase": "decode", "batch": 8, "context": 4096, "new_tokens": 1, "tp": 4, "pp": 1, "dp": 1, "ep": 1})
    'decode, batch 8, 1 new of 4096 tokens, tp=4'
    """
    if not figures:
        return ""
    mesh = ",".join(f"{axis}={figures[axis]}" for axis in MESH if figures.get(axis, 1) > 1)
    sizes = f"batch {figures['batch']}, {figures['new_tokens']} new of {figures['context']} tokens"
    return ", ".join(filter(None, [figures["phase"], sizes, mesh]))


def compare_sides(a: Side, b: Side) -> Comparison:
    changes = [_change(own_a, own_b) for own_a, own_b in _aligned(a.kernels, b.kernels)]
    changes += _beyond_kernels(a, b, changes)
    return Comparison(a, b, tuple(sorted(changes, key=lambda change: -abs(change.delta_s))))


def _aligned(
    a: Sequence[KernelReport], b: Sequence[KernelReport]
) -> Iterator[tuple[tuple[KernelReport, ...], tuple[KernelReport, ...]]]:
    """Connected components of kernels that share a node, in program order."""
    leader: dict[str, str] = {}

    def root(node: str) -> str:
        while leader.setdefault(node, node) != node:
            leader[node] = leader[leader[node]]
            node = leader[node]
        return node

    named = [(_nodes(a), 0), (_nodes(b), 1)]
    for sides, _ in named:
        for nodes, _ in sides:
            for node in nodes[1:]:
                leader[root(node)] = root(nodes[0])
    groups: dict[str, tuple[list[KernelReport], list[KernelReport]]] = {}
    for sides, number in named:
        for nodes, kernel in sides:
            groups.setdefault(root(nodes[0]), ([], []))[number].append(kernel)
    return ((tuple(own_a), tuple(own_b)) for own_a, own_b in groups.values())


def _nodes(kernels: Sequence[KernelReport]) -> list[tuple[tuple[str, ...], KernelReport]]:
    """Each kernel with its nodes; one without any with a name that the other side's may have too."""
    seen: dict[str, int] = {}
    found = []
    for kernel in kernels:
        seen[kernel.op] = seen.get(kernel.op, 0) + 1
        found.append((kernel.source_nodes or (f"{kernel.op}, number {seen[kernel.op]}, of no node",), kernel))
    return found


def _change(a: tuple[KernelReport, ...], b: tuple[KernelReport, ...]) -> Change:
    main = max(b or a, key=lambda kernel: kernel.latency_s or 0.0)
    return Change(main.name, _ops(b or a), a, b, _seconds(a), _seconds(b), tuple(_why(a, b)))


def _beyond_kernels(a: Side, b: Side, changes: Sequence[Change]) -> list[Change]:
    """What no kernel accounts for: a whole model may be limited where no kernel of it is."""
    rest = [side.totals["latency_s"] - _seconds(side.kernels) for side in (a, b)]
    rest = [
        seconds if seconds > 1e-9 * side.totals["latency_s"] else 0.0
        for seconds, side in zip(rest, (a, b), strict=True)
    ]
    if not any(rest):
        return []
    return [Change(WHOLE_MODEL, "", (), (), rest[0], rest[1], ("weights and arithmetic together, by the data sheet",))]


def _why(a: tuple[KernelReport, ...], b: tuple[KernelReport, ...]) -> Iterator[str]:
    if not a or not b:
        yield "new" if not a else "dropped"
        return
    if len(a) != len(b):
        yield f"{_counted(len(a))} {'fused' if len(a) > len(b) else 'split'} into {len(b)}"
    elif _ops(a) != _ops(b):
        yield f"{_ops(a)} -> {_ops(b)}"
    if any(kernel.latency_s is None for kernel in (*a, *b)):
        yield "cost of an opaque operator is unknown"
    limits = _limit(a), _limit(b)
    if limits[0] != limits[1]:
        yield f"limit {limits[0]} -> {limits[1]}"
    runs = [sum(kernel.count for kernel in kernels) for kernels in (a, b)]
    if len(a) == len(b) and runs[0] != runs[1]:
        yield f"runs {runs[0]:,} -> {runs[1]:,}"
    for amount, text in (("bytes", bytes_text), ("flops", lambda value: f"{si_text(value, '')} flops")):
        before, after = (sum(getattr(kernel, amount) for kernel in kernels) for kernels in (a, b))
        if abs(after - before) > SAME * max(before, after):
            yield f"{text(before)} -> {text(after)}"
    yield from _rates(a, b)
    if len(a) == len(b) == 1 and a[0].tile != b[0].tile:
        yield f"tile {a[0].tile or 'none'} -> {b[0].tile or 'none'}"


def _rates(a: Sequence[KernelReport], b: Sequence[KernelReport]) -> Iterator[str]:
    """What the data sheets say, and how near the kernels come to it."""
    shares = _of_peak(a), _of_peak(b)
    if shares[0] is None or shares[1] is None:
        return
    at_peak_s = shares[0] * _seconds(a), shares[1] * _seconds(b)
    if abs(at_peak_s[0] - at_peak_s[1]) > SAME * max(at_peak_s):
        yield f"at best {small_text(at_peak_s[0], 's')} -> {small_text(at_peak_s[1], 's')}"
    if abs(shares[0] - shares[1]) >= SAME:
        yield f"{shares[0]:.0%} -> {shares[1]:.0%} of peak"


def _counted(kernels: int) -> str:
    return f"{kernels} kernel" if kernels == 1 else f"{kernels} kernels"


def _limit(kernels: Sequence[KernelReport]) -> str:
    """What limits most of their time."""
    seconds: dict[str, float] = {}
    for kernel in kernels:
        seconds[kernel.bound] = seconds.get(kernel.bound, 0.0) + (kernel.latency_s or 0.0)
    return max(seconds, key=lambda bound: seconds[bound])


def _of_peak(kernels: Sequence[KernelReport]) -> float | None:
    """Time at data-sheet speed as a share of the time of them all."""
    known = [(kernel.of_peak, kernel.latency_s) for kernel in kernels]
    total = sum(seconds or 0.0 for _, seconds in known)
    if not total or any(share is None for share, _ in known):
        return None
    return sum((share or 0.0) * (seconds or 0.0) for share, seconds in known) / total


def _ops(kernels: Sequence[KernelReport]) -> str:
    return ", ".join(dict.fromkeys(kernel.op for kernel in kernels))


def _seconds(kernels: Sequence[KernelReport]) -> float:
    return math.fsum(kernel.latency_s or 0.0 for kernel in kernels)


def by_limit(comparison: Comparison) -> list[tuple[str, str, int, float]]:
    """Changes added up by limits: (limit in A, limit in B, how many changes, seconds), largest first."""
    sums: dict[tuple[str, str], tuple[int, float]] = {}
    for change in comparison.changes:
        if change.a or change.b:
            key = (_limit(change.a) if change.a else "", _limit(change.b) if change.b else "")
            count, seconds = sums.get(key, (0, 0.0))
            sums[key] = (count + 1, seconds + change.delta_s)
    rows = [(before, after, count, seconds) for (before, after), (count, seconds) in sums.items()]
    return sorted(rows, key=lambda row: -abs(row[3]))


def alike(changes: Sequence[Change]) -> list[list[Change]]:
    """Changes that are the same but for their nodes, together; those that add up to most first."""
    groups: dict[object, list[Change]] = {}
    for change in changes:
        groups.setdefault((change.op, change.a_s, change.b_s, change.why), []).append(change)
    return sorted(groups.values(), key=lambda group: -abs(total_delta_s(group)))


def total_delta_s(group: Sequence[Change]) -> float:
    return math.fsum(change.delta_s for change in group)


def _change_dict(change: Change) -> dict[str, Any]:
    def amounts(kernels: Sequence[KernelReport], seconds: float) -> dict[str, Any]:
        return {
            "kernels": [kernel.name for kernel in kernels],
            "ops": [kernel.op for kernel in kernels],
            "runs": sum(kernel.count for kernel in kernels),
            "latency_s": seconds,
            "energy_j": math.fsum(kernel.energy_j or 0.0 for kernel in kernels),
            "bytes": sum(kernel.bytes for kernel in kernels),
            "flops": sum(kernel.flops for kernel in kernels),
            "bound": _limit(kernels) if kernels else None,
        }

    return {
        "name": change.name,
        "op": change.op,
        "delta_s": change.delta_s,
        "why": list(change.why),
        "a": amounts(change.a, change.a_s),
        "b": amounts(change.b, change.b_s),
    }
