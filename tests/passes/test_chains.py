"""Kernels of several products: outputs stay, recomputation counts, memory on chip decides, nothing is too good."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ircost
from ircost.backends import Target, load_target
from ircost.cost_models.analytical import physical_limits_s
from ircost.cost_models.chain_parts import recomputation, streamed_products
from ircost.cost_models.interface import COST_MODELS, CostModel, Estimates
from ircost.cost_models.kernel_table import KernelTable, kernel_table, table_of_kernels
from ircost.cost_models.roofline import Roofline
from ircost.explaining import explain_report
from ircost.ir import Module, interpret
from ircost.ir.clone import clone_module
from ircost.ir.graph import Op
from ircost.ir.parser import parse_module
from ircost.passes import PassContext, run_pipeline
from ircost.passes.chain_tiles import chain_schedule, chains, fits, room_bytes, schedules, sum_bytes
from ircost.passes.fusion_legality import Room
from ircost.passes.kernel_making import kernel_of
from tests.passes.test_filecheck import random_inputs
from tests.random_modules import modules

H100 = load_target("h100_sxm")
ROOM = Room.of(H100)
MODEL = COST_MODELS.get("analytical")
PIPELINE = "fuse{by_cost=true,chains=true}"
RESIDUAL = (
    "func @main(%x: 8x16x56x56xf16, %w: 96x16x1x1xf16, %d: 96x1x3x3xf16, %p: 16x96x1x1xf16) -> 8x16x56x56xf16 "
    "{ %a = conv %x, %w %b = relu %a %c = conv %b, %d {pads = [[1, 1], [1, 1]]} %f = conv %c, %p "
    "%y = add %f, %x return %y }"
)


class EachAlike(CostModel):
    """A second for each kernel: whatever may be merged is."""

    name = "each alike"

    def estimate(self, kernels: KernelTable, target: Target) -> Estimates:
        ones = np.ones(len(kernels))
        return Estimates(ones, ones, ones, np.zeros(len(kernels), int), ("time",), ones[:, None], self.name)


EAGER = PassContext(H100, EachAlike())


def members(text: str) -> list[Op]:
    *ops, _ = parse_module(text).main.block.ops
    return ops


def attention(batch: int, rows: int, width: int) -> list[Op]:
    shape = f"{batch}x{rows}x{width}xf16"
    return members(
        f"func @main(%q: {shape}, %k: {shape}, %v: {shape}) -> {shape} "
        '{ %s = contract %q, %k {notation = "b m d, b n d -> b m n"} %h = softmax %s {axis = 2} '
        "%y = matmul %h, %v return %y }"
    )


def table_of(ops: list[Op], found: list[str]) -> KernelTable:
    kernels = [kernel_of(ops, ops[-1].results, schedule) for schedule in found]
    return table_of_kernels(kernels, [(False,) * (len(k.operands) + 1) for k in kernels])


# ---- outputs


@settings(max_examples=30, deadline=None)
@given(modules())
def test_outputs_stay_whatever_is_merged(module: Module) -> None:
    fused = clone_module(module)
    run_pipeline(fused, PIPELINE, context=EAGER)
    inputs = random_inputs(module.main, seed=0)
    with np.errstate(all="ignore"):
        for have, want in zip(interpret(fused, inputs), interpret(module, inputs), strict=True):
            np.testing.assert_allclose(have, want, rtol=1e-5, atol=1e-5)
    once = str(fused)
    run_pipeline(fused, PIPELINE, context=EAGER)
    assert str(fused) == once


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from([16, 32, 64, 96]), min_size=3, max_size=5), st.sampled_from(["relu", "gelu", "tanh"]))
def test_layers_of_any_widths_are_one_kernel(widths: list[int], activation: str) -> None:
    arguments = [f"%x: 64x{widths[0]}xf32", *(f"%w{i}: {k}x{n}xf32" for i, (k, n) in enumerate(pairwise(widths)))]
    lines, value = [], "%x"
    for i in range(len(widths) - 1):
        lines += [f"%p{i} = matmul {value}, %w{i}", f"%a{i} = {activation} %p{i}"]
        value = f"%a{i}"
    module = parse_module(
        f"func @main({', '.join(arguments)}) -> 64x{widths[-1]}xf32 {{ {' '.join(lines)} return {value} }}"
    )
    fused = clone_module(module)
    run_pipeline(fused, PIPELINE, context=EAGER)
    assert [op.name for op in fused.main.block.ops] == ["kernel", "return"]
    inputs = random_inputs(module.main, seed=1)
    for have, want in zip(interpret(fused, inputs), interpret(module, inputs), strict=True):
        np.testing.assert_array_equal(have, want)


def test_a_kernel_is_one_block_of_a_network_at_most() -> None:
    products = "%p0 = matmul %x, %w " + " ".join(f"%p{i} = matmul %p{i - 1}, %w" for i in range(1, 6))
    module = parse_module(f"func @main(%x: 64x32xf32, %w: 32x32xf32) -> 64x32xf32 {{ {products} return %p5 }}")
    run_pipeline(module, PIPELINE, context=EAGER)
    kernels = [op for op in module.main.block.ops if op.name == "kernel"]
    assert [sum(op.definition.is_contraction for op in k.regions[0].block.ops) for k in kernels] == [4, 2]


# ---- room


def test_one_byte_less_and_a_tile_does_not_fit() -> None:
    ops = members(RESIDUAL)
    for chain in chains(ops, ops[-1].results, ROOM):
        own = Room(room_bytes(chain), sum_bytes(chain))
        assert fits(chain, own)
        assert not fits(chain, Room(own.tile_bytes - 1, own.accumulator_bytes))
        assert not fits(chain, Room(own.tile_bytes, own.accumulator_bytes - 1))


def test_less_room_leaves_fewer_tiles_and_in_the_end_none() -> None:
    ops = members(RESIDUAL)
    counts = [len(chains(ops, ops[-1].results, Room(size, 131072.0))) for size in (232448, 65536, 16384, 1024)]
    assert counts == sorted(counts, reverse=True) and counts[0] > 0 and counts[-1] == 0


def test_a_row_that_is_normed_between_must_be_whole() -> None:
    ops = members(
        "func @main(%x: 512x64xf16, %u: 64x4096xf16, %g: 4096xf16, %v: 4096x64xf16) -> 512x64xf16 "
        "{ %h = matmul %x, %u %n = rms_norm %h, %g %y = matmul %n, %v return %y }"
    )
    found = chains(ops, ops[-1].results, ROOM)
    assert found and all(chain.boxes[ops[0].result][1] == 4096 for chain in found)
    less = Room(16 * 4096 * 2, ROOM.accumulator_bytes)  # 16 rows and nothing beside them
    assert chains(ops, ops[-1].results, less) == []


# ---- what it costs


def test_recomputation_is_work() -> None:
    ops = members(RESIDUAL)
    found = [chain for chain in chains(ops, ops[-1].results, ROOM) if chain.recomputed(ops[0]) > 1.1]
    table = table_of(ops, ["", *map(chain_schedule, found)])
    column = [engine for engine, _ in table.work_columns].index("matrix")
    once = table.work[0, column]
    products = [op for op in ops if op.definition.is_contraction]
    for row, chain in enumerate(found, start=1):
        expected = sum(2 * op.definition.counts(op).macs * chain.recomputed(op) for op in products)
        assert table.work[row, column] == pytest.approx(expected)
        assert table.work[row, column] - table.recomputed[row, column] == pytest.approx(once)
        assert table.flops[row] == table.flops[0]
    assert found


def test_a_schedule_that_fits_nothing_recomputes_nothing() -> None:
    ops = members(RESIDUAL)
    for schedule in ("", "chain", "chain o0=seven", "tile@shared m=4", "stream k=64"):
        assert recomputation(kernel_of(ops, ops[-1].results, schedule)) == {}


@pytest.mark.parametrize("text", [RESIDUAL, None], ids=["residual", "attention"])
def test_no_estimate_is_below_the_limit(text: str | None) -> None:
    ops = members(text) if text else attention(64, 512, 64)
    table = table_of(ops, schedules(ops, ops[-1].results, ROOM))
    latency_s = MODEL.estimate(table, H100).latency_s
    limits_s = physical_limits_s(table, H100)
    assert len(table) > 1
    assert (latency_s >= limits_s.max(axis=1)).all()
    assert (latency_s >= Roofline().estimate(table, H100).lower_bound_s).all()


@pytest.mark.parametrize(("batch", "rows", "width"), [(12, 128, 64), (384, 128, 64), (64, 512, 64), (32, 1024, 128)])
def test_a_chain_is_not_taken_to_be_faster_than_measured_attention(batch: int, rows: int, width: int) -> None:
    """The one chain that was measured: priced as any other it may be slower, but hardly faster, than as itself."""
    ops = attention(batch, rows, width)
    found = schedules(ops, ops[-1].results, ROOM)
    latency_s = MODEL.estimate(table_of(ops, found), H100).latency_s
    streams = [s for s, text in zip(latency_s, found, strict=True) if text.startswith("stream")]
    others = [s for s, text in zip(latency_s, found, strict=True) if text.startswith("chain")]
    assert len(streams) == 1 and others
    assert min(others) >= 0.95 * streams[0]


def test_attention_has_the_sizes_of_its_spaces() -> None:
    ops = attention(12, 128, 64)
    found = streamed_products(ops, ops[-1].results)
    assert found is not None
    assert (found.batch, found.queries, found.keys, found.key_width, found.value_width) == (12, 128, 128, 64, 64)
    assert found.passes == 3


def test_attention_by_another_name_costs_as_attention() -> None:
    ops = attention(64, 512, 64)
    (stream,) = [s for s in schedules(ops, ops[-1].results, ROOM) if s.startswith("stream")]
    shape = "1x64x512x64xf16"
    composite = members(
        f"func @main(%q: {shape}, %k: {shape}, %v: {shape}) -> {shape} "
        "{ %y = attention %q, %k, %v {scale = 0.125} return %y }"
    )
    known = table_of_kernels(composite, [(False,) * 4])
    ours, named = (float(MODEL.estimate(table, H100).latency_s[0]) for table in (table_of(ops, [stream]), known))
    assert math.isclose(ours, named, rel_tol=0.02)


# ---- in a module


@pytest.mark.parametrize("resolution", [56, 112])
def test_a_chain_is_only_taken_where_it_is_faster(resolution: int) -> None:
    text = RESIDUAL.replace("8x16x56x56", f"32x16x{resolution}x{resolution}")
    latencies = []
    for pipeline in ("fuse{by_cost=true}", PIPELINE):
        module = parse_module(text)
        run_pipeline(module, pipeline, context=PassContext(H100, MODEL))
        table = kernel_table(module)
        latencies.append(float(MODEL.estimate(table, H100).latency_s.sum()))
    assert latencies[1] <= latencies[0]


def test_what_is_computed_again_is_in_no_bound_of_the_model() -> None:
    text = RESIDUAL.replace("8x16x56x56", "32x16x112x112")
    apart, chained = (ircost.compile(parse_module(text), "h100_sxm", pipeline=p) for p in ("", PIPELINE))
    assert (len(apart.kernels), len(chained.kernels)) == (5, 1)
    assert chained.lower_bound_s == pytest.approx(apart.lower_bound_s)
    assert chained.flops == apart.flops
    assert chained.bytes < apart.bytes / 10


def test_the_host_launches_a_chain_once() -> None:
    text = RESIDUAL.replace("8x16x56x56", "32x16x112x112")
    report = ircost.compile(parse_module(text), "h100_sxm", pipeline=PIPELINE)
    tree = explain_report(report, H100)
    launches = [node for node in tree.walk() if node.label == "launch"]
    assert len(launches) == 1


def test_what_was_chosen_is_explained() -> None:
    text = RESIDUAL.replace("8x16x56x56", "32x16x112x112")
    report = ircost.compile(parse_module(text), "h100_sxm", pipeline=PIPELINE, cost_model="analytical")
    tree = explain_report(report, H100, "analytical")
    assert re.search(r"chain .*o0=\d+ .*; again products=1\.\d+; room bytes=\d+", tree.source)
    assert [node.label for node in tree.children] == ["one launch", "then", "then"]
    assert all(node.combined() == pytest.approx(node.value, rel=1e-9, abs=1e-18) for node in tree.walk())
    assert tree.value == pytest.approx(report.latency_s)
    assert "no chain kernel of hopper was measured: its attention kernels stand in" in report.notes
