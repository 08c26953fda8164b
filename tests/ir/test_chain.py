"""Chains: boxes of one tile, halos, what is computed again, bytes on chip."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ircost.ir.chain import Chain, chain_of
from ircost.ir.parser import parse_module

MLP = (
    "func @main(%x: 64x32xf16, %u: 32x128xf16, %v: 128x32xf16) -> 64x32xf16 "
    "{ %h = matmul %x, %u %a = relu %h %y = matmul %a, %v return %y }"
)
RESIDUAL = (
    "func @main(%x: 1x16x56x56xf16, %w: 96x16x1x1xf16, %d: 96x1x3x3xf16, %p: 16x96x1x1xf16) -> 1x16x56x56xf16 "
    "{ %a = conv %x, %w %b = relu %a %c = conv %b, %d {pads = [[1, 1], [1, 1]]} %f = conv %c, %p "
    "%y = add %f, %x return %y }"
)
SHORT = (
    "func @main(%x: 64x32xf16, %u: 32x32xf16, %v: 32x32xf16) -> 64x32xf16 "
    "{ %h = matmul %x, %u %y = matmul %h, %v %z = add %y, %h return %z }"
)


def chain(text: str, **tile: int) -> Chain | None:
    *ops, terminator = parse_module(text).main.block.ops
    anchor = [op for op in ops if op.definition.is_contraction][-1]
    return chain_of(ops, terminator.operands, anchor, tile)


def of(text: str, **tile: int) -> Chain:
    found = chain(text, **tile)
    assert found is not None
    return found


def test_rows_of_a_feed_forward_layer_are_computed_once() -> None:
    found = of(MLP, m=16, k=32)
    assert (found.blocks, found.steps) == (4, 4)
    assert [found.recomputed(op) for op in found.ops] == [1, 1, 1]
    # relu runs on what the thread has: its result is what the second product reads.
    assert found.on_chip_bytes == 16 * 32 * 2


def test_hidden_columns_are_computed_for_each_part_of_the_columns() -> None:
    found = of(MLP, m=16, n=8)
    assert [found.recomputed(op) for op in found.ops] == [4, 4, 1]


def test_neighbouring_tiles_both_compute_the_halo() -> None:
    found = of(RESIDUAL, o0=14, o1=14, c=32)
    expand, relu, depthwise, project, add = found.ops
    assert (found.blocks, found.steps) == (16, 3)
    assert found.boxes[relu.result] == (1, 32, 16, 16)
    assert found.recomputed(expand) == pytest.approx((16 / 14) ** 2)
    assert [found.recomputed(op) for op in (depthwise, project, add)] == [1, 1, 1]
    assert found.boxes[found.ops[0].operands[0]] == (1, 16, 16, 16)
    # Both maps are there while one is filtered; the first never leaves the threads before relu.
    assert found.on_chip_bytes == (32 * 16 * 16 + 32 * 14 * 14) * 2


def test_a_whole_tile_has_no_halo() -> None:
    found = of(RESIDUAL)
    assert [found.recomputed(op) for op in found.ops] == [1, 1, 1, 1, 1]


def test_what_is_behind_may_not_read_what_is_before() -> None:
    assert chain(SHORT, m=16) is None


def test_a_row_that_every_step_reads_stays() -> None:
    text = (
        "func @main(%x: 64x32xf16, %s: 32xf16, %u: 32x128xf16, %v: 128x32xf16) -> 64x32xf16 "
        "{ %n = rms_norm %x, %s %h = matmul %n, %u %y = matmul %h, %v return %y }"
    )
    found = of(text, m=16, k=32)
    norm, hidden, _ = found.ops
    assert found.runs(norm) == 1 and found.runs(hidden) == 4
    assert found.on_chip_bytes == (16 * 32 + 16 * 32) * 2


@given(st.integers(1, 56), st.integers(1, 56), st.sampled_from([16, 32, 96]))
def test_nothing_is_computed_less_than_once(high: int, wide: int, step: int) -> None:
    found = of(RESIDUAL, o0=high, o1=wide, c=step)
    for op in found.body:
        made = found.blocks * found.runs(op) * math.prod(found.boxes[op.result])
        assert made >= op.result.type.elements
        assert found.recomputed(op) == pytest.approx(made / op.result.type.elements)
