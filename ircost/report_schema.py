"""The JSON schema of reports, read off the report's own declaration.

Regenerate with ``python -m ircost.report_schema > ircost/report_schema.json``.
"""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import fields
from typing import Any, TypeAlias

from ircost.report import SCHEMA_VERSION, KernelReport, Report
from ircost.transformer_figures import TransformerFigures

Described: TypeAlias = Report | KernelReport | TransformerFigures

TEXT = {"type": "string"}
COUNT = {"type": "integer", "minimum": 0}
QUANTITY = {"type": "number", "minimum": 0}

# A field's annotation -> what stands in the JSON.
SCHEMAS: dict[str, dict[str, Any]] = {
    "str": TEXT,
    "int": COUNT,
    "float": QUANTITY,
    "float | None": {**QUANTITY, "type": ["number", "null"]},
    "tuple[str, ...]": {"type": "array", "items": TEXT},
    "dict[str, float]": {"type": "object", "additionalProperties": QUANTITY},
    "tuple[KernelReport, ...]": {"type": "array", "items": {"$ref": "#/$defs/kernel"}},
    "TransformerFigures | None": {"anyOf": [{"$ref": "#/$defs/transformer"}, {"type": "null"}]},
}

# What `Report.to_dict` adds to the fields.
ADDED: dict[str, dict[str, Any]] = {
    "schema_version": {"const": SCHEMA_VERSION, "description": "changes when a key goes or changes its meaning"},
    "irc_version": {**TEXT, "description": "the release that wrote the report"},
    "fits": {"type": "boolean", "description": "weights and arena fit ``memory_limit_bytes``"},
    "power_w": {**QUANTITY, "description": "mean power over one run"},
}

ARGUMENT = re.compile(r"^ {4}(?P<names>\w+(?:, \w+)*): (?P<text>.*(?:\n {5,}.*)*)", re.MULTILINE)


def report_schema() -> dict[str, Any]:
    """The schema: a property for each key, described as in the docstrings; units are in the keys' names.

    >>> report_schema()["properties"]["latency_s"]["type"]
    'number'
    """
    properties = {**ADDED, **_properties(Report, leave_out=("module",))}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "irc report",
        **_object(
            "What `irc compile --json` prints. SI base units. Further keys may come within a version.", properties
        ),
        "$defs": {
            "kernel": _object(_summary(KernelReport), _properties(KernelReport)),
            "transformer": _object(_summary(TransformerFigures), _properties(TransformerFigures)),
        },
    }


def _object(description: str, properties: dict[str, Any]) -> dict[str, Any]:
    ordered = dict(sorted(properties.items()))
    return {"type": "object", "description": description, "required": list(ordered), "properties": ordered}


def _properties(cls: type[Described], leave_out: tuple[str, ...] = ()) -> dict[str, Any]:
    described = _descriptions(cls)
    return {
        field.name: {**SCHEMAS[str(field.type)], "description": described[field.name]}
        for field in fields(cls)
        if field.name not in leave_out
    }


def _descriptions(cls: type) -> dict[str, str]:
    """What the docstring says of each field; one line may speak of several."""
    return {
        name: " ".join(match["text"].split()).replace("None", "null")
        for match in ARGUMENT.finditer(inspect.getdoc(cls) or "")
        for name in match["names"].split(", ")
    }


def _summary(cls: type) -> str:
    return (inspect.getdoc(cls) or "").split("\n")[0]


if __name__ == "__main__":
    print(json.dumps(report_schema(), indent=1))
