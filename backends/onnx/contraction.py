"""Matrix products and convolutions, with the bias that stands behind them."""

from __future__ import annotations

from dataclasses import dataclass

from ircost.backends.onnx.element_types import element_type
from ircost.backends.onnx.emitter import Scope, emits
from ircost.backends.onnx.node import Attributes, Input, Known, node, whole_numbers
from ircost.ir.attributes import int_of, ints_of
from ircost.ir.graph import Op, Value, sole_producer
from ircost.ir.types import DType, f16, f32, f64

WINDOW = ("strides", "dilations")
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def widened(op: Op) -> list[Input]:
    """Operands in the format of the result."""
    to = op.result.type.dtype
    return [x if x.type.dtype == to else node("Cast", x, to=element_type(to)) for x in op.operands]


def rounded(op: Op, inner: DType, made: Input) -> Input:
    return made if inner == op.result.type.dtype else node("Cast", made, to=element_type(op.result.type.dtype))


@emits("matmul")
def emit_matmul(op: Op, scope: Scope) -> Input:
    """Narrow integers are multiplied in 32 bits, of which the result keeps the lowest."""
    dtype = op.result.type.dtype
    if dtype.is_integer and dtype.bits < 32:
        wide = [node("Cast", x, to=6) for x in op.operands]
        return node("Cast", node("MatMul", *wide), to=element_type(dtype))
    return node("MatMul", *widened(op))


@emits("matmul_integer")
def emit_matmul_integer(op: Op, scope: Scope) -> Input:
    return node("MatMulInteger", *op.operands)


@emits("contract")
def emit_contract(op: Op, scope: Scope) -> Input:
    """As a matrix product of transposed operands where it is one, by Einsum where it is not."""
    if op.result.type.dtype.is_integer and op.result.type.dtype.bits < 32:
        return None
    product = as_matmul(op)
    lhs, rhs = widened(op)
    if product is not None:
        return node("MatMul", moved(lhs, product.left, scope), moved(rhs, product.right, scope))
    equation = einsum_equation(op)
    return None if equation is None else node("Einsum", lhs, rhs, equation=equation)


@emits("expert_matmul")
def emit_expert_matmul(op: Op, scope: Scope) -> Input:
    """The weights of each row's expert, times the row."""
    x, expert, weights = op.operands
    picked = node("Gather", weights, expert, axis=0)
    return node("Squeeze", node("MatMul", picked, node("Unsqueeze", x, whole_numbers(2))), whole_numbers(2))


@dataclass(frozen=True, slots=True)
class Product:
    """Orders of axes under which a contraction is a batched matrix product."""

    left: tuple[int, ...]
    right: tuple[int, ...]


def moved(x: Input, perm: tuple[int, ...], scope: Scope) -> Input:
    if perm == tuple(range(len(perm))):
        return x
    if isinstance(x, Value) and scope.is_known(x):
        return Known(x, f"order {perm}", lambda a: a.transpose(perm))
    return node("Transpose", x, perm=perm)


def dims_of(notation: str, types: list[Value]) -> list[list[str]] | None:
    """Names of the axes of both operands and the result, ``...`` spelled out; None for windows and packs."""
    left, right = notation.split("->")
    terms = [term.split() for term in (*left.split(","), right)]
    if any(not (name == "..." or name.isidentifier()) for term in terms for name in term):
        return None
    ranks = [value.type.rank for value in types]
    named = []
    for term, rank in zip(terms, ranks, strict=True):
        lead = [f"...{rank - len(term) + 1 - i}" for i in range(rank - len(term) + 1)]
        named.append([dim for name in term for dim in (lead if name == "..." else [name])])
    return named


def as_matmul(op: Op) -> Product | None:
    """One summed dim, the batch in front in the same order everywhere, one dim of the right side at the end.

    Dims of ``...`` that one side alone has are a batch, too: the product repeats the other side.
    """
    dims = dims_of(str(op.attrs["notation"]), [*op.operands, op.result])
    if dims is None or any(len(set(term)) != len(term) for term in dims):
        return None
    left, right, out = dims
    summed = [d for d in left if d in right and d not in out]
    mine = [d for d in left if d not in right]
    theirs = [d for d in right if d not in left and d not in summed]
    batch = [d for d in left if d in right and d in out]
    lead, right_lead = ([d for d in side if d.startswith("...")] for side in (mine, theirs))
    mine, theirs = mine[len(lead) :], theirs[len(right_lead) :]
    if len(summed) != 1 or not out or any(d not in out for d in (*mine, *theirs)):
        return None
    has_batch = bool(lead or right_lead or batch)
    if len(theirs) != 1 or out != [*lead, *right_lead, *batch, *mine, *theirs] or (has_batch and len(mine) != 1):
        return None
    return Product(
        tuple(left.index(d) for d in (*lead, *batch, *mine, *summed)),
        tuple(right.index(d) for d in (*right_lead, *batch, *summed, *theirs)),
    )


