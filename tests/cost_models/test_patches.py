"""Patches: what they read is enough, what they do again is counted, and a network that was published."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ircost.backends import load_target
from ircost.cost_models import patch_regions
from ircost.cost_models.patch_regions import Regions, needed_regions, patches, regions_read
from ircost.cost_models.patches import GRIDS, LayerChain
from ircost.datasets.mobilenet import mobilenet_v2
from ircost.fitting import remedies
from ircost.ir import Builder, Function, Module, TensorType, interpret, ops
from ircost.ir.index import IterationSpace
from ircost.ir.numpy_dtypes import numpy_dtype
from ircost.ir.types import f32
from ircost.ir.verify import verify
from ircost.passes import run_pipeline
from ircost.predictors.patch_memory import block_ends

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
    regions = patches(out, grid)
    read = needed_regions(chain.ops, chain.ops[-1].result, regions)[module.main.arguments[0]]
    for i in range(regions.shape[2]):
        part, box = (tuple(slice(low, high + 1) for low, high in of[..., i].tolist()) for of in (regions, read))
        other = np.full_like(image, 100.0)
        other[box] = image[box]
        seen[part] += 1
        np.testing.assert_array_equal(interpret(module, [other])[0][part], whole[part])
    assert (seen == 1).all()


@given(LAYERS)
def test_one_patch_is_the_whole_and_more_never_do_less(layers: list[tuple[int, int, bool]]) -> None:
    chain = LayerChain(network([*layers, (1, 1, False)]).main)
    for split in chain.splits:
        assert chain.plan(split, 1).recomputed_macs == 0
        assert chain.plan(split, 2).macs == chain.plan(0, 1).macs


@settings(max_examples=40, deadline=None)
@given(LAYERS, st.booleans(), st.sampled_from([None, 0.8, 0.5, 0.3]))
def test_the_best_plan_is_the_best_of_all(
    layers: list[tuple[int, int, bool]], is_streamed: bool, share: float | None
) -> None:
    chain = LayerChain(network([*layers, (1, 1, False)]).main, is_streamed)
    whole = chain.plan(0, 1)
    limit = None if share is None else int(share * whole.peak_bytes)
    sides = {split: min(chain.ops[split - 1].result.type.shape[2:]) for split in chain.splits}
    plans = [chain.plan(split, grid) for split, side in sides.items() for grid in GRIDS if grid <= side]
    assert chain.best(limit).rank(limit) == min(plan.rank(limit) for plan in [whole, *plans])


def test_the_search_looks_at_each_op_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """For all splits and grids together: it was quadratic in the ops, and did not end on a quantised MobileNet."""
    chain = LayerChain(network([(1, 1, False), *[(3, 2, True)] * 2, *[(3, 1, True)] * 60, (1, 1, False)]).main)
    seen = []

    def counted(space: IterationSpace, regions: Regions) -> list[Regions]:
        seen.append(regions.shape[2])
        return regions_read(space, regions)

    monkeypatch.setattr(patch_regions, "regions_read", counted)
    assert chain.best().stage_ops
    assert len(seen) <= len(chain.ops)
    distinct = 91**2  # boxes of a map of 13 x 13
    assert max(seen) <= distinct + sum(grid**2 for grid in GRIDS)


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
    assert remedies(report, load_target("cpu"), None, is_own_limit=True) == report.remedies
