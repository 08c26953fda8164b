"""What stands in for kernels that nobody measured on a machine or with a runtime."""

from __future__ import annotations

import pytest

import ircost
from ircost.cost_models.gpu.constants import ConstantsFile, FamilyFit
from ircost.cost_models.gpu.labels import GRAPH_REPLAY, labels_of

ALL = {"launch": 0.0, "winograd": 0.0}
FITS = ConstantsFile(
    {},
    {
        "conv": FamilyFit({("all", ""): ALL, ("architecture", "volta"): {"launch": 2.0}}),
        "gemm": FamilyFit({("all", ""): ALL, ("architecture", "hopper"): {"launch": -1.0}}),
    },
)


def labels(architecture: str, runtime: str = GRAPH_REPLAY) -> dict[str, str]:
    return labels_of(architecture=architecture, device="", runtime=runtime, dtype="float16")


@pytest.mark.parametrize(
    ("architecture", "runtime", "name", "home"),
    [
        ("hopper", GRAPH_REPLAY, "launch", "gemm"),
        ("hopper", GRAPH_REPLAY, "winograd", "conv"),  # products have no such constant
        ("hopper", "pytorch", "launch", "conv"),
        ("volta", GRAPH_REPLAY, "launch", "conv"),  # measured there
        ("blackwell", GRAPH_REPLAY, "launch", "gemm"),  # neither was: measured convolutions are the older ones
        ("blackwell", "pytorch", "launch", "conv"),
    ],
)
def test_products_stand_in_where_convolutions_were_not_measured(
    architecture: str, runtime: str, name: str, home: str
) -> None:
    assert FITS.home("conv", labels(architecture, runtime), name) == home


def test_the_constant_is_that_of_the_family_that_stands_in() -> None:
    assert FITS.of("conv", labels("hopper"))["launch"] == FITS.of("gemm", labels("hopper"))["launch"]
    assert [share.effect for share in FITS.shares("conv", labels("hopper"), "launch")] == ["all", "architecture"]


def test_a_runtime_that_replays_graphs_costs_convolutions_as_nobodys() -> None:
    """No serving engine was measured on convolutions."""
    with_engine, without = (
        ircost.compile("datasets/models/resnet50.onnx", target=target) for target in ("h100+vllm", "h100")
    )
    ours = {kernel.name: kernel.latency_s for kernel in without.kernels if "conv" in kernel.op}
    theirs = {kernel.name: kernel.latency_s for kernel in with_engine.kernels if "conv" in kernel.op}
    assert ours.keys() == theirs.keys()
    assert sum(theirs[name] or 0.0 for name in ours) < 2 * sum(ours[name] or 0.0 for name in ours)


def test_what_stands_in_is_said() -> None:
    notes = ircost.compile("datasets/models/resnet50.onnx", target="h100").notes
    assert any("no conv kernel of hopper was measured" in note for note in notes)


def test_a_new_machine_is_not_taken_for_those_of_the_measured_convolutions() -> None:
    """They are of GPUs up to Turing, whose launches took 10 us: a B200 came out three times slower than an H100."""
    newer, older = (
        ircost.compile("datasets/models/resnet50.onnx", target=name, dtype="f16") for name in ("b200", "h100")
    )
    assert newer.latency_s < 1.5 * older.latency_s
    conv = next(kernel for kernel in newer.kernels if kernel.op.startswith("conv"))
    assert conv.grade == "C"
    assert "no conv kernel of blackwell was measured: its gemm kernels stand in" in newer.notes
    assert any("architecture blackwell is in no fit of" in note for note in newer.notes)
