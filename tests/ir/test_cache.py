"""Caches that are written in place: meaning, traffic, memory, and who may read them."""

from __future__ import annotations

import numpy as np
import pytest
from op_support import check, floats
from random_modules import random_inputs

from ircost.cost_models.liveness import lifetimes
from ircost.cost_models.lower_bound import compulsory_bytes
from ircost.ir import Module, interpret, ops
from ircost.ir.errors import IrcError, VerifyError
from ircost.ir.parser import parse_module
from ircost.ir.verify import verify
from ircost.passes import run_pipeline

CACHE = 2 * 100 * 8 * 2  # bytes of one
ROW = 2 * 8 * 2

STEP = """
func @main(%k: 1x2x100x8xf16, %v: 1x2x100x8xf16, %x: 1x2x1x8xf16) -> (1x2x1x8xf16, 1x2x100x8xf16, 1x2x100x8xf16) {
  %keys, %values = update_cache %k, %v, %x, %x {at = 99}
  %y = attention %x, %keys, %values {scale = 1.0}
  return %y, %keys, %values
}
"""
LAYERS = """
func @layer(%k: 1x2x100x8xf16, %v: 1x2x100x8xf16, %x: 1x2x1x8xf16) -> (1x2x1x8xf16, 1x2x100x8xf16, 1x2x100x8xf16) {
  %keys, %values = update_cache %k, %v, %x, %x {at = 99}
  %y = attention %x, %keys, %values {scale = 1.0}
  return %y, %keys, %values
}
func @main(%k: 1x2x100x8xf16, %v: 1x2x100x8xf16, %x: 1x2x1x8xf16, %a: 1x2x100x8xf16, %b: 1x2x100x8xf16)
    -> (1x2x1x8xf16, 1x2x100x8xf16, 1x2x100x8xf16, 1x2x100x8xf16, 1x2x100x8xf16) {
  %y, %k1, %v1 = call %k, %v, %x {callee = "layer"} : (1x2x1x8xf16, 1x2x100x8xf16, 1x2x100x8xf16)
  %z, %a1, %b1 = call %a, %b, %y {callee = "layer"} : (1x2x1x8xf16, 1x2x100x8xf16, 1x2x100x8xf16)
  return %z, %k1, %v1, %a1, %b1
}
"""


def verified(text: str) -> Module:
    module = parse_module(text)
    verify(module)
    return module


@pytest.mark.parametrize(("axis", "at"), [(0, 0), (1, 3), (-1, 4)])
def test_rows_take_the_place_of_others(axis: int, at: int) -> None:
    cache = floats(2, 6, 7)
    new = floats(*(2 if i == axis % 3 else n for i, n in enumerate(cache.shape)))
    expected = np.array(cache)
    expected[tuple(slice(at, at + 2) if i == axis % 3 else slice(None) for i in range(3))] = new
    check(lambda x, y: ops.update_cache(x, y, axis=axis, at=at), expected, cache, new)


def test_several_caches_in_one_kernel() -> None:
    caches, rows = [floats(1, 2, 5, 4), floats(1, 2, 9, 3)], [floats(1, 2, 1, 4), floats(1, 2, 1, 3)]
    expected = [np.array(cache) for cache in caches]
    for cache, new in zip(expected, rows, strict=True):
        cache[:, :, 4:5] = new
    check(lambda *args: ops.update_cache.results(*args, at=4), expected, *caches, *rows)


@pytest.mark.parametrize(
    ("operands", "attrs"),
    [
        ("%k, %x", "at = 100"),
        ("%k, %x", "at = -1"),
        ("%k, %x", "at = 0, axis = 1"),
        ("%x, %k", "at = 0"),
        ("%k, %v, %x", "at = 0"),
        ("", "at = 0"),
    ],
)
def test_rows_that_do_not_fit(operands: str, attrs: str) -> None:
    line = "%keys, %values = update_cache %k, %v, %x, %x {at = 99}"
    text = STEP.replace(line, f"%keys = update_cache {operands} {{{attrs}}}").replace("%values", "%keys")
    with pytest.raises(IrcError, match="update_cache"):
        verified(text)


def test_only_new_rows_move() -> None:
    op = next(verified(STEP).main.walk())
    traffic = op.definition.traffic(op)
    assert (traffic.read_bytes, traffic.write_bytes) == (2 * ROW, 2 * ROW)


@pytest.mark.parametrize(("text", "caches"), [(STEP, 2), (LAYERS, 4)])
def test_a_cache_is_one_buffer_from_argument_to_result(text: str, caches: int) -> None:
    lived = lifetimes(verified(text))
    assert caches * CACHE <= lived.peak_bytes <= caches * CACHE + 4 * ROW


@pytest.mark.parametrize(("text", "caches"), [(STEP, 2), (LAYERS, 4)])
def test_a_cache_is_read_once_and_not_written_as_a_whole(text: str, caches: int) -> None:
    """The rows that are new come from the chip; x is read, y is written."""
    new = 2 * ROW
    assert compulsory_bytes(verified(text)) == caches * (CACHE - new) + 2 * ROW


