"""Fusion by predicted time: outputs stay, nothing gets slower, once is enough, and memory on chip decides."""

from __future__ import annotations

import numpy as np
import pytest
from generated_modules import KINDS
from hypothesis import given, settings
from hypothesis import strategies as st

from ircost.backends import Target, TargetError, load_target
from ircost.cost_models.automatic import search_model
from ircost.cost_models.interface import CostModel, Estimates
from ircost.cost_models.kernel_table import KernelTable, kernel_table
from ircost.ir import Module, interpret
from ircost.ir.clone import clone_module
from ircost.ir.parser import parse_module
from ircost.passes import PassContext, run_pipeline
from ircost.passes.fusion_legality import Room, may_be_kernel
from tests.passes.test_filecheck import random_inputs
from tests.random_modules import modules

H100 = load_target("h100_sxm")
CONTEXT = PassContext(H100, search_model(H100))
PIPELINE = "fuse{by_cost=true},merge-products"
CHAINED = "fuse{by_cost=true,chains=true},merge-products"


def latency_s(module: Module) -> float:
    table = kernel_table(module)
    estimates = search_model(H100).estimate(table, H100)
    return float(sum(estimates.latency_s[run.row] * run.count for run in table.runs))


@settings(max_examples=40, deadline=None)
@given(modules(), st.sampled_from([PIPELINE, CHAINED]))
def test_outputs_stay_and_nothing_gets_slower(module: Module, pipeline: str) -> None:
    fused = clone_module(module)
    run_pipeline(fused, pipeline, context=CONTEXT)
    assert latency_s(fused) <= latency_s(module) * (1 + 1e-9)
    inputs = random_inputs(module.main, seed=0)
    with np.errstate(all="ignore"):
        for have, want in zip(interpret(fused, inputs), interpret(module, inputs), strict=True):
            np.testing.assert_allclose(have, want, rtol=1e-5, atol=1e-5)


def test_groups_of_several_results_that_read_their_own() -> None:
    """Such a group is no reader of itself, when what several read is copied into each."""
    module = KINDS["elementwise"](4000)
    fused = clone_module(module)
    run_pipeline(fused, PIPELINE, context=CONTEXT)
    inputs = random_inputs(module.main, seed=0)
    for have, want in zip(interpret(fused, inputs), interpret(module, inputs), strict=True):
        np.testing.assert_allclose(have, want, rtol=1e-5, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(modules(runnable=False))
def test_fusing_twice_is_fusing_once(module: Module) -> None:
    run_pipeline(module, PIPELINE, context=CONTEXT)
    once = str(module)
    run_pipeline(module, PIPELINE, context=CONTEXT)
    assert str(module) == once


@pytest.mark.parametrize(("tile_bytes", "is_legal"), [(2052, True), (2051, False)])
def test_a_row_must_fit_on_chip(tile_bytes: float, is_legal: bool) -> None:
    module = parse_module(
        "func @main(%x: 8x512xf32) -> 8x512xf32 { %m = reduce_max %x {axes = [1], keepdims = true} "
        "%e = exp %x %y = div %e, %m return %y }"
    )
    reduce, exp, div, _ = module.main.block.ops
    # 512 elements of 4 bytes, and their maximum.
    assert may_be_kernel([reduce, exp, div], div.results, Room(tile_bytes, 0.0)) == is_legal
    assert may_be_kernel([exp, div], div.results, Room(0.0, 0.0))  # element by element: nothing is kept


@pytest.mark.parametrize(("columns", "is_legal"), [(256, True), (512, False)])
def test_a_row_behind_a_product_must_fit_a_tile(columns: int, is_legal: bool) -> None:
    module = parse_module(
        f"func @main(%x: 64x64xf16, %w: 64x{columns}xf16) -> 64x{columns}xf16 "
        "{ %y = matmul %x, %w %z = softmax %y return %z }"
    )
    matmul, softmax, _ = module.main.block.ops
    assert may_be_kernel([matmul, softmax], softmax.results, Room.of(H100)) == is_legal


def test_same_module_same_kernels() -> None:
    texts = set()
    for _ in range(2):
        module = parse_module(
            "func @main(%x: 64x64xf16, %w: 64x64xf16) -> (64x64xf16, 64x64xf16) "
            "{ %a = matmul %x, %w %b = relu %a %c = exp %a %d = add %b, %c return %a, %d }"
        )
        run_pipeline(module, PIPELINE, context=CONTEXT)
        texts.add(str(module))
    assert len(texts) == 1


class NoEstimate(CostModel):
    name = "none"

    def estimate(self, kernels: KernelTable, target: Target) -> Estimates:
        raise TargetError("no such format")


def test_without_an_estimate_the_plain_rule_decides() -> None:
    module = parse_module("func @main(%x: 4x4xf16) -> 4x4xf16 { %a = exp %x %b = neg %a return %b }")
    (report,) = run_pipeline(module, "fuse{by_cost=true}", context=PassContext(H100, NoEstimate()))
    assert report.fired == {"kernels": 1}
