"""Quantisation: operators that the frontend takes apart, put together again."""

from __future__ import annotations

import numpy as np

from ircost.backends.onnx.contraction import convolution
from ircost.backends.onnx.emitter import Scope, emits
from ircost.backends.onnx.node import Array, Input, Known, Node, Output, node, number_like, whole_numbers
from ircost.ir import ops
from ircost.ir.attributes import int_of, pairs_of
from ircost.ir.builder import build_body
from ircost.ir.graph import Block, Op, Value, sole_producer
from ircost.ir.numpy_dtypes import numpy_dtype
from ircost.ir.ops.quantised import quantised_dynamically
from ircost.ir.terminators import yield_
from ircost.ir.types import f32, u8


def find_dynamic_quantisation(block: Block) -> dict[Value, Output]:
    """Values that are outputs of a DynamicQuantizeLinear: quantised tensors, their scales and their zero points."""
    found: dict[Value, Output] = {}
    for op in block.walk():
        if op.name != "cast" or op.attrs["to"] != u8 or op.operands[0].type.dtype != f32:
            continue
        template = build_body([op.operands[0].type], quantised_dynamically, yield_).block
        values, scale, point = template.terminator.operands
        bound: dict[Value, Value] = {}
        if op.operands[0].type.rank == 0 or not is_alike(values, op.result, bound):
            continue
        made = Node("DynamicQuantizeLinear", (bound[template.arguments[0]],), {}, outputs=3)
        found[op.result] = Output(made, 0)
        found[bound[scale]] = Output(made, 1)
        assert point.producer is not None, "the zero point is a cast"
        for user in bound[point.producer.operands[0]].users:
            if user.name == "cast" and user.attrs["to"] == u8:
                found[user.result] = Output(made, 2)
    return found


def is_alike(template: Value, value: Value, bound: dict[Value, Value]) -> bool:
    """Whether a value is computed as the template is; ``bound`` then says what each of its values stands for."""
    if template in bound:
        return bound[template] is value
    if template.type != value.type:
        return False
    wanted, op = template.producer, value.producer
    if wanted is not None and (op is None or op.name != wanted.name or not are_alike(wanted, op, bound)):
        return False
    bound[template] = value
    return True


def are_alike(wanted: Op, op: Op, bound: dict[Value, Value]) -> bool:
    if wanted.name == "constant":
        known = ops.constant_value(op.result)
        return known is not None and bool(np.all(known == ops.constant_value(wanted.result)))
    if wanted.attrs != op.attrs:
        return False
    orders = [op.operands, op.operands[::-1]] if op.definition.is_commutative else [op.operands]
    for operands in orders:
        attempt = dict(bound)
        if all(is_alike(a, b, attempt) for a, b in zip(wanted.operands, operands, strict=True)):
            bound.update(attempt)
            return True
    return False


@emits("cast", "div", is_special=True)
def emit_dynamic_quantisation(op: Op, scope: Scope) -> Input:
    return scope.outputs.get(op.result)


# ---- integer products with zero points


@emits("sub", is_special=True)
def emit_product_with_zero_point(op: Op, scope: Scope) -> Input:
    """matmul(a, w) - zero * sum(w)  ->  MatMulInteger(a, w, zero); so for a convolution, that of w taken out before"""
    total, correction = op.operands
    product, w_zero = summed_product(total, scope)
    zero = None if product is None else zero_taken_out(correction, product, scope, w_zero)
    if product is None or zero is None or total.type != op.result.type:
        product, w_zero = summed_product(op.result, scope)
        if product is None or product.attrs["outside"]:
            return None
    return integer_product(product, zero, scope, w_zero)


