"""Products of one pass, and bytes of caches and states, by formulas of their own."""

from __future__ import annotations

from typing import Any

import pytest
from weight_counts import linear

from ircost.cost_models.kernel_table import kernel_table
from ircost.datasets.model_configs import find_model
from ircost.frontends.config import architecture_of, build_model
from ircost.frontends.config.build import BuiltModel
from ircost.frontends.config.config_file import Config
from ircost.frontends.config.workload import workload_of


def built(name: str, phase: str, **sizes: Any) -> BuiltModel:
    config = {key: value for key, value in find_model(name).config.items() if key != "quantization_config"}
    return build_model(architecture_of(Config(config, name), name), workload_of(phase, **sizes))


def macs(name: str, phase: str, **sizes: Any) -> int:
    table = kernel_table(built(name, phase, **sizes).module)
    return round(sum(table.macs[run.row] * run.count for run in table.runs))


def seen(new: int, context: int) -> int:
    """Keys that new tokens at the end of a context see, added up."""
    return sum(range(context - new + 1, context + 1))


# ---- LFM2 of 1.2 B: 6 of 16 layers attend, all weights but those of norms are in a product a token


def lfm2_macs(new: int, context: int) -> int:
    vocabulary, hidden = 65536, 2048
    norms = (2 * 16 + 1) * hidden + 6 * 2 * 64
    layers = 1_170_340_608 - vocabulary * hidden - norms
    return new * layers + vocabulary * hidden + 6 * 2 * 32 * 64 * seen(new, context)


# ---- DeepSeek-V3.2: 61 layers, of which 3 are dense


def deepseek_macs(new: int, context: int) -> int:
    hidden, heads, latent = 7168, 128, 512
    attention = linear(hidden, 1536 + latent + 64) + linear(1536, heads * 192) + linear(heads * 128, hidden)
    indexer = linear(1536, 64 * 128) + linear(hidden, 128) + linear(hidden, 64)
    experts = 9 * 3 * hidden * 2048 + 256 * hidden + 8 * hidden  # the last of which adds eight results up
    each = 61 * (attention + 2 * heads * 128 * latent + indexer) + 3 * 3 * hidden * 18432 + 58 * experts
    scores, chosen = 64 * 128 * seen(new, context), new * min(2048, context)
    mixed = heads * (2 * latent + 64) * chosen
    return new * each + 129280 * hidden + 61 * (scores + mixed)


# ---- Nemotron 3 Nano: 23 state spaces, 23 mixtures of 128 experts, 6 layers that attend


def nemotron_macs(new: int, context: int) -> int:
    hidden, inner, heads, width, state, groups = 2688, 4096, 64, 64, 128, 8
    channels = inner + 2 * groups * state
    mixer = linear(hidden, inner + channels + heads) + linear(inner, hidden) + 4 * channels
    scan = 2 * heads * state * width  # into the state, and out of it
    attention = 2 * hidden * (32 + 2) * 128
    experts = 128 * hidden + 6 * 2 * hidden * 1856 + 6 * hidden + 2 * hidden * 3712
    each = 23 * (mixer + scan + experts) + 6 * attention
    return new * each + 131072 * hidden + 6 * 2 * 32 * 128 * seen(new, context)


# ---- Kimi Linear: 20 layers with a state, 7 with latents, which stand first in the cache


def kimi_macs(new: int, context: int) -> int:
    hidden, inner, heads, width = 2304, 4096, 32, 128
    delta = linear(hidden, 3 * inner) + linear(inner, hidden) + 2 * (hidden * width + width * inner) + hidden * heads
    delta += 4 * 3 * inner + 3 * heads * width * width
    latent = linear(hidden, 512 + 64) + linear(hidden, heads * 192) + linear(inner, hidden) + 2 * inner * 512
    experts = 256 * hidden + 9 * 3 * hidden * 1024 + 8 * hidden
    each = 20 * delta + 7 * latent + 3 * hidden * 9216 + 26 * experts
    return new * each + 163840 * hidden + 7 * heads * (2 * 512 + 64) * seen(new, context)


# ---- Falcon-H1 of half a billion: 36 layers with a state beside attention


def falcon_macs(new: int, context: int) -> int:
    hidden, inner, heads, width, state = 1024, 1536, 24, 64, 128
    channels = inner + 2 * state
    mixer = linear(hidden, inner + channels + heads) + linear(inner, hidden) + 4 * channels + 2 * heads * state * width
    attention = hidden * (8 + 2 * 2) * 64 + linear(8 * 64, hidden)
    each = 36 * (mixer + attention + 3 * hidden * 2048)
    return new * each + 32784 * hidden + 36 * 2 * 8 * 64 * seen(new, context)


WORK = {
    "lfm2-1.2b": lfm2_macs,
    "deepseek-v3.2": deepseek_macs,
    "nemotron-3-nano-30b-a3b": nemotron_macs,
    "kimi-linear-48b-a3b": kimi_macs,
    "falcon-h1-0.5b": falcon_macs,
}


@pytest.mark.parametrize("context", [1024, 65536])
@pytest.mark.parametrize("name", WORK)
def test_a_token_behind_a_cache(name: str, context: int) -> None:
    context = min(context, 16384) if name == "falcon-h1-0.5b" else context
    assert macs(name, "decode", context=context) == WORK[name](1, context)


@pytest.mark.parametrize("name", ["lfm2-1.2b", "deepseek-v3.2", "falcon-h1-0.5b"])
def test_a_prompt(name: str) -> None:
    assert macs(name, "prefill", seq=4096) == WORK[name](4096, 4096)


@pytest.mark.parametrize(
    ("name", "cache", "state"),
    [
        # Latents of 576 in 16 bits, and a key of 128 in 8 bits with its scale, in each layer.
        ("deepseek-v3.2", 61 * (576 * 2 + 128 + 4), 0),
        # Of 78 layers 21 have an indexer.
        ("glm-5.2", 78 * 576 * 2 + 21 * (128 + 4), 0),
        ("lfm2-1.2b", 6 * 2 * 8 * 64 * 2, 10 * 2 * 2048 * 2),
        ("lfm2-8b-a1b", 6 * 2 * 8 * 64 * 2, 18 * 2 * 2048 * 2),
        ("nemotron-3-super-120b-a12b", 8 * 2 * 2 * 128 * 2, 40 * (128 * 64 * 128 * 4 + 3 * 10240 * 2)),
        ("kimi-linear-48b-a3b", 7 * 576 * 2, 20 * (32 * 128 * 128 * 4 + 3 * 3 * 4096 * 2)),
        ("falcon-h1-0.5b", 36 * 2 * 2 * 64 * 2, 36 * (24 * 64 * 128 * 4 + 3 * 1792 * 2)),
    ],
)
def test_caches_and_states(name: str, cache: int, state: int) -> None:
    model = built(name, "decode", context=64)
    assert (model.kv_bytes_per_token, model.state_bytes_per_sequence) == (cache, state)


def test_a_prompt_no_longer_than_is_chosen_needs_no_scores() -> None:
    """All of it is seen, by heads of their own; the weights of the indexer are there all the same."""
    prompt, longer = (built("deepseek-v3.2", "prefill", seq=seq) for seq in (2048, 2049))
    names = [{op.name for op in model.module.walk()} for model in (prompt, longer)]
    assert "index_scores" not in names[0] and "cached_attention" in names[0]
    assert "index_scores" in names[1] and "chosen_attention" in names[1]
    assert prompt.parameters == longer.parameters == 671_877_944_064
