"""Modules as ONNX models."""

from ircost.backends.onnx.export import to_onnx
from ircost.backends.onnx.files import RUNTIMES, write_onnx

__all__ = ["RUNTIMES", "to_onnx", "write_onnx"]
