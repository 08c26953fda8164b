"""Fits the constants of a family to measurements: partial pooling over what kernels have in common.

A constant is a sum of effects on a link scale (log of a time; logit of a share): one of the family, and one each of the
machine's architecture, the runtime, the number format, ... Effects are drawn towards zero by a ridge, so that what is
seen on few machines moves little, and a machine that was never seen gets what all have in common.

Source: Gelman, Hill, "Data Analysis Using Regression and Multilevel/Hierarchical Models", 2007, chapter 12.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from ircost.cost_models.gpu.demand import (
    HOST,
    HOST_SHARPNESS,
    ISSUE,
    RECORD,
    RESIDENT,
    SHARPNESS,
    STEEPNESS,
    Column,
    Demand,
    Parameter,
    best_candidate,
    cold_share,
)

Effect = tuple[str, str]  # what rows have in common, and of which of its levels
Effects = Mapping[Effect, Mapping[str, float]]  # parameter -> amount, of each
NOTHING_HELD: Effects = MappingProxyType({})
KNEE = 0.1  # errors in |log(predicted / measured)| beyond it count by their size, not its square
FAR_OFF = 1e6  # what errors that are no numbers count as
BASE = "all"
BASE_WIDTH = 1.5  # how far the family's own constants may stand off their defaults, on the link scale
LEAST_S = 1e-9  # no kernel is shorter; keeps logarithms finite while a fit looks around
# Effects that hold for kernels of every kind and format of a machine, whichever of them were measured.
OF_ALL_KERNELS = frozenset(("architecture", "device"))
WORTH_A_ROUND = 0.02  # of the mean error: what another choice of candidates must gain to be taken
SETTLED = 0.005  # of the mean error: a change so small says that the choice is the same
LEAST_TOLD = 0.02  # of a width: keeps the ridge finite where rows tell of nothing


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


@dataclass(frozen=True, slots=True)
class Fit:
    """Effects on the link scale, by (effect, level), a number for each parameter.

    Args:
        median_error: of |log(predicted / measured)| on the samples.
    """

    effects: Effects
    median_error: float

    def point(self, labels: Mapping[str, str], name: str) -> float:
        """Where a constant stands on the link scale."""
        own = ((BASE, ""), *labels.items())
        return sum(self.effects[key].get(name, 0.0) for key in own if key in self.effects)


def value_of(parameter: Parameter, z: np.ndarray | float) -> np.ndarray | float:
    """The constant of a point on the link scale.

    >>> float(value_of(Parameter("share", 0.8, ""), 0.0)), float(value_of(Parameter("time", 2e-6, ""), 0.0))
    (0.5, 2e-06)
    """
    if parameter.kind == "share":
        return 1.0 / (1.0 + np.exp(z))
    if parameter.kind == "exponent":
        return np.maximum(parameter.default * np.exp(z), 1.0)
    return parameter.default * np.exp(z)


def start_of(parameter: Parameter) -> float:
    """The point of a parameter's default."""
    return float(np.log(1.0 / parameter.default - 1.0)) if parameter.kind == "share" else 0.0


