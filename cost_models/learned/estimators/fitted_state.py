"""What fitted estimators know, as JSON: numbers in, numbers out, and nothing of it is executed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

DIGITS = ".9g"  # of numbers: as many as tell any two of float32 apart
MOST_AXES = 2
SIMPLE = (bool, int, float, str, tuple, type(None))  # parameters that JSON holds; others are an estimator's own parts


class FittedState:
    """Part of an estimator whose fitted attributes are arrays, or lists of arrays, so that it can be stored.

    Args:
        FITTED: the names of those attributes.
    """

    FITTED: ClassVar[tuple[str, ...]] = ()
    n_features_in_: int

    def state(self) -> dict[str, Any]:
        """The fitted attributes, for JSON."""
        return {name: _plain(getattr(self, name)) for name in self.FITTED}

    def with_state(self, state: Mapping[str, Any], features: int) -> Self:
        """Itself, fitted as another one was.

        Args:
            state: what that one's ``state`` gave. features: that it was fitted with.

        Raises:
            KeyError, TypeError, ValueError: it is not that.
        """
        for name in self.FITTED:
            setattr(self, name, restored(state[name]))
        self.n_features_in_ = features
        return self


def state_of(estimator: Any) -> dict[str, Any]:
    """Parameters and fitted attributes of an estimator, for JSON.

    Raises:
        AttributeError: it has no ``state``, as that of a ``FittedState``.
    """
    parameters = {name: value for name, value in estimator.get_params(deep=False).items() if isinstance(value, SIMPLE)}
    return {"parameters": parameters, "fitted": estimator.state()}


def with_state(estimator: Any, plain: Mapping[str, Any], features: int) -> Any:
    """An unfitted estimator, fitted as the one was that ``state_of`` was asked of.

    Args:
        features: that it was fitted with.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: the state is not that of such an estimator.
    """
    return estimator.set_params(**plain["parameters"]).with_state(plain["fitted"], features)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(own) for own in value]
    array = np.asarray(value)
    numbers = [None if number != number else float(f"{number:{DIGITS}}") for number in array.ravel().tolist()]
    return {"shape": list(array.shape), "numbers": numbers}


def restored(plain: Any) -> Any:
    """An array, or a list of arrays.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    if isinstance(plain, list):
        return [restored(own) for own in plain]
    shape, numbers = plain["shape"], [_number(value) for value in plain["numbers"]]
    if len(shape) > MOST_AXES or not all(type(extent) is int and extent >= 0 for extent in shape):
        raise ValueError(f"an array of {MOST_AXES} axes at most expected, not {shape}")
    if math.prod(shape) != len(numbers):
        raise ValueError(f"{math.prod(shape)} numbers expected for {shape}, not {len(numbers)}")
    return np.array(numbers, dtype=float).reshape(shape)


def _number(value: Any) -> float:
    if value is None:
        return math.nan
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"a number expected, not {value!r}")
    return float(value)
