"""Nests of loops, read off kernels.

Dims are the axes of the kernel's largest result and what its one reduction sums over. Footprints come from
``dependency``: the box of a tile is carried backwards through the access maps of all ops in the kernel, halos included.
It is asked at a few tiles only; a dim along which boxes do not grow evenly from there, or along which a tile would
compute something twice, is kept whole.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ircost.ir.dependency import Box, boxes_behind, dims_of_box, on_chip_bytes
from ircost.ir.graph import Block, Op, Value
from ircost.ir.index import Access, IterationSpace
from ircost.ir.nest import Nest, NestDim, Run, Stream
from ircost.ir.nest_attention import attention_nest
from ircost.ir.structured import StructuredOp


def nest_of(kernel: Op) -> Nest | None:
    """The loops of a kernel op; None where it is no single nest: several products, loops, data-dependent access.

    Attention is one, though it holds two products: scores are used up where they are made.
    """
    op = _attention_in(kernel)
    if op is not None:
        return attention_nest(kernel, op)
    body = flattened(kernel)
    return None if body is None else _Reader(body).nest()


@dataclass(frozen=True, slots=True)
class FlatBody:
    """The ops of a kernel with its composites opened, as detached copies.

    Args:
        arguments: of the kernel's body. results: what it yields.
    """

    arguments: tuple[Value, ...]
    ops: tuple[Op, ...]
    results: tuple[Value, ...]


def flattened(kernel: Op) -> FlatBody | None:
    """None where a loop or a branch is inside."""
    block = kernel.regions[0].block
    ops: list[Op] = []
    results = _flatten(block, {argument: argument for argument in block.arguments}, ops)
    return None if results is None else FlatBody(block.arguments, tuple(ops), tuple(results))


def _flatten(block: Block, mapping: dict[Value, Value], ops: list[Op]) -> list[Value] | None:
    for op in block.ops:
        operands = [mapping[operand] for operand in op.operands]
        if op.definition.is_terminator:
            return operands
        if op.definition.is_isolated:
            inner = op.regions[0].block
            found = _flatten(inner, dict(zip(inner.arguments, operands, strict=True)), ops)
            if found is None:
                return None
            mapping.update(zip(op.results, found, strict=True))
        elif op.regions:
            return None
        else:
            copy = Op(op.definition, operands, op.attrs, [result.type for result in op.results])
            mapping.update(zip(op.results, copy.results, strict=True))
            ops.append(copy)
    raise AssertionError("a body ends with a terminator")


Sizes = tuple[int, ...]  # extent of each dim in a tile
NamedDim = tuple[str, int, bool]  # name, extent, whether it is summed


def dims_of_kernel(kernel: Op) -> list[NamedDim] | None:
    """The dims of ``nest_of``, without what takes time: no footprint is looked at."""
    op = _attention_in(kernel)
    if op is not None:
        nest = attention_nest(kernel, op)
        return None if nest is None else [(dim.name, dim.extent, dim.is_reduction) for dim in nest.dims]
    body = flattened(kernel)
    return None if body is None else _Reader(body).named_dims()


def _attention_in(kernel: Op) -> Op | None:
    """The attention that a kernel consists of, if it is one."""
    inside = [op for op in kernel.regions[0].block.ops if not op.definition.is_view and op.operands]
    return inside[0] if len(inside) == 2 and inside[0].name == "attention" else None


class _Reader:
    def __init__(self, body: FlatBody) -> None:
        self.body = body
        self.largest = max(reversed(body.results), key=lambda value: value.type.elements)
        self.reduction = self._reduction()

    def nest(self) -> Nest | None:
        named = self.named_dims()
        if named is None:
            return None
        self.axes = [axis for axis, n in enumerate(self.largest.type.shape) if n > 1]
        self.summed = [place for _, _, place in self._summed()]
        self.extents = tuple(extent for _, extent, _ in named)
        whole = self._boxes(self.extents)
        if any(result not in whole for result in self.body.results):
            return None  # no tile of the largest result serves the others
        splittable = self._splittable(whole)
        dims = tuple(NestDim(*dim, is_splittable=ok) for dim, ok in zip(named, splittable, strict=True))
        streams = self._streams(splittable)
        return Nest(dims, streams, self._kept(streams), self._product())

    def named_dims(self) -> list[NamedDim] | None:
        """None where the kernel is no single nest, and where two dims would have one name, which tells nothing."""
        made = [op for op in self.body.ops if not op.definition.is_view and op.operands]
        is_single = sum(op.definition.is_contraction for op in made) <= 1
        if not is_single or any(op.definition.iteration_space(op) is None for op in made):
            return None
        dims: list[NamedDim] = [
            (self._name(axis), extent, False) for axis, extent in enumerate(self.largest.type.shape) if extent > 1
        ]
        dims += [(name, extent, True) for name, extent, _ in self._summed()]
        return dims if len({name for name, _, _ in dims}) == len(dims) else None

    def _product(self) -> IterationSpace | None:
        is_product = self.reduction is not None and self.reduction.definition.is_contraction
        return self._space() if is_product else None

    # ---- the dims

    def _reduction(self) -> Op | None:
        """The one op whose sums may be interrupted: the product, or a reduction that nothing follows."""
        for op in self.body.ops:
            if op.definition.is_contraction:
                return op
        reducing = [op for op in self.body.ops if isinstance(op.definition, StructuredOp) and op.definition.reduce]
        return reducing[0] if len(reducing) == 1 and reducing[0].result is self.largest else None

    def _space(self) -> IterationSpace | None:
        return None if self.reduction is None else self.reduction.definition.iteration_space(self.reduction)

    def _name(self, axis: int) -> str:
        """That of the reduction's own dim, where the result has the reduction's shape."""
        space = self._space()
        if space is None or space.results[0].shape != self.largest.type.shape:
            return f"d{axis}"
        terms = space.results[0].axes[axis].terms
        named = [space.dims[dim].name for dim, _ in terms if space.dims[dim].extent > 1]
        return "".join(named) or f"d{axis}"

    def _summed(self) -> list[tuple[str, int, int]]:
        """(name, extent, place in the reduction's own space)."""
        space = self._space()
        if space is None or _scatters(space):
            return []
        return [
            (dim.name, dim.extent, place) for place, dim in enumerate(space.dims) if dim.is_reduction and dim.extent > 1
        ]

    def _splittable(self, whole: Mapping[Value, Box]) -> list[bool]:
        return [self._is_splittable(place, whole) for place in range(len(self.extents))]

    def _is_splittable(self, place: int, whole: Mapping[Value, Box]) -> bool:
        extent = self.extents[place]
        one, two = (self._boxes(_with(self.extents, place, size)) for size in (1, min(2, extent)))
        is_axis = place < len(self.axes)
        behind = self._behind() if is_axis else []
        if any(math.prod(one[v]) * extent != math.prod(whole[v]) for v in behind if v in whole):
            return False
        return all(
            all(min(a + (b - a) * (extent - 1), c) == c for a, b, c in zip(one[v], two[v], whole[v], strict=True))
            for v in (*self.body.arguments, *self.body.results)
            if v in whole
        )

    def _behind(self) -> list[Value]:
        """Values that must not be computed twice: all but those on the way into a product."""
        before = self._before()
        return [op.result for op in self.body.ops if op.operands and op not in before and not op.definition.is_view]

    def _before(self) -> set[Op]:
        """Ops that the product's operands come from."""
        found: set[Op] = set()
        pending = list(self.reduction.operands) if self.reduction is not None else []
        while pending:
            producer = pending.pop().producer
            if producer in self.body.ops and producer not in found and producer is not None:
                found.add(producer)
                pending.extend(producer.operands)
        return found

    # ---- boxes

    def _boxes(self, sizes: Sizes) -> dict[Value, Box]:
        """Of all values, for a tile: through what follows the reduction, the reduction's own tile, what is before."""
        shape = list(self.largest.type.shape)
        for axis, size in zip(self.axes, sizes, strict=False):
            shape[axis] = size
        alike = [value for value in self.body.results if value.type.shape == self.largest.type.shape]
        wanted: dict[Value, Box] = dict.fromkeys(alike, tuple(shape))
        space = self._space()
        if self.reduction is None or space is None:
            return boxes_behind(self.body.ops, wanted)
        before = self._before()
        after = [op for op in self.body.ops if op not in before and op is not self.reduction]
        boxes = boxes_behind(after, wanted)
        if self.reduction.result not in boxes:
            return boxes
        own = dims_of_box(space, boxes[self.reduction.result])
        for place, size in zip(self.summed, sizes[len(self.axes) :], strict=True):
            own[place] = size
        for operand, access in zip(self.reduction.operands, space.operands, strict=True):
            box = tuple(axis.span(own) for axis in access.axes)
            boxes[operand] = tuple(map(max, box, boxes.get(operand, box)))
        return boxes_behind([op for op in self.body.ops if op in before], boxes)

    def _streams(self, splittable: Sequence[bool]) -> tuple[Stream, ...]:
        least = tuple(1 if ok else n for ok, n in zip(splittable, self.extents, strict=True))
        ones = self._boxes(least)
        grown = {
            place: self._boxes(_with(least, place, 2))
            for place, ok in enumerate(splittable)
            if ok and self.extents[place] > 1
        }
        operands = [self._stream(i, v, False, ones, grown) for i, v in enumerate(self.body.arguments) if v in ones]
        results = [self._stream(i, v, True, ones, grown) for i, v in enumerate(self.body.results) if v in ones]
        return (*operands, *results)

    def _stream(
        self,
        index: int,
        value: Value,
        is_result: bool,
        ones: Mapping[Value, Box],
        grown: Mapping[int, dict[Value, Box]],
    ) -> Stream:
        runs = tuple(
            Run(
                base,
                tuple((dim, boxes[value][axis] - base) for dim, boxes in grown.items() if boxes[value][axis] != base),
                extent,
            )
            for axis, (base, extent) in enumerate(zip(ones[value], value.type.shape, strict=True))
        )
        return Stream(index, runs, value.type.dtype.bits / 8, is_result)

    def _kept(self, streams: Sequence[Stream]) -> tuple[Stream, ...]:
        """What passes between ops, where an op needs more of it than one element at a time: rows, with the result."""
        rowwise = [
            op
            for op in self.body.ops
            if op is not self.reduction and isinstance(op.definition, StructuredOp) and op.definition.reduce
        ]
        if not rowwise or not self.largest.type.elements:
            return ()
        held = on_chip_bytes(self.body.ops, self._boxes(self.extents), self.body.results)
        result = next(s for s in streams if s.is_result and self.body.results[s.index] is self.largest)
        return (replace(result, element_bytes=held / self.largest.type.elements),)


def _with(sizes: Sizes, place: int, size: int) -> Sizes:
    return (*sizes[:place], size, *sizes[place + 1 :])


def _scatters(space: IterationSpace) -> bool:
    """Whether windows are in the result: what is summed is then no dim of its own."""
    return any(_mixes(space, access) for access in space.results)


def _mixes(space: IterationSpace, access: Access) -> bool:
    return any(space.dims[dim].is_reduction for axis in access.axes for dim, _ in axis.terms)
