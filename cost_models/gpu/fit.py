"""Fits the constants of a family to measurements: bounded, robust, and the same every time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.optimize import minimize

from ircost.cost_models.gpu.terms import Column, Constants, Parameter

# Errors beyond this, in |log(predicted / measured)|, weigh a third: no outlier pulls.
KNEE, BEYOND = 0.5, 0.3
Sample = tuple[Callable[[Constants], Column], Column]  # a model of some rows, and what was measured of them, seconds


def fit(
    samples: Sequence[Sample], parameters: Mapping[str, Parameter], start: Constants | None = None, tries: int = 300
) -> tuple[dict[str, float], float]:
    """Constants within their bounds for which the mean error of the samples is least.

    Each sample weighs alike, whatever its rows. Nelder-Mead on the logarithms: no gradients, no random numbers.

    Returns:
        The constants, and the mean error.
    """
    names = list(parameters)
    low = np.log([parameters[name].low for name in names])
    high = np.log([parameters[name].high for name in names])
    first = np.log([(start or {}).get(name, parameters[name].default) for name in names])

    def constants(point: np.ndarray) -> dict[str, float]:
        return dict(zip(names, np.exp(np.clip(point, low, high)).tolist(), strict=True))

    def loss(point: np.ndarray) -> float:
        outside = np.maximum(point - high, 0).sum() + np.maximum(low - point, 0).sum()
        return error_of(samples, constants(point)) + 0.1 * float(outside)

    simplex = np.vstack([first, *(first + 0.35 * row for row in np.eye(len(names)))])
    options = {"maxfev": tries, "xatol": 5e-3, "fatol": 1e-5, "initial_simplex": simplex, "adaptive": True}
    best = minimize(loss, first, method="Nelder-Mead", options=options)
    found = constants(best.x)
    return found, error_of(samples, found)


def error_of(samples: Sequence[Sample], constants: Constants) -> float:
    """Mean over samples of the mean |log(predicted / measured)|, what is beyond the knee weighed less."""
    total = 0.0
    for model, measured_s in samples:
        errors = np.abs(np.log(np.maximum(model(constants), 1e-12) / measured_s))
        total += float(np.mean(np.minimum(errors, KNEE + BEYOND * np.maximum(errors - KNEE, 0.0))))
    return total / max(len(samples), 1)
