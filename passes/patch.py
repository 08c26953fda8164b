"""The first layers of a network patch by patch, so that no wide map is ever whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ircost.cost_models.patches import GRIDS, LayerChain, PatchPlan, Region, needed_of_patches, operand_regions
from ircost.ir import ops
from ircost.ir.attributes import Attribute, pairs_of
from ircost.ir.builder import detached_ops
from ircost.ir.graph import Module, Op, Value, replace_value
from ircost.ir.structured import StructuredOp
from ircost.passes.base import Pass, PassContext, PassError, register_pass
from ircost.passes.rematerialise import limit_bytes


@register_pass("patch")
@dataclass(frozen=True, slots=True)
class Patch(Pass):
    """Run the first layers of ``main`` for one part of the image at a time, then put the parts together.

    conv(conv(x))  ->  concat(conv(conv(slice(x))), ...): a part of an inner map is as large as its part of the last map
    needs, halo included, and padded at the border of the image only. What neighbours share of a halo is computed for
    each. The layers are those whose activations then take least, or fit a limit with least to compute again; none
    where nothing is gained. Outputs stay: each is the same sum.

    Has to run before ``fuse``: kernels are not opened. Source: Lin et al., "MCUNetV2", NeurIPS 2021.

    Args:
        grid: patches along each of the two axes; 0 for the best of a few.
        limit: bytes for activations, as ``172KiB``.
        layers: how many ops run patch by patch; 0 for the best number.
    """

    grid: int = 0
    limit: str = ""
    layers: int = 0

    def run(self, module: Module, context: PassContext) -> Counter[str]:
        chain = LayerChain(module.main)
        plan = self.plan(chain)
        if plan is None or not plan.stage_ops:
            return Counter()
        made = patch_stage(chain.ops[: plan.stage_ops], plan.grid)
        return Counter({"layers": plan.stage_ops, "patches": made})

    def plan(self, chain: LayerChain) -> PatchPlan | None:
        """The layers and the grid to run in patches.

        Raises:
            PassError: ``layers`` is no number of first ops behind which one map is all that is read.
        """
        splits = [split for split in chain.splits if all(map(can_patch, chain.ops[:split]))]
        if self.layers:
            if self.layers not in splits:
                raise PassError(
                    f"pass 'patch': no split behind op {self.layers}",
                    help=f"layers may be {', '.join(map(str, splits)) or 'none: no first ops can run in patches'}",
                )
            splits = [self.layers]
        limit = limit_bytes(self.limit) if self.limit else None
        grids = [grid for grid in ((self.grid,) if self.grid else GRIDS) if grid > 1]
        if not self.layers:
            return chain.best(limit, splits, grids)
        most = min(chain.ops[self.layers - 1].result.type.shape[2:])
        plans = [chain.plan(self.layers, grid) for grid in grids if grid <= most]
        return min(plans, key=lambda plan: plan.rank(limit), default=None)


def can_patch(op: Op) -> bool:
    """Element-wise ops, and windows that move over their first operand, padded as ``pads`` says of its last axes."""
    definition = op.definition
    if not isinstance(definition, StructuredOp) or len(op.results) != 1 or op.result.type.bounded:
        return False
    if definition.is_elementwise:
        return True
    if "pads" not in op.attrs or any(n < 0 for pair in pairs_of(op.attrs, "pads") for n in pair):
        return False
    result = definition.iteration_space(op).results[0]
    return all(axis.offset == 0 and len(axis.terms) <= 2 for axis in result.axes) and not _scatters(op)


def _scatters(op: Op) -> bool:
    assert isinstance(op.definition, StructuredOp), "asked of structured ops"
    space = op.definition.iteration_space(op)
    return any(space.dims[dim].is_reduction for axis in space.results[0].axes for dim, _ in axis.terms)


def patch_stage(stage: Sequence[Op], grid: int) -> int:
    """Computes the last result of a stage part by part.

    Returns:
        How many parts.
    """
    last = stage[-1]
    out = last.result
    rows: dict[tuple[int, int], list[Value]] = {}
    count = 0
    for region, needed in needed_of_patches(stage, grid):
        rows.setdefault(region[2], []).append(computed_part(stage, needed))
        count += 1
    whole = joined([joined(parts, axis=3) for parts in rows.values()], axis=2)
    block = last.block
    assert block is not None, "the stage is in place"
    for op in detached_ops([whole]):
        block.insert_before(op, last)
    whole.name = out.name
    replace_value(out, whole)
    for op in reversed(stage):
        if not op.has_uses:
            block.remove(op)
    return count


def joined(parts: Sequence[Value], axis: int) -> Value:
    return parts[0] if len(parts) == 1 else ops.concat(*parts, axis=axis)


def computed_part(stage: Sequence[Op], needed: Mapping[Value, Region]) -> Value:
    """A part of the last result, out of ops that make no more than it needs."""
    parts: dict[Value, tuple[Value, Region]] = {}
    for op in stage:
        if op.result not in needed:
            continue
        own = needed[op.result]
        regions = operand_regions(op, own)
        at_hand = [parts.get(value, (value, whole_of(value))) for value in op.operands]
        operands = [cut(*part, wanted) for part, wanted in zip(at_hand, regions, strict=True)]
        made = op.definition.create(operands, dict(op.attrs) | padding_of(op, own), location=op.location)
        parts[op.result] = made.result, own
    return parts[stage[-1].result][0]


def whole_of(value: Value) -> Region:
    return tuple((0, extent - 1) for extent in value.type.shape)


def cut(part: Value, held: Region, wanted: Region) -> Value:
    """A region of a value of which another, larger one is at hand."""
    if held == wanted:
        return part
    starts = tuple(low - first for (low, _), (first, _) in zip(wanted, held, strict=True))
    return ops.slice(part, starts=starts, size=tuple(high - low + 1 for low, high in wanted))


def padding_of(op: Op, region: Region) -> dict[str, Attribute]:
    """``pads`` for a region of the result: as much as its windows reach over the border of the operand."""
    if "pads" not in op.attrs:
        return {}
    assert isinstance(op.definition, StructuredOp), "what has pads is structured"
    space = op.definition.iteration_space(op)
    ranges = [(0, dim.extent - 1) for dim in space.dims]
    for axis, part in zip(space.results[0].axes, region, strict=True):
        varying = [(dim, step) for dim, step in axis.terms if space.dims[dim].extent > 1]
        if len(varying) == 1:
            ranges[varying[0][0]] = part
    axes = space.operands[0].axes
    given = pairs_of(op.attrs, "pads")
    found = []
    for axis in axes[len(axes) - len(given) :]:
        low = axis.offset + sum(min(c * ranges[dim][0], c * ranges[dim][1]) for dim, c in axis.terms)
        high = axis.offset + sum(max(c * ranges[dim][0], c * ranges[dim][1]) for dim, c in axis.terms)
        found.append((max(-low, 0), max(high - axis.extent + 1, 0)))
    return {"pads": tuple(found)}
