"""TensorProtos to constants."""

from __future__ import annotations

import math

import numpy as np
import onnx

from ircost.frontends.onnx.context import ModelContext
from ircost.frontends.onnx.element_types import ELEMENT_TYPES
from ircost.frontends.onnx.errors import OnnxError
from ircost.ir import ops
from ircost.ir.constant import ConstantData, Literal, literal, unpack
from ircost.ir.errors import Place, UnsupportedError
from ircost.ir.graph import Value
from ircost.ir.types import DType, TensorType


def constant_of_tensor(tensor: onnx.TensorProto, name: str, context: ModelContext) -> Value:
    """A detached constant with a tensor's values; external ones stay in their file.

    Raises:
        OnnxError: the tensor is damaged.
        UnsupportedError: it holds text, or what else no tensor here can.
    """
    type = tensor_type(tensor, name, context.file)
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        return constant_with(context.external.slice_of(tensor, name), type)
    if tensor.HasField("raw_data") and type.dtype.bits >= 8:
        return constant_with(raw_literal(tensor, name, type, context.file), type)
    return constant_with(literal(array_of(tensor, context.file)), type)


def dense(sparse: onnx.SparseTensorProto, name: str, context: ModelContext) -> Value:
    """A sparse tensor as runtimes load it: zeros, and values where the indices say, [n] of it laid flat or [n, rank].

    Raises:
        OnnxError: values and indices do not fit together.
    """
    values = constant_of_tensor(sparse.values, name, context)
    places = constant_of_tensor(sparse.indices, f"indices of {name}", context)
    shape, count = tuple(sparse.dims), values.type.elements
    if places.type.shape not in ((count,), (count, len(shape))) or min(shape, default=0) < 0:
        raise OnnxError(
            f"sparse tensor '{name}' of shape {list(shape)} has values {values.type} and indices {places.type}",
            at=context.file,
            help="the model is damaged",
        )
    lies_flat = places.type.rank == 1
    extents = (math.prod(shape),) if lies_flat else shape
    zeros = ops.splat(0.0, TensorType(extents, values.type.dtype))
    at = ops.reshape(places, shape=(count, 1)) if lies_flat else places
    filled = ops.scatter_nd(zeros, at, ops.reshape(values, shape=(count,)), reduction="none")
    return ops.reshape(filled, shape=shape) if lies_flat else filled


def constant_with(data: ConstantData, type: TensorType) -> Value:
    return ops.constant.create((), {"value": data}, result_types=(type,)).result


def raw_literal(tensor: onnx.TensorProto, name: str, type: TensorType, file: str) -> Literal:
    if len(tensor.raw_data) != type.size_bytes:
        raise OnnxError(
            f"'{name}' is {type} and has {len(tensor.raw_data)} bytes, {type.size_bytes} expected",
            at=file,
            help="the model is damaged",
        )
    return Literal(tensor.raw_data, type.dtype)


def array_of(tensor: onnx.TensorProto, file: str) -> np.ndarray:
    """The values of a tensor that holds them itself."""
    type = tensor_type(tensor, tensor.name, file)
    try:
        if tensor.HasField("raw_data") and type.dtype.bits < 8:
            return unpack(tensor.raw_data, type.dtype, math.prod(type.shape)).reshape(type.shape)
        return onnx.numpy_helper.to_array(tensor)
    except (ValueError, TypeError) as error:
        raise OnnxError(f"tensor '{tensor.name}' is damaged: {error}", at=file) from None


def tensor_type(tensor: onnx.TensorProto, name: str, file: str) -> TensorType:
    return TensorType(tuple(tensor.dims), element_type(tensor.data_type, f"'{name}'", file))


def element_type(number: int, what: str, at: Place | str) -> DType:
    """The number format that ONNX gives a number.

    Args:
        what: has the format; for the message.
        at: where it stands.

    Raises:
        UnsupportedError: there is no such format here.
    """
    if number not in ELEMENT_TYPES:
        raise UnsupportedError(f"{what} is {element_type_name(number)}, which no tensor here can be", at=at)
    return ELEMENT_TYPES[number]


def element_type_name(number: int) -> str:
    known = {value: str(name).lower() for name, value in onnx.TensorProto.DataType.items()}
    return str(known.get(number, f"element type {number}"))
