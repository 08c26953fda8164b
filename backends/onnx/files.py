"""ONNX files: written whole or not at all, weights beside them where they are too large for one."""

from __future__ import annotations

import os
from pathlib import Path

from ircost.backends.onnx.export import runtime_of, to_onnx
from ircost.backends.onnx.known import known_ops
from ircost.backends.onnx.tensors import MOST_BYTES_INSIDE, TensorStore
from ircost.ir.graph import Module


def write_onnx(module: Module, path: str | Path, for_runtime: str = "") -> None:
    """Writes a module as an ONNX file; weights of more than 1.9 GB go into ``path`` + ``.data``.

    Args:
        module: verified.
        for_runtime: as of `to_onnx`.

    Raises:
        UnknownNameError: there is no such runtime.
        UnsupportedError: an op has no ONNX operator, or a weight has no values.
        OSError: the file cannot be written.
    """
    runtime_of(for_runtime)  # a mistake in it is told before anything is computed
    place = Path(path).resolve()
    beside = place.with_name(f"{place.name}.data")
    scratch, scratch_data = (p.with_name(f".{p.name}.{os.getpid()}") for p in (place, beside))
    try:
        if weight_bytes(module) <= MOST_BYTES_INSIDE:
            scratch.write_bytes(to_onnx(module, for_runtime).SerializeToString())
        else:
            with scratch_data.open("wb") as file:
                model = to_onnx(module, for_runtime, TensorStore(file, beside.name))
            scratch.write_bytes(model.SerializeToString())
            scratch_data.replace(beside)
        scratch.replace(place)
    finally:
        scratch.unlink(missing_ok=True)
        scratch_data.unlink(missing_ok=True)


def weight_bytes(module: Module) -> int:
    """At most what the initializers take: results that others than known ops read."""
    known = {op for function in module.functions.values() for op in known_ops(function.block)}
    return sum(
        result.type.elements * max(result.type.dtype.bits // 8, 1)
        for op in known
        for result in op.results
        if any(user not in known for user in result.users)
    )
