"""The next token, drawn from logits."""

from __future__ import annotations

from ircost.ir.composite import composite
from ircost.ir.errors import ShapeError
from ircost.ir.graph import Value
from ircost.ir.ops.elementwise import as_format, cast, less, less_equal, logical_and, minimum, mul, sub, where
from ircost.ir.ops.indexing import gather_elements, top_k
from ircost.ir.ops.normalization import scalar_like, softmax
from ircost.ir.ops.reduction import reduce_sum
from ircost.ir.ops.running import cumsum
from ircost.ir.ops.shape import reshape
from ircost.ir.types import f32, i64


@composite
def sample_token(logits: Value, uniform: Value, *, temperature: float = 1.0, k: int = 0, top_p: float = 1.0) -> Value:
    """A token of each row by its probability, softmax(logits / temperature), from those that stay, all in f32.

    The ``k`` likeliest stay (0: all), of these the fewest whose probabilities add up to ``top_p`` and more; the
    ``uniform`` numbers, from 0 up to 1, say where in the sum of what stays a row falls. Greedy decoding is `argmax`.

    Shapes: logits [b, v], uniform [b], out [b] of i64.
    Source: Fan et al., "Hierarchical Neural Story Generation", 2018 (top-k); Holtzman et al., "The Curious Case of
    Neural Text Degeneration", 2020 (top-p).
    """
    if logits.type.rank != 2 or uniform.type.shape != logits.type.shape[:1] or not 0 <= k <= logits.type.shape[1]:
        raise ShapeError(f"sample_token: logits {logits.type}, uniform {uniform.type}, k {k}", help="[b, v] and [b]")
    if temperature <= 0.0 or not 0.0 < top_p <= 1.0:
        raise ShapeError(f"sample_token: temperature {temperature}, top_p {top_p}", help="above 0, at most 1 for top_p")
    rows, words = logits.type.shape
    wide = as_format(logits, f32)
    shares = softmax(wide if temperature == 1.0 else mul(wide, scalar_like(1.0 / temperature, wide)), axis=1)
    shares, tokens = top_k.results(shares, k=k or words, axis=1)
    if k:
        total = reduce_sum(shares, axes=(1,), keepdims=True)
        limit = mul(total, scalar_like(top_p, total))
    else:
        limit = scalar_like(top_p, shares)
    # The likeliest always stays: nothing comes before it.
    stays = less(cumsum(shares, axis=1, exclusive=True), limit)
    shares = where(stays, shares, scalar_like(0.0, shares))
    sums = cumsum(shares, axis=1)
    place = mul(reduce_sum(shares, axes=(1,), keepdims=True), reshape(as_format(uniform, f32), shape=(rows, 1)))
    passed = logical_and(less_equal(sums, place), stays)
    index = reduce_sum(cast(passed, to=i64), axes=(1,), keepdims=True)
    # Where the sum of all falls a rounding short of the number, the last that stays is meant.
    last = reduce_sum(cast(stays, to=i64), axes=(1,), keepdims=True)
    index = minimum(index, sub(last, scalar_like(1, last)))
    return reshape(gather_elements(tokens, index, axis=1), shape=(rows,))