def zero_taken_out(correction: Value, product: Op, scope: Scope, w_zero: Value | None) -> Input:
    """The zero point of the left side, of what is subtracted for it; None where it is something else."""
    dtype = product.operands[0].type.dtype
    outside = int_of(product.attrs, "outside") if product.name == "conv_integer" else 0
    if outside:
        point = np.array(outside).astype(numpy_dtype(dtype))
        is_known = scope.is_known(correction) and are_sums(correction, product, scope, w_zero, outside)
        return Array(point) if is_known and point == outside else None
    factor = sole_producer(correction, "mul")
    for wide, sums in (factor.operands, factor.operands[::-1]) if factor is not None else ():
        zero = wide.producer
        if zero is None or zero.name != "cast" or wide.type.rank or not scope.is_known(sums):
            continue
        if zero.operands[0].type.dtype == dtype and are_sums(sums, product, scope, w_zero):
            return zero.operands[0]
    return None


def summed_product(total: Value, scope: Scope) -> tuple[Op | None, Value | None]:
    """A product of integers, and the zero points of its weights where those are taken out of the sums.

    conv(x, w) - z * conv(x, 1)  ->  the first convolution, and z
    """
    product = sole_producer(total, "matmul_integer") or sole_producer(total, "conv_integer")
    difference = total.producer
    if product is not None or difference is None or difference.name != "sub":
        return product, None
    product, factor = (
        sole_producer(difference.operands[0], "conv_integer"),
        sole_producer(difference.operands[1], "mul"),
    )
    for sums, zero in (factor.operands, factor.operands[::-1]) if factor is not None and product is not None else ():
        assert product is not None, "else there are no factors"
        if (
            scope.is_known(zero)
            and zero.type.elements in (1, product.result.type.shape[1])
            and is_box(sums, product, scope)
        ):
            return product, zero
    return None, None


def is_box(sums: Value, product: Op, scope: Scope) -> bool:
    """Whether they are the sums of a convolution's operand under its windows, for each of its groups."""
    op = sums.producer
    while op is not None and op.name in ("reshape", "broadcast"):
        op = op.operands[0].producer
    if (
        op is None
        or op.name != "conv_integer"
        or op.attrs != product.attrs
        or op.operands[0] is not product.operands[0]
    ):
        return False
    ones, weight = op.operands[1], product.operands[1]
    groups = product.operands[0].type.shape[1] // weight.type.shape[1]
    return (
        ones.type.shape == (groups, *weight.type.shape[1:])
        and scope.is_known(ones)
        and bool((scope.array(ones) == 1).all())
    )


def are_sums(sums: Value, product: Op, scope: Scope, w_zero: Value | None = None, times: int = 1) -> bool:
    """Whether known numbers are what the product gives for a left side of ones, so many times."""
    x, weight = product.operands
    if not scope.is_known(weight):
        return False
    if product.name == "matmul_integer":
        expected = scope.array(weight).astype(np.int64).sum(axis=-2, keepdims=True)
    else:
        ones = ops.constant_of(np.ones((1, *x.type.shape[1:]), np.uint8))
        centred = scope.array(weight).astype(np.int32)
        if w_zero is not None:
            centred = centred - scope.array(w_zero).reshape(-1, *(1,) * (weight.type.rank - 1))
        attrs = {name: product.attrs[name] for name in ("strides", "dilations", "pads")}
        outside = 1 if product.attrs["outside"] else 0
        expected = scope.array(ops.conv_integer(ones, ops.constant_of(centred), **attrs, outside=outside))
    have = scope.array(sums)
    return have.shape[-2:] in (expected.shape[-2:], (1, 1)) and bool(
        np.array_equal(np.broadcast_to(have, expected.shape), times * expected)
    )


def integer_product(product: Op, zero: Input, scope: Scope, w_zero: Value | None = None) -> Input:
    if product.name == "matmul_integer":
        return node("MatMulInteger", *product.operands, zero)
    return integer_convolution(product, zero, scope, w_zero)


