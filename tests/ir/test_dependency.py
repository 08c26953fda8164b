"""Boxes behind boxes: held against the elements that are really read."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ircost.ir.dependency import boxes_behind, needed_boxes, on_chip_bytes, reshaped_box
from ircost.ir.parser import parse_module

PAIRS = [
    ((6, 4), (24,)),
    ((24,), (6, 4)),
    ((2, 3, 4), (2, 12)),
    ((2, 12), (2, 3, 4)),
    ((4, 6), (6, 4)),
    ((1, 8), (8, 1)),
]


@pytest.mark.parametrize(("shape", "source"), PAIRS)
@given(data=st.data())
def test_a_box_under_another_shape_holds_the_same_elements(
    shape: tuple[int, ...], source: tuple[int, ...], data: st.DataObject
) -> None:
    box = tuple(data.draw(st.sampled_from([d for d in range(1, n + 1) if n % d == 0])) for n in shape)
    elements = np.arange(math.prod(shape)).reshape(shape)[tuple(slice(0, n) for n in box)]
    places = np.unravel_index(elements.ravel(), source)
    needed = tuple(int(axis.max() - axis.min()) + 1 for axis in places)
    found = reshaped_box(box, shape, source)
    assert all(have >= want for have, want in zip(found, needed, strict=True))
    assert all(have <= extent for have, extent in zip(found, source, strict=True))


def test_a_convolution_needs_a_halo_and_all_channels() -> None:
    module = parse_module(
        "func @main(%x: 1x8x16x16xf32, %w: 4x8x3x3xf32) -> 1x4x14x14xf32 { %y = conv %x, %w return %y }"
    )
    conv, _ = module.main.block.ops
    assert needed_boxes(conv, [(1, 2, 4, 14)]) == [(1, 8, 6, 16), (2, 8, 3, 3)]


def test_two_convolutions_add_up_their_halos() -> None:
    module = parse_module(
        "func @main(%x: 1x8x16x16xf32, %w: 8x8x3x3xf32) -> 1x8x12x12xf32 "
        "{ %y = conv %x, %w %z = conv %y, %w return %z }"
    )
    first, second, _ = module.main.block.ops
    boxes = boxes_behind([first, second], {second.result: (1, 8, 4, 4)})
    assert boxes[first.result] == (1, 8, 6, 6)
    assert boxes[module.main.arguments[0]] == (1, 8, 8, 8)
    assert on_chip_bytes([first, second], boxes, [second.result]) == 8 * 6 * 6 * 4


def test_a_composite_is_looked_into() -> None:
    module = parse_module("func @main(%x: 4x32xf32) -> 4x32xf32 { %y = softmax %x %z = relu %y return %z }")
    softmax, relu, _ = module.main.block.ops
    boxes = boxes_behind([softmax, relu], {relu.result: (1, 1)})
    assert (boxes[softmax.result], boxes[module.main.arguments[0]]) == ((1, 1), (1, 32))


def test_a_gather_needs_all() -> None:
    module = parse_module("func @main(%x: 9x4xf32, %i: 3xi64) -> 3x4xf32 { %y = gather %x, %i {axis = 0} return %y }")
    gather, _ = module.main.block.ops
    assert needed_boxes(gather, [(1, 1)]) == [(9, 4), (3,)]


def test_what_a_view_shows_stays_until_the_view_is_read() -> None:
    module = parse_module(
        "func @main(%x: 4x8xf32) -> 32xf32 { %a = exp %x %v = reshape %a {shape = [32]} %b = neg %x "
        "%w = reshape %b {shape = [32]} %y = add %v, %w return %y }"
    )
    *ops, _ = module.main.block.ops
    boxes = boxes_behind(ops, {ops[-1].result: (32,)})
    assert on_chip_bytes(ops, boxes, ops[-1].results) == 2 * 32 * 4
