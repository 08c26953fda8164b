"""Inputs of a model: symbolic dims bound to numbers, whole shapes, values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from shlex import quote

import onnx

from ircost.frontends.imported import ImportOptions
from ircost.frontends.onnx.errors import OnnxError
from ircost.frontends.onnx.tensors import element_type
from ircost.ir.errors import UnsupportedError, did_you_mean
from ircost.ir.types import DType, TensorType


@dataclass(slots=True)
class BoundInputs:
    """Types of a model's inputs.

    Args:
        types: of tensors by name, in order; those of a sequence ``x`` are ``x.0``, ``x.1`` and so on.
        inputs: of each input the tensor it is, the tensors of its sequence, or None for an optional that is left out.
        notes: dims that nobody bound and that got a default.
        batch_dims: leading symbolic dims, by name, and what they were bound to.
    """

    types: dict[str, TensorType] = field(default_factory=dict)
    inputs: dict[str, str | list[str] | None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    batch_dims: dict[str, int] = field(default_factory=dict)


def bind_inputs(inputs: Iterable[onnx.ValueInfoProto], options: ImportOptions, file: str) -> BoundInputs:
    """Binds every dim of every input.

    A named dim in a shape that the user gives has that extent in other inputs too. A leading dim that nobody binds
    becomes 1, with a note. Others that are left are listed in one error.

    Raises:
        OnnxError: a dim is left unbound, an option names nothing of the model, or contradicts it.
    """
    bound, unbound = BoundInputs(), []
    inputs = [tensor for info in inputs for tensor in tensors_in(info, options, bound, file)]
    check_names(inputs, options, file, [name for name, parts in bound.inputs.items() if parts == []])
    of_shapes = extents_of_shapes(inputs, options)
    defaults = dict(of_shapes)
    for info in inputs:
        extents, left = bind_one(info, options, defaults, bound.notes)
        unbound += left
        if len(extents) > 1 and info.name not in (*options.shapes, *options.values):
            leading = [name for axis, name in symbolic_dims(info) if axis == 0 and name and name not in of_shapes]
            bound.batch_dims.update(dict.fromkeys(leading, extents[0]))
        bound.types[info.name] = TensorType(tuple(extents), dtype_of(info, file))
    if unbound:
        raise unbound_error(unbound, inputs, file)
    return bound


def tensors_in(
    info: onnx.ValueInfoProto, options: ImportOptions, bound: BoundInputs, file: str
) -> list[onnx.ValueInfoProto]:
    """The tensors of one input: of a sequence as many as have a shape or a value bound, of an optional perhaps none.

    Raises:
        OnnxError: of a sequence nobody says what is in it.
    """
    type = info.type
    is_optional = type.HasField("optional_type")
    if is_optional:
        type = type.optional_type.elem_type
    given = [name for name in dict.fromkeys((*options.shapes, *options.values)) if is_part(name, info.name)]
    if type.HasField("sequence_type"):
        if info.name in options.shapes:
            bound.inputs[info.name] = []
            return []
        if not given and not is_optional:
            raise OnnxError(
                f"input '{info.name}' is a sequence, and nothing says what is in it",
                at=file,
                help=f"--shape {info.name}.0=... for each element; --shape {info.name}= for none",
            )
        bound.inputs[info.name] = given or None
        return [typed(name, type.sequence_type.elem_type) for name in given]
    if is_optional and info.name not in (*options.shapes, *options.values):
        bound.inputs[info.name] = None
        bound.notes.append(f"optional input '{info.name}' is taken as left out (--shape {info.name}=... gives it)")
        return []
    bound.inputs[info.name] = info.name
    return [typed(info.name, type)]


def is_part(name: str, sequence: str) -> bool:
    """Whether ``name`` is an element of ``sequence``, as ``x.0`` is of ``x``."""
    whole, _, number = name.rpartition(".")
    return whole == sequence and number.isdecimal()


def typed(name: str, type: onnx.TypeProto) -> onnx.ValueInfoProto:
    info = onnx.ValueInfoProto(name=name)
    info.type.CopyFrom(type)
    return info


def dtype_of(info: onnx.ValueInfoProto, file: str) -> DType:
    if not info.type.HasField("tensor_type"):
        raise UnsupportedError(f"input '{info.name}' is no tensor", at=file)
    return element_type(info.type.tensor_type.elem_type, f"input '{info.name}'", file)


def symbolic_dims(info: onnx.ValueInfoProto) -> list[tuple[int, str]]:
    """(axis, name) of dims without a fixed extent; the name is empty where the file gives none worth the word.

    Exporters write unknown dims without a name, as -1, 0 or '?'.
    """
    dims = []
    for axis, dim in enumerate(info.type.tensor_type.shape.dim):
        if not dim.HasField("dim_value") or dim.dim_value <= 0:
            name = dim.dim_param if dim.HasField("dim_param") else ""
            dims.append((axis, "" if name in ("?", "-1", "None") else name))
    return dims


def check_names(
    inputs: list[onnx.ValueInfoProto], options: ImportOptions, file: str, empty_sequences: Sequence[str] = ()
) -> None:
    names = [*(info.name for info in inputs), *empty_sequences]
    symbols = {name for info in inputs for _, name in symbolic_dims(info) if name}
    for name in (*options.shapes, *options.values):
        if name not in names:
            raise OnnxError(f"the model has no input '{name}'", at=file, help=did_you_mean(name, names))
    for name, extent in options.dims.items():
        if name not in symbols:
            raise OnnxError(
                f"the model has no symbolic dim '{name}'",
                at=file,
                help=did_you_mean(name, symbols)
                if symbols
                else "its inputs have no named dims; --shape input=... binds others",
            )
        if extent < 1:
            raise OnnxError(f"dim '{name}' is bound to {extent}, 1 or more expected", at=file)


def extents_of_shapes(inputs: list[onnx.ValueInfoProto], options: ImportOptions) -> dict[str, int]:
    """Named dims in the shapes that the user gives, as far as all shapes agree: files may use one name for two dims."""
    found: dict[str, set[int]] = {}
    for info in inputs:
        shape = options.shapes.get(info.name, ())
        for axis, name in symbolic_dims(info):
            if name and axis < len(shape):
                found.setdefault(name, set()).add(shape[axis])
    return {name: extents.pop() for name, extents in found.items() if len(extents) == 1}


def bind_one(
    info: onnx.ValueInfoProto, options: ImportOptions, defaults: dict[str, int], notes: list[str]
) -> tuple[list[int], list[tuple[str, int, str]]]:
    """Extents of one input, and what is left unbound as (input, axis, dim name)."""
    tensor = info.type.tensor_type
    symbols = dict(symbolic_dims(info))
    rank = len(tensor.shape.dim)
    if info.name in options.values:
        return list(check_fits(info, options.values[info.name].shape, "the value")), []
    if info.name in options.shapes:
        return list(check_fits(info, options.shapes[info.name], "--shape")), []
    if info.type.HasField("tensor_type") and not tensor.HasField("shape"):
        return [], [(info.name, -1, "")]
    extents, left = [], []
    for axis, dim in enumerate(tensor.shape.dim):
        if axis not in symbols:
            extents.append(dim.dim_value)
            continue
        name = symbols[axis]
        extent = options.dims.get(name) or defaults.get(name)
        if extent is None and axis == 0 and rank > 1:
            extent = 1
            defaults.update({name: 1} if name else {})
            how = f"--dim {name}=..." if name else f"--shape {info.name}=..."
            notes.append(f"batch dim {repr(name) + ' ' if name else ''}of input '{info.name}' is taken as 1 ({how})")
        if extent is None:
            left.append((info.name, axis, name))
        extents.append(extent or 1)
    return extents, [item for item in left if item[2] not in defaults or not item[2]]


def check_fits(info: onnx.ValueInfoProto, shape: tuple[int, ...], source: str) -> tuple[int, ...]:
    """A shape that the user gives, against what the file fixes."""
    tensor = info.type.tensor_type
    written = [dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None for dim in tensor.shape.dim]
    if tensor.HasField("shape") and (
        len(written) != len(shape) or any(w not in (None, n) for w, n in zip(written, shape, strict=True))
    ):
        expected = "x".join("?" if w is None else str(w) for w in written) or "a scalar"
        given = "x".join(map(str, shape)) or "a scalar"
        raise OnnxError(f"input '{info.name}': {source} is {given}, the model wants {expected}")
    if any(extent < 0 for extent in shape):
        raise OnnxError(f"input '{info.name}': {source} has a negative extent")
    return shape


def unbound_error(unbound: list[tuple[str, int, str]], inputs: list[onnx.ValueInfoProto], file: str) -> OnnxError:
    """One error for all of them, with the options that bind them."""
    infos = {info.name: info for info in inputs}
    shown = [
        f"{name or f'axis {axis}'} of '{input_name}'" if axis >= 0 else f"the shape of '{input_name}'"
        for input_name, axis, name in unbound
    ]
    # An input with a dim that has no name is bound as a whole; its named dims need no option of their own.
    whole = {input_name for input_name, _, name in unbound if not name}
    options = [
        shape_option(infos[input_name]) if input_name in whole else f"--dim {quote(f'{name}=...')}"
        for input_name, _, name in unbound
    ]
    told = ", ".join(dict.fromkeys(shown))
    return OnnxError(f"inputs have unbound dims: {told}", at=file, help=" ".join(dict.fromkeys(options)))


def shape_option(info: onnx.ValueInfoProto) -> str:
    """``--shape x=1,3,H,W``: what is fixed as it is, a leading dim as 1, letters for what the user must say."""
    symbols = dict(symbolic_dims(info))
    dims = info.type.tensor_type.shape.dim
    parts = [
        str(dim.dim_value)
        if axis not in symbols
        else "1"
        if axis == 0 and len(dims) > 1
        else symbols[axis] or f"D{axis}"
        for axis, dim in enumerate(dims)
    ]
    return f"--shape {info.name}={','.join(parts) or '...'}"
