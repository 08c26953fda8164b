"""Layers to ops, in the function of the network or of a block."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ircost.frontends.yaml.document import Block, number_at
from ircost.frontends.yaml.errors import YamlGraphError
from ircost.frontends.yaml.expression import Number
from ircost.frontends.yaml.inputs import MAX_ELEMENTS
from ircost.frontends.yaml.ir_op import build_op, op_layers
from ircost.frontends.yaml.item import Item, read_item
from ircost.frontends.yaml.layer import LAYERS
from ircost.frontends.yaml.settings import is_nothing, read_settings
from ircost.ir import ops
from ircost.ir.builder import detached_ops
from ircost.ir.constant import Missing
from ircost.ir.errors import IrcError, did_you_mean
from ircost.ir.graph import Function, Value
from ircost.ir.location import Location
from ircost.ir.types import DType, TensorType
from ircost.ir.yaml_document import Entry

# Far above any network that is written by hand; a file from anyone may ask for more than a machine holds.
MOST_LAYERS = 100_000
CONTAINERS = ("layers", "residual", "parallel")  # repeated, they are one function that is called


@dataclass(frozen=True, slots=True)
class BuiltBlock:
    """A block for some params and operand types: the function, and the weights that its callers hand to it."""

    function: Function
    weights: tuple[tuple[str, TensorType], ...]


@dataclass(slots=True)
class Network:
    """What all functions of one network share.

    Args:
        built: blocks by definition, numbers and operand types: equal ones are one function; None for those that are
            laid out in place.
        layers: placed so far, those in repeats as often.
    """

    file: str
    dtype: DType
    names: Mapping[str, Number]
    blocks: Mapping[str, Block]
    built: dict[object, BuiltBlock | None] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)
    layers: int = 0

    def count(self, entry: Entry, times: int = 1) -> None:
        self.layers += times
        if self.layers > MOST_LAYERS:
            raise YamlGraphError(f"more than {MOST_LAYERS} layers and weights", at=entry.position)

    def new_name(self, wanted: str) -> str:
        plain = re.sub(r"\W", "_", wanted) or "block"
        plain = f"block_{plain}" if plain == "main" else plain
        name, number = plain, 1
        while name in self.functions:
            number += 1
            name = f"{plain}_{number}"
        return name


class Body:
    """One function while it is built.

    Args:
        function: takes ops at its end.
        names: params and dims that expressions may use.
        values: by the names that layers may use.
        inside: blocks that this one is in; it cannot be in itself.
    """

    def __init__(
        self,
        network: Network,
        function: Function,
        names: Mapping[str, Number],
        values: Mapping[str, Value],
        prefix: str = "",
        inside: tuple[str, ...] = (),
        is_main: bool = False,
    ) -> None:
        self.network = network
        self.function = function
        self.names = names
        self.values = dict(values)
        self.inside = inside
        self.weights: list[tuple[str, TensorType]] = []
        self.folds_into_weights = False
        self._is_main = is_main
        self._path = prefix
        self._item: Item | None = None

    @property
    def dtype(self) -> DType:
        return self.network.dtype

    # ---- what layers ask for

    def weight(self, shape: Sequence[int], like: Value | DType, name: str) -> Value:
        """A weight of that shape, in the number format of a value: a constant, or an argument of a block."""
        assert self._item is not None, "a layer asks for it"
        type = TensorType(tuple(shape), like.type.dtype if isinstance(like, Value) else like)
        return self._weight(f"{self._path}.{name}" if name else self._path, type, self._item.entry)

    def _weight(self, name: str, type: TensorType, entry: Entry) -> Value:
        self.network.count(entry)
        check_size(type, entry)
        if self._is_main:
            # Each says its own name, so that no pass takes two weights for one.
            data = Missing(f"'{name}': a YAML graph has shapes of weights, not their values")
            value = ops.constant.create((), {"value": data}, result_types=(type,)).result
            assert value.producer is not None, "just made"
            value.producer.location = Location(self.network.file, (name,))
            self.function.block.append(value.producer)
        else:
            value = self.function.block.add_argument(type)
            self.weights.append((name, type))
        value.name = name
        return value

    def inline(self, layers: Entry, name: str, operands: Sequence[Value]) -> Value:
        """Layers within a layer: they see the names around them, their own names end with them."""
        outer_values, outer_path, outer_item = dict(self.values), self._path, self._item
        self._path = f"{outer_path}/{name}" if name else outer_path
        results = self.run(layers, operands)
        self.values, self._path, self._item = outer_values, outer_path, outer_item
        return results[0]

    def listed(self, entry: Entry) -> list[Entry]:
        """Raises:
        YamlGraphError: it is no list.
        """
        if not isinstance(entry.value, list):
            raise YamlGraphError("a list expected", at=entry.position, help="- layer: {settings}")
        return entry.entries

    # ---- layers

    def run(self, layers: Entry, operands: Sequence[Value]) -> Sequence[Value]:
        """All layers of a list; each takes what the one before gave. Returns what the last one gave."""
        path = self._path
        for number, entry in enumerate(self.listed(layers)):
            item = read_item(entry, number)
            operands = self.place_item(item, operands, path)
        self._path = path
        return operands

    def place_item(self, item: Item, before: Sequence[Value], path: str) -> Sequence[Value]:
        results: Sequence[Value] = [self.find(name) for name in item.sources] or before[:1]
        count = 1 if item.repeat is None else self.times(item.repeat)
        group = self.group_of(item) if item.repeat is not None and item.kind in CONTAINERS else None
        for index in range(count):
            own = f"{path}/{item.label}".lstrip("/")
            self._path = own if item.repeat is None else f"{own}.{index}"
            self._item = item
            names = {**self.names, item.index: index} if item.index else self.names
            results = self.place(item, results, names, group)
        self.name_results(item, results)
        return results

    def times(self, entry: Entry) -> int:
        count = number_at(entry, self.names, "repeat")
        if not isinstance(count, int) or not 1 <= count <= MOST_LAYERS:
            raise YamlGraphError(f"repeat: {count}, a whole number from 1 expected", at=entry.position)
        return count

    def group_of(self, item: Item) -> Block:
        """A layer that holds layers, repeated: a block without a name of its own."""
        alone = Entry([item.without_repeat()], item.entry.file, item.entry.line, item.entry.column)
        return Block(item.label, {}, ("input",), alone, (), item.entry)

    def place(
        self, item: Item, operands: Sequence[Value], names: Mapping[str, Number], group: Block | None
    ) -> Sequence[Value]:
        """One layer, once.

        Raises:
            YamlGraphError: there is no such layer, or the operands do not fit.
        """
        self.network.count(item.entry)
        outer, self.names = self.names, names
        try:
            results = self.built_layer(item, operands, group)
        except YamlGraphError:
            raise
        except IrcError as error:
            message = error.message.removeprefix(f"{item.kind}: ")
            raise YamlGraphError(
                f"{item.kind} '{self._path}': {message}", at=item.entry.position, help=error.help
            ) from None
        finally:
            self.names = outer
        for op in detached_ops(results):
            op.location = Location(self.network.file, (self._path,))
            self.function.block.append(op)
        for result in results:
            check_size(result.type, item.entry)
        return results

    def built_layer(self, item: Item, operands: Sequence[Value], group: Block | None) -> Sequence[Value]:
        block = group or self.network.blocks.get(item.kind)
        if block is not None:
            return self.call(block, item, operands)
        if item.kind in LAYERS:
            model = LAYERS[item.kind]
            taken = take(item, operands, *model.operand_counts)
            self.folds_into_weights |= model.folds_into_weights
            layer = read_settings(model, item.settings, self.names, item.kind)
            made = layer.build(self, *taken)
            return [made] if isinstance(made, Value) else made
        op = op_layers().get(item.kind)
        if op is None:
            known = [*self.network.blocks, *LAYERS, *op_layers()]
            help = did_you_mean(item.kind, known, "docs/yaml-graphs.md has all")
            raise YamlGraphError(f"no layer '{item.kind}'", at=item.entry.position, help=help)
        least = len(op.operand_names) - op.is_variadic
        most = MOST_LAYERS if op.is_variadic else least
        return build_op(op, item.settings, self.names, take(item, operands, least, most))

    def find(self, entry: Entry) -> Value:
        if entry.value in self.values:
            return self.values[entry.value]
        where = f"block '{self.inside[-1]}' sees its own inputs and layers only" if self.inside else ""
        help = " ".join(filter(None, [did_you_mean(entry.value, self.values) if self.values else "", where]))
        raise YamlGraphError(f"no layer or input is called '{entry.value}' here", at=entry.position, help=help)

    def name_results(self, item: Item, results: Sequence[Value]) -> None:
        if len(item.names) > len(results):
            given = f"{len(item.names)} names, {item.kind} has {len(results)} results"
            raise YamlGraphError(given, at=item.names[0].position)
        for entry, value in zip(item.names, results, strict=False):
            if entry.value in self.values:
                raise YamlGraphError(f"two values are called '{entry.value}'", at=entry.position, help="rename one")
            self.values[entry.value] = value
            value.name = value.name or entry.value

    # ---- blocks

    def call(self, block: Block, item: Item, operands: Sequence[Value]) -> Sequence[Value]:
        """A call of the block's function for these numbers and types, which is built once."""
        if block.name in self.inside:
            raise YamlGraphError(f"block '{block.name}' is in itself", at=item.entry.position)
        taken = take(item, operands, len(block.inputs), len(block.inputs))
        names = dict(self.names) if block.name not in self.network.blocks else self.params_of(block, item)
        key = (block.entry.position, tuple(sorted(names.items())), tuple(value.type for value in taken))
        if key not in self.network.built:
            self.network.built[key] = self.build(block, names, taken)
        built = self.network.built[key]
        if built is None:
            return self.lay_out(block, names, taken)
        results = [value.type for value in built.function.results]
        path = self._path
        weights = [self._weight(f"{path}/{name}", type, item.entry) for name, type in built.weights]
        call = ops.call.create([*taken, *weights], {"callee": built.function.name}, result_types=results)
        return call.results

    def lay_out(self, block: Block, names: Mapping[str, Number], operands: Sequence[Value]) -> Sequence[Value]:
        """The block's layers here, without a call: what is folded into weights must see that they are weights."""
        kept = self.values, self.names, self.inside, self._path, self._item
        self.values, self.names = dict(zip(block.inputs, operands, strict=True)), names
        self.inside = (*self.inside, block.name)
        self.folds_into_weights = True
        results = self.run(block.layers, operands)
        results = [self.find(entry) for entry in block.outputs] or results
        self.values, self.names, self.inside, self._path, self._item = kept
        return results

    def params_of(self, block: Block, item: Item) -> dict[str, Number]:
        """Numbers that a named block sees: the network's, and its own params."""
        given = item.settings.section
        if not given and not is_nothing(item.settings):
            if not block.params:
                raise YamlGraphError(f"block '{block.name}' has no params", at=item.settings.position)
            given = {next(iter(block.params)): item.settings}
        for name, entry in given.items():
            if name not in block.params:
                known = did_you_mean(name, block.params) if block.params else "it has none"
                raise YamlGraphError(f"block '{block.name}' has no param '{name}'", at=entry.position, help=known)
        names = dict(self.network.names)
        for name, default in block.params.items():
            if name in given:
                names[name] = number_at(given[name], self.names, f"{block.name}: {name}")
            elif default is not None:
                names[name] = number_at(default, names, f"{block.name}: {name}")
            else:
                message = f"block '{block.name}': param '{name}' is missing"
                raise YamlGraphError(message, at=item.entry.position)
        return names

    def build(self, block: Block, names: Mapping[str, Number], operands: Sequence[Value]) -> BuiltBlock | None:
        """The block as a function; None where a layer of it is folded into weights, which only their caller knows."""
        name = self.network.new_name(block.name)
        function = Function(name, [value.type for value in operands])
        self.network.functions[name] = function  # the name is taken from here on; callees are moved above it below
        values = dict(zip(block.inputs, function.arguments, strict=True))
        for input_name, value in values.items():
            value.name = input_name
        body = Body(self.network, function, names, values, block.name, (*self.inside, block.name))
        results = body.run(block.layers, function.arguments[: len(operands)])
        results = [body.find(entry) for entry in block.outputs] or results
        function.block.append(ops.return_.create(results))
        del self.network.functions[name]
        if body.folds_into_weights:
            return None
        self.network.functions[name] = function
        return BuiltBlock(function, tuple((label.removeprefix(f"{block.name}/"), type) for label, type in body.weights))


def take(item: Item, operands: Sequence[Value], least: int, most: int) -> Sequence[Value]:
    """The operands of a layer, as many as it takes.

    Raises:
        YamlGraphError: there are fewer or more.
    """
    if most == 0 and not item.sources:
        return ()
    if not least <= len(operands) <= most:
        wanted = str(least) if least == most else f"{least} or more" if most > 8 else f"{least} to {most}"
        help = "name them: from: [first, second]" if len(operands) < least else None
        message = f"{item.kind} '{item.label}' takes {wanted} values, {len(operands)} given"
        raise YamlGraphError(message, at=item.entry.position, help=help)
    return operands


def check_size(type: TensorType, entry: Entry) -> None:
    if type.elements > MAX_ELEMENTS:
        raise YamlGraphError(f"a value of {type} is larger than any memory", at=entry.position)
