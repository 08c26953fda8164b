"""Transforms, running products, determinants, bits, random numbers, samples of images: against NumPy and SciPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.ndimage
import scipy.special
from op_support import check, floats, run

from ircost.ir import ops
from ircost.ir.attributes import Attribute
from ircost.ir.errors import DTypeError
from ircost.ir.graph import Value
from ircost.ir.ops.sampling import every_row
from ircost.ir.types import DTYPES, TensorType, f32, i32, i64, u4

X = floats(3, 4, 5)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_cumprod(axis: int) -> None:
    check(lambda x: ops.cumprod(x, axis=axis), np.cumprod(X, axis), X)
    before = np.concatenate([np.ones_like(np.take(X, [0], axis)), np.delete(np.cumprod(X, axis), -1, axis)], axis)
    check(lambda x: ops.cumprod(x, axis=axis, exclusive=True), before, X)
    behind = np.flip(np.cumprod(np.flip(X, axis), axis), axis)
    check(lambda x: ops.cumprod(x, axis=axis, reverse=True), behind, X)


def test_an_exclusive_sum_leaves_out_what_is_infinite() -> None:
    x = np.array([1, np.inf, 2], np.float32)
    check(lambda x: ops.cumsum(x, axis=0, exclusive=True), np.array([0, 1, np.inf]), x)


def test_det() -> None:
    x = floats(2, 4, 4)
    check(ops.det, np.linalg.det(x), x, rtol=1e-4)


@pytest.mark.parametrize("length", [4, 5, 8])
@pytest.mark.parametrize("onesided", [False, True])
def test_fft_of_real_numbers(length: int, onesided: bool) -> None:
    x = floats(3, 5, 1)
    expected = (np.fft.rfft if onesided else np.fft.fft)(x[..., 0], length, 1)
    parts = np.stack([expected.real, expected.imag], -1)
    check(lambda x: ops.fft(x, axis=1, length=length, onesided=onesided), parts, x, rtol=1e-4)


def test_fft_there_and_back() -> None:
    x, real = floats(3, 6, 2), floats(2, 7, 1)
    check(lambda x: ops.fft(ops.fft(x, axis=1, length=6), axis=1, length=6, inverse=True), x, x, rtol=1e-4)

    def both(x: Value) -> Value:
        half = ops.fft(x, axis=1, length=7, onesided=True)
        return ops.fft(half, axis=1, length=7, onesided=True, inverse=True)

    check(both, real, real, rtol=1e-4)


def test_a_real_transform_counts_half() -> None:
    whole, half = (ops.fft(value_of((8, 1024, n)), axis=1, length=1024).producer for n in (2, 1))
    assert whole is not None and half is not None
    assert whole.definition.counts(whole).flops == pytest.approx(8 * 5 * 1024 * 10, rel=1e-6)
    assert half.definition.counts(half).flops == pytest.approx(8 * 2.5 * 1024 * 10, rel=1e-6)


def value_of(shape: tuple[int, ...]) -> Value:
    return ops.iota.create((), {"axis": 0}, result_types=(TensorType(shape, f32),)).result


def test_bitcast() -> None:
    check(lambda x: ops.bitcast(x, to=i32), X.view(np.int32), X)
    nibbles = np.arange(-8, 8)

    def there(x: Value) -> Value:
        return ops.cast(ops.bitcast(ops.cast(x, to=DTYPES["i4"]), to=u4), to=i64)

    check(there, nibbles % 16, nibbles)
    with pytest.raises(DTypeError, match="bits"):
        run(lambda x: ops.bitcast(x, to=i64), X)


def test_random_numbers_follow_the_seed() -> None:
    def draw(seed: int, distribution: str = "uniform") -> np.ndarray:
        attrs: dict[str, Attribute] = {"distribution": distribution, "low": 2.0, "high": 3.0, "seed": seed}
        (numbers,) = run(lambda: ops.random.create((), attrs, result_types=(TensorType((4000,), f32),)).result)
        return np.asarray(numbers)

    assert (draw(1) == draw(1)).all() and (draw(1) != draw(2)).any()
    assert draw(1).min() >= 2 and draw(1).max() <= 3
    assert draw(1, "normal").mean() == pytest.approx(2, abs=0.2)
    assert draw(1, "normal").std() == pytest.approx(3, abs=0.2)


def samples(mode: str, outside: str, is_aligned: bool) -> Callable[..., Value]:
    return lambda x, p: ops.sample(x, p, every_row(2), mode=mode, outside=outside, is_aligned=is_aligned)


OUTSIDE = [("zeros", False, "grid-constant"), ("border", False, "nearest"), ("reflection", True, "mirror")]


@pytest.mark.parametrize(("outside", "is_aligned", "scipys"), [*OUTSIDE, ("reflection", False, "reflect")])
@pytest.mark.parametrize(("mode", "order"), [("nearest", 0), ("linear", 1)])
def test_sample_reads_as_scipy_does(mode: str, order: int, outside: str, is_aligned: bool, scipys: str) -> None:
    x, points = floats(2, 3, 5, 4), floats(2, 30, 2, low=-6, high=9)
    expected = [
        [scipy.ndimage.map_coordinates(plane, places.T, order=order, mode=scipys) for plane in image]
        for image, places in zip(x, points, strict=True)
    ]
    check(samples(mode, outside, is_aligned), np.array(expected), x, points, rtol=1e-4)


def test_cubic_samples_go_through_the_elements() -> None:
    x = floats(2, 1, 6, 6)
    points = np.broadcast_to(np.stack(np.meshgrid(range(6), range(6), indexing="ij"), -1).reshape(1, 36, 2), (2, 36, 2))
    check(samples("cubic", "border", True), x.reshape(2, 1, 36), x, points.astype(np.float32))


def test_regions_are_means_of_their_samples() -> None:
    x = np.broadcast_to(np.arange(8, dtype=np.float32)[:, None], (1, 1, 8, 8)).copy()
    places = np.array([[[1.0, 1.0], [3.0, 1.0], [5.0, 2.0], [20.0, 2.0]]], np.float32)

    def pooled(x: Value, p: Value) -> Value:
        return ops.roi_align(x, p, every_row(1), height=2, width=1, samples_y=2, samples_x=1)

    check(pooled, np.array([2.0, 2.5]).reshape(1, 1, 2, 1), x, places)


def test_position_of_the_maximum() -> None:
    x = floats(1, 2, 4, 4)
    windows = np.lib.stride_tricks.sliding_window_view(x, (2, 3), axis=(2, 3)).reshape(1, 2, 3, 2, 6)
    check(lambda x: ops.max_pool_position(x, window=(2, 3)), windows.argmax(-1), x)


def test_quick_gelu_and_swiglu() -> None:
    y = floats(3, 4, 5)
    sigmoid = scipy.special.expit
    check(ops.quick_gelu, X * sigmoid(1.702 * X), X)
    check(ops.swiglu, X * sigmoid(X) * y, X, y)


@pytest.mark.parametrize("groups", [4, 2, 1])
def test_attention(groups: int) -> None:
    q, k, v = floats(2, 4, 5, 8), floats(2, groups, 6, 8), floats(2, groups, 6, 3)
    mask = np.where(np.arange(6) > np.arange(5)[:, None], -np.inf, 0).astype(np.float32)
    keys, values = (np.repeat(x, 4 // groups, axis=1) for x in (k, v))
    scores = 0.3 * q @ keys.swapaxes(-1, -2) + mask
    check(lambda *args: ops.attention(*args, scale=0.3), scipy.special.softmax(scores, axis=-1) @ values, q, k, v, mask)


def test_rows_that_are_all_masked() -> None:
    q, k, v = floats(1, 1, 2, 4), floats(1, 1, 3, 4), floats(1, 1, 3, 4)
    mask = np.array([[0, 0, 0], [-np.inf] * 3], np.float32)
    (out,) = run(lambda *args: ops.attention(*args, scale=1.0, is_guarded=True), q, k, v, mask)
    assert not out[0, 0, 1].any() and np.isfinite(out).all()


def test_rotary_embedding() -> None:
    x, angle = floats(2, 3, 8), floats(3, 4)
    cos, sin = (np.concatenate([f(angle)] * 2, -1).astype(np.float32) for f in (np.cos, np.sin))
    turned = (x[..., :4] + 1j * x[..., 4:]) * np.exp(1j * angle)
    check(ops.rotary_embedding, np.concatenate([turned.real, turned.imag], -1), x, cos, sin, rtol=1e-4)
