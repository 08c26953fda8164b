"""Small models of transformers with random weights, and graphs of ours that run with the same ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from tiny_transformers import Arrays, names_of

from ircost.frontends.config import Architecture, build_model
from ircost.frontends.config.workload import workload_of
from ircost.ir import interpret
from ircost.ir.verify import verify

torch = pytest.importorskip("torch", reason="needs pip install 'ircost[torch]'")
transformers = pytest.importorskip("transformers", reason="needs pip install transformers")

# Language models that are no automatic class's.
CLASSES = {"mistral4": "Mistral4ForCausalLM"}
# Of models of several modalities, whose class has no head; it is put on here.
TEXTS = {"glm4v_text": "Glm4vTextModel", "glm4v_moe_text": "Glm4vMoeTextModel", "step3p5": "Step3p7TextModel"}
# Whose norms are centred at 0: a weight of 0 is a factor of 1.
CENTRED = ("step3p5", "gemma", "gemma2", "gemma3_text", "vaultgemma", "nemotron")
# Ends of the names of buffers that take part in what a model computes.
BUFFERS = ("correction_bias", "expert_bias", "layer_scalar")


def reference(config: dict[str, Any], kind: str = "AutoModelForCausalLM") -> tuple[Any, Arrays]:
    """A model and all its weights, norms and biases of routers drawn at random, too."""
    torch.manual_seed(0)
    made = transformers.AutoConfig.for_model(**config)
    made._attn_implementation = "eager"
    model = of_class(kind, made).eval().to(torch.float32)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        for name, buffer in model.named_buffers():
            if name.endswith(BUFFERS):
                buffer.add_(0.1 * torch.randn_like(buffer))
    return model, {name: value.numpy() for name, value in model.state_dict().items()}


def weights_in(model: Any) -> int:
    """What a checkpoint holds: parameters, and the biases of routers, which are buffers there."""
    biases = sum(value.numel() for name, value in model.named_buffers() if name.endswith(BUFFERS))
    return biases + sum(value.numel() for value in model.parameters())


def logits_of(model: Any, state: Arrays, tokens: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        found = model(torch.tensor(tokens), use_cache=False)
    return found.logits.numpy() if "logits" in found else found.last_hidden_state.numpy() @ state["lm_head.weight"].T


def with_head(state: Arrays) -> Arrays:
    """The weights of a text without a head under the names that they have in a model with one."""
    head = np.random.default_rng(3).standard_normal(state["embed_tokens.weight"].shape).astype(np.float32)
    return {"lm_head.weight": head, **{f"model.{name}": value for name, value in state.items()}}


def of_class(kind: str, config: Any) -> Any:
    """A model of an automatic class, or of the class itself."""
    found = getattr(transformers, kind)
    return found.from_config(config) if kind.startswith("Auto") else found(config)


def run(architecture: Architecture, weights: Arrays, inputs: Arrays, phase: str, **sizes: Any) -> Arrays:
    """Outputs by name."""
    built = build_model(architecture, workload_of(phase, **sizes), weights=weights)
    verify(built.module)
    found = interpret(built.module, [inputs[name] for name in names_of(built, "inputs")])
    return dict(zip(names_of(built, "outputs"), found, strict=True))


def joined(state: Arrays, names: Iterable[str]) -> np.ndarray:
    return np.concatenate([state[name] for name in names])
