"""What a file is that was given in place of an ONNX model."""

from __future__ import annotations

from typing import NamedTuple


class FileKind(NamedTuple):
    """A kind of file, and what to do with one."""

    name: str
    cure: str


CUT_OFF = "the file may be cut off or damaged: fetch or export it again"
EXPORT = "export the model to ONNX first"
TEXT = FileKind("text", "an ONNX model is a binary file; onnx.load and onnx.save convert one in JSON or text")

# (offset, first bytes, kind). Sources: the formats' own specifications.
MAGIC: tuple[tuple[int, bytes, FileKind], ...] = (
    (0, b"version https://git-lfs", FileKind("a Git LFS pointer, not the model itself", "run: git lfs pull")),
    (0, b"<!DOCTYPE", FileKind("a web page", "the download gave a page instead of the file: fetch it again")),
    (0, b"<html", FileKind("a web page", "the download gave a page instead of the file: fetch it again")),
    (0, b"PK\x03\x04", FileKind("a zip archive or a PyTorch checkpoint", f"unpack it, or {EXPORT}")),
    (0, b"\x1f\x8b", FileKind("a gzip archive", "unpack it first")),
    (0, b"\x80\x02", FileKind("a Python pickle", EXPORT)),
    (0, b"\x89HDF", FileKind("an HDF5 file", EXPORT)),
    (4, b"ORTM", FileKind("an ONNX Runtime model (.ort)", "give the .onnx file that it was made from")),
    (4, b"TFL3", FileKind("a TensorFlow Lite model", EXPORT)),
    (8, b'{"', FileKind("a safetensors file", "it holds weights alone; give the model's .onnx file")),
)


def kind_of(head: bytes) -> FileKind | None:
    """What a file is by its first bytes; None if that is not known.

    >>> kind_of(b"<html><head>").name
    'a web page'
    """
    for offset, magic, kind in MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return kind
    return TEXT if head and all(byte >= 0x20 or byte in b"\t\n\r" for byte in head) else None
