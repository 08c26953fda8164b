"""Leaves add up to the root, whatever the model, the machine and the kernel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_modules import modules

import ircost
from ircost.backends import load_target
from ircost.backends.figure import Figure
from ircost.cost_models.explanation import Node
from ircost.explaining import ExplainError, explain_report
from ircost.ir import Module
from ircost.report import Report

RESNET = Path(__file__).resolve().parents[2] / "datasets/models/resnet50.onnx"
TARGETS = ("h100_sxm", "a100_sxm_80gb+vllm", "l40s", "t4", "mi300x", "cpu")


def check(tree: Node) -> None:
    for node in tree.walk():
        assert node.combined() == pytest.approx(node.value, rel=1e-9, abs=1e-18), node.label


def explained(model: Any, target: str, cost_model: str = "auto", **options: Any) -> tuple[Report, Node]:
    report = ircost.compile(model, target=target, cost_model=cost_model, **options)
    return report, explain_report(report, load_target(target), cost_model, most=None)


@pytest.mark.parametrize("target", TARGETS)
def test_leaves_add_up_to_the_latency_of_resnet(target: str) -> None:
    report, tree = explained(RESNET, target, dtype="f16")
    check(tree)
    assert tree.value == pytest.approx(report.latency_s, rel=1e-9)
    assert len(tree.children) == len(report.kernels)
    # A convolution and its bias are one node, but may be in two kernels.
    expected = sorted((kernel.name, kernel.latency_s) for kernel in report.kernels)
    found = sorted((node.label, node.value) for node in tree.children)
    assert [name for name, _ in found] == [name for name, _ in expected]
    assert [value for _, value in found] == pytest.approx([value for _, value in expected], rel=1e-9)


@settings(deadline=None, max_examples=30)
@given(modules(), st.sampled_from(TARGETS), st.sampled_from(["analytical", "roofline", "hybrid"]))
def test_leaves_add_up_for_any_module(module: Module, target: str, cost_model: str) -> None:
    report, tree = explained(module, target, cost_model)
    check(tree)
    assert tree.value == pytest.approx(report.latency_s, rel=1e-9)


def test_every_leaf_of_a_kernel_has_a_source() -> None:
    report, _ = explained(RESNET, "h100_sxm")
    tree = explain_report(report, load_target("h100"), kernel="/layer4/layer4.2/conv2/Conv")
    assert [node.label for node in tree.walk() if node.how == "leaf" and not node.source] == []


def test_leaves_name_data_sheet_fit_and_access_maps() -> None:
    report, _ = explained(RESNET, "h100_sxm", dtype="f16")
    tree = explain_report(report, load_target("h100"), kernel="layer4.2/conv2")
    sources = " ".join(node.source for node in tree.walk())
    bandwidth = load_target("h100").main_memory.bandwidth_bytes_per_s
    assert isinstance(bandwidth, Figure) and bandwidth.source in sources
    assert "512x512x3x3xf16 4.72 MB" in sources
    assert "measured kernels of family conv" in sources


def test_an_unknown_kernel_lists_the_nearest() -> None:
    report, _ = explained(RESNET, "h100_sxm")
    with pytest.raises(ExplainError) as caught:
        explain_report(report, load_target("h100"), kernel="/layer4/layer4.9/conv2/Conv")
    assert "/layer4/layer4.2/conv2/Conv" in str(caught.value.help)
