"""Bundled configurations as `transformers` understands them: its models, without memory, have the published weights.

For the families that ``weight_counts`` leaves out. Skipped where torch and transformers are not installed.
"""

from __future__ import annotations

import pytest
from weight_counts import weight_count

from ircost.datasets.model_configs import KnownModel, known_models

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

# Makers' own names -> those of transformers.
KINDS = {"minimax_text_01": "minimax"}
CLASSES = {"MiniMaxText01ForCausalLM": "MiniMaxForCausalLM"}
UNTIED = "flan-t5"  # transformers 5 ties their heads, whatever the config says
MODELS = [
    model
    for model in known_models()
    if weight_count(model.config) is None
    and "model_type" in model.config
    and not model.name.startswith(UNTIED)
    and model.parameters is not None
]


@pytest.mark.parametrize("model", [pytest.param(model, id=model.name) for model in MODELS])
def test_transformers_has_the_published_count(model: KnownModel) -> None:
    name = model.parameters_of or model.config["architectures"][0]
    with torch.device("meta"):
        built = getattr(transformers, CLASSES.get(name, name))(understood(model))
    assert sum(parameter.numel() for parameter in built.parameters()) == model.parameters


def understood(model: KnownModel):
    config = {key: value for key, value in model.config.items() if key not in ("model_type", "attn_type_list")}
    kinds = model.config.get("attn_type_list")
    if kinds:
        config["layer_types"] = ["full_attention" if kind else "linear_attention" for kind in kinds]
    kind = model.config["model_type"]
    return transformers.AutoConfig.for_model(KINDS.get(kind, kind), **config)
