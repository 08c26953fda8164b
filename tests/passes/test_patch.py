"""Patches: the same outputs, less memory, and a halo that is computed again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ircost.cost_models.memory import memory_use
from ircost.cost_models.patches import LayerChain
from ircost.datasets.mobilenet import mobilenet_v2
from ircost.ir import Builder, Function, Module, TensorType, interpret, ops
from ircost.ir.clone import clone_module
from ircost.ir.types import f32
from ircost.ir.verify import verify
from ircost.passes import PassError, run_pipeline

KINDS = st.sampled_from(["conv", "depthwise", "max_pool", "sum_pool", "bias", "residual"])
LAYERS = st.lists(
    st.tuples(KINDS, st.sampled_from([1, 2, 3, 5]), st.integers(1, 2), st.integers(1, 2), st.integers(0, 2)),
    min_size=1,
    max_size=5,
)


def network(layers: list[tuple[str, int, int, int, int]], height: int, width: int) -> Module:
    """Layers of (kind, window, stride, dilation, padding), where they fit; a reduction behind them."""
    random = np.random.default_rng(0)
    function = Function("main", [TensorType((1, 2, height, width), f32)])
    build = Builder(function.block)
    x = function.arguments[0]
    for kind, window, stride, dilation, pad in layers:
        pads = ((min(pad, window // 2), pad % 2),) * 2
        attrs: dict[str, Any] = {"strides": (stride, stride), "dilations": (dilation, dilation), "pads": pads}
        if kind in ("bias", "residual") or min(x.type.shape[2:]) + sum(pads[0]) <= dilation * (window - 1):
            shape = x.type.shape[1:] if kind == "bias" else (1, x.type.shape[2], 1)
            other = ops.constant_of(random.integers(0, 3, shape).astype(np.float32))
            x = build(ops.add(x, other if kind != "residual" else build(ops.relu(x))))
        elif kind.endswith("pool"):
            x = build(getattr(ops, kind)(x, window=(window, window), **attrs))
        else:
            each = 1 if kind == "depthwise" else 2
            weight = ops.constant_of(random.integers(-1, 2, (2, each, window, window)).astype(np.float32))
            x = build(ops.conv(x, weight, **attrs))
    build.op(ops.return_.create([build(ops.reduce_max(x, axes=(2, 3)))]))
    module = Module([function])
    verify(module)
    return module


@settings(max_examples=80, deadline=None)
@given(layers=LAYERS, height=st.integers(6, 17), width=st.integers(6, 17), grid=st.integers(2, 4), pick=st.data())
def test_outputs_stay(
    layers: list[tuple[str, int, int, int, int]], height: int, width: int, grid: int, pick: st.DataObject
) -> None:
    module = network(layers, height, width)
    splits = LayerChain(module.main).splits
    patched = clone_module(module)
    layer = pick.draw(st.sampled_from(splits)) if splits else 0
    run_pipeline(patched, f"patch{{grid={grid},layers={layer}}}")
    image = np.random.default_rng(1).integers(-3, 4, module.main.arguments[0].type.shape).astype(np.float32)
    np.testing.assert_array_equal(interpret(patched, [image])[0], interpret(module, [image])[0])


def test_a_mobile_network_needs_a_fraction() -> None:
    module = mobilenet_v2(96)
    before = memory_use(module).allocation.arena_bytes
    run_pipeline(module, "patch{grid=3}")
    assert memory_use(module).allocation.arena_bytes < before / 2


def test_a_limit_asks_for_no_more_than_it_takes() -> None:
    module = mobilenet_v2(96)
    chain = LayerChain(module.main)
    lowest = chain.best()
    limit = (lowest.peak_bytes + chain.plan(0, 1).peak_bytes) // 2
    fitting = chain.best(limit)
    assert fitting.peak_bytes <= limit
    assert fitting.recomputed_macs < lowest.recomputed_macs
    patched = clone_module(module)
    (report,) = run_pipeline(patched, f"patch{{limit={limit}}}")
    assert report.fired["layers"] == fitting.stage_ops


def test_nothing_to_gain_nothing_done() -> None:
    module = network([("conv", 3, 1, 1, 1)], 8, 8)
    before = str(module)
    run_pipeline(module, "patch{limit=1GiB}")
    assert str(module) == before


def test_patching_twice_is_patching_once() -> None:
    module = mobilenet_v2(64)
    run_pipeline(module, "patch{grid=2}")
    once = str(module)
    run_pipeline(module, "patch{grid=2}")
    assert str(module) == once


def test_a_split_that_is_none_is_said() -> None:
    module = network([("conv", 3, 1, 1, 1), ("residual", 1, 1, 1, 0)], 8, 8)
    with pytest.raises(PassError, match="no split behind op 2"):
        run_pipeline(module, "patch{grid=2,layers=2}")
