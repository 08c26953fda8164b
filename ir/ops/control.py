"""Control flow and calls. Bodies of `if`, `while` and `scan` may read values from around them."""

from __future__ import annotations

from collections.abc import Sequence

from ircost.ir.attributes import REQUIRED, Attributes, AttributeSpec, int_of
from ircost.ir.definition import OpDefinition, register_op
from ircost.ir.errors import ShapeError, VerifyError
from ircost.ir.graph import Op, Region
from ircost.ir.nest_reading import dims_of_kernel
from ircost.ir.schedule import KNOWN, Schedule, ScheduleError, check_schedule, parse_schedule
from ircost.ir.terminators import yielded
from ircost.ir.types import TensorType, boolean


class Call(OpDefinition):
    """Runs another function of the module. A model of 80 equal layers is one function called 80 times."""

    name = "call"
    follows_bounds = True
    operand_names = ("arguments",)
    is_variadic = True
    attributes = {"callee": AttributeSpec("str", REQUIRED)}
    needs_result_types = True

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        raise AssertionError("a call's types are those of its callee")


call = register_op(Call())


class If(OpDefinition):
    """One of two bodies, by a scalar condition. Both yield the same types.

    Source: ONNX If-25.
    """

    name = "if"
    follows_bounds = True
    operand_names = ("condition",)
    region_names = ("then", "else")

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        then, otherwise = map(yielded, regions)
        if operands[0].elements != 1 or operands[0].dtype != boolean:
            raise ShapeError(f"if: condition is {operands[0]}, a single bool expected")
        if then != otherwise:
            raise ShapeError(
                f"if: then yields {list(then)}, else yields {list(otherwise)}",
                help="both must yield the same types",
            )
        return then


if_ = register_op(If())


class While(OpDefinition):
    """Runs ``body`` as long as ``condition`` yields true; both take the state, the body yields the next one.

    What the body yields beyond the state is stacked along a new axis 0, one slice a trip: as long as the loop ran.
    ``trip_bound`` is how often the body runs at most, for cost; 0 where nobody knows and nothing is stacked.
    Results: final states, then stacked outputs. Source: ONNX Loop-25.
    """

    name = "while"
    operand_names = ("state",)
    is_variadic = True
    region_names = ("condition", "body")
    attributes = {"trip_bound": AttributeSpec("int", 0)}

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        condition, body = map(yielded, regions)
        if len(condition) != 1 or condition[0].dtype != boolean:
            raise ShapeError(f"while: the condition yields {list(condition)}, a single bool expected")
        states, rows = body[: len(operands)], body[len(operands) :]
        bound = int_of(attrs, "trip_bound")
        if states != tuple(operands):
            raise ShapeError(f"while: the body yields {list(states)}, its state is {list(operands)}")
        if bound < 0:
            raise ShapeError(f"while: trip_bound is {bound}", help="0 where nobody knows")
        if rows and bound < 1:
            raise ShapeError("while: stacked outputs need a trip_bound", help="how often the loop runs at most")
        stacked = (TensorType((bound, *t.shape), t.dtype, (0, *(i + 1 for i in t.bounded))) for t in rows)
        return (*operands, *stacked)


while_ = register_op(While())


class Scan(OpDefinition):
    """Runs ``body`` once for each slice: a loop whose trip count is known.

    The first ``states`` operands are carried from step to step. All others are sequences of ``length`` steps along
    axis 0; the body gets one slice of each. It yields the next states, then slices that are stacked along axis 0.
    ``reverse`` goes from the last step to the first, and stacks in the same places.

    Results: final states, then stacked outputs. Source: ONNX Scan-25 with all axes 0.
    """

    name = "scan"
    operand_names = ("operands",)
    is_variadic = True
    region_names = ("body",)
    attributes = {
        "length": AttributeSpec("int", REQUIRED),
        "states": AttributeSpec("int", REQUIRED),
        "reverse": AttributeSpec("bool", False),
    }

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        states = int_of(attrs, "states")
        length = int_of(attrs, "length")
        if not 0 <= states <= len(operands) or length < 0:
            raise ShapeError(f"scan: {states} states of {len(operands)} operands, {length} steps")
        for sequence in operands[states:]:
            if not sequence.shape or sequence.shape[0] != length:
                raise ShapeError(f"scan: {length} steps over a sequence of {sequence}")
        results = yielded(regions[0])
        if results[:states] != tuple(operands[:states]):
            raise ShapeError(
                f"scan: the body yields states {list(results[:states])}, they began as {list(operands[:states])}"
            )
        return results[:states] + tuple(TensorType((length, *t.shape), t.dtype) for t in results[states:])

    def verify(self, op: Op) -> None:
        states = int_of(op.attrs, "states")
        types = [value.type for value in op.operands]
        expected = types[:states] + [TensorType(t.shape[1:], t.dtype) for t in types[states:]]
        actual = [argument.type for argument in op.regions[0].block.arguments]
        if actual != expected:
            raise VerifyError(f"scan: the body takes {actual}, its operands give {expected}", at=op)


scan = register_op(Scan())


class Kernel(OpDefinition):
    """What runs on the device as one unit: the ops fused into it. Its body sees its arguments only.

    ``schedule`` says how: text such as ``"tile@shared m=128 n=128 k=64; stages shared=2"``; see ``ir/schedule.py``.
    """

    name = "kernel"
    follows_bounds = True
    operand_names = ("inputs",)
    is_variadic = True
    region_names = ("body",)
    is_isolated = True
    attributes = {"schedule": AttributeSpec("str", "")}

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        return yielded(regions[0])

    def verify(self, op: Op) -> None:
        text = str(op.attrs["schedule"])
        if not text:
            return
        try:
            schedule = parse_schedule(text)
            if any(directive.name in KNOWN for directive in schedule.directives):
                check_dims(op, schedule)
        except ScheduleError as error:
            raise VerifyError(f"kernel: {error.message}", at=op, help=error.help) from None


def check_dims(kernel: Op, schedule: Schedule) -> None:
    """Whether the dims that a schedule names are there, and hold its tiles.

    Raises:
        ScheduleError: they are not.
    """
    dims = dims_of_kernel(kernel) or []
    check_schedule(schedule, {name: extent for name, extent, _ in dims}, [name for name, _, summed in dims if summed])


kernel = register_op(Kernel())
