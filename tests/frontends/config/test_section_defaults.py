"""Sections of published files, saved as differences from their class."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import ircost
from ircost.ir.errors import IrcError

VISION = {
    **{"model_type": "siglip_vision_model", "hidden_size": 1152, "image_size": 896, "intermediate_size": 4304},
    **{"num_attention_heads": 16, "num_hidden_layers": 27, "patch_size": 14, "vision_use_head": False},
}
TEXT: dict[str, object] = {
    **{"model_type": "gemma3_text", "hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 34},
    **{"rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024},
}
GEMMA_3_4B: dict[str, object] = {
    "model_type": "gemma3",
    "mm_tokens_per_image": 256,
    "torch_dtype": "bfloat16",
    "text_config": TEXT,
    "vision_config": VISION,
}
PUBLISHED = 4_300_079_472  # parameters, huggingface.co/google/gemma-3-4b-it


def parameters(folder: Path, config: dict[str, object]) -> int:
    file = folder / "config.json"
    file.write_text(json.dumps(config))
    figures = ircost.compile(file, "h100", phase="decode", dims={"context": 64}).transformer
    assert figures is not None
    return figures.parameters


def test_what_a_section_leaves_out_is_its_class_s(tmp_path: Path) -> None:
    assert parameters(tmp_path, GEMMA_3_4B) == PUBLISHED


def test_what_it_says_counts(tmp_path: Path) -> None:
    text = {**TEXT, "vocab_size": 262_144}
    assert parameters(tmp_path, {**GEMMA_3_4B, "text_config": text}) == PUBLISHED - 64 * 2560


def test_a_config_of_text_alone_is_saved_whole(tmp_path: Path) -> None:
    with pytest.raises(IrcError, match="is missing"):
        parameters(tmp_path, {**TEXT, "torch_dtype": "bfloat16"})
