"""Predicts the forward pass of GPT models with attention in one kernel, and with all scores written."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import Field

from ircost.api import compile_model
from ircost.backends import Target, load_target
from ircost.cost_models.gpu.constants import ConstantsFile, bundled_constants
from ircost.cost_models.gpu.demand import times
from ircost.cost_models.gpu.families import FAMILIES
from ircost.cost_models.gpu.rows import groups_of, physical_limit_s
from ircost.datasets.claim_yaml import ClaimError, Section
from ircost.datasets.claims import Written
from ircost.datasets.transformers import Transformer, eager_attention, gpt_block, gpt_head, parameters
from ircost.ir.graph import Module
from ircost.predictors.prediction import Point, Prediction
from ircost.quantity_text import small_text

ATTENTION = FAMILIES["attention"]
FUSED, EAGER, GAIN = "TFLOP/s, one kernel", "TFLOP/s, scores written", "gain"
# Norms, biases, GELU and residuals are fused, as in the measured code; attention op by op is not.
BLOCK_PIPELINE, EAGER_PIPELINE = "canonicalize,fuse", ""


class GptSizes(Written):
    """Args:
    hidden, heads, layers: of the model.
    rows: tokens of a sequence. batch: sequences on a GPU at a time.
    """

    hidden: int = Field(ge=1)
    heads: int = Field(ge=1)
    layers: int = Field(ge=1)
    rows: int = Field(ge=1)
    batch: int = Field(ge=1)

    @property
    def sizes(self) -> Transformer:
        return Transformer(
            self.batch, self.rows, self.rows, self.hidden, self.heads, self.heads, 4 * self.hidden, self.layers
        )


class TrainingConfiguration(Written):
    """Args:
    target: one of the GPUs.
    runtime: whose constants attention in one kernel takes.
    vocabulary: rows of the embedding.
    models: sizes, a point each.
    """

    target: str
    runtime: str
    vocabulary: int = Field(ge=1)
    models: dict[str, GptSizes] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Forward:
    """One model's forward pass on one GPU.

    Args:
        model_flops: by the formula of the claim, which counts causal attention as if all keys were seen.
        block_s: of all blocks but for attention. head_s: of logits and loss.
        fused_s, eager_s: of attention of all blocks, in one kernel or with all scores written.
    """

    model_flops: float
    block_s: float
    head_s: float
    fused_s: float
    eager_s: float

    def flops_per_s(self, attention_s: float) -> float:
        return self.model_flops / (self.block_s + self.head_s + attention_s)

    def reason(self) -> str:
        shares = {"blocks": self.block_s, "logits and loss": self.head_s}
        rest = ", ".join(f"{name} {small_text(seconds, 's')}" for name, seconds in shares.items())
        return (
            f"forward alone: {rest}, attention {small_text(self.fused_s, 's')} in one kernel or "
            f"{small_text(self.eager_s, 's')} with all scores written. The claim is of forward and backward together, "
            "with the optimiser and exchange of gradients among 8 GPUs."
        )


def predict_attention_bound_training(section: Section) -> Prediction:
    """Model FLOPs of the forward pass over its predicted time; a third of those of a training step.

    Raises:
        ClaimError: the configuration is wrong, or the target unknown or without the format.
    """
    wanted = section.read(TrainingConfiguration)
    with section.blaming("target"):
        target = load_target(wanted.target)
    values: dict[Point, float | str] = {}
    reasons: dict[Point, str] = {}
    for point, model in wanted.models.items():
        found = forward(model.sizes, wanted, target, section.place("models", point))
        values[FUSED, point] = found.flops_per_s(found.fused_s) / 1e12
        values[EAGER, point] = found.flops_per_s(found.eager_s) / 1e12
        values[GAIN, point] = found.flops_per_s(found.fused_s) / found.flops_per_s(found.eager_s)
        reasons |= dict.fromkeys([(figure, point) for figure in (FUSED, EAGER, GAIN)], found.reason())
    return Prediction(
        values=values,
        reasons=reasons,
        target=target,
        figures=("matrix.f16", "vector.f32", f"memory.{target.main_memory.name}.bandwidth_bytes_per_s"),
        model="analytical, bundled constants; forward pass of one GPU, blocks fused",
    )


def forward(sizes: Transformer, wanted: TrainingConfiguration, target: Target, at: str) -> Forward:
    block, head = gpt_block(sizes), gpt_head(sizes, wanted.vocabulary)
    # The embedding is that of the logits; positions and the last norm are in no formula.
    count = sizes.layers * parameters(block) + sizes.hidden * wanted.vocabulary
    flops = 2.0 * sizes.rows * count + 4.0 * sizes.layers * sizes.hidden * sizes.rows**2
    eager_s = _time_s(eager_attention(sizes), target, EAGER_PIPELINE)
    return Forward(
        model_flops=sizes.batch * flops,
        block_s=sizes.layers * _time_s(block, target, BLOCK_PIPELINE),
        head_s=_time_s(head, target, BLOCK_PIPELINE),
        fused_s=sizes.layers * causal_attention_s(sizes, wanted.runtime, target, bundled_constants(), at),
        eager_s=sizes.layers * eager_s,
    )


def _time_s(module: Module, target: Target, pipeline: str) -> float:
    return compile_model(module, target, pipeline=pipeline, cost_model="analytical").latency_s


def causal_attention_s(sizes: Transformer, runtime: str, target: Target, fitted: ConstantsFile, at: str) -> float:
    """Seconds of one causal attention kernel, which sees half of the scores; the family's model, as for measured rows.

    Raises:
        ClaimError: the target cannot compute in this format.
    """
    words = {"device": target.name, "framework": runtime, "dtype": "bfloat16", "kv_dtype": "bfloat16"}
    dims = {"batch": sizes.batch, "q_len": sizes.rows, "kv_len": sizes.rows, "heads": sizes.heads}
    dims |= {"kv_heads": sizes.kv_heads, "head_dim": sizes.width, "window": 0}
    columns = {
        **{name: np.array([word], dtype=object) for name, word in {**words, "phase": "prefill", "kernel": ""}.items()},
        **{name: np.array([extent], dtype=float) for name, extent in dims.items()},
    }
    (group,) = groups_of(ATTENTION, columns, lambda name: target)
    if group.setting is None:
        raise ClaimError(group.failure, at=at)
    constants = fitted.of(ATTENTION.name, group.labels)
    terms = times(ATTENTION.demand(columns, group.setting), constants)
    return float(np.maximum(terms.latency_s, physical_limit_s(ATTENTION, columns, group.setting))[0])
