"""Predicts how well activations, and flops, explain the time of whole networks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import Field

from ircost.api import compile_model
from ircost.backends import Target, load_target
from ircost.datasets.claim_yaml import ClaimError, Section
from ircost.datasets.claims import Written
from ircost.datasets.convnets import convnet
from ircost.datasets.pycls_zoo import ZooNetwork, pycls_zoo
from ircost.predictors.prediction import Point, Prediction, yes_or_no
from ircost.quantity_text import small_text
from ircost.report import Report

CORRELATION, SPEARMAN = "log correlation with time", "Spearman above 0.95"
LEAST_SPEARMAN = 0.95


class NetworksConfiguration(Written):
    """Args:
    target: the machine.
    batch: images.
    slow, fast: names of two networks of about equal flops.
    """

    target: str
    batch: int = Field(ge=1)
    slow: str
    fast: str


@dataclass(frozen=True, slots=True)
class Timed:
    """Networks and their predicted times, as columns."""

    networks: tuple[ZooNetwork, ...]
    reports: tuple[Report, ...]

    @property
    def predicted(self) -> np.ndarray:
        return np.array([report.latency_s for report in self.reports])

    @property
    def published(self) -> np.ndarray:
        return np.array([network.time_s for network in self.networks])

    def counts(self, name: str) -> np.ndarray:
        return np.array([getattr(network.published, name) for network in self.networks], dtype=float)

    def report(self, name: str) -> Report:
        (found,) = [r for n, r in zip(self.networks, self.reports, strict=True) if n.name == name]
        return found


def predict_network_times(section: Section) -> Prediction:
    """Each network op by op, in f32, by the analytical model with its bundled constants.

    Raises:
        ClaimError: the configuration is wrong, or the target or a network unknown.
    """
    wanted = section.read(NetworksConfiguration)
    with section.blaming("target"):
        target = load_target(wanted.target)
    for side in ("slow", "fast"):
        if getattr(wanted, side) not in [network.name for network in pycls_zoo()]:
            raise ClaimError(f"no network '{getattr(wanted, side)}'", at=section.place(side))
    timed = timed_networks(target, wanted.batch)
    slow, fast = timed.report(wanted.slow), timed.report(wanted.fast)
    pair: Point = ("ratio of times", f"{wanted.slow} / {wanted.fast}")
    ranks = {
        "of predicted and published times": rank_correlation(timed.predicted, timed.published),
        "of activations and predicted times": rank_correlation(timed.counts("activations"), timed.predicted),
    }
    logs = {name: correlation(timed.counts(name), timed.predicted) for name in ("activations", "flops")}
    return Prediction(
        values={
            **{(CORRELATION, name): value for name, value in logs.items()},
            **{(SPEARMAN, point): yes_or_no(rank > LEAST_SPEARMAN) for point, rank in ranks.items()},
            pair: slow.latency_s / fast.latency_s,
        },
        reasons={
            **dict.fromkeys([(CORRELATION, name) for name in logs], _why(timed)),
            **{(SPEARMAN, point): f"{rank:.3f}" for point, rank in ranks.items()},
            pair: f"{_time_text(wanted.slow, slow)}; {_time_text(wanted.fast, fast)}",
        },
        target=target,
        figures=("vector.f32", f"memory.{target.main_memory.name}.bandwidth_bytes_per_s", "processors.count"),
        model="analytical, bundled constants; each op a kernel, f32, one after another",
    )


def timed_networks(target: Target, batch: int) -> Timed:
    networks = pycls_zoo()
    reports = [compile_model(convnet(network.network, batch), target, pipeline="") for network in networks]
    return Timed(networks, tuple(reports))


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson's, of the logarithms.

    >>> round(correlation(np.array([1.0, 2.0, 4.0]), np.array([3.0, 6.0, 12.0])), 6)
    1.0
    """
    return float(np.corrcoef(np.log(x), np.log(y))[0, 1])


def rank_correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's: Pearson's of the ranks; what is equal shares the mean of its ranks.

    >>> round(rank_correlation(np.array([1.0, 2.0, 3.0]), np.array([1.0, 8.0, 8.0])), 3)
    0.866
    """
    return float(np.corrcoef(_ranks(x), _ranks(y))[0, 1])


def _ranks(x: np.ndarray) -> np.ndarray:
    _, place, counts = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: np.ndarray = (last - (counts - 1) / 2)[place]
    return ranks


def _why(timed: Timed) -> str:
    """Where predicted times leave published ones, by flops."""
    over = timed.predicted / timed.published
    order = np.argsort(timed.counts("flops"))
    third = len(order) // 3
    small, large = np.exp(np.log(over[order[:third]]).mean()), np.exp(np.log(over[order[-third:]]).mean())
    agreed = correlation(timed.predicted, timed.published)
    published = [correlation(timed.counts(name), timed.published) for name in ("activations", "flops")]
    return (
        f"published times of the file give {published[0]:.3f} with activations and {published[1]:.3f} with flops. "
        f"Predicted over published is {small:.2f} in the third of networks with fewest flops and {large:.2f} in that "
        f"with most; correlation of predicted with published times {agreed:.3f}."
    )


def _time_text(name: str, report: Report) -> str:
    bounds = ", ".join(f"{bound} {share:.0%}" for bound, share in list(report.bound_shares.items())[:2])
    return f"{name} takes {small_text(report.latency_s, 's')}, bound by {bounds}"
