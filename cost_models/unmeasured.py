"""Kernels that nobody measured or that a machine cannot run: what stands in for them, and how they are told of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from ircost.backends import TargetError
from ircost.cost_models.kernel_table import KernelTable
from ircost.ir.graph import Op

# Op -> what stands in for it, in words.
STAND_INS: Mapping[str, str] = {
    "index_scores": "an indexer's scores are priced as products with the keys that each query sees, summed up behind",
    "chosen_keys": "the choice of the highest scores is priced as a pass over them",
    "chosen_attention": "attention to chosen tokens is priced as latent attention's decoding, each query by itself "
    "with the tokens that it sees",
}
# Ops whose format no option changes, by what is to be known of it.
FIXED_FORMATS: Mapping[str, str] = {
    "index_scores": "an indexer keeps and multiplies its keys in f8e4m3, whatever --dtype says",
}


def at_kernel(error: TargetError, kernel: Op) -> TargetError:
    """The same error, naming a kernel whose format the machine has no units for."""
    fixed = next((FIXED_FORMATS[name] for name in op_names(kernel) if name in FIXED_FORMATS), None)
    return TargetError(error.message, at=kernel, help="; ".join(filter(None, [error.help, fixed])))


def op_names(kernel: Op) -> Iterator[str]:
    """Of a kernel: its own, and those of the ops fused in it."""
    yield kernel.name
    if kernel.name == "kernel":
        yield from (op.name for op in kernel.regions[0].block.ops)


def is_unmeasured(kernels: KernelTable) -> np.ndarray:
    """[rows] kernels that others stand in for."""
    return np.array([not STAND_INS.keys().isdisjoint(op_names(op)) for op in kernels.ops], dtype=bool)


def unmeasured_notes(kernels: KernelTable) -> list[str]:
    """What stands in, and that nobody measured what it stands for."""
    met = {name for op in kernels.ops for name in op_names(op)}
    told = [text for name, text in STAND_INS.items() if name in met]
    return [f"{'; '.join(told)}: no such kernel was measured"] * bool(told)
