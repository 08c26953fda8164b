"""Which parts of layers are in a checkpoint's lists, of what stays wide or of what is quantised in which form.

A list names single modules (``model.layers.3.mlp.down_proj``), what they are in (``model.layers.0.self_attn``), ends of
names (``mlp.gate``), wildcards (``*self_attn*``) or regular expressions (``re:.*down_proj``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product

from ircost.frontends.config.layer_parts import (
    Attention,
    DeltaNet,
    Experts,
    FeedForward,
    KimiDelta,
    LatentAttention,
    Layer,
    LightningAttention,
    Mamba,
    Mamba2,
    ShortConvolution,
    Stack,
    alike_once,
)

# Where a stack of layers hangs, by class of model. Source: huggingface/transformers, ``modeling_*.py``.
STACKS = (
    *("model.layers", "language_model.model.layers", "model.language_model.layers", "backbone.layers", "layers"),
    *("transformer.layers", "transformer.h", "transformer.blocks", "gpt_neox.layers", "model.decoder.layers"),
)
# Words in names of what is never narrow here: outside of layers, or small and decisive.
ALWAYS_WIDE = (
    *("lm_head", "embed", "router", "norm", "output", "visual", "vision", "multi_modal", "mm_projector", "proj_out"),
    *("audio", "mtp", "eh_proj", "shared_head", "conv1d", "A_log", "dt_bias", "wte", "wpe", "ln_f"),
    *("e_score_correction_bias", "weights_proj", "indexers_proj"),
)
ALWAYS_WIDE_ENDS = ("gate", "shared_expert_gate", "gate_proj_router", "wg")
# Names of the head, and what it hangs in. Source: huggingface/transformers, ``modeling_*.py``.
HEADS = ("lm_head", "embed_out", "output")
AROUND_HEADS = ("", "model.", "language_model.")

# Names of one thing.
SELF = ("self_attn", "attn", "attention", "self_attention", "mixer")
FED = ("mlp", "feed_forward", "block_sparse_moe", "ffn", "mixer")
STATES = ("linear_attn", "mixer", "mamba", "self_attn", "conv")
# Our part -> the modules that it joins, each by all its names; what joins several of them stands under each.
Modules = dict[str, tuple[tuple[str, ...], ...]]
_JOINED = ("qkv_proj", "c_attn", "query_key_value", "Wqkv", "W_pack", "wqkv")
_OUT = ("o_proj", "out_proj", "c_proj", "dense", "wo")
_ATTENTION: Modules = {
    "qkv": tuple((name, *_JOINED) for name in ("q_proj", "k_proj", "v_proj")),
    "out": (_OUT,),
}
_UP = ("up_proj", "fc1", "c_fc", "dense_h_to_4h", "w3")
_DOWN = ("down_proj", "fc2", "c_proj", "dense_4h_to_h", "w2")
_GATED: Modules = {"gate_up": (("gate_proj", "gate_up_proj", "w1"), (*_UP, "gate_up_proj")), "down": (_DOWN,)}
_PLAIN: Modules = {"up": (_UP,), "down": (_DOWN,)}
_RECURRENT: dict[type, Modules] = {
    Mamba: {"in": (("in_proj",),), "steps": (("x_proj",),), "step": (("dt_proj",),), "out": (_OUT,)},
    Mamba2: {"in": (("in_proj",),), "out": (_OUT,)},
    KimiDelta: {
        "qkv": (("q_proj",), ("k_proj",), ("v_proj",)),
        **{name: (tuple(others),) for name, *others in (("forget_in", "f_a_proj"), ("forget", "f_b_proj", "f_proj"))},
        **{name: (tuple(others),) for name, *others in (("gate_in", "g_a_proj"), ("gate", "g_b_proj", "g_proj"))},
        "beta": (("b_proj",),),
        "out": (_OUT,),
    },
    ShortConvolution: {"in": (("in_proj",),), "out": (_OUT,)},
    LightningAttention: {"qkv": (("qkv_proj",),), "gate": (("output_gate",),), "out": (_OUT,)},
    DeltaNet: {
        "qkv_gate": (("in_proj_qkvz", "in_proj_qkv"), ("in_proj_qkvz", "in_proj_z")),
        "beta_step": (("in_proj_ba", "in_proj_b"), ("in_proj_ba", "in_proj_a")),
        "out": (_OUT,),
    },
}


class PartlyWideError(ValueError):
    """Of modules that are one product here some are in a list, and some are not."""


def with_wide_parts(stack: Stack, names: Sequence[str]) -> Stack:
    """The stack whose layers know which of their parts stay wide.

    Raises:
        UnknownModuleError: a name is of no part of any layer, nor of what is wide anyway.
        PartlyWideError: modules that are one product here are not all wide, or all narrow.
    """
    if not names:
        return stack
    named = _Named(names)
    layers = alike_once(replace(layer, wide=_parts_in(layer, n, named)) for n, layer in enumerate(stack.layers))
    named.check_all_met(len(layers))
    return replace(stack, layers=layers)


def with_forms(stack: Stack, modules: Sequence[Sequence[str]]) -> Stack:
    """The stack whose layers know which of several forms their parts have.

    Args:
        modules: of each form, by the order of forms.

    Raises:
        UnknownModuleError: a name is of no part of any layer, nor of the head.
        PartlyWideError: modules that are one product here differ.
    """
    named = [_Named(names) for names in modules]
    layers = alike_once(
        replace(layer, forms=tuple((part, i) for i, own in enumerate(named) for part in _parts_in(layer, n, own)))
        for n, layer in enumerate(stack.layers)
    )
    for own in named:
        own.check_all_narrow(len(layers))
    return replace(stack, layers=layers)


class UnknownModuleError(ValueError):
    """Args: the name."""


def has_head(names: Sequence[str]) -> bool:
    """Whether a list names the head.

    >>> has_head(["model.embed_tokens", "language_model.lm_head"]), has_head(["re:.*lm_head"]), has_head(["*mlp*"])
    (True, True, False)
    """
    heads = [f"{around}{head}" for around, head in product(AROUND_HEADS, HEADS)]
    patterns = [_Pattern.of(name).expression for name in names if _is_pattern(name)]
    return any(head in names or any(pattern.match(head) for pattern in patterns) for head in heads)


def _parts_in(layer: Layer, number: int, named: _Named) -> tuple[str, ...]:
    """Parts all of whose modules are in a list."""
    found = []
    for part, modules in parts_of_layer(layer):
        # All are asked, so that a name that only the last of those alike has is known to be met, too.
        asked = [[named.has(number, module) for module in alike] for alike in modules]
        met = [any(answers) for answers in asked]
        if any(met) and not all(met):
            lone = modules[met.index(True)][0], modules[met.index(False)][0]
            raise PartlyWideError(
                f"layer {number}: {lone[0]} is among them and {lone[1]} is not: here they are one product"
            )
        if all(met):
            found.append(part)
    return tuple(found)


def parts_of_layer(layer: Layer) -> Iterator[tuple[str, tuple[tuple[str, ...], ...]]]:
    """Parts whose weights may be narrow, as scopes call them; of each the modules in it, each by all its names."""
    for mixer in layer.mixers:
        if isinstance(mixer, Attention):
            own = {**_ATTENTION, "gate": (("gate_proj", "g_proj"),)} if mixer.is_gated else _ATTENTION
            own = own if mixer.has_values else {**own, "qkv": own["qkv"][:2]}
            own = {"query": own["qkv"][:1], "out": own["out"]} if mixer.is_shared else own
            yield from _placed("attention", SELF, own)
        elif isinstance(mixer, LatentAttention):
            yield from _placed("attention", SELF, _latent(mixer))
        else:
            states = STATES if len(layer.mixers) == 1 else ("mamba",)
            yield from _placed("mixer", states, _RECURRENT[type(mixer)])
    if layer.cross is not None:
        keys = {"query": (("q_proj",),), "key_value": (("k_proj",), ("v_proj",)), "out": (_OUT,)}
        yield from _placed("source", ("encoder_attn", "cross_attn"), keys)
    if layer.updates is not None:
        names = {"router": "modality_router", "prediction": "prediction_coefs", "correction": "correction_coefs"}
        yield from _placed("altup", ("altup",), {name: ((other,),) for name, other in names.items()})
        sides: Modules = {name: ((f"linear_{name}",),) for name in ("left", "right")}
        yield from _placed("laurel", ("laurel",), sides)
    if layer.inputs is not None:
        yield "inputs.gate", (("per_layer_input_gate",),)
        yield "inputs.out", (("per_layer_projection",),)
    for fed in layer.fed:
        if isinstance(fed, FeedForward):
            yield from _placed("mlp", FED, _GATED if fed.is_gated else _PLAIN)
        else:
            yield from _of_experts(fed)


def _of_experts(fed: Experts) -> Iterator[tuple[str, tuple[tuple[str, ...], ...]]]:
    yield "experts", tuple(_routed(fed))
    if fed.latent:
        latent: Modules = {"latent_in": (("fc1_latent_proj",),), "latent_out": (("fc2_latent_proj",),)}
        yield from _placed("experts", FED, latent)
    if fed.shared is not None:
        within = [f"{place}.{name}" for place, name in product(FED, ("shared_experts", "shared_expert", "shared_mlp"))]
        yield from _placed("experts.shared", within, _GATED if fed.shared.is_gated else _PLAIN)


def _placed(part: str, places: Iterable[str], modules: Modules) -> Iterator[tuple[str, tuple[tuple[str, ...], ...]]]:
    places = tuple(places)
    for name, joined in modules.items():
        yield f"{part}.{name}", tuple(tuple(f"{p}.{leaf}" for leaf in alike for p in places) for alike in joined)


def _latent(mixer: LatentAttention) -> Modules:
    rest: Modules = {"up": (("kv_b_proj",),), "out": (_OUT,)}
    if mixer.indexer is not None:
        rest |= {"indexer.query": (("indexer.wq_b",),), "indexer.key": (("indexer.wk",),)}
    if mixer.is_gated:
        rest |= {"gate": (("g_proj",),)}
    if not mixer.query_rank:
        return {"down": (("kv_a_proj_with_mqa",),), "query": (("q_proj",),), **rest}
    return {"down": (("q_a_proj",), ("kv_a_proj_with_mqa",)), "query": (("q_b_proj",),), **rest}


def _routed(fed: Experts) -> Iterator[tuple[str, ...]]:
    """Gate, up and down of the first expert and of the last, which stand for all; or all experts at once."""
    modules = _GATED if fed.is_gated else _PLAIN
    for number, names in product((0, fed.count - 1), (names for part in modules.values() for names in part)):
        places = [*(f"{place}.experts" for place in FED), "experts"]
        yield tuple(f"{place}.{at}" for place in places for name in names for at in (f"{number}.{name}", name))


IN_LAYER = re.compile(r"(?P<stack>(?:[\w.]*\.)?(?:layers|h|blocks))\.(?P<number>\d+)(?:\.(?P<module>.+))?")


@dataclass(slots=True)
class _Pattern:
    """A name that stands for several.

    Args:
        number: of the one layer that it is of; None: any. expression: of a module's name, in the layer where there is
            a number, else with all before it.
    """

    text: str
    number: int | None
    expression: re.Pattern[str]
    is_met: bool = False
    known: dict[str, bool] = field(default_factory=dict)

    @staticmethod
    def of(text: str) -> _Pattern:
        """Source: vllm-project/compressed-tensors, ``is_match`` (``re:``); wildcards as of NVIDIA's ModelOpt."""
        if text.startswith("re:"):
            return _Pattern(text, None, re.compile(text.removeprefix("re:")))
        inside = IN_LAYER.fullmatch(text)
        is_of_one = inside is not None and inside["module"] is not None and "*" not in inside["stack"]
        number, glob = (int(inside["number"]), inside["module"]) if is_of_one and inside else (None, text)
        return _Pattern(text, number, re.compile(".*".join(re.escape(part) for part in glob.split("*")) + r"\Z"))

    def covers(self, number: int, module: str) -> bool:
        """Whether it is the name of a module of a layer, or of what that is in."""
        if self.number is not None:
            found = self.number == number and any(self.expression.match(name) for name in _above(module))
        elif re.search(r"\d", self.text):
            found = self._covers_whole(number, module)
        else:
            if module not in self.known:
                self.known[module] = self._covers_whole(0, module)
            found = self.known[module]
        self.is_met = self.is_met or found
        return found

    def _covers_whole(self, number: int, module: str) -> bool:
        layers = [f"{stack}.{number}" for stack in STACKS]
        return any(
            self.expression.match(f"{layer}.{name}" if name else layer)
            for layer, name in product(layers, ("", *_above(module)))
        )


