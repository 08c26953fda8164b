"""Layers that are ops of the IR under their own names, with attributes as settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

from pydantic import ValidationInfo

from ircost.frontends.yaml.errors import YamlGraphError
from ircost.frontends.yaml.expression import Number
from ircost.frontends.yaml.fields import number, several, truth, whole
from ircost.frontends.yaml.layer import LAYERS
from ircost.frontends.yaml.settings import is_nothing, plain
from ircost.ir.attributes import Attribute, AttributeSpec
from ircost.ir.definition import OPS, OpDefinition
from ircost.ir.errors import PluginError, did_you_mean
from ircost.ir.graph import Value
from ircost.ir.types import parse_dtype
from ircost.ir.yaml_document import Entry


class _Names:
    """Stands in for pydantic's, which carries the names to readers of numbers."""

    def __init__(self, context: Mapping[str, Number]) -> None:
        self.context = context


Reader = Callable[[Any, ValidationInfo], Attribute]

READERS: dict[str, Reader] = {
    "int": whole,
    "float": number,
    "bool": lambda value, names: truth(value),
    "str": lambda value, names: str(value),
    "DType": lambda value, names: parse_dtype(str(value)),
    "DType | None": lambda value, names: parse_dtype(str(value)),
    "Ints": several(whole),
    "Pairs": several(several(whole)),
}


@cache
def op_layers() -> dict[str, OpDefinition]:
    """Ops that may stand as layers: those that values and attributes say all of. What does not load is none."""
    found = {}
    for name in OPS.names():
        with suppress(PluginError):
            op = OPS.get(name)
            if is_layer(op) and name not in LAYERS:
                found[name] = op
    return found


def is_layer(op: OpDefinition) -> bool:
    has_own_types = op.needs_result_types or op.is_terminator
    return not has_own_types and (op.is_composite or not op.region_names) and _are_read(op.attributes.values())


def _are_read(attributes: Any) -> bool:
    return all(spec.kind in READERS for spec in attributes)


def build_op(op: OpDefinition, entry: Entry, names: Mapping[str, Number], operands: Sequence[Value]) -> Sequence[Value]:
    """The op on operands; a lone setting is that of its first attribute.

    Raises:
        YamlGraphError: an attribute is unknown or not of its kind.
        IrcError: operands or attributes do not fit.
    """
    settings = entry.section
    if not isinstance(entry.value, dict) and not is_nothing(entry):
        if not op.attributes:
            raise YamlGraphError(f"{op.name}: takes no settings", at=entry.position)
        settings = {next(iter(op.attributes)): entry}
    attrs = {name: _attribute(op, name, inner, names) for name, inner in settings.items()}
    return op.create(operands, attrs).results


def _attribute(op: OpDefinition, name: str, entry: Entry, names: Mapping[str, Number]) -> Attribute:
    spec: AttributeSpec | None = op.attributes.get(name)
    if spec is None:
        known = ", ".join(op.attributes) or "it has none"
        help = did_you_mean(name, op.attributes, f"attributes: {known}")
        raise YamlGraphError(f"{op.name}: no setting '{name}'", at=entry.position, help=help)
    try:
        return READERS[spec.kind](plain(entry), _Names(names))  # type: ignore[arg-type]
    except (ValueError, TypeError) as error:
        raise YamlGraphError(f"{op.name}: {name}: {error}", at=entry.position) from None
