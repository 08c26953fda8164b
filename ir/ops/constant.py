"""Constants, and ops that make values out of nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ircost.ir.attributes import REQUIRED, Attributes, AttributeSpec, int_of
from ircost.ir.constant import ConstantData, Literal, Splat, is_value_of, literal, materialise
from ircost.ir.definition import Arrays, OpDefinition, register_op
from ircost.ir.errors import InterpreterError, VerifyError
from ircost.ir.graph import Op, Region, Value
from ircost.ir.numpy_dtypes import dtype_of, numpy_dtype, to_format
from ircost.ir.types import DType, TensorType, i64


class Constant(OpDefinition):
    """Values known before the run: a handle, read only when asked for. See `ircost.ir.constant`."""

    name = "constant"
    attributes = {"value": AttributeSpec("ConstantData", REQUIRED)}
    needs_result_types = True
    result_count = 1

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        raise AssertionError("a constant's type is given")

    def verify(self, op: Op) -> None:
        data, type = op.attrs["value"], op.result.type
        if isinstance(data, Splat) and not is_value_of(data.value, type.dtype):
            raise VerifyError(f"constant: {data.value} is no {type.dtype}", at=op)
        if isinstance(data, Literal) and len(data.data) != type.elements * numpy_dtype(data.dtype).itemsize:
            given = f"{len(data.data)} bytes of {data.dtype}"
            raise VerifyError(f"constant: {given} are not the elements of a {type}", at=op)

    def evaluate(self, op: Op, operands: Arrays) -> Sequence[np.ndarray]:
        return [constant_array(op)]


constant = register_op(Constant())


def constant_array(op: Op) -> np.ndarray:
    """The values of a constant op.

    Raises:
        InterpreterError: the values are missing, or their file is.
    """
    data = op.attrs["value"]
    if TYPE_CHECKING:
        assert isinstance(data, ConstantData)
    return materialise(data, op.result.type)


def constant_of(array: np.ndarray, dtype: DType | None = None) -> Value:
    """A new, detached constant that holds ``array``, converted to ``dtype`` where that is given."""
    if dtype is not None:
        array = to_format(array, dtype)
    type = TensorType(array.shape, dtype or dtype_of(array))
    return constant.create((), {"value": literal(array)}, result_types=(type,)).result


def splat(number: float, type: TensorType) -> Value:
    """A new, detached constant with one number for every element."""
    return constant.create((), {"value": Splat(number)}, result_types=(type,)).result


# More elements than this are not looked at, wherever they are held: a splat may claim any size.
MAX_KNOWN_ELEMENTS = 1 << 22


def constant_value(value: Value) -> np.ndarray | None:
    """The array behind a value that is a constant held in memory; None for all others.

    Weights in files are among the others, and constants of more than ``MAX_KNOWN_ELEMENTS``.
    """
    op = value.producer
    if op is None or op.definition is not constant or not is_in_memory(op) or value.type.elements > MAX_KNOWN_ELEMENTS:
        return None
    return constant_array(op)


def is_in_memory(op: Op) -> bool:
    """Whether a constant's values cost nothing to look at."""
    return isinstance(op.attrs["value"], (Literal, Splat))


class Iota(OpDefinition):
    """0, 1, 2, ... along ``axis``, equal along all others; the result type gives shape and number format.

    Source: XLA Iota; ONNX Range and OneHot are built on it.
    """

    name = "iota"
    attributes = {"axis": AttributeSpec("int", 0)}
    needs_result_types = True
    result_count = 1

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        raise AssertionError("an iota's type is given")

    def verify(self, op: Op) -> None:
        axis, type = int_of(op.attrs, "axis"), op.result.type
        if not -type.rank <= axis < type.rank:
            raise VerifyError(f"iota: there is no axis {axis} in {type}", at=op)

    def evaluate(self, op: Op, operands: Arrays) -> Sequence[np.ndarray]:
        type = op.result.type
        axis = int_of(op.attrs, "axis")
        ramp = np.arange(type.shape[axis]).astype(numpy_dtype(type.dtype))
        return [
            np.broadcast_to(ramp.reshape([-1 if i == axis % type.rank else 1 for i in range(type.rank)]), type.shape)
        ]


iota = register_op(Iota())


def ramp(shape: tuple[int, ...], axis: int, dtype: DType = i64) -> Value:
    """A new, detached iota: 0, 1, 2, ... along an axis."""
    return iota.create((), {"axis": axis}, result_types=(TensorType(shape, dtype),)).result


class Opaque(OpDefinition):
    """An operator of the user's model that the IR does not know. It cannot be run, and its cost is unknown, never zero.

    ``op`` names it with its domain; ``attributes`` keeps what the model said, as text.
    """

    name = "opaque"
    operand_names = ("inputs",)
    is_variadic = True
    is_pure = False
    attributes = {"op": AttributeSpec("str", REQUIRED), "attributes": AttributeSpec("Strs", ())}
    needs_result_types = True

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        raise AssertionError("an opaque op's types are given")

    def evaluate(self, op: Op, operands: Arrays) -> Sequence[np.ndarray]:
        raise InterpreterError(f"opaque operator '{op.attrs['op']}' cannot be run", at=op)


opaque = register_op(Opaque())
