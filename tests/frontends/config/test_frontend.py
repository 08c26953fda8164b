"""What is asked of a config.json by a user, and what the report says of what was filled in or left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_transformers import FLUX, LLAMA, T5, VIT

from ircost.frontends.config import ConfigError
from ircost.frontends.config.frontend import import_config
from ircost.frontends.imported import Imported, ImportOptions
from ircost.ir.types import f4e2m1, f8e4m3, f16

WHISPER = {
    **{"model_type": "whisper", "d_model": 32, "vocab_size": 50, "max_source_positions": 6, "num_mel_bins": 5},
    **{f"{side}_{key}": n for side in ("encoder", "decoder") for key, n in (("layers", 2), ("attention_heads", 4))},
    **{"encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "max_target_positions": 64},
}
LLAVA = {
    "model_type": "llava",
    "text_config": LLAMA,
    "vision_config": {
        **{"model_type": "clip_vision_model", "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4},
        **{"intermediate_size": 48, "image_size": 32, "patch_size": 8},
    },
}
MAMBA = {"model_type": "mamba", "hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 50}
QWEN_VL = {**LLAMA, "model_type": "qwen2_vl", "vision_config": {"depth": 2}}


def asked(folder: Path, config: dict[str, Any], phase: str = "", **dims: int) -> Imported:
    path = folder / "config.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    return import_config(str(path), ImportOptions(phase=phase, dims=dims))


@pytest.mark.parametrize(
    ("config", "phase", "note"),
    [
        (LLAMA, "", "phase prefill (--phase)"),
        (LLAMA, "decode", "context 128 (--context)"),
        (VIT, "", "an image is 17 tokens"),
        (WHISPER, "decode", "source 6, tokens that an encoder made (--dim source=N)"),
        (WHISPER, "encode", "seq 6 (--seq)"),
        (
            WHISPER,
            "prefill",
            "weights and work of the encoder are left out, as if another device held it: --phase encode runs it",
        ),
        (T5, "decode", "source 512, tokens that an encoder made (--dim source=N)"),
        (
            LLAVA,
            "encode",
            "phase encode runs the vision tower alone; the decoder, as if on another device, has phases of its own",
        ),
        (QWEN_VL, "prefill", "the vision tower is left out: what it is made of is not known here"),
        (MAMBA, "decode", "layers with a state keep 0.0 MiB a sequence, however long it is"),
        (FLUX, "", "seq 4096 (--seq)"),
    ],
)
def test_says_what_was_filled_in_and_left_out(tmp_path: Path, config: dict[str, Any], phase: str, note: str) -> None:
    assert note in asked(tmp_path, config, phase).notes


@pytest.mark.parametrize(
    ("name", "more", "heads"),
    [
        ("LlamaForCausalLM", {}, 50 * 32),
        ("LlamaModel", {}, 0),
        ("LlamaForSequenceClassification", {"num_labels": 1}, 32),
        ("LlamaForSequenceClassification", {"id2label": {"0": "a", "1": "b", "2": "c"}}, 3 * 32),
    ],
)
def test_the_class_says_what_stands_behind_the_layers(
    tmp_path: Path, name: str, more: dict[str, Any], heads: int
) -> None:
    sizes = {**LLAMA, "hidden_size": 32, "vocab_size": 50, "tie_word_embeddings": False}
    plain, own = (
        asked(tmp_path, {**sizes, **more, "architectures": [said]}, seq=8).built for said in ("LlamaModel", name)
    )
    assert plain is not None and own is not None
    assert own.parameters - plain.parameters == heads
    assert own.workload.phase == ("prefill" if name.endswith("CausalLM") else "encode")
    assert bool(own.kv_bytes_per_token) == name.endswith("CausalLM")


@pytest.mark.parametrize(
    ("config", "phase", "dims", "said"),
    [
        (VIT, "encode", {"seq": 40}, "an image of .* is 17"),
        (LLAMA, "decode", {"context": 8, "source": 4}, "has no dim 'source'"),
        (WHISPER, "encode", {"seq": 7}, "a sequence of 7 tokens, and .* was made for 6"),
        (WHISPER, "decode", {"context": 4, "source": 7}, "source of 7 tokens, and .* was made for 6"),
    ],
)
def test_refuses_what_does_not_fit(
    tmp_path: Path, config: dict[str, Any], phase: str, dims: dict[str, int], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        asked(tmp_path, config, phase, **dims)


def test_layers_that_nobody_reads_are_weights_and_no_work(tmp_path: Path) -> None:
    """LLaVA takes what the last layer but one of its tower makes."""
    built = asked(tmp_path, LLAVA, "encode").built
    assert built is not None
    assert any(use.name.startswith("vision.layers.2.") for use in built.weights)
    assert "vision.layers.2" not in str(built.module)


def test_a_format_that_nobody_named_is_told(tmp_path: Path) -> None:
    bare = {name: value for name, value in LLAMA.items() if name not in ("torch_dtype", "dtype")}
    file = tmp_path / "config.json"
    file.write_text(json.dumps(bare))
    note = "bf16: the config names no number format (--dtype)"
    assert note in import_config(str(file), ImportOptions()).notes
    assert note not in import_config(str(file), ImportOptions(dtype=f16)).notes
    file.write_text(json.dumps({**bare, "torch_dtype": "bfloat16"}))
    assert note not in import_config(str(file), ImportOptions()).notes


def test_narrow_formats_by_option_are_told_from_checkpoints(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(LLAMA))
    notes = import_config(str(file), ImportOptions(dtype=f8e4m3)).notes
    assert any(note.startswith("--dtype f8e4m3: all of the model is in it") for note in notes)
    with pytest.raises(ConfigError, match="blocks of weights need scales"):
        import_config(str(file), ImportOptions(dtype=f4e2m1))