def test_who_else_reads_a_cache_would_read_what_is_gone() -> None:
    reader = "%y = attention %x, %k, %values {scale = 1.0}"
    with pytest.raises(VerifyError, match="read by others too") as error:
        verified(STEP.replace("%y = attention %x, %keys, %values {scale = 1.0}", reader))
    assert error.value.help == "let them read the result"


def test_a_view_of_a_cache_is_the_cache() -> None:
    text = STEP.replace("%keys, %values", "%w = reshape %k {shape = [1, 2, 100, 8]}\n  %keys, %values", 1)
    text = text.replace("update_cache %k", "update_cache %w")
    assert lifetimes(verified(text)).peak_bytes <= 2 * CACHE + 4 * ROW
    with pytest.raises(VerifyError, match="read by others too"):
        verified(text.replace("attention %x, %keys", "attention %x, %k"))


def test_a_callee_that_writes_over_its_argument() -> None:
    with pytest.raises(VerifyError, match="@layer writes over it"):
        verified(LAYERS.replace("call %a, %b, %y", "call %k, %b, %y"))


# Six layers, each with a state [2, 4, 8, 8] of its own: a kilobyte and more, beside which the others are small.
STATES = """
func @main(%x: 2x1x4x8xf32, %s: 6x2x4x8x8xf32, %g: 6x4xf32) -> (2x1x4x8xf32, 6x2x4x8x8xf32) {
  %y, %next = scan %x, %s, %g {length = 6, states = 1} body(%t: 2x1x4x8xf32, %own: 2x4x8x8xf32, %h: 4xf32) {
    %u, %last = linear_attention %t, %t, %t, %h, %own {has_state = true}
    yield %u, %last
  }
  return %y, %next
}
"""
STATE = 2 * 4 * 8 * 8 * 4


def test_states_of_equal_layers_lie_where_they_lay() -> None:
    assert 6 * STATE <= lifetimes(verified(STATES)).peak_bytes < 7 * STATE


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return %y, %next", "%z = relu %s\n  return %y, %z"),  # read behind the loop, as it was
        ("yield %u, %last", "%z = neg %own\n    yield %u, %z"),  # another value
    ],
)
def test_states_that_are_not_handed_on_have_memory_of_their_own(old: str, new: str) -> None:
    assert lifetimes(verified(STATES.replace(old, new))).peak_bytes >= 12 * STATE


def test_a_state_that_is_handed_out_twice_lies_at_two_places() -> None:
    text = STATES.replace("yield %u, %last", "yield %u, %last, %last").replace("%y, %next", "%y, %next, %more")
    text = text.replace("6x2x4x8x8xf32) {", "6x2x4x8x8xf32, 6x2x4x8x8xf32) {", 1)
    assert 12 * STATE <= lifetimes(verified(text)).peak_bytes < 13 * STATE


REPEATED = """
func @main(%x: 2x4x1x8xf32, %k: 2x4x6x8xf32, %v: 2x4x6x8xf32, %k2: 2x4x6x8xf32, %v2: 2x4x6x8xf32, %s: 2x4x8x8xf32)
    -> (2x1x4x8xf32, 2x4x6x8xf32, 2x4x6x8xf32, 2x4x6x8xf32, 2x4x6x8xf32, 2x4x8x8xf32) {
  %a = relu %x
  %keys, %values = update_cache %k, %v, %a, %a {at = 5}
  %y = attention %a, %keys, %values {scale = 1.0}
  %b = relu %y
  %keys2, %values2 = update_cache %k2, %v2, %b, %b {at = 5}
  %z = attention %b, %keys2, %values2 {scale = 1.0}
  %t = transpose %z {perm = [0, 2, 1, 3]}
  %g = constant splat<-1.0> : 4xf32
  %u, %last = linear_attention %t, %t, %t, %g, %s {has_state = true}
  return %u, %keys, %values, %keys2, %values2, %last
}
"""


@pytest.mark.parametrize(
    "pipeline",
    ["outline{min_ops=2}", "order-for-memory", "rematerialise{limit=1}", "cse", "canonicalize,fuse"],
)
def test_passes_keep_caches_where_they_are(pipeline: str) -> None:
    module = verified(REPEATED)
    inputs = random_inputs(module.main)
    before = interpret(module, inputs)
    owned = sum(argument.type.size_bytes for argument in module.main.arguments)
    activations = 5 * 2 * 4 * 8 * 4
    assert owned <= lifetimes(module).peak_bytes <= owned + activations
    run_pipeline(module, pipeline)
    verify(module)
    assert owned <= lifetimes(module).peak_bytes <= owned + activations
    for old, new in zip(before, interpret(module, inputs), strict=True):
        np.testing.assert_allclose(old, new, rtol=1e-6)
