"""One call of an ATen operator, as a lowering sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch.fx import Node

from ircost.frontends.torch.errors import TorchError
from ircost.frontends.torch.tensors import dtype_of, scalar_array, type_of
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.location import Location
from ircost.ir.types import DType, TensorType

Operand: TypeAlias = Value | float | int | bool
Lowered: TypeAlias = Value | Sequence[Value | None]


class Call:
    """What a lowering may ask beside the arguments, which it gets as the operator's schema has them.

    Args:
        node: in the exported graph.
        location: the module's path, or the node's name.
    """

    __slots__ = ("location", "node")

    def __init__(self, node: Node, location: Location) -> None:
        self.node = node
        self.location = location

    @property
    def operator(self) -> str:
        """``aten.add.Tensor``."""
        return str(self.node.target)

    @property
    def types(self) -> list[TensorType]:
        """What PyTorch says the results are."""
        value = self.node.meta["val"]
        values = value if isinstance(value, (list, tuple)) else [value]
        return [type_of(one, self.location) for one in values if isinstance(one, torch.Tensor)]

    @property
    def type(self) -> TensorType:
        return self.types[0]

    @property
    def dtype(self) -> DType:
        return self.type.dtype

    def dtype_of(self, dtype: torch.dtype | None) -> DType:
        """The number format that an argument names; that of the result where it names none."""
        return self.dtype if dtype is None else dtype_of(dtype, self.location)

    def common_dtype(self, first: int = 0, second: int = 1) -> DType:
        """The number format in which two arguments are compared or combined."""
        lhs, rhs = (
            a.meta["val"] if isinstance(a, Node) else a for a in (self.node.args[first], self.node.args[second])
        )
        return dtype_of(torch.result_type(lhs, rhs), self.location)

    def operand(self, value: Operand, dtype: DType | None = None) -> Value:
        """A value, or a number as a constant, in a number format: that of the result where none is given."""
        wanted = dtype or self.dtype
        if isinstance(value, Value):
            return value if value.type.dtype == wanted else ops.cast(value, to=wanted)
        return ops.constant_of(scalar_array(value, wanted), wanted)

    def reshaped(self, value: Value) -> Value:
        """The value under the result's shape."""
        return value if value.type.shape == self.type.shape else ops.reshape(value, shape=self.type.shape)

    def known(self, value: Value, what: str) -> np.ndarray:
        """The array behind a value that must be known.

        Raises:
            TorchError: it depends on the module's inputs.
        """
        array = ops.constant_value(value)
        if array is None:
            raise self.error(f"{what} depends on the module's inputs")
        return array

    def need_eval(self, is_training: bool) -> None:
        """Raises:
        TorchError: the module was exported as it is for training.
        """
        if is_training:
            raise self.error("the module is in training mode", help="call module.eval() before from_torch")

    def error(self, message: str, help: str | None = None) -> TorchError:
        return TorchError(f"{self.operator}: {message}", at=self.location, help=help)


Lowering: TypeAlias = Callable[..., Lowered]
LOWERINGS: dict[str, Lowering] = {}


def lowering(*names: str) -> Callable[[Lowering], Lowering]:
    """Declares how operators become ops: ``add.Tensor``, or ``relu`` for its only overload.

    The function gets the call, then the operator's own arguments with tensors as values.
    """

    def register(function: Lowering) -> Lowering:
        for name in names:
            full = f"aten.{name}" if "." in name else f"aten.{name}.default"
            assert full not in LOWERINGS, f"two lowerings of {full}"
            LOWERINGS[full] = function
        return function

    return register
