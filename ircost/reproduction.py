"""Claims of papers compared with predictions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ircost.datasets.claim_yaml import ClaimError, Section
from ircost.datasets.claims import Claim, ClaimedFigure, ClaimFile
from ircost.ir.errors import did_you_mean
from ircost.predictors.attention_bound_training import predict_attention_bound_training
from ircost.predictors.attention_traffic import predict_attention_traffic
from ircost.predictors.engine_phases import predict_engine_phases
from ircost.predictors.expert_parallel import predict_expert_parallel
from ircost.predictors.gemm_roofline import predict_gemm_roofline
from ircost.predictors.gemm_speedup import predict_gemm_speedup
from ircost.predictors.long_context import predict_long_context
from ircost.predictors.network_times import predict_network_times
from ircost.predictors.patch_memory import predict_patch_memory
from ircost.predictors.prediction import Prediction, UsedFit

# A claim's `predictor`: what predicts its figures from its `configuration`.
PREDICTORS: dict[str, Callable[[Section], Prediction]] = {
    "gemm speedup": predict_gemm_speedup,
    "gemm roofline": predict_gemm_roofline,
    "attention traffic": predict_attention_traffic,
    "patch memory": predict_patch_memory,
    "long context": predict_long_context,
    "expert parallel": predict_expert_parallel,
    "attention-bound training": predict_attention_bound_training,
    "network times": predict_network_times,
    "engine phases": predict_engine_phases,
}


@dataclass(frozen=True, slots=True)
class Judgement:
    """One claimed value and what was predicted.

    Args:
        figure: that it is of. point: where.
        inside: of the tolerance.
        reason: how the prediction comes about.
    """

    figure: ClaimedFigure
    point: str
    predicted: float | str
    inside: bool
    reason: str

    @property
    def claimed(self) -> float | str:
        return self.figure.values[self.point]

    @property
    def ratio(self) -> float | None:
        """Predicted over claimed; None for words, and where zero was claimed."""
        if isinstance(self.claimed, str) or isinstance(self.predicted, str) or not self.claimed:
            return None
        return self.predicted / self.claimed


@dataclass(frozen=True, slots=True)
class Reproduction:
    """A claim, judged."""

    claim: Claim
    prediction: Prediction
    judgements: tuple[Judgement, ...]

    @property
    def inside(self) -> bool:
        """Whether all of it is."""
        return all(judgement.inside for judgement in self.judgements)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; nothing is rounded."""
        claim, prediction = self.claim, self.prediction
        sources = prediction.target.sources() if prediction.target else {}
        return {
            "id": claim.id,
            "claim": claim.claim,
            "paper": claim.paper.model_dump(mode="json"),
            "configuration": claim.configuration,
            "inside": self.inside,
            "figures": [_judgement_facts(judgement) for judgement in self.judgements],
            "model": prediction.model,
            "constants": [_fit_facts(fit) for fit in prediction.fits],
            "target": prediction.target.name if prediction.target else None,
            "target_figures": {path: sources[path].entry() for path in prediction.figures},
            "cautions": list(claim.cautions),
        }


def _judgement_facts(judgement: Judgement) -> dict[str, Any]:
    return {
        "figure": judgement.figure.name,
        "unit": judgement.figure.unit,
        "point": judgement.point,
        "claimed": judgement.claimed,
        "predicted": judgement.predicted,
        "ratio": judgement.ratio,
        "tolerance": str(judgement.figure.tolerance),
        "inside": judgement.inside,
        "source": judgement.figure.source,
        "reason": judgement.reason,
    }


def _fit_facts(fit: UsedFit) -> dict[str, Any]:
    plain = {
        name: getattr(fit, name)
        for name in ("kernel", "family", "rows", "devices", "median_error", "labels", "unseen", "format_seen_with")
    }
    constants = {
        constant.name: {
            "value": constant.value,
            "kind": constant.kind,
            "influence": constant.influence,
            "from": [[share.effect, share.level, share.factor] for share in constant.shares],
        }
        for constant in fit.constants
    }
    return {**plain, "constants": constants}


def reproduce(file: ClaimFile) -> Reproduction:
    """Predicts what a claim says of its configuration, and judges it.

    Raises:
        ClaimError: nothing has the predictor's name, the configuration is wrong, or a figure or point is none that the
            predictor knows.
    """
    claim = file.claim
    if claim.predictor not in PREDICTORS:
        help = did_you_mean(claim.predictor, PREDICTORS)
        raise ClaimError(f"no predictor '{claim.predictor}'", at=file.document.place("predictor"), help=help)
    prediction = PREDICTORS[claim.predictor](file.configuration)
    judgements = [
        _judged(figure, point, prediction, file.document.inner("figures", number))
        for number, figure in enumerate(claim.figures)
        for point in figure.values
    ]
    return Reproduction(claim, prediction, tuple(judgements))


def _judged(figure: ClaimedFigure, point: str, prediction: Prediction, place: Section) -> Judgement:
    key = (figure.name, point)
    if key not in prediction.values:
        known = [f"{name} at {where}" for name, where in prediction.values]
        help = did_you_mean(f"{figure.name} at {point}", known)
        raise ClaimError(f"nothing predicts {figure.name} at {point}", at=place.place("values", point), help=help)
    predicted = prediction.values[key]
    inside = figure.tolerance.holds(figure.values[point], predicted)
    return Judgement(figure, point, predicted, inside, prediction.reasons[key])
