"""A model as a module: one forward pass of an architecture on a workload."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ircost.frontends.config.alternating_updates import gathered, spread
from ircost.frontends.config.architecture import Architecture
from ircost.frontends.config.attention_layers import kv_bytes_per_token
from ircost.frontends.config.cached_rows import cached_bits
from ircost.frontends.config.config_file import ConfigError
from ircost.frontends.config.denoiser_parts import Latents
from ircost.frontends.config.diffusion_layers import denoised
from ircost.frontends.config.entrances import entered, layer_inputs, vocabulary_share
from ircost.frontends.config.layer_parts import Attention, Embedding, Experts, Head, LatentAttention, Recurrent
from ircost.frontends.config.layers import hold_idle, run_stack
from ircost.frontends.config.outlets import put_out
from ircost.frontends.config.parts import linear, normed, part_of, scaled, softcapped, unit_vectors
from ircost.frontends.config.plan import Collective, Mesh, Plan
from ircost.frontends.config.quantised_parts import form_of, quantised_linear
from ircost.frontends.config.recurrent_layers import state_bytes
from ircost.frontends.config.scope import Scope
from ircost.frontends.config.tower_parts import Contrast, Patches, Tower
from ircost.frontends.config.weights import Ledger, Weights, WeightUse
from ircost.frontends.config.workload import Workload
from ircost.ir import ops
from ircost.ir.graph import Function, Module, Value
from ircost.ir.types import TensorType


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
        bits = cached_bits(self.workload.cache_dtype or self.architecture.dtype)
        if not self.architecture.is_decoder:
            return 0.0
        mixers = [mixer for layer in self.architecture.stack.layers for mixer in layer.mixers]
        attending = [mixer for mixer in mixers if isinstance(mixer, Attention | LatentAttention)]
        return sum(kv_bytes_per_token(mixer, bits, self.mesh.tp) for mixer in attending)

    @property
    def state_bytes_per_sequence(self) -> int:
        """Of layers that keep a state in place of a cache, on all ranks together; however long a sequence is."""
        mixers = [mixer for layer in self.architecture.stack.layers for mixer in layer.mixers]
        return sum(state_bytes(mixer, self.architecture.dtype) for mixer in mixers if isinstance(mixer, Recurrent))


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
    check_phase(architecture, workload, mesh)
    function = Function("main", [])
    scope = Scope(
        function=function,
        weights=Weights(weights),
        ledger=Ledger(),
        dtype=architecture.dtype,
        quantisation=architecture.quantisation,
    )
    plan = Plan(of_one_copy(workload, mesh), mesh)
    _Model(architecture, plan, scope).run(stage)
    function.attrs = {"inputs": tuple(scope.inputs), "outputs": tuple(scope.outputs)}
    scope.build.op(ops.return_.create(list(scope.outputs.values())))
    module = Module([function], architecture.name)
    uses = tuple(scope.ledger.uses)
    return BuiltModel(architecture, workload, mesh, module, scope.ledger.parameters, uses, tuple(plan.collectives))


def of_one_copy(workload: Workload, mesh: Mesh) -> Workload:
    """What one of the groups runs that have sequences of their own.

    Raises:
        ConfigError: sequences do not divide.
    """
    if workload.batch % mesh.dp:
        raise ConfigError(
            f"{workload.batch} sequences do not divide by dp={mesh.dp}", help="--batch counts those of all copies"
        )
    return replace(workload, batch=workload.batch // mesh.dp)


def check_phase(architecture: Architecture, workload: Workload, mesh: Mesh) -> None:
    """Raises:
    ConfigError: the model lacks the phase, or was made for fewer tokens.
    """
    name, phase = architecture.name, workload.phase
    if phase not in architecture.phases:
        raise ConfigError(
            f"{name} has no phase {phase}: it is {'a decoder' if architecture.is_decoder else 'an encoder'}",
            help=f"its phases: {', '.join(architecture.phases)}",
        )
    is_tower = phase == "encode" and architecture.is_decoder
    if mesh.pp > 1 and (is_tower or phase == "denoise" or architecture.contrast is not None):
        raise ConfigError(f"phase {phase} of {name} is not split into stages", help="--mesh tp=N splits it")
    mixtures = [part for layer in architecture.stack.layers for part in layer.fed if isinstance(part, Experts)]
    if mesh.ep > 1 and (not mixtures or is_tower):
        raise ConfigError(f"phase {phase} of {name} has no experts to spread", help="leave ep out of --mesh")
    if architecture.has_source and not is_tower and not workload.source:
        raise ConfigError(f"{phase} of {name} needs the length of what its encoder read", help="--dim source=N")
    if isinstance(architecture.embedding, Latents):
        check_latents(architecture.embedding, workload.rows)
    limits = [("source", workload.source, architecture.tower.max_context)] if architecture.tower else []
    if not is_tower:
        limits.append(("a context", workload.context, architecture.max_context))
    elif architecture.tower is not None:
        limits.append(("a sequence", workload.rows, architecture.tower.max_context))
    for what, size, limit in limits:
        if limit and size > limit:
            raise ConfigError(
                f"{what} of {size} tokens, and {name} was made for {limit}",
                help="max_position_embeddings in its config is the limit",
            )


def check_latents(part: Latents, tokens: int) -> None:
    """Raises:
    ConfigError: no square image has so many patches, or positions are those of one size alone.
    """
    if math.isqrt(tokens) ** 2 != tokens:
        raise ConfigError(f"{tokens} tokens are no square image", help=f"the usual one is --seq {part.tokens}")
    if part.has_learnt_positions and tokens != part.tokens:
        raise ConfigError(f"an image of {tokens} tokens, and there are positions of {part.tokens}")


@dataclass(slots=True)
class _Model:
    architecture: Architecture
    plan: Plan
    scope: Scope

    def run(self, stage: int | None) -> None:
        model = self.architecture
        if isinstance(model.embedding, Patches):
            self.plan = self.plan.of_tower(model.embedding.tokens)
        if model.denoiser is not None:
            self.scope.output("noise", denoised(self.scope, self.plan, model.denoiser))
        elif model.contrast is not None:
            self._compared(model.contrast)
        elif self.plan.workload.phase == "encode" and model.is_decoder:
            assert model.tower is not None, "the phase was checked"
            self.scope.output("hidden", self._tower(model.tower))
        else:
            self._main(stage)

    def _main(self, stage: int | None) -> None:
        """All layers, or those of one stage; stages have as many layers each as goes."""
        model, plan, scope = self.architecture, self.plan, self.scope
        count, stages = len(model.stack.layers), plan.mesh.pp
        if stages > count:
            raise ConfigError(f"{stages} stages for {count} layers", help="choose a smaller --mesh pp=N")
        is_first, is_last = stage in (None, 0), stage in (None, stages - 1)
        begin, end = (0, count) if stage is None else (count * stage // stages, count * (stage + 1) // stages)
        assert not isinstance(model.embedding, Latents), "those have a way of their own"
        x = entered(scope, plan, model.embedding) if is_first else self._handed_over()
        self._take_source()
        self._make_layer_inputs(x, is_whole=is_first and (stages == 1 or stage is None))
        updates = next((layer.updates for layer in model.stack.layers if layer.updates is not None), None)
        x = x if updates is None else spread(scope, updates, x)
        x = run_stack(scope, plan, model.stack, x, begin, end)
        x = x if updates is None else gathered(scope, updates, x)
        if stages > 1 and not (is_first and is_last and stage is not None):
            handing = tuple(range(stages - 1)) if stage is None else (stage,) * (not is_last)
            size_bytes, told = x.type.size_bytes, "to the next stage"
            plan.collectives.append(Collective("send_recv", size_bytes, 2, len(handing), told, stages=handing))
        if not is_last:
            scope.output("hidden", x)
            return
        if model.is_decoder:
            x = part_of(scope, x, x.type.shape[1] - plan.workload.logit_rows, plan.workload.logit_rows, axis=1)
        x = normed(scope, x, "norm", model.stack.final_norm)
        if model.head is None:
            self._encoded(x)
        else:
            self._head(x, model.head, is_first)

    def _handed_over(self) -> Value:
        work = self.plan.workload
        return self.scope.input(
            "hidden", TensorType((work.batch, work.rows, self.architecture.hidden), self.scope.dtype)
        )

    def _make_layer_inputs(self, x: Value, is_whole: bool) -> None:
        """Raises:
        ConfigError: stages are apart, and tokens come into the first alone.
        """
        parts = [layer.inputs for layer in self.architecture.stack.layers]
        part = next((part for part in parts if part is not None), None)
        if part is None:
            return
        if not is_whole or self.plan.mesh.pp > 1:
            name = self.architecture.name
            raise ConfigError(f"{name} has inputs for each layer, whose stages are not known here", help="leave pp out")
        self.plan.layer_inputs = layer_inputs(self.scope, self.plan, part, len(parts), x)

    def _take_source(self) -> None:
        """The encoder's output, which the first pass makes keys and values from."""
        work = self.plan.workload
        if self.architecture.has_source and not work.past:
            assert self.architecture.tower is not None, "whoever attends to an encoder has one"
            type = TensorType((work.batch, work.source, self.architecture.tower.entrance.hidden), self.scope.dtype)
            self.plan.source = self.scope.input("source", type)

    # ---- encoders beside the main stack

    def _tower(self, tower: Tower) -> Value:
        """[batch, tokens, width], or [batch, width] of what its outlet puts out."""
        scope, entrance = self.scope, tower.entrance
        plan = self.plan.of_tower(entrance.tokens if isinstance(entrance, Patches) else self.plan.workload.rows)
        with scope.at(tower.name):
            x = run_stack(scope, plan, tower.stack, entered(scope, plan, entrance))
            if tower.idle is not None:
                hold_idle(scope, plan, tower, x)
            x = normed(scope, x, "norm", tower.stack.final_norm)
            return x if tower.outlet is None else put_out(scope, plan, tower.outlet, x)

    def _compared(self, contrast: Contrast) -> None:
        """Both encoders, and [texts, images] of how alike what they make is."""
        model, scope = self.architecture, self.scope
        assert model.tower is not None and model.outlet is not None, "there are two to compare"
        images = self._tower(model.tower)
        assert not isinstance(model.embedding, Latents), "those have a way of their own"
        text = Tower("text", model.embedding, model.stack, model.outlet)
        found = {"text_embedding": self._tower(text), "image_embedding": images}
        for name, value in found.items():
            scope.output(name, value)
        texts, images = (unit_vectors(scope, value) for value in found.values())
        alike = scope(ops.contract(texts, images, notation="t k, i k -> t i"))
        factor = ops.exp(scope.weight("logit_scale"))
        alike = scope(ops.mul(alike, factor))
        if contrast.has_bias:
            alike = scope(ops.add(alike, scope.weight("logit_bias")))
        scope.output("similarity", alike)

    # ---- behind the layers

    def _encoded(self, x: Value) -> None:
        """What the last layer makes, and what comes behind it."""
        self.scope.output("hidden", x)
        if self.architecture.outlet is not None:
            self.scope.output("pooled", put_out(self.scope, self.plan, self.architecture.outlet, x))

    def _head(self, x: Value, head: Head, has_embedding: bool) -> None:
        scope, plan, embedding = self.scope, self.plan, self.architecture.embedding
        assert isinstance(embedding, Embedding), "what has a vocabulary reads tokens"
        rows = vocabulary_share(plan, head.vocabulary)
        with scope.at("head"):
            if embedding.width != x.type.shape[-1]:
                x = linear(scope, x, "project_out", embedding.width)
            x = scaled(scope, x, head.scale)
            is_shared = head.is_tied and has_embedding  # on a later stage the table is there once more
            if form_of(scope) is not None:
                logits = quantised_linear(scope, x, rows)
            else:
                table = scope.known["embedding.tokens"] if is_shared else scope.weight("weight", rows, embedding.width)
                logits = scope(ops.contract(x, table, notation="b t k, n k -> b t n"))
            if head.has_bias:
                logits = scope(ops.add(logits, scope.weight("bias", rows)))
            logits = softcapped(scope, scaled(scope, logits, head.factor), head.softcap)
        plan.exchange("all_gather", logits.type.size_bytes * plan.mesh.tp, "logits of the vocabulary's parts")
        scope.output("logits", logits)
