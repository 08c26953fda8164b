"""Where the values of initializers go: into the model, or into a file beside it where they are too large for one."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
import onnx

# Protobuf holds no message of 2 GiB; shapes and names need room, too.
MOST_BYTES_INSIDE = 1_900_000_000
LEAST_BYTES_OUTSIDE = 1024
ALIGNMENT = 4096  # so that a runtime can map the file


class TensorStore:
    """Initializers of a model.

    Args:
        file: takes values of 1 KB and more; None keeps all inside.
        location: how the model names that file.
    """

    def __init__(self, file: BinaryIO | None = None, location: str = "") -> None:
        self._file = file
        self._location = location

    def tensor(self, name: str, array: np.ndarray, element_type: int) -> onnx.TensorProto:
        """An initializer that holds these values, or says where in the file they lie."""
        if self._file is None or array.nbytes < LEAST_BYTES_OUTSIDE:
            return onnx.numpy_helper.from_array(np.asarray(array), name)
        self._file.seek(-self._file.tell() % ALIGNMENT, 1)
        tensor = onnx.TensorProto(name=name, dims=array.shape, data_type=element_type)
        tensor.data_location = onnx.TensorProto.EXTERNAL
        data = onnx.numpy_helper.from_array(np.asarray(array)).raw_data  # packs formats below 8 bits
        facts = {"location": self._location, "offset": self._file.tell(), "length": len(data)}
        for key, value in facts.items():
            tensor.external_data.add(key=key, value=str(value))
        self._file.write(data)
        return tensor
