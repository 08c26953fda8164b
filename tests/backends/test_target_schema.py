"""The published JSON schema is that of the model, and has every key that the bundled files use."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ircost.backends.target_files import BUNDLED
from ircost.backends.target_schema import target_schema

SCHEMA = json.loads((BUNDLED.parent / "target.schema.json").read_text())


def test_schema_is_current() -> None:
    cure = "python -m ircost.backends.target_schema > backends/target.schema.json"
    assert target_schema() == SCHEMA, f"run: {cure}"


@pytest.mark.parametrize("path", sorted(BUNDLED.glob("*.yaml")), ids=lambda path: path.stem)
def test_bundled_files_fit(path: Path) -> None:
    assert mistakes(yaml.safe_load(path.read_text()), SCHEMA) == []


@pytest.mark.parametrize(
    "text",
    [
        "runtime: vllm",
        "runtime: vendor_library",
        "links: {nvlink: {topology: mesh, devices: 8, reduces: true}}",
        "links: {nvlink: none}",
        "matrix: {f64: none}",
        "memory: {l2: none}",
    ],
)
def test_schema_takes(text: str) -> None:
    assert mistakes(yaml.safe_load(text), SCHEMA) == []


@pytest.mark.parametrize(
    "text",
    [
        "bandwidth: 3 TB/s",
        "matrix: {fp16: 3 TFLOP/s}",
        "matrix: {f16: 3 TB/s}",
        "matrix: {f16: 3}",
        "memory: {hbm: {bandwith: 3 TB/s}}",
        "power: {peak: {value: 3 W, sorce: x}}",
        "processors: {count: -1}",
        "kind: toaster",
        "runtime: vlm",
        "links: {nvlink: {topology: ring}}",
        "links: {nvlink: {devices: 1}}",
        "links: {nvlink: nothing}",
    ],
)
def test_schema_refuses(text: str) -> None:
    assert mistakes(yaml.safe_load(text), SCHEMA)


def mistakes(value: Any, schema: dict[str, Any], place: str = "") -> list[str]:
    """As much of JSON Schema as this one uses: enough to notice a file that an editor would mark."""
    if "$ref" in schema:
        return mistakes(value, SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]], place)
    if "anyOf" in schema:
        tried = [mistakes(value, option, place) for option in schema["anyOf"]]
        return [] if [] in tried else [f"{place}: none of the forms"]
    kinds = {
        "string": str,
        "boolean": bool,
        "integer": int,
        "array": list,
        "object": dict,
        "null": type(None),
    }
    if "type" in schema and not isinstance(value, kinds[schema["type"]]):
        return [f"{place}: not {schema['type']}"]
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        return [f"{place}: '{value}' does not match"]
    if value not in schema.get("enum", [value]) or (isinstance(value, int) and value < schema.get("minimum", value)):
        return [f"{place}: {value} not allowed"]
    return _in_object(value, schema, place) if isinstance(value, dict) else []


def _in_object(value: dict[str, Any], schema: dict[str, Any], place: str) -> list[str]:
    found = [f"{place}: no {key}" for key in schema.get("required", ()) if key not in value]
    for key, inner in value.items():
        rule = schema.get("properties", {}).get(key, schema.get("additionalProperties", {}))
        found += [f"{place}.{key}: unknown"] if rule is False else mistakes(inner, rule, f"{place}.{key}")
    return found
