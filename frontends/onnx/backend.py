"""The reference interpreter as a backend of ONNX: what ``onnx.backend.base`` asks of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx.backend.base import Backend, BackendRep

from ircost.frontends.imported import Imported, ImportOptions
from ircost.frontends.onnx.importer import import_model
from ircost.ir.errors import IrcError
from ircost.ir.graph import Module
from ircost.ir.interpreter import interpret
from ircost.ir.verify import verify

LARGEST_BOUND = 4096  # elements of an input whose values are bound where something depends on them


class PreparedModel(BackendRep):
    """A model that runs on arrays: it is imported for the shapes of each call."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model

    def run(self, inputs: Sequence[Any], **kwargs: Any) -> tuple[Any, ...]:
        """Outputs in order; a sequence is a list of arrays.

        Args:
            inputs: an array, or a list of arrays for a sequence, for each input of the graph that is no initializer.

        Raises:
            IrcError: the model is refused, or the inputs do not fit it.
        """
        imported, arrays = import_for(self.model, inputs)
        verify(imported.module)
        return self.execute(imported.module, arrays)

    def execute(self, module: Module, arrays: Sequence[np.ndarray]) -> tuple[Any, ...]:
        names = [str(name) for name in module.main.attrs["outputs"]]  # type: ignore[union-attr]
        return grouped([info.name for info in self.model.graph.output], names, interpret(module, arrays))


class InterpreterBackend(Backend):
    """Imports a model and interprets it.

    >>> InterpreterBackend.supports_device("CPU")
    True
    """

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> PreparedModel:
        return PreparedModel(model)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        return device.split(":")[0] == "CPU"


def import_for(model: onnx.ModelProto, inputs: Sequence[Any]) -> tuple[Imported, list[np.ndarray]]:
    """The model for the shapes of these inputs, and the arrays that its main function takes.

    Values are bound only where the model cannot be imported without them: those of integers first.

    Raises:
        IrcError: it is refused in any case.
    """
    initializers = {tensor.name for tensor in model.graph.initializer}
    names = [info.name for info in model.graph.input if info.name not in initializers]
    arrays = dict(flattened(names, inputs))
    shapes = {name: array.shape for name, array in arrays.items()}
    shapes |= {name: () for name, value in zip(names, inputs, strict=False) if isinstance(value, list) and not value}
    for values in bindings(arrays):
        try:
            imported = import_model(model, ImportOptions(shapes=shapes, values=values))
        except IrcError as error:
            refusal = error
            continue
        return imported, [array for name, array in arrays.items() if name not in values]
    raise refusal


def bindings(arrays: Mapping[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
    """None of the values, those of small integer inputs, those of all small inputs."""
    small = {name: array for name, array in arrays.items() if array.size <= LARGEST_BOUND}
    yield {}
    yield {name: array for name, array in small.items() if array.dtype.kind in "iub"}
    yield small


def flattened(names: Sequence[str], inputs: Sequence[Any]) -> Iterator[tuple[str, np.ndarray]]:
    """Arrays by name; the parts of a sequence ``x`` are ``x.0``, ``x.1`` and so on."""
    for name, value in zip(names, inputs, strict=False):
        if isinstance(value, list):
            yield from ((f"{name}.{i}", np.asarray(part)) for i, part in enumerate(value))
        elif value is not None:
            yield name, np.asarray(value)


def grouped(wanted: Sequence[str], names: Sequence[str], arrays: Sequence[np.ndarray]) -> tuple[Any, ...]:
    """Arrays back in the order of the graph's outputs, parts of a sequence as a list."""
    by_name = dict(zip(names, arrays, strict=True))
    return tuple(
        by_name[name] if name in by_name else [by_name[part] for part in names if part.startswith(f"{name}.")]
        for name in wanted
    )
