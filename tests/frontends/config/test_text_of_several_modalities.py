"""Models of several modalities whose text is a family's: transformers builds it by that family's class.

Their language models have the weights that are read of the whole config. Skipped without torch and transformers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from reference_models import weights_in

from ircost.frontends.config import architecture_of
from ircost.frontends.config.config_file import Config
from ircost.frontends.config.families import TEXT_ALONE, TEXT_OF
from ircost.frontends.config.parameters import count_parameters

torch = pytest.importorskip("torch", reason="needs pip install 'ircost[torch]'")
transformers = pytest.importorskip("transformers", reason="needs pip install transformers")

# What is set of their sections, beside what their classes take them for: sizes of which something can be built.
MODELS: dict[str, Mapping[str, Mapping[str, Any]]] = {
    "llava_next": {},
    "llava_next_video": {},
    "llava_onevision": {},
    "aya_vision": {"vision_config": {"num_attention_heads": 16}},
    "cohere2_vision": {},
    "glm4v": {},
    "glm46v": {},
    "glm4v_moe": {"text_config": {"head_dim": 128}},
    "gemma4_unified": {},
    "idefics3": {},
    "smolvlm": {},
    "lfm2_vl": {"text_config": {"layer_types": ["conv", "full_attention"] * 16}},
    "exaone4_5": {},
    "minicpmv4_6": {},
    "lighton_ocr": {},
}


@pytest.mark.parametrize("name", MODELS)
def test_its_text_is_the_family_s(name: str) -> None:
    plain = transformers.AutoConfig.for_model(name)
    sections = {key: {**getattr(plain, key).to_dict(), **changes} for key, changes in MODELS[name].items()}
    config = transformers.AutoConfig.for_model(name, **sections)
    with torch.device("meta"):
        whole = transformers.AutoModelForImageTextToText.from_config(config)
        alone = transformers.AutoModel.from_config(config.text_config)
    decoder, head = whole.get_decoder(), whole.get_output_embeddings()
    assert type(decoder) is type(alone)
    assert config.text_config.model_type == TEXT_OF[name] and name in TEXT_ALONE
    is_tied = head.weight is whole.get_input_embeddings().weight
    weights = weights_in(decoder) + (0 if is_tied else head.weight.numel())
    architecture = architecture_of(Config(json.loads(json.dumps(config.to_dict())), "config.json"), name)
    assert count_parameters(architecture) == weights
    assert architecture.unbuilt == "vision tower"
