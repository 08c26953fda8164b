"""The analytical model on a table of many distinct kernels, against the roofline on the same one.

    python -m pytest benchmarks/test_analytical_speed.py -s

Printed, and in the JSON of `--benchmark-json`: seconds for the table, and how many times the roofline's. Kernels are as
in networks: products, convolutions, attention, norms, element-wise work; no two alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from test_compile_speed import median_s

from ircost.backends import load_target
from ircost.cost_models.interface import COST_MODELS
from ircost.cost_models.kernel_table import KernelTable, kernel_table
from ircost.ir import Builder, Function, Module, Value, ops
from ircost.ir.types import TensorType, f16

MOST_S = 2.0
KERNELS = 100_000
Maker = Callable[[Function, np.random.Generator], Value]


def argument(function: Function, *shape: int) -> Value:
    return function.block.add_argument(TensorType(shape, f16))


def product(function: Function, rng: np.random.Generator) -> Value:
    m, n, k = (int(x) for x in rng.integers(1, 8192, 3))
    return ops.matmul(argument(function, 1, m, k), argument(function, 1, k, n))


def convolution(function: Function, rng: np.random.Generator) -> Value:
    channels, filters = (int(x) for x in rng.integers(16, 2048, 2))
    size, kernel = int(rng.integers(7, 112)), int(rng.choice([1, 3]))
    weight = argument(function, filters, channels, kernel, kernel)
    return ops.conv(argument(function, 1, channels, size, size), weight, strides=(1, 1))


def attention(function: Function, rng: np.random.Generator) -> Value:
    batch, rows, keys = int(rng.integers(1, 64)), int(rng.integers(1, 512)), int(rng.integers(512, 8192))
    q, k, v = (argument(function, batch, 16, n, 64) for n in (rows, keys, keys))
    return ops.attention(q, k, v, scale=1.0)


def norm(function: Function, rng: np.random.Generator) -> Value:
    rows, columns = (int(x) for x in rng.integers(1, 8192, 2))
    return ops.softmax(argument(function, rows, columns), axis=-1)


def elementwise(function: Function, rng: np.random.Generator) -> Value:
    rows, columns = (int(x) for x in rng.integers(1, 8192, 2))
    return ops.gelu(argument(function, rows, columns))


# What a network's table is made of, roughly as in the models of docs/models.md.
MIX: dict[Maker, float] = {product: 0.3, convolution: 0.2, attention: 0.05, norm: 0.15, elementwise: 0.3}


def table_of(count: int, mix: dict[Maker, float], seed: int = 0) -> KernelTable:
    rng = np.random.default_rng(seed)
    function = Function("main", [])
    build = Builder(function.block)
    makers = list(mix)
    chosen = rng.choice(len(makers), count, p=np.array(list(mix.values())))
    results = [build(makers[i](function, rng)) for i in chosen]
    build.op(ops.return_.create(results))
    return kernel_table(Module([function]))


# Making so many ops takes longer than estimating them: products alone are fewer.
CASES: dict[str, tuple[int, dict[Maker, float]]] = {"mix": (KERNELS, MIX), "products only": (20_000, {product: 1.0})}


@pytest.mark.parametrize("name", CASES)
def test_estimating_many_kernels(name: str, benchmark: Any) -> None:
    count, mix = CASES[name]
    table = table_of(count, mix)
    target = load_target("h100")
    reference_s = median_s(lambda: COST_MODELS.get("roofline").estimate(table, target), 3)
    estimates = benchmark.pedantic(COST_MODELS.get("analytical").estimate, (table, target), rounds=5, warmup_rounds=1)
    seconds = benchmark.stats.stats.min  # of a machine that others use too
    assert len(estimates.latency_s) == len(table) > 0.99 * count
    benchmark.extra_info.update(kernels=len(table), ratio=seconds / reference_s)
    print(f"\n{name:14} {len(table):7} kernels  {seconds:5.2f} s  {seconds / reference_s:6.1f} x the roofline", end="")
    assert seconds < MOST_S * count / KERNELS
