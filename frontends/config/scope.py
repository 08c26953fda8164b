"""Where ops are put while a model is built: the main function, or the body of a scan over equal layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import overload

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
        dtype: of weights and activations. quantisation: of the weights of layers; wide: parts of the layer at hand
            that it leaves out; forms: which of several others have.
        outputs: what the model returns, by name.
    """

    function: Function
    weights: Weights
    ledger: Ledger
    dtype: DType
    quantisation: Quantisation | None = None
    wide: tuple[str, ...] = ()
    forms: tuple[tuple[str, int], ...] = ()
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

    def weight(self, name: str, *shape: int, dtype: DType | None = None, padding: int = 0) -> Value:
        """A weight; the same one where its name was asked for before."""
        return self.weight_at((*self.path, name), *shape, dtype=dtype, padding=padding)

    def weight_at(self, path: tuple[str, ...], *shape: int, dtype: DType | None = None, padding: int = 0) -> Value:
        """Under a name that says all."""
        full = ".".join(path)
        type = TensorType(shape, dtype or self.dtype)
        if full not in self.known:
            self.ledger.uses.append(WeightUse(full, type, 1, padding))
            self.known[full] = self.constant(self.weights.data([full], type), type)
        return self.known[full]

    def table(self, name: str, shape: tuple[int, ...], dtype: DType, make: Callable[[], np.ndarray]) -> Value:
        """Numbers that follow from the configuration; made once."""
        if name not in self.known:
            type = TensorType(shape, dtype)
            self.known[name] = self.constant(self.weights.table(name, type, make), type)
        return self.known[name]

    def layer_table(self, name: str, shape: tuple[int, ...], dtype: DType, make: Callable[[int], np.ndarray]) -> Value:
        """Numbers that follow from a layer's place."""
        (number,) = layer_numbers(self.path)
        return self.table(".".join((*self.path, name)), shape, dtype, lambda: make(number))

    def of_layer(self, whole: Value) -> Value:
        """The part of the layer at hand of what all layers have, [layers, ..]."""
        (number,) = layer_numbers(self.path)
        return self(ops.reshape(_rows_of(self, whole, number, 1), shape=whole.type.shape[1:]))

    def constant(self, data: ConstantData, type: TensorType) -> Value:
        return self.build(ops.constant.create((), {"value": data}, result_types=(type,)).result)

    @contextmanager
    def idle(self) -> Iterator[None]:
        """Weights that are asked for inside stand by: they are loaded, and nothing that is made of them runs."""
        block = self.build.block
        last = list(block.ops)[-1:]
        yield
        made = list(block.ops)
        begin = made.index(last[0]) + 1 if last else 0
        for op in reversed(made[begin:]):
            if op.name != "constant":
                block.remove(op)

    def input(self, name: str, type: TensorType) -> Value:
        """An argument of the model, or of its state."""
        return self.set_input(".".join((*self.path, name)), type)

    def set_input(self, full: str, type: TensorType) -> Value:
        """Under a name that says all."""
        self.inputs.append(full)
        value = self.function.block.add_argument(type)
        value.name = full.replace(".", "_")
        return value

    def output(self, name: str, value: Value) -> None:
        self.set_output(".".join((*self.path, name)), value)

    def set_output(self, full: str, value: Value) -> None:
        """Under a name that says all."""
        self.outputs[full] = value


