"""The wire format of protocol buffers, as far as it takes to leave long fields out of a file unread.

A message is a run of fields. Each begins with the number ``field << 3 | wire_type``, in base 128, least digit
first.
Source: Protocol Buffers documentation, "Encoding".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from mmap import mmap
from typing import NamedTuple

NUMBER, EIGHT_BYTES, RUN, FOUR_BYTES = 0, 1, 2, 5
LONGEST_NUMBER_BYTES = 10  # 64 bits, 7 a byte


class MalformedError(Exception):
    """Not the wire format, or a part of it that this module leaves to the real parser.

    Args:
        reason: what was found.
        offset: the byte of the file at which the field begins.
    """

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.offset = offset


class Field(NamedTuple):
    """A field of a message: its tag begins at byte ``begin``, its content is ``[start, end)``."""

    number: int
    wire_type: int
    begin: int
    start: int
    end: int


def fields(data: bytes | mmap, start: int, end: int, longer_than: int = -1) -> Iterator[Field]:
    """The fields of the message in ``data[start:end]`` whose content has more than ``longer_than`` bytes.

    Linear in the number of fields; the content of none is touched.

    Raises:
        MalformedError: a field reaches past ``end``, or is of no known wire type.

    >>> [(field.number, field.end - field.start) for field in fields(b"\\x08\\x07\\x12\\x02ab", 0, 6)]
    [(1, 1), (2, 2)]
    """
    position = start
    while position < end:
        tag, content = read_number(data, position, end)
        wire_type = tag & 7
        if wire_type == RUN:
            length, content = read_number(data, content, end)
            stop = content + length
        elif wire_type == NUMBER:
            stop = read_number(data, content, end)[1]
        elif wire_type in (EIGHT_BYTES, FOUR_BYTES):
            stop = content + (8 if wire_type == EIGHT_BYTES else 4)
        else:
            raise MalformedError(f"a field of unknown wire type {wire_type}", position)
        if stop > end:
            left = max(0, end - content)
            raise MalformedError(f"field {tag >> 3} takes {stop - content} bytes, {left} are left", position)
        if stop - content > longer_than:
            yield Field(tag >> 3, wire_type, position, content, stop)
        position = stop


def read_number(data: bytes | mmap, position: int, end: int) -> tuple[int, int]:
    """A number in base 128 and the position after it.

    >>> read_number(b"\\xac\\x02", 0, 2)
    (300, 2)
    """
    value = shift = 0
    for place in range(position, min(end, position + LONGEST_NUMBER_BYTES)):
        byte = data[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place + 1
        shift += 7
    raise MalformedError("a number that does not end", position)


def write_number(value: int) -> bytes:
    """A natural number in base 128.

    >>> write_number(300)
    b'\\xac\\x02'
    """
    digits = bytearray()
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)


def write_run(number: int, content: bytes) -> bytes:
    """A field of wire type ``RUN``."""
    return write_number(number << 3 | RUN) + write_number(len(content)) + content


def without(data: bytes | mmap, cut: Field, inside: Sequence[Field]) -> bytes:
    """The outermost field of ``inside`` as bytes, with ``cut`` left out of the innermost.

    Args:
        inside: the messages around ``cut``, from the outermost to the innermost.
    """
    replacement, hole = b"", cut
    for message in reversed(inside):
        content = data[message.start : hole.begin] + replacement + data[hole.end : message.end]
        replacement, hole = write_run(message.number, content), message
    return replacement
