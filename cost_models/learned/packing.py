"""Text of trees as files, packed by xz: a quarter smaller than by gzip."""

from __future__ import annotations

import lzma
from pathlib import Path

LARGEST_BYTES = 1 << 26  # of a file, packed or not, that is read: no model comes near
DICTIONARY_BYTES = 1 << 22  # more than the text of any bundled model; what unpacks it needs as much memory
MEMORY_BYTES = 1 << 26  # that unpacking may take
FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": DICTIONARY_BYTES}]


def packed(text: str) -> bytes:
    """The same bytes for the same text, whenever it is written."""
    return lzma.compress(text.encode(), lzma.FORMAT_XZ, lzma.CHECK_CRC32, filters=FILTERS)


def unpacked(path: Path) -> str:
    """Raises:
    OSError: it cannot be read.
    ValueError: it is no xz file, cut short, no text, or unpacks to more than any model has.
    """
    with path.open("rb") as file:
        data = checked_size(file.read(LARGEST_BYTES + 1), path)
    reader = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY_BYTES)
    try:  # of what unpacks to more than is allowed, no more is unpacked
        text = checked_size(reader.decompress(data, LARGEST_BYTES + 1), path)
    except lzma.LZMAError as error:
        raise ValueError(f"{path.name} is not an xz file: {error}") from error
    if not reader.eof or reader.unused_data:
        raise ValueError(f"{path.name} is cut short, or something follows its end")
    return text.decode()


def checked_size(data: bytes, path: Path) -> bytes:
    """Raises:
    ValueError: there is more than any model has.
    """
    if len(data) > LARGEST_BYTES:
        raise ValueError(f"{path.name} is larger than {LARGEST_BYTES >> 20} MiB")
    return data
