"""Which cases are measured: whole layers, with several amounts of work each, in an order that may end anywhere.

A *strand* is a family in one number format and of one kind (an op, a phase). Its layers are, in turn, those of known
networks and ones of sizes that are spread evenly on a logarithmic scale, with the alignments that layers have. Each
comes with a case for every range of rows, tokens or images, since models are judged on layers that they never saw.
Strands take turns by how many cases they are behind their share: every beginning of the list is a balanced table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ircost.datasets.measuring.cases import Attention, Case, Conv, Gemm, Vector
from ircost.datasets.measuring.known_layers import TransformerLayer, resnet_layers, transformer_layers
from ircost.datasets.measuring.quasirandom import log_uniform, one_of, points

# Ranges of rows, one case of a layer in each: one token, a batch that decodes, chunks, prompts, batches of prompts.
ROWS = ((1, 1), (2, 16), (17, 128), (129, 1024), (1025, 4096), (4097, 16384))
BATCHED_ROWS = ((1, 1), (2, 64), (65, 512), (513, 4096))
VECTOR_ROWS = ((1, 64), (65, 1024), (1025, 8192), (8193, 65536))
IMAGES = ((1, 1), (2, 16), (17, 128))
PROMPTS = ((16, 256), (257, 2048), (2049, 16384))
CONTEXTS = ((16, 512), (513, 4096), (4097, 32768))
MOST_TOKENS = 65536  # of all prompts of a batch together
MOST_SEQUENCES = 256
MOST_CACHED = 2**21  # tokens in the caches of a batch together: 64 sequences of 32,768

HEAD_DIMS = (64, 80, 96, 128, 128, 128, 256)
GROUPS = (1, 1, 2, 4, 4, 8, 8)  # heads that share keys and values
SIDES = (7, 8, 14, 16, 28, 32, 56, 64, 112, 224)
KERNELS = (1, 1, 1, 3, 3, 3, 3, 5, 7)
WIDENING = (1, 1, 2, 4)  # channels out for channels in, or in for out

STREAMS = {  # cost models know each of these ops by the elements it reads and writes
    "elements": ("add", "mul", "div", "pow", "add_scalar", "mul_scalar", "div_scalar", "pow_scalar", "relu", "tanh"),
    "copies": ("copy",),
    "rows": ("gelu", "softmax", "layer_norm", "embedding", "cumsum"),
}
LAYERS_OF_AN_OP = 4  # one after the other: constants are fitted to eight rows of an op at least
# Kinds of each family, and their shares of its table.
SHARES: dict[str, dict[str, float]] = {
    "gemm": {"linear": 0.8, "bmm": 0.2},
    "attention": {"prefill": 0.45, "decode": 0.45, "encoder": 0.1},
    "vector": {"elements": 0.55, "copies": 0.1, "rows": 0.35},
    "conv": {"conv2d": 1.0},
}

Point = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one case may take.

    Args:
        most_bytes: of its operands and result. most_flops: of it.
    """

    most_bytes: float
    most_flops: float

    def allow(self, case: Case) -> bool:
        return case.touched_bytes <= self.most_bytes and case.flops <= self.most_flops


@dataclass(slots=True)
class _Strand:
    """Layers without end, and how many of their cases were taken."""

    layers: Iterator[list[Case]]
    share: float
    taken: int = 0

    @property
    def behind(self) -> float:
        """The next case's place among all, were this strand alone to decide."""
        return (self.taken + 1) / self.share


def cases(
    kinds: Iterable[tuple[str, str]], dtypes: Sequence[str], seed: int, limits: Limits, rows: int | None = None
) -> Iterator[Case]:
    """Cases in the order in which they are measured; the same for the same arguments.

    Args:
        kinds: (family, kind) as of ``SHARES``, those that are wanted.
        dtypes: as tables name them; each gets an equal part.
        seed: another one gives other layers.
        limits: cases beyond them are left out.
        rows: of each family; without end where left out.
    """
    known = list(dict.fromkeys(kinds))
    left = dict.fromkeys((family for family, _ in known), rows)
    strands = {
        (family, kind, dtype): _Strand(_layers(family, kind, dtype, seed, limits), SHARES[family][kind] / len(dtypes))
        for family, kind in known
        for dtype in dtypes
    }
    while strands:
        key = min(strands, key=lambda name: strands[name].behind)
        strand, family = strands[key], key[0]
        layer = next(strand.layers, [])[: left[family]]
        strand.taken += len(layer)
        yield from layer
        if not layer:
            del strands[key]
        if (before := left[family]) is not None:
            left[family] = before - len(layer)
            if left[family] == 0:
                strands = {name: own for name, own in strands.items() if name[0] != family}


FEWEST_DRAWN = 1000  # layers without one case within the limits: there are none


