"""Predicts a matrix product's row of a roofline table: operations, traffic, intensity, what bounds it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ircost.api import compile_model
from ircost.backends import load_target
from ircost.datasets.claim_yaml import ClaimError, Section
from ircost.datasets.claims import Written
from ircost.frontends.config.architecture import Architecture
from ircost.frontends.config.layer_parts import Attention, FeedForward
from ircost.ir.parser import parse_module
from ircost.ir.types import parse_dtype
from ircost.predictors.known_architecture import architecture_named
from ircost.predictors.prediction import Point, Prediction
from ircost.quantity_text import si_text, small_text
from ircost.report import Report

PRODUCT = """\
module @product

func @main(%x: {m}x{k}x{dtype}, %w: {k}x{n}x{dtype}) -> {m}x{n}x{dtype} {{
  %y = matmul %x, %w : {m}x{n}x{dtype}
  return %y
}}
"""


class RooflineConfiguration(Written):
    """Args:
    target: the machine.
    dtype: of activations and weights.
    model: a bundled one. part: ``query``, ``key``, ``out``, ``up`` or ``down``: a product of each of its layers.
    rows: of the activations, by point.
    """

    target: str
    dtype: str
    model: str
    part: Literal["query", "key", "out", "up", "down"]
    rows: dict[str, int] = Field(min_length=1)


def predict_gemm_roofline(section: Section) -> Prediction:
    """Each product as a model of its own, by the roofline model.

    Raises:
        ClaimError: the configuration is wrong, or the target unknown or without the format.
    """
    wanted = section.read(RooflineConfiguration)
    with section.blaming("dtype"):
        dtype = parse_dtype(wanted.dtype)
    with section.blaming("target"):
        target = load_target(wanted.target)
        peak = f"matrix.{target.unit_for(dtype)[1]}"
    n, k = weight_of(architecture_named(wanted.model, section), wanted.part, section)
    values: dict[Point, float | str] = {}
    reasons: dict[Point, str] = {}
    for point, m in wanted.rows.items():
        text = PRODUCT.format(m=m, n=n, k=k, dtype=wanted.dtype)
        report = compile_model(parse_module(text), target, pipeline="", cost_model="roofline")
        for name, value in _row(report, target.main_memory.name).items():
            values[name, point] = value
            reasons[name, point] = _reason(report)
    return Prediction(
        values=values,
        reasons=reasons,
        target=target,
        figures=(f"memory.{target.main_memory.name}.bandwidth_bytes_per_s", peak),
        model="roofline, no constants",
    )


def weight_of(architecture: Architecture, part: str, section: Section) -> tuple[int, int]:
    """Rows and columns [n, k] of a weight of the first layer.

    Raises:
        ClaimError: the model's layers are of another kind.
    """
    layer, hidden = architecture.stack.layers[0], architecture.hidden
    mixer, feed_forward = layer.mixer, layer.feed_forward
    if not isinstance(mixer, Attention) or not isinstance(feed_forward, FeedForward):
        raise ClaimError(f"layers of {architecture.name} have no plain '{part}'", at=section.place("part"))
    return {
        "query": (mixer.heads * mixer.width, hidden),
        "key": (mixer.kv_heads * mixer.width, hidden),
        "out": (hidden, mixer.heads * mixer.value_width),
        "up": (feed_forward.inner, hidden),
        "down": (hidden, feed_forward.inner),
    }[part]


def _row(report: Report, main_memory: str) -> dict[str, float | str]:
    (bound,) = {kernel.bound for kernel in report.kernels}
    return {
        "operations": report.flops / 1e9,
        "traffic": report.bytes / 1e6,
        "intensity": report.flops / report.bytes,
        "attainable": report.flops / report.latency_s / 1e12,
        "bound": {"matrix": "compute", main_memory: "memory"}.get(bound, bound),
    }


def _reason(report: Report) -> str:
    (kernel,) = report.kernels
    moved = f"{si_text(report.flops, 'op')} and {si_text(report.bytes, 'B')}, each operand and the result once"
    return f"{moved}; {small_text(report.latency_s, 's')}, bound by {kernel.bound}"
