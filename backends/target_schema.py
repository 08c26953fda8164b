"""The JSON schema of target files, for editors.

Regenerate with ``python -m ircost.backends.target_schema > backends/target.schema.json``.
"""

from __future__ import annotations

import json
from typing import Any

from ircost.backends.runtime import RUNTIMES
from ircost.backends.target import Target
from ircost.backends.target_document import NOTHING
from ircost.ir.types import DTYPES

# A file that extends another may drop what that says.
DROPPED = {"enum": [NOTHING]}


def target_schema() -> dict[str, Any]:
    """What a target's file may hold: the model's fields, and what the reader takes off before.

    A file that extends another may leave out anything, so nothing is required; sections may carry ``source``
    and ``guess`` for all figures in them.
    """
    schema = Target.model_json_schema(by_alias=True, mode="validation")
    for part in (schema, *schema["$defs"].values()):
        _as_written(part)
    for key in ("matrix", "vector"):
        for owner in (schema, schema["$defs"]["ArithmeticEnergy"]):
            owner["properties"][key] = _per_format(owner["properties"][key])
    for key in ("memory", "links"):
        section = schema["properties"][key]
        section["properties"] = _source_keys()
        section["additionalProperties"] = {"anyOf": [section["additionalProperties"], DROPPED]}
        section.pop("default", None)
    schema["properties"]["runtime"]["enum"] = ["", *dict.fromkeys((*RUNTIMES, *(row.key for row in RUNTIMES.values())))]
    schema["properties"]["extends"] = {
        "type": "string",
        "description": "a target's name, or a file beside this",
    }
    figures: dict[str, Any] = {}
    shared = _share_figures(schema, figures)
    shared["$defs"] |= figures
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **shared}


def _as_written(part: dict[str, Any]) -> None:
    part.pop("required", None)
    part.pop("description", None)
    if part["title"] in ("MemoryLevel", "Link"):
        del part["properties"]["name"]
    part["properties"].update(_source_keys())


def _per_format(section: dict[str, Any]) -> dict[str, Any]:
    """One property per number format, so that an editor completes them and marks any other."""
    formats = dict.fromkeys(DTYPES, section["additionalProperties"])
    return {"type": "object", "properties": {**formats, **_source_keys()}, "additionalProperties": False}


def _share_figures(schema: Any, figures: dict[str, Any]) -> Any:
    """The schema with a reference for each figure; what they refer to is put into ``figures``."""
    if isinstance(schema, list):
        return [_share_figures(inner, figures) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    if "$comment" in schema:
        name = schema["$comment"].replace("/", " per ").replace(" ", "_")
        figures[name] = {"title": schema["$comment"], "anyOf": [*schema["anyOf"], DROPPED]}
        return {"$ref": f"#/$defs/{name}"}
    return {key: _share_figures(inner, figures) for key, inner in schema.items()}


def _source_keys() -> dict[str, Any]:
    return {
        "source": {"type": "string", "description": "where the figures here are from, if they do not say"},
        "guess": {"type": "boolean", "description": "nobody published the figures here"},
    }


if __name__ == "__main__":
    print(json.dumps(target_schema(), indent=1))
