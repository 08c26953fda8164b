"""Work and weights of real models against what is published of them. Needs ``--zoo DIR``."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from zoo import zoo_models

import ircost

# Figures are published with two or three digits. Batch norms are folded here, which takes up to 0.6 % of the weights
# off; windows of swin_tiny have their masks among the weights, which adds 1.7 %.
MACS_TOLERANCE, WEIGHTS_TOLERANCE = 0.02, 0.02
# What is no multiply-add: norms, activations, sums. A pool that counts its padding shows here.
MOST_OTHER_WORK = 0.1

TORCHVISION = "torchvision 0.15, table of all weights: GFLOPS, which counts multiply-adds, and parameters"
MOBILE_BERT = "Sun et al., MobileBERT, ACL 2020: BERT base at 128 tokens, 22.5 GFLOPS, which counts two, and 109 M"


@dataclass(frozen=True, slots=True)
class Published:
    """G multiply-adds of one run, M parameters, and who says so."""

    name: str
    gmacs: float
    parameters_m: float
    source: str = TORCHVISION


PUBLISHED = [
    Published("resnet50", 4.09, 25.557),
    Published("resnet50_ts", 4.09, 25.557),
    Published("resnet18_dynamic", 1.81, 11.690),
    Published("efficientnet_b0", 0.39, 5.289),
    Published("mobilenetv2", 0.30, 3.505),
    Published("convnext_tiny", 4.46, 28.589),
    Published("vit_base", 17.56, 86.568),
    Published("vit_base_ts", 17.56, 86.568),
    Published("swin_tiny", 4.49, 28.288),
    Published("bert_base", 11.25, 109.0, MOBILE_BERT),
    Published("bert_base_ts", 11.25, 109.0, MOBILE_BERT),
]


@pytest.fixture(params=PUBLISHED, ids=lambda row: row.name)
def row(request: pytest.FixtureRequest) -> Published:
    return request.param


def test_work_and_weights_are_those_published(row: Published, pytestconfig: pytest.Config) -> None:
    found = [model for model in zoo_models(pytestconfig.getoption("--zoo")) if model.name == row.name]
    if not found:
        pytest.skip(f"{row.name}.onnx is not there: give its folder by --zoo")
    options = found[0].options
    report = ircost.compile(str(found[0].path), "h100", dtype="f16", shapes=options.shapes, values=options.values)
    assert report.macs / 1e9 == pytest.approx(row.gmacs, rel=MACS_TOLERANCE)
    assert report.weights_bytes / 2 / 1e6 == pytest.approx(row.parameters_m, rel=WEIGHTS_TOLERANCE)
    assert report.flops <= 2 * report.macs * (1 + MOST_OTHER_WORK)
