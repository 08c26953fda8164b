"""What a framework launches op by op: attention and tanh GELU written out, a bias in its product's kernel."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ircost.ir import ops
from ircost.ir.clone import clone_op
from ircost.ir.graph import Module, Op, Value
from ircost.ir.ops.normalization import scalar_like
from ircost.ir.rewrite import RewritePattern, apply_patterns, erase_dead_ops, rewritable_ops
from ircost.passes.base import Pass, PassContext, register_pass
from ircost.passes.kernel_making import is_scalar_constant, make_kernel


class OpenedAttention(RewritePattern):
    """attention(q, k, v)  ->  its body: scores, mask, softmax, and their product with the values"""

    root = ("attention", "cached_attention", "latent_attention")

    def rewrite(self, op: Op) -> Value | Sequence[Value] | None:
        block = op.regions[0].block
        mapping: dict[Value, Value] = dict(zip(block.arguments, op.operands, strict=True))
        *inner, terminator = block.ops
        for each in inner:
            clone_op(each, mapping)
        return [mapping[value] for value in terminator.operands]


class WrittenOutGelu(RewritePattern):
    """gelu_tanh(x)  ->  0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), an op for each of its operations

    Source: huggingface/transformers, ``NewGELUActivation``.
    """

    root = "gelu_tanh"

    def rewrite(self, op: Op) -> Value | None:
        (x,) = op.operands
        cube = ops.mul(scalar_like(0.044715, x), ops.pow(x, scalar_like(3.0, x)))
        inner = ops.tanh(ops.mul(scalar_like(math.sqrt(2 / math.pi), x), ops.add(x, cube)))
        return ops.mul(ops.mul(scalar_like(0.5, x), x), ops.add(scalar_like(1.0, x), inner))


@register_pass("eager")
@dataclass(frozen=True, slots=True)
class Eager(Pass):
    """Write out what PyTorch runs op by op: attention, and activations that its models write out.

    A product and the bias behind it are one kernel, as in ``addmm``, and so are both limits of a ``clamp``, and a sum
    of two formats with the conversion of the narrower. For estimates of what eager frameworks take; never a gain.

    Args:
        attention: written out too; else it stays one kernel, as ``scaled_dot_product_attention`` is.
        activations: those that its models write out are; else each stays one op, as under a compiler.
    """

    attention: bool = True
    activations: bool = True

    def run(self, module: Module, context: PassContext) -> Counter[str]:
        opened = (OpenedAttention(),) if self.attention else ()
        written_out = (WrittenOutGelu(),) if self.activations else ()
        fired = apply_patterns(module, (*opened, *written_out))
        for op in list(rewritable_ops(module)):
            for name, behind in (("biases", biased_product), ("clamps", clamped_below), ("promotions", promoted)):
                inner = behind(op) if name != "promotions" or self.activations else None
                if inner is not None:
                    make_kernel([inner, op], op.results)
                    fired[name] += 1
        if fired:
            erase_dead_ops(module)  # constants that kernels have copies of
        return fired


def biased_product(op: Op) -> Op | None:
    """The product that this op adds a vector to, where nobody else reads it."""
    if op.name != "add" or (op.parent is not None and op.parent.name == "kernel"):
        return None
    for product, bias in (op.operands, op.operands[::-1]):
        producer = product.producer
        is_product = producer is not None and producer.definition.is_contraction and producer.block is op.block
        if is_product and bias.type.rank == 1 and len(product.uses) == 1 and product.type == op.result.type:
            return producer
    return None


PROMOTING = frozenset(("add", "sub", "mul", "div", "maximum", "minimum", "where"))


def promoted(op: Op) -> Op | None:
    """The cast to a wider float that this op alone reads beside another tensor: element-wise kernels convert so."""
    if op.name not in PROMOTING or (op.parent is not None and op.parent.name == "kernel"):
        return None
    for value in op.operands:
        cast = value.producer
        if cast is None or cast.name != "cast" or len(value.uses) != 1 or cast.block is not op.block:
            continue
        narrow, wide = cast.operands[0].type.dtype, value.type.dtype
        if narrow.is_float and wide.is_float and narrow.bits < wide.bits:
            return cast
    return None


LIMITS = frozenset(("relu", "maximum", "minimum"))


def clamped_below(op: Op) -> Op | None:
    """The first limit of a number that this op limits again, as ReLU6 does, where nobody else reads it."""
    first = op.operands[0].producer if op.operands else None
    if not is_limit(op) or first is None or not is_limit(first) or first.block is not op.block:
        return None
    is_pair = (op.name == "minimum") != (first.name == "minimum") and len(first.result.uses) == 1
    return first if is_pair and (op.parent is None or op.parent.name != "kernel") else None


def is_limit(op: Op) -> bool:
    """Whether each element is held above or below a constant."""
    return op.name in LIMITS and all(map(is_scalar_constant, op.operands[1:]))
