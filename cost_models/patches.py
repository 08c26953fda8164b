"""Patch by patch: the first layers of a network run for one part of the image at a time, so that no wide map is whole.

What neighbouring patches both need of an inner layer is computed for each of them: the halo, read off the access maps.
Source: Lin et al., "MCUNetV2: Memory-Efficient Patch-based Inference for Tiny Deep Learning", NeurIPS 2021.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ircost.cost_models.liveness import may_overwrite
from ircost.ir.graph import Function, Op, Value
from ircost.ir.in_place import viewed
from ircost.ir.index import Affine, IterationSpace
from ircost.ir.load_time import load_time_ops

Region = tuple[tuple[int, int], ...]  # first and last index along each axis

SPATIAL_AXES = (2, 3)  # batch and channels are before them
GRIDS = (2, 3, 4, 6, 8)
WHOLE = -1  # in place of a count of channels: all of the result may lie where the operand was


@dataclass(frozen=True, slots=True)
class PatchPlan:
    """A way to run a network.

    Args:
        stage_ops: how many of its first ops run patch by patch; 0 for none.
        grid: patches along each of the two axes.
        stage_peak_bytes: activations at the fullest moment of the stage, its whole result included.
        tail_peak_bytes: of all behind it, layer by layer.
        recomputed_macs: multiply-adds that more than one patch does, beyond the first time.
        macs: of the whole network, each once.
    """

    stage_ops: int
    grid: int
    stage_peak_bytes: int
    tail_peak_bytes: int
    recomputed_macs: int
    macs: int

    @property
    def peak_bytes(self) -> int:
        return max(self.stage_peak_bytes, self.tail_peak_bytes)

    @property
    def overhead(self) -> float:
        """Multiply-adds done again, as a share of all."""
        return self.recomputed_macs / self.macs if self.macs else 0.0

    def rank(self, limit_bytes: int | None) -> tuple[bool, int, int]:
        """Smallest for the best plan: of those that fit a limit, what does least again; else the lowest peak."""
        if limit_bytes is not None and self.peak_bytes <= limit_bytes:
            return False, self.recomputed_macs, self.peak_bytes
        return True, self.peak_bytes, self.recomputed_macs


class LayerChain:
    """The ops of a function in order, with one image as input.

    Peaks are of activations, weights apart: an input is let go after its last use; element-wise results, and those of
    depthwise convolutions a channel at a time, are in place.

    Args:
        function: verified; fused where kernels are to be one step.
        is_streamed: the image comes in by patches (decoded where it is read, or from other memory); it is not held
            as a whole.
    """

    def __init__(self, function: Function, is_streamed: bool = True) -> None:
        at_load = load_time_ops(function.block)
        self.function = function
        self.is_streamed = is_streamed
        self.ops = [op for op in function.block.ops if op not in at_load and not op.definition.is_terminator]
        self.results = frozenset(function.results)
        self._in_place: dict[tuple[Op, int], int] = {}

    @cached_property
    def splits(self) -> tuple[int, ...]:
        """Numbers of first ops behind which one map, and nothing else, is read by the rest."""
        last = self._last_uses(self.ops, self.results)
        arguments = {v for op in self.ops for v in op.operands if v.producer is None}
        open_until = [last[v] for v in arguments]
        found, reach = [], max(open_until, default=0)
        for i, op in enumerate(self.ops):
            is_map = len(op.results) == 1 and op.results[0].type.rank == len(SPATIAL_AXES) + 2
            if reach <= i and is_map and not op.definition.is_view and i + 1 < len(self.ops):
                found.append(i + 1)
            reach = max([reach, *(last.get(result, i) for result in op.results)])
        return tuple(found)

    def plan(self, stage_ops: int, grid: int) -> PatchPlan:
        """The first ``stage_ops`` ops in ``grid`` x ``grid`` patches, the rest layer by layer.

        Raises:
            ValueError: an op of the stage has no access map, or the rest reads more than the stage's last result.
        """
        if stage_ops and stage_ops not in self.splits:
            raise ValueError(f"no split behind op {stage_ops}: splits are {list(self.splits)}")
        stage, tail = self.ops[:stage_ops], self.ops[stage_ops:]
        macs = sum(_macs(op) for op in self.ops)
        if not stage:
            return PatchPlan(0, 1, 0, self._tail_peak(tail, ()), 0, macs)
        out = stage[-1].result
        peaks, done = [], 0
        for _, needed in needed_of_patches(stage, grid):
            peaks.append(self._patch_peak(stage, out, needed))
            done += sum(_macs_in(op, needed) for op in stage)
        again = max(done - sum(_macs(op) for op in stage), 0)
        return PatchPlan(stage_ops, grid, max(peaks), self._tail_peak(tail, (out,)), again, macs)

    def best(
        self, limit_bytes: int | None = None, splits: Sequence[int] | None = None, grids: Sequence[int] = GRIDS
    ) -> PatchPlan:
        """Of all splits and grids, the one that does least again and fits; without a limit, or where none fits, the
        one with the lowest peak. What cannot win any more is not looked at: recomputation grows with the stage.

        Args:
            splits: numbers of first ops to try; all that there are where left out.
        """
        best = self.plan(0, 1)
        floors = {
            stage_ops: self._floor(stage_ops) for stage_ops in self._known(self.splits if splits is None else splits)
        }
        # Those that may end lowest come first, so that the others are cut off early; with a limit, short stages do.
        order = floors if limit_bytes is not None else sorted(floors, key=lambda stage_ops: floors[stage_ops])
        for stage_ops in order:
            out = self.ops[stage_ops - 1].result
            is_fitting = limit_bytes is not None and best.peak_bytes <= limit_bytes
            goal = limit_bytes if limit_bytes is not None and is_fitting else best.peak_bytes
            if floors[stage_ops] > goal:
                continue
            plans = [self.plan(stage_ops, grid) for grid in grids if grid <= min(out.type.shape[2:])]
            if plans and is_fitting and plans[0].recomputed_macs >= best.recomputed_macs:
                break
            best = min([best, *plans], key=lambda plan: plan.rank(limit_bytes))
        return best

    def _known(self, splits: Sequence[int]) -> Iterator[int]:
        """Splits up to the first op that has no access map."""
        for stage_ops in splits:
            if any(_space_is_missing(op) for op in self.ops[:stage_ops]):
                return
            yield stage_ops

    def _floor(self, stage_ops: int) -> int:
        """Bytes that no plan with this split gets below: its whole result, and what is behind it."""
        out = self.ops[stage_ops - 1].result
        return max(self._tail_peak(self.ops[stage_ops:], (out,)), out.type.size_bytes)

    def _patch_peak(self, stage: Sequence[Op], out: Value, needed: Mapping[Value, Region]) -> int:
        """The stage's result is whole and in use throughout; a patch writes its part of it."""
        sizes = {value: region_bytes(value, region) for value, region in needed.items()}
        sizes[out] = 0
        images = [value for value in needed if value.producer is None]
        held = out.type.size_bytes
        if not self.is_streamed:
            held += sum(image.type.size_bytes for image in images)
            sizes |= dict.fromkeys(images, 0)
        return held + self._peak(stage, sizes, images, {out})

    def _tail_peak(self, tail: Sequence[Op], given: Sequence[Value]) -> int:
        arguments = [v for v in self.function.arguments if v in {o for op in tail for o in op.operands}]
        sizes = {v: v.type.size_bytes for op in tail for v in op.results}
        sizes |= {v: v.type.size_bytes for v in (*given, *arguments)}
        return self._peak(tail, sizes, (*given, *arguments), self.results)

    def _peak(
        self,
        ops: Sequence[Op],
        sizes: Mapping[Value, int],
        given: Sequence[Value],
        leaving: frozenset[Value] | set[Value],
    ) -> int:
        last = self._last_uses(ops, leaving)
        live = sum(sizes[value] for value in given)
        peak = live
        for i, op in enumerate(ops):
            if op.definition.is_view:
                continue
            dying = {v: None for v in map(viewed, op.operands) if last.get(v) == i and v in sizes}
            made = sum(sizes[result] for result in op.results)
            spared = max(
                (self._spared(op, j, sizes) for j, v in enumerate(op.operands) if viewed(v) in dying), default=0
            )
            peak = max(peak, live + made - spared)
            unread = sum(sizes[result] for result in op.results if result not in last)
            live += made - unread - sum(sizes[value] for value in dying)
        return peak

    def _spared(self, op: Op, index: int, sizes: Mapping[Value, int]) -> int:
        """Bytes of the result that lie where the operand was."""
        if len(op.results) != 1:
            return 0
        if (op, index) not in self._in_place:
            self._in_place[op, index] = WHOLE if may_overwrite(op, index) else channels_in_place(op, index)
        channels = self._in_place[op, index]
        shared = min(sizes[op.result], sizes[viewed(op.operands[index])])
        on_its_way = 0 if channels == WHOLE else -(-sizes[op.result] // channels) if channels else shared
        return max(shared - on_its_way, 0)

    def _last_uses(self, ops: Sequence[Op], leaving: frozenset[Value] | set[Value]) -> dict[Value, int]:
        last = {viewed(value): i for i, op in enumerate(ops) for value in op.operands}
        return {**last, **dict.fromkeys(map(viewed, leaving), len(ops))}


def patches(value: Value, grid: int) -> Iterator[Region]:
    """``grid`` x ``grid`` parts of a map; where that does not divide it, the last ones are smaller."""
    shape = value.type.shape
    steps = [-(-shape[axis] // grid) for axis in SPATIAL_AXES]
    whole = tuple((0, n - 1) for n in shape[: SPATIAL_AXES[0]])
    for top in range(0, shape[2], steps[0]):
        for left in range(0, shape[3], steps[1]):
            rows, columns = min(top + steps[0], shape[2]), min(left + steps[1], shape[3])
            yield (*whole, (top, rows - 1), (left, columns - 1))


def needed_of_patches(ops: Sequence[Op], grid: int) -> Iterator[tuple[Region, dict[Value, Region]]]:
    """Each patch of the last op's result, and what it needs of each value.

    Rows are needed for the sake of a patch's rows, columns for its columns: one column of patches and one row of them
    tell all, unless an op mixes the axes.
    """
    regions = list(patches(ops[-1].results[0], grid))
    by_rows = {region[2]: needed_regions(ops, region) for region in regions if region[3][0] == 0}
    by_columns = {region[3]: needed_regions(ops, region) for region in regions if region[2][0] == 0}
    corner = needed_regions(ops, regions[0])
    for region in regions:
        down, across = by_rows[region[2]], by_columns[region[3]]
        mixed = {value: _of_both(corner[value], down[value], across[value]) for value in corner}
        found = {value: part for value, part in mixed.items() if part is not None}
        yield region, found if len(found) == len(mixed) else needed_regions(ops, region)


def _of_both(corner: Region, down: Region, across: Region) -> Region | None:
    """Along each axis, that of the two which is not as in the corner; None where both are not."""
    found = []
    for first, one, other in zip(corner, down, across, strict=True):
        if one not in (first, other) and other != first:
            return None
        found.append(other if one == first else one)
    return tuple(found)


def needed_regions(ops: Sequence[Op], region: Region) -> dict[Value, Region]:
    """What a part of the last op's result needs of each value before it, halos included."""
    needed: dict[Value, Region] = {ops[-1].results[0]: region}
    for op in reversed(ops):
        if op.results[0] not in needed:
            continue
        regions = operand_regions(op, needed[op.results[0]])
        for operand, part in zip(op.operands, regions, strict=True):
            needed[operand] = _around(needed.get(operand, part), part)
    at_run = {value for op in ops for value in op.results}
    inputs = {v for v in needed if v.producer is None}
    return {value: part for value, part in needed.items() if value in at_run or value in inputs}


def operand_regions(op: Op, region: Region) -> list[Region]:
    """What a region of an op's result needs of each operand, clipped to it.

    Raises:
        ValueError: the op has no access map.
    """
    if op.name != "kernel":
        space = op.definition.iteration_space(op)
        if space is None:
            raise ValueError(f"{op.name} has no access map")
        return regions_read(space, region)
    body = op.regions[0].block
    needed: dict[Value, Region] = {body.terminator.operands[0]: region}
    for inner in reversed([inner for inner in body.ops if inner is not body.last]):
        if inner.results[0] in needed and inner.operands:
            for operand, part in zip(inner.operands, operand_regions(inner, needed[inner.results[0]]), strict=True):
                needed[operand] = _around(needed.get(operand, part), part)
    whole = [tuple((0, n - 1) for n in argument.type.shape) for argument in body.arguments]
    return [needed.get(argument, all_of_it) for argument, all_of_it in zip(body.arguments, whole, strict=True)]


def regions_read(space: IterationSpace, region: Region) -> list[Region]:
    """Of each operand, the box that a box of the result reads, clipped to the operand; its halo included.

    >>> from ircost.ir.bind import bind
    >>> from ircost.ir.notation import parse_notation
    >>> space = bind(parse_notation("(o + k), k -> o"), [(10,), (3,)], {})
    >>> regions_read(space, ((2, 4),))
    [((2, 6),), ((0, 2),)]
    """
    ranges = [(0, dim.extent - 1) for dim in space.dims]
    for axis, part in zip(space.results[0].axes, region, strict=True):
        terms = _varying(axis, space)
        if len(terms) == 1 and terms[0][1] == 1 and axis.offset == 0:
            ranges[terms[0][0]] = part
    return [tuple(_reach(axis, ranges) for axis in access.axes) for access in space.operands]


def _reach(axis: Affine, ranges: Sequence[tuple[int, int]]) -> tuple[int, int]:
    ends = [sorted((c * ranges[dim][0], c * ranges[dim][1])) for dim, c in axis.terms]
    low = axis.offset + sum(end[0] for end in ends)
    high = axis.offset + sum(end[1] for end in ends)
    return min(max(low, 0), axis.extent - 1), min(max(high, 0), axis.extent - 1)


def _varying(axis: Affine, space: IterationSpace) -> tuple[tuple[int, int], ...]:
    return tuple(term for term in axis.terms if space.dims[term[0]].extent > 1)


def _around(one: Region, other: Region) -> Region:
    return tuple((min(a[0], b[0]), max(a[1], b[1])) for a, b in zip(one, other, strict=True))


def _elements(region: Region) -> int:
    return math.prod(high - low + 1 for low, high in region)


def region_bytes(value: Value, region: Region) -> int:
    return (_elements(region) * value.type.dtype.bits + 7) // 8


def channels_in_place(op: Op, index: int) -> int:
    """Channels of a depthwise op, whose result may lie where its operand was but for one channel on its way; else 0.

    By the access maps: the first axis that varies is the same in operand and result, so a channel of the result reads
    that channel alone. What a kernel does behind it has to be element-wise.
    """
    if op.name != "kernel":
        return _channels_alone(op, index)
    body = op.regions[0].block
    readers = body.arguments[index].users
    if len(readers) != 1 or len(readers[0].results) != 1:
        return 0
    found = _channels_alone(readers[0], readers[0].operands.index(body.arguments[index]))
    value = readers[0].results[0]
    while found and value.users != [body.terminator]:
        users = value.users
        if len(users) != 1 or not may_overwrite(users[0], users[0].operands.index(value)):
            return 0
        value = users[0].results[0]
    return found


def _channels_alone(op: Op, index: int) -> int:
    space = op.definition.iteration_space(op)
    if space is None or not op.definition.is_pure or op.regions:
        return 0
    for read, written in zip(space.operands[index].axes, space.results[0].axes, strict=False):
        if written.extent > 1 or read.extent > 1:
            is_same = _varying(read, space) == _varying(written, space) and read.offset == written.offset
            return written.extent if is_same and read.extent == written.extent else 0
    return 0


def _contractions(op: Op) -> list[Op]:
    return [inner for inner in op.walk() if inner.definition.is_contraction]


def _macs(op: Op) -> int:
    spaces = [inner.definition.iteration_space(inner) for inner in _contractions(op)]
    return sum(space.points for space in spaces if space is not None)


def _macs_in(op: Op, needed: Mapping[Value, Region]) -> int:
    """Of the part of the result that is computed; what is fused to a product has that product's shape."""
    region = needed.get(op.results[0])
    if region is None or not op.result.type.elements:
        return 0
    return _macs(op) * _elements(region) // op.result.type.elements


def _space_is_missing(op: Op) -> bool:
    if op.name == "kernel":
        body = op.regions[0].block
        return any(_space_is_missing(inner) for inner in body.ops if inner is not body.last and inner.operands)
    return len(op.results) != 1 or bool(op.regions) or op.definition.iteration_space(op) is None
