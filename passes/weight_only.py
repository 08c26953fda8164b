"""Products of narrow weights and activations as products of narrow weights alone, where a machine lacks the format."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from ircost.backends import Target
from ircost.ir import ops
from ircost.ir.attributes import int_of
from ircost.ir.graph import Module, Op, Value
from ircost.ir.numpy_dtypes import numpy_dtype
from ircost.ir.rewrite import RewritePattern, apply_patterns
from ircost.ir.types import DType
from ircost.passes.base import Pass, PassContext, register_pass
from ircost.passes.chosen_target import chosen_target

# Machines that have a kernel which reads weights of a format and multiplies in 16 bits, though their matrix units lack
# the format: Marlin's, from compute capability 7.5 on. Source: vLLM 0.30, "Quantization", table of supported hardware,
# row Marlin (GPTQ/AWQ/FP8/FP4): neither Volta nor GPUs of AMD or Intel, nor any processor; "FP8 W8A8": GPUs of Turing
# and Ampere run FP8 checkpoints that way. By it vllm-project/vllm, pull request 5975, measured A10 and A100.
KERNELS: dict[str, tuple[str, ...]] = {
    "f8e4m3": ("turing", "ampere", "ampere_ga102"),
    "f4e2m1": ("turing", "ampere", "ampere_ga102", "ada", "hopper"),
}


def is_weight_only(dtype: DType, target: Target) -> bool:
    """Whether a machine runs products of such weights in the format of the activations, for want of units.

    >>> from ircost.backends import load_target
    >>> from ircost.ir.types import f8e4m3
    >>> [is_weight_only(f8e4m3, load_target(name)) for name in ("a100", "h100", "v100_sxm2")]
    [True, False, False]
    """
    return dtype.name not in target.matrix and target.architecture in KERNELS.get(dtype.name, ())


@register_pass("weight-only")
@dataclass(frozen=True, slots=True)
class WeightOnly(Pass):
    """Multiply by narrow weights in the activations' own format, where matrix units lack the narrow one.

    A checkpoint in FP8 says that activations are quantised too. Matrix units of Turing and Ampere have no FP8, those of
    Ada and Hopper no FP4; runtimes then leave the activations in 16 bits and widen the weights on their way to the
    product: bytes of the narrow format, rate of the wide one. Machines that nobody has such a kernel for keep the
    narrow product, which no cost model can price: that is an error. Outputs differ by what quantising the activations
    rounds.

    Args:
        target: machine to choose for, in place of the one that the module is compiled for.
    """

    target: str = ""

    def run(self, module: Module, context: PassContext) -> Counter[str]:
        target = chosen_target(self.name, self.target, context)
        if target is None:
            return Counter()
        return apply_patterns(module, (WideProduct(target), WideExperts(target)))


@dataclass(slots=True)
class WideProduct(RewritePattern):
    """scaled_matmul(quantise_rows(x), w, s)  ->  block_quantised_matmul(x, w, s, 0)"""

    target: Target
    root = "scaled_matmul"

    def rewrite(self, op: Op) -> Value | None:
        narrow, _, weights, scales = op.operands
        quantised = narrow.producer
        if quantised is None or quantised.name != "quantise_rows":
            return None
        x = quantised.operands[0]
        if x.type.dtype != op.result.type.dtype or not is_weight_only(weights.type.dtype, self.target):
            return None
        (n, k), (rows, blocks) = weights.type.shape, scales.type.shape
        short = int_of(op.attrs, "block")
        apart = weights if short else ops.reshape(weights, shape=(n, blocks, k // blocks))
        each = ops.reshape(scales, shape=(rows, blocks, 1))
        zero = ops.constant_of(np.zeros((), numpy_dtype(x.type.dtype)))
        return ops.block_quantised_matmul(x, apart, each, zero, inner=k, block=short)


@dataclass(slots=True)
class WideExperts(RewritePattern):
    """mixture_of_experts {is_narrow = true}  ->  mixture_of_experts {is_narrow = false}"""

    target: Target
    root = "mixture_of_experts"

    def rewrite(self, op: Op) -> Value | None:
        if not op.attrs["is_narrow"] or not is_weight_only(op.operands[3].type.dtype, self.target):
            return None
        return ops.mixture_of_experts(*op.operands, **{**op.attrs, "is_narrow": False})
