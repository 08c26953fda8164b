"""Predicts a matrix product's row of a roofline table: operations, traffic, intensity, what bounds it."""

from __future__ import annotations

from pydantic import Field

from ircost.api import compile_model
from ircost.backends import TargetError, load_target
from ircost.datasets.claim_yaml import ClaimError, Section
from ircost.datasets.claims import Written
from ircost.ir.errors import DTypeError
from ircost.ir.parser import parse_module
from ircost.ir.types import parse_dtype
from ircost.prediction import Point, Prediction
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
    n, k: of the weights.
    rows: of the activations, by point.
    """

    target: str
    dtype: str
    n: int = Field(ge=1)
    k: int = Field(ge=1)
    rows: dict[str, int] = Field(min_length=1)


def predict_gemm_roofline(section: Section) -> Prediction:
    """Each product as a model of its own, by the roofline model.

    Raises:
        ClaimError: the configuration is wrong, or the target unknown or without the format.
    """
    wanted = section.read(RooflineConfiguration)
    try:
        target = load_target(wanted.target)
        peak = f"matrix.{target.unit_for(parse_dtype(wanted.dtype))[1]}"
    except (TargetError, DTypeError) as error:
        at = section.place("target" if isinstance(error, TargetError) else "dtype")
        raise ClaimError(error.message, at=at, help=error.help) from error
    values: dict[Point, float | str] = {}
    reasons: dict[Point, str] = {}
    for point, m in wanted.rows.items():
        text = PRODUCT.format(m=m, n=wanted.n, k=wanted.k, dtype=wanted.dtype)
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
