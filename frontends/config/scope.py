"""Where ops are put while a model is built: the main function, or the body of a scan over equal layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from ircost.frontends.config.architecture import Quantisation
from ircost.frontends.config.weights import Ledger, Weights, WeightUse
from ircost.ir import ops
from ircost.ir.builder import Builder
from ircost.ir.constant import ConstantData
from ircost.ir.graph import Block, Function, Region, Value
from ircost.ir.location import Location
from ircost.ir.terminators import yield_
from ircost.ir.types import DType, TensorType


@dataclass(slots=True, kw_only=True)
class Scope:
    """Makes ops, weights, inputs and outputs in the main function.

    Args:
        dtype: of weights and activations. quantisation: of the weights of layers.
        outputs: what the model returns, by name.
    """

    function: Function
    weights: Weights
    ledger: Ledger
    dtype: DType
    quantisation: Quantisation | None = None
    inputs: list[str] = field(default_factory=list)
    outputs: dict[str, Value] = field(default_factory=dict)
    known: dict[str, Value] = field(default_factory=dict)
    build: Builder = field(init=False)
    path: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.build = Builder(self.function.block)

    def __call__(self, value: Value) -> Value:
        """Puts the detached ops behind a value in place."""
        return self.build(value)

    @contextmanager
    def at(self, name: str) -> Iterator[None]:
        """What is made inside is for this part of the model."""
        before, location = self.path, self.build.location
        self.path = (*before, name)
        self.build.location = Location("", (".".join(self.path),))
        yield
        self.path, self.build.location = before, location

    def weight(self, name: str, *shape: int, dtype: DType | None = None, is_parameter: bool = True) -> Value:
        """A weight; the same one where its name was asked for before. Scales of others are no parameters."""
        full = ".".join((*self.path, name))
        type = TensorType(shape, dtype or self.dtype)
        if full not in self.known:
            self.ledger.uses.append(WeightUse(full, type, 1, is_parameter))
            self.known[full] = self.constant(self.weights.data([full], type), type)
        return self.known[full]

    def table(self, name: str, shape: tuple[int, ...], dtype: DType, make: Callable[[], np.ndarray]) -> Value:
        """Numbers that follow from the configuration; made once."""
        if name not in self.known:
            type = TensorType(shape, dtype)
            self.known[name] = self.constant(self.weights.table(name, type, make), type)
        return self.known[name]

    def constant(self, data: ConstantData, type: TensorType) -> Value:
        return self.build(ops.constant.create((), {"value": data}, result_types=(type,)).result)

    def input(self, name: str, type: TensorType) -> Value:
        """An argument of the model, or of its state."""
        full = ".".join((*self.path, name))
        self.inputs.append(full)
        value = self.function.block.add_argument(type)
        value.name = full.replace(".", "_")
        return value

    def output(self, name: str, value: Value) -> None:
        self.outputs[".".join((*self.path, name))] = value


@dataclass(slots=True, kw_only=True)
class LayerScope(Scope):
    """The body of a scan: each weight, state and table of the layer becomes one of its operands.

    Args:
        outer: where the scan will stand. block: its body.
        first: number of its first layer. period: layers of one step. count: steps.
        sequences: operands of the scan beyond the state. stacked: what each step hands out, by name.
    """

    outer: Scope
    block: Block
    first: int
    period: int
    count: int
    sequences: list[Value] = field(default_factory=list)
    stacked: dict[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.build = Builder(self.block)

    def weight(self, name: str, *shape: int, dtype: DType | None = None, is_parameter: bool = True) -> Value:
        full = ".".join((*self.path, name))
        if full not in self.known:
            type = TensorType(shape, dtype or self.dtype)
            names = [".".join((f"layers.{number}", *self.path[1:], name)) for number in self._numbers()]
            whole = TensorType((self.count, *shape), type.dtype)
            self.ledger.uses.append(WeightUse(full, type, self.count, is_parameter))
            self.known[full] = self._sequence(self.outer.constant(self.weights.data(names, whole), whole), type)
        return self.known[full]

    def table(self, name: str, shape: tuple[int, ...], dtype: DType, make: Callable[[], np.ndarray]) -> Value:
        return self.outer.table(name, shape, dtype, make)

    def input(self, name: str, type: TensorType) -> Value:
        whole = TensorType((self.count, *type.shape), type.dtype)
        full = ".".join((*self.path, name))
        return self._sequence(self.outer.input(full, whole), type)

    def output(self, name: str, value: Value) -> None:
        self.stacked[".".join((*self.path, name))] = value

    def _sequence(self, whole: Value, type: TensorType) -> Value:
        self.sequences.append(whole)
        return self.block.add_argument(type)

    def _numbers(self) -> range:
        """Of the layers that share a weight's name: those at one place of the period."""
        place = int(self.path[0].rsplit("+", 1)[1]) if "+" in self.path[0] else 0
        return range(self.first + place, self.first + self.period * self.count, self.period)


def run_layers(
    scope: Scope, x: Value, first: int, period: int, count: int, layer: Callable[[Scope, Value, int], Value]
) -> Value:
    """Layers ``first`` on: in place where they are run once, else as the body of a scan over their weights.

    Args:
        layer: builds the layer at a place of the period.
    """
    if count == 1:
        for place in range(period):
            with scope.at(f"layers.{first + place}"):
                x = layer(scope, x, place)
        return x
    block = Block([x.type])
    inner = LayerScope(
        function=scope.function,
        weights=scope.weights,
        ledger=scope.ledger,
        dtype=scope.dtype,
        quantisation=scope.quantisation,
        outer=scope,
        block=block,
        first=first,
        period=period,
        count=count,
    )
    out = block.arguments[0]
    for place in range(period):
        name = "layers.*" if period == 1 else f"layers.*+{place}"
        with inner.at(name):
            out = layer(inner, out, place)
    results = [out, *inner.stacked.values()]
    block.append(yield_.create(results))
    attrs = {"length": count, "states": 1}
    scan = ops.scan.create([x, *inner.sequences], attrs, regions=[Region(block)])
    last, *stacked = scope.build.op(scan).results
    for name, value in zip(inner.stacked, stacked, strict=True):
        scope.output(name, value)
    return last
