"""Models built from small configurations, run by the interpreter with weights drawn by their names."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ircost.frontends.config import Architecture, BuiltModel, architecture_of, build_model
from ircost.frontends.config.config_file import Config
from ircost.frontends.config.scope import layer_numbers
from ircost.frontends.config.weights import WeightUse
from ircost.frontends.config.workload import workload_of
from ircost.ir import interpret
from ircost.ir.verify import verify

Arrays = dict[str, np.ndarray]

LLAMA: dict[str, Any] = {
    **{"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4},
    **{"num_key_value_heads": 2, "intermediate_size": 96, "vocab_size": 100, "max_position_embeddings": 128},
}
T5: dict[str, Any] = {
    "model_type": "t5",
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 2,
    "num_heads": 4,
    "vocab_size": 50,
}
VIT: dict[str, Any] = {
    **{"model_type": "vit", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4},
    **{"intermediate_size": 48, "image_size": 32, "patch_size": 8},
}
FLUX: dict[str, Any] = {
    **{"_class_name": "FluxTransformer2DModel", "num_attention_heads": 2, "attention_head_dim": 16, "patch_size": 1},
    "axes_dims_rope": [4, 6, 6],
    **{"in_channels": 4, "joint_attention_dim": 8, "num_layers": 1, "pooled_projection_dim": 8},
}


def read(config: Mapping[str, Any]) -> Architecture:
    return architecture_of(Config({"torch_dtype": "float32", **config}, "config.json"), "model")


def drawn(uses: tuple[WeightUse, ...]) -> Arrays:
    """A value for each weight, which depends on its name alone."""
    return {name: _draw(name, use.type.shape) for use in uses for name in _names(use)}


def _names(use: WeightUse) -> Iterator[str]:
    if use.copies == 1:
        yield use.name
        return
    path = use.name.split(".")
    place = path.index("layers")
    for number in layer_numbers((f"layers.{path[place + 1]}",)):
        yield ".".join((*path[: place + 1], str(number), *path[place + 2 :]))


def _draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
    random = np.random.default_rng(zlib.crc32(name.encode()))
    values = random.standard_normal(shape) * 0.3
    return -np.abs(values) - 0.1 if name.endswith("mixer.a") else values


def run(architecture: Architecture, inputs: Arrays, phase: str, **sizes: Any) -> tuple[Arrays, BuiltModel]:
    """Outputs by name. ``inputs`` are those that are no state, and the state by the name of its input."""
    workload = workload_of(phase, **sizes)
    plain = build_model(architecture, workload)
    built = build_model(architecture, workload, weights=drawn(plain.weights))
    verify(built.module)
    found = interpret(built.module, [inputs[name] for name in names_of(built, "inputs")])
    return dict(zip(names_of(built, "outputs"), found, strict=True)), built


def names_of(built: BuiltModel, which: str) -> list[str]:
    names = built.module.main.attrs[which]
    assert isinstance(names, tuple), "the builder names inputs and outputs"
    return [str(name) for name in names]


def as_inputs(outputs: Arrays, architecture: Architecture) -> Arrays:
    """What a pass hands out as what the next one takes in: keys and values as the past, states as they are."""
    found: Arrays = {}
    for name, value in outputs.items():
        path, _, last = name.rpartition(".")
        if last in ("key", "value", "key_scale"):
            found[f"{path}.past_{last}"] = value
        elif last in ("state", "conv_state"):
            found[name] = value
    for name in [name for name in outputs if name.endswith(".latent")]:
        key = outputs[name.removesuffix("latent") + "rotated_key"]
        both = np.concatenate([outputs[name][..., None, :], key], axis=-1)
        found[name.removesuffix("latent") + "past_latent"] = both
    return found
