"""Attention with all that it may have, against NumPy; which keys are seen, and what work and bytes follow from that."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from op_support import check, floats, run

from ircost.ir import Op, ops
from ircost.ir.attributes import Attribute
from ircost.ir.builder import build_body
from ircost.ir.errors import ShapeError
from ircost.ir.graph import Block
from ircost.ir.nest_reading import nest_of
from ircost.ir.ops.visibility import Visibility
from ircost.ir.terminators import yield_
from ircost.ir.types import TensorType, f16, parse_type


def visible(m: int, n: int, is_causal: bool, window: int) -> np.ndarray:
    """[m, n], one pair at a time."""
    seen = np.zeros((m, n), bool)
    for query in range(m):
        own = n - m + query
        for key in range(n):
            is_near = abs(own - key) <= window // 2 if not is_causal else own - window < key
            seen[query, key] = (not is_causal or key <= own) and (window == 0 or is_near)
    return seen


def attended(q: np.ndarray, k: np.ndarray, v: np.ndarray, scale: float, bias: Any = 0.0, sinks: Any = None):
    """Softmax of scores in 64 bits, with a further column for sinks."""
    heads = q.shape[1] // k.shape[1]
    keys, values = (np.repeat(x.astype(np.float64), heads, axis=1) for x in (k, v))
    scores = scale * q.astype(np.float64) @ keys.swapaxes(-1, -2) + bias
    exponentials = np.exp(scores)
    total = exponentials.sum(-1, keepdims=True)
    if sinks is not None:
        total = total + np.exp(sinks.astype(np.float64))[None, :, None, None]
    return exponentials / total @ values


VIEWS = st.tuples(st.integers(1, 9), st.integers(0, 9), st.booleans(), st.integers(0, 12)).map(
    lambda t: (t[0], t[0] + t[1], t[2], t[3])
)


@given(VIEWS)
def test_pairs_and_keys_are_those_of_the_mask(view: tuple[int, int, bool, int]) -> None:
    seen = visible(*view)
    assert Visibility(*view).pairs == seen.sum()
    assert Visibility(*view).seen_keys == seen.any(axis=0).sum()
    (mask,) = run(lambda x: ops.logical_and(Visibility(*view).mask(), x), np.ones(seen.shape, bool))
    np.testing.assert_array_equal(mask, seen)


def test_pairs_of_any_length_are_a_formula() -> None:
    n = 10**12
    assert Visibility(n, n, True, 0).pairs == n * (n + 1) // 2
    assert Visibility(n, 2 * n, True, 128).pairs == 128 * n
    assert Visibility(n, 2 * n, True, 128).seen_keys == n + 127


@pytest.mark.parametrize("groups", [4, 2, 1])
@pytest.mark.parametrize(
    ("m", "n", "is_causal", "window"),
    [(5, 5, True, 0), (3, 8, True, 0), (1, 8, True, 0), (5, 8, True, 3), (7, 7, False, 4), (1, 8, True, 2)],
)
def test_masks_that_attributes_name(groups: int, m: int, n: int, is_causal: bool, window: int) -> None:
    q, k, v = floats(2, 4, m, 8), floats(2, groups, n, 8), floats(2, groups, n, 3)
    bias = np.where(visible(m, n, is_causal, window), 0, -np.inf)
    expected = attended(q, k, v, 0.3, bias)
    attrs: dict[str, Attribute] = {"scale": 0.3, "is_causal": is_causal, "window": window}
    check(lambda *args: ops.attention(*args, **attrs), expected, q, k, v)


@pytest.mark.parametrize("groups", [4, 2])
def test_sinks_take_a_share_of_the_softmax(groups: int) -> None:
    q, k, v, sinks = floats(2, 4, 5, 8), floats(2, groups, 6, 8), floats(2, groups, 6, 3), floats(4)
    mask = floats(1, 4, 1, 6)  # as of ALiBi
    expected = attended(q, k, v, 0.3, mask, sinks)
    check(lambda *args: ops.attention(*args, scale=0.3, has_sinks=True), expected, q, k, v, mask, sinks)


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_scores_lose_a_slope_for_each_step_of_distance(groups: int, is_causal: bool) -> None:
    q, k, v, slopes, sinks = floats(2, 4, 5, 8), floats(2, groups, 6, 8), floats(2, groups, 6, 3), floats(4), floats(4)
    mask = floats(1, 1, 1, 6)
    away = np.abs(np.arange(6)[None] - (np.arange(5)[:, None] + 1))
    bias = mask - slopes[None, :, None, None] * away
    if is_causal:
        bias = bias + np.where(visible(5, 6, True, 0), 0, -np.inf)
    expected = attended(q, k, v, 0.3, bias, sinks)
    attrs: dict[str, Attribute] = {"scale": 0.3, "is_causal": is_causal, "has_sinks": True, "has_alibi": True}
    check(lambda *args: ops.attention(*args, **attrs), expected, q, k, v, mask, slopes, sinks)


def test_biases_by_distance_are_rounded_once() -> None:
    """Slopes in 32 bits beside scores in 16: as if a table in 16 bits had been added."""
    q, k, v = (floats(1, 2, 3, 8).astype(np.float16) for _ in range(3))
    slopes = np.array([0.3, 0.007], np.float32)
    away = np.abs(np.arange(3)[None] - np.arange(3)[:, None])
    table = (-slopes[:, None, None] * away.astype(np.float32)).astype(np.float16)
    got = run(lambda *args: ops.attention(*args, scale=0.3, has_alibi=True), q, k, v, slopes)
    np.testing.assert_array_equal(got, run(lambda *args: ops.attention(*args, scale=0.3), q, k, v, table))


def test_tiles_touch_slopes_and_sinks_by_the_head() -> None:
    types = ("1x4x64x8xf16", *["1x2x64x8xf16"] * 2, "4xf32", "4xf16")
    arguments = Block([parse_type(text) for text in types]).arguments
    attrs: dict[str, Attribute] = {"scale": 0.5, "has_alibi": True, "has_sinks": True}
    body = build_body([x.type for x in arguments], lambda *x: ops.attention(*x, **attrs), yield_)
    found = nest_of(ops.kernel.create(arguments, regions=[body]))
    assert found is not None
    extents = [[run.extent for run in stream.runs] for stream in found.streams if stream.index > 2]
    assert extents == [[4], [4]]


def test_slopes_are_of_as_many_heads() -> None:
    with pytest.raises(ShapeError, match="slopes are 3xf32, and q has 4 heads"):
        made("1x4x4x8xf16", *["1x2x8x8xf16"] * 2, "3xf32", has_alibi=True)


def test_only_the_filled_part_of_a_cache_counts() -> None:
    q, k, v = floats(1, 4, 2, 8), floats(1, 2, 16, 8), floats(1, 2, 16, 8)
    expected = attended(q, k[:, :, :11], v[:, :, :11], 0.3, np.where(visible(2, 11, True, 4), 0, -np.inf))
    check(lambda *args: ops.attention(*args, scale=0.3, length=11, is_causal=True, window=4), expected, q, k, v)


@pytest.mark.parametrize("rows", [1, 12])
def test_caches_of_eight_bits(rows: int) -> None:
    """Scales of all keys or of each token; the products are those of the converted values."""
    q, scales = floats(1, 4, 2, 8), [floats(1, 2, rows, 1, low=0.1, high=1.0) for _ in range(2)]
    narrow = [(floats(1, 2, 12, 8) * 4).astype(ml_dtypes.float8_e4m3fn) for _ in range(2)]
    wide = [(x.astype(np.float32) * scale)[:, :, :9] for x, scale in zip(narrow, scales, strict=True)]
    expected = attended(q, wide[0], wide[1], 0.3)
    check(lambda *args: ops.attention(*args, scale=0.3, has_scales=True, length=9), expected, q, *narrow, *scales)
    plain = attended(q, narrow[0].astype(np.float32), narrow[1].astype(np.float32), 0.3)
    check(lambda *args: ops.attention(*args, scale=0.3), plain, q, *narrow)


def test_caches_with_a_scale_for_each_block_of_a_row() -> None:
    q, scales = floats(1, 4, 3, 8), [floats(1, 2, 12, 2, low=0.1, high=1.0) for _ in range(2)]
    narrow = [(floats(1, 2, 12, 8) * 4).astype(ml_dtypes.float4_e2m1fn) for _ in range(2)]
    wide = [x.astype(np.float32) * np.repeat(scale, 4, axis=-1) for x, scale in zip(narrow, scales, strict=True)]
    expected = attended(q, wide[0], wide[1], 0.3)
    check(lambda *args: ops.attention(*args, scale=0.3, has_scales=True), expected, q, *narrow, *scales)


def test_latents_are_keys_and_values() -> None:
    q, latent = floats(2, 4, 3, 12), floats(2, 1, 7, 12)
    expected = attended(q, latent, latent[..., :8], 0.3)
    check(lambda x, y: ops.attention(x, y, y, scale=0.3, value_width=8), expected, q, latent)
    op = made("2x4x1x12xf16", "2x1x7x12xf16", "2x1x7x12xf16", value_width=8)
    once = ops.attention.create((op.operands[0], op.operands[1], op.operands[1]), op.attrs)
    assert op.definition.traffic(op).read_bytes - once.definition.traffic(once).read_bytes == 2 * 7 * 8 * 2


@pytest.mark.parametrize("attrs", [{"length": 9}, {"length": -1}, {"value_width": 9}, {"window": -1}])
def test_what_does_not_fit(attrs: dict[str, int]) -> None:
    with pytest.raises(ShapeError, match="attention: length"):
        made("1x4x1x8xf16", *["1x2x8x8xf16"] * 2, **attrs)


def test_a_query_before_the_first_key_sees_none() -> None:
    with pytest.raises(ShapeError, match="4 queries, the last beside the last of 3 keys"):
        made("1x4x4x8xf16", *["1x2x8x8xf16"] * 2, length=3, is_causal=True)
    made("1x4x4x8xf16", *["1x2x8x8xf16"] * 2, length=3)


# ---- work and bytes


def made(*types: str, **attrs: Attribute) -> Op:
    arguments = Block([parse_type(text) for text in types]).arguments
    return ops.attention.create(arguments, {"scale": 0.5, **attrs})


@given(VIEWS, st.sampled_from([1, 2, 4]), st.sampled_from([0.0, 30.0]), st.booleans())
def test_work_is_that_of_the_pairs_that_see_each_other(
    view: tuple[int, int, bool, int], groups: int, softcap: float, is_guarded: bool
) -> None:
    """Exactly: each score costs what it costs, each row has its maximum and its sum."""
    m, n, is_causal, window = view
    types = [TensorType((2, 4, m, 8), f16), *[TensorType((2, groups, n, 6), f16)] * 2]
    types[1] = TensorType((2, groups, n, 8), f16)
    attrs = {"scale": 0.5, "softcap": softcap, "is_guarded": is_guarded}
    op = ops.attention.create(Block(types).arguments, {**attrs, "is_causal": is_causal, "window": window})
    seen, rows = 2 * 4 * int(visible(*view).sum()), 2 * 4 * m
    counts = op.definition.counts(op)
    assert counts.multiply_add == seen * (8 + 6)
    assert counts.transcendental == seen * (2 if softcap else 1)
    assert counts.divide == seen
    assert counts.multiply == seen * (3 if softcap else 1)
    assert counts.add == seen + max(seen - rows, 0)  # differences from the maximum, and the sum


@given(VIEWS, st.sampled_from([1, 2, 4]))
def test_biases_by_distance_are_two_operations_a_score_and_no_bytes(
    view: tuple[int, int, bool, int], groups: int
) -> None:
    m, n, is_causal, window = view
    types = (f"2x4x{m}x8xf16", *[f"2x{groups}x{n}x8xf16"] * 2)
    plain = made(*types, is_causal=is_causal, window=window)
    biased = made(*types, "4xf32", is_causal=is_causal, window=window, has_alibi=True)
    scores = 2 * 4 * int(visible(*view).sum())
    counts = [op.definition.counts(op) for op in (plain, biased)]
    small = 4  # signs of the slopes
    assert counts[1].flops - counts[0].flops == 2 * scores + small
    reads = [list(op.definition.operand_bytes(op)) for op in (plain, biased)]
    assert reads[1] == [*reads[0], 4 * 4]


@given(VIEWS)
def test_bytes_are_those_of_keys_that_are_seen(view: tuple[int, int, bool, int]) -> None:
    m, n, is_causal, window = view
    op = made(
        f"2x4x{m}x8xf16", *[f"2x2x{n}x8xf16"] * 2, f"1x1x{m}x{n}xf16", f"4x1x{n}xf16", "4xf16",
        is_causal=is_causal, window=window, has_sinks=True,
    )  # fmt: skip
    seen = visible(*view)
    keys = int(seen.any(axis=0).sum())
    q, k, v, mask, alibi, sinks = op.definition.operand_bytes(op)
    assert (q, k, v) == (2 * 4 * m * 8 * 2, *[2 * 2 * keys * 8 * 2] * 2)
    assert (mask, alibi, sinks) == (int(seen.sum()) * 2 if m > 1 else keys * 2, 4 * keys * 2, 8)


def test_a_longer_cache_is_read_no_further_than_it_is_filled() -> None:
    op = made("1x4x1x8xf16", *["1x2x100x8xf8e4m3"] * 2, length=70)
    assert list(op.definition.operand_bytes(op)) == [64, 2 * 70 * 8, 2 * 70 * 8]
