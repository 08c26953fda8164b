"""The JSON schema of reports, read off the report's own declaration.

Regenerate with ``python -m ircost.report_schema > ircost/report_schema.json``.
"""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import MISSING, fields
from typing import Any, TypeAlias

from ircost.model_parts import PartReport
from ircost.report import SCHEMA_VERSION, KernelReport, Report
from ircost.request import RequestFigures
from ircost.transformer_figures import TransformerFigures

Described: TypeAlias = Report | KernelReport | TransformerFigures | PartReport | RequestFigures

TEXT = {"type": "string"}
COUNT = {"type": "integer", "minimum": 0}
QUANTITY = {"type": "number", "minimum": 0}

# A field's annotation -> what stands in the JSON.
SCHEMAS: dict[str, dict[str, Any]] = {
    "str": TEXT,
    "int": COUNT,
    "int | None": {**COUNT, "type": ["integer", "null"]},
    "float": QUANTITY,
    "float | None": {**QUANTITY, "type": ["number", "null"]},
    "tuple[str, ...]": {"type": "array", "items": TEXT},
    "dict[str, float]": {"type": "object", "additionalProperties": QUANTITY},
    "tuple[KernelReport, ...]": {"type": "array", "items": {"$ref": "#/$defs/kernel"}},
    "tuple[PartReport, ...]": {"type": "array", "items": {"$ref": "#/$defs/part"}},
    "RequestFigures | None": {"anyOf": [{"$ref": "#/$defs/request"}, {"type": "null"}]},
    "TransformerFigures | None": {"anyOf": [{"$ref": "#/$defs/transformer"}, {"type": "null"}]},
}

# What `Report.to_dict` adds to the fields.
ADDED: dict[str, dict[str, Any]] = {
    "schema_version": {"const": SCHEMA_VERSION, "description": "changes when a key goes or changes its meaning"},
    "irc_version": {**TEXT, "description": "the release that wrote the report"},
    "fits": {
        "type": "boolean",
        "description": "weights and arena fit ``memory_limit_bytes``, up to the last token of a request; weights that "
        "lie in flash fit that",
    },
    "power_w": {**QUANTITY, "description": "mean power over one run"},
}

# What `KernelReport.to_dict` adds; reports of before have it not, and are none the worse.
ADDED_TO_KERNELS: dict[str, dict[str, Any]] = {
    "flops_per_byte": {
        **QUANTITY,
        "type": ["number", "null"],
        "description": "arithmetic intensity; null where nothing crosses the main memory",
    },
}

ARGUMENT = re.compile(r"^ {4}(?P<names>\w+(?:, \w+)*): (?P<text>.*(?:\n {5,}.*)*)", re.MULTILINE)


def report_schema() -> dict[str, Any]:
    """The schema: a property for each key, described as in the docstrings; units are in the keys' names.

    >>> report_schema()["properties"]["latency_s"]["type"]
    'number'
    """
    properties = {**ADDED, **_properties(Report)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "irc report",
        **_object(
            "What `irc compile --json` prints. SI base units. Further keys may come within a version.",
            properties,
            _properties(Report, is_optional=True),
        ),
        "$defs": {
            "kernel": _object(
                _summary(KernelReport),
                _properties(KernelReport),
                {**ADDED_TO_KERNELS, **_properties(KernelReport, is_optional=True)},
            ),
            "part": _object(_summary(PartReport), _properties(PartReport)),
            "request": _object(
                _summary(RequestFigures), _properties(RequestFigures), _properties(RequestFigures, is_optional=True)
            ),
            "transformer": _object(_summary(TransformerFigures), _properties(TransformerFigures)),
        },
    }


def _object(description: str, properties: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    ordered = dict(sorted({**properties, **(optional or {})}.items()))
    return {"type": "object", "description": description, "required": sorted(properties), "properties": ordered}


def _properties(cls: type[Described], is_optional: bool = False) -> dict[str, Any]:
    """Of fields without a default, which every report has; or of those with one, which came later."""
    described = _descriptions(cls)
    return {
        field.name: {**SCHEMAS[str(field.type)], "description": described[field.name]}
        for field in fields(cls)
        if field.name != "module" and (field.default is not MISSING) == is_optional
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
