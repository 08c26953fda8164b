"""Fourier transforms and long convolutions as products on matrix units, where that is predicted to be faster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from ircost.backends import Target
from ircost.cost_models.automatic import search_model
from ircost.cost_models.interface import CostModel
from ircost.cost_models.kernel_table import kernel_table, structural_key
from ircost.ir import Builder, ops
from ircost.ir.attributes import int_of
from ircost.ir.constant import Missing
from ircost.ir.graph import Function, Module, Op, Value
from ircost.ir.load_time import load_time_ops
from ircost.ir.rewrite import RewritePattern, apply_patterns, rewritable_ops
from ircost.ir.types import DType, TensorType
from ircost.passes.base import Pass, PassContext, PassError, register_pass
from ircost.passes.chosen_target import chosen_target
from ircost.passes.dft_products import Stage, WeightOf, dft, factorings, known_weight
from ircost.passes.fuse import fuse_block
from ircost.passes.long_convolution import by_spectra, is_long_convolution, padded_length
from ircost.passes.rematerialise import limit_bytes

MOST_ORDER = 4
MOST_OPS = 16  # in a kernel of the pieces, as of ``fuse``
AS_IT_IS = "as it is"
BY_TRANSFORM = "transform"

Build = Callable[[Op, WeightOf], Value]


@register_pass("monarch")
@dataclass(frozen=True, slots=True)
class Monarch(Pass):
    """Compute Fourier transforms as dense products, and long convolutions by Fourier transforms, where it is faster.

    fft(x)  ->  a product for each factor of the length: order 1 is one with the whole DFT matrix, order p has p small
    ones. conv(x, w)  ->  inverse(transform(x) conj(transform(w))), for windows of each channel alone, its transforms as
    they are or of any order. Which, is the cost model's choice: all ways are priced as kernels of their own, as the
    target runs them. Outputs stay within what number formats round; a format of 16 bits rounds twiddle factors too.

    Source: Fu, Kumbong, Nguyen, Ré, "FlashFFTConv", arXiv:2311.05908, 2023.

    Args:
        order: of all transforms, without asking for costs; 0 for the cheapest. Convolutions then stay.
        target: machine to choose for, in place of the one that the module is compiled for.
        weights: most that the matrices of one transform may take.
    """

    order: int = 0
    target: str = ""
    weights: str = "64MiB"

    def run(self, module: Module, context: PassContext) -> Counter[str]:
        if not 0 <= self.order <= MOST_ORDER:
            raise PassError(f"pass 'monarch': no order {self.order}", help=f"1 to {MOST_ORDER}, or 0 for the cheapest")
        target = chosen_target(self.name, self.target, context)
        at_load: set[Op] = set()
        for op in rewritable_ops(module):
            if op.block is not None and op.previous is None:
                at_load |= load_time_ops(op.block)
        most_bytes = limit_bytes(self.weights)
        if self.order:
            return apply_patterns(module, (AsProducts(lambda op: forced(op, self.order, most_bytes), at_load),))
        if target is None:
            raise PassError("pass 'monarch' needs a target", help="write monarch{target=h100_sxm}, or an order")
        pricer = Pricer(search_model(target), target, most_bytes)
        return apply_patterns(module, (AsProducts(pricer.cheapest, at_load),))


@dataclass(slots=True)
class AsProducts(RewritePattern):
    """fft(x)  ->  contract(.. contract(x, f1) .., fp);  conv(x, w)  ->  inverse(fft(x) conj(fft(w)))"""

    choose: Callable[[Op], Build | None]
    at_load: set[Op]
    root = ("fft", "conv")

    def rewrite(self, op: Op) -> Value | None:
        # What has no order of its own in a module's text, such as the spectrum of a filter, is made once.
        if op in self.at_load or op.result.type.bounded or all(v.producer in self.at_load for v in op.operands):
            return None
        build = self.choose(op)
        return None if build is None else build(op, known_weight)


# ---- the ways


def ways(op: Op, most_bytes: int) -> Iterator[tuple[str, Build]]:
    """All that may stand in place of an op, by name."""
    if op.name == "fft":
        for factors in affordable(op, int_of(op.attrs, "length"), most_bytes):
            yield order_name(factors), partial(transform_of, factors)
    elif is_long_convolution(op):
        yield BY_TRANSFORM, lambda op, weight: by_spectra(op, plain_transform)
        for factors in affordable(op, padded_length(op), most_bytes):
            yield order_name(factors), partial(convolution_of, factors)


def order_name(factors: tuple[int, ...]) -> str:
    return f"order {len(factors)}: {' x '.join(map(str, factors))}"


def affordable(op: Op, length: int, most_bytes: int) -> list[tuple[int, ...]]:
    """Factors of a length for each order whose matrices are not too large."""
    bits = op.result.type.dtype.bits
    return [factors for factors in factorings(length, MOST_ORDER) if matrix_bytes(factors, bits) <= most_bytes]


def matrix_bytes(factors: tuple[int, ...], bits: int) -> float:
    """Of all stages, complex."""
    total, block = 0, 1
    for factor in factors:
        block *= factor
        total += 4 * block * factor
    return total * bits / 8


def transform_of(factors: tuple[int, ...], op: Op, weight: WeightOf) -> Value:
    inverse, onesided = bool(op.attrs["inverse"]), bool(op.attrs["onesided"])
    axis = int_of(op.attrs, "axis")
    return dft(op.operands[0], axis, factors, inverse=inverse, onesided=onesided, weight=weight)


def convolution_of(factors: tuple[int, ...], op: Op, weight: WeightOf) -> Value:
    def transform(x: Value, axis: int, length: int, inverse: bool) -> Value:
        return dft(x, axis, factors, inverse=inverse, onesided=True, weight=weight)

    return by_spectra(op, transform)


def plain_transform(x: Value, axis: int, length: int, inverse: bool) -> Value:
    return ops.fft(x, axis=axis, length=length, inverse=inverse, onesided=True)


def forced(op: Op, order: int, most_bytes: int) -> Build | None:
    """A transform of this order, where the length has such factors."""
    if op.name != "fft":
        return None
    found = [factors for factors in affordable(op, int_of(op.attrs, "length"), most_bytes) if len(factors) == order]
    return partial(transform_of, found[0]) if found else None


# ---- the choice


@dataclass(slots=True)
class Pricer:
    """Predicted times of all ways; remembers ops alike."""

    model: CostModel
    target: Target
    most_bytes: int
    known: dict[object, str] = field(default_factory=dict)

    def cheapest(self, op: Op) -> Build | None:
        """None where the op as it is is as fast as any."""
        if op.name == "conv" and not is_long_convolution(op):
            return None
        key = structural_key(op)
        if key not in self.known:
            prices = self.prices(op)
            self.known[key] = min(prices, key=lambda name: prices[name])  # the first of equal ones
        name = self.known[key]
        return None if name == AS_IT_IS else dict(ways(op, self.most_bytes))[name]

    def prices(self, op: Op) -> Mapping[str, float]:
        """Seconds of each way, the op as it is first."""
        return {name: self.price(op, build) for name, build in ((AS_IT_IS, as_it_is), *ways(op, self.most_bytes))}

    def price(self, op: Op, build: Build) -> float:
        """Of a function that does nothing else; filters are known at load."""
        x, *filters = op.operands
        function = Function("main", [x.type])
        builder = Builder(function.block)
        stand_ins = [builder(unknown(value.type)) for value in filters]
        copy = op.definition.create([function.arguments[0], *stand_ins], op.attrs)
        builder.op(ops.return_.create([builder(build(copy, unknown_weight))]))
        fuse_block(function.block, MOST_OPS)
        table = kernel_table(Module([function]))
        latencies = self.model.estimate(table, self.target).latency_s
        return float(sum(latencies[run.row] * run.count for run in table.runs))


def as_it_is(op: Op, weight: WeightOf) -> Value:
    return op.result


def unknown(type: TensorType) -> Value:
    return ops.constant.create((), {"value": Missing("only its cost is asked for")}, result_types=(type,)).result


def unknown_weight(stage: Stage, dtype: DType) -> Value:
    return unknown(TensorType(stage.shape, dtype))
