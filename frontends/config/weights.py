"""Where the values of a model's weights come from: nowhere, for a cost; from arrays, for a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ircost.frontends.config.config_file import ConfigError
from ircost.ir.constant import ConstantData, Missing, literal
from ircost.ir.numpy_dtypes import to_format
from ircost.ir.types import TensorType


@dataclass(frozen=True, slots=True)
class Weights:
    """Makes the data of constants.

    Args:
        arrays: values by the weight's name (``layers.3.attention.query``); None where nobody has them.
    """

    arrays: Mapping[str, np.ndarray] | None = None

    def data(self, names: Sequence[str], type: TensorType) -> ConstantData:
        """Of one weight, or of the same weight of several layers, stacked.

        Raises:
            ConfigError: there are arrays, but none of this name, or it has another shape.
        """
        if self.arrays is None:
            return Missing(names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}")
        shape = type.shape if len(names) == 1 else type.shape[1:]
        found = [self._array(name, shape) for name in names]
        values = found[0] if len(names) == 1 else np.stack(found)
        return literal(to_format(values, type.dtype))

    def table(self, name: str, type: TensorType, make: Callable[[], np.ndarray]) -> ConstantData:
        """Of a table that no checkpoint holds, such as cosines of positions: worked out where weights have values."""
        return Missing(name) if self.arrays is None else literal(to_format(make(), type.dtype))

    def _array(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        assert self.arrays is not None, "asked for where there are some"
        if name not in self.arrays:
            raise ConfigError(f"no weight '{name}'", help=f"of shape {list(shape)}")
        array = self.arrays[name]
        if array.shape != shape:
            raise ConfigError(f"weight '{name}' is {list(array.shape)}, {list(shape)} expected")
        return array


@dataclass(frozen=True, slots=True)
class WeightUse:
    """A weight that a model holds.

    Args:
        padding: elements of it that are 0 and that no checkpoint holds, where a kernel reads them with the others.
        name: with the first and last layer (``layers.0-31``) where several have one. copies: how many do.
    """

    name: str
    type: TensorType
    copies: int
    padding: int = 0

    @property
    def parameters(self) -> int:
        """Elements that a checkpoint holds, of all copies."""
        return (self.type.elements - self.padding) * self.copies


@dataclass(slots=True)
class Ledger:
    """The weights of a model as they are asked for."""

    uses: list[WeightUse] = field(default_factory=list)

    @property
    def parameters(self) -> int:
        """Elements of all weights, each once."""
        return sum(use.parameters for use in self.uses)
