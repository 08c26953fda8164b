"""Keys of a ``config.json`` that change no computation of an inference: training, tokens, generation, bookkeeping."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

# Keys that change the computation, and the values under which it is the one that is built here.
EXPECTED: dict[str, tuple[Any, ...]] = {
    "position_embedding_type": ("absolute", "rope", "rope_gptj"),
    "mlp_type": ("default",),
    "rotary": (True,),
    "tie_weights_": (True,),
    "full_attn_mod": (1,),
    "scale_attn_weights": (True,),
    "order_of_interleaved_layers": ("local_attn_first",),
    "embedding_fraction": (1.0,),
    "interpolate_factor": (1,),
    "norm_type": ("layer_norm", "low_precision_layernorm"),
    "use_embedding_sharing": (True,),
    "use_gated_activation": (True,),
    "use_parallel_block": (True,),
    "use_parallel_embedding": (True,),
    "scoring_func": ("softmax",),
    "partial_rotary_factor": (1.0,),  # of latent attention, whose rotated part has a key of its own
    "normalization_function": ("rmsnorm",),
    "output_gate_type": ("swish", "silu"),  # of Qwen 3.6, behind the delta rule
    "learned_pos_emb": (True,),  # MPT: of no effect beside ALiBi
}
# What a key says that something is not there.
NOTHING: tuple[Any, ...] = (None, False, 0, 0.0, "", [], {})
# Keys of what all models here have, so that "not there" changes the computation: a model of vectors that sees both ways
# (gte-Qwen2), layers without gates or positions.
USUAL = ("is_causal", "causal", "use_causal_mask", "use_rope", "use_rotary", "gated_mlp", "use_gated_mlp", "use_glu")


def is_neutral(name: str, value: Any) -> bool:
    """Whether a key may go unread: it changes nothing, says the usual, or says that something is not there."""
    if name in USUAL and isinstance(value, bool):
        return value
    if name in EXPECTED and value in EXPECTED[name]:
        return True
    return name in neutral_keys() or any(value == nothing and type(value) is type(nothing) for nothing in NOTHING)


@cache
def neutral_keys() -> frozenset[str]:
    """The names in ``neutral_keys.txt``.

    >>> "dropout" in neutral_keys(), "hidden_size" in neutral_keys()
    (True, False)
    """
    text = Path(__file__).with_suffix(".txt").read_text(encoding="utf-8")
    return frozenset(word for line in text.splitlines() if not line.startswith("#") for word in line.split())
