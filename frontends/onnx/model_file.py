"""ONNX files, read without their weights: a model of 500 MB takes milliseconds."""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass

import onnx
from google.protobuf.message import DecodeError

from ircost.frontends.onnx.damage import describe_damage
from ircost.frontends.onnx.element_types import ELEMENT_TYPES
from ircost.frontends.onnx.errors import OnnxError
from ircost.frontends.onnx.external_data import ExternalData, checked_slice
from ircost.frontends.onnx.file_kind import CUT_OFF, kind_of
from ircost.frontends.onnx.names import parse_with_readable_names
from ircost.frontends.onnx.strip import Stripped, strip_weights
from ircost.frontends.onnx.wire import MalformedError
from ircost.ir.constant import FileSlice


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """An ONNX model whose large weights stayed in their files.

    Args:
        path: the file, as the user named it.
        proto: the model; tensors named below have no values in it.
        weights: initializers of the main graph, by name.
        constant_weights: values of ``Constant`` nodes of the main graph, by the node's output.
    """

    path: str
    proto: onnx.ModelProto
    weights: Mapping[str, FileSlice]
    constant_weights: Mapping[str, FileSlice]


def read_model(path: str, keep_bytes: int = 1024) -> LoadedModel:
    """Reads the graph of an ONNX file; raw and external data stay where they are.

    Args:
        keep_bytes: raw data not longer than this are kept in the proto: they may decide shapes.

    Raises:
        OnnxError: the file cannot be read, is not an ONNX model or is cut off; a weight has more or fewer
            bytes than its shape takes, or would lie outside of the model's folder. That a file of weights is
            missing is no error.

    Time is linear in the number of nodes and tensors, not in their bytes.
    """
    with _open(path) as data:
        stripped = _strip(data, keep_bytes)
        proto = _parse(stripped.model, data, path)
    external = ExternalData(path)
    return LoadedModel(
        path,
        proto,
        _slices(_initializers(proto.graph), stripped.initializers, external),
        _slices(_constants(proto.graph), stripped.constants, external),
    )


def _open(path: str) -> mmap.mmap:
    try:
        _check_is_file(path, os.stat(path))
        with open(path, "rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise OnnxError(f"cannot read {path}: {error.strerror}", help="check the path") from None
    except ValueError:
        raise OnnxError(f"{path!r} is not a path", help="name an .onnx file") from None


def _check_is_file(path: str, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise OnnxError(f"{path} is a directory", help="name the .onnx file in it")
    if not stat.S_ISREG(status.st_mode):
        raise OnnxError(f"{path} is a pipe or a device", help="save the model as a file first")
    if status.st_size == 0:
        raise OnnxError(f"{path} is empty", help="fetch or export it again")


def _strip(data: mmap.mmap, keep_bytes: int) -> Stripped:
    try:
        return strip_weights(data, keep_bytes, ELEMENT_TYPES)
    except MalformedError:
        # What the scan does not understand, the protobuf library may: its verdict counts.
        return Stripped(data[:], {}, {})


def _parse(model: bytes, data: mmap.mmap, path: str) -> onnx.ModelProto:
    try:
        proto = parse_with_readable_names(model)
    except DecodeError:
        raise _not_a_model(data, path, describe_damage(data)) from None
    if not proto.HasField("graph"):
        raise _not_a_model(data, path, "it has no graph")
    return proto


def _not_a_model(data: mmap.mmap, path: str, reason: str) -> OnnxError:
    kind = kind_of(data[:512])
    if kind is not None:
        return OnnxError(f"{path} is not an ONNX model but {kind.name}", help=kind.cure)
    return OnnxError(f"{path} is not an ONNX model, or a damaged one: {reason}", help=CUT_OFF)


def _slices(
    tensors: Mapping[str, onnx.TensorProto], ranges: Mapping[str, range], external: ExternalData
) -> dict[str, FileSlice]:
    """Handles to the values that lie elsewhere, in the order of the graph."""
    path = external.model_path
    found = {}
    for name, tensor in tensors.items():
        if name in ranges:
            values = ranges[name]
            found[name] = checked_slice(path, values.start, len(values), tensor, f"'{name}' in {path}")
        elif tensor.data_location == onnx.TensorProto.EXTERNAL and tensor.data_type in ELEMENT_TYPES:
            found[name] = external.slice_of(tensor, name)
    return found


def _initializers(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    return {tensor.name: tensor for tensor in graph.initializer}


def _constants(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    return {
        node.output[0]: attribute.t
        for node in graph.node
        if node.op_type == "Constant" and node.output
        for attribute in node.attribute
        if attribute.name == "value" and attribute.HasField("t")
    }
