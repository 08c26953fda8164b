"""Which constants are one number."""

from __future__ import annotations

import numpy as np
import pytest

from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.types import TensorType, f16, f32, parse_dtype
from ircost.passes.match import uniform

LARGE = TensorType((1_000_000, 1_000_000), f32)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (ops.splat(0.5, LARGE), 0.5),
        (ops.splat(0.1, TensorType((2,), f16)), float(np.float16(0.1))),
        (ops.splat(True, TensorType((2,), parse_dtype("bool"))), 1.0),
        (ops.constant_of(np.array([3, 3])), 3.0),
        (ops.constant_of(np.array([False, False])), 0.0),
        (ops.constant_of(np.array([3, 4])), None),
        (ops.constant_of(np.zeros(0)), None),
        (ops.neg(ops.splat(1.0, LARGE)), None),
    ],
    ids=str,
)
def test_constants_that_are_one_number(value: Value, number: float | None) -> None:
    assert uniform(value) == number
