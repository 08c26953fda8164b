"""What all readers of a configuration share: the file, what its family says, and names that stand for ours."""

from __future__ import annotations

from collections.abc import Sequence

from ircost.frontends.config.config_file import NO_DEFAULT, Config
from ircost.frontends.config.family import Family
from ircost.ir.errors import did_you_mean

MOST_LAYERS = 4096
# Keys of one meaning; the first that is there counts.
LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
HIDDEN = ("hidden_size", "n_embd", "d_model", "dim", "n_embed")
ACTIVATION = ("mlp_hidden_act", "hidden_act", "hidden_activation", "activation_function", "hidden_act", "activation")


class FamilyReader:
    """Args:
    name: of the family: its ``model_type``.
    """

    def __init__(self, config: Config, family: Family, name: str) -> None:
        self.config = config
        self.family = family
        self.name = name
        self.hidden = config.size(*HIDDEN)
        listed = config.values.get("layers_block_type")
        self.layers = config.size(*LAYERS, default=len(listed) if isinstance(listed, list) and listed else NO_DEFAULT)
        if self.layers > MOST_LAYERS:
            raise config.error(f"{self.layers} layers; {MOST_LAYERS} are the most", help="check num_hidden_layers")

    def check_per_layer(self, key: str, values: Sequence[object]) -> None:
        if len(values) != self.layers:
            raise self.config.error(f"'{key}' lists {len(values)} layers, and there are {self.layers}")

    def says(self, rule: bool | str) -> bool:
        """A constant, the value of a key, or with ``!`` its opposite."""
        if isinstance(rule, bool):
            return rule
        if rule.startswith("!"):
            return not self.config.flag(rule[1:], default=True)
        return self.config.flag(*rule.split("|"), default=DEFAULT_FLAGS.get((self.name, rule), False))

    def activation(self) -> str:
        return self.activation_of(self.config.text(*ACTIVATION, default=self.family.activation))

    def activation_of(self, name: str) -> str:
        """Our name of one of HF's."""
        if name not in ACTIVATIONS:
            raise self.config.error(f"activation '{name}' is not known", help=did_you_mean(name, ACTIVATIONS))
        if name in LEARNT and name != self.family.activation:
            raise self.config.error(f"activation '{name}' of a {self.name} is not known: it has weights of its own")
        return ACTIVATIONS[name]


# Flags whose default is true, by family.
DEFAULT_FLAGS = {
    ("gpt_oss", "attention_bias"): True,
    ("starcoder2", "use_bias"): True,
    ("mpt", "no_bias"): True,
    ("vit", "qkv_bias"): True,
    ("qwen2_moe", "qkv_bias"): True,
    ("gpt_neox", "attention_bias"): True,
    ("opt", "enable_bias"): True,
    ("glm", "attention_bias"): True,
    ("mimo", "attention_bias"): True,
    ("seed_oss", "attention_bias"): True,
    ("persimmon", "qk_layernorm"): True,
    ("glm4", "attention_bias"): True,
    ("jais2", "attention_bias"): True,
    ("jais2", "mlp_bias"): True,
    ("glm4v_moe_text", "attention_bias"): True,
    ("llama4_text", "use_qk_norm"): True,
    ("opt", "layer_norm_elementwise_affine"): True,
}
# Those with weights.
LEARNT = ("xielu",)
# HF's names of activations -> ours.
ACTIVATIONS = {
    **{"relu2": "relu2", "silu": "silu", "swish": "silu", "relu": "relu", "gelu": "gelu"},
    **dict.fromkeys(("gelu_new", "gelu_fast", "gelu_pytorch_tanh", "gelu_python_tanh"), "gelu_tanh"),
    **{"quick_gelu": "quick_gelu", "gelu_python": "gelu", "xielu": "xielu"},
}
