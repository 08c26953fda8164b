"""The first layers of a network patch by patch, so that no wide map is ever whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ircost.cost_models.patch_regions import (
    Regions,
    needed_regions,
    operand_regions,
    patches,
    reach,
    varying_terms,
    whole_of,
)
from ircost.cost_models.patches import GRIDS, LayerChain, PatchPlan
from ircost.ir import ops
from ircost.ir.attributes import pairs_of
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
    own = patches(out, grid)
    parts = Parts(stage, own)
    computed = [parts.computed(part) for part in range(own.shape[2])]
    columns = len(np.unique(own[3, 0]))
    whole = joined([joined(computed[i : i + columns], axis=3) for i in range(0, len(computed), columns)], axis=2)
    block = last.block
    assert block is not None, "the stage is in place"
    for op in detached_ops([whole]):
        block.insert_before(op, last)
    whole.name = out.name
    replace_value(out, whole)
    for op in reversed(stage):
        if not op.has_uses:
            block.remove(op)
    return len(computed)


def joined(parts: Sequence[Value], axis: int) -> Value:
    return parts[0] if len(parts) == 1 else ops.concat(*parts, axis=axis)


class Parts:
    """Parts of the last result of a stage, each out of ops that make no more than it needs."""

    def __init__(self, stage: Sequence[Op], own: Regions) -> None:
        self.needed = needed_regions(stage, stage[-1].result, own)
        self.stage = [op for op in stage if op.result in self.needed]
        self.read = {op: operand_regions(op, self.needed[op.result]) for op in self.stage}
        self.pads = {op: padding_of(op, self.needed[op.result]) for op in self.stage if "pads" in op.attrs}

    def computed(self, part: int) -> Value:
        made: dict[Value, Value] = {}
        for op in self.stage:
            operands = [
                self._cut(made, value, read, part) for value, read in zip(op.operands, self.read[op], strict=True)
            ]
            attrs = dict(op.attrs)
            if op in self.pads:
                attrs["pads"] = tuple((low, high) for low, high in self.pads[op][..., part].tolist())
            made[op.result] = op.definition.create(operands, attrs, location=op.location).result
        return made[self.stage[-1].result]

    def _cut(self, made: Mapping[Value, Value], value: Value, read: Regions, part: int) -> Value:
        """What an op reads of a value, out of what there is of it."""
        held = self.needed[value][..., part] if value in made else whole_of(value)[..., 0]
        first, last = (read[..., part] - held[:, :1]).T.tolist()
        source = made.get(value, value)
        size = tuple(high - low + 1 for low, high in zip(first, last, strict=True))
        return source if size == source.type.shape else ops.slice(source, starts=tuple(first), size=size)


def padding_of(op: Op, regions: Regions) -> Regions:
    """``pads`` of an op for parts of its result: as much as its windows reach over the border of the operand."""
    assert isinstance(op.definition, StructuredOp), "what has pads is structured"
    space = op.definition.iteration_space(op)
    ranges = [np.array([[0], [dim.extent - 1]]) for dim in space.dims]
    for axis, part in zip(space.results[0].axes, regions, strict=True):
        varying = varying_terms(axis, space)
        if len(varying) == 1:
            ranges[varying[0][0]] = part
    axes = space.operands[0].axes
    found = []
    for axis in axes[len(axes) - len(pairs_of(op.attrs, "pads")) :]:
        low, high = reach(axis, ranges)
        beyond = np.maximum([-low, high - axis.extent + 1], 0)
        found.append(np.broadcast_to(beyond, (2, regions.shape[2])))
    return np.stack(found)