@dataclass
class _Named:
    """The names of a list, and which of them were met."""

    names: Sequence[str]
    met: set[str] = field(default_factory=set)

    @cached_property
    def plain(self) -> dict[tuple[int | None, str], str]:
        """Number of the layer (None: any) and name of the module in it ("": all) -> the name in the list."""
        found: dict[tuple[int | None, str], str] = {}
        for name in self.names:
            if _is_pattern(name):
                continue
            inside = IN_LAYER.fullmatch(name)
            if inside is not None and not _is_wide_anyway(inside["stack"]):
                found[int(inside["number"]), inside["module"] or ""] = name
            else:
                found[None, name] = name
        return found

    @cached_property
    def patterns(self) -> list[_Pattern]:
        return [_Pattern.of(name) for name in self.names if _is_pattern(name)]

    def has(self, number: int, module: str) -> bool:
        """Whether a module of a layer is in the list, itself or what it is in."""
        above = [*_above(module)]
        keys = [(number, ""), *((number, name) for name in above), *((None, end) for x in above for end in _ends(x))]
        own = {self.plain[key] for key in keys if key in self.plain}
        self.met |= own
        # All patterns are asked, so that each is known to be met.
        covered = [pattern.covers(number, module) for pattern in self.patterns]
        return bool(own) or any(covered)

    def check_all_met(self, layers: int) -> None:
        """Raises:
        UnknownModuleError: a name is of no part of any layer, nor of what is wide anyway.
        """
        for name in self._unmet():
            if not (_is_wide_anyway(name) or _is_behind(name, layers) or _is_an_expert(name)):
                raise UnknownModuleError(name)

    def check_all_narrow(self, layers: int) -> None:
        """Raises:
        UnknownModuleError: a name is of what is not narrow here: of no part of any layer, nor of the head.
        """
        for name in self._unmet():
            if not (has_head([name]) or _is_of_drafts(name) or _is_behind(name, layers) or _is_an_expert(name)):
                raise UnknownModuleError(name)

    def _unmet(self) -> list[str]:
        known = {module for (_, module), name in self.plain.items() if name in self.met}  # in another layer, maybe
        unmet = [name for (_, module), name in self.plain.items() if module not in known]
        return unmet + [pattern.text for pattern in self.patterns if not pattern.is_met]


