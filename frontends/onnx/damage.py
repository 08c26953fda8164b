"""Where a damaged ONNX file breaks; looked for only after parsing it has failed."""

from __future__ import annotations

from mmap import mmap

import onnx
from google.protobuf.descriptor import Descriptor

from ircost.frontends.onnx.wire import RUN, MalformedError, fields

DEEPEST_MESSAGE = 100  # protobuf's own limit


def describe_damage(data: bytes | mmap) -> str:
    """What is wrong first, and at which byte."""
    try:
        _check(data, 0, len(data), onnx.ModelProto.DESCRIPTOR, 1)
    except MalformedError as malformed:
        return f"at byte {malformed.offset} {malformed.reason}"
    return "its messages do not fit together"


def _check(data: bytes | mmap, start: int, end: int, schema: Descriptor, depth: int) -> None:
    if depth > DEEPEST_MESSAGE:
        raise MalformedError(f"messages are nested more than {DEEPEST_MESSAGE} deep", start)
    for field in fields(data, start, end):
        known = schema.fields_by_number.get(field.number)
        if known is not None and known.message_type is not None and field.wire_type == RUN:
            _check(data, field.start, field.end, known.message_type, depth + 1)
