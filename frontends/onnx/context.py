"""What all graphs of one model share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import onnx

from ircost.frontends.onnx.bounds import Bounds
from ircost.frontends.onnx.external_data import ExternalData
from ircost.ir.constant import ConstantData
from ircost.ir.types import TensorType


@dataclass(slots=True)
class ModelContext:
    """One import of one model.

    Args:
        file: the model, as messages and locations name it.
        model: the whole of it.
        opsets: version of each domain.
        functions: model-local functions by (domain, name, overload).
        external: finds external data.
        constant_weights: values of large ``Constant`` nodes, by output name.
        allow_opaque: take unknown operators as opaque ops.
        inferred_types: what ONNX's shape inference says, once somebody asked it.
        notes: what the reader of a report should know.
        bounds: of what data decide.
    """

    file: str
    model: onnx.ModelProto
    opsets: Mapping[str, int]
    functions: Mapping[tuple[str, str, str], onnx.FunctionProto]
    external: ExternalData
    constant_weights: Mapping[str, ConstantData]
    allow_opaque: bool
    inferred_types: Mapping[str, TensorType] | None = None
    notes: list[str] = field(default_factory=list)
    bounds: Bounds = field(default_factory=lambda: Bounds({}))
