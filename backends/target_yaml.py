"""Target files as YAML: their limits, and what is said where one is wrong."""

from __future__ import annotations

from pathlib import Path

from ircost.backends.errors import TargetError
from ircost.ir import yaml_document
from ircost.ir.yaml_document import DocumentKind, Entry

TARGET_FILE = DocumentKind(
    what="target",
    error=TargetError,
    max_depth=8,
    start="start with 'name:' and 'extends:'",
    instead_of_anchors="write it out, or use 'extends:'",
)


def read_file(path: Path) -> Entry:
    """The top section of a target's file; raises TargetError where it is none."""
    return yaml_document.read_file(path, TARGET_FILE)


def read_text(text: str, file: str) -> Entry:
    """The top section of a target's text; raises TargetError where it is none."""
    return yaml_document.read_text(text, file, TARGET_FILE)