def fit(
    parameters: Mapping[str, Parameter],
    samples: Sequence[Sample],
    widths: Mapping[str, float],
    stiffness: float,
    rounds: int = 4,
    most_rounds: int = 0,
    held: Effects = NOTHING_HELD,
    is_as_told: bool = False,
) -> Fit:
    """Effects for which the samples' errors are least.

    Candidates are chosen by the constants of the round before, then the constants are fitted to the chosen ones.

    Args:
        widths: effect -> how far its levels may spread, a standard deviation on the link scale.
        stiffness: of the samples' errors against the ridge.
        rounds: of choosing and fitting, one at least. most_rounds: while errors change; of those beyond ``rounds``
            a later one is taken where it is better by a fiftieth.
        held: effects that are known already, and stay as they are; those of the family itself among them, if any.
        is_as_told: an architecture or a machine moves each constant only as far as its rows tell of it: the widths of
            these effects are taken times the share of the rows' time that goes by the constant.
    """
    from scipy.optimize import minimize  # slow to import, and costing a model reads constants without fitting any

    design = _Design.of(parameters, samples, widths, held)
    point = design.origin
    assert rounds > 0, "errors are those of the last round's candidates"

    def chosen(point: np.ndarray) -> _Errors:
        return _errors_of(parameters, samples, design, point)

    def fitted(errors: _Errors, point: np.ndarray) -> np.ndarray:
        loss = _Loss(design.as_far_as_told(errors, point) if is_as_told else design, errors, stiffness)
        best = minimize(loss, point.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 150, "maxfun": 200})
        return np.asarray(best.x).reshape(point.shape)

    for _ in range(rounds):
        errors = chosen(point)
        point = fitted(errors, point)
    size = np.abs(errors.of(design.matrix @ point)[0])
    kept, least, before = point, np.inf, np.inf
    for _ in range(most_rounds - rounds):
        errors = chosen(point)
        mean = float(np.abs(errors.of(design.matrix @ point)[0]).mean())
        if mean < least * (1 - WORTH_A_ROUND):
            kept, least = point, mean
        if abs(mean - before) < SETTLED * mean:
            break
        before, point = mean, fitted(errors, point)
    effects = {
        level: dict(zip(parameters, kept[place].tolist(), strict=True)) for place, level in enumerate(design.levels)
    }
    return Fit(effects, float(np.median(size)))


@dataclass(frozen=True, slots=True)
class _Design:
    """Which effects move which sample, and how freely.

    Args:
        levels: (effect, level) of each row of a point.
        matrix: [samples, levels] 1 where a level holds for a sample.
        origin: [levels, parameters] where the ridge draws to: the defaults for the family's own, else zero; of what
            is held its amounts.
        penalty: [levels, parameters] one over the square of each width.
        is_free: [levels, parameters] whether an effect may move a parameter.
    """

    levels: Sequence[Effect]
    matrix: np.ndarray
    origin: np.ndarray
    penalty: np.ndarray
    is_free: np.ndarray
    weights: np.ndarray

    @staticmethod
    def of(
        parameters: Mapping[str, Parameter], samples: Sequence[Sample], widths: Mapping[str, float], held: Effects
    ) -> _Design:
        found = {
            (effect, sample.labels[effect]) for sample in samples for effect in widths if sample.labels.get(effect)
        }
        levels = [(BASE, ""), *sorted(found)]
        matrix = np.array(
            [[effect == BASE or sample.labels.get(effect) == level for effect, level in levels] for sample in samples],
            dtype=float,
        )
        origin = np.zeros((len(levels), len(parameters)))
        origin[0] = [start_of(parameter) for parameter in parameters.values()]
        for place, level in enumerate(levels):
            if level in held:
                origin[place] = [held[level].get(name, at) for name, at in zip(parameters, origin[place], strict=True)]
        spread = np.array([BASE_WIDTH, *(widths[effect] for effect, _ in levels[1:])])
        is_free = np.array(
            [
                [level not in held and (level[0] == BASE or level[0] in p.effects) for p in parameters.values()]
                for level in levels
            ]
        )
        freedom = np.array([parameter.freedom for parameter in parameters.values()])
        weights = np.array([sample.weight for sample in samples])
        return _Design(
            levels, matrix, origin, 1.0 / np.square(np.outer(spread, freedom)), is_free, weights / weights.mean()
        )

    def as_far_as_told(self, errors: _Errors, point: np.ndarray) -> _Design:
        """The same with effects of all kernels of a machine held the harder, the less of its rows' time they move.

        Args:
            point: [levels, parameters] by which the rows' time is shared out.
        """
        share = errors.shares(self.matrix @ point)
        count = len(self.matrix)
        rows = np.bincount(errors.sample, minlength=count)
        by_sample = np.stack([np.bincount(errors.sample, own, count) / rows for own in share], axis=1)
        mean = self.matrix.T @ by_sample / self.matrix.sum(axis=0)[:, None]
        is_of_all = np.array([effect in OF_ALL_KERNELS for effect, _ in self.levels])
        told = np.where(is_of_all[:, None], np.clip(mean, LEAST_TOLD, 1.0), 1.0)
        return replace(self, penalty=self.penalty / told**2)


