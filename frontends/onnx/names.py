"""Names that are not valid UTF-8: protobuf hands them out as bytes, where all else expects text."""

from __future__ import annotations

from functools import cache

import onnx
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message


def parse_with_readable_names(data: bytes) -> onnx.ModelProto:
    """Parses a model; bytes that are no text appear in names as ``\\\\xff``.

    Raises:
        DecodeError: the data are not a model.
    """
    model: onnx.ModelProto = onnx.ModelProto.FromString(data)
    if not _is_all_text(data):
        _escape_strings(model)
    return model


def _is_all_text(data: bytes) -> bool:
    """Whether every string is valid UTF-8, decided by the library itself and hence at its speed.

    It checks strings only under proto3. ONNX publishes its schema under both syntaxes, with the same fields.
    """
    try:
        _strict_model_class().FromString(data)
    except DecodeError:
        return False
    return True


@cache
def _strict_model_class() -> type[Message]:
    """ModelProto under proto3; made once, since the schema does not change."""
    schema = descriptor_pb2.FileDescriptorProto()
    onnx.ModelProto.DESCRIPTOR.file.CopyToProto(schema)
    schema.syntax = "proto3"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(schema)
    made: type[Message] = message_factory.GetMessageClass(pool.FindMessageTypeByName("onnx.ModelProto"))
    return made


def _escape_strings(message: Message) -> None:
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for part in [value] if isinstance(value, Message) else value:
                _escape_strings(part)
        elif field.type == field.TYPE_STRING and isinstance(value, (str, bytes)):
            setattr(message, field.name, _escaped(value))
        elif field.type == field.TYPE_STRING:
            value[:] = [_escaped(text) for text in value]


def _escaped(text: str | bytes) -> str:
    return text if isinstance(text, str) else text.decode(errors="backslashreplace")
