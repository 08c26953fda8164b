"""Text of trees as files, packed by xz: a quarter smaller than by gzip."""

from __future__ import annotations

import hashlib
import lzma
from pathlib import Path

LARGEST_BYTES = 1 << 26  # of a file, packed or not, that is read: no model comes near
DICTIONARY_BYTES = 1 << 22  # more than the text of any bundled model; what unpacks it needs as much memory
MEMORY_BYTES = 1 << 26  # that unpacking may take
FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": DICTIONARY_BYTES}]


def packed(text: str) -> bytes:
    """The same bytes for the same text, whenever it is written."""
    return lzma.compress(text.encode(), lzma.FORMAT_XZ, lzma.CHECK_CRC32, filters=FILTERS)


def unpacked(path: Path, digest: str | None = None) -> str:
    """The text of a file.

    Args:
        digest: SHA-256 that the file was written with, where that is known.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no xz file, cut short, no text, or unpacks to more than any model has; it is another file than
            was written.
    """
    data = read_bytes(path)
    if digest not in (None, digest_of_bytes(data)):
        raise ValueError("another file than was written beside the others")
    reader = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY_BYTES)
    try:  # of what unpacks to more than is allowed, no more is unpacked
        text = checked_size(reader.decompress(data, LARGEST_BYTES + 1), path)
    except lzma.LZMAError as error:
        raise ValueError(f"{path.name} is not an xz file: {error}") from error
    if not reader.eof or reader.unused_data:
        raise ValueError(f"{path.name} is cut short, or something follows its end")
    return text.decode()


def digest_of_bytes(data: bytes) -> str:
    """SHA-256, as hex digits."""
    return hashlib.sha256(data).hexdigest()


def read_bytes(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no plain file, such as a device without end, or is larger than that of any model.
    """
    if path.exists() and not path.is_file():
        raise ValueError(f"{path.name} is no file")
    with path.open("rb") as file:
        return checked_size(file.read(LARGEST_BYTES + 1), path)


def checked_size(data: bytes, path: Path) -> bytes:
    """Raises:
    ValueError: there is more than any model has.
    """
    if len(data) > LARGEST_BYTES:
        raise ValueError(f"{path.name} is larger than {LARGEST_BYTES >> 20} MiB")
    return data
