"""Einsum: pairwise contractions, from left to right."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ircost.frontends.onnx.node import Node, lowering
from ircost.ir import ops
from ircost.ir.graph import Value

Labels = tuple[str, ...]  # one for each axis


@dataclass(frozen=True, slots=True)
class Term:
    """An operand, each axis with its label; no label twice."""

    value: Value
    labels: Labels


@lowering("Einsum")
def einsum(node: Node) -> Value:
    terms, wanted = parse_equation(node)
    total, *rest = (without_repeats(term) for term in terms)
    while rest:
        factor, *rest = rest
        needed = dict.fromkeys((*wanted, *(label for term in rest for label in term.labels)))
        total = contracted(total, factor, tuple(needed))
    return arranged(total, wanted)


def parse_equation(node: Node) -> tuple[list[Term], Labels]:
    """Operands and the labels of the result; an ellipsis stands for axes '0', '1' ..., counted from the last."""
    equation = node.string("equation", "").replace(" ", "")
    left, arrow, right = equation.partition("->")
    texts = left.split(",")
    if len(texts) != len(node.given) or not re.fullmatch(r"([A-Za-z,]|\.\.\.)*(->([A-Za-z]|\.\.\.)*)?", equation):
        raise node.error(f"equation '{equation}' does not fit {len(node.given)} operands")
    if not arrow:
        letters = sorted(set(re.sub(r"[,.]", "", left)))
        right = ("..." if "..." in left else "") + "".join(c for c in letters if left.count(c) == 1)
    terms = [Term(x, labels_of(text, x.type.rank)) for text, x in zip(texts, node.given, strict=True)]
    spread = max((sum(label.isdigit() for label in term.labels) for term in terms), default=0)
    for term, text in zip(terms, texts, strict=True):
        if len(term.labels) != term.value.type.rank:
            raise node.error(f"'{text}' in equation '{equation}' does not fit {term.value.type}")
    wanted = labels_of(right, spread + len(right.replace("...", "")))
    if len(set(wanted)) < len(wanted) or not all(any(label in term.labels for term in terms) for label in wanted):
        raise node.error(f"equation '{equation}': each label of the result must stand once, and in an operand")
    return terms, wanted


def labels_of(text: str, rank: int) -> Labels:
    before, ellipsis, after = text.partition("...")
    spread = rank - len(before) - len(after) if ellipsis else 0
    return (*before, *(str(i) for i in reversed(range(spread))), *after)


def without_repeats(term: Term) -> Term:
    """Of axes with one label, the diagonal."""
    for label in dict.fromkeys(term.labels):
        places = [axis for axis, other in enumerate(term.labels) if other == label]
        for axis in reversed(places[1:]):
            term = diagonal(term, places[0], axis)
    return term


def diagonal(term: Term, first: int, second: int) -> Term:
    """Axes ``first`` and ``second``, n long each, as one: every (n + 1)-th element of both together."""
    rest = [axis for axis in range(len(term.labels)) if axis not in (first, second)]
    labels = (*(term.labels[axis] for axis in rest), term.labels[first])
    x = ops.transpose(term.value, perm=(*rest, first, second))
    *lead, n, _ = x.type.shape
    flat = ops.reshape(x, shape=(*lead, n * n))
    steps = (*(1 for _ in lead), n + 1)
    return Term(ops.slice(flat, starts=(0,) * len(steps), size=(*lead, n), steps=steps), labels)


def contracted(lhs: Term, rhs: Term, needed: Labels) -> Term:
    """The product, summed over labels that nobody needs any more; the others in the order of ``needed``."""
    labels = tuple(label for label in needed if label in lhs.labels or label in rhs.labels)
    left, right = with_ones_dropped(lhs, rhs), with_ones_dropped(rhs, lhs)
    notation = f"{spaced(left.labels)}, {spaced(right.labels)} -> {spaced(labels)}"
    return Term(ops.contract(left.value, right.value, notation=notation), labels)


def with_ones_dropped(term: Term, other: Term) -> Term:
    """Without axes of 1 that broadcast against longer ones of the other operand."""
    extents = dict(zip(other.labels, other.value.type.shape, strict=True))
    kept = [
        axis
        for axis, (label, n) in enumerate(zip(term.labels, term.value.type.shape, strict=True))
        if n != 1 or extents.get(label, 1) == 1
    ]
    if len(kept) == len(term.labels):
        return term
    shape = tuple(term.value.type.shape[axis] for axis in kept)
    return Term(ops.reshape(term.value, shape=shape), tuple(term.labels[axis] for axis in kept))


def spaced(labels: Sequence[str]) -> str:
    """As index notation names dims: an ellipsis' axes as ``e0``, letters as they are."""
    return " ".join(f"e{label}" if label.isdigit() else label for label in labels)


def arranged(term: Term, wanted: Labels) -> Value:
    """Summed over what is not wanted, axes in the order in which they are."""
    summed = tuple(axis for axis, label in enumerate(term.labels) if label not in wanted)
    value = ops.reduce_sum(term.value, axes=summed) if summed else term.value
    labels = [label for label in term.labels if label in wanted]
    perm = tuple(labels.index(label) for label in wanted)
    return value if perm == tuple(range(len(perm))) else ops.transpose(value, perm=perm)
