"""Patches: what they read is enough, what they do again is counted, and a network that was published."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ircost.cost_models.patches import LayerChain, needed_regions, patches
from ircost.datasets.mobilenet import mobilenet_v2
from ircost.fitting import remedies
from ircost.ir import Builder, Function, Module, TensorType, interpret, ops
from ircost.ir.numpy_dtypes import numpy_dtype
from ircost.ir.types import f32
from ircost.ir.verify import verify
from ircost.passes import run_pipeline
from ircost.patch_memory import block_ends

SIZE = 13
LAYERS = st.lists(st.tuples(st.sampled_from([1, 3, 5]), st.integers(1, 2), st.booleans()), min_size=1, max_size=4)


def network(layers: list[tuple[int, int, bool]]) -> Module:
    """Convolutions of these windows, strides and groups, each with a ReLU; ones as weights."""
    function = Function("main", [TensorType((1, 2, SIZE, SIZE), f32)])
    build = Builder(function.block)
    x = function.arguments[0]
    for window, stride, is_depthwise in layers:
        weight = ops.constant_of(np.ones((2, 1 if is_depthwise else 2, window, window), np.float32))
        around = ((window // 2, window // 2),) * 2
        x = build(ops.relu(build(ops.conv(x, weight, strides=(stride, stride), pads=around))))
    build.op(ops.return_.create([x]))
    module = Module([function])
    verify(module)
    return module


@settings(max_examples=40, deadline=None)
@given(LAYERS, st.integers(1, 4), st.booleans())
def test_what_lies_outside_of_what_a_patch_needs_changes_nothing(
    layers: list[tuple[int, int, bool]], grid: int, is_fused: bool
) -> None:
    module = network(layers)
    if is_fused:
        run_pipeline(module, "fuse")
    chain = LayerChain(module.main)
    image = np.random.default_rng(0).integers(0, 3, (1, 2, SIZE, SIZE)).astype(numpy_dtype(f32))
    (whole,) = interpret(module, [image])
    out = module.main.results[0]
    seen = np.zeros(whole.shape, int)
    for region in patches(out, grid):
        box = np.s_[
            tuple(slice(low, high + 1) for low, high in needed_regions(chain.ops, region)[module.main.arguments[0]])
        ]
        other = np.full_like(image, 100.0)
        other[box] = image[box]
        part = np.s_[tuple(slice(low, high + 1) for low, high in region)]
        seen[part] += 1
        np.testing.assert_array_equal(interpret(module, [other])[0][part], whole[part])
    assert (seen == 1).all()


@given(LAYERS)
def test_one_patch_is_the_whole_and_more_never_do_less(layers: list[tuple[int, int, bool]]) -> None:
    chain = LayerChain(network([*layers, (1, 1, False)]).main)
    for split in chain.splits:
        assert chain.plan(split, 1).recomputed_macs == 0
        assert chain.plan(split, 2).macs == chain.plan(0, 1).macs


def mobilenet_chain(is_streamed: bool = True) -> LayerChain:
    module = mobilenet_v2()
    verify(module)
    run_pipeline(module, "fuse")
    return LayerChain(module.main, is_streamed)


def test_mobilenet_v2_by_patches() -> None:
    """Macs as published (300 M); peaks of the figure of MCUNetV2, in bytes by hand."""
    chain = mobilenet_chain()
    plan = chain.plan(block_ends(chain)[4], 4)
    assert plan.macs == 300_774_272
    assert chain.plan(0, 1).peak_bytes == (16 + 96) * 112 * 112
    # In place of the 192 channels but for one on its way; the 32 before are added at the end.
    assert plan.tail_peak_bytes == (32 + 192 + 1) * 28 * 28
    assert plan.stage_peak_bytes < plan.tail_peak_bytes
    assert 0.08 <= plan.overhead <= 0.15


def test_an_image_held_as_a_whole_comes_on_top() -> None:
    streamed, resident = mobilenet_chain(), mobilenet_chain(is_streamed=False)
    assert resident.plan(12, 4).stage_peak_bytes - streamed.plan(12, 4).stage_peak_bytes > 128 * 1024


def test_a_split_that_is_none() -> None:
    with pytest.raises(ValueError, match="no split behind op 7"):
        mobilenet_chain().plan(7, 4)


def test_the_best_plan_within_a_limit_does_least_again() -> None:
    chain = mobilenet_chain()
    best = chain.best(600 * 1024)
    assert best.peak_bytes <= 600 * 1024
    assert best.recomputed_macs <= chain.plan(12, 4).recomputed_macs
    assert chain.best(2**30).stage_ops == 0


def test_patches_are_among_the_remedies_for_small_memories() -> None:
    from ircost.api import compile_model

    module = mobilenet_v2()
    weights = compile_model(mobilenet_v2(), "cpu", pipeline="fuse").weights_bytes
    report = compile_model(module, "cpu", pipeline="fuse", memory_limit=weights + 700_000)
    assert not report.fits
    assert any("x 2 patches" in remedy for remedy in report.remedies)
    assert remedies(report, None, is_own_limit=True) == report.remedies
