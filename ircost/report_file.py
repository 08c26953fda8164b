"""Reports read back from the JSON that `irc compile --json` writes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from ircost.ir.errors import IrcError
from ircost.ir.json_document import parse_json

SCHEMA = Path(__file__).parent / "report_schema.json"
HELP = "give a model, or what 'irc compile --json' wrote"

KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
    "array": (list,),
    "object": (dict,),
}


class ReportFileError(IrcError):
    """A file is no report."""


def read_report(path: str | Path) -> dict[str, Any]:
    """The plain values of a report, checked against its schema.

    Raises:
        ReportFileError: the file cannot be read, is no JSON, or does not hold to the schema; says where.
    """
    try:
        value = parse_json(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ReportFileError(f"cannot read {path}: {error.strerror}", help="check the path") from None
    except ValueError as error:
        raise ReportFileError(f"{path} is not JSON: {error}", help=HELP) from None
    wrong = mistakes(value)
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise ReportFileError(f"{path} is not a report by irc: {wrong[0]}{more}", help=HELP)
    found: dict[str, Any] = value
    return found


def mistakes(report: Any) -> list[str]:
    """What does not hold to the published schema; none is right."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    return _mistakes(report, schema, schema["$defs"], "$")


def _mistakes(value: Any, schema: dict[str, Any], defs: dict[str, Any], place: str) -> list[str]:
    """As much of JSON Schema as this one uses."""
    if "$ref" in schema:
        return _mistakes(value, defs[schema["$ref"].rpartition("/")[2]], defs, place)
    if "anyOf" in schema:
        found = [_mistakes(value, part, defs, place) for part in schema["anyOf"]]
        return [] if [] in found else found[0]
    if "const" in schema:
        return [] if value == schema["const"] else [f"{place} is {value!r}, not {schema['const']!r}"]
    allowed = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not any(_is_a(kind, value) for kind in allowed):
        return [f"{place} is no {' or '.join(allowed)}"]
    if "minimum" in schema and value is not None and value < schema["minimum"]:
        return [f"{place} is below {schema['minimum']}"]
    return _inside(value, schema, defs, place)


def _is_a(kind: str, value: Any) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if isinstance(value, (int, float)) and not abs(value) <= sys.float_info.max:
        return False  # Python's reader takes Infinity, NaN and integers beyond all floats
    return isinstance(value, KINDS[kind])


def _inside(value: Any, schema: dict[str, Any], defs: dict[str, Any], place: str) -> list[str]:
    if isinstance(value, list):
        return [m for i, item in enumerate(value) for m in _mistakes(item, schema["items"], defs, f"{place}[{i}]")]
    if not isinstance(value, dict):
        return []
    missing = [f"{place}.{key} is missing" for key in schema.get("required", ()) if key not in value]
    known = schema.get("properties", {})
    rest = schema.get("additionalProperties")
    parts = [(key, known.get(key, rest)) for key in value]
    # What is there first: of a later version all that is to be said is its number.
    return [m for key, part in parts if part for m in _mistakes(value[key], part, defs, f"{place}.{key}")] + missing
