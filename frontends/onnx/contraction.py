"""Matrix products and convolutions."""

from __future__ import annotations

from ircost.frontends.onnx.node import Node, lowering
from ircost.frontends.onnx.windows import window_of
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.ops.normalization import per_channel
from ircost.ir.ops.quantised import integer_convolution, integer_product


@lowering("MatMul")
def matmul(node: Node) -> Value:
    return matmul_of(node[0], node[1])


def matmul_of(lhs: Value, rhs: Value) -> Value:
    """NumPy's matmul: a rank-1 operand gets an axis, which goes again."""
    shape = list(lhs.type.shape[:-1]) + list(rhs.type.shape[-1:])
    if lhs.type.rank > 1 and rhs.type.rank > 1:
        return ops.matmul(lhs, rhs)
    left = ops.reshape(lhs, shape=(1, *lhs.type.shape)) if lhs.type.rank == 1 else lhs
    right = ops.reshape(rhs, shape=(*rhs.type.shape, 1)) if rhs.type.rank == 1 else rhs
    product = ops.matmul(left, right)
    shape = list(product.type.shape)
    if rhs.type.rank == 1:
        del shape[-1]
    if lhs.type.rank == 1:
        del shape[-1 if rhs.type.rank == 1 else -2]
    return ops.reshape(product, shape=tuple(shape))


@lowering("Gemm")
def gemm(node: Node) -> Value:
    return plain_gemm(node)


def plain_gemm(node: Node) -> Value:
    """alpha * A' * B' + beta * C"""
    left = "k m" if node.int("transA", 0) else "m k"
    right = "n k" if node.int("transB", 0) else "k n"
    plain = left == "m k" and right == "k n"
    a, b, c = node[0], node[1], node.get(2)
    product = ops.matmul(a, b) if plain else ops.contract(a, b, notation=f"{left}, {right} -> m n")
    product = scaled(node, product, node.float("alpha", 1.0))
    return product if c is None else ops.add(product, scaled(node, c, node.float("beta", 1.0)))


def scaled(node: Node, value: Value, factor: float) -> Value:
    return value if factor == 1.0 else ops.mul(value, node.like(factor, value))


@lowering("Conv")
def conv(node: Node) -> Value:
    return plain_conv(node)


def plain_conv(node: Node) -> Value:
    x, weight, bias = node[0], node[1], node.get(2)
    window = window_of(node, weight.type.shape[2:], x.type.shape[2:])
    check_groups(node, x, weight)
    result = ops.conv(x, weight, strides=window.strides, dilations=window.dilations, pads=window.pads)
    return result if bias is None else ops.add(result, per_channel(bias, x.type.rank))


def check_groups(node: Node, x: Value, weight: Value) -> None:
    group = node.int("group", 1)
    if x.type.rank < 3 or weight.type.rank != x.type.rank or x.type.shape[1] != group * weight.type.shape[1]:
        raise node.error(f"group = {group}, input {x.type} and weight {weight.type} do not fit together")


@lowering("ConvTranspose")
def conv_transpose(node: Node) -> Value:
    x, weight, bias = node[0], node[1], node.get(2)
    spatial, size = x.type.shape[2:], weight.type.shape[2:]
    rank = len(size)
    strides, dilations = node.ints("strides", (1,) * rank), node.ints("dilations", (1,) * rank)
    extra = node.ints("output_padding", (0,) * rank)
    full = [
        (n - 1) * s + (k - 1) * d + 1 + e
        for n, s, k, d, e in zip(spatial, strides, size, dilations, extra, strict=True)
    ]
    pads = transposed_pads(node, full, spatial, strides)
    # What lengthens the output at its end is negative padding there.
    pads = tuple((begin, end - e) for (begin, end), e in zip(pads, extra, strict=True))
    result = ops.conv_transpose(x, weight, g=node.int("group", 1), strides=strides, dilations=dilations, pads=pads)
    return result if bias is None else ops.add(result, per_channel(bias, x.type.rank))


def transposed_pads(
    node: Node, full: list[int], spatial: tuple[int, ...], strides: tuple[int, ...]
) -> tuple[tuple[int, int], ...]:
    """What is cut off on both sides: by pads, by output_shape, or by auto_pad."""
    rank = len(full)
    auto = node.string("auto_pad", "NOTSET")
    wanted = node.ints("output_shape", ())[-rank:]
    if auto.startswith("SAME") and not wanted:
        wanted = tuple(n * s for n, s in zip(spatial, strides, strict=True))
    if wanted:
        totals = [have - want for have, want in zip(full, wanted, strict=True)]
        halves = [total // 2 for total in totals]
        if auto == "SAME_UPPER":
            return tuple((half, total - half) for half, total in zip(halves, totals, strict=True))
        return tuple((total - half, half) for half, total in zip(halves, totals, strict=True))
    pads = node.ints("pads", (0,) * 2 * rank) if auto in ("NOTSET", "") else (0,) * 2 * rank
    return tuple(zip(pads[:rank], pads[rank:], strict=True))


@lowering("MatMulInteger")
def matmul_integer(node: Node) -> Value:
    return integer_product(node[0], node[1], zero_point(node, 2, -2), zero_point(node, 3, -1))


def zero_point(node: Node, index: int, axis: int) -> Value | None:
    """A zero point that broadcasts along ``axis`` of a matrix product; None for 0."""
    zero, known = node.get(index), node.constant(index)
    if zero is None or (known is not None and not known.any()):
        return None
    if zero.type.elements == 1:
        return ops.reshape(zero, shape=())
    shape = (*zero.type.shape, *(1,) * (-1 - axis)) if zero.type.rank == 1 else zero.type.shape
    return ops.reshape(zero, shape=shape)


@lowering("ConvInteger")
def conv_integer(node: Node) -> Value:
    return convolution_of_integers(node, 2, 1, 3)


def convolution_of_integers(node: Node, x_zero: int, weight: int, weight_zero: int) -> Value:
    """Inputs by position; zero points are taken out of the sums, so that what is multiplied stays narrow."""
    x, filters = node[0], node[weight]
    window = window_of(node, filters.type.shape[2:], x.type.shape[2:])
    zero = zero_point(node, x_zero, -1)
    if zero is not None and zero.type.rank:
        raise node.error("a zero point for each channel of x is not supported")
    return integer_convolution(
        x,
        filters,
        zero,
        zero_point(node, weight_zero, -1),
        outside=known_number(node, x_zero) if zero is not None else None,
        strides=window.strides,
        dilations=window.dilations,
        pads=window.pads,
    )


def known_number(node: Node, index: int) -> int | None:
    known = node.constant(index)
    return None if known is None else int(known.reshape(()))
