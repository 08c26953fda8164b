"""Products in narrow formats: a scale for each row, or for each block of one."""

from __future__ import annotations

from functools import partial

from ircost.ir.attributes import int_of
from ircost.ir.composite import CompositeOp, composite
from ircost.ir.counts import NO_COUNTS, Counts
from ircost.ir.errors import ShapeError
from ircost.ir.graph import Op, Value
from ircost.ir.ops.block_scales import block_of, in_blocks
from ircost.ir.ops.contraction import contract
from ircost.ir.ops.elementwise import abs, cast, div, maximum, mul, round
from ircost.ir.ops.movement import broadcast, slice, transpose
from ircost.ir.ops.normalization import scalar_like
from ircost.ir.ops.reduction import reduce_max, reduce_sum
from ircost.ir.ops.shape import reshape
from ircost.ir.types import DType, f32, i32

LARGEST = {
    "f8e4m3": 448.0,
    "f8e5m2": 57344.0,
    "f4e2m1": 6.0,
    "i8": 127.0,
}  # OCP 8-bit Floating Point Specification 1.0, 2023; MX 1.0
SMALLEST_SCALE = 1e-12
LARGEST_SCALED_BLOCK = 32  # elements whose scale a matrix unit takes in. Source: PTX ISA 8.7, mma with .block_scale


class ScaledProduct(CompositeOp):
    """Scales of small blocks (NVFP4's of 16, MX's of 32) are operands of the matrix units: they cost no lane anything.

    Those of larger blocks are multiplied by lanes, once for each sum of a block.
    """

    def counts_within(self, op: Op, inner: Op, counts: Counts) -> Counts:
        k, blocks = op.operands[0].type.shape[-1], max(op.operands[3].type.shape[1], 1)
        block = int_of(op.attrs, "block") or k // blocks
        if inner.definition.is_contraction:
            return counts.share(k, blocks * block)  # what fills up the last block is no work
        return counts if block > LARGEST_SCALED_BLOCK else NO_COUNTS


@composite
def quantise_rows(x: Value, *, to: DType, block: int) -> tuple[Value, Value]:
    """x in a narrow format, each block of a row over its own largest magnitude; and the scales.

    Shapes: x [.., k]. Results: [.., k] in ``to``, scales [.., blocks] in f32; the last block may be shorter.
    Source: NVIDIA Transformer Engine, dynamic scaling; DeepSeek-AI, "DeepSeek-V3", arXiv:2412.19437, 3.3.2 (blocks);
    Xiao et al., "SmoothQuant", ICML 2023 (integers).
    """
    *lead, k = x.type.shape
    if block < 1:
        raise ShapeError(f"quantise_rows: blocks of {block}", help="1 element at least")
    if to.name not in LARGEST:
        raise ShapeError(f"quantise_rows: no largest value of {to} is known", help=f"known: {', '.join(LARGEST)}")
    apart = cast(in_blocks(x, block), to=f32)
    blocks = apart.type.shape[-2]
    peak = reduce_max(abs(apart), axes=(len(lead) + 1,), keepdims=True)
    scale = maximum(mul(peak, scalar_like(1 / LARGEST[to.name], peak)), scalar_like(SMALLEST_SCALE, peak))
    narrow = div(apart, scale)
    narrow = cast(round(narrow) if to.is_integer else narrow, to=to)
    narrow = reshape(narrow, shape=(*lead, blocks * block))
    if blocks * block != k:
        narrow = slice(narrow, starts=(0,) * x.type.rank, size=x.type.shape)
    return narrow, reshape(scale, shape=(*lead, blocks))


@partial(composite, kind=ScaledProduct)
def scaled_matmul(x: Value, x_scale: Value, w: Value, w_scale: Value, *, out: DType, block: int = 0) -> Value:
    """x times the transpose of w, both narrow, sums of blocks scaled and added up in f32; those of integers are i32.

    Shapes: x [.., k] with scales [.., q], w [n, k] with scales [p, q], p a divisor of n and q one of k; out [.., n].
    With ``block`` as many elements share a scale, and the last block may be shorter.
    Flops: blocks of up to 32 elements are scaled by the matrix units, and not counted.
    Source: deepseek-ai/DeepGEMM (blocks of 1 x 128 and 128 x 128); cuBLASLt with a scale a row (q = 1).
    """
    *lead, k = x.type.shape
    n, (p, q) = w.type.shape[0], w_scale.type.shape
    if x_scale.type.shape != (*lead, q) or w.type.shape[1] != k or n % p:
        raise ShapeError(
            f"scaled_matmul: x {x.type}, its scales {x_scale.type}, w {w.type}, its scales {w_scale.type}",
            help="[.., k], [.., q], [n, k], [p, q]",
        )
    size, rows = block_of("scaled_matmul", k, q, block), x.type.elements // max(k, 1)
    apart, weights = in_blocks(reshape(x, shape=(rows, k)), size), in_blocks(w, size)
    sums = contract(apart, weights, notation="m q k, n q k -> q m n", out=i32 if x.type.dtype.is_integer else f32)
    sums = cast(sums, to=f32) if x.type.dtype.is_integer else sums
    left = reshape(transpose(reshape(cast(x_scale, to=f32), shape=(rows, q)), perm=(1, 0)), shape=(q, rows, 1))
    each = broadcast(reshape(cast(w_scale, to=f32), shape=(p, 1, q)), shape=(p, n // p, q))
    right = reshape(transpose(reshape(each, shape=(n, q)), perm=(1, 0)), shape=(q, 1, n))
    total = reduce_sum(mul(mul(sums, left), right), axes=(0,))
    return reshape(cast(total, to=out), shape=(*lead, n))
