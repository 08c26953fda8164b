"""A report's figures opened: the tree behind its total, kernel by kernel."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ircost.backends import Target, load_target
from ircost.cost_models.analytical import Analytical
from ircost.cost_models.automatic import chosen_model, own_runtimes
from ircost.cost_models.explanation import Node, explain_kernels, explain_terms
from ircost.cost_models.interface import CostModel, Estimates
from ircost.cost_models.kernel_table import KernelRun, KernelTable, kernel_table
from ircost.cost_models.learned.grades import GRADES, UNCORRECTED
from ircost.cost_models.learned.hybrid import Hybrid
from ircost.cost_models.tiling import LevelFigures, figures_of
from ircost.costed_runs import branches_taken
from ircost.ir.errors import IrcError
from ircost.ir.graph import Op
from ircost.ir.schedule import parse_schedule
from ircost.kernel_reports import node_name
from ircost.launching import run_seconds
from ircost.quantity_text import si_text, small_text
from ircost.report import KernelReport, Report

SLOWEST = 5


class ExplainError(IrcError):
    """What is to be explained is not there."""


@dataclass(frozen=True, slots=True, repr=False)
class Explanation:
    """The answer of ``ircost.explain``; as text the tree, a line each.

    Args:
        tree: in seconds; ``children`` make each value as ``how`` says.
    """

    tree: Node

    @property
    def latency_s(self) -> float:
        return self.tree.value

    def __repr__(self) -> str:
        return f"<Explanation of {small_text(self.latency_s, 's')}, {self.tree.label}>"

    def __str__(self) -> str:
        from ircost.explanation_text import explanation_text

        return explanation_text(self.tree)

    def _repr_html_(self) -> str:
        """What notebooks show."""
        from ircost.answer_html import explanation_html

        return explanation_html(self.tree)


def explain_again(
    report: Report, target: str | Path | Target | None, kernel: str | None, most: int | None
) -> Explanation:
    """``ircost.explain``, which says what each argument means."""
    if not isinstance(report, Report):
        raise ExplainError(f"a {type(report).__name__} is not a report", help="give what ircost.compile returned")
    named = report.target if target is None else target
    machine = named if isinstance(named, Target) else load_target(named, (), own_runtimes(report.model))
    if machine.digest() != report.target_digest:
        raise ExplainError(
            f"the report is for another version of target {report.target}", help="give that one: target=..."
        )
    return Explanation(explain_report(report, machine, report.model, kernel, most))


def explain_report(
    report: Report, target: Target, cost_model: str = "auto", kernel: str | None = None, most: int | None = SLOWEST
) -> Node:
    """The tree behind a report's latency.

    Args:
        target, cost_model: those of the report.
        kernel: part of the name of a kernel's node; the tree is that of all kernels that have it.
        most: kernels that are opened up, the slowest; others are leaves. None: all.

    Returns:
        A sum over kernels; of one kernel only, where ``kernel`` tells of one.

    Raises:
        ExplainError: no kernel has that name; lists the nearest.
    """
    table = kernel_table(report.module)
    model = chosen_model(cost_model, target)
    estimates = model.estimate(table, target)
    runs = branches_taken(table, estimates)
    messages = [own for own in report.kernels if own.bound == "link"]
    shown_s = float(run_seconds(runs, estimates).sum())
    if kernel is not None:
        runs, messages = matching(runs, messages, kernel)
    seconds = [float(estimates.latency_s[run.row]) * run.count for run in runs]
    order = sorted(range(len(runs)), key=lambda i: -seconds[i])
    opened, folded = (order, []) if most is None else (order[:most], order[most:])
    trees = explained(table, target, model, estimates, sorted({runs[i].row for i in opened}))
    nodes = [kernel_node(runs[i], seconds[i], trees.get(runs[i].row), target) for i in opened]
    rest = [kernel_node(runs[i], seconds[i], None, target) for i in folded]
    sent = [_sent(own) for own in messages]
    if len(runs) + len(sent) == 1:
        return (nodes or sent)[0]
    total_s = math.fsum((*seconds, *(node.value for node in sent)))
    parts = [*nodes, *_folded(rest), *sent]
    if kernel is None:
        differences, total_s = _of_the_whole(total_s, math.fsum(seconds) - shown_s, report.latency_s)
        parts += differences
    label = report.source if kernel is None else f"kernels with '{kernel}'"
    return Node(label, total_s, "s", f"{report.model}, kernels one after another", "sum", tuple(parts))


def _folded(rest: Sequence[Node]) -> list[Node]:
    """Kernels that are not opened up, as one node."""
    rest_s = math.fsum(node.value for node in rest)
    hint = "--kernel NAME opens one, --all all"
    return [Node(f"{len(rest)} more kernels", rest_s, "s", hint, "sum", tuple(rest), is_folded=True)] * bool(rest)


def _of_the_whole(total_s: float, ahead_s: float, latency_s: float) -> tuple[list[Node], float]:
    """What a model takes less or more than its kernels by themselves, and its time with that.

    Args:
        total_s: of the kernels, each by itself. ahead_s: launches that do not show. latency_s: of the report.
    """
    nodes = []
    if ahead_s > total_s * 1e-12:
        nodes.append(Node("where the host runs ahead", -ahead_s, "s", "launches behind kernels that still run"))
        total_s -= ahead_s
    if latency_s > total_s * (1 + 1e-12):
        nodes.append(Node("up to the physical limit", latency_s - total_s, "s", "of all kernels together"))
        total_s = latency_s
    return nodes, total_s


def _sent(own: KernelReport) -> Node:
    """What ranks tell each other, as the report has it: the fitted model of collectives, on the target's links."""
    learned = ", corrected by what was learned of them" if own.grade in GRADES[:UNCORRECTED] else ""
    source = f"{own.tile}; fitted to measured collectives{learned}"
    once = Node(own.op, (own.latency_s or 0.0) / own.count, "s", source)
    count = Node("runs", float(own.count), "1", "loops and calls around it")
    if own.count == 1:
        return Node(own.name, once.value, "s", f"{own.op}, {once.source}")
    return Node(own.name, own.latency_s or 0.0, "s", f"{own.count} runs", "product", (once, count))


