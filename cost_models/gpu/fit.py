"""Fits the constants of a family to measurements: partial pooling over what kernels have in common.

A constant is a sum of effects on a link scale (log of a time; logit of a share): one of the family, and one each of the
machine's architecture, the runtime, the number format, ... Effects are drawn towards nought by a ridge, so that what is
seen on few machines moves little, and a machine that was never seen gets what all have in common.

Source: Gelman, Hill, "Data Analysis Using Regression and Multilevel/Hierarchical Models", 2007, chapter 12.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from ircost.cost_models.gpu.demand import (
    HOST,
    HOST_SHARPNESS,
    RESIDENT,
    SHARPNESS,
    STEEPNESS,
    Column,
    Demand,
    Parameter,
    best_candidate,
    cold_share,
)

KNEE = 0.1  # errors in |log(predicted / measured)| beyond it count by their size, not its square
BASE = "all"
BASE_WIDTH = 1.5  # how far the family's own constants may stand off their defaults, on the link scale


@dataclass(frozen=True, slots=True)
class Sample:
    """Measured rows that share their labels.

    Args:
        labels: effect -> level, such as architecture -> hopper.
        demand: of the rows, with all candidates.
        measured_s: [rows].
        weight: of the sample among all.
    """

    labels: Mapping[str, str]
    demand: Demand
    measured_s: Column
    weight: float = 1.0


def value_of(parameter: Parameter, z: np.ndarray | float) -> np.ndarray | float:
    """The constant of a point on the link scale."""
    if parameter.kind == "share":
        return 1.0 / (1.0 + np.exp(z))
    return parameter.default * np.exp(z)


def start_of(parameter: Parameter) -> float:
    return float(np.log(1.0 / parameter.default - 1.0)) if parameter.kind == "share" else 0.0


@dataclass(frozen=True, slots=True)
class Fit:
    """Effects on the link scale, by (effect, level), a number for each parameter."""

    effects: Mapping[tuple[str, str], Mapping[str, float]]
    median_error: float

    def point(self, labels: Mapping[str, str], name: str) -> float:
        own = ((BASE, ""), *labels.items())
        return sum(self.effects[key].get(name, 0.0) for key in own if key in self.effects)


def fit(
    parameters: Mapping[str, Parameter],
    samples: Sequence[Sample],
    widths: Mapping[str, float],
    stiffness: float,
    rounds: int = 4,
) -> Fit:
    """Effects for which the samples' errors are least.

    Candidates are chosen by the constants of the round before, then the constants are fitted to the chosen ones.

    Args:
        widths: effect -> how far its levels may spread, a standard deviation on the link scale.
        stiffness: of the samples' errors against the ridge.
        rounds: of choosing and fitting.
    """
    names = list(parameters)
    levels = [(BASE, "")] + sorted({(e, s.labels[e]) for s in samples for e in widths if s.labels.get(e)})
    place = {level: i for i, level in enumerate(levels)}
    design = np.zeros((len(samples), len(levels)))
    for row, sample in enumerate(samples):
        design[row, 0] = 1
        for effect in widths:
            if sample.labels.get(effect):
                design[row, place[effect, sample.labels[effect]]] = 1
    width = np.array([np.inf] + [widths[effect] for effect, _ in levels[1:]])
    penalty = np.where(np.isfinite(width), 1.0 / np.square(width), 0.0)[:, None] * np.ones(len(names))
    base = np.array([start_of(parameters[name]) for name in names])
    origin = np.zeros((len(levels), len(names)))
    origin[0] = base
    is_free = np.array(
        [[effect == BASE or effect in parameters[name].effects for name in names] for effect, _ in levels]
    )
    penalty[0] = 1.0 / BASE_WIDTH**2
    point = origin.copy()
    index = np.repeat(np.arange(len(samples)), [len(s.measured_s) for s in samples])
    measured = np.log(np.concatenate([s.measured_s for s in samples]))
    counts = np.array([len(s.measured_s) for s in samples], float)
    weights = np.array([s.weight for s in samples])
    weights = weights / weights.mean()
    row_weight = (weights / counts)[index] / weights.sum()
    strength = 1.0 / (weights.sum() * stiffness)
    for _ in range(rounds):
        z = design @ point
        chosen = []
        for row, sample in enumerate(samples):
            constants = {name: value_of(parameters[name], z[row, i]) for i, name in enumerate(names)}
            chosen.append(sample.demand.chosen(best_candidate(sample.demand, constants)))
        problem = _Problem(parameters, names, chosen, index)

        def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
            b = flat.reshape(point.shape)
            latency, partials = problem.evaluate(design @ b)
            error = np.log(latency) - measured
            root = np.sqrt(error**2 + KNEE**2)
            value = float((row_weight * (root - KNEE)).sum())
            slope = row_weight * error / root / latency
            gz = np.stack([np.bincount(index, slope * partials[i], len(samples)) for i in range(len(names))], axis=1)
            grad = design.T @ gz
            off = b - origin
            value += 0.5 * strength * float((penalty * off**2).sum())
            return value, (is_free * (grad + strength * penalty * off)).ravel()

        best = minimize(loss, point.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 150, "maxfun": 200})
        point = best.x.reshape(point.shape)
    latency, _ = problem.evaluate(design @ point)
    error = np.abs(np.log(latency) - measured)
    effects = {level: dict(zip(names, point[i].tolist(), strict=True)) for level, i in place.items()}
    return Fit(effects, float(np.median(error)))


class _Problem:
    """Latency of chosen candidates, and its slope by each parameter's point."""

    def __init__(self, parameters, names, chosen: Sequence[Demand], index) -> None:
        self.parameters, self.names, self.index = parameters, names, index
        self.busy = {n: np.concatenate([d.busy[n] for d in chosen]) for n in chosen[0].busy}
        self.fixed = {n: np.concatenate([d.fixed[n] for d in chosen]) for n in chosen[0].fixed}
        self.repeats = chosen[0].repeats
        count = len(chosen[0].reused)
        self.reused = [
            tuple(np.concatenate([d.reused[i][part] for d in chosen]) for part in (0, 1)) for i in range(count)
        ]

    def evaluate(self, z: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        at = {name: z[self.index, i] for i, name in enumerate(self.names)}
        value = {name: value_of(self.parameters[name], z[:, i])[self.index] for i, name in enumerate(self.names)}
        slow = {n: b / value[n] for n, b in self.busy.items()}
        main, melted = self.busy.get("main", 0.0), 0.0
        for seconds, footprint in self.reused:
            cold = cold_share(footprint, value[RESIDENT])
            main = main - seconds * (1 - cold)
            melted = melted - STEEPNESS * seconds * cold * (1 - cold)
        if "main" in slow:
            slow["main"] = np.maximum(main, 0) / value["main"]
        for n, factor in self.repeats.items():
            slow[n] = slow[n] * value[factor]
        p = value[SHARPNESS]
        top = np.maximum(np.maximum.reduce(list(slow.values())), 1e-15)
        ratio = {n: np.maximum(s / top, 1e-12) for n, s in slow.items()}
        powers = {n: r**p for n, r in ratio.items()}
        total = sum(powers.values())
        norm = top * total ** (1 / p)
        device = norm + sum(c * value[n] for n, c in self.fixed.items())
        host = value[HOST] / device
        most = np.maximum(host, 1.0)
        both = (1.0 / most) ** HOST_SHARPNESS + (host / most) ** HOST_SHARPNESS
        latency = device * most * both ** (1.0 / HOST_SHARPNESS)
        by_device = (1.0 / most) ** HOST_SHARPNESS / both * latency / device  # d latency / d device
        partials = []
        for name in self.names:
            if name in slow:
                d = norm / total * powers[name] / ratio[name] * (1 / top)  # d norm / d slow
                if self.parameters[name].kind == "share":
                    d = d * slow[name] * (1 - value[name])  # d slow / dz = busy * exp(z) = slow * (1 - share)
                else:
                    d = -d * slow[name]
                partials.append(d)
            elif name in self.fixed:
                partials.append(self.fixed[name] * value[name])
            elif name == SHARPNESS:
                logs = sum(w * np.log(ratio[n]) for n, w in powers.items())
                partials.append(norm * (logs / total / p - np.log(total) / p**2) * p)
            elif name == RESIDENT and "main" in slow:
                d = norm / total * powers["main"] / ratio["main"] * (1 / top)
                partials.append(d * melted / value["main"] * value.get(self.repeats.get("main", ""), 1.0))
            elif name in self.repeats.values():
                own = [n for n, factor in self.repeats.items() if factor == name]
                partials.append(norm / total * sum(powers[n] for n in own))
            elif name == HOST:
                partials.append(latency * (host / most) ** HOST_SHARPNESS / both / by_device)
            else:
                partials.append(np.zeros_like(norm))
        return np.maximum(latency, 1e-9), [partial * by_device for partial in partials]
