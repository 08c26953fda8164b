"""Patch by patch: the first layers of a network run for one part of the image at a time, so that no wide map is whole.

What neighbouring patches both need of an inner layer is computed for each of them: the halo, read off the access maps.
Source: Lin et al., "MCUNetV2: Memory-Efficient Patch-based Inference for Tiny Deep Learning", NeurIPS 2021.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ircost.cost_models.liveness import may_overwrite
from ircost.cost_models.patch_regions import (
    SPATIAL_AXES,
    Regions,
    bytes_of,
    elements_of,
    needed_regions,
    patches,
    varying_terms,
)
from ircost.ir.graph import Function, Op, Value
from ircost.ir.in_place import viewed
from ircost.ir.load_time import load_time_ops

Bytes: TypeAlias = int | NDArray[np.int64]  # of a value, or of each of its parts

GRIDS = (2, 3, 4, 6, 8)
WHOLE = -1  # in place of a count of channels: all of the result may lie where the operand was
NEVER = 2**62  # a peak that is not looked at any more


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


@dataclass(frozen=True, slots=True, eq=False)
class _Segment:
    """What the ops between two splits do for parts of their result.

    Args:
        own: by grid, which of the parts are patches of the result; those before them are what segments behind need.
        peak_bytes, macs: [parts], of these ops alone.
        source: [parts], which part of the result of the segment before each needs; -1 for none.
    """

    own: Mapping[int, slice]
    peak_bytes: NDArray[np.int64]
    macs: NDArray[np.int64]
    source: NDArray[np.int64]

    def behind(
        self, peak_bytes: NDArray[np.int64], macs: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """[parts]: peak and multiply-adds from the start, given those of the segment before."""
        if not peak_bytes.size:
            return self.peak_bytes, self.macs
        peak_bytes = np.maximum(self.peak_bytes, np.where(self.source < 0, 0, peak_bytes[self.source]))
        return peak_bytes, self.macs + np.where(self.source < 0, 0, macs[self.source])


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
    def _macs(self) -> list[int]:
        return [_macs(op) for op in self.ops]

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
        if not stage_ops:
            return PatchPlan(0, 1, 0, int(max(self._layer_by_layer, default=0)), 0, sum(self._macs))
        (plan,) = self._plans({stage_ops: (grid,)})
        return plan

    def best(
        self, limit_bytes: int | None = None, splits: Sequence[int] | None = None, grids: Sequence[int] = GRIDS
    ) -> PatchPlan:
        """Of all splits and grids, the one that does least again and fits; without a limit, or where none fits, the
        one with the lowest peak. What cannot win any more is not looked at.

        Args:
            splits: numbers of first ops to try; all that there are where left out.
        """
        best = self.plan(0, 1)
        if limit_bytes is not None and best.peak_bytes <= limit_bytes:
            return best
        wanted = {}
        for stage_ops in self._known(self.splits if splits is None else splits):
            room = min(self.ops[stage_ops - 1].result.type.shape[2:])
            if self._floor(stage_ops) < best.peak_bytes:
                wanted[stage_ops] = [grid for grid in grids if grid <= room]
        # Of equal plans, the one of the split that might have ended lowest.
        plans = sorted(self._plans(wanted, best.peak_bytes), key=lambda plan: self._floor(plan.stage_ops))
        return min([best, *plans], key=lambda plan: plan.rank(limit_bytes))

    def _known(self, splits: Sequence[int]) -> Iterator[int]:
        """Splits up to the first op that has no access map."""
        most = next((i for i, op in enumerate(self.ops) if _space_is_missing(op)), len(self.ops))
        return (stage_ops for stage_ops in splits if stage_ops <= most)

    def _floor(self, stage_ops: int) -> int:
        """Bytes that no plan with this split gets below: its whole result, and what is behind it."""
        return max(self._tail_peak(stage_ops), self.ops[stage_ops - 1].result.type.size_bytes)

    # ---- patches

    def _plans(self, wanted: Mapping[int, Sequence[int]], below: int = NEVER) -> list[PatchPlan]:
        """For these splits, each in these grids, the plans whose stage peaks below so many bytes.

        Nothing but one map is read behind a split. So parts of that map that are alike are one, whichever patches of
        whichever stages need them, and each op is looked at once, for all parts.
        """
        found = []
        macs_before = [0, *accumulate(self._macs)]
        peak_bytes = macs = np.zeros(0, np.int64)
        for end, segment in self._segments(wanted, below):
            peak_bytes, macs = segment.behind(peak_bytes, macs)
            for grid, parts in segment.own.items():
                peak = self._held(end) + int(peak_bytes[parts].max())
                if peak < below:
                    again = max(int(macs[parts].sum()) - macs_before[end], 0)
                    found.append(PatchPlan(end, grid, peak, self._tail_peak(end), again, macs_before[-1]))
        return found

    def _segments(self, wanted: Mapping[int, Sequence[int]], below: int) -> list[tuple[int, _Segment]]:
        """What the ops up to each split do, first to last; found from the last one back."""
        ends = [split for split in self.splits if split <= max(wanted, default=0)]
        found = []
        needed: Regions | None = None
        for first, end in reversed(list(zip([0, *ends], ends, strict=False))):
            segment, needed = self._segment(first, end, wanted.get(end, ()), needed, below)
            found.append((end, segment))
        return found[::-1]

    def _segment(
        self, first: int, end: int, grids: Sequence[int], needed: Regions | None, below: int
    ) -> tuple[_Segment, Regions | None]:
        """A segment, and the parts that it needs of the map in front of it.

        Args:
            grids: whose patches are looked at.
            needed: parts of the result that the segments behind need.
        """
        ops, out = self.ops[first:end], self.ops[end - 1].result
        parts, own = _side_by_side(out, grids, needed)
        regions = needed_regions(ops, out, parts)
        given = [self.ops[first - 1].result] if first else self._images
        made = (result for op in ops for result in op.results)
        sizes: dict[Value, Bytes] = {v: bytes_of(v, regions[v]) for v in (*given, *made) if v in regions}
        # A patch writes its part of the stage's result, which is there as a whole.
        is_patch = np.arange(parts.shape[2]) >= (0 if needed is None else needed.shape[2])
        sizes[out] = np.where(is_patch, 0, sizes[out])
        if not self.is_streamed:
            sizes |= dict.fromkeys(self._images, 0)
        peak = _largest(self._live(ops, sizes, [v for v in given if v in sizes], {out}))
        is_open = peak + np.where(is_patch, self._held(end), 0) < below
        macs = np.zeros_like(peak)
        for i in range(first, end):
            macs += self._macs_in(i, regions)
        source = np.full_like(peak, -1)
        read = regions.get(given[0]) if first else None
        if read is not None:
            read, source[is_open] = _distinct(read[..., is_open])
        return _Segment(own, np.where(is_open, peak, NEVER), macs, source), read

    def _macs_in(self, index: int, regions: Mapping[Value, Regions]) -> NDArray[np.int64] | int:
        """Of the parts of an op's result; what is fused to a product has that product's shape."""
        result = self.ops[index].results[0]
        if result not in regions or not result.type.elements:
            return 0
        return _shares(self._macs[index], elements_of(regions[result]), result.type.elements)

    # ---- what is live

    @cached_property
    def _images(self) -> list[Value]:
        """Inputs that are read."""
        read = {value for op in self.ops for value in op.operands}
        return [value for value in self.function.arguments if value in read]

    def _held(self, stage_ops: int) -> int:
        """Bytes in use throughout a stage: its result, and the image that is not streamed."""
        images = [] if self.is_streamed else self._images
        return sum(value.type.size_bytes for value in (self.ops[stage_ops - 1].result, *images))

    @cached_property
    def _layer_by_layer(self) -> list[int]:
        """Bytes in use at the start, then at each op."""
        sizes: dict[Value, Bytes] = {v: v.type.size_bytes for op in self.ops for v in op.results}
        sizes |= {v: v.type.size_bytes for v in self._images}
        return [int(live) for live in self._live(self.ops, sizes, self._images, self.results)]

    @cached_property
    def _peaks_from(self) -> list[int]:
        """For each op, the fullest moment from there on."""
        return list(accumulate(reversed(self._layer_by_layer[1:]), max))[::-1]

    def _tail_peak(self, stage_ops: int) -> int:
        """Layer by layer behind a split: what is before it holds nothing but the map that crosses it."""
        return max(self.ops[stage_ops - 1].result.type.size_bytes, self._peaks_from[stage_ops])

    def _live(
        self,
        ops: Sequence[Op],
        sizes: Mapping[Value, Bytes],
        given: Sequence[Value],
        leaving: frozenset[Value] | set[Value],
    ) -> Iterator[Bytes]:
        """Bytes in use at the start, then at each op; those of each part where ``sizes`` are of parts.

        Args:
            sizes: of values that take room; what nobody needs takes none.
        """
        last = self._last_uses(ops, leaving)
        live: Bytes = sum(sizes[value] for value in given)
        yield live
        for i, op in enumerate(ops):
            if op.definition.is_view:
                yield 0
                continue
            dying = {v: None for v in map(viewed, op.operands) if last.get(v) == i and v in sizes}
            made = sum(sizes.get(result, 0) for result in op.results)
            spared = [self._spared(op, j, sizes) for j, v in enumerate(op.operands) if viewed(v) in dying]
            yield live + made - _largest(spared)
            unread = sum(sizes.get(result, 0) for result in op.results if result not in last)
            live = live + made - unread - sum(sizes[value] for value in dying)

    def _spared(self, op: Op, index: int, sizes: Mapping[Value, Bytes]) -> Bytes:
        """Bytes of the result that lie where the operand was."""
        if len(op.results) != 1 or op.result not in sizes:
            return 0
        if (op, index) not in self._in_place:
            self._in_place[op, index] = WHOLE if may_overwrite(op, index) else channels_in_place(op, index)
        channels = self._in_place[op, index]
        if not channels:
            return 0
        shared = np.minimum(sizes[op.result], sizes[viewed(op.operands[index])])
        return shared if channels == WHOLE else np.maximum(shared - -(-sizes[op.result] // channels), 0)

    def _last_uses(self, ops: Sequence[Op], leaving: frozenset[Value] | set[Value]) -> dict[Value, int]:
        last = {viewed(value): i for i, op in enumerate(ops) for value in op.operands}
        return {**last, **dict.fromkeys(map(viewed, leaving), len(ops))}


def _side_by_side(out: Value, grids: Sequence[int], needed: Regions | None) -> tuple[Regions, dict[int, slice]]:
    """Parts of a map that others need, its patches behind them, grid after grid; where those of each grid are."""
    others = np.zeros((out.type.rank, 2, 0), np.int64) if needed is None else needed
    asked = [patches(out, grid) for grid in grids]
    bounds = accumulate((regions.shape[2] for regions in asked), initial=others.shape[2])
    own = {grid: slice(*ends) for grid, ends in zip(grids, pairwise(bounds), strict=True)}
    return np.concatenate([others, *asked], axis=2), own


def _distinct(regions: Regions) -> tuple[Regions, NDArray[np.int64]]:
    """Each box once, and for each part which of them it is."""
    axes, ends, parts = regions.shape
    if not parts:
        return regions, np.zeros(0, np.int64)
    # One number for each box: sorting those takes a tenth of what sorting columns does.
    numbers, count = np.zeros(parts, np.int64), 1
    for index in regions.reshape(axes * ends, parts):
        steps = int(np.ptp(index)) + 1
        if count * steps > NEVER:
            numbers = np.unique(numbers, return_inverse=True)[1]
            count = parts
        numbers = numbers * steps + (index - index.min())
        count *= steps
    _, first, which = np.unique(numbers, return_index=True, return_inverse=True)
    return regions[..., first], which


def _largest(sizes: Iterable[Bytes]) -> Bytes:
    """Of each part."""
    largest: Bytes = 0
    for size in sizes:
        largest = np.maximum(largest, size)
    return largest


def _shares(total: int, parts: NDArray[np.int64], whole: int) -> NDArray[np.int64]:
    """total * part // whole."""
    if total % whole == 0:
        return parts * (total // whole)
    return np.array([total * part // whole for part in parts.tolist()], np.int64)  # products of more than 64 bits


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
            is_same = varying_terms(read, space) == varying_terms(written, space) and read.offset == written.offset
            return written.extent if is_same and read.extent == written.extent else 0
    return 0


def _contractions(op: Op) -> list[Op]:
    return [inner for inner in op.walk() if inner.definition.is_contraction]


def _macs(op: Op) -> int:
    spaces = [inner.definition.iteration_space(inner) for inner in _contractions(op)]
    return sum(space.points for space in spaces if space is not None)


def _space_is_missing(op: Op) -> bool:
    if op.name == "kernel":
        body = op.regions[0].block
        return any(_space_is_missing(inner) for inner in body.ops if inner is not body.last and inner.operands)
    return len(op.results) != 1 or bool(op.regions) or op.definition.iteration_space(op) is None
