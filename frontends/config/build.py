"""A model as a module: one forward pass of an architecture on a workload."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from ircost.frontends.config.architecture import Architecture, Experts, Head, LatentAttention, Layer, Stack
from ircost.frontends.config.attention_layers import kv_bytes_per_token, latent_attention, self_attention
from ircost.frontends.config.config_file import ConfigError
from ircost.frontends.config.feed_forward_layers import experts, feed_forward
from ircost.frontends.config.parts import linear, normed, part_of, scaled, softcapped
from ircost.frontends.config.plan import Collective, Mesh, Plan
from ircost.frontends.config.scope import Scope, run_layers
from ircost.frontends.config.weights import Ledger, Weights, WeightUse
from ircost.frontends.config.workload import Workload
from ircost.ir import ops
from ircost.ir.graph import Function, Module, Value
from ircost.ir.types import TensorType, i64


@dataclass(frozen=True, slots=True)
class BuiltModel:
    """One pass of a model, as one rank of each stage runs it.

    Args:
        module: ``main`` takes tokens and the cache's past, and returns logits and the cache's news.
        parameters: elements of all weights in it, each once.
        collectives: what the ranks send each other in one pass.
    """

    architecture: Architecture
    workload: Workload
    mesh: Mesh
    module: Module
    parameters: int
    weights: tuple[WeightUse, ...]
    collectives: tuple[Collective, ...]

    def of_stage(self, stage: int) -> BuiltModel:
        """What one stage of the pipeline holds and runs."""
        return build_model(self.architecture, self.workload, self.mesh, stage=stage)

    @property
    def kv_bytes_per_token(self) -> float:
        """That one token adds to the cache, on all ranks together."""
        bits = (self.workload.cache_dtype or self.architecture.dtype).bits
        mixers = [layer.mixer for layer in self.architecture.stack.layers if layer.mixer is not None]
        return sum(kv_bytes_per_token(mixer, bits, self.mesh.tp) for mixer in mixers)


def build_model(
    architecture: Architecture,
    workload: Workload,
    mesh: Mesh = Mesh(),  # noqa: B008  # immutable
    weights: Mapping[str, np.ndarray] | None = None,
    stage: int | None = None,
) -> BuiltModel:
    """One pass: of one rank of each stage, one stage after the other.

    Args:
        weights: values by name, for a run; a cost needs none.
        stage: of the pipeline, alone; the first has the embedding, the last the head.

    Raises:
        ConfigError: the model lacks the phase, its limit is exceeded, or sizes do not divide by the mesh.
    """
    check_phase(architecture, workload)
    function = Function("main", [])
    scope = Scope(
        function=function,
        weights=Weights(weights),
        ledger=Ledger(),
        dtype=architecture.dtype,
        quantisation=architecture.quantisation,
    )
    plan = Plan(workload, mesh)
    _Model(architecture, plan, scope).run(stage)
    function.attrs = {"inputs": tuple(scope.inputs), "outputs": tuple(scope.outputs)}
    scope.build.op(ops.return_.create(list(scope.outputs.values())))
    module = Module([function], architecture.name)
    uses = tuple(scope.ledger.uses)
    return BuiltModel(architecture, workload, mesh, module, scope.ledger.parameters, uses, tuple(plan.collectives))


def check_phase(architecture: Architecture, workload: Workload) -> None:
    """Raises:
    ConfigError: the model lacks the phase, or was made for fewer tokens.
    """
    if architecture.is_decoder == (workload.phase == "encode"):
        own = "prefill, chunk, decode, verify" if architecture.is_decoder else "encode"
        raise ConfigError(
            f"{architecture.name} has no phase {workload.phase}: it is "
            f"{'a decoder' if architecture.is_decoder else 'an encoder'}",
            help=f"its phases: {own}",
        )
    limit = architecture.max_context
    if limit and workload.context > limit:
        raise ConfigError(
            f"a context of {workload.context} tokens, and {architecture.name} was made for {limit}",
            help="max_position_embeddings in its config is the limit",
        )


@dataclass(slots=True)
class _Model:
    architecture: Architecture
    plan: Plan
    scope: Scope

    def run(self, stage: int | None) -> None:
        """All layers, or those of one stage; stages have as many layers each as goes."""
        model, plan, scope = self.architecture, self.plan, self.scope
        count, stages = len(model.stack.layers), plan.mesh.pp
        if stages > count:
            raise ConfigError(f"{stages} stages for {count} layers", help="choose a smaller --mesh pp=N")
        is_first, is_last = stage in (None, 0), stage in (None, stages - 1)
        begin, end = (0, count) if stage is None else (count * stage // stages, count * (stage + 1) // stages)
        x = self._layers(self._embedded() if is_first else self._handed_over(), begin, end)
        if stages > 1 and not (is_first and is_last and stage is not None):
            hops = stages - 1 if stage is None else int(not is_last)
            plan.collectives.append(Collective("send_recv", x.type.size_bytes, 2, hops, "to the next stage"))
        if not is_last:
            scope.output("hidden", x)
            return
        x = part_of(scope, x, x.type.shape[1] - plan.workload.logit_rows, plan.workload.logit_rows, axis=1)
        x = normed(scope, x, "norm", model.stack.final_norm)
        if model.head is None:
            self._encoded(x)
        else:
            self._head(x, model.head, is_first)

    def _layers(self, x: Value, begin: int, end: int) -> Value:
        for period, count in Stack(self.architecture.stack.layers[begin:end], None).groups():
            self.plan.repeats = count
            x = run_layers(self.scope, x, begin, len(period), count, partial(self._at_place, period))
            begin += len(period) * count
        self.plan.repeats = 1
        return x

    def _at_place(self, period: tuple[Layer, ...], scope: Scope, x: Value, place: int) -> Value:
        return self._layer(scope, x, period[place])

    def _handed_over(self) -> Value:
        work = self.plan.workload
        return self.scope.input(
            "hidden", TensorType((work.batch, work.rows, self.architecture.hidden), self.scope.dtype)
        )

    # ---- before the layers

    def _embedded(self) -> Value:
        """[batch, tokens, hidden]; each rank holds a part of the vocabulary, and the parts are added up."""
        part, work, scope = self.architecture.embedding, self.plan.workload, self.scope
        tokens = scope.input("tokens", TensorType((work.batch, work.rows), i64))
        with scope.at("embedding"):
            table = scope.weight("tokens", self._vocabulary(part.vocabulary), part.width)
            x = scope(ops.gather(table, tokens, axis=0))
            self.plan.exchange("all_reduce", x.type.size_bytes, "sum of the vocabulary's parts")
            if part.width != part.hidden:
                x = linear(scope, x, "project_in", part.hidden)
            if part.is_scaled:
                x = scaled(scope, x, math.sqrt(part.hidden))
            if part.positions:
                x = scope(ops.add(x, self._positions(part.positions, part.offset)))
            if part.token_types:
                types = scope.input("token_types", TensorType((work.batch, work.rows), i64))
                segments = scope.weight("token_types", part.token_types, part.hidden)
                x = scope(ops.add(x, ops.gather(segments, types, axis=0)))
            return normed(scope, x, "norm", part.norm)

    def _vocabulary(self, size: int) -> int:
        """Of one rank, padded to a whole number of rows."""
        return -(-size // self.plan.mesh.tp)

    def _positions(self, rows: int, offset: int) -> Value:
        """[tokens, hidden] of the new positions."""
        work, hidden = self.plan.workload, self.architecture.embedding.hidden
        table = self.scope.weight("positions", rows, hidden)
        return part_of(self.scope, table, work.past + offset, work.rows, axis=0)

    # ---- layers

    def _layer(self, scope: Scope, x: Value, layer: Layer) -> Value:
        if layer.placement.startswith("parallel"):
            return self._parallel(scope, x, layer)
        if layer.mixer is not None:
            x = self._around(scope, x, layer, "attention_norm", partial(self._mixed, scope, layer))
        if layer.feed_forward is not None:
            x = self._around(scope, x, layer, "mlp_norm", partial(self._fed, scope, layer))
        return x

    def _around(self, scope: Scope, x: Value, layer: Layer, name: str, part: Callable[[Value], Value]) -> Value:
        """x + part(x) with norms where the placement says."""
        placement, norm = layer.placement, layer.norm
        out = part(normed(scope, x, name, norm) if placement in ("pre", "both") else x)
        if placement in ("both", "behind"):
            out = normed(scope, out, f"{name}_behind", norm)
        x = scope(ops.add(x, out))
        return normed(scope, x, name, norm) if placement == "post" else x

    def _parallel(self, scope: Scope, x: Value, layer: Layer) -> Value:
        first = normed(scope, x, "attention_norm", layer.norm)
        second = first if layer.placement == "parallel" else normed(scope, x, "mlp_norm", layer.norm)
        both = scope(ops.add(self._mixed(scope, layer, first), self._fed(scope, layer, second)))
        return scope(ops.add(x, both))

    def _mixed(self, scope: Scope, layer: Layer, x: Value) -> Value:
        mixer = layer.mixer
        if isinstance(mixer, LatentAttention):
            return latent_attention(scope, self.plan, mixer, x)
        assert mixer is not None, "asked for where there is one"
        return self_attention(scope, self.plan, mixer, x)

    def _fed(self, scope: Scope, layer: Layer, x: Value) -> Value:
        part = layer.feed_forward
        if isinstance(part, Experts):
            return experts(scope, self.plan, part, x)
        assert part is not None, "asked for where there is one"
        return feed_forward(scope, self.plan, part, x)

    # ---- behind the layers

    def _encoded(self, x: Value) -> None:
        """What the last layer makes, and the first token's through the pooler."""
        self.scope.output("hidden", x)
        if self.architecture.has_pooler:
            first = part_of(self.scope, x, 0, 1, axis=1)
            self.scope.output(
                "pooled", self.scope(ops.tanh(linear(self.scope, first, "pooler", x.type.shape[-1], True)))
            )

    def _head(self, x: Value, head: Head, has_embedding: bool) -> None:
        scope, plan = self.scope, self.plan
        width = self.architecture.embedding.width
        rows = self._vocabulary(head.vocabulary)
        with scope.at("head"):
            if width != x.type.shape[-1]:
                x = linear(scope, x, "project_out", width)
            is_shared = head.is_tied and has_embedding  # on a later stage the table is there once more
            table = scope.known["embedding.tokens"] if is_shared else scope.weight("weight", rows, width)
            logits = scope(ops.contract(x, table, notation="b t k, n k -> b t n"))
            if head.has_bias:
                logits = scope(ops.add(logits, scope.weight("bias", rows)))
            logits = softcapped(scope, logits, head.softcap)
        plan.exchange("all_gather", logits.type.size_bytes * plan.mesh.tp, "logits of the vocabulary's parts")
        scope.output("logits", logits)