@emits("conv_integer")
def emit_conv_integer(op: Op, scope: Scope) -> Input:
    """Padding of another number than zero is that of a Pad: what the operator subtracts it takes from all of x."""
    made = integer_convolution(op, None, scope)
    pads, outside = pairs_of(op.attrs, "pads"), int_of(op.attrs, "outside")
    if not isinstance(made, Node) or not outside:
        return made
    around = [*(0, 0), *(begin for begin, _ in pads), *(0, 0), *(end for _, end in pads)]
    padded = node("Pad", op.operands[0], whole_numbers(*around), number_like(outside, op.operands[0]))
    return Node(made.operator, (padded, *made.inputs[1:]), {**made.attributes, "pads": (0,) * 2 * len(pads)})


def integer_convolution(op: Op, zero: Input, scope: Scope, w_zero: Value | None = None) -> Input:
    """Weights less their zero point may be wider than a byte: they get one again."""
    weight = op.operands[1]
    made = convolution(op, (zero,))
    assert isinstance(made, Node), "a convolution is one node"
    if w_zero is not None:
        kind = numpy_dtype(weight.type.dtype)
        point = Known(w_zero, f"zero point {kind}", lambda a: a.reshape(-1 if a.size > 1 else ()).astype(kind))
        return Node(made.operator, (op.operands[0], weight, zero, point), made.attributes)
    if weight.type.dtype.bits == 8:
        return made
    if not scope.is_known(weight):
        return None
    array = scope.array(weight)
    low, high = int(array.min(initial=0)), int(array.max(initial=0))
    if high - low > 255:
        return None
    offset = min(-low, 255)
    bytes_of_weight = Known(weight, "bytes", lambda a: (a + offset).astype(np.uint8))
    weight_zero = Known(weight, "zero point", lambda a: np.array(offset, np.uint8))
    return Node(made.operator, (op.operands[0], bytes_of_weight, zero, weight_zero), made.attributes)


@emits("add", is_special=True)
def emit_product_with_both_zero_points(op: Op, scope: Scope) -> Input:
    """(matmul(a, w) - z sum(w)) - sum(a) u + z u k  ->  MatMulInteger(a, w, z, u), for a known u"""
    inner = sole_producer(op.operands[0], "sub")
    first = sole_producer(inner.operands[0], "sub") if inner is not None else None
    second = inner.operands[1] if inner is not None else op.result
    less, more = (sole_producer(x, "mul") for x in (second, op.operands[1]))
    made = emit_product_with_zero_point(first, scope) if first is not None else None
    if not isinstance(made, Node) or made.operator != "MatMulInteger" or less is None or more is None:
        return None
    a, weight, zero = made.inputs
    assert isinstance(a, Value) and isinstance(weight, Value), "what is multiplied are values"
    sums, other = less.operands
    if not scope.is_known(other) or not is_row_sum(sums, a) or other.type.rank > 1:
        return None
    known = scope.array(other)
    if not is_zero_term(more.operands, zero, known * a.type.shape[-1], scope):
        return None
    byte = numpy_dtype(weight.type.dtype)
    if not np.array_equal(known.astype(byte), known):
        return None
    return node("MatMulInteger", a, weight, zero, Known(other, str(byte), lambda array: array.astype(byte)))


def is_row_sum(sums: Value, a: Value) -> bool:
    op = sums.producer
    if op is None or op.name != "reduce_sum" or not op.attrs["keepdims"]:
        return False
    wide = op.operands[0].producer
    is_last = op.attrs["axes"] in ((a.type.rank - 1,), (-1,))
    return is_last and wide is not None and wide.name == "cast" and wide.operands[0] is a


def is_zero_term(factors: tuple[Value, ...], zero: Input, wanted: np.ndarray, scope: Scope) -> bool:
    """Whether a product is that of a zero point and known numbers."""
    total, found = np.array(1, np.int64), False
    left = list(factors)
    while left:
        factor = left.pop()
        op = factor.producer
        if scope.is_known(factor):
            total = total * scope.array(factor)
        elif op is not None and op.name == "mul":
            left.extend(op.operands)
        elif op is not None and op.name == "cast" and op.operands[0] is zero and not found:
            found = True
        else:
            return False
    return found and bool(np.array_equal(total, wanted))
