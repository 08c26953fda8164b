"""Ops of every kind, with other operands and attributes than they are meant for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from ircost.ir import Function, Module, Op, TensorType, ops
from ircost.ir.attributes import Attribute, AttributeSpec
from ircost.ir.clone import clone_region
from ircost.ir.constant import Splat
from ircost.ir.parser import parse_module
from ircost.ir.types import DTYPES

Draw = Callable[[Any], Any]

EXAMPLES = parse_module((Path(__file__).parent / "ir" / "every_op.irc").read_text())
ODD_INTS = st.sampled_from([0, 1, -1, 2, 3, 7, -7, 255, 2**31, -(2**31), 2**40, 2**63 - 1, -(2**63), 10**30])
ODD_FLOATS = st.sampled_from([0.0, -1.0, 1e-45, 1e38, float("inf"), float("-inf"), float("nan"), 2, 10**400])
WORDS = st.sampled_from(
    ["", "x", "\n", "linear", "nearest", "add", "max", "sum", "relu", "a b -> b a", "m k, k n -> m n"]
)
FORMATS = st.sampled_from(list(DTYPES.values()))
OTHERS = st.sampled_from([1, 0.5, "x", True, (), (1,), ((1, 2),), DTYPES["f16"]])


@dataclass(frozen=True)
class Made:
    """What an op is made of."""

    example: Op
    types: tuple[TensorType, ...]
    attrs: dict[str, Attribute]
    result_types: tuple[TensorType, ...] | None

    def module(self) -> Module:
        """A `main` of this one op; raises IrcError where it is refused."""
        function = Function("main", self.types)
        definition = self.example.definition
        bodies = [] if definition.is_composite else [clone_region(region, {}) for region in self.example.regions]
        op = definition.create(function.arguments, self.attrs, regions=bodies, result_types=self.result_types)
        function.block.append(op)
        function.block.append(ops.return_.create(op.results))
        callees = [EXAMPLES.functions["relu"]] if self.example.name == "call" else []
        return Module([*callees, function])


def as_it_is(example: Op) -> Made:
    given = tuple(result.type for result in example.results) if example.definition.needs_result_types else None
    return Made(example, tuple(operand.type for operand in example.operands), dict(example.attrs), given)


@st.composite
def mutated_ops(draw: Draw) -> Made:
    # An `if` reads values from around it, which an op alone has not.
    names = [name for name in EXAMPLES.functions if name != "if"]
    first = EXAMPLES.functions[draw(st.sampled_from(names))].block.first
    assert first is not None
    made = as_it_is(first)
    for _ in range(draw(st.integers(0, 2))):
        made = replace(made, types=mutated_types(draw, made.types))
    if made.attrs and draw(st.booleans()):
        name = draw(st.sampled_from(list(made.attrs)))
        spec = first.definition.attributes[name]
        made = replace(made, attrs={**made.attrs, name: odd_attribute(draw, spec, made.attrs[name])})
    if made.result_types is not None and draw(st.booleans()):
        made = replace(made, result_types=mutated_types(draw, made.result_types))
    return made


def mutated_types(draw: Draw, types: tuple[TensorType, ...]) -> tuple[TensorType, ...]:
    if not types:
        return types
    index = draw(st.integers(0, len(types) - 1))
    changed = draw(st.sampled_from(TYPE_CHANGES))(draw, types, types[index])
    return changed if isinstance(changed, tuple) else (*types[:index], changed, *types[index + 1 :])


def other_format(draw: Draw, types: Sequence[TensorType], type: TensorType) -> TensorType:
    return type.with_dtype(draw(FORMATS))


def other_format_throughout(draw: Draw, types: Sequence[TensorType], type: TensorType) -> tuple[TensorType, ...]:
    dtype = draw(FORMATS)
    return tuple(other.with_dtype(dtype) if other.dtype == type.dtype else other for other in types)


def other_extent(draw: Draw, types: Sequence[TensorType], type: TensorType) -> TensorType:
    if not type.shape:
        return type
    axis = draw(st.integers(0, type.rank - 1))
    extent = draw(st.sampled_from([0, 1, 2, 3, 5, 8, 2**31, 2**40]))
    return replace(type, shape=(*type.shape[:axis], extent, *type.shape[axis + 1 :]))


def other_extent_throughout(draw: Draw, types: Sequence[TensorType], type: TensorType) -> tuple[TensorType, ...]:
    if not type.shape:
        return tuple(types)
    old, new = draw(st.sampled_from(type.shape)), draw(st.integers(0, 8))
    return tuple(replace(other, shape=tuple(new if n == old else n for n in other.shape)) for other in types)


def bounded(draw: Draw, types: Sequence[TensorType], type: TensorType) -> TensorType:
    return replace(type, bounded=(draw(st.integers(0, type.rank - 1)),)) if type.shape else type


def one_more_axis(draw: Draw, types: Sequence[TensorType], type: TensorType) -> TensorType:
    return TensorType((2, *type.shape), type.dtype)


def one_axis_fewer(draw: Draw, types: Sequence[TensorType], type: TensorType) -> TensorType:
    return TensorType(type.shape[1:], type.dtype)


def one_more(draw: Draw, types: Sequence[TensorType], type: TensorType) -> tuple[TensorType, ...]:
    return (*types, type)


def one_fewer(draw: Draw, types: Sequence[TensorType], type: TensorType) -> tuple[TensorType, ...]:
    return tuple(types[:-1])


TYPE_CHANGES = (
    *(other_format, other_format_throughout, other_extent, other_extent_throughout, bounded),
    *(one_more_axis, one_axis_fewer, one_more, one_fewer),
)


def odd_attribute(draw: Draw, spec: AttributeSpec, value: Attribute) -> Attribute:
    """Another value, mostly of the same kind."""
    if draw(st.integers(0, 9)) == 0:
        return draw(OTHERS)
    if spec.kind in ("Ints", "Pairs") and isinstance(value, tuple):
        entry = draw(ODD_INTS) if spec.kind == "Ints" else (draw(ODD_INTS), 0)
        return draw(st.sampled_from([(*value, entry), value[:-1], (*value[:-1], entry), value[::-1]]))
    if spec.kind == "bool":
        return not value
    kinds: dict[str, Any] = {
        **{"int": ODD_INTS, "float": ODD_FLOATS, "str": WORDS, "DType": FORMATS, "DType | None": FORMATS | st.none()},
        **{"ConstantData": st.sampled_from([Splat(0), Splat(1.5), Splat(True)]), "Strs": st.just(('a "b"\n',))},
    }
    return draw(kinds.get(spec.kind, OTHERS))
