"""What a frontend is asked, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ircost.ir.graph import Module
from ircost.ir.types import DType

if TYPE_CHECKING:
    from ircost.frontends.config.build import BuiltModel


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What the user says about a model's inputs.

    Args:
        dims: extents of symbolic dims, by name.
        shapes: whole shapes of inputs, by name.
        values: values of inputs, by name; what depends on them folds.
        bounds: how often a loop runs at most, or how many elements a node selects at most, by node name.
        allow_opaque: take operators that are not known as opaque ops, whose cost is unknown.
        phase, mesh: of models that come as a configuration: what is run (``prefill``, ``decode``, ...), and on how many
            ranks (``tp=8``). Batch, new tokens and context are the dims ``batch``, ``seq`` and ``context``.
        dtype, cache_dtype: of their weights and activations, and of cached keys and values, in place of their own.
    """

    dims: Mapping[str, int] = field(default_factory=dict)
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    values: Mapping[str, np.ndarray] = field(default_factory=dict)
    bounds: Mapping[str, int] = field(default_factory=dict)
    allow_opaque: bool = False
    phase: str = ""
    mesh: str = ""
    dtype: DType | None = None
    cache_dtype: DType | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """A model as a module.

    Args:
        module: its ``main`` takes the model's inputs and returns its outputs, in order.
        notes: what the reader of a report should know, such as a dim that was bound by default.
        nodes: operators in the model, those of nested graphs included.
        batch_dims: leading symbolic dims of its inputs, by name, and what they were bound to.
        built: what else is known of a model that was built from a configuration.
    """

    module: Module
    notes: tuple[str, ...]
    nodes: int
    batch_dims: Mapping[str, int] = field(default_factory=dict)
    built: BuiltModel | None = None