@dataclass(frozen=True, slots=True)
class _Loss:
    """What a fit makes least, and its slope: errors of the samples, each of its weight, and the ridge."""

    design: _Design
    errors: _Errors
    stiffness: float

    def __call__(self, flat: np.ndarray) -> tuple[float, np.ndarray]:
        design = self.design
        point = flat.reshape(design.origin.shape)
        with np.errstate(all="ignore"):
            error, slopes = self.errors.of(design.matrix @ point)
        if not np.isfinite(error).all() or not all(np.isfinite(slope).all() for slope in slopes):
            return FAR_OFF, np.zeros_like(
                flat
            )  # a step of the search that went beyond all numbers: a shorter one will do
        root = np.sqrt(error**2 + KNEE**2)
        off = point - design.origin
        strength = 1.0 / (design.weights.sum() * self.stiffness)
        value = (self.row_weight * (root - KNEE)).sum() + 0.5 * strength * (design.penalty * off**2).sum()
        pull = self.row_weight * error / root
        count = len(design.weights)
        by_sample = np.stack([np.bincount(self.errors.sample, pull * slope, count) for slope in slopes], axis=1)
        slope = design.matrix.T @ by_sample + strength * design.penalty * off
        return float(value), (design.is_free * slope).ravel()

    @property
    def row_weight(self) -> np.ndarray:
        """[rows] such that each sample counts by its weight, whatever its rows."""
        weights = self.design.weights
        each: np.ndarray = (weights / np.bincount(self.errors.sample))[self.errors.sample] / weights.sum()
        return each


