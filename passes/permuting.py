"""Ops on permuted axes: which ops can run on them, and how they are rewritten."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ircost.ir import ops
from ircost.ir.attributes import Attribute, int_of, ints_of, pairs_of
from ircost.ir.graph import Op, Value
from ircost.ir.structured import StructuredOp

Perm = tuple[int, ...]
Attrs = dict[str, Attribute]


def inverse(perm: Perm) -> Perm:
    return tuple(perm.index(axis) for axis in range(len(perm)))


def identity(rank: int) -> Perm:
    return tuple(range(rank))


def moves_bytes(shape: Sequence[int], perm: Perm) -> bool:
    """Whether transposing changes the order in memory: not where only axes of length 1 change places."""
    moving = [axis for axis in perm if shape[axis] != 1]
    return moving != sorted(moving)


def may_permute(op: Op, rank: int) -> bool:
    """Whether an op computes the same on permuted axes of its operands and of its one result of this rank."""
    if len(op.results) != 1 or (op.regions and op.name not in PERMUTED):
        return False
    if any(value.type.bounded for value in (*op.operands, *op.results)) or op.result.type.rank != rank:
        return False
    if isinstance(op.definition, StructuredOp) and op.definition.is_elementwise:
        return True
    return op.name in PERMUTED and all(operand.type.rank == rank for operand in op.operands)


def permuted(op: Op, operands: Sequence[Value], perm: Perm) -> Op:
    """The op on operands whose axes are in this order; axis i of the new result is axis perm[i] of the old one."""
    change = PERMUTED.get(op.name)
    attrs = dict(op.attrs) | (change(op, perm) if change else {})
    return op.definition.create(operands, attrs, location=op.location)


def spread(value: Value, rank: int, perm: Perm) -> Value:
    """An operand that broadcasts, such that it broadcasts alike to permuted axes."""
    if value.type.elements == 1:
        return value if value.type.rank <= 1 else ops.reshape(value, shape=())
    shape = (1,) * (rank - value.type.rank) + value.type.shape
    if not moves_bytes(shape, perm):
        return ops.reshape(value, shape=tuple(shape[axis] for axis in perm))
    return ops.transpose(ops.reshape(value, shape=shape), perm=perm)


# ---- attributes that name axes


def _axis(op: Op, perm: Perm) -> Attrs:
    return {"axis": perm.index(int_of(op.attrs, "axis") % len(perm))}


def _axes(op: Op, perm: Perm) -> Attrs:
    return {"axes": tuple(sorted(perm.index(axis % len(perm)) for axis in ints_of(op.attrs, "axes")))}


def _box(op: Op, perm: Perm) -> Attrs:
    found = {name: ints_of(op.attrs, name) for name in ("starts", "size", "steps")}
    return {name: tuple(values[axis] for axis in perm) if values else () for name, values in found.items()}


def _pads(op: Op, perm: Perm) -> Attrs:
    return {"pads": tuple(pairs_of(op.attrs, "pads")[axis] for axis in perm)}


def _shape(op: Op, perm: Perm) -> Attrs:
    return {"shape": tuple(ints_of(op.attrs, "shape")[axis] for axis in perm)}


PERMUTED: dict[str, Callable[[Op, Perm], Attrs]] = {
    **dict.fromkeys(("concat", "softmax", "log_softmax", "cumsum", "cumprod"), _axis),
    **dict.fromkeys(
        ("reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_any", "reduce_all", "reduce_mean"), _axes
    ),
    "slice": _box,
    "pad": _pads,
    "broadcast": _shape,
}


def drains(op: Op, perm: Perm) -> bool:
    """Whether an op drops axes of its one operand such that those left are in the same order, permuted or not."""
    if not op.name.startswith("reduce_") or op.name not in PERMUTED or op.attrs["keepdims"]:
        return False
    rank = op.operands[0].type.rank
    if rank != len(perm) or op.operands[0].type.bounded or op.result.type.rank == rank:
        return False
    dropped = {axis % rank for axis in ints_of(op.attrs, "axes")}
    kept = [axis for axis in perm if axis not in dropped]
    return kept == sorted(kept)
