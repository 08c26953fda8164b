"""Feed-forward layers and mixtures of experts, as a configuration tells them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ircost.frontends.config.config_file import NO_DEFAULT
from ircost.frontends.config.family import Routing
from ircost.frontends.config.family_reading import ACTIVATIONS, FamilyReader
from ircost.frontends.config.layer_parts import Experts, FeedForward
from ircost.ir.errors import did_you_mean

# Keys of one meaning; the first that is there counts.
INNER = ("intermediate_size", "ffn_dim", "n_inner", "hidden_dim", "ffn_hidden_size", "d_ff")
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")


class FeedForwardReader(FamilyReader):
    def layer(self, place: int) -> FeedForward | Experts:
        routing, limits = self.family.experts, self.family.limits
        part = self.experts(routing) if routing is not None and self._has_experts(routing, place) else self.dense()
        return part if limits is None else self._limited(part, *(self._limit(key, place) for key in limits))

    def _limited(self, part: FeedForward | Experts, routed: float, shared: float) -> FeedForward | Experts:
        """With clips behind activations."""
        if isinstance(part, FeedForward):
            return replace(part, limit=shared)
        always = replace(part.shared, limit=shared) if part.shared is not None else None
        return replace(part, shared=always, limit=routed, is_limit_behind=routed > 0)

    def _limit(self, key: str, place: int) -> float:
        """Of a layer; 0: none."""
        said = self.config.raw(key, default=None)
        if said is None:
            return 0.0
        if not isinstance(said, list) or not all(each is None or type(each) in (int, float) for each in said):
            raise self.config.error(f"'{key}' is {said!r}, a list of numbers expected")
        self.check_per_layer(key, said)
        return float(said[place] or 0.0)

    def dense(self) -> FeedForward:
        activation, is_gated = self._activation_and_gate()
        factors = self.config.listed("mlp_multipliers", of=(int, float), length=2, default=[1.0, 1.0])
        return FeedForward(self._inner(), activation, is_gated, self.says(self.family.mlp_bias), *map(float, factors))

    def _activation_and_gate(self) -> tuple[str, bool]:
        """T5 names both at once: ``gated-gelu``, which stands for the approximation by tanh."""
        both = self.config.text("feed_forward_proj", default=None) if self.family.has_bias_table else None
        if both is None:
            return self.activation(), self.family.is_gated
        name = both.removeprefix("gated-")
        is_gated = name != both
        name = "gelu_new" if both == "gated-gelu" else name
        if name not in ACTIVATIONS:
            raise self.config.error(f"'feed_forward_proj' is '{both}'", help=did_you_mean(name, ACTIVATIONS))
        return ACTIVATIONS[name], is_gated

    def _inner(self) -> int:
        config = self.config
        if self.name == "lfm2":
            return self._rounded_inner()
        ratio = config.number("expansion_ratio", "ffn_ratio", default=4.0)
        own = (self.family.dense_inner,) if self.family.dense_inner else INNER
        return config.size(*own, default=None) or round(ratio * self.hidden)

    def _rounded_inner(self) -> int:
        """Of LFM2: two thirds of what is said, as for a layer without a gate, up to a whole number of blocks."""
        config = self.config
        inner = config.size("block_ff_dim", "intermediate_size")
        multiple = config.size("block_multiple_of", default=256)
        factor = config.number("block_ffn_dim_multiplier", default=1.0)
        if not config.flag("block_auto_adjust_ff_dim", default=True):
            return inner
        return -(-int(factor * int(2 * inner / 3)) // multiple) * multiple

    # ---- experts

    def _has_experts(self, routing: Routing, place: int) -> bool:
        config = self.config
        names = (routing.count, *EXPERTS)
        if not any(name in config.values for name in names):
            raise config.error(f"'{routing.count}' is missing: how many experts a {self.name} has must be told")
        count = config.size(*names, default=0, least=0)
        config.passed(routing.chosen)
        if not count:
            return False
        config.passed(*INNER)
        first = config.size(routing.first, default=routing.dense_before, least=0) if routing.first else 0
        kinds = config.listed(routing.listed, default=[]) if routing.listed else []
        if kinds:
            config.passed(*filter(None, (routing.first, routing.step)))
            self.check_per_layer(routing.listed, kinds)
            if kinds[place] not in ("sparse", "dense"):
                raise config.error(f"'{routing.listed}' names '{kinds[place]}'", help="known: sparse, dense")
            return bool(kinds[place] == "sparse")
        if routing.step and isinstance(config.values.get(routing.step), list):
            flags = config.listed(routing.step, of=(int, bool))
            self.check_per_layer(routing.step, flags)
            return bool(flags[place])
        step = config.size(routing.step, default=1) if routing.step else 1
        dense = config.listed(routing.dense_layers, default=[]) if routing.dense_layers else []
        if routing.step == "decoder_sparse_step":
            return (place + 1) % step == 0 and place not in dense
        if routing.step == "interleave_moe_layer_step":
            listed = config.listed("moe_layers", default=[])
            return place in listed if listed else (place + 1) % step == 0
        if routing.last:
            last = config.size(routing.last, default=-1, least=-1)
            return first <= place <= (self.layers - 1 if last == -1 else last) and (place + 1) % step == 0
        if routing.offset:
            begin = config.size(routing.offset, least=0)
            return count > 1 and place % step == begin
        return place >= first and place % step == 0 and place not in dense

    def experts(self, routing: Routing) -> Experts:
        config, family = self.config, self.family
        count = config.size(routing.count, *EXPERTS)
        chosen = self._of_all(routing.chosen, "num_experts_per_tok", "num_experts_per_token", "experts_per_token")
        if chosen > count:
            raise config.error(f"{chosen} of {count} experts cannot be chosen")
        inner = self._of_all(*routing.inner.split("|"))
        normalised = routing.is_normalised
        router = routing.router
        if router in ("scoring_func", "score_function"):
            router = config.text(router, default=routing.scoring)
        if router not in ("softmax", "softmax of chosen", "sigmoid", "sigmoid of chosen"):
            raise config.error(f"'{routing.router}' is '{router}'", help="known: softmax, sigmoid")
        method = config.text("topk_method", default="greedy")
        groups = tuple(config.size(*key.split("|"), default=1) for key in routing.groups) if routing.groups else (1, 1)
        return Experts(
            count=count,
            chosen=chosen,
            inner=inner,
            activation=self.activation(),
            router=router,
            has_bias=routing.has_bias,
            is_interleaved=routing.is_interleaved,
            limit=config.number("swiglu_limit", default=7.0) if routing.is_interleaved else 0.0,
            slope=config.number("swiglu_alpha", default=1.702) if routing.is_interleaved else 1.0,
            shared=self._shared(routing, inner),
            is_shared_gated=routing.is_shared_gated,
            has_router_bias=routing.has_router_bias or method == "noaux_tc" or router == "sigmoid",
            groups=groups[0],
            groups_chosen=groups[1],
            factor=config.number(routing.factor, default=routing.usual_factor),
            is_normalised=normalised
            if isinstance(normalised, bool)
            else config.flag(*normalised.split("|"), default=routing.is_usually_normalised),
            is_gated=family.is_gated,
            latent=config.size(routing.latent, default=0) if routing.latent else 0,
        )

    def _of_all(self, *names: str, default: Any = NO_DEFAULT, least: int = 1) -> int:
        """A size that may be listed for each layer, where that says the same of all (Hunyuan-A13B).

        Raises:
            ConfigError: layers differ.
        """
        config = self.config
        if not isinstance(config.raw(*names, default=default), list):
            return config.size(*names, default=default, least=least)
        listed = config.listed(*names, of=(int,))
        if len(listed) < self.layers or len(set(listed)) > 1 or listed[0] < least:
            name = next(name for name in names if config.values.get(name) is not None)
            raise config.error(
                f"'{name}' lists {sorted(set(listed))} for {len(listed)} layers",
                help=f"a number of {least} and more, the same for all {self.layers} layers, is what is known here",
            )
        return int(listed[0])

    def _shared(self, routing: Routing, inner: int) -> FeedForward | None:
        config = self.config
        width = 0
        if routing.shared_inner:
            width = config.size(routing.shared_inner, default=0, least=0)
        elif routing.shared_count:
            width = config.size(routing.shared_width) if routing.shared_width else inner
            width *= self._of_all(*routing.shared_count.split("|"), default=routing.shared_usual, least=0)
        has_bias = self.says(self.family.mlp_bias)
        return FeedForward(width, self.activation(), self.family.is_gated, has_bias) if width else None
