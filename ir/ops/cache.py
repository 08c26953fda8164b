"""Caches that outlive a run: new rows go into them where they lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ircost.ir.attributes import REQUIRED, Attributes, AttributeSpec, int_of
from ircost.ir.counts import Traffic
from ircost.ir.definition import Arrays, OpDefinition, register_op
from ircost.ir.errors import ShapeError, VerifyError
from ircost.ir.graph import Op, Region
from ircost.ir.in_place import is_read_once
from ircost.ir.ops.reduction import normalised_axes
from ircost.ir.types import TensorType


class UpdateCache(OpDefinition):
    """Caches with new rows in place of those from ``at`` on, along ``axis``: one kernel for all of them.

    A cache is read by this op alone, which writes over it; whoever is to see the rows reads the result. So that is the
    same memory, an argument of ``main`` is handed over by the caller, and no more than the new rows move.

    Operands: caches, then as many new rows, such as keys and values [b, g, n, d] and [b, g, m, d] with axis 2.
    Results: the caches.
    Source: vLLM's `reshape_and_cache`, Kwon et al., "PagedAttention", SOSP 2023; XLA DynamicUpdateSlice.
    """

    name = "update_cache"
    operand_names = ("caches_and_rows",)
    is_variadic = True
    attributes = {"axis": AttributeSpec("int", 2), "at": AttributeSpec("int", REQUIRED)}

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        if not operands or len(operands) % 2:
            raise ShapeError(f"update_cache: {len(operands)} operands given", help="caches, then as many new rows")
        caches = operands[: len(operands) // 2]
        for cache, new in zip(caches, operands[len(caches) :], strict=True):
            (axis,) = normalised_axes((int_of(attrs, "axis"),), cache.rank)
            at, count = int_of(attrs, "at"), new.shape[axis] if new.rank == cache.rank else 0
            expected = TensorType((*cache.shape[:axis], count, *cache.shape[axis + 1 :]), cache.dtype)
            if new != expected or not 0 <= at <= cache.shape[axis] - count:
                raise ShapeError(f"update_cache: rows {new} at {at} on axis {axis} do not fit cache {cache}")
        return tuple(caches)

    def verify(self, op: Op) -> None:
        for index, operand in self.overwritten(op).items():
            if not is_read_once(op.operands[operand]):
                raise VerifyError(
                    f"update_cache: cache {index} is read by others too, and is written over here",
                    at=op,
                    help="let them read the result",
                )

    def overwritten(self, op: Op) -> Mapping[int, int]:
        return {i: i for i in range(len(op.results))}

    def evaluate(self, op: Op, operands: Arrays) -> Sequence[np.ndarray]:
        caches = [array.copy() for array in operands[: len(operands) // 2]]
        for cache, new in zip(caches, operands[len(caches) :], strict=True):
            axis = int_of(op.attrs, "axis") % cache.ndim
            begin = int_of(op.attrs, "at")
            cache[(*[np.s_[:]] * axis, np.s_[begin : begin + new.shape[axis]])] = new
        return caches

    def operand_bytes(self, op: Op) -> Sequence[int]:
        return [0 if i < len(op.operands) // 2 else value.type.size_bytes for i, value in enumerate(op.operands)]

    def traffic(self, op: Op) -> Traffic:
        moved = sum(self.operand_bytes(op))
        return Traffic(moved, moved)


update_cache = register_op(UpdateCache())
