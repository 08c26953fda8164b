"""What an op is: its operands and attributes, its result types, its meaning, its work.

`OpDefinition` is the one interface that the verifier, the interpreter, the printer and the cost models know.
`StructuredOp` fills it in from index notation; other ops fill it in by hand, in the file that declares them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from inspect import isfunction
from typing import TYPE_CHECKING, NoReturn, TypeVar

import numpy as np

from ircost.ir.attributes import Attribute, Attributes, AttributeSpec, Required
from ircost.ir.counts import NO_COUNTS, Counts, Traffic, total, work_of
from ircost.ir.errors import (
    AttributeTypeError,
    InterpreterError,
    IrcError,
    OperandError,
    Place,
    ShapeError,
    did_you_mean,
)
from ircost.ir.fault import InternalError, is_ours
from ircost.ir.graph import Block, Op, Region, Value
from ircost.ir.registry import Registry
from ircost.ir.types import MAX_ELEMENTS, DType, TensorType

if TYPE_CHECKING:
    from ircost.ir.index import IterationSpace
    from ircost.ir.location import Location

Arrays = Sequence[np.ndarray]
Declared = TypeVar("Declared")


class InternalOpError(InternalError):
    """What an op's declaration computes of it raises something that is no word to the user.

    Args:
        method: of the declaration, that raised ``cause``.
        at: the op, where there is one.
    """

    part = "op"

    def __init__(self, definition: OpDefinition, method: str, cause: Exception, at: Place | None = None) -> None:
        self.author = definition.declared_in
        super().__init__(
            f"{definition.name}: its {method} fails: {type(cause).__name__}: {cause}",
            at=at,
            help=f"{method} is declared in {self.author}",
        )


class OpDefinition(ABC):
    """An op's declaration.

    Class attributes and fields:
        name: as written in the text format.
        operand_names: what each operand is for; with ``is_variadic`` the last may occur any number of times.
        attributes: specs by name, in the order in which they are printed.
        is_pure: same operands, same results, nothing else happens. Pure ops may be merged, folded, dropped.
        is_view: results share the operand's bytes; no kernel runs.
        is_commutative: the two operands may change places.
        is_terminator: ends a block.
        region_names: labels of its regions, in order.
        is_one_launch: a device runs it as one kernel, whatever loops its body has.
        follows_bounds: takes operands with an extent that depends on data, and says so of its results.
        is_isolated: its regions see their own arguments only, which stand for the operands.
    """

    name: str
    operand_names: tuple[str, ...] = ()
    attributes: Mapping[str, AttributeSpec] = {}
    is_variadic: bool = False
    is_pure: bool = True
    is_view: bool = False
    is_commutative: bool = False
    is_terminator: bool = False
    is_composite: bool = False
    is_one_launch: bool = False
    region_names: tuple[str, ...] = ()
    is_isolated: bool = False
    follows_bounds: bool = False
    # Result types cannot be derived from operands and attributes: the text format must give them.
    needs_result_types: bool = False
    # How many those are; None: any number.
    result_count: int | None = None

    @abstractmethod
    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        """Result types; raises ShapeError, DTypeError or AttributeTypeError where operands do not fit.

        Not called for ops that need their result types given.
        """

    def evaluate(self, op: Op, operands: Arrays) -> Sequence[np.ndarray]:
        """The op's meaning: result arrays. Not called for ops with regions: the interpreter runs those."""
        raise InterpreterError(
            f"{self.name} has no evaluate, so it cannot be run",
            at=op,
            help=f"write evaluate(self, op, operands) in {self.declared_in}; it returns a list of arrays",
        )

    def counts(self, op: Op) -> Counts:
        """Operations of one execution; of an op with regions, those of its bodies."""
        if not op.regions:
            return NO_COUNTS
        return total(counts.times(times) for _, times, counts in work_of(op))

    def counts_within(self, op: Op, inner: Op, counts: Counts) -> Counts:
        """Of the counts of an op in the body, those that are needed: a kernel of its own may skip what is masked."""
        return counts

    def arithmetic_within(self, op: Op, inner: Op) -> DType | None:
        """Format that a kernel of its own computes an op of the body in; None where it is that of the op's operands."""
        return None

    def operand_bytes(self, op: Op) -> Sequence[int]:
        """Bytes that must be read of each operand; of one with regions, what the bodies read of their arguments."""
        if self.is_isolated:
            return body_reads(op.regions[0].block, lambda inner: inner.definition.operand_bytes(inner))
        return [operand.type.size_bytes for operand in op.operands]

    def fewest_operand_bytes(self, op: Op) -> Sequence[int]:
        """The same of the run that reads least, where data decide what is read."""
        counted = self.operand_bytes(op)
        if not self.is_isolated:
            return counted
        inside = body_reads(op.regions[0].block, lambda inner: inner.definition.fewest_operand_bytes(inner))
        return [min(pair) for pair in zip(counted, inside, strict=True)]

    def traffic(self, op: Op) -> Traffic:
        """Compulsory bytes of one execution: each operand and result once; views and control flow move nothing."""
        if self.is_view or self.is_terminator or (op.regions and not self.is_isolated):
            return Traffic(0, 0)
        read: dict[Value, int] = {}
        for value, n in zip(op.operands, self.operand_bytes(op), strict=True):
            read[value] = max(n, read.get(value, 0))
        return Traffic(sum(read.values()), sum(result.type.size_bytes for result in op.results))

    def overwritten(self, op: Op) -> Mapping[int, int]:
        """Results that lie where an operand lay that nothing else reads: result index -> operand index.

        The rest of that memory stays as it is. So caches and states outlive a run, in memory that the caller owns.
        """
        return {}

    def iteration_space(self, op: Op) -> IterationSpace | None:
        """Dims and access maps; None where access depends on data or is no affine map."""
        return None

    def joined_axis(self, op: Op) -> int | None:
        """Axis along which the result is its operands one after another; None where it is something else."""
        return None

    def inverse(self, op: Op, index: int, result: Value, operands: Sequence[Value]) -> Value | None:
        """Operand ``index`` out of the result and the other operands, as detached ops; None where it is lost.

        Of floats it is equal up to rounding only, and not at all where the result is infinite.

        Args:
            op: what was computed. result, operands: values that stand for the op's own; operand ``index`` is not read.
        """
        return None

    def verify(self, op: Op) -> None:  # noqa: B027  # most ops have none
        """Invariants beyond types; raises VerifyError."""

    def build_regions(self, operands: Sequence[TensorType], attrs: Attributes) -> tuple[Region, ...]:
        """Regions of a new op where none are given: the decomposition of a composite."""
        return ()

    @property
    def is_contraction(self) -> bool:
        """Whether matrix units can run it: it sums products of two operands."""
        return False

    @property
    def is_move(self) -> bool:
        """Whether the result holds elements of the only operand, in other places, and nothing else."""
        return False

    @property
    def doc(self) -> str:
        return self.__doc__ or ""

    @property
    def declared_in(self) -> str:
        """The module that declares it: that of the function it is made of, or else of its class."""
        made_of = next((value for value in vars(self).values() if isfunction(value)), type(self))
        return made_of.__module__

    # ---- making ops

    def __call__(self, *operands: Value, **attrs: Attribute) -> Value:
        """A new, detached op with one result: that result."""
        op = self.create(operands, attrs)
        return op.results[0] if len(op.results) == 1 else op.results  # type: ignore[return-value]

    def results(self, *operands: Value, **attrs: Attribute) -> tuple[Value, ...]:
        """A new, detached op: all its results."""
        return self.create(operands, attrs).results

    def create(
        self,
        operands: Sequence[Value],
        attrs: Mapping[str, Attribute] | None = None,
        *,
        regions: Sequence[Region] = (),
        result_types: Sequence[TensorType] | None = None,
        location: Location | None = None,
    ) -> Op:
        """A new, detached op.

        Args:
            operands: values it reads.
            attrs: those that differ from their defaults.
            regions: bodies; a composite without one gets its declared decomposition.
            result_types: of ops whose operands do not tell.

        Raises:
            AttributeTypeError, OperandError, ShapeError, DTypeError: operands or attributes do not fit.
        """
        if not all(isinstance(operand, Value) for operand in operands):
            self._refuse_operand(operands)
        self.check_operand_count(len(operands))
        complete = self.complete_attrs(attrs or {})
        types = [operand.type for operand in operands]
        self.check_bounded(types)
        if not regions:
            regions = self._declared("build_regions", lambda: self.build_regions(types, complete), location)
        if len(regions) != len(self.region_names):
            raise ShapeError(f"{self.name}: {len(regions)} bodies given, expected {len(self.region_names)}")
        if result_types is None:
            result_types = self._declared("infer", lambda: self.infer(types, complete, regions), location)
        self.check_results(result_types)
        return Op(self, operands, complete, result_types, regions, location)

    def _declared(self, method: str, compute: Callable[[], Declared], location: Location | None) -> Declared:
        """What a method of the declaration gives. Somebody else's that stumbles is told as theirs."""
        try:
            return compute()
        except IrcError:
            raise
        except Exception as error:
            if is_ours(self.declared_in):
                raise
            raise InternalOpError(self, method, error, location) from error

    def _refuse_operand(self, operands: Sequence[object]) -> NoReturn:
        position, given = next((i, v) for i, v in enumerate(operands) if not isinstance(v, Value))
        what = repr(given) if isinstance(given, (int, float)) else type(given).__name__
        raise OperandError(
            f"{self.name}: operand {position} is {what}, a value expected",
            help="numbers become values by ops.constant_of(array), attributes are given by their names",
        )

    def check_operand_count(self, count: int) -> None:
        expected = len(self.operand_names)
        if count == expected or (self.is_variadic and count >= expected - 1):
            return
        names = ", ".join(self.operand_names) or "none"
        more = " and more" if self.is_variadic else ""
        raise ShapeError(f"{self.name}: {count} operands given, expected {expected} ({names}){more}")

    def check_results(self, types: Sequence[TensorType]) -> None:
        """Raises ShapeError where one is larger than any memory, or there are too many or too few."""
        if self.result_count is not None and len(types) != self.result_count:
            raise ShapeError(f"{self.name}: {len(types)} results, expected {self.result_count}")
        for type in types:
            if type.elements > MAX_ELEMENTS:
                raise ShapeError(f"{self.name}: a result of {type} is larger than any memory")

    def check_bounded(self, operands: Sequence[TensorType]) -> None:
        if self.follows_bounds or self.is_terminator:
            return
        for type in operands:
            if type.bounded:
                raise ShapeError(
                    f"{self.name}: operand {type} has an extent that depends on data, which it cannot take",
                    help="bind the inputs that the extent depends on: --value name=...",
                )

    def complete_attrs(self, attrs: Mapping[str, Attribute]) -> dict[str, Attribute]:
        """Attributes with defaults filled in, in declared order.

        Raises:
            AttributeTypeError: one is missing, unknown or of the wrong kind.
        """
        complete: dict[str, Attribute] = {}
        for name, spec in self.attributes.items():
            value = attrs.get(name, spec.default)
            if isinstance(value, Required):
                self._check_known(attrs)
                raise AttributeTypeError(f"{self.name}: attribute '{name}' is missing, {spec.words}")
            if not spec.accepts(value):
                raise AttributeTypeError(f"{self.name}: attribute '{name}' is {value!r}, expected {spec.words}")
            complete[name] = value
        if len(attrs) > len(complete) or not attrs.keys() <= complete.keys():
            self._check_known(attrs)
        return complete

    def _check_known(self, attrs: Mapping[str, Attribute]) -> None:
        unknown = next((name for name in attrs if name not in self.attributes), None)
        if unknown is not None:
            raise AttributeTypeError(
                f"{self.name}: no attribute '{unknown}'",
                help=did_you_mean(unknown, self.attributes) if self.attributes else f"{self.name} has none",
            )

    def __repr__(self) -> str:
        return f"<op {self.name}>"


def body_reads(block: Block, operand_bytes: Callable[[Op], Sequence[int]]) -> list[int]:
    """Bytes that a body reads of each of its arguments: the most that any one op in it reads.

    Views are looked through, terminators read nothing.

    Args:
        operand_bytes: what an op reads of each of its operands.
    """
    reads: dict[Value, int] = {}
    for op in reversed(list(block.ops)):
        if op.definition.is_terminator:
            continue
        needed = [reads.get(op.results[0], 0)] if op.definition.is_view else operand_bytes(op)
        for operand, n in zip(op.operands, needed, strict=True):
            reads[operand] = max(n, reads.get(operand, 0))
    return [reads.get(argument, 0) for argument in block.arguments]


def _load_ops() -> None:
    import ircost.ir.ops  # noqa: F401


OPS: Registry[OpDefinition] = Registry("op", "ircost.ops", "irc ops lists all", _load_ops)

Definition = TypeVar("Definition", bound=OpDefinition)


def register_op(definition: Definition) -> Definition:
    """Makes an op known by its name."""
    OPS.add(definition.name, definition)
    return definition