class _Errors:
    """Errors of rows under their chosen candidates, and their slopes by each parameter's point.

    Args:
        chosen: demand of each sample, one candidate a row.
        measured_s: of each sample.
    """

    def __init__(
        self, parameters: Mapping[str, Parameter], chosen: Sequence[Demand], measured_s: Sequence[Column]
    ) -> None:
        self.parameters = parameters
        self.sample = np.repeat(np.arange(len(chosen)), [len(column) for column in measured_s])
        self.log_measured = np.log(np.concatenate(measured_s))
        first = chosen[0]
        self.busy = {name: np.concatenate([d.busy[name] for d in chosen]) for name in first.busy}
        self.fixed = {name: np.concatenate([d.fixed[name] for d in chosen]) for name in first.fixed}
        self.repeats = first.repeats
        self.issues = np.concatenate([d.issues for d in chosen])
        self.least = {name: np.concatenate([d.least[name] for d in chosen]) for name in first.least}
        self.reused = [
            tuple(np.concatenate([d.reused[i][part] for d in chosen]) for part in (0, 1))
            for i in range(len(first.reused))
        ]

    def of(self, z: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        """log(predicted / measured) of each row, and its slope by each parameter.

        Args:
            z: [samples, parameters] points on the link scale.
        """
        value = {
            name: np.asarray(value_of(parameter, z[:, i]))[self.sample]
            for i, (name, parameter) in enumerate(self.parameters.items())
        }
        slow, melted = self._busy_s(value)
        top = np.maximum(np.maximum.reduce(list(slow.values())), 1e-15)
        ratio = {name: np.maximum(seconds / top, 1e-12) for name, seconds in slow.items()}
        power = value[SHARPNESS]
        powers = {name: r**power for name, r in ratio.items()}
        total = sum(powers.values())
        norm = top * total ** (1 / power)
        device = norm + sum(count * value[name] for name, count in self.fixed.items() if name != ISSUE)
        waits = self.fixed.get(ISSUE, np.zeros(1))
        host = {HOST: value[HOST] * self.issues, RECORD: value[RECORD] * waits}
        both, by_device, by_host = _beside_host(device, host[HOST] + host[RECORD])
        latency = both + waits * value[ISSUE]

        def slope(name: str) -> np.ndarray:
            """Of the device's time; of the host's parts in the latency as if they were the device's."""
            if name in host:
                return np.asarray(by_host * host[name] / by_device)
            if name == ISSUE:
                return np.asarray(waits * value[ISSUE] / by_device)
            if name in slow:  # d norm / d slow, and d slow / dz: shares lose as odds grow, rates gain
                part: np.ndarray = norm / total * powers[name] / ratio[name] / top * slow[name]
                part = np.where(slow[name] > self.least[name], part, 0.0) if name in self.least else part
                return np.asarray(part * (1 - value[name]) if self.parameters[name].kind == "share" else -part)
            if name in self.fixed:
                return np.asarray(self.fixed[name] * value[name])
            if name == SHARPNESS:
                logs = sum(w * np.log(ratio[n]) for n, w in powers.items())
                return np.asarray(
                    norm * (logs / total / power - np.log(total) / power**2) * np.where(power > 1, power, 0.0)
                )
            if name == RESIDENT and "main" in slow:
                melting = melted / value["main"] * value.get(self.repeats.get("main", ""), 1.0)
                return np.asarray(norm / total * powers["main"] / ratio["main"] / top * melting)
            own = [powers[resource] for resource, factor in self.repeats.items() if factor == name]
            return np.asarray(norm / total * sum(own)) if own else np.asarray(np.zeros_like(norm))

        slopes = [slope(name) * by_device / latency for name in self.parameters]
        return np.log(np.maximum(latency, LEAST_S)) - self.log_measured, slopes

    def shares(self, z: np.ndarray) -> list[np.ndarray]:
        """[rows] of each parameter: the share of the time that goes by it, whatever its kind and however near to one.

        Args:
            z: as of ``of``.
        """
        _, slopes = self.of(z)
        found = []
        for place, (parameter, slope) in enumerate(zip(self.parameters.values(), slopes, strict=True)):
            lost = 1.0 - np.asarray(value_of(parameter, z[:, place])) if parameter.kind == "share" else np.ones(len(z))
            found.append(np.abs(slope) / np.maximum(lost, 1e-9)[self.sample])
        return found

    def _busy_s(self, value: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], np.ndarray | float]:
        """Seconds of each resource; and how those of main memory change with the logarithm of ``resident``."""
        slow = {name: seconds / value[name] for name, seconds in self.busy.items()}
        main, melted = self.busy.get("main", 0.0), 0.0
        for seconds, footprint in self.reused:
            cold = cold_share(footprint, value[RESIDENT])
            main = main - seconds * (1 - cold)
            melted = melted - STEEPNESS * seconds * cold * (1 - cold)
        if "main" in slow:
            slow["main"] = np.maximum(main, 0) / value["main"]
        for name, factor in self.repeats.items():
            slow[name] = slow[name] * value[factor]
        for name, seconds in self.least.items():
            slow[name] = np.maximum(slow[name], seconds)
        return slow, melted


def _beside_host(device: np.ndarray, host_s: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Time of device and host side by side; its slope by the device's time; and by the host's."""
    host = host_s / device
    most = np.maximum(host, 1.0)
    shares = (1.0 / most) ** HOST_SHARPNESS, (host / most) ** HOST_SHARPNESS
    both = shares[0] + shares[1]
    time = device * most * both ** (1.0 / HOST_SHARPNESS)
    return time, shares[0] / both * time / device, shares[1] / both * time / np.maximum(host_s, LEAST_S)


def _errors_of(
    parameters: Mapping[str, Parameter], samples: Sequence[Sample], design: _Design, point: np.ndarray
) -> _Errors:
    """Errors under the candidates that the constants of a point choose."""
    chosen = []
    for sample, z in zip(samples, design.matrix @ point, strict=True):
        constants = {name: value_of(p, z[i]) for i, (name, p) in enumerate(parameters.items())}
        chosen.append(sample.demand.chosen(best_candidate(sample.demand, constants)))
    return _Errors(parameters, chosen, [sample.measured_s for sample in samples])
