"""Transformers from their Hugging Face ``config.json``: no weights, no ONNX file."""

from ircost.frontends.config.architecture import Architecture
from ircost.frontends.config.architecture_reading import architecture_of
from ircost.frontends.config.build import BuiltModel, build_model
from ircost.frontends.config.config_file import ConfigError, read_config
from ircost.frontends.config.workload import Workload

__all__ = [
    "Architecture",
    "BuiltModel",
    "ConfigError",
    "Workload",
    "architecture_of",
    "build_model",
    "read_config",
]
