"""Predicts the peak memory of a network, layer by layer and with its first blocks patch by patch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ircost.cost_models.patches import LayerChain, PatchPlan
from ircost.datasets.claim_yaml import ClaimError, Section
from ircost.datasets.claims import Written
from ircost.datasets.mobilenet import mobilenet_v2
from ircost.ir.verify import verify
from ircost.passes import run_pipeline
from ircost.predictors.prediction import Point, Prediction
from ircost.quantity_text import bytes_text, si_text

FIGURE = "peak"
KIB = 1024


class PatchConfiguration(Written):
    """Args:
    network: by name.
    resolution: of the square image.
    dtype: that activations are stored in.
    grid: patches along each axis.
    blocks: how many run patch by patch; the stem is one.
    image: ``streamed`` by patches, or ``resident`` as a whole.
    """

    network: Literal["mobilenet_v2"]
    resolution: int = Field(ge=32)
    dtype: str
    grid: int = Field(ge=1)
    blocks: int = Field(ge=1)
    image: Literal["streamed", "resident"]


def predict_patch_memory(section: Section) -> Prediction:
    """By liveness and access maps alone; there is nothing fitted in it, and no machine.

    Raises:
        ClaimError: the configuration is wrong, or the network has no such blocks.
    """
    wanted = section.read(PatchConfiguration)
    with section.blaming("dtype"):
        module = mobilenet_v2(wanted.resolution, wanted.dtype)
    verify(module)
    run_pipeline(module, "fuse")
    chain = LayerChain(module.main, is_streamed=wanted.image == "streamed")
    ends = block_ends(chain)
    if wanted.blocks >= len(ends):
        raise ClaimError(f"{wanted.network} has {len(ends)} blocks", at=section.place("blocks"))
    whole, patched = chain.plan(0, 1), chain.plan(ends[wanted.blocks - 1], wanted.grid)
    points: list[Point] = [(FIGURE, "layer by layer"), (FIGURE, "patch by patch")]
    return Prediction(
        values=dict(zip(points, (plan.peak_bytes / KIB for plan in (whole, patched)), strict=True)),
        reasons=dict(zip(points, (reason(whole), f"{reason(patched)}. {readings(chain, wanted)}"), strict=True)),
        target=None,
        figures=(),
        model="liveness of activations and access maps, no constants",
    )


def readings(chain: LayerChain, wanted: PatchConfiguration) -> str:
    """The peak if the image were held otherwise, or if blocks were counted from behind the stem."""
    ends = block_ends(chain)
    other = LayerChain(chain.function, is_streamed=not chain.is_streamed).plan(ends[wanted.blocks - 1], wanted.grid)
    how = "held as a whole" if chain.is_streamed else "streamed by patches"
    text = f"With the image {how} the peak would be {bytes_text(other.peak_bytes)}"
    if wanted.blocks + 1 == len(ends):
        return text
    behind = chain.plan(ends[wanted.blocks], wanted.grid)
    peak = bytes_text(behind.peak_bytes)
    return f"{text}; with {wanted.blocks} blocks behind the stem, {peak} and {behind.overhead:.1%} done again"


def block_ends(chain: LayerChain) -> list[int]:
    """For each block, named before the slash of its nodes, how many ops there are up to its end."""
    names = [op.location.nodes[0].partition("/")[0] if op.location else "" for op in chain.ops]
    return [i + 1 for i, name in enumerate(names) if i + 1 == len(names) or names[i + 1] != name]


def reason(plan: PatchPlan) -> str:
    """What the peak is made of."""
    if not plan.stage_ops:
        return f"{bytes_text(plan.tail_peak_bytes)} at the widest layer, its operand and its result"
    return (
        f"{bytes_text(plan.stage_peak_bytes)} in the {plan.stage_ops} kernels that run patch by patch, their whole "
        f"result included; {bytes_text(plan.tail_peak_bytes)} behind them; {si_text(plan.recomputed_macs, '')} "
        f"multiply-adds are done again, {plan.overhead:.1%} of all"
    )