def _layers(family: str, kind: str, dtype: str, seed: int, limits: Limits) -> Iterator[list[Case]]:
    """The cases of one layer after the other, as far as limits allow; those without any are passed over."""
    drawn = _DRAWN[family]
    met: set[Case] = set()
    for number, point in enumerate(points(f"{seed} {family} {kind} {dtype}")):
        allowed = [case for case in drawn(kind, dtype, number, point) if limits.allow(case)]
        layer = [case for case in dict.fromkeys(allowed) if case not in met]
        met.update(layer)
        if layer:
            yield layer
        elif number >= FEWEST_DRAWN and not met:
            return


def _within(ranges: Sequence[tuple[int, int]], at: Iterable[float]) -> list[int]:
    """A size in each range."""
    return [log_uniform(place, *ends) for ends, place in zip(ranges, at, strict=False)]


@lru_cache(maxsize=1)
def _transformers() -> tuple[TransformerLayer, ...]:
    return tuple(transformer_layers())


def _known(number: int, at: float) -> TransformerLayer | None:
    """Every other layer is one of a known network."""
    return _transformers()[int(at * len(_transformers()))] if number % 2 else None


def _gemms(kind: str, dtype: str, number: int, point: Point) -> list[Case]:
    first, second, third, *rest = point
    if kind == "linear":
        layer = _known(number, first)
        n, k = layer.products[int(second * len(layer.products))] if layer else (_wide(first), _wide(second))
        return [Gemm(kind, dtype, 1, m, n, k) for m in _within(ROWS, rest)]
    layer = _known(number, first)
    heads = layer.heads if layer else log_uniform(third, 4, 64)
    width = layer.head_dim if layer else one_of(first, HEAD_DIMS)
    length = log_uniform(second, 32, 8192, 8)
    batch = heads * log_uniform(third, 1, 16)
    n, k = (length, width) if number % 4 < 2 else (width, length)  # scores of attention, and what they weigh
    return [Gemm(kind, dtype, batch, m, n, k) for m in _within(BATCHED_ROWS, rest)]


def _wide(at: float) -> int:
    """Columns of a layer: whole tiles, but for the narrow ones."""
    size = log_uniform(at, 64, 32768, 8)
    return size if size < 512 else round(size / 64) * 64


def _attentions(kind: str, dtype: str, number: int, point: Point) -> list[Case]:
    first, second, third, *rest = point
    layer = _known(number, first)
    if layer:
        heads, kv_heads, width = layer.heads, layer.kv_heads, layer.head_dim
    else:
        kv_heads, width = log_uniform(first, 1, 16), one_of(third, HEAD_DIMS)
        heads = kv_heads * one_of(second, GROUPS)
    if kind == "encoder":
        kv_heads = heads
    lengths = _within(CONTEXTS if kind == "decode" else PROMPTS, rest)
    most = MOST_CACHED if kind == "decode" else MOST_TOKENS
    sizes = [
        (log_uniform(at, 1, max(min(MOST_SEQUENCES, most // length), 1)), length)
        for at, length in zip(rest[len(lengths) :], lengths, strict=False)
    ]
    return [
        Attention(kind, dtype, dtype, batch, 1 if kind == "decode" else length, length, heads, kv_heads, width)
        for batch, length in sizes
    ]


def _vectors(kind: str, dtype: str, number: int, point: Point) -> list[Case]:
    first, second, *rest = point
    layer = _known(number, first)
    cols = one_of(second, (layer.hidden, layer.inner)) if layer else log_uniform(first, 32, 32768, 8)
    op = STREAMS[kind][number // LAYERS_OF_AN_OP % len(STREAMS[kind])]
    return [Vector(op, dtype, rows, cols) for rows in _within(VECTOR_ROWS, rest)]


def _convs(kind: str, dtype: str, number: int, point: Point) -> list[Case]:
    first, second, third, fourth, *rest = point
    if number % 2:
        layers = resnet_layers()
        channels, filters, side, window, stride = layers[int(first * len(layers))]
    else:
        channels, side, window = log_uniform(first, 16, 1024, 8), one_of(second, SIDES), one_of(third, KERNELS)
        wider = one_of(fourth, WIDENING)
        filters = channels * wider if rest[-1] < 0.5 else max(channels // wider // 8 * 8, 8)
        stride = 2 if rest[-2] < 0.2 else 1
    pad = window // 2
    return [
        Conv(kind, dtype, images, channels, side, side, filters, *(window, window, stride, stride, pad, pad))
        for images in _within(IMAGES, rest)
    ]


_DRAWN: dict[str, Callable[[str, str, int, Point], list[Case]]] = {
    "gemm": _gemms,
    "attention": _attentions,
    "vector": _vectors,
    "conv": _convs,
}
