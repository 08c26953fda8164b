"""What can be wrong with an ONNX file."""

from __future__ import annotations

from ircost.ir.errors import IrcError


class OnnxError(IrcError):
    """An ONNX file cannot be read, or says something that ONNX does not allow."""
