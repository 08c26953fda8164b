"""Weights that an ONNX model keeps in files of its own, beside it."""

from __future__ import annotations

import math
import os
from pathlib import Path

import onnx

from ircost.frontends.onnx.element_types import ELEMENT_TYPES
from ircost.frontends.onnx.errors import OnnxError
from ircost.ir.constant import FileSlice

LARGEST_FILE_BYTES = 2**63 - 1  # offsets are signed 64-bit numbers


class ExternalData:
    """The files beside one model.

    Args:
        model_path: the model, as the user named it.

    A model is not trusted: one that names a file outside of its own folder could make us read any file.
    Source: ONNX, "External Data": locations are relative to the model's folder and have no `..` in them.
    """

    def __init__(self, model_path: str) -> None:
        self.model_path = model_path
        self._folder = os.path.dirname(model_path)
        self._paths: dict[str, str] = {}

    def slice_of(self, tensor: onnx.TensorProto, name: str) -> FileSlice:
        """Where the values of a tensor lie. Whether they are there is seen when they are read.

        Args:
            tensor: one with external data, of an element type in `ELEMENT_TYPES`.
            name: the tensor's name for messages; a ``Constant`` node's tensor often has none.

        Raises:
            OnnxError: the file lies outside of the model's folder, or offset or length are wrong.
        """
        place = f"'{name}' in {self.model_path}"
        entries = {entry.key: entry.value for entry in tensor.external_data}
        offset = _natural_number(entries.get("offset", "0"), "offset", place)
        length = _natural_number(entries.get("length", str(size_bytes(tensor, place))), "length", place)
        return checked_slice(self._path(entries.get("location", ""), place), offset, length, tensor, place)

    def _path(self, location: str, place: str) -> str:
        if location not in self._paths:
            self._paths[location] = self._resolve(location, place)
        return self._paths[location]

    def _resolve(self, location: str, place: str) -> str:
        path = os.path.join(self._folder, location)
        is_plain = location and "\0" not in location and not os.path.isabs(location)
        if not is_plain or not _is_inside(path, self._folder):
            raise OnnxError(
                f"external data at '{location}' are not in the model's folder",
                at=place,
                help="put the weights beside the model, as a file and not a link, under a relative location",
            )
        return path


def checked_slice(path: str, offset: int, length: int, tensor: onnx.TensorProto, place: str) -> FileSlice:
    """A handle to a tensor's values.

    Raises:
        OnnxError: the tensor takes more or fewer bytes.
    """
    dtype, expected = ELEMENT_TYPES[tensor.data_type], size_bytes(tensor, place)
    if length != expected:
        raise OnnxError(
            f"{_shape(tensor)} in {dtype} takes {expected} bytes, {length} are given",
            at=place,
            help="the model is damaged: fetch or export it again",
        )
    return FileSlice(path, offset, length, dtype)


def size_bytes(tensor: onnx.TensorProto, place: str) -> int:
    """Bytes of a tensor's packed values.

    Raises:
        OnnxError: a dim is negative, or the tensor is larger than any file.
    """
    size: int = (math.prod(tensor.dims) * ELEMENT_TYPES[tensor.data_type].bits + 7) // 8
    if any(dim < 0 for dim in tensor.dims) or size > LARGEST_FILE_BYTES:
        raise OnnxError(f"no tensor has shape {_shape(tensor)}", at=place, help="the model is damaged")
    return size


def _shape(tensor: onnx.TensorProto) -> str:
    return "[" + ", ".join(map(str, tensor.dims[:8])) + (", ...]" if len(tensor.dims) > 8 else "]")


def _is_inside(path: str, folder: str) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder or "."))


def _natural_number(text: str, key: str, place: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise OnnxError(f"{key} of external data is '{text:.40}'", at=place, help="write a number of bytes")
    return int(text)
