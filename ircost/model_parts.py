"""What the parts of a language model cost: attention, feed-forward layers, experts, and what ranks send each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ircost.report import KernelReport

# Part -> words in the names of its nodes and ops; the first that fits is it. Norms inside of a part are its own.
PARTS = {
    "indexer": ("indexer",),
    "inputs of layers": ("inputs",),
    "alternating updates": ("altup", "altup_in", "altup_out", "laurel"),
    "attention": ("attention", "source", "qkv", "cached_attention", "latent_attention"),
    "state space": ("mixer",),
    "router": ("router",),
    "experts": ("experts",),
    "feed-forward": ("mlp", "up", "down"),
    "embedding": ("embedding",),
    "head": ("head",),
    "norms": ("norm", "attention_norm", "mlp_norm", "source_norm"),
}


@dataclass(frozen=True, slots=True)
class PartReport:
    """All kernels of one part of the model.

    Args:
        name: attention, feed-forward, experts, head, norms, communication, ...
        latency_s, energy_j: of one pass, of one rank.
        flops, bytes: of the same.
        flops_per_byte: arithmetic intensity; 0 where nothing crosses the main memory.
    """

    name: str
    latency_s: float
    energy_j: float
    flops: int
    bytes: int
    flops_per_byte: float


def parts_of(kernels: Sequence[KernelReport]) -> tuple[PartReport, ...]:
    """A part for each name that `part_of_kernel` gives; the costliest first."""
    members: dict[str, list[KernelReport]] = {}
    for kernel in kernels:
        members.setdefault(part_of_kernel(kernel), []).append(kernel)
    found = [_part(name, inside) for name, inside in members.items()]
    return tuple(sorted(found, key=lambda part: -part.latency_s))


def _part(name: str, kernels: Sequence[KernelReport]) -> PartReport:
    flops, moved = sum(kernel.flops for kernel in kernels), sum(kernel.bytes for kernel in kernels)
    return PartReport(
        name=name,
        latency_s=sum(kernel.latency_s or 0.0 for kernel in kernels),
        energy_j=sum(kernel.energy_j or 0.0 for kernel in kernels),
        flops=flops,
        bytes=moved,
        flops_per_byte=flops / moved if moved else 0.0,
    )


def part_of_kernel(kernel: KernelReport) -> str:
    """By its nodes: of a fused kernel, the part that does not stand for sums and norms alone.

    A sum of residuals is of no part; joined with the norm behind it, it is the norm's.
    """
    if kernel.bound == "link":
        return "communication"
    words = {word for node in (kernel.name, *kernel.source_nodes) for word in node.split(".")}
    words |= set(kernel.op.split("+"))
    found = next((part for part, names in PARTS.items() if any(name in words for name in names)), None)
    return found or "other"
