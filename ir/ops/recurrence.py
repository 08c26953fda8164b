"""What layers with a state share: time runs through it, from a state that may be given to one that is handed back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ircost.ir.attributes import Ints
from ircost.ir.builder import build_body
from ircost.ir.composite import CompositeOp
from ircost.ir.counts import NO_COUNTS, Counts
from ircost.ir.errors import AttributeTypeError
from ircost.ir.graph import Op, Value
from ircost.ir.ops.constant import splat
from ircost.ir.ops.control import scan
from ircost.ir.ops.movement import transpose
from ircost.ir.terminators import yield_
from ircost.ir.types import DType, TensorType, f32


class Recurrence(CompositeOp):
    """A composite with results (out, state) whose last operand is the state before, where it has one.

    A device runs all steps in one launch. The state is written over the one before.
    """

    is_one_launch = True

    def overwritten(self, op: Op) -> Mapping[int, int]:
        return {1: len(op.operands) - 1} if op.attrs["has_state"] else {}


class ChunkedRecurrence(Recurrence):
    """One whose kernels take many tokens at a time, as products: the state decays and grows once a chunk.

    Counted are the products of the step by step form, which are fewer than those of chunks: a chunk of c tokens has
    c (2 key + 2 value widths) multiply-adds a token and head more, of scores and their inverse. What steps do to each
    element of the state beside that is left out, but for a single step.
    Source: Yang et al., "Gated Delta Networks", ICLR 2025; Dao, Gu, "Transformers are SSMs", ICML 2024, section 6.
    """

    def counts_within(self, op: Op, inner: Op, counts: Counts) -> Counts:
        loop = inner.parent
        if loop is None or loop.name != "scan" or loop.attrs["length"] == 1 or inner.definition.is_contraction:
            return counts
        is_of_state = any(result.type.elements >= op.results[1].type.elements for result in inner.results)
        return NO_COUNTS if is_of_state else counts


def over_time(step: Callable[..., tuple[Value, ...]], state: Value, sequences: Sequence[Value]) -> tuple[Value, Value]:
    """The outputs of all steps [b, t, ..] and the last state.

    Args:
        step: from the state and a slice [b, ..] of each sequence to the next state and an output.
        sequences: [b, t, ..] each.
    """
    length = sequences[0].type.shape[1]
    rows = [TensorType((x.type.shape[0], *x.type.shape[2:]), x.type.dtype) for x in sequences]
    body = build_body([state.type, *rows], step, yield_)
    attrs = {"length": length, "states": 1}
    last, outputs = scan.create([state, *map(swapped, sequences)], attrs, regions=[body]).results
    return swapped(outputs), last


def swapped(x: Value) -> Value:
    """Batch and time in each other's place."""
    return transpose(x, perm=(1, 0, *range(2, x.type.rank)))


def state_or_zeros(state: Sequence[Value], shape: Ints, dtype: DType = f32) -> Value:
    """The state that is given, else zeros."""
    if state:
        return state[0]
    return splat(0.0, TensorType(shape, dtype))


def optional(more: Sequence[Value], present: Sequence[bool]) -> list[Sequence[Value]]:
    """Of operands that there may be, in order: each as a sequence of one or of none.

    Raises:
        AttributeTypeError: there are more or fewer than attributes say.
    """
    if len(more) != sum(present):
        raise AttributeTypeError(f"{len(more)} further operands, attributes tell of {sum(present)}")
    places = [sum(present[:i]) for i in range(len(present))]
    return [more[place : place + there] for place, there in zip(places, present, strict=True)]
