"""What layers of a transformer are made of: sizes and kinds of their parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from ircost.ir.types import DType


@dataclass(frozen=True, slots=True)
class Norm:
    """Args:
    kind: ``rms`` or ``layer``. has_scale, has_bias: of its own weights.
    """

    kind: str
    epsilon: float
    has_scale: bool = True
    has_bias: bool = False


@dataclass(frozen=True, slots=True)
class Rotary:
    """Rotary position embedding.

    Args:
        width: leading elements of a head that are rotated. base: of the angles' geometric series.
        is_interleaved: pairs are neighbours (GPT-J), not halves. turning: of the pairs, the first so many; 0: all.
        side: patches in a row of an image, whose row turns one half of the pairs and whose column the other; 0: none.
    """

    width: int
    base: float = 10000.0
    is_interleaved: bool = False
    side: int = 0
    turning: int = 0


@dataclass(frozen=True, slots=True)
class Attention:
    """Attention with any number of key and value heads up to that of query heads.

    Args:
        width, value_width: of a head.
        has_qkv_bias, has_out_bias: of the projections. has_k_bias: where there are some, whether keys have one.
        head_norm: of each head of queries and keys, each with weights of its own where ``is_norm_by_head``, and behind
        their rotation where ``is_norm_behind`` (Hunyuan);
        whole_norm: of all heads of them together.
        window: the last so many tokens are seen; 0: all. chunk: those of the same chunk of so many are; 0: all.
        scale: of the scores. softcap: of the scores; 0: none.
        has_sinks: a learnt logit for each head takes part in the softmax.
        has_alibi: a bias that falls with the distance takes the place of positions.
        has_bias_table: learnt biases by bucket of distance are added to the scores (T5), those of the stack's table.
        is_gated: the output is multiplied by a sigmoid of a projection as wide as the queries; is_gated_by_head: each
            head's is, of its own number.
        tuning: (floor, factor, first): queries grow by factor log(1 + position // floor), positions counted from
            ``first`` on (Llama 4, layers without positions; Ministral 3).
        key_factor: of keys, before they turn; value_factor: of values.
        value_norm: of each head of values. has_values: else values are what keys are before their norm (Gemma 4).
        is_shared: keys and values are those of the last layer before that ``is_kept`` and has a window, or none, as
            this one (Gemma 3n and 4).
    """

    heads: int
    kv_heads: int
    width: int
    value_width: int
    scale: float
    is_causal: bool = True
    has_qkv_bias: bool = False
    has_k_bias: bool = True
    has_out_bias: bool = False
    head_norm: Norm | None = None
    is_norm_by_head: bool = False
    is_norm_behind: bool = False
    whole_norm: Norm | None = None
    rotary: Rotary | None = None
    window: int = 0
    chunk: int = 0
    softcap: float = 0.0
    has_sinks: bool = False
    has_alibi: bool = False
    has_bias_table: bool = False
    is_gated: bool = False
    is_gated_by_head: bool = False
    tuning: tuple[float, float, int] | None = None
    key_factor: float = 1.0
    value_factor: float = 1.0
    value_norm: Norm | None = None
    has_values: bool = True
    is_shared: bool = False
    is_kept: bool = False


@dataclass(frozen=True, slots=True)
class Indexer:
    """What chooses the tokens that latent attention sees, by a key a token that is kept beside the latents.

    Args:
        heads, width: of its own queries; keys have one head. rotary: of what stands first in both.
        norm: of keys. chosen: tokens that each query sees at most.
        form: of cached keys, and of products with them, with a scale a row; None: that of activations.

    Source: DeepSeek-AI, "DeepSeek-V3.2", 2025, 2.1; its inference/model.py, class Indexer, for the format. Its rotation
    of queries and keys by a Hadamard matrix, which changes no score, is left out, as servers do.
    """

    heads: int
    width: int
    rotary: Rotary
    norm: Norm
    chosen: int
    form: DType | None


@dataclass(frozen=True, slots=True)
class LatentAttention:
    """Multi-head latent attention: keys and values are kept as one latent vector a token.

    Args:
        query_rank: of the compressed queries; 0: they are projected at once.
        latent: of keys and values. shared: the part of a key that all heads share; rotary: which turns it, or nothing
            does (Kimi Linear).
        plain: the part without; value_width: of a head.
        tuning: as of `Attention` (Mistral Small 4). is_gated: each head's output is multiplied by a sigmoid of its own
            number, a projection of x (Ling 3.0).
        indexer: of the tokens that each query sees; ``takes_choice``: those that the layer before saw are (GLM-5.2).

    Source: DeepSeek-AI, "DeepSeek-V2", arXiv:2405.04434, 2.1.
    """

    heads: int
    query_rank: int
    latent: int
    plain: int
    shared: int
    rotary: Rotary | None
    value_width: int
    norm: Norm
    scale: float
    has_bias: bool = False
    tuning: tuple[float, float, int] | None = None
    is_gated: bool = False
    indexer: Indexer | None = None
    takes_choice: bool = False


@dataclass(frozen=True, slots=True)
class FeedForward:
    """Args:
    is_gated: down(activation(gate(x)) * up(x)), else down(activation(up(x))). activation: ``xielu`` has learnt numbers.
    gate_factor, factor: of the gate before the activation, and of what is put out.
    limit: of what the activation makes, and of the other factor both ways; 0: none.
    sparsity: the share of the gate's elements that are 0 were they drawn from a normal distribution; 0: all count.
    """

    inner: int
    activation: str
    is_gated: bool
    has_bias: bool = False
    gate_factor: float = 1.0
    factor: float = 1.0
    limit: float = 0.0
    sparsity: float = 0.0


@dataclass(frozen=True, slots=True)
class Experts:
    """A mixture of experts.

    Args:
        chosen: experts of each token. inner: width of one.
        shared: the layer that every token passes, or none; is_shared_gated: by a sigmoid of its own.
        router: ``softmax`` over all, ``softmax of chosen``, or ``sigmoid``.
        has_router_bias: a bias that takes part in the choice only (DeepSeek-V3), or in the logits (gpt-oss).
        groups, groups_chosen: experts are chosen in the best groups only.
        is_normalised: the chosen shares add up to 1. factor: of them.
        is_gated: as of a feed-forward layer. latent: width that tokens are projected to before routed experts, and
            back from behind them; 0: they are not (Nemotron 3 Super).
        limit: of the gate and of the other factor, 0: none; is_limit_behind: of the gate behind its activation.
        router_norm: of what the router reads, which has a scale of its own then. has_scales: shares of experts have a
            learnt factor each (Gemma 4).
    """

    count: int
    chosen: int
    inner: int
    activation: str
    router: str = "softmax"
    has_bias: bool = False
    is_interleaved: bool = False
    limit: float = 0.0
    is_limit_behind: bool = False
    slope: float = 1.0
    shared: FeedForward | None = None
    is_shared_gated: bool = False
    has_router_bias: bool = False
    groups: int = 1
    groups_chosen: int = 1
    is_normalised: bool = True
    factor: float = 1.0
    is_gated: bool = True
    latent: int = 0
    router_norm: Norm | None = None
    has_scales: bool = False


@dataclass(frozen=True, slots=True)
class DenseAndExperts:
    """A layer that every token passes beside experts, each with norms of its own (Gemma 4).

    Args:
        norm: before the experts, and behind each of both.
    """

    dense: FeedForward
    experts: Experts
    norm: Norm


@dataclass(frozen=True, slots=True)
class Mamba:
    """A selective state space: each channel with a state of its own.

    Args:
        inner: channels. state: elements of each. rank: of the projection of step sizes. window: of the convolution.
        step_norm: of that projection and of those to the state and from it; none in the first Mamba.
    """

    inner: int
    state: int
    rank: int
    window: int
    has_bias: bool
    has_conv_bias: bool
    step_norm: Norm | None = None


@dataclass(frozen=True, slots=True)
class Mamba2:
    """A state space by heads.

    Args:
        width: of a head. state: rows of its state. groups: of heads that share projections to the state and from it.
        norm: of what is put out, in groups; none in Falcon-H1. is_norm_first: it is normed before the gate.
        steps: least and most size of one; 0: no limit.
        factors: of what is projected: gate, values, into the state, from it, steps.
    """

    heads: int
    width: int
    state: int
    groups: int
    window: int
    has_bias: bool
    has_conv_bias: bool
    norm: Norm | None
    steps: tuple[float, float] = (0.0, 0.0)
    is_norm_first: bool = False
    factors: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class LightningAttention:
    """Linear attention that forgets at a fixed rate, which depends on the head and on the layer's place among all.

    Args:
        layers: of the model.
    """

    heads: int
    width: int
    layers: int
    norm: Norm


@dataclass(frozen=True, slots=True)
class DeltaNet:
    """Linear attention by the gated delta rule, behind a short convolution of ``window`` tokens."""

    key_heads: int
    value_heads: int
    key_width: int
    value_width: int
    window: int
    norm: Norm


@dataclass(frozen=True, slots=True)
class KimiDelta:
    """The delta rule that forgets each row of the state by itself, behind a short convolution of ``window`` tokens.

    Args:
        width: of a head's queries, keys and values. rank: of the projections to what is forgotten and to the gate; 0:
            each is one matrix (Ling 3.0).
        least: bound of the logarithm of what is kept, a sigmoid's share of which it is; 0: a softplus without one.

    Source: Kimi Team, "Kimi Linear", arXiv:2510.26692, 3 and 4.
    """

    heads: int
    width: int
    rank: int
    window: int
    norm: Norm
    least: float = 0.0


@dataclass(frozen=True, slots=True)
class ShortConvolution:
    """Each channel over the last ``window`` tokens, between two gates that are projections of the input (LFM2).

    Source: Liquid AI, "LFM2 Technical Report", arXiv:2511.23404, 2.
    """

    channels: int
    window: int
    has_bias: bool


Recurrent: TypeAlias = Mamba | Mamba2 | LightningAttention | DeltaNet | KimiDelta | ShortConvolution


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Attention and a state that read the same, what they put out added up (Falcon-H1).

    Args:
        attention_factors, state_factors: of what comes into each, and of what it puts out.
    """

    attention: Attention
    state: Mamba2
    attention_factors: tuple[float, float] = (1.0, 1.0)
    state_factors: tuple[float, float] = (1.0, 1.0)


Mixer: TypeAlias = Attention | LatentAttention | Recurrent | SideBySide


@dataclass(frozen=True, slots=True)
class AlternatingUpdates:
    """Several states of each token, of which each layer computes the first and updates all (Gemma 3n).

    Args:
        rank: of the projection beside a layer's parts. is_scaled: the first state, where inputs of layers meet it.
        norm: of what says how states are mixed.
    """

    states: int
    rank: int
    is_scaled: bool
    norm: Norm


@dataclass(frozen=True, slots=True)
class LayerInputs:
    """A vector for each token and layer, of the token and of what the first layer reads, and how layers take it in.

    Args:
        vocabulary: of its table. width: of a vector. activation: of the gate that a layer multiplies it by.
        norm: of the vectors, and of what a layer adds.

    Source: Google, Gemma 3n, "Per-Layer Embeddings"; huggingface/transformers, ``Gemma4TextModel``.
    """

    vocabulary: int
    width: int
    activation: str
    norm: Norm


@dataclass(frozen=True, slots=True)
class Layer:
    """Mixer and feed-forward with what is around them.

    Args:
        placement: of the norms. ``pre``: before each part; ``post``: behind each sum (BERT); ``behind``: behind each
            part, before the sum (OLMo 2); ``both``: before and behind each part (Gemma 2); ``parallel``: both parts
            read one norm; ``parallel two``: each its own.
            ``normed``: before each part, and what they put out is added to the norm's result (MiniMax-01).
        cross: attention to an encoder's output, between the two.
        has_mixer_norm: before the mixer, where norms are there. has_scale: what it hands on has a learnt factor.
        inputs: that it adds behind both parts. updates: of several states.
        mixer_sum, feed_forward_sum: factors of what comes in and of what the part makes, where they are added.
        wide: parts whose weights a quantised checkpoint leaves as wide as activations, such as ``attention.out``.
        forms: of a checkpoint with several, parts and which of them each has, by their order; others are wide.
    """

    mixer: Mixer | None
    feed_forward: FeedForward | Experts | DenseAndExperts | None
    norm: Norm
    placement: str = "pre"
    cross: Attention | None = None
    has_mixer_norm: bool = True
    has_scale: bool = False
    inputs: LayerInputs | None = None
    updates: AlternatingUpdates | None = None
    mixer_sum: tuple[float, float] = (1.0, 1.0)
    feed_forward_sum: tuple[float, float] = (1.0, 1.0)
    wide: tuple[str, ...] = ()
    forms: tuple[tuple[str, int], ...] = ()

    @property
    def mixers(self) -> tuple[Attention | LatentAttention | Recurrent, ...]:
        """What mixes tokens: one part, several, or none."""
        if isinstance(self.mixer, SideBySide):
            return self.mixer.attention, self.mixer.state
        return () if self.mixer is None else (self.mixer,)

    @property
    def fed(self) -> tuple[FeedForward | Experts, ...]:
        """What each token passes by itself: one part, several, or none."""
        if isinstance(self.feed_forward, DenseAndExperts):
            return self.feed_forward.dense, self.feed_forward.experts
        return () if self.feed_forward is None else (self.feed_forward,)


@dataclass(frozen=True, slots=True)
class Embedding:
    """Args:
    vocabulary: 0: what comes in is no tokens. width: of the table, where it is not that of the model (then projected).
    positions: rows of a learnt table; 0: none. offset: rows of it that come before the first position.
    token_types: rows of a table of segments; 0: none. factor: of the tokens' vectors.
    is_shared: a tower's, whose table is that of the main stack.
    """

    vocabulary: int
    hidden: int
    width: int
    positions: int = 0
    offset: int = 0
    token_types: int = 0
    norm: Norm | None = None
    factor: float = 1.0
    is_shared: bool = False


@dataclass(frozen=True, slots=True)
class Head:
    """Logits over a vocabulary.

    Args:
        is_tied: its weights are the embedding's. softcap: of the logits; 0: none. scale: of what comes in.
        factor: of the logits.
    """

    vocabulary: int
    is_tied: bool
    has_bias: bool = False
    softcap: float = 0.0
    scale: float = 1.0
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class BiasTable:
    """Learnt biases of scores, by bucket of the distance between query and key.

    Args:
        buckets: half of them for keys behind the query where it sees those. farthest: the distance of the last one.

    Source: Raffel et al., "T5", JMLR 21(140), 2020, 2.1.
    """

    buckets: int
    farthest: int
    heads: int
    is_two_sided: bool


@dataclass(frozen=True, slots=True)
class Stack:
    """Layers one after another, and the norm behind the last.

    Args:
        has_wide_sums: what layers hand on is in f32, whatever they compute in.
    """

    layers: tuple[Layer, ...]
    final_norm: Norm | None
    bias_table: BiasTable | None = None
    has_wide_sums: bool = False

    def groups(self) -> Iterator[tuple[tuple[Layer, ...], int]]:
        """The layers as periods and how often each is run."""
        return groups(self.layers)


Item = TypeVar("Item")


def alike_once(layers: Iterable[Item]) -> tuple[Item, ...]:
    """The layers, those that are equal as one object: to compare them takes no time then."""
    distinct: list[Item] = []
    found = []
    for layer in layers:
        known = next((each for each in distinct if each == layer), None)
        if known is None:
            distinct.append(layer)
        found.append(layer if known is None else known)
    return tuple(found)


def groups(layers: tuple[Item, ...]) -> Iterator[tuple[tuple[Item, ...], int]]:
    """Periods and how often each is run: a period of one where all layers are alike.

    >>> list(groups(tuple("xababab")))
    [(('x',), 1), (('a', 'b'), 3)]
    """
    start = 0
    while start < len(layers):
        period, count = _longest_run(layers, start)
        yield layers[start : start + period], count
        start += period * count


def built_groups(layers: tuple[Layer, ...]) -> Iterator[tuple[tuple[Layer, ...], int]]:
    """`groups` as they are built: a layer whose keys and values others see stands alone, and no period begins with one
    that sees what the layer before it chose.
    """
    start = 0
    for place, layer in enumerate(layers):
        if isinstance(layer.mixer, Attention) and layer.mixer.is_kept:
            yield from _bound_groups(layers[start:place])
            yield (layer,), 1
            start = place + 1
    yield from _bound_groups(layers[start:])


def _bound_groups(layers: tuple[Layer, ...]) -> Iterator[tuple[tuple[Layer, ...], int]]:
    bound: list[tuple[Layer, ...]] = []
    for layer in layers:
        if bound and isinstance(layer.mixer, LatentAttention) and layer.mixer.takes_choice:
            bound[-1] = (*bound[-1], layer)
        else:
            bound.append((layer,))
    for period, count in groups(tuple(bound)):
        yield tuple(layer for together in period for layer in together), count


def _longest_run(layers: tuple[Item, ...], start: int) -> tuple[int, int]:
    """The shortest period that covers most of the layers from ``start`` on."""
    best = (1, 1)
    left = len(layers) - start
    for period in range(1, left // 2 + 1):
        first = layers[start : start + period]
        count = 1
        while layers[start + period * count : start + period * (count + 1)] == first:
            count += 1
        if count > 1 and period * count > best[0] * best[1]:
            best = (period, count)
        if best[0] * best[1] == left:
            break
    return best
