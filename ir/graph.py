"""The graph: values, ops, blocks, regions, functions, modules, and who uses what.

SSA: each value has one producer, and an op stands below the producers of its operands. A region holds one
block, since control flow is structured (`if`, `while`, `scan`, `call`): there are no branches.

Everything but the graph is immutable, and only the rewriter and builders change the graph. An op is *detached*
until a block takes it in; use lists hold attached ops only, so that an op which was made and then thrown
away leaves no trace.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ircost.ir.location import Location
from ircost.ir.types import TensorType

if TYPE_CHECKING:
    from ircost.ir.attributes import Attribute
    from ircost.ir.definition import OpDefinition


class Value:
    """The result of an op or the argument of a block.

    ``uses`` maps (op, operand index) of each attached user to None: a set that keeps program order.
    """

    __slots__ = ("block", "index", "name", "producer", "type", "uses")

    def __init__(
        self, type: TensorType, *, producer: Op | None = None, block: Block | None = None, index: int = 0
    ) -> None:
        self.type = type
        self.producer = producer
        self.block = block
        self.index = index
        self.name: str | None = None
        self.uses: dict[tuple[Op, int], None] = {}

    @property
    def users(self) -> list[Op]:
        """Ops that take this value, each once, in the order in which they began to."""
        return list(dict.fromkeys(op for op, _ in self.uses))

    def __repr__(self) -> str:
        return f"%{self.name or '?'}: {self.type}"


class Op:
    """One operation. ``name`` says which; ``definition`` says what that means.

    Args:
        definition: what the op is; gives shapes, meaning and cost.
        operands: values it reads.
        attrs: constants that choose a variant; never changed in place.
        regions: bodies of a composite, kernel or control-flow op.
        result_types: a result for each.
        location: nodes of the user's model it stands for.
    """

    __slots__ = (
        *("attrs", "block", "definition", "location", "name", "next"),
        *("_operands", "_replaced", "previous", "regions", "results"),
    )

    def __init__(
        self,
        definition: OpDefinition,
        operands: Sequence[Value],
        attrs: Mapping[str, Attribute],
        result_types: Iterable[TensorType],
        regions: Sequence[Region] = (),
        location: Location | None = None,
    ) -> None:
        self.definition = definition
        self.name = definition.name
        self._operands = tuple(operands)
        # Since they were last asked for: to set one of thousands after another takes linear time.
        self._replaced: dict[int, Value] | None = None
        self.attrs = attrs
        self.regions = tuple(regions)
        self.location = location
        self.block: Block | None = None
        self.previous: Op | None = None
        self.next: Op | None = None
        self.results = tuple([Value(type, producer=self, index=i) for i, type in enumerate(result_types)])
        for region in self.regions:
            region.parent = self

    @property
    def result(self) -> Value:
        """The only result."""
        assert len(self.results) == 1, f"{self.name} has {len(self.results)} results"
        return self.results[0]

    @property
    def parent(self) -> Op | None:
        """The op whose region this one stands in; None at the top of a function."""
        return self.block.parent_op if self.block is not None else None

    @property
    def has_uses(self) -> bool:
        results = self.results
        return bool(results[0].uses) if len(results) == 1 else any(result.uses for result in results)

    @property
    def operands(self) -> tuple[Value, ...]:
        """Values that it reads."""
        if self._replaced is not None:
            operands = list(self._operands)
            for index, value in self._replaced.items():
                operands[index] = value
            self._operands, self._replaced = tuple(operands), None
        return self._operands

    def set_operand(self, index: int, value: Value) -> None:
        """Reads ``value`` instead; keeps the use lists."""
        if self._replaced is None:
            self._replaced = {}
        if self.block is not None:
            old = self._replaced.get(index) or self._operands[index]
            del old.uses[self, index]
            value.uses[self, index] = None
            self.block.edits += 1
        self._replaced[index] = value

    def set_operands(self, operands: Sequence[Value]) -> None:
        """Reads these instead, as many; keeps the use lists."""
        for index, (old, new) in enumerate(zip(self.operands, operands, strict=True)):
            if old is not new:
                self.set_operand(index, new)

    def walk(self) -> Iterator[Op]:
        """This op, then all ops in its regions, top to bottom."""
        yield self
        for region in self.regions:
            yield from region.block.walk()

    def describe(self) -> list[str]:
        """For errors: the node, the op's line, and the type of each operand."""
        from ircost.ir.printer import describe_op

        return describe_op(self)

    def __repr__(self) -> str:
        from ircost.ir.printer import op_line

        return op_line(self)


