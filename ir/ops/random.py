"""Random tensors: the seed is part of the op, so that runs repeat."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ircost.ir.attributes import REQUIRED, Attributes, AttributeSpec, float_of, int_of
from ircost.ir.counts import Counts
from ircost.ir.definition import Arrays, OpDefinition, register_op
from ircost.ir.errors import VerifyError
from ircost.ir.graph import Op, Region
from ircost.ir.numpy_dtypes import to_format
from ircost.ir.types import TensorType

# Philox 4x32-10 makes four numbers in ten rounds of two multiplies, four exclusive ors and two adds.
# Source: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011.
LOGIC_PER_NUMBER = 20
DISTRIBUTIONS = ("uniform", "normal")


class Random(OpDefinition):
    """Numbers of a distribution.

    ``uniform``: from ``low`` up to ``high``; ``normal``: mean ``low``, standard deviation ``high``.

    Values are those of NumPy's `RandomState`, which is frozen, for ``seed``. Two ops with the same seed give the same.
    Source: ONNX RandomUniform-22, RandomNormal-22.
    """

    name = "random"
    attributes = {
        "distribution": AttributeSpec("str", REQUIRED),
        "low": AttributeSpec("float", 0.0),
        "high": AttributeSpec("float", 1.0),
        "seed": AttributeSpec("int", REQUIRED),
    }
    needs_result_types = True
    result_count = 1

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        raise AssertionError("the type of a random tensor is given")

    def verify(self, op: Op) -> None:
        if op.attrs["distribution"] not in DISTRIBUTIONS:
            raise VerifyError(f"random: no distribution '{op.attrs['distribution']}'", at=op)
        if not all(math.isfinite(float_of(op.attrs, name)) for name in ("low", "high")):
            raise VerifyError(f"random: low is {op.attrs['low']}, high {op.attrs['high']}", at=op)

    def evaluate(self, op: Op, operands: Arrays) -> Sequence[np.ndarray]:
        state = np.random.RandomState(int_of(op.attrs, "seed") % 2**32)
        draw = state.uniform if op.attrs["distribution"] == "uniform" else state.normal
        low, high = (float_of(op.attrs, name) for name in ("low", "high"))
        numbers = np.asarray(draw(low, high, op.result.type.shape))
        return [to_format(numbers, op.result.type.dtype)]

    def counts(self, op: Op) -> Counts:
        n = op.result.type.elements
        transcendental = 2 * n if op.attrs["distribution"] == "normal" else 0  # Box and Muller's method
        return Counts(logic=LOGIC_PER_NUMBER * n, multiply=n, add=n, transcendental=transcendental)


random = register_op(Random())
