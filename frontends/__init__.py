"""Readers of models: ONNX files, YAML graphs and IR text; third parties add theirs."""

from ircost.frontends.imported import Imported, ImportOptions
from ircost.frontends.load import FRONTENDS, Frontend, load

__all__ = ["FRONTENDS", "Frontend", "ImportOptions", "Imported", "load"]
