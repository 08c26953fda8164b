"""Explanations as trees of text."""

from __future__ import annotations

from collections.abc import Iterator

import click

from ircost.bound_text import bound_text
from ircost.cost_models.explanation import Node
from ircost.quantity_text import si_text, small_text, three_digits
from ircost.table import cut


def print_explanation(tree: Node) -> None:
    """The tree, a line each, as wide as the terminal."""
    for branch, node in lines(tree):
        label = click.style(label_text(node), bold=node is tree)
        click.echo(cut(line_text(branch, node, label)))


def explanation_text(tree: Node) -> str:
    """The tree, a line each."""
    return "\n".join(line_text(branch, node, label_text(node)) for branch, node in lines(tree))


def line_text(branch: str, node: Node, label: str) -> str:
    """One line: figure, what it is, how it comes about, its source."""
    hidden = " (hidden)" if node.is_hidden else ""
    about = about_text(node)
    return f"{branch}{quantity_text(node):>9}  {label}{hidden}{'  ' if about else ''}{about}".rstrip()


def about_text(node: Node) -> str:
    """How a figure comes about, and its source."""
    return "  ".join(filter(None, [formula(node), node.source]))


def lines(node: Node, lead: str = "", branch: str = "") -> Iterator[tuple[str, Node]]:
    """Each node with what stands before it."""
    yield branch, node
    if node.is_folded:
        return
    for number, child in enumerate(node.children):
        is_last = number == len(node.children) - 1
        own = lead + ("└─ " if is_last else "├─ ")
        yield from lines(child, lead + ("   " if is_last else "│  "), own)


def label_text(node: Node) -> str:
    return bound_text(node.label) if node.unit == "s" and node.label in RESOURCES else node.label


# Resources by the words of the report, in seconds; other labels stand for themselves.
RESOURCES = frozenset(("matrix", "vector", "special", "shared", "l2", "hbm", "gddr", "dram", "launch", "steps"))


def formula(node: Node) -> str:
    """``4.77 MB / (3.35 TB/s x 0.40)``; sums speak for themselves."""
    if node.is_folded and node.how != "sum":  # a constant: its own, and what effects multiply it by
        first, *others = node.children
        # A share's effects multiply what is lost, (1 - share) / share, so that no product of theirs is above the peak.
        what = "loss " if node.how == "loss odds" else ""
        effects = [f"{other.label} {what}x{quantity_text(other)}" for other in others]
        return ", ".join([f"{first.label} {quantity_text(first)}", *effects])
    if node.how == "quotient":
        first, *others = node.children
        if first.how == "quotient":  # amount over rate, over a share: one line tells all
            amount, rate = first.children
            return f"{quantity_text(amount)} / ({' x '.join(map(quantity_text, (rate, *others)))})"
        return f"{quantity_text(first)} / {' / '.join(map(quantity_text, others))}"
    if node.how == "product" and node.unit == "s" and len(node.children) > 1:
        return " x ".join(quantity_text(child) for child in node.children)
    return ""


def quantity_text(node: Node) -> str:
    """With a unit that a person reads."""
    if node.unit == "s":
        return small_text(node.value, "s")
    if node.unit == "1":
        return three_digits(node.value) if abs(node.value) >= 0.01 or not node.value else f"{node.value:.2g}"
    return si_text(node.value, {"flop": "flop", "flop/s": "flop/s", "B": "B", "B/s": "B/s"}[node.unit])
