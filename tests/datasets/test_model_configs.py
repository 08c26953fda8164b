"""Bundled configurations: each has a source, can be found, and comes to the published count of weights."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from weight_counts import weight_count

from ircost.datasets.model_configs import BUNDLED, KnownModel, canonical, find_model, known_models, model_names
from ircost.datasets.model_outline import context_tokens, hidden_size, layer_counts, number_formats
from ircost.ir.errors import UnknownNameError

MODELS = list(known_models())
COUNTED = [model for model in MODELS if weight_count(model.config) is not None]
OWN_COUNT = re.compile(r"the shapes come to (\d+)")


def named(models: list[KnownModel]) -> list[object]:
    return [pytest.param(model, id=model.name) for model in models]


def test_there_are_many() -> None:
    assert len(MODELS) > 200 and len(COUNTED) > 160
    assert {"llama-3.1-405b", "deepseek-v3", "mixtral-8x7b", "gpt2", "mamba-2.8b", "t5-11b", "flux.1-dev"} <= set(
        model_names()
    )


@pytest.mark.parametrize("model", named(COUNTED))
def test_shapes_come_to_the_published_count(model: KnownModel) -> None:
    """Or to that which the file says they come to, where nobody published one."""
    own = OWN_COUNT.search(model.parameters_source)
    assert weight_count(model.config) == (int(own[1]) if own else model.parameters)


@pytest.mark.parametrize("model", named(MODELS))
def test_every_figure_has_a_source(model: KnownModel) -> None:
    assert model.source.strip() and model.parameters_source.strip()
    assert "?" not in (model.source, model.parameters_source)
    assert model.parameters is None or model.parameters > 1e6
    assert (model.kv_bytes_per_token is None) == (model.kv_bytes_source == "")
    assert model.repository.count("/") == 1 and model.family


@pytest.mark.parametrize("model", named(MODELS))
def test_a_file_is_what_a_config_is(model: KnownModel) -> None:
    text = (BUNDLED / f"{model.name}.json").read_text()
    keys = list(json.loads(text)["config"])
    assert keys == sorted(keys) and model.name == canonical(model.name)
    assert "model_type" in model.config or "_class_name" in model.config
    assert not {"transformers_version", "bos_token_id", "use_cache", "initializer_range"} & set(model.config)


@pytest.mark.parametrize("model", named([model for model in MODELS if "num_attention_heads" in model.config]))
def test_heads_divide(model: KnownModel) -> None:
    config = model.config
    heads = config["num_attention_heads"]
    groups = config.get("num_key_value_heads") or config.get("num_kv_heads") or heads
    assert heads % groups == 0
    assert "head_dim" in config or "attention_head_dim" in config or hidden_size(config) % heads == 0


@pytest.mark.parametrize("model", named([model for model in MODELS if "layer_types" in model.config]))
def test_a_kind_for_every_layer(model: KnownModel) -> None:
    assert len(model.config["layer_types"]) == model.config["num_hidden_layers"]


def test_a_name_means_one_model() -> None:
    taken = Counter(name for model in MODELS for name in model.answers_to())
    assert [name for name, times in taken.items() if times > 1] == []


@pytest.mark.parametrize("model", named(MODELS))
def test_found_by_every_name(model: KnownModel) -> None:
    for name in (model.name, model.repository, *model.aliases, model.repository.rpartition("/")[2].upper()):
        assert find_model(name).name == model.name


def test_published_cache_sizes() -> None:
    sizes = {model.name: model.kv_bytes_per_token for model in MODELS if model.kv_bytes_per_token is not None}
    assert sizes.pop("deepseek-r1") == 70_272  # the architecture of DeepSeek-V3
    assert sizes == {"deepseek-v3": 70_272, "qwen2.5-72b": 327_680, "llama-3.1-405b": 516_096}
    latent, grouped = find_model("deepseek-v3").config, find_model("llama-3.1-405b").config
    assert latent["num_hidden_layers"] * (latent["kv_lora_rank"] + latent["qk_rope_head_dim"]) * 2 == 70_272
    head = grouped["hidden_size"] // grouped["num_attention_heads"]
    assert grouped["num_hidden_layers"] * 2 * grouped["num_key_value_heads"] * head * 2 == 516_096


@pytest.mark.parametrize(
    ("name", "near"),
    [("llama-3-7b", "llama-3-70b"), ("deepseek-v33", "deepseek-v3"), ("mistralai/mixtral", "mistralai/mixtral-8x7b")],
)
def test_an_unknown_name_lists_the_nearest(name: str, near: str) -> None:
    with pytest.raises(UnknownNameError, match=f"no model '{name}'") as caught:
        find_model(name)
    assert near in (caught.value.help or "") and "irc models lists all" in (caught.value.help or "")


def test_a_folder_of_ones_own(tmp_path: Path) -> None:
    about: dict[str, object] = {
        "family": "Own",
        "repository": "me/own",
        "aliases": [],
        "source": "me",
        "parameters": None,
        "parameters_source": "-",
    }
    (tmp_path / "own-1b.json").write_text(json.dumps({"about": about, "config": {"model_type": "llama"}}))
    assert model_names(tmp_path) == ["own-1b"]
    assert find_model("me/own", tmp_path).config == {"model_type": "llama"}


@pytest.mark.parametrize(
    ("name", "layers", "hidden", "context", "formats"),
    [
        ("llama-3.1-405b", (126,), 16384, 131072, ("bfloat16",)),
        ("gpt2", (12,), 768, 1024, ()),
        ("deepseek-v3", (61,), 7168, 163840, ("bfloat16", "fp8")),
        ("command-r", (40,), 8192, 131072, ("float16",)),
        ("gemma-3-4b", (34,), 2560, 131072, ("bfloat16",)),
        ("whisper-large-v3-turbo", (32, 4), 1280, 448, ()),
        ("flux.1-dev", (19, 38), 3072, None, ()),
        ("mamba-2.8b", (64,), 2560, None, ("float32",)),
    ],
)
def test_outline(
    name: str, layers: tuple[int, ...], hidden: int, context: int | None, formats: tuple[str, ...]
) -> None:
    config = find_model(name).config
    assert (layer_counts(config), hidden_size(config)) == (layers, hidden)
    assert (context_tokens(config), number_formats(config)) == (context, formats)
