"""Which operators of PyTorch are taken, and how: read off the lowerings and off PyTorch itself.

Regenerate the page with ``python -m ircost.frontends.torch.coverage > docs/torch.md``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import torch

import ircost.frontends.torch.lowerings  # noqa: F401  # registers every operator
from ircost.frontends.torch.call import LOWERINGS
from ircost.frontends.torch.page import INTRODUCTION

NATIVE, DECOMPOSED, MISSING = "native", "decomposed", "missing"
HOW = (NATIVE, DECOMPOSED, MISSING)


@dataclass(frozen=True, slots=True)
class AtenCoverage:
    """How one operator is taken.

    Args:
        name: ``add.Tensor``.
        is_core: whether it is one of Core ATen, what every export can be brought to.
        how: ``native`` by a lowering of ours, ``decomposed`` by PyTorch into others, ``missing``.
    """

    name: str
    is_core: bool
    how: str


def coverage() -> list[AtenCoverage]:
    """The operators of Core ATen, and all others that we lower, by name."""
    decompositions = {str(operator) for operator in torch.export.default_decompositions()}
    found = {}
    for operator in operators():
        name, is_core = str(operator), torch.Tag.core in operator.tags
        if is_core or name in LOWERINGS:
            how = NATIVE if name in LOWERINGS else DECOMPOSED if name in decompositions else MISSING
            found[name] = AtenCoverage(name.removeprefix("aten."), is_core, how)
    return [found[name] for name in sorted(found)]


def operators() -> Iterable[torch._ops.OpOverload]:
    for name in sorted(dir(torch.ops.aten)):
        packet = getattr(torch.ops.aten, name)
        if isinstance(packet, torch._ops.OpOverloadPacket):
            yield from (getattr(packet, overload) for overload in packet.overloads())


def summary(rows: Iterable[AtenCoverage]) -> str:
    """``190 operators: 160 native, 10 decomposed, 20 missing``."""
    counts = Counter(row.how for row in rows)
    return f"{sum(counts.values())} operators: {', '.join(f'{counts[how]} {how}' for how in HOW if counts[how])}"


def markdown() -> str:
    """The page `docs/torch.md`."""
    rows = coverage()
    core, others = ([row for row in rows if row.is_core is wanted] for wanted in (True, False))
    lines = [
        *("## Core ATen", "", f"{summary(core)}. PyTorch {torch.__version__.partition('+')[0]}.", ""),
        *("| operator | how |", "|---|---|"),
        *(f"| {row.name} | {row.how} |" for row in core),
        *("", "## Others that stay whole", "", ", ".join(f"`{row.name}`" for row in others)),
    ]
    return INTRODUCTION + "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(markdown(), end="")
