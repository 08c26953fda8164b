"""What a file says beside its layers: name, params, inputs, blocks, outputs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict

from ircost.frontends.yaml.errors import YamlGraphError
from ircost.frontends.yaml.expression import Number, evaluate
from ircost.frontends.yaml.fields import LayerList, described
from ircost.frontends.yaml.settings import is_nothing
from ircost.ir.errors import did_you_mean
from ircost.ir.yaml_document import DocumentKind, Entry

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-/]*\Z")
PARAM = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")

GRAPH_FILE = DocumentKind(
    what="network",
    error=YamlGraphError,
    max_depth=40,
    start="start with 'inputs:' and 'layers:'",
    instead_of_anchors="make it a block: blocks: {name: {layers: [...]}}",
)


class Document(BaseModel):
    """A network: inputs, layers in order, outputs."""

    model_config = ConfigDict(extra="forbid")

    name: str = described("", "of the network; the file's where left out")
    dtype: str = described("f32", "number format of inputs and weights: f32, f16, bf16, ...")
    params: dict[str, Any] = described({}, "numbers by name for expressions; --dim name=... gives another value")
    inputs: dict[str, Any] = described(..., "shape of each input: a list, or shape and dtype; words are dims")
    blocks: dict[str, Any] = described({}, "layers under a name, used as a layer of their own")
    layers: LayerList = described(..., "in order; each takes the one before unless 'from' names others")
    outputs: Any = described(None, "names of what the network returns; the last layer where left out")


class BlockDocument(BaseModel):
    """Layers under a name."""

    model_config = ConfigDict(extra="forbid")

    params: Any = described([], "names, or names with defaults")
    inputs: Any = described(["input"], "names of what it takes")
    layers: LayerList = described(..., "in order; they see the block's inputs and one another")
    outputs: Any = described(None, "names of what it returns; the last layer where left out")


@dataclass(frozen=True, slots=True)
class Block:
    """A definition of layers that are used under its name.

    Args:
        name: of the block.
        params: a default for each, None where it has to be given.
        inputs: names of what it takes.
        layers: as written.
        outputs: names of what it returns; none means the last layer.
        entry: the definition, for messages.
        names: numbers that it sees from around: of a group of layers, those at its place.
    """

    name: str
    params: Mapping[str, Entry | None]
    inputs: tuple[str, ...]
    layers: Entry
    outputs: tuple[Entry, ...]
    entry: Entry
    names: Mapping[str, Number] = field(default_factory=dict)


def check_keys(entry: Entry, model: type[BaseModel], what: str) -> dict[str, Entry]:
    """The section, whose keys are those of the model.

    Raises:
        YamlGraphError: it is no section, has another key, or lacks one.
    """
    if not isinstance(entry.value, dict):
        raise YamlGraphError(f"{what} is a section of 'key: value' lines", at=entry.position)
    for key, inner in entry.section.items():
        if key not in model.model_fields:
            raise YamlGraphError(
                f"{what}: no key '{key}'", at=inner.position, help=did_you_mean(key, model.model_fields)
            )
    for key, known in model.model_fields.items():
        if known.is_required() and key not in entry.section:
            raise YamlGraphError(f"{what}: '{key}' is missing", at=entry.position, help=f"{key}: {known.description}")
    return entry.section


def read_params(entry: Entry | None, given: Mapping[str, int]) -> dict[str, Number]:
    """Numbers by name, those that are given in place of the file's; each may use those before it."""
    names: dict[str, Number] = {}
    for name, inner in (section(entry, "params") if entry else {}).items():
        if not PARAM.match(name):
            raise YamlGraphError(f"params: '{name}' is no name", at=inner.position, help="letters, digits and _")
        names[name] = given[name] if name in given else number_at(inner, names, f"params: {name}")
    return names


def number_at(entry: Entry, names: Mapping[str, Number], what: str) -> Number:
    try:
        return evaluate(text_at(entry, what), names)
    except ValueError as error:
        raise YamlGraphError(f"{what}: {error}", at=entry.position) from None


def text_at(entry: Entry, what: str) -> str:
    if not isinstance(entry.value, str):
        raise YamlGraphError(f"{what}: one value expected", at=entry.position)
    return entry.value


def section(entry: Entry, what: str) -> dict[str, Entry]:
    if not isinstance(entry.value, dict) and not is_nothing(entry):
        raise YamlGraphError(f"{what} is a section of 'name: value' lines", at=entry.position)
    return entry.section


def names_at(entry: Entry | None, what: str) -> tuple[Entry, ...]:
    """One name, or a list of names."""
    if entry is None:
        return ()
    entries = entry.entries if isinstance(entry.value, list) else [entry]
    for inner in entries:
        if not NAME.match(text_at(inner, what)):
            raise YamlGraphError(
                f"{what}: '{inner.value}' is no name", at=inner.position, help="letters, digits, _ . -"
            )
    return tuple(entries)


def read_blocks(entry: Entry | None) -> dict[str, Block]:
    return {name: read_block(name, inner) for name, inner in (section(entry, "blocks") if entry else {}).items()}


def read_block(name: str, entry: Entry) -> Block:
    what = f"block '{name}'"
    if not NAME.match(name):
        raise YamlGraphError(f"'{name}' is no name", at=entry.position, help="letters, digits, _ . -")
    known = check_keys(entry, BlockDocument, what)
    inputs = tuple(inner.value for inner in names_at(known.get("inputs"), f"{what}: inputs"))
    return Block(
        name=name,
        params=block_params(known.get("params"), what),
        inputs=inputs or ("input",),
        layers=known["layers"],
        outputs=names_at(known.get("outputs"), f"{what}: outputs"),
        entry=entry,
    )


def block_params(entry: Entry | None, what: str) -> dict[str, Entry | None]:
    if entry is None:
        return {}
    if isinstance(entry.value, dict):
        found: dict[str, Entry | None] = dict(entry.section)
        found = {name: None if inner is None or is_nothing(inner) else inner for name, inner in found.items()}
    else:
        found = {inner.value: None for inner in names_at(entry, f"{what}: params")}
    for name in found:
        if not PARAM.match(name):
            raise YamlGraphError(f"{what}: param '{name}' is no name", at=entry.position, help="letters, digits and _")
    return found
