"""Modules as ONNX models."""

from ircost.backends.onnx.export import RUNTIMES, to_onnx
from ircost.backends.onnx.files import write_onnx

__all__ = ["RUNTIMES", "to_onnx", "write_onnx"]
