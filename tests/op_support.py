"""Runs ops on arrays, and compares with what is expected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ircost.ir import Builder, Function, Module, Value, interpret, ops
from ircost.ir.numpy_dtypes import dtype_of
from ircost.ir.types import TensorType

RANDOM = np.random.default_rng(7)


def floats(*shape: int, low: float = -2.0, high: float = 2.0) -> np.ndarray:
    return RANDOM.uniform(low, high, shape).astype(np.float32)


def run(make: Callable[..., Any], *arrays: np.ndarray) -> list[np.ndarray]:
    """What an op made of arguments of these types returns for these arrays."""
    function = Function("main", [TensorType(a.shape, dtype_of(a)) for a in arrays])
    build = Builder(function.block)
    made = make(*function.arguments)
    results = [made] if isinstance(made, Value) else list(made)
    for result in results:
        build(result)
    build.op(ops.return_.create(results))
    return interpret(Module([function]), list(arrays))


def check(make: Callable[..., Any], expected: Any, *arrays: np.ndarray, rtol: float = 1e-5) -> None:
    wanted = expected if isinstance(expected, list) else [expected]
    for actual, array in zip(run(make, *arrays), wanted, strict=True):
        array = np.asarray(array)
        assert actual.shape == array.shape
        np.testing.assert_allclose(actual, array, rtol=rtol, atol=1e-6)
