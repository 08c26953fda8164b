"""Named dims of example inputs: the IR wants numbers, so what is dynamic is bound before the export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ircost.frontends.torch.errors import TorchError
from ircost.ir.errors import did_you_mean


def named_axes(inputs: Sequence[Any], dynamic_shapes: Any) -> list[dict[int, str]]:
    """Of each input the axes that have a name: ``{0: "batch"}`` or ``{0: torch.export.Dim("batch")}``."""
    if dynamic_shapes is None:
        return [{} for _ in inputs]
    shapes = list(dynamic_shapes.values()) if isinstance(dynamic_shapes, Mapping) else list(dynamic_shapes)
    if len(shapes) != len(inputs):
        raise TorchError(
            f"dynamic_shapes has {len(shapes)} entries, there are {len(inputs)} inputs",
            help="one for each input, None where nothing is dynamic",
        )
    return [axes_of(shape) for shape in shapes]


def axes_of(shape: Any) -> dict[int, str]:
    if shape is None:
        return {}
    items = shape.items() if isinstance(shape, Mapping) else enumerate(shape)
    return {int(axis): dim_name(dim) for axis, dim in items if dim is not None and dim_name(dim)}


def dim_name(dim: Any) -> str:
    """Empty of one without a name, as Dim.AUTO is."""
    return dim if isinstance(dim, str) else str(getattr(dim, "__name__", ""))


def resized_inputs(inputs: tuple[Any, ...], dynamic_shapes: Any, dims: Mapping[str, int]) -> tuple[Any, ...]:
    """Example inputs with their named axes as long as ``dims`` says; those that change are zeros.

    Raises:
        TorchError: a dim is not one of dynamic_shapes.
    """
    axes = named_axes(inputs, dynamic_shapes)
    known = {name for named in axes for name in named.values()}
    for name, extent in dims.items():
        if name not in known:
            help = did_you_mean(name, known) if known else "name it: dynamic_shapes=({0: 'batch'},)"
            raise TorchError(f"dynamic_shapes names no dim '{name}'", help=help)
        if extent < 1:
            raise TorchError(f"dim '{name}' is bound to {extent}, 1 or more expected")
    return tuple(resized(x, named, dims) for x, named in zip(inputs, axes, strict=True))


def resized(x: Any, named: Mapping[int, str], dims: Mapping[str, int]) -> Any:
    if not isinstance(x, torch.Tensor):
        return x
    shape = [dims.get(named.get(axis, ""), extent) for axis, extent in enumerate(x.shape)]
    return x if shape == list(x.shape) else x.new_zeros(shape)


def batch_dims_of(inputs: Sequence[Any], dynamic_shapes: Any) -> dict[str, int]:
    """Leading named dims, and how long they are."""
    axes = named_axes(inputs, dynamic_shapes)
    return {
        named[0]: int(x.shape[0])
        for x, named in zip(inputs, axes, strict=True)
        if 0 in named and isinstance(x, torch.Tensor) and x.dim() > 1
    }
