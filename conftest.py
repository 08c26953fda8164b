"""Options of tests and benchmarks: where models and measurements lie that are not part of the project."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

# Doctests are collected by importing, and these files import torch, which is an extra.
OF_TORCH = ("frontends/torch/*", "datasets/measuring/pytorch/*")
collect_ignore_glob = [] if find_spec("torch") else [f"{top}{path}" for path in OF_TORCH for top in ("ircost/", "")]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--zoo", metavar="DIR", help="folder of exported ONNX models, with zoo.json and packaged.json")
    parser.addoption("--measured", metavar="DIR", help="folder of measurements, with gemm.parquet")
    parser.addoption("--conformance", action="store_true", help="export all of ONNX's conformance cases, not a sample")