class Block:
    """A list of ops and the arguments they may read. The last op is the terminator.

    ``edits`` grows with every change of its own ops or their operands: who finds it as it was need not look again.
    """

    __slots__ = ("_added", "_arguments", "edits", "first", "last", "region")

    def __init__(self, argument_types: Iterable[TensorType] = ()) -> None:
        self._arguments = tuple([Value(type, block=self, index=i) for i, type in enumerate(argument_types)])
        self._added: list[Value] = []  # since they were last asked for: adding one by one takes linear time
        self.edits = 0
        self.first: Op | None = None
        self.last: Op | None = None
        self.region: Region | None = None

    @property
    def arguments(self) -> tuple[Value, ...]:
        if self._added:
            self._arguments += tuple(self._added)
            self._added.clear()
        return self._arguments

    @property
    def parent_op(self) -> Op | None:
        parent = self.region.parent if self.region is not None else None
        return parent if isinstance(parent, Op) else None

    @property
    def ops(self) -> Iterator[Op]:
        """Top to bottom; the op at hand may be erased, or others inserted before it, meanwhile."""
        op = self.first
        while op is not None:
            following = op.next
            yield op
            op = following

    @property
    def terminator(self) -> Op:
        assert self.last is not None, "a block without ops has no terminator"
        return self.last

    def walk(self) -> Iterator[Op]:
        """All ops, those in nested regions included, top to bottom."""
        for op in self.ops:
            yield op
            if op.regions:
                for region in op.regions:
                    yield from region.block.walk()

    def append(self, op: Op) -> Op:
        """Adds a detached op at the end."""
        return self._link(op, self.last, None)

    def insert_before(self, op: Op, anchor: Op) -> Op:
        """Adds a detached op just above ``anchor``."""
        assert anchor.block is self, "the anchor stands in another block"
        return self._link(op, anchor.previous, anchor)

    def remove(self, op: Op) -> None:
        """Detaches an op; its operands forget it. Its results must not be in use any more if it is to be dropped."""
        assert op.block is self, "the op stands in another block"
        self.edits += 1
        for index, operand in enumerate(op.operands):
            del operand.uses[op, index]
        if op.previous is None:
            self.first = op.next
        else:
            op.previous.next = op.next
        if op.next is None:
            self.last = op.previous
        else:
            op.next.previous = op.previous
        op.block = op.previous = op.next = None

    def add_argument(self, type: TensorType) -> Value:
        argument = Value(type, block=self, index=len(self._arguments) + len(self._added))
        self.edits += 1
        self._added.append(argument)
        return argument

    def _link(self, op: Op, previous: Op | None, following: Op | None) -> Op:
        assert op.block is None, f"{op.name} stands in a block already"
        self.edits += 1
        op.block, op.previous, op.next = self, previous, following
        if previous is None:
            self.first = op
        else:
            previous.next = op
        if following is None:
            self.last = op
        else:
            following.previous = op
        for index, operand in enumerate(op.operands):
            operand.uses[op, index] = None
        return op


class Region:
    """A body: one block, and the op or function it belongs to."""

    __slots__ = ("block", "parent")

    def __init__(self, block: Block) -> None:
        self.block = block
        self.parent: Op | Function | None = None
        block.region = self


class Function:
    """A named body with typed arguments; its terminator is `return`.

    A model of 80 equal layers is one function called 80 times.
    """

    __slots__ = ("attrs", "body", "name")

    def __init__(
        self,
        name: str,
        argument_types: Iterable[TensorType] = (),
        attrs: Mapping[str, Attribute] | None = None,
    ) -> None:
        self.name = name
        self.attrs: Mapping[str, Attribute] = attrs or {}
        self.body = Region(Block(argument_types))
        self.body.parent = self

    @property
    def block(self) -> Block:
        return self.body.block

    @property
    def arguments(self) -> tuple[Value, ...]:
        return self.body.block.arguments

    @property
    def results(self) -> tuple[Value, ...]:
        """What it returns."""
        return self.block.terminator.operands

    def walk(self) -> Iterator[Op]:
        """All ops, those in nested regions included, top to bottom."""
        return self.block.walk()

    def __repr__(self) -> str:
        return f"<function @{self.name} of {len(self.arguments)} arguments>"


class Module:
    """Functions by name, in order; ``main`` is where a run begins.

    Args:
        name: of the model; may be empty.
        attrs: facts about the whole, such as the producer of the file.
    """

    __slots__ = ("attrs", "functions", "name")

    def __init__(
        self, functions: Iterable[Function] = (), name: str = "", attrs: Mapping[str, Attribute] | None = None
    ) -> None:
        self.name = name
        self.attrs: Mapping[str, Attribute] = attrs or {}
        self.functions: dict[str, Function] = {}
        for function in functions:
            self.add(function)

    def add(self, function: Function) -> Function:
        assert function.name not in self.functions, f"two functions are called @{function.name}"
        self.functions[function.name] = function
        return function

    @property
    def main(self) -> Function:
        """The function called ``main``, or else the last one: callees stand above their callers."""
        return self.functions.get("main") or list(self.functions.values())[-1]

    def walk(self) -> Iterator[Op]:
        """All ops of all functions, top to bottom."""
        for function in self.functions.values():
            yield from function.walk()

    def __repr__(self) -> str:
        return f"<module{' @' + self.name if self.name else ''}: {', '.join('@' + name for name in self.functions)}>"

    def __str__(self) -> str:
        from ircost.ir.printer import print_module

        return print_module(self)


def replace_value(old: Value, new: Value) -> None:
    """Every user of ``old`` reads ``new`` instead."""
    for op, index in list(old.uses):
        op.set_operand(index, new)


def sole_producer(value: Value, name: str) -> Op | None:
    """The op called ``name`` that makes a value which one op alone reads; None for all others."""
    op = value.producer
    return op if op is not None and op.name == name and len(value.uses) == 1 else None
