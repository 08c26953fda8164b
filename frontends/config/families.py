"""What each ``model_type`` is made of, where its config does not say: one row a family, no code of its own.

Values are the defaults of the classes in Hugging Face transformers (5.x), which a ``config.json`` may leave out; where
a field is text, it names the key that decides. Source: huggingface/transformers, ``configuration_*.py`` and
``modeling_*.py``.
"""

from __future__ import annotations

from ircost.frontends.config.decoder_families import DECODERS
from ircost.frontends.config.encoder_families import ENCODERS
from ircost.frontends.config.expert_families import EXPERTS
from ircost.frontends.config.family import Family
from ircost.frontends.config.state_families import STATES

FAMILIES: dict[str, Family] = {**DECODERS, **EXPERTS, **STATES, **ENCODERS}

# Other names of the same family.
ALIASES = {
    "kimi_k2": "deepseek_v3",
    "minimax": "minimax_text_01",
    "minimax_m1": "minimax_text_01",
    "RefinedWeb": "falcon",
    "RefinedWebModel": "falcon",
}
# Models of several modalities -> the family of their text, where a config says no more.
TEXT_OF = {
    "llama4": "llama4_text",
    "gemma3": "gemma3_text",
    "gemma3n": "gemma3n_text",
    "gemma4": "gemma4_text",
    "gemma4_unified": "gemma4_unified_text",
    "qwen2_vl": "qwen2",
    "qwen2_vl_text": "qwen2",
    "qwen2_5_vl": "qwen2",
    "qwen2_5_vl_text": "qwen2",
    "qwen3_vl": "qwen3",
    "qwen3_vl_text": "qwen3",
    "qwen3_vl_moe": "qwen3_moe",
    "qwen3_vl_moe_text": "qwen3_moe",
    "qwen3_5": "qwen3_5_text",
    "qwen3_5_moe": "qwen3_5_moe_text",
    "kimi_k25": "deepseek_v3",
    "mistral3": "mistral",
    "internvl": "qwen2",
    "internvl_chat": "qwen2",
    "glm4v": "glm4v_text",
    "glm46v": "glm4v_text",
    "glm4v_moe": "glm4v_moe_text",
    "step3p7": "step3p5",
    "llava_next": "llama",
    "llava_next_video": "llama",
    "llava_onevision": "qwen2",
    "aya_vision": "cohere2",
    "cohere2_vision": "cohere2",
    "idefics3": "llama",
    "smolvlm": "llama",
    "lfm2_vl": "lfm2",
    "exaone4_5": "exaone4",
    "minicpmv4_6": "qwen3_5_text",
    "lighton_ocr": "qwen3",
}
# Those whose vision tower is not known here: what runs is the text.
TEXT_ALONE = (
    *("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe", "qwen3_5", "qwen3_5_moe"),
    *(
        "mistral3",
        "internvl",
        "internvl_chat",
        "kimi_k25",
        "gemma3n",
        "gemma4",
        "gemma4_unified",
        "llava_next",
        "llava_next_video",
    ),
    *("llava_onevision", "aya_vision", "cohere2_vision", "idefics3", "smolvlm", "lfm2_vl", "exaone4_5"),
    *("minicpmv4_6", "lighton_ocr", "glm4v", "glm46v", "glm4v_moe", "step3p7"),
)
