"""What users of language models ask: tokens a second, memory by what it is for, the largest batch that fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ircost.backends import Target
from ircost.frontends.config.build import BuiltModel
from ircost.frontends.config.layer_parts import Experts
from ircost.frontends.config.parameters import count_parameters
from ircost.ir.ops.experts import experts_met
from ircost.model_parts import PartReport, parts_of
from ircost.quantity_text import bytes_text
from ircost.rank_memory import RankMemory, largest_batch
from ircost.report import KernelReport
from ircost.stages import in_flight

if TYPE_CHECKING:
    from ircost.request import RequestFigures


@dataclass(frozen=True, slots=True)
class TransformerFigures:
    """Of one pass of a model that came as a configuration.

    Args:
        phase: prefill, chunk, decode, verify or encode.
        batch: sequences.
        new_tokens: of each.
        context: tokens that the last of them attends to, itself included.
        tp: ranks that share a layer.
        pp: stages of layers.
        dp: groups of such ranks, each with sequences of its own.
        ep: ranks that experts are spread over; 1 where they are split like all else.
        redundant: copies of experts that these hold beside.
        balance: tokens that ranks get for their experts, on the mean, over those of the busiest; 1: chance alone.
        parameters: of the whole model.
        kv_bytes_per_token: that one token adds to the cache, on all ranks together.
        weights_bytes, cache_bytes, activations_bytes: of the rank that holds most, the new tokens in the cache.
        communication_s: part of the latency that goes to collectives.
        stage_s: the slowest stage's part of the latency; all of it where there is one stage.
        time_to_first_token_s: latency of a prompt's pass; null of other phases.
        time_per_output_token_s: latency of a decode pass; null of other phases.
        tokens_per_s_per_sequence: new tokens that each sequence sees in a second.
        batches_in_flight: with stages, batches that are in them at once: one for each stage, or as many as memory
            holds; 1 without stages.
        tokens_per_s: new tokens of all sequences; with stages, of ``batches_in_flight``.
        tokens_per_j: the same for the energy of all ranks, idle power of stages that wait included.
        flops_per_byte: arithmetic intensity of the whole pass: all operations over all bytes moved.
        ridge_flops_per_byte: at which intensity arithmetic and main memory would take equally long: the target's peak
            over its bandwidth, or what was given.
        eflops: operations, and for each byte moved as many as the ridge says. Source: Sadhukhan et al., "Kinetics:
            Rethinking Test-Time Scaling Laws", 2025.
        largest_batch: sequences whose pass fits the memory of a rank, in one batch; 0 where none does. With stages,
            batches in flight share that room: together they are as many at least, since activations are of one alone.
        state_bytes_per_sequence: of layers that keep a state in place of a cache, on all ranks together.
        experts: of a layer that has most; 0 where none has any.
        experts_touched: those of them whose weights the pass is taken to read: as many as tokens meet that choose at
            random, on the mean.
        cost_per_million_tokens: new tokens at ``tokens_per_s``, at the price that was given for an hour of a device;
            null without one.
        parts: what attention, feed-forward layers, ... cost, the costliest first.
        request: a prompt and the tokens behind it, where an answer's length was given; else null.
    """

    phase: str
    batch: int
    new_tokens: int
    context: int
    tp: int
    pp: int
    dp: int
    ep: int
    redundant: int
    balance: float
    parameters: int
    kv_bytes_per_token: float
    weights_bytes: int
    cache_bytes: int
    activations_bytes: int
    communication_s: float
    stage_s: float
    time_to_first_token_s: float | None
    time_per_output_token_s: float | None
    tokens_per_s_per_sequence: float
    batches_in_flight: int
    tokens_per_s: float
    tokens_per_j: float
    flops_per_byte: float
    ridge_flops_per_byte: float
    eflops: float
    largest_batch: int
    state_bytes_per_sequence: int
    experts: int
    experts_touched: float
    cost_per_million_tokens: float | None
    parts: tuple[PartReport, ...]
    request: RequestFigures | None

    @property
    def devices(self) -> int:
        return self.stage_devices * self.pp

    @property
    def stage_devices(self) -> int:
        return self.tp * self.dp

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def figures_of(
    built: BuiltModel,
    target: Target,
    kernels: Sequence[KernelReport],
    memory: RankMemory,
    latency_s: float,
    energy_j: float,
    stage_s: float,
    dtype: str,
    limit_bytes: int,
) -> TransformerFigures:
    """All of the above.

    Args:
        kernels: of the report, collectives included. memory: of the fullest rank. latency_s: of one pass.
        energy_j: of one pass, of one rank of each stage, while it has the batch.
        stage_s: time of the slowest stage. dtype: of most arithmetic. limit_bytes: what a device may take.
    """
    work, mesh = built.workload, built.mesh
    tokens = work.batch * work.rows
    flops, moved = sum(kernel.flops for kernel in kernels), sum(kernel.bytes for kernel in kernels)
    ridge = ridge_flops_per_byte(target, dtype)
    fed = [part for layer in built.architecture.stack.layers for part in layer.fed]
    most = max((part for part in fed if isinstance(part, Experts)), key=lambda part: part.count, default=None)
    flow = in_flight(mesh.pp, latency_s, stage_s, memory, target, limit_bytes)
    sharing = tokens if mesh.sends_tokens else tokens // mesh.dp  # copies that share nothing have experts each
    return TransformerFigures(
        phase=work.phase,
        batch=work.batch,
        new_tokens=work.rows,
        context=work.context,
        tp=mesh.tp,
        pp=mesh.pp,
        dp=mesh.dp,
        ep=mesh.ep,
        redundant=mesh.redundant,
        balance=mesh.balance,
        parameters=count_parameters(built.architecture),
        kv_bytes_per_token=built.kv_bytes_per_token if work.phase != "encode" else 0.0,
        weights_bytes=memory.weights_bytes,
        cache_bytes=memory.cache_bytes,
        activations_bytes=memory.activations_bytes,
        communication_s=sum(kernel.latency_s or 0.0 for kernel in kernels if kernel.bound == "link"),
        stage_s=stage_s,
        time_to_first_token_s=latency_s if work.phase == "prefill" else None,
        time_per_output_token_s=latency_s if work.phase == "decode" else None,
        tokens_per_s_per_sequence=work.rows / latency_s if latency_s else 0.0,
        batches_in_flight=flow.batches,
        tokens_per_s=tokens / flow.pace_s if flow.pace_s else 0.0,
        tokens_per_j=tokens / ((energy_j + flow.waiting_j) * mesh.stage_ranks) if energy_j else 0.0,
        flops_per_byte=flops / moved if moved else 0.0,
        ridge_flops_per_byte=ridge,
        eflops=flops + ridge * moved,
        largest_batch=largest_batch(built, float(limit_bytes)),
        state_bytes_per_sequence=built.state_bytes_per_sequence,
        experts=most.count if most else 0,
        experts_touched=experts_met(sharing, most.chosen, most.count) if most else 0.0,
        cost_per_million_tokens=None,
        parts=parts_of(kernels),
        request=None,
    )


def notes_on_batches(figures: TransformerFigures, capacity_bytes: int) -> list[str]:
    """How many batches keep stages busy, and whether a device holds so many; nothing of a model in one stage.

    Args:
        capacity_bytes: that a device may take.
    """
    if figures.pp == 1:
        return []
    caches = bytes_text(figures.pp * figures.cache_bytes)
    if figures.batches_in_flight == figures.pp:
        told = f"; their caches take {caches} of the fullest device" if figures.cache_bytes else ""
        batches = f"{figures.pp} batches of {figures.batch:,}"
        return [f"tokens per second are for full stages: {batches} in flight{told}"]
    left_bytes = max(capacity_bytes - figures.weights_bytes - figures.activations_bytes, 0)
    held = figures.batches_in_flight if figures.cache_bytes <= left_bytes else "none"
    return [
        f"memory holds {held} of the {figures.pp} batches of {figures.batch:,} that would keep all stages busy: tokens "
        f"a second and a joule, and prices, are those of {figures.batches_in_flight}, and stages wait; caches of all "
        f"{figures.pp} take {caches} of the fullest device, and it has {bytes_text(left_bytes)} for them"
    ]


def ridge_flops_per_byte(target: Target, dtype: str) -> float:
    """Operations that the peak allows in the time that a byte takes. Source: as of ``roofline.py``."""
    return float(target.peak_flops_per_s(dtype) / target.main_memory.bandwidth_bytes_per_s)


def priced(figures: TransformerFigures, price_per_hour: float) -> TransformerFigures:
    """With the cost of a million tokens.

    Args:
        price_per_hour: of one device, in any currency.
    """
    each_second = price_per_hour * figures.devices / 3600.0
    request = figures.request
    if request is not None:
        request = replace(request, cost_per_million_tokens=1e6 * each_second / request.tokens_per_s)
    rate = figures.tokens_per_s
    return replace(figures, cost_per_million_tokens=1e6 * each_second / rate if rate else None, request=request)


def at_intensity(figures: TransformerFigures, flops_per_byte: float) -> TransformerFigures:
    """With operations for each byte that were given in place of the target's own ridge."""
    moved = sum(part.bytes for part in figures.parts)
    flops = sum(part.flops for part in figures.parts)
    return replace(figures, ridge_flops_per_byte=flops_per_byte, eflops=flops + flops_per_byte * moved)
