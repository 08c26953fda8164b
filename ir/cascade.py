"""How often a cascade of ops must read what it reduces: passes over a rank, and whether one is enough.

A reduction is done when it has met every element of its rank; whatever puts its outcome together with elements of that
rank again needs another pass: softmax takes two, and a third for the product behind it. Where each later reduction can
be corrected as earlier ones move on, one pass is enough: a maximum that has grown shifts what was subtracted, and the
exponential makes of that shift a factor for the sums so far.

Source: Nayak et al., "FuseMax: Leveraging Extended Einsums to Optimize Attention Accelerator Design", MICRO 2024
(arXiv:2406.10491), passes; Milakov, Gimelshein, "Online normalizer calculation for softmax", 2018, corrections.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ircost.ir.graph import Op, Value
from ircost.ir.index import Access
from ircost.ir.scalar import Scalar
from ircost.ir.structured import StructuredOp

# How a value hangs on reductions over the rank. With the rank: FREE of them, SHIFTED by one (x + u), SCALED by one
# (x h(u)), or in a way that nobody can correct. Without the rank: STILL where it does not, REDUCED where it does.
STILL, FREE, REDUCED, SHIFTED, SCALED, TANGLED = "still", "free", "reduced", "shifted", "scaled", "tangled"
# What partial outcomes of a reduction can be corrected for. An additive shift moves a maximum; a factor, a sum.
CORRECTABLE = {"max": {STILL, FREE, SHIFTED}, "min": {STILL, FREE, SHIFTED}, "sum": {STILL, FREE, SCALED}}


@dataclass(frozen=True, slots=True)
class Cascade:
    """What a cascade asks of one rank.

    Args:
        passes: over the rank, as the ops are written.
        is_streamable: one pass is enough, with running corrections.
        axes: of each value that has the rank, which axis that is.
    """

    passes: int
    is_streamable: bool
    axes: Mapping[Value, int] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Step:
    """An op of a cascade, composites opened: what it reads and makes as its surroundings know it."""

    op: Op
    operands: tuple[Value, ...]
    results: tuple[Value, ...]


def steps_of(ops: Sequence[Op], known: dict[Value, Value] | None = None) -> Iterator[Step]:
    """Ops in program order, each composite as the ops of its body."""
    known = {} if known is None else known
    for op in ops:
        operands = tuple([known.get(value, value) for value in op.operands])
        if not op.definition.is_isolated:
            yield Step(op, operands, op.results)
            continue
        block = op.regions[0].block
        known.update(zip(block.arguments, operands, strict=True))
        *inner, terminator = block.ops
        yield from steps_of(inner, known)
        known.update(zip(op.results, [known.get(value, value) for value in terminator.operands], strict=True))


def cascade_over(ops: Sequence[Op], last: Op, dim: int) -> Cascade | None:
    """The passes that ops need over a dim that one of them, ``last``, sums; None where nobody can follow that rank.

    Args:
        ops: in program order, ``last`` among them. dim: of its iteration space.

    >>> from ircost.ir.parser import parse_module
    >>> text = "func @main(%x: 8x32xf32, %v: 32x4xf32) -> 8x4xf32 { %s = softmax %x {axis = 1} "
    >>> *ops, _ = parse_module(text + "%y = matmul %s, %v return %y }").main.block.ops
    >>> space = ops[1].definition.iteration_space(ops[1])
    >>> cascade_over(ops, ops[1], [dim.name for dim in space.dims].index("k"))
    Cascade(passes=3, is_streamable=True)
    """
    steps = list(steps_of(ops))
    place = next(i for i, step in enumerate(steps) if step.op is last)
    axes = _axes_behind(steps[: place + 1], dim)
    if axes is None:
        return None
    walk = _Walk(axes)
    if not all(map(walk.take, steps)):
        return None
    return Cascade(walk.passes, walk.is_streamable, walk.axes)


def _axes_behind(steps: Sequence[Step], dim: int) -> dict[Value, int] | None:
    """Which axis of each value is the rank, from the last step backwards."""
    found: dict[Value, int] = {}
    for step in reversed(steps):
        if step is steps[-1]:
            own: int | None = dim
        else:
            axis = found.get(step.results[0])
            if axis is None:
                continue
            if step.op.name == "reshape":
                source = _reshaped_axis(axis, step.op.result.type.shape, step.operands[0].type.shape)
                if source is None:
                    return None
                found[step.operands[0]] = source
                continue
            own = _dim_of_axis(step.op, axis)
        space = step.op.definition.iteration_space(step.op)
        if own is None or space is None:
            return None
        for operand, access in zip(step.operands, space.operands, strict=True):
            at = _axis_of_dim(access, own)
            if at == BLURRED or (at is not None and found.get(operand, at) != at):
                return None
            if at is not None:
                found[operand] = at
    return found


BLURRED = -1  # a window, a stride, or a part of a composed axis


def _axis_of_dim(access: Access, dim: int) -> int | None:
    """The axis that runs along a dim and nothing else; BLURRED where it is one of several, None where there is none."""
    for place, axis in enumerate(access.axes):
        if any(own == dim for own, _ in axis.terms):
            # Dims of one element are no company.
            return place if len(axis.terms) == 1 and axis.terms[0][1] == 1 and not axis.offset else BLURRED
    return None


def _dim_of_axis(op: Op, axis: int) -> int | None:
    space = op.definition.iteration_space(op)
    if space is None:
        return None
    terms = space.results[0].axes[axis].terms
    return terms[0][0] if len(terms) == 1 else None


def _reshaped_axis(axis: int, shape: Sequence[int], source: Sequence[int]) -> int | None:
    """The same axis under another shape: as long, with as many elements behind it."""
    behind = math.prod(shape[axis + 1 :])
    for place, extent in enumerate(source):
        if extent == shape[axis] and math.prod(source[place + 1 :]) == behind and extent > 1:
            return place
    return None


@dataclass(slots=True)
class _Walk:
    """Forward through a cascade: what each value is, and in which pass it is there."""

    axes: dict[Value, int]  # which axis is the rank
    kinds: dict[Value, str] = field(default_factory=dict)
    done: dict[Value, int] = field(default_factory=dict)  # passes until a value is there
    passes: int = 0
    is_streamable: bool = True

    def take(self, step: Step) -> bool:
        """Whether it can be followed."""
        made = step.results[0]
        kinds = [self.kinds.get(value, FREE if value in self.axes else STILL) for value in step.operands]
        ranked = [value for value in step.operands if value in self.axes]
        # An outcome that meets elements of the rank again waits for its own pass to end.
        waits = [self.done.get(v, 0) + bool(ranked and v not in self.axes and v in self.done) for v in step.operands]
        done = max([*waits, int(bool(ranked))], default=0)
        if done:
            self.done[made] = done
        if not ranked:
            self.kinds[made] = REDUCED if REDUCED in kinds else STILL
            return True
        if step.op.definition.is_view:
            return self._reshape(step, kinds[0])
        if not isinstance(step.op.definition, StructuredOp):
            return False
        return self._structured(step, step.op.definition, kinds)

    def _reshape(self, step: Step, kind: str) -> bool:
        (operand,), made = step.operands, step.results[0]
        axis = _reshaped_axis(self.axes[operand], operand.type.shape, made.type.shape)
        if axis is None or self.axes.get(made, axis) != axis:
            return False
        self.axes[made], self.kinds[made] = axis, kind
        return True

    def _structured(self, step: Step, definition: StructuredOp, kinds: Sequence[str]) -> bool:
        made, space = step.results[0], definition.iteration_space(step.op)
        assert space is not None, "structured ops have iteration spaces"
        terms = [
            access.axes[self.axes[value]].terms
            for value, access in zip(step.operands, space.operands, strict=True)
            if value in self.axes
        ]
        if len(set(terms)) != 1 or len(terms[0]) != 1:
            return False  # two elements of the rank at one point
        ((dim, _),) = terms[0]
        axis = _axis_of_dim(space.results[0], dim)
        if axis == BLURRED or self.axes.get(made, axis) != axis:
            return False
        kind = kind_of(definition.body, kinds)
        if axis is not None:
            self.axes[made] = axis
            # Sums along other dims of what hangs on an outcome: its factor may not be one and the same.
            self.kinds[made] = kind if definition.reduce is None or kind == FREE else TANGLED
            return True
        self.passes = max(self.passes, self.done[made])
        self.is_streamable &= kind in CORRECTABLE.get(str(definition.reduce), {STILL, FREE})
        self.kinds[made] = REDUCED
        return True


def kind_of(body: Scalar, operands: Sequence[str]) -> str:
    """How a scalar expression hangs on the reductions that its operands hang on.

    >>> from ircost.ir.scalar import call, operand
    >>> kind_of(call("exp", operand(0) - operand(1)), [FREE, REDUCED])
    'scaled'
    """
    if body.function == "operand":
        return operands[int(body.value)]
    if body.function in ("number", "attribute"):
        return STILL
    kinds = [kind_of(argument, operands) for argument in body.arguments]
    if all(kind in (STILL, FREE) for kind in kinds):
        return FREE if FREE in kinds else STILL
    if all(kind in (STILL, REDUCED) for kind in kinds):
        return REDUCED
    return RULES.get(body.function, _tangled)(kinds)


def _tangled(kinds: Sequence[str]) -> str:
    return TANGLED


def _sum(kinds: Sequence[str]) -> str:
    """(x + u) + y  ->  (x + y) + u"""
    return SHIFTED if not {SCALED, TANGLED} & set(kinds) else TANGLED


def _product(kinds: Sequence[str]) -> str:
    """(x h(u)) y  ->  (x y) h(u); (x + u) c  ->  x c + u c, if c is the same along the rank."""
    met = set(kinds)
    if SHIFTED in met:
        return SHIFTED if met == {SHIFTED, STILL} else TANGLED
    return SCALED if TANGLED not in met else TANGLED


def _quotient(kinds: Sequence[str]) -> str:
    return TANGLED if kinds[1] == SHIFTED else _product(kinds)


def _exponential(kinds: Sequence[str]) -> str:
    """exp(x + u)  ->  exp(x) exp(u)"""
    return SCALED if kinds == [SHIFTED] else TANGLED


def _same(kinds: Sequence[str]) -> str:
    return kinds[0]


RULES = {
    **{"add": _sum, "sub": _sum, "mul": _product, "div": _quotient, "exp": _exponential},
    "neg": _same,
}
