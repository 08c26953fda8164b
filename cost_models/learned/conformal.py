"""How wide intervals must be: scores of errors that were held out, and their quantiles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.stats import t as student

from ircost.cost_models.learned.estimators.boosted import BoostedResidual

COVERAGE = 0.9
FLOOR = 0.01  # errors below a percent are noise of the measurement
SPREAD: Mapping[str, Any] = {"trees": 50, "leaves": 15, "least_rows": 50, "refinements": 0}
SPREAD_ROWS = 100_000  # to learn the size of errors from; more teach it nothing
BUNDLES = 4  # of groups, each scored by what the others say
SURE = 0.75  # that intervals on a new machine are wide enough
# How much machines differ in what they need, a standard deviation of its ln, and for how many machines that counts:
# of two or three machines nothing follows. Of the families with most machines: products 0.46 (19), convolutions 0.35
# (9), vector ops 0.51 (8).
MACHINES_DIFFER = 0.45
WORTH_MACHINES = 4


def spread_of(features: np.ndarray, size: np.ndarray) -> BoostedResidual:
    """Trees that tell ln of the size of errors.

    Args:
        features: [rows, features]. size: [rows] of errors in ln of the latency.
    """
    step = -(-len(size) // SPREAD_ROWS)
    return BoostedResidual(**SPREAD).fit(features[::step], np.log(size[::step]))


def held_out_scores(features: np.ndarray, size: np.ndarray, group: np.ndarray) -> np.ndarray:
    """[rows] sizes of errors as multiples of what trees foretell that never saw the row's group.

    Trees that saw a row know its error too well: by their own rows intervals come out too narrow.

    Source: Barber, Candes, Ramdas, Tibshirani, "Predictive inference with the jackknife+", Annals of Statistics 49(1),
    2021: CV+; here its folds are whole groups, as in Dunn, Wasserman, Ramdas, "Distribution-free prediction sets for
    two-layer hierarchical models", JASA 118, 2023.
    """
    _, codes = np.unique(group, return_inverse=True)
    bundle = np.random.default_rng(0).permutation(int(codes.max()) + 1)[codes] % BUNDLES
    found = np.empty(len(size))
    for number in np.unique(bundle):
        out = bundle == number
        inside = ~out if not out.all() else out
        found[out] = size[out] / np.exp(spread_of(features[inside], size[inside]).predict(features[out]))
    return found


def conformal_quantile(scores: np.ndarray, coverage: float = COVERAGE) -> float:
    """What the next score is not above, with this probability, if it is like these.

    Source: Vovk, Gammerman, Shafer, "Algorithmic Learning in a Random World", 2005; split conformal prediction.

    >>> conformal_quantile(np.arange(1.0, 100.0))
    90.0
    """
    rank = int(np.ceil((len(scores) + 1) * coverage)) - 1
    return float(np.sort(scores)[min(rank, len(scores) - 1)])


def worst_of_groups(size: np.ndarray, group: np.ndarray) -> float:
    """What covers the errors of the worst group, whatever trees foretell of single rows.

    Of two or three groups the worst is likely not as bad as the next: what that one needs (``group_quantile``) counts.
    """
    worst = max(conformal_quantile(size[group == name]) for name in np.unique(group))
    return max(worst, group_quantile(size, group))


def group_quantile(scores: np.ndarray, group: np.ndarray) -> float:
    """What a new group needs with a probability of ``SURE``, if needs of groups are log-normal.

    Source: the posterior predictive of one more observation of a normal whose variance has a scaled inverse chi-square
    prior: Gelman et al., "Bayesian Data Analysis", 2013, section 3.3.
    """
    logs = np.log([conformal_quantile(scores[group == name]) for name in np.unique(group)])
    freedom = WORTH_MACHINES + len(logs) - 1
    squares = WORTH_MACHINES * MACHINES_DIFFER**2 + float(((logs - logs.mean()) ** 2).sum())
    margin = student.ppf(SURE, freedom) * np.sqrt(squares / freedom * (1 + 1 / len(logs)))
    return float(np.exp(logs.mean() + margin))
