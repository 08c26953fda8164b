"""What stands in for kernels that nobody measured on a machine or with a runtime."""

from __future__ import annotations

from typing import Any

import pytest

import ircost
from ircost.backends import TargetError
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


SPARSE: dict[str, Any] = {"model": "deepseek-v3.2", "phase": "decode", "dims": {"context": 32768}, "mesh": "tp=8"}


def test_what_stands_in_for_sparse_attention_is_said_and_known_less_well() -> None:
    found = ircost.compile(**SPARSE, target="h100")
    notes = "\n".join(found.notes)
    assert "sparse attention: each query sees the 2,048 tokens at most that an indexer chooses" in notes
    assert "an indexer's scores are priced as products" in notes and "no such kernel was measured" in notes
    assert "attention to chosen tokens is priced as latent attention's decoding" in notes
    kernels = [kernel for kernel in found.kernels if kernel.op in ("index_scores", "chosen_keys", "chosen_attention")]
    assert len({kernel.op for kernel in kernels}) == 3
    for kernel in kernels:
        assert kernel.grade != "A"
        assert kernel.high_s is not None and kernel.low_s is not None and kernel.latency_s is not None
        assert kernel.low_s <= kernel.latency_s / 2 * (1 + 1e-9) and kernel.high_s >= 2 * kernel.latency_s * (1 - 1e-9)


def test_a_short_prompt_needs_no_choice_and_says_so() -> None:
    found = ircost.compile("deepseek-v3.2", "h100", phase="prefill", dims={"seq": 1024}, mesh="tp=8")
    assert not any(kernel.op == "index_scores" for kernel in found.kernels)
    assert any("a prompt of 1,024 tokens is no longer than the 2,048 that an indexer chooses" in n for n in found.notes)
    assert not any("no such kernel was measured" in note for note in found.notes)
    dense = ircost.compile("deepseek-v3", "h100", phase="prefill", dims={"seq": 1024}, mesh="tp=8")
    assert not any("indexer" in note for note in dense.notes)


@pytest.mark.parametrize(("target", "cost_model"), [("a100", "auto"), ("a100", "roofline"), ("tpu_v5e", "auto")])
def test_a_machine_that_cannot_run_an_indexer_names_it(target: str, cost_model: str) -> None:
    with pytest.raises(TargetError, match="no matrix arithmetic in f8e4m3") as caught:
        ircost.compile(**SPARSE, target=target, cost_model=cost_model)
    place = "\n".join(caught.value.place())
    if target == "a100":
        assert "at node 'layers.0-2.attention.indexer'" in place and "index_scores" in place
        assert "an indexer keeps and multiplies its keys in f8e4m3" in (caught.value.help or "")
    assert "at node 'layers.0-2." in place and (caught.value.help or "").startswith("it has matrix ")
