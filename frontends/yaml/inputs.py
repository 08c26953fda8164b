"""Inputs of a network: shapes with symbolic dims, bound to numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict

from ircost.frontends.imported import ImportOptions
from ircost.frontends.yaml.document import NAME, PARAM, check_keys, number_at, section, text_at
from ircost.frontends.yaml.errors import YamlGraphError
from ircost.frontends.yaml.expression import Number
from ircost.frontends.yaml.fields import described
from ircost.ir.errors import IrcError, UnsupportedError, did_you_mean
from ircost.ir.types import DType, TensorType, parse_dtype
from ircost.ir.yaml_document import Entry

MAX_ELEMENTS = 1 << 40  # no real tensor has more


class InputDocument(BaseModel):
    """Shape and number format of an input."""

    model_config = ConfigDict(extra="forbid")

    shape: Any = described(..., "extents: numbers, expressions, or words for dims that --dim binds")
    dtype: str = described("", "number format; that of the network where left out; i64 for indices")


@dataclass(slots=True)
class BoundInputs:
    """Types of a network's inputs.

    Args:
        types: by name, in order.
        dims: symbolic dims, and what they were bound to.
        notes: dims that nobody bound and that became 1.
        batch_dims: leading symbolic dims among them.
    """

    types: dict[str, TensorType] = field(default_factory=dict)
    dims: dict[str, Number] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    batch_dims: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Input:
    """As written: an entry for each extent."""

    name: str
    extents: list[Entry]
    dtype: DType
    entry: Entry

    def symbols(self, params: Mapping[str, Number]) -> dict[int, str]:
        """Axes whose extent is a word that is no param."""
        texts = {axis: str(extent.value) for axis, extent in enumerate(self.extents)}
        return {axis: text for axis, text in texts.items() if PARAM.match(text) and text not in params}


def bind_inputs(entry: Entry, params: Mapping[str, Number], dtype: DType, options: ImportOptions) -> BoundInputs:
    """Binds every dim. A leading one that nobody binds becomes 1, with a note; others are listed in one error.

    Raises:
        YamlGraphError: a dim is left unbound, an input is wrong, or an option names nothing of the network.
    """
    inputs = [read_input(name, inner, dtype) for name, inner in section(entry, "inputs").items()]
    if not inputs:
        raise YamlGraphError("a network has one input or more", at=entry.position, help="inputs: {x: [batch, 64]}")
    symbols = {name for one in inputs for name in one.symbols(params).values()}
    check_options(inputs, params, symbols, options, entry)
    bound = BoundInputs()
    for name, extent in options.dims.items():
        if name in symbols:
            bound.dims[name] = extent
    for one in inputs:
        bind_shape(one, params, options, bound)
    bind_leading(inputs, params, bound)
    left = [name for one in inputs for name in one.symbols(params).values() if name not in bound.dims]
    if left:
        named = list(dict.fromkeys(left))
        raise YamlGraphError(
            f"inputs have unbound dims: {', '.join(named)}",
            at=entry.position,
            help=" ".join(f"--dim {name}=..." for name in named),
        )
    names = {**params, **bound.dims}
    for one in inputs:
        bound.types[one.name] = type_of(one, names)
    return bound


def read_input(name: str, entry: Entry, dtype: DType) -> Input:
    what = f"input '{name}'"
    if not NAME.match(name):
        raise YamlGraphError(f"'{name}' is no name", at=entry.position, help="letters, digits, _ . -")
    shape = entry
    if isinstance(entry.value, dict):
        known = check_keys(entry, InputDocument, what)
        shape = known["shape"]
        dtype = dtype_at(known["dtype"]) if "dtype" in known else dtype
    if not isinstance(shape.value, list):
        help = "[batch, 3, 224, 224], or {shape: [batch, 128], dtype: i64}"
        raise YamlGraphError(f"{what}: a list of extents expected", at=shape.position, help=help)
    return Input(name, shape.entries, dtype, shape)


def dtype_at(entry: Entry) -> DType:
    try:
        return parse_dtype(text_at(entry, "dtype"))
    except YamlGraphError:
        raise
    except IrcError as error:
        raise YamlGraphError(error.message, at=entry.position, help=error.help) from None


def check_options(
    inputs: list[Input], params: Mapping[str, Number], symbols: set[str], options: ImportOptions, entry: Entry
) -> None:
    if options.values or options.bounds:
        name = next(iter((*options.values, *options.bounds)))
        raise UnsupportedError(
            f"--value and --bound are not for YAML graphs: '{name}'", help="numbers go into params, --dim changes them"
        )
    for name, extent in options.dims.items():
        if name not in symbols and name not in params:
            known = sorted({*symbols, *params})
            help = did_you_mean(name, known) if known else "it has neither"
            raise YamlGraphError(f"the network has no dim and no param '{name}'", at=entry.file, help=help)
        if extent < 1:
            raise YamlGraphError(f"dim '{name}' is bound to {extent}, 1 or more expected", at=entry.file)
    for name in options.shapes:
        names = [one.name for one in inputs]
        if name not in names:
            raise YamlGraphError(f"the network has no input '{name}'", at=entry.file, help=did_you_mean(name, names))


def bind_shape(one: Input, params: Mapping[str, Number], options: ImportOptions, bound: BoundInputs) -> None:
    """Dims of an input whose whole shape is given; what the file fixes has to be so."""
    shape = options.shapes.get(one.name)
    if shape is None:
        return
    symbols = one.symbols(params)
    given = "x".join(map(str, shape)) or "a scalar"
    if len(shape) != len(one.extents):
        raise YamlGraphError(
            f"input '{one.name}': --shape is {given}, the network wants {len(one.extents)} axes", at=one.entry.position
        )
    for axis, extent in enumerate(shape):
        name = symbols.get(axis)
        if name is not None and bound.dims.setdefault(name, extent) != extent:
            raise YamlGraphError(
                f"input '{one.name}': --shape is {given}, and dim '{name}' is {bound.dims[name]}",
                at=one.entry.position,
            )


def bind_leading(inputs: list[Input], params: Mapping[str, Number], bound: BoundInputs) -> None:
    for one in inputs:
        name = one.symbols(params).get(0)
        if name is None or len(one.extents) < 2:
            continue
        if name not in bound.dims:
            bound.dims[name] = 1
            bound.notes.append(f"batch dim '{name}' of input '{one.name}' is taken as 1 (--dim {name}=...)")
        bound.batch_dims[name] = int(bound.dims[name])


def type_of(one: Input, names: Mapping[str, Number]) -> TensorType:
    extents = []
    for entry in one.extents:
        extent = number_at(entry, names, f"input '{one.name}'")
        if extent != int(extent) or extent < 1:
            message = f"input '{one.name}': extent {entry.value} is {extent}, a whole number from 1 expected"
            raise YamlGraphError(message, at=entry.position)
        extents.append(int(extent))
    type = TensorType(tuple(extents), one.dtype)
    if type.elements > MAX_ELEMENTS:
        raise YamlGraphError(f"input '{one.name}' of {type} is larger than any memory", at=one.entry.position)
    return type
