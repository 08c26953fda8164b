"""The module as if converted to another number format."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from ircost.ir import ops
from ircost.ir.attributes import Attribute, Attributes
from ircost.ir.constant import Literal, Splat, literal, materialise
from ircost.ir.graph import Block, Function, Module, Op, Region, Value
from ircost.ir.numpy_dtypes import numpy_dtype
from ircost.ir.types import DType, TensorType, bf16
from ircost.passes.base import Pass, PassContext, PassError, register_pass


@register_pass("convert-dtype")
@dataclass(frozen=True, slots=True)
class ConvertDType(Pass):
    """Hold every float tensor in another format, inputs and weights included; integers stay.

    Formats of 16 bits and more hold everything. Narrower ones (f8e4m3, f4e2m1, ...) hold the operands of
    contractions, whose results and all else are bf16, as mixed-precision inference does. Constants in memory are
    rounded and kept finite: what would be infinite is the largest number, what would vanish the smallest normal one.

    Args:
        to: the format, a float.
    """

    to: DType

    def run(self, module: Module, context: PassContext) -> Counter[str]:
        if not self.to.is_float or self.to.name == "f8e8m0":
            raise PassError(
                f"convert-dtype: {self.to} is not a format that models compute in",
                help="floats convert: f32, tf32, f16, bf16, f8e4m3, f8e5m2, f4e2m1; integers need quantisation, and "
                "of a model that has it (QDQ) the pass integer-products costs them",
            )
        converter = _Converter(self.to)
        functions = [converter.function(function) for function in module.functions.values()]
        module.functions.clear()
        for function in functions:
            module.add(function)
        return converter.changed


class _Converter:
    def __init__(self, to: DType) -> None:
        self.narrow = to if to.bits < 16 else None
        self.to = bf16 if to.bits < 16 else to
        self.changed: Counter[str] = Counter()

    def function(self, function: Function) -> Function:
        new = Function(function.name, [self.type(a.type) for a in function.arguments], function.attrs)
        self.block(function.block, new.block, {})
        return new

    def type(self, type: TensorType) -> TensorType:
        return type.with_dtype(self.to) if type.dtype.is_float else type

    def block(self, source: Block, target: Block, mapping: dict[Value, Value]) -> None:
        for old, new in zip(source.arguments, target.arguments, strict=True):
            new.name = old.name
            mapping[old] = new
        for op in source.ops:
            self.op(op, target, mapping)

    def op(self, op: Op, target: Block, mapping: dict[Value, Value]) -> None:
        operands = [mapping[operand] for operand in op.operands]
        if op.name == "cast" and op.result.type.dtype.is_float and operands[0].type.dtype == self.to:
            mapping[op.result] = operands[0]
            return
        if self.narrow is not None and is_contraction(op) and all(o.type.dtype == self.to for o in operands):
            operands = [self._narrowed(operand, target, op) for operand in operands]
        new = Op(
            op.definition,
            operands,
            self._attrs(op, operands),
            [self.type(result.type) for result in op.results],
            [self._region(region, mapping) for region in op.regions],
            op.location,
        )
        target.append(new)
        for old, result in zip(op.results, new.results, strict=True):
            result.name = old.name
            mapping[old] = result
            self.changed["converted"] += int(old.type != result.type)

    def _narrowed(self, operand: Value, target: Block, op: Op) -> Value:
        assert self.narrow is not None
        cast = ops.cast.create([operand], {"to": self.narrow}, location=op.location)
        target.append(cast)
        self.changed["narrowed"] += 1
        return cast.result

    def _region(self, region: Region, mapping: dict[Value, Value]) -> Region:
        block = Block(self.type(argument.type) for argument in region.block.arguments)
        self.block(region.block, block, mapping)
        return Region(block)

    def _attrs(self, op: Op, operands: list[Value]) -> Attributes:
        attrs: dict[str, Attribute] = {name: self._attribute(value) for name, value in op.attrs.items()}
        if op.name == "constant" and op.result.type.dtype.is_float:
            attrs["value"] = converted_data(op, self.to)
        if self.narrow is not None and is_contraction(op) and operands[0].type.dtype == self.narrow:
            attrs["out"] = self.to
        return attrs

    def _attribute(self, value: Attribute) -> Attribute:
        return self.to if isinstance(value, DType) and value.is_float else value


def is_contraction(op: Op) -> bool:
    """Whether the op is one of those whose operands and result may differ in format."""
    return op.definition.is_contraction and "out" in op.attrs


def converted_data(op: Op, to: DType) -> Attribute:
    """A constant's data for the new format; what lies in a file stays there and is converted when it is read."""
    data = op.attrs["value"]
    if isinstance(data, Splat):  # one element stands for all: all of them may be terabytes
        return Splat(float(finite_in(materialise(data, TensorType((), op.result.type.dtype)), to)))
    return literal(finite_in(materialise(data, op.result.type), to)) if isinstance(data, Literal) else data


def finite_in(array: np.ndarray, to: DType) -> np.ndarray:
    """Rounded to ``to``; finite numbers stay finite, and numbers that are not 0 stay so.

    A mask of -3e38 becomes the lowest number of the format, an epsilon of 1e-12 its smallest normal one.
    """
    limits: Any = ml_dtypes.finfo(numpy_dtype(to))  # type: ignore[no-untyped-call]
    wide = array.astype(np.float64)
    clipped = np.where(np.isfinite(wide), np.clip(wide, float(limits.min), float(limits.max)), wide)
    smallest = float(limits.smallest_normal)
    vanishing = (clipped != 0) & (np.abs(clipped) < smallest)
    return np.where(vanishing, np.copysign(smallest, clipped), clipped).astype(numpy_dtype(to))
