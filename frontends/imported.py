"""What a frontend is asked, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ircost.ir.graph import Module


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What the user says about a model's inputs.

    Args:
        dims: extents of symbolic dims, by name.
        shapes: whole shapes of inputs, by name.
        values: values of inputs, by name; what depends on them folds.
        bounds: how often a loop runs at most, or how many elements a node selects at most, by node name.
        allow_opaque: take operators that are not known as opaque ops, whose cost is unknown.
    """

    dims: Mapping[str, int] = field(default_factory=dict)
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    values: Mapping[str, np.ndarray] = field(default_factory=dict)
    bounds: Mapping[str, int] = field(default_factory=dict)
    allow_opaque: bool = False


@dataclass(frozen=True, slots=True)
class Imported:
    """A model as a module.

    Args:
        module: its ``main`` takes the model's inputs and returns its outputs, in order.
        notes: what the reader of a report should know, such as a dim that was bound by default.
        nodes: operators in the model, those of nested graphs included.
        batch_dims: leading symbolic dims of its inputs, by name, and what they were bound to.
    """

    module: Module
    notes: tuple[str, ...]
    nodes: int
    batch_dims: Mapping[str, int] = field(default_factory=dict)
