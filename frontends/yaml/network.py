"""What all functions of one network share: numbers, blocks, limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ircost.frontends.yaml.document import Block
from ircost.frontends.yaml.errors import YamlGraphError
from ircost.frontends.yaml.expression import Number
from ircost.frontends.yaml.inputs import MAX_ELEMENTS
from ircost.ir.graph import Function
from ircost.ir.types import DType, TensorType
from ircost.ir.yaml_document import Entry

# Far above any network that is written by hand; a file from anyone may ask for more than a machine holds.
MOST_LAYERS = 100_000


@dataclass(frozen=True, slots=True)
class BuiltBlock:
    """A block for some params and operand types: the function, and the weights that its callers hand to it."""

    function: Function
    weights: tuple[tuple[str, TensorType], ...]


@dataclass(slots=True)
class Network:
    """What all functions of one network share.

    Args:
        built: blocks by definition, numbers and operand types: equal ones are one function; None for those that are
            laid out in place.
        layers: placed so far, those in repeats as often.
    """

    file: str
    dtype: DType
    names: Mapping[str, Number]
    blocks: Mapping[str, Block]
    built: dict[object, BuiltBlock | None] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)
    layers: int = 0

    def count(self, entry: Entry, times: int = 1) -> None:
        self.layers += times
        if self.layers > MOST_LAYERS:
            raise YamlGraphError(f"more than {MOST_LAYERS} layers and weights", at=entry.position)

    def new_name(self, wanted: str) -> str:
        plain = re.sub(r"\W", "_", wanted) or "block"
        plain = f"block_{plain}" if plain == "main" else plain
        name, number = plain, 1
        while name in self.functions:
            number += 1
            name = f"{plain}_{number}"
        return name


def check_size(type: TensorType, entry: Entry) -> None:
    if type.elements > MAX_ELEMENTS:
        raise YamlGraphError(f"a value of {type} is larger than any memory", at=entry.position)
