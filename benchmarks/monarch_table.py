"""Long convolutions: direct, by transforms, and by products of each order, as the cost model sees them.

    python -m benchmarks.monarch_table [TARGET ...]

Prints Markdown tables: 64 sequences of 768 channels in f16, windows as long as the sequence.
"""

from __future__ import annotations

import sys

from ircost.backends import Target, load_target
from ircost.cost_models.automatic import search_model
from ircost.cost_models.interface import COST_MODELS
from ircost.cost_models.kernel_table import table_of_kernels
from ircost.ir import Builder, Function, Op, ops
from ircost.ir.load_time import load_time_ops
from ircost.ir.parser import parse_module
from ircost.passes.kernel_making import kernel_of
from ircost.passes.long_convolution import padded_length
from ircost.passes.monarch import AS_IT_IS, BY_TRANSFORM, Build, Pricer, unknown, unknown_weight, ways

LENGTHS = [1 << power for power in range(8, 21, 2)]
BATCH, CHANNELS = 64, 768
MOST_BYTES = 1 << 31
# Rows and columns of a matrix instruction, which a factor should fill. Source: Fu et al., "FlashFFTConv", 2023.
LEAST_FACTOR = 16


def convolution(length: int) -> Op:
    text = (
        f"func @main(%x: {BATCH}x{CHANNELS}x{length}xf16, %w: {CHANNELS}x1x{length}xf16) -> "
        f"{BATCH}x{CHANNELS}x{length}xf16 {{ %y = conv %x, %w {{pads = [[{length - 1}, 0]]}} return %y }}"
    )
    return next(iter(parse_module(text).main.block.ops))


def as_one_kernel_s(op: Op, build: Build, target: Target) -> float:
    """No launch and no trip through memory between the products: the roofline of all of it together."""
    function = Function("main", [op.operands[0].type])
    builder = Builder(function.block)
    filters = builder(unknown(op.operands[1].type))
    copy = op.definition.create([function.arguments[0], filters], op.attrs)
    result = builder(build(copy, unknown_weight))
    builder.op(ops.return_.create([result]))
    at_load = load_time_ops(function.block)
    members = [inner for inner in function.block.ops if inner not in at_load and not inner.definition.is_terminator]
    kernel = kernel_of(members, [result])
    table = table_of_kernels([kernel], [(False,) * (len(kernel.operands) + 1)])
    return float(COST_MODELS.get("roofline").estimate(table, target).latency_s[0])


def row(length: int, target: Target) -> str:
    op = convolution(length)
    prices = Pricer(search_model(target), target, MOST_BYTES).prices(op)
    products = {name: price for name, price in prices.items() if name.startswith("order")}
    fused = {name: as_one_kernel_s(op, build, target) for name, build in ways(op, MOST_BYTES) if is_wide(name)}
    apart, together = (min(found, key=lambda name: found[name]) for found in (products, fused))
    figures = [prices[AS_IT_IS], prices[BY_TRANSFORM]]
    words = [f"{seconds * 1e3:,.2f}" for seconds in figures]
    words += [f"{products[apart] * 1e3:,.2f} ({apart})", f"{fused[together] * 1e3:,.2f} ({together})"]
    return f"| {length:,} | {' | '.join(words)} | {'yes' if is_on_chip(op, target) else 'no'} |"


def is_wide(name: str) -> bool:
    """Whether all factors fill the rows of a matrix instruction."""
    order, _, factors = name.partition(": ")
    return order.startswith("order") and all(int(factor) >= LEAST_FACTOR for factor in factors.split(" x "))


def is_on_chip(op: Op, target: Target) -> bool:
    """Whether a processor's own memory holds the complex spectrum of a sequence."""
    own = max(float(level.capacity_bytes) for level in target.memory if level.name == "shared")
    return 2 * padded_length(op) * op.result.type.dtype.bits / 8 <= own


def main() -> None:
    for name in sys.argv[1:] or ("h100_sxm", "a100_sxm_80gb"):
        target = load_target(name)
        print(f"\n### {name}\n")
        print("| N | direct, ms | transforms, ms | products, a kernel each, ms | as one kernel, ms | on chip |")
        print("|---|---|---|---|---|---|")
        for length in LENGTHS:
            print(row(length, target), flush=True)


if __name__ == "__main__":
    main()
