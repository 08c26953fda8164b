"""The verifier: the rules that every module obeys. It runs after each pass and pins a violation on its op."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from ircost.ir.attributes import Attribute
from ircost.ir.call_graph import check_calls
from ircost.ir.errors import IrcError, VerifyError
from ircost.ir.graph import Block, Function, Module, Op, Value
from ircost.ir.in_place import is_kept, is_read_once
from ircost.ir.types import TensorType

CONTEXT_LINES = 3


Snapshot = tuple[tuple[Value, ...], Mapping[str, Attribute], tuple[TensorType, ...]]


@dataclass(slots=True)
class VerifierMemory:
    """What one run leaves for the next, of the same module after a pass.

    Args:
        inferred: result types of equal ops.
        checked: operands, attributes (these very objects) and result types that were found right together, by op.
        bodies: of composites, found right at this many edits, by block.
    """

    inferred: dict[object, tuple[TensorType, ...] | None] = field(default_factory=dict)
    checked: dict[Op, Snapshot] = field(default_factory=dict)
    bodies: dict[Block, int] = field(default_factory=dict)


def verify(module: Module, memory: VerifierMemory | None = None) -> None:
    """Checks types, dominance, regions, use lists, calls, and each op's own invariants. Linear in the number of ops.

    Args:
        memory: of earlier runs on the same module: saves time from pass to pass.

    Raises:
        VerifyError: names the op and its node, and prints the lines of IR around it.
    """
    _Verifier(module, memory or VerifierMemory()).run()


def faulty_op(error: VerifyError) -> Op | None:
    """The op that an error is pinned on; None where it is of a whole module or function."""
    place = error.at.op if isinstance(error.at, _Around) else error.at
    return place if isinstance(place, Op) else None


class _Verifier:
    def __init__(self, module: Module, memory: VerifierMemory) -> None:
        self.module = module
        self.memory = memory
        self.inferred = memory.inferred
        self.seen: dict[Op, Snapshot] = {}  # in program order
        self.open_blocks: list[Block] = []  # those around the op at hand whose values it may read
        self.reads = self.uses = 0  # operands of all ops, and listed uses of all values
        self.calls: list[tuple[str, Op]] = []  # and the function each stands in

    def run(self) -> None:
        if not self.module.functions:
            raise VerifyError("the module has no function")
        for name, function in self.module.functions.items():
            if name != function.name:
                raise VerifyError(f"function @{function.name} is filed under the name '{name}'")
            self.uses += sum(len(argument.uses) for argument in function.arguments)
            self._block(function.block, "return", function)
        self._check_users()
        self._check_calls()
        self._check_taken_over()
        self.memory.checked = self.seen

    # ---- blocks: order, scopes, terminators

    def _block(self, block: Block, terminator: str, function: Function) -> None:
        last = block.last
        if last is None:
            raise VerifyError(f"a block is empty, '{terminator}' expected", at=f"function @{function.name}")
        if last.name != terminator:
            self._fail(last, f"a block ends with {last.name}, '{terminator}' expected")
        self.open_blocks.append(block)
        for op in block.ops:
            if op.definition.is_terminator and op is not last:
                self._fail(op, f"'{op.name}' is before the end of its block")
            self._op(op, block, function)
        self.open_blocks.pop()

    def _op(self, op: Op, block: Block, function: Function) -> None:
        if op in self.seen:
            self._fail(op, "the op is in two places")
        operands = op.operands
        for index, operand in enumerate(operands):
            producer = operand.producer
            home = operand.block if producer is None else producer.block
            is_made = producer is None or producer in self.seen
            if not is_made or (home is not block and home not in self.open_blocks):
                self._fail(op, self._why_not_visible(op, operand))
            if (op, index) not in operand.uses:
                self._fail(op, f"operand {index} does not list the op among its uses")
        types = tuple([result.type for result in op.results])
        self.seen[op] = operands, op.attrs, types
        self.reads += len(operands)
        for result in op.results:
            self.uses += len(result.uses)
        # Operands that are the same values have the same types, or their own producers are at fault.
        before = None if op.regions or op.name == "call" else self.memory.checked.get(op)
        if before is None or before[0] is not operands or before[1] is not op.attrs or before[2] != types:
            self._check_types(op)
        if op.name == "call":
            self.calls.append((function.name, op))
        if op.regions:
            self._regions(op, function)
        op.definition.verify(op)

    def _regions(self, op: Op, function: Function) -> None:
        for region in op.regions:
            if region.parent is not op:
                self._fail(op, "a region belongs to another op")
            self.uses += sum(len(argument.uses) for argument in region.block.arguments)
            if not op.definition.is_isolated:
                self._block(region.block, "yield", function)
            elif self.memory.bodies.get(region.block) == region.block.edits:
                self.uses -= sum(len(argument.uses) for argument in region.block.arguments)
            else:
                outside, self.open_blocks = self.open_blocks, []
                self._block(region.block, "yield", function)
                self.open_blocks = outside
                if not any(inner.regions for inner in region.block.ops):
                    self.memory.bodies[region.block] = region.block.edits
        self._check_arguments(op)

    def _check_users(self) -> None:
        """Who is listed as a user of a value must stand in the module and read it.

        Every reader was found among the users of what it reads, so that as many users as reads are the readers.
        """
        if self.uses == self.reads:
            return
        for op in self.seen:
            for result in op.results:
                for user, index in result.uses:
                    if user not in self.seen or user.operands[index] is not result:
                        self._fail(op, f"lists '{user.name}' among the users of its result, which does not use it")

    def _why_not_visible(self, op: Op, operand: Value) -> str:
        from ircost.ir.printer import op_line

        if operand.producer is None:
            return "an operand is an argument of another block"
        if operand.producer.block is None:
            return f"an operand is the result of an op that stands nowhere: {op_line(operand.producer)}"
        return "an operand is used before it is defined, or outside of the body that defines it"

    # ---- types

    def _check_types(self, op: Op) -> None:
        definition = op.definition
        try:
            definition.check_operand_count(len(op.operands))
            if len(op.regions) != len(definition.region_names):
                self._fail(op, f"{len(op.regions)} regions, {len(definition.region_names)} expected")
            definition.check_results([result.type for result in op.results])
            expected = self._expected_types(op)
        except VerifyError:
            raise
        except IrcError as error:
            self._fail(op, error.message, error.help)
        actual = tuple([result.type for result in op.results])
        if expected is not None and expected != actual:
            self._fail(op, f"result types are {_types(actual)}, operands and attributes give {_types(expected)}")

    def _expected_types(self, op: Op) -> tuple[TensorType, ...] | None:
        """Inferred once for equal ops; attributes are checked on the way."""
        if op.name == "call":
            return self._callee_types(op)
        operands = [operand.type for operand in op.operands]
        key = None if op.regions else (op.definition, tuple(operands), tuple(op.attrs.values()))
        if key is not None and key in self.inferred:
            return self.inferred[key]
        op.definition.complete_attrs(op.attrs)
        types = None if op.definition.needs_result_types else op.definition.infer(operands, op.attrs, op.regions)
        if key is not None:
            self.inferred[key] = types
        return types

    def _callee_types(self, op: Op) -> tuple[TensorType, ...]:
        callee = self.module.functions.get(str(op.attrs["callee"]))
        if callee is None:
            self._fail(op, f"there is no function @{op.attrs['callee']}")
        expected = [argument.type for argument in callee.arguments]
        if [operand.type for operand in op.operands] != expected:
            self._fail(op, f"@{callee.name} takes {_types(expected)}")
        return tuple([value.type for value in callee.results])

    def _check_arguments(self, op: Op) -> None:
        """Bodies of isolated ops and of `while` take what the op's operands are; those of `if` take nothing."""
        operands = [operand.type for operand in op.operands]
        expected = {"if": [], "scan": None}.get(op.name, operands)
        for region in op.regions:
            actual = [argument.type for argument in region.block.arguments]
            if expected is not None and actual != expected:
                self._fail(op, f"a body takes {_types(actual)}, {_types(expected)} expected")

    # ---- calls

    def _check_calls(self) -> None:
        callees: dict[str, list[str]] = {name: [] for name in self.module.functions}
        for caller, op in self.calls:
            callees[caller].append(str(op.attrs["callee"]))
        check_calls(callees)

    def _check_taken_over(self) -> None:
        """A callee that writes over a part of its argument is the only reader of what the caller passes."""
        callees = {op: self.module.functions[str(op.attrs["callee"])] for _, op in self.calls}
        arguments = dict.fromkeys(argument for callee in callees.values() for argument in callee.arguments)
        kept = {argument for argument in arguments if is_kept(argument, self.module)}
        for op, callee in callees.items():
            for argument, operand in zip(callee.arguments, op.operands, strict=True):
                if argument in kept and not is_read_once(operand):
                    self._fail(
                        op,
                        f"operand {argument.index} is read by others too, and @{callee.name} writes over it",
                        help="let them read the result",
                    )

    def _fail(self, op: Op, message: str, help: str | None = None) -> NoReturn:
        text = message if message.startswith(op.name) else f"{op.name}: {message}"
        raise VerifyError(text, at=_Around(op), help=help)


class _Around:
    """The lines of IR around an op, with a mark at it."""

    def __init__(self, op: Op) -> None:
        self.op = op

    def describe(self) -> list[str]:
        from ircost.ir.printer import lines_around

        return [*(self.op.location.describe() if self.op.location else []), *lines_around(self.op, CONTEXT_LINES)]


def _types(types: Sequence[TensorType]) -> str:
    return f"({', '.join(map(str, types))})"
