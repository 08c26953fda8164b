"""Rewrites of modules, one file a concept, and the pipelines that run them."""

from ircost.passes.base import PASSES, Pass, PassContext, PassError, register_pass
from ircost.passes.levels import DEFAULT_LEVEL, KINDS, LEVELS, pipeline_of_level
from ircost.passes.pipeline import InternalPassError, PassReport, load_reproducer, run_pipeline
from ircost.passes.pipeline_text import parse_pipeline, pipeline_text

__all__ = [
    "DEFAULT_LEVEL",
    "KINDS",
    "LEVELS",
    "PASSES",
    "InternalPassError",
    "Pass",
    "PassContext",
    "PassError",
    "PassReport",
    "load_reproducer",
    "parse_pipeline",
    "pipeline_of_level",
    "pipeline_text",
    "register_pass",
    "run_pipeline",
]