def _is_pattern(name: str) -> bool:
    return name.startswith("re:") or "*" in name


def _above(module: str) -> Iterator[str]:
    """What it is in, down to itself.

    >>> list(_above("mlp.experts.0.down_proj"))
    ['mlp', 'mlp.experts', 'mlp.experts.0', 'mlp.experts.0.down_proj']
    """
    words = module.split(".")
    for end in range(1, len(words) + 1):
        yield ".".join(words[:end])


def _ends(name: str) -> Iterator[str]:
    """Names that it ends with, a number alone left out."""
    words = name.split(".")
    for begin in range(len(words)):
        if not words[begin].isdecimal():
            yield ".".join(words[begin:])


def _is_wide_anyway(name: str) -> bool:
    words = re.split(r"[.\\]+", name.removeprefix("re:").strip(".*^$"))
    is_outside = any(wide in word for wide in ALWAYS_WIDE for word in words)
    return is_outside or words[-1].strip("*$") in ALWAYS_WIDE_ENDS


def _is_of_drafts(name: str) -> bool:
    """Of the layers for drafted tokens, under a name of their own."""
    return name.removeprefix("re:").lstrip(".*^").startswith("mtp")


def _is_behind(name: str, layers: int) -> bool:
    """Of a layer that nobody builds: what drafts tokens stands behind the others under their name."""
    numbers = re.findall(r"layers\.(\d+)", name)
    return any(int(number) >= layers for number in numbers)


def _is_an_expert(name: str) -> bool:
    """One of those that the first and the last stand for."""
    return re.search(r"\.experts\.\d+\.", name) is not None