def einsum_equation(op: Op) -> str | None:
    """Letters for names, and for each dim of ``...``."""
    dims = dims_of(str(op.attrs["notation"]), [*op.operands, op.result])
    if dims is None:
        return None
    letters = dict(zip(dict.fromkeys(name for term in dims for name in term), LETTERS, strict=False))
    left, right, out = ("".join(letters[name] for name in term) for term in dims)
    return f"{left},{right}->{out}"


# ---- convolutions


def window(op: Op) -> Attributes:
    pads = op.attrs["pads"]
    assert isinstance(pads, tuple), "its kind was checked"
    flat = tuple(pair[side] for side in (0, 1) for pair in pads)  # type: ignore[index]
    attributes: Attributes = {name: ints_of(op.attrs, name) for name in WINDOW}
    return {**attributes, "pads": flat}


@emits("conv")
def emit_conv(op: Op, scope: Scope) -> Input:
    return convolution(op, ())


def convolution(op: Op, bias: tuple[Input, ...]) -> Input:
    x, weight = op.operands
    operator = "Conv" if op.name == "conv" else "ConvInteger"
    inputs: list[Input] = widened(op) if op.name == "conv" else [*op.operands]
    group = x.type.shape[1] // weight.type.shape[1] if weight.type.shape[1] else 1
    attributes: Attributes = {**window(op), "kernel_shape": weight.type.shape[2:], "group": group}
    return node(operator, *inputs, *bias, **attributes)


@emits("conv_transpose")
def emit_conv_transpose(op: Op, scope: Scope) -> Input:
    return transposed_convolution(op, ())


def transposed_convolution(op: Op, bias: tuple[Input, ...]) -> Input:
    """A negative end pad lengthens the output."""
    attributes = window(op)
    pads = attributes["pads"]
    assert isinstance(pads, tuple), "pads are a list"
    half = len(pads) // 2
    extra = tuple(max(-end, 0) for end in pads[half:])
    attributes["pads"] = (*pads[:half], *(max(end, 0) for end in pads[half:]))
    if any(extra):
        attributes["output_padding"] = extra
    attributes |= {"kernel_shape": op.operands[1].type.shape[2:], "group": int_of(op.attrs, "g")}
    return node("ConvTranspose", *widened(op), *bias, **attributes)


BIASED = {"conv": convolution, "conv_transpose": transposed_convolution}


@emits("add", is_special=True)
def emit_bias(op: Op, scope: Scope) -> Input:
    """conv(x, w) + b  ->  Conv(x, w, b), for a b that differs along the channels alone"""
    for x, bias in (op.operands, op.operands[::-1]):
        for name, make in BIASED.items():
            conv = sole_producer(x, name)
            if conv is None or x.type != op.result.type or not x.type.dtype.is_float:
                continue
            vector = scope.vector(bias, x.type.shape[1]) if is_per_channel(bias, x) else None
            if vector is not None:
                return make(conv, (vector,))
    return None


def is_per_channel(bias: Value, x: Value) -> bool:
    """Whether a value broadcasts against x along axis 1 alone."""
    shape = (1,) * (x.type.rank - bias.type.rank) + bias.type.shape
    return len(shape) == x.type.rank and all(n == 1 for axis, n in enumerate(shape) if axis != 1)


@emits("add", is_special=True)
def emit_gemm(op: Op, scope: Scope) -> Input:
    """a b + c  ->  Gemm(a, b, c), for matrices; a known factor or a transpose of b is read as it is"""
    if op.result.type.rank != 2 or op.result.type.dtype not in (f32, f64, f16):
        return None
    for x, bias in (op.operands, op.operands[::-1]):
        product = sole_producer(x, "matmul")
        if product is None or product.attrs["out"] is not None or x.type != op.result.type:
            continue
        if bias.type.rank <= 2 and scope.is_known(bias):
            return node("Gemm", *product.operands, bias)
    return None
