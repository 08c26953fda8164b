"""Strides of reshaped tensors, as NumPy has them where it need not copy."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ircost.ir.strides import axis_order, ordered, reshaped

EXTENTS = st.lists(st.sampled_from([1, 2, 3, 4]), min_size=1, max_size=4)


@given(EXTENTS, st.data())
def test_a_shape_is_had_by_strides_where_numpy_needs_no_copy(shape: list[int], data: st.DataObject) -> None:
    perm = data.draw(st.permutations(range(len(shape))))
    x = np.zeros(shape, np.int8).transpose(perm)
    factors = [n for extent in x.shape for n in ([2, 2] if extent == 4 else [extent])]
    cuts = sorted(data.draw(st.sets(st.integers(1, len(factors)), max_size=3)) | {len(factors)})
    new = [math.prod(factors[a:b]) for a, b in zip([0, *cuts], cuts, strict=False)]
    found = reshaped(x.shape, x.strides, new)
    shared = np.shares_memory(x, x.reshape(new))
    assert (found is not None) == shared
    if found is not None:
        long = [axis for axis, extent in enumerate(new) if extent > 1]
        assert [found[axis] for axis in long] == [x.reshape(new).strides[axis] for axis in long]


@given(EXTENTS, st.data())
def test_an_order_is_found_again(shape: list[int], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(shape))))
    strides = ordered(shape, order)
    assert all(
        n == 1 or a == b for n, a, b in zip(shape, ordered(shape, axis_order(shape, strides)), strides, strict=True)
    )
