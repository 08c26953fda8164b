"""Graphs of configurations against the models that transformers makes of the same ones, with the same weights.

Prefill, then one token behind its cache. Skipped without torch and transformers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from ircost.frontends.config import architecture_of, build_model
from ircost.frontends.config.build import BuiltModel
from ircost.frontends.config.config_file import Config
from ircost.frontends.config.workload import workload_of
from ircost.ir import interpret
from ircost.ir.verify import verify
from ircost.passes import run_pipeline

torch = pytest.importorskip("torch", reason="needs pip install 'ircost[torch]'")
transformers = pytest.importorskip("transformers", reason="needs pip install transformers")

RTOL, ATOL = 1e-4, 1e-5
PROMPT = 7
SIZES: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "torch_dtype": "float32",
}
EXPERTS: dict[str, Any] = {"num_local_experts": 4, "num_experts_per_tok": 2}
# Queries grow within the prompt; a bare rotation, since how angles of long contexts are scaled is not read.
GROWING: dict[str, Any] = {
    **{"rope_type": "default", "rope_theta": 1e6, "llama_4_scaling_beta": 0.5},
    "original_max_position_embeddings": 4,
}
HALF_TURNED: dict[str, Any] = {"rotary_dim": 4, "rope_theta": 5e6}
Arrays = dict[str, np.ndarray]


def llama_weights(state: Arrays) -> Arrays:
    return dict(_decoder_weights(state, _gated))


def mixtral_weights(state: Arrays) -> Arrays:
    return dict(_decoder_weights(state, _mixture))


def minimax_weights(state: Arrays) -> Arrays:
    """The bias of its choice is a buffer of zeros."""
    layers = range(SIZES["num_hidden_layers"])
    biases = {f"layers.{i}.experts.router.bias": state[f"model.layers.{i}.mlp.e_score_correction_bias"] for i in layers}
    return {**mixtral_weights(state), **biases}


def _decoder_weights(state: Arrays, feed_forward: Callable[[Arrays, str, str], Arrays]) -> Iterator[tuple[str, Any]]:
    yield "embedding.tokens", state["model.embed_tokens.weight"]
    yield "norm.weight", state["model.norm.weight"]
    yield "head.weight", state["lm_head.weight"]
    for i in range(SIZES["num_hidden_layers"]):
        ours, theirs = f"layers.{i}.", f"model.layers.{i}."
        yield ours + "attention_norm.weight", state[theirs + "input_layernorm.weight"]
        yield ours + "mlp_norm.weight", state[theirs + "post_attention_layernorm.weight"]
        for kind in ("weight", "bias"):
            if theirs + f"self_attn.q_proj.{kind}" in state:
                parts = [state[theirs + f"self_attn.{name}_proj.{kind}"] for name in "qkv"]
                yield ours + f"attention.qkv.{kind}", np.concatenate(parts)
        yield ours + "attention.out.weight", state[theirs + "self_attn.o_proj.weight"]
        for name in "qk":
            if theirs + f"self_attn.{name}_norm.weight" in state:
                yield ours + f"attention.{name}_norm.weight", state[theirs + f"self_attn.{name}_norm.weight"]
        yield from feed_forward(state, ours, theirs).items()


def _gated(state: Arrays, ours: str, theirs: str) -> Arrays:
    both = [state[theirs + f"mlp.{name}_proj.weight"] for name in ("gate", "up")]
    return {
        ours + "mlp.gate_up.weight": np.concatenate(both),
        ours + "mlp.down.weight": state[theirs + "mlp.down_proj.weight"],
    }


def _mixture(state: Arrays, ours: str, theirs: str) -> Arrays:
    return {
        ours + "experts.router.gate.weight": state[theirs + "mlp.gate.weight"],
        ours + "experts.gate_up": state[theirs + "mlp.experts.gate_up_proj"],
        ours + "experts.down": state[theirs + "mlp.experts.down_proj"],
    }


def bert_weights(state: Arrays) -> Arrays:
    found = {
        "embedding.tokens": state["embeddings.word_embeddings.weight"],
        "embedding.positions": state["embeddings.position_embeddings.weight"],
        "embedding.token_types": state["embeddings.token_type_embeddings.weight"],
    }
    names = {
        "attention.out": "attention.output.dense",
        "attention_norm": "attention.output.LayerNorm",
        "mlp.up": "intermediate.dense",
        "mlp.down": "output.dense",
        "mlp_norm": "output.LayerNorm",
    }
    for kind in ("weight", "bias"):
        found[f"embedding.norm.{kind}"] = state[f"embeddings.LayerNorm.{kind}"]
        found[f"pooler.{kind}"] = state[f"pooler.dense.{kind}"]
        for i in range(SIZES["num_hidden_layers"]):
            layer = f"encoder.layer.{i}."
            for ours, theirs in names.items():
                found[f"layers.{i}.{ours}.{kind}"] = state[f"{layer}{theirs}.{kind}"]
            parts = [state[f"{layer}attention.self.{name}.{kind}"] for name in ("query", "key", "value")]
            found[f"layers.{i}.attention.qkv.{kind}"] = np.concatenate(parts)
    return found


def reference(config: dict[str, Any]) -> tuple[Any, Arrays]:
    """The model of transformers with random weights, norms and biases included."""
    torch.manual_seed(0)
    made = transformers.AutoConfig.for_model(**{k: v for k, v in config.items() if k != "torch_dtype"})
    made._attn_implementation = "eager"
    kind = transformers.AutoModel if config["model_type"] == "bert" else transformers.AutoModelForCausalLM
    model = kind.from_config(made).eval().to(torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model, {name: value.numpy() for name, value in model.state_dict().items()}


def run(built: BuiltModel, pipeline: str, **inputs: np.ndarray) -> Arrays:
    verify(built.module)
    run_pipeline(built.module, pipeline)
    main = built.module.main
    names, outputs = ([str(name) for name in as_tuple(main.attrs[key])] for key in ("inputs", "outputs"))
    given = [inputs[name.replace(".", "_")] for name in names]
    return dict(zip(outputs, interpret(built.module, given), strict=True))


def as_tuple(value: object) -> tuple[object, ...]:
    assert isinstance(value, tuple)
    return value


DECODERS: dict[str, tuple[dict[str, Any], Callable[[Arrays], Arrays]]] = {
    "llama": ({"model_type": "llama"}, llama_weights),
    "llama, wide heads": ({"model_type": "llama", "head_dim": 16, "tie_word_embeddings": True}, llama_weights),
    "qwen2": ({"model_type": "qwen2"}, llama_weights),
    "qwen3": ({"model_type": "qwen3", "head_dim": 16}, llama_weights),
    "mistral, window": ({"model_type": "mistral", "sliding_window": 4}, llama_weights),
    "mixtral": ({"model_type": "mixtral", **EXPERTS}, mixtral_weights),
    "ministral3": ({"model_type": "ministral3", "head_dim": 8, "rope_parameters": GROWING}, llama_weights),
    "minimax_m2": ({"model_type": "minimax_m2", "head_dim": 8, **HALF_TURNED, **EXPERTS}, minimax_weights),
}


@pytest.mark.parametrize("pipeline", ["", "canonicalize,recognise,fuse"])
@pytest.mark.parametrize("name", DECODERS)
def test_prefill_and_then_a_token_behind_its_cache(name: str, pipeline: str) -> None:
    more, weights_of = DECODERS[name]
    config: dict[str, Any] = {**SIZES, **more}
    model, state = reference(config)
    architecture, weights = architecture_of(Config(config, "config.json")), weights_of(state)
    tokens = np.random.default_rng(1).integers(0, 64, (2, PROMPT + 1))
    with torch.no_grad():
        want = model(torch.tensor(tokens)).logits.numpy()

    prefill = build_model(architecture, workload_of("prefill", batch=2, seq=PROMPT), weights=weights)
    first = run(prefill, pipeline, tokens=tokens[:, :PROMPT])
    np.testing.assert_allclose(first["logits"][:, 0], want[:, PROMPT - 1], rtol=RTOL, atol=ATOL)

    decode = build_model(architecture, workload_of("decode", batch=2, context=PROMPT + 1), weights=weights)
    window = config.get("sliding_window")
    past = {
        key.replace("attention.", "attention.past_").replace(".", "_"): value[:, :, -(window - 1) :]
        if window
        else value
        for key, value in first.items()
        if key != "logits"
    }
    second = run(decode, pipeline, tokens=tokens[:, PROMPT:], **past)
    np.testing.assert_allclose(second["logits"][:, 0], want[:, PROMPT], rtol=RTOL, atol=ATOL)


def test_an_encoder() -> None:
    config = {**SIZES, "model_type": "bert", "type_vocab_size": 2, "hidden_act": "gelu"}
    del config["num_key_value_heads"]
    model, state = reference(config)
    random = np.random.default_rng(1)
    tokens, types = random.integers(0, 64, (2, PROMPT)), random.integers(0, 2, (2, PROMPT))
    with torch.no_grad():
        want = model(torch.tensor(tokens), token_type_ids=torch.tensor(types))
    architecture = architecture_of(Config(config, "config.json"))
    built = build_model(architecture, workload_of("encode", batch=2, seq=PROMPT), weights=bert_weights(state))
    got = run(built, "", tokens=tokens, embedding_token_types=types)
    np.testing.assert_allclose(got["hidden"], want.last_hidden_state.numpy(), rtol=RTOL, atol=ATOL)
    np.testing.assert_allclose(got["pooled"], want.pooler_output.numpy(), rtol=RTOL, atol=ATOL)


@pytest.mark.parametrize("end", ["Model", "ForSequenceClassification"])
def test_a_decoder_without_a_head_of_the_vocabulary(end: str) -> None:
    """A model of vectors, and one of rewards."""
    config = {**SIZES, "model_type": "llama", "pad_token_id": 63, "id2label": {"0": "a", "1": "b", "2": "c"}}
    torch.manual_seed(0)
    made = transformers.AutoConfig.for_model(**{k: v for k, v in config.items() if k != "torch_dtype"})
    made._attn_implementation = "eager"
    model = getattr(transformers, f"Llama{end}")(made).eval()
    within = "model." if end == "Model" else ""
    state = {within + name: value.numpy() for name, value in model.state_dict().items()}
    weights = llama_weights({**state, "lm_head.weight": np.zeros(0)})
    weights |= {name: value for name, value in state.items() if name == "score.weight"}
    architecture = architecture_of(Config({**config, "architectures": [f"Llama{end}"]}, "config.json"))
    tokens = np.random.default_rng(1).integers(0, 63, (2, PROMPT))
    with torch.no_grad():
        want = model(torch.tensor(tokens))
    built = build_model(architecture, workload_of("encode", batch=2, seq=PROMPT), weights=weights)
    found = run(built, "", tokens=tokens)
    if end == "Model":
        np.testing.assert_allclose(found["hidden"], want.last_hidden_state.numpy(), rtol=RTOL, atol=ATOL)
    else:
        np.testing.assert_allclose(found["pooled"], want.logits.numpy(), rtol=RTOL, atol=ATOL)
