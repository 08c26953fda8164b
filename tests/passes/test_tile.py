"""Tiling: outputs and costs stay, once is enough, and the model's own tile is the one that is written."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ircost.backends import load_target
from ircost.cost_models.automatic import search_model
from ircost.cost_models.kernel_table import kernel_table
from ircost.cost_models.tiling import figures_of
from ircost.ir import Module, interpret
from ircost.ir.clone import clone_module
from ircost.ir.parser import parse_module
from ircost.ir.schedule import parse_schedule
from ircost.passes import PassContext, PassError, run_pipeline
from tests.passes.test_filecheck import random_inputs
from tests.random_modules import modules

TARGETS = st.sampled_from(["h100_sxm", "epyc_9654", "tpu_v5e"])


def context(target: str) -> PassContext:
    return PassContext(load_target(target), search_model(load_target(target)))


def latency_s(module: Module, target: str) -> float:
    table = kernel_table(module)
    machine = load_target(target)
    estimates = search_model(machine).estimate(table, machine)
    return float(sum(estimates.latency_s[run.row] * run.count for run in table.runs))


@settings(max_examples=30, deadline=None)
@given(module=modules(), target=TARGETS)
def test_outputs_and_costs_stay(module: Module, target: str) -> None:
    tiled = clone_module(module)
    run_pipeline(tiled, "fuse,tile", context=context(target))
    fused = clone_module(module)
    run_pipeline(fused, "fuse", context=context(target))
    # Scalar constants become part of a kernel: a few bytes less to read.
    assert latency_s(fused, target) * 0.999 <= latency_s(tiled, target) <= latency_s(fused, target) * (1 + 1e-12)
    inputs = random_inputs(module.main, seed=0)
    with np.errstate(all="ignore"):
        for have, want in zip(interpret(tiled, inputs), interpret(module, inputs), strict=True):
            np.testing.assert_array_equal(have, want)


@settings(max_examples=30, deadline=None)
@given(module=modules(), target=TARGETS, fusion=st.sampled_from(["fuse", "fuse{by_cost=true}"]))
def test_tiles_move_no_less_than_the_bound(module: Module, target: str, fusion: str) -> None:
    run_pipeline(module, f"{fusion},tile", context=context(target))
    for op in module.walk():
        if op.name == "kernel" and "tile" in str(op.attrs["schedule"]):
            for level in figures_of(op, parse_schedule(str(op.attrs["schedule"])), load_target(target)):
                assert level.moved_bytes >= level.bound_bytes * (1 - 1e-12)


@settings(max_examples=20, deadline=None)
@given(module=modules(runnable=False), target=TARGETS)
def test_tiling_twice_is_tiling_once(module: Module, target: str) -> None:
    run_pipeline(module, "fuse,tile", context=context(target))
    once = str(module)
    run_pipeline(module, "tile", context=context(target))
    assert str(module) == once


@pytest.mark.parametrize(("m", "n", "k"), [(4096, 4096, 1024), (128, 768, 3072), (64, 64, 65536)])
def test_processors_get_the_tile_of_the_model(m: int, n: int, k: int) -> None:
    module = parse_module(
        f"func @main(%x: {m}x{k}xf16, %w: {k}x{n}xf16) -> {m}x{n}xf16 {{ %y = matmul %x, %w return %y }}"
    )
    machine = load_target("h100_sxm")
    choice = search_model(machine).estimate(kernel_table(module), machine).choice[0]
    run_pipeline(module, "tile", context=context("h100_sxm"))
    schedule = parse_schedule(str(next(op for op in module.walk() if op.name == "kernel").attrs["schedule"]))
    rows, columns, parts = re.fullmatch(r"(\d+)x(\d+)(?: split-k (\d+))?", choice).groups()  # type: ignore[union-attr]
    tile = {"m": m, "n": n, "k": k} | schedule.tile("shared")
    assert (tile["m"], tile["n"]) == (min(int(rows), m), min(int(columns), n))
    assert schedule.splits == ({"k": int(parts)} if parts else {})


def test_a_target_is_needed() -> None:
    with pytest.raises(PassError, match="needs a target"):
        run_pipeline(parse_module("func @main(%x: 2xf32) -> 2xf32 { %y = exp %x return %y }"), "tile")
