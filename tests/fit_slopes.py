"""The slopes of a fit's errors, held against differences."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from ircost.cost_models.gpu.demand import Parameter
from ircost.cost_models.gpu.fit import _Errors, start_of

STEP = 1e-6


def checked_slopes(errors: _Errors, parameters: Mapping[str, Parameter]) -> dict[str, np.ndarray]:
    """By parameter, [rows], at the defaults; each is what a small step makes of the errors."""
    point = np.array([[start_of(parameter) for parameter in parameters.values()]])
    _, slopes = errors.of(point)
    for place, name in enumerate(parameters):
        step = np.zeros_like(point)
        step[0, place] = STEP
        difference = (errors.of(point + step)[0] - errors.of(point - step)[0]) / (2 * STEP)
        assert slopes[place] == pytest.approx(difference, abs=1e-6), name
    return dict(zip(parameters, slopes, strict=True))
