"""The JSON schema of YAML graphs, for editors.

Regenerate with ``python -m ircost.frontends.yaml.schema > frontends/yaml/graph.schema.json``.
"""

from __future__ import annotations

import inspect
import json
from typing import Any

from pydantic import BaseModel

import ircost.frontends.yaml.layers  # noqa: F401  # registers every kind of layer
from ircost.frontends.yaml.document import BlockDocument, Document
from ircost.frontends.yaml.fields import SHARED_SCHEMAS
from ircost.frontends.yaml.inputs import InputDocument
from ircost.frontends.yaml.ir_op import op_layers
from ircost.frontends.yaml.item import AROUND
from ircost.frontends.yaml.layer import LAYERS
from ircost.ir.attributes import Required
from ircost.ir.definition import OpDefinition
from ircost.ir.types import DTYPES

NUMBER = {"ref": "#/$defs/number"}
NAMES = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
SHAPE = {"type": "array", "items": {"ref": "#/$defs/extent"}}
ATTRIBUTES: dict[str, dict[str, Any]] = {
    "int": {"ref": "#/$defs/whole"},
    "float": NUMBER,
    "bool": {"type": "boolean"},
    "str": {"type": "string"},
    "DType": {"ref": "#/$defs/dtype"},
    "DType | None": {"ref": "#/$defs/dtype"},
    "Ints": {"ref": "#/$defs/wholes"},
    "Pairs": {"type": "array", "items": {"ref": "#/$defs/wholes"}},
}
AROUND_SCHEMAS: dict[str, dict[str, Any]] = {
    "name": NAMES,
    "from": NAMES,
    "repeat": NUMBER,
    "index": {"type": "string"},
}


def graph_schema() -> dict[str, Any]:
    """What a network's file may hold: the models that read it, and the ops of the IR.

    Words for blocks are the file's own, so any section may stand for a layer; settings of layers that are known are
    described and checked.
    """
    schema = _described(Document)
    properties = schema["properties"]
    properties["dtype"] = {**properties["dtype"], "enum": list(DTYPES)}
    properties["params"] = {**properties["params"], "additionalProperties": NUMBER}
    properties["inputs"] = {**properties["inputs"], "additionalProperties": {"anyOf": [SHAPE, _input()]}}
    properties["blocks"] = {**properties["blocks"], "additionalProperties": _block()}
    properties["outputs"] = {**properties["outputs"], **NAMES}
    schema["$defs"] = {
        **SHARED_SCHEMAS,
        "dtype": {"enum": list(DTYPES)},
        "layers": {"type": "array", "items": {"ref": "#/$defs/layer"}},
        "layer": _layer(),
    }
    found = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "irc network"}
    return dict(_with_references(found))


def _with_references(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_with_references(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    return {"$ref" if key == "ref" else key: _with_references(inner) for key, inner in schema.items()}


def _input() -> dict[str, Any]:
    schema = _described(InputDocument)
    schema["properties"]["shape"] |= SHAPE
    schema["properties"]["dtype"]["enum"] = list(DTYPES)
    return schema


def _block() -> dict[str, Any]:
    schema = _described(BlockDocument)
    with_defaults = {"type": "object", "additionalProperties": {"anyOf": [NUMBER, {"type": "null"}]}}
    schema["properties"]["params"] |= {"anyOf": [*NAMES["anyOf"], with_defaults]}
    schema["properties"]["inputs"] |= NAMES
    schema["properties"]["outputs"] |= NAMES
    return schema


def _layer() -> dict[str, Any]:
    kinds = {name: _with_lone_setting(_described(model)) for name, model in sorted(LAYERS.items())}
    kinds |= {name: _with_lone_setting(_op(op)) for name, op in sorted(op_layers().items())}
    around = {name: {**AROUND_SCHEMAS[name], "description": text} for name, text in AROUND.items()}
    return {"anyOf": [{"type": "string"}, {"type": "object", "properties": {**around, **kinds}}]}


def _described(model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema()
    for inner in schema["properties"].values():
        inner.pop("title", None)
    schema.pop("title", None)
    return schema


def _op(op: OpDefinition) -> dict[str, Any]:
    required = [name for name, spec in op.attributes.items() if isinstance(spec.default, Required)]
    schema: dict[str, Any] = {
        "type": "object",
        "description": inspect.cleandoc(op.doc).split("\n")[0],
        "properties": {name: dict(ATTRIBUTES[spec.kind]) for name, spec in op.attributes.items()},
        "additionalProperties": False,
    }
    return {**schema, "required": required} if required else schema


def _with_lone_setting(schema: dict[str, Any]) -> dict[str, Any]:
    """A value alone is that of the first setting; without any, the settings are left out."""
    first = next(iter(schema["properties"].values()), None)
    alone = [{key: value for key, value in first.items() if key != "default"}] if first else []
    nothing = [] if schema.get("required") else [{"type": "null"}]
    return {"description": schema["description"], "anyOf": [schema, *alone, *nothing]}


if __name__ == "__main__":
    print(json.dumps(graph_schema(), indent=1))
