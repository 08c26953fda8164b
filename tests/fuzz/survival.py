"""What a model must go through: import, verification, canonicalisation, text; or an `IrcError` refuses it."""

from __future__ import annotations

import resource
import tempfile
from collections.abc import Callable
from pathlib import Path

import onnx

from ircost.frontends.imported import ImportOptions
from ircost.frontends.onnx.importer import import_loaded, import_model
from ircost.frontends.onnx.model_file import read_model
from ircost.ir.errors import IrcError
from ircost.ir.graph import Module
from ircost.ir.parser import parse_module
from ircost.ir.verify import verify
from ircost.passes import run_pipeline
from ircost.passes.pipeline import InternalPassError

MOST_BYTES = 2 << 30


class TooLargeError(AssertionError):
    """It took more memory than a hostile file may take."""


def survives(model: onnx.ModelProto) -> str:
    """``taken``, or the refusal; raises whatever is no `IrcError`."""
    return within_limits(lambda: import_model(model, bind_all(model)).module)


def survives_file(path: Path) -> str:
    """The same from a file."""

    def load() -> Module:
        loaded = read_model(str(path))
        return import_loaded(loaded, bind_all(loaded.proto)).module

    return within_limits(load)


def within_limits(load: Callable[[], Module]) -> str:
    before = peak_bytes()
    try:
        module = load()
        verify(module)
        run_pipeline(module, "canonicalize", reproducer_folder=tempfile.gettempdir())
        text = str(module)
        assert str(parse_module(text)) == text, "the text does not read back"
        verdict = "taken"
    except InternalPassError:
        raise
    except IrcError as error:
        verdict = f"refused: {error.message}"
    grown = peak_bytes() - before
    if grown > MOST_BYTES:
        raise TooLargeError(f"{grown >> 20} MiB")
    return verdict


def peak_bytes() -> int:
    """The most memory that the process ever had: what ran before may have needed more, and then it does not grow."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def bind_all(model: onnx.ModelProto) -> ImportOptions:
    """Every named dim as 2, so that damaged shapes are reached."""
    initializers = {tensor.name for tensor in model.graph.initializer}
    names = {
        dim.dim_param
        for info in model.graph.input
        if info.name not in initializers
        for dim in info.type.tensor_type.shape.dim
        if dim.HasField("dim_param") and dim.dim_param not in ("", "?", "-1", "None")
    }
    return ImportOptions(dims=dict.fromkeys(sorted(names), 2))