@dataclass(slots=True, kw_only=True)
class LayerScope(Scope):
    """The body of a scan: each weight, state and table of the layer becomes one of its operands.

    Args:
        outer: where the scan will stand. block: its body.
        count: steps.
        sequences: operands of the scan beyond the state. stacked: what each step hands out, by name.
    """

    outer: Scope
    block: Block
    count: int
    sequences: list[Value] = field(default_factory=list)
    stacked: dict[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.build = Builder(self.block)
        self.path = self.outer.path

    def weight(self, name: str, *shape: int, dtype: DType | None = None, padding: int = 0) -> Value:
        full = ".".join((*self.path, name))
        if full not in self.known:
            type = TensorType(shape, dtype or self.dtype)
            names = self._names(full)
            whole = TensorType((self.count, *shape), type.dtype)
            self.ledger.uses.append(WeightUse(full, type, self.count, padding))
            self.known[full] = self._sequence(self.outer.constant(self.weights.data(names, whole), whole), type)
        return self.known[full]

    def table(self, name: str, shape: tuple[int, ...], dtype: DType, make: Callable[[], np.ndarray]) -> Value:
        return self.outer.table(name, shape, dtype, make)

    def layer_table(self, name: str, shape: tuple[int, ...], dtype: DType, make: Callable[[int], np.ndarray]) -> Value:
        full, numbers = ".".join((*self.path, name)), layer_numbers(self.path)
        whole = (self.count, *shape)
        stacked = self.outer.table(full, whole, dtype, lambda: np.stack([make(number) for number in numbers]))
        return self._sequence(stacked, TensorType(shape, dtype))

    def of_layer(self, whole: Value) -> Value:
        numbers, (layers, *rest) = layer_numbers(self.path), whole.type.shape
        step = numbers.step
        # Whole periods are cut out; where the last one is not all there, they begin before the layer.
        ahead = max(numbers.start + self.count * step - layers, 0)
        together = _rows_of(self.outer, whole, numbers.start - ahead, self.count * step)
        together = self.outer(ops.reshape(together, shape=(self.count, step, *rest)))
        starts, size = (0, ahead, *(0,) * len(rest)), (self.count, 1, *rest)
        together = self.outer(ops.subview(together, starts=starts, size=size))
        together = self.outer(ops.reshape(together, shape=(self.count, *rest)))
        return self._sequence(together, TensorType(tuple(rest), whole.type.dtype))

    def input(self, name: str, type: TensorType) -> Value:
        whole = TensorType((self.count, *type.shape), type.dtype)
        full = ".".join((*self.path, name))
        return self._sequence(self.outer.set_input(full, whole), type)

    def output(self, name: str, value: Value) -> None:
        self.stacked[".".join((*self.path, name))] = value

    def _sequence(self, whole: Value, type: TensorType) -> Value:
        self.sequences.append(whole)
        return self.block.add_argument(type)

    def _names(self, full: str) -> LayerNames:
        return LayerNames(full, self.path[len(self.outer.path)], layer_numbers(self.path))


def _rows_of(scope: Scope, whole: Value, begin: int, count: int) -> Value:
    shape = whole.type.shape
    starts = (begin, *(0,) * (len(shape) - 1))
    return scope(ops.subview(whole, starts=starts, size=(count, *shape[1:])))


@dataclass(frozen=True, slots=True)
class LayerNames(Sequence[str]):
    """A weight's name in each of the layers that share it, those at one place of the period; written where it is read.

    Args:
        full: its name in the layers as they are built. part: of that, what names the layers. numbers: theirs.
    """

    full: str
    part: str
    numbers: range

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...

    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return replace(self, numbers=self.numbers[index])
        return self.full.replace(self.part, f"layers.{self.numbers[index]}", 1)


def layers_name(begin: int, period: int, count: int) -> str:
    """Of layers that are built once: ``layers.0-31``, or ``layers.0-30/2`` for every other one.

    >>> layers_name(1, 2, 16)
    'layers.1-31/2'
    """
    last = begin + period * (count - 1)
    return f"layers.{begin}-{last}" + (f"/{period}" if period > 1 else "")


def layer_numbers(path: tuple[str, ...]) -> range:
    """Of the layers that are being built.

    >>> list(layer_numbers(("encoder", "layers.1-7/3", "attention")))
    [1, 4, 7]
    """
    part = next(name for name in path if name.startswith("layers."))
    begin, _, rest = part.removeprefix("layers.").partition("-")
    end, _, step = rest.partition("/")
    return range(int(begin), int(end or begin) + 1, int(step or 1))


def run_layers(
    scope: Scope, x: Value, first: int, period: int, count: int, layer: Callable[[Scope, Value, int], Value]
) -> Value:
    """`run_layers_of` with one state."""

    def of_one(scope: Scope, states: tuple[Value, ...], place: int) -> tuple[Value, ...]:
        return (layer(scope, states[0], place),)

    (out,) = run_layers_of(scope, (x,), first, period, count, of_one)
    return out


def run_layers_of(
    scope: Scope,
    states: tuple[Value, ...],
    first: int,
    period: int,
    count: int,
    layer: Callable[[Scope, tuple[Value, ...], int], tuple[Value, ...]],
) -> tuple[Value, ...]:
    """Layers ``first`` on: in place where they are run once, else as the body of a scan over their weights.

    Args:
        states: what each layer hands on to the next. layer: builds the layer at a place of the period.
    """
    if count == 1:
        for place in range(period):
            with scope.at(f"layers.{first + place}"):
                states = layer(scope, states, place)
        return states
    block = Block([x.type for x in states])
    inner = LayerScope(
        function=scope.function,
        weights=scope.weights,
        ledger=scope.ledger,
        dtype=scope.dtype,
        quantisation=scope.quantisation,
        outer=scope,
        block=block,
        count=count,
    )
    out = tuple(block.arguments)
    for place in range(period):
        with inner.at(layers_name(first + place, period, count)):
            out = layer(inner, out, place)
    block.append(yield_.create([*out, *inner.stacked.values()]))
    attrs = {"length": count, "states": len(states)}
    scan = ops.scan.create([*states, *inner.sequences], attrs, regions=[Region(block)])
    results = scope.build.op(scan).results
    for name, value in zip(inner.stacked, results[len(states) :], strict=True):
        scope.set_output(name, value)
    return tuple(results[: len(states)])