def explained(
    table: KernelTable, target: Target, model: CostModel, estimates: Estimates, rows: Sequence[int]
) -> dict[int, Node]:
    """One run of each of these kernels."""
    known = [row for row in rows if not table.is_unknown[row]]
    if isinstance(model, Hybrid):
        model = model.analytical
    if isinstance(model, Analytical):
        return explain_kernels(table, target, model, estimates, known)
    return explain_terms(table, target, estimates, known)


def kernel_node(run: KernelRun, seconds: float, tree: Node | None, target: Target) -> Node:
    """All runs of a kernel at one place of the model; its schedule's tiles beside what its time is made of."""
    name = node_name(run.op)
    if tree is None:
        return Node(name, seconds, "s")
    tiles = schedule_nodes(run.op, target)
    if tiles and tree.how == "sum":
        tree = replace(tree, children=(*tree.children, *tiles))
    elif tiles:
        tree = Node("one run", tree.value, "s", "", "sum", (tree, *tiles))
    if run.count == 1:
        return Node(name, tree.value, "s", tree.source, tree.how, tree.children)
    count = Node("runs", float(run.count), "1", "loops and calls around it")
    return Node(name, seconds, "s", f"{run.count} runs", "product", (tree, count))


def schedule_nodes(op: Op, target: Target) -> tuple[Node, ...]:
    """The traffic of each memory that a kernel's schedule has tiles for; no part of the time, which is the model's."""
    text = str(op.attrs.get("schedule", ""))
    return tuple(map(tile_node, figures_of(op, parse_schedule(text), target))) if text else ()


def tile_node(level: LevelFigures) -> Node:
    tile = " ".join(f"{dim}={size}" for dim, size in level.tile)
    stages = f" in {level.stages} stages" if level.stages > 1 else ""
    room = f"a tile takes {si_text(level.held_bytes, 'B')}{stages} of {si_text(level.room_bytes, 'B')}"
    above = f", {level.moved_bytes / level.bound_bytes:.3g} times that" if level.bound_bytes else ""
    bound = f"no order moves less than {si_text(level.bound_bytes, 'B')}{above}"
    source = f"{bound}; from {level.source}; {room}{'' if level.fits else ', which it exceeds'}"
    return Node(f"through {level.name} by tiles of {tile}", level.moved_bytes, "B", source, is_hidden=True)


def matching(
    runs: Sequence[KernelRun], messages: Sequence[KernelReport], kernel: str
) -> tuple[list[KernelRun], list[KernelReport]]:
    """Kernels whose node has this in its name, and what ranks tell each other under this name or by this collective.

    Raises:
        ExplainError: none has; lists the nearest.
    """
    names = [node_name(run.op) for run in runs]
    of_messages = [(own.name, own.op) for own in messages]
    word = kernel.lower()
    tests: tuple[Callable[[str], bool], ...] = (kernel.__eq__, lambda name: word in name.lower())
    for has in tests:
        found = [run for run, name in zip(runs, names, strict=True) if has(name)]
        told = [own for own, both in zip(messages, of_messages, strict=True) if any(map(has, both))]
        if found or told:
            return found, told
    near = difflib.get_close_matches(
        kernel, [*names, *(name for both in of_messages for name in both)], n=3, cutoff=0.3
    )
    help = f"did you mean {', '.join(dict.fromkeys(near))}?" if near else "irc compile --all lists them"
    raise ExplainError(f"no kernel has '{kernel}' in its node's name", help=help)
