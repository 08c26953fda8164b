"""Reference interpreter: the meaning of every op, in NumPy. Slow, plain, and the judge of every rewrite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ircost.ir.attributes import int_of
from ircost.ir.definition import InternalOpError
from ircost.ir.errors import InterpreterError, IrcError, did_you_mean
from ircost.ir.graph import Block, Function, Module, Op, Region, Value
from ircost.ir.numpy_dtypes import dtype_of, numpy_dtype
from ircost.ir.types import TensorType

# A loop that runs longer is taken for one that does not end.
MAX_TRIPS = 1_000_000

AGREE = "infer and evaluate have to agree"

Environment = dict[Value, np.ndarray]


def interpret(module: Module, inputs: Sequence[np.ndarray], function: str | None = None) -> list[np.ndarray]:
    """Runs a function of a module.

    Args:
        module: verified.
        inputs: an array for each argument, of its shape; converted to its number format.
        function: which one; ``main`` where left out.

    Returns:
        The function's results.

    Raises:
        InterpreterError: inputs do not fit, values of constants are missing, or a loop does not end.
    """
    if function is not None and function not in module.functions:
        raise InterpreterError(f"there is no function @{function}", help=did_you_mean(function, module.functions))
    return _Interpreter(module).run(module.main if function is None else module.functions[function], inputs)


def evaluate_op(op: Op, operands: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
    """Results of one op that reads nothing but its operands: no call, no body that sees values around it.

    Raises:
        InterpreterError: the values do not fit the op.
    """
    return _Interpreter(Module())._op(op, list(operands), {})


class _Interpreter:
    def __init__(self, module: Module) -> None:
        self.module = module
        self.handlers = {
            "call": self._call,
            "if": self._if,
            "while": self._while,
            "scan": self._scan,
        }

    def run(self, function: Function, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        if len(inputs) != len(function.arguments):
            raise InterpreterError(f"@{function.name} takes {len(function.arguments)} inputs, {len(inputs)} given")
        arrays = [self._checked(i, v, a) for i, (v, a) in enumerate(zip(function.arguments, inputs, strict=True))]
        return self._block(function.block, arrays, {})

    def _checked(self, index: int, argument: Value, array: np.ndarray) -> np.ndarray:
        array = np.asarray(array)
        type = argument.type
        fits = array.ndim == type.rank and all(
            n == m or (i in type.bounded and n < m)
            for i, (n, m) in enumerate(zip(array.shape, type.shape, strict=True))
        )
        if not fits:
            raise InterpreterError(f"input {index} is {list(array.shape)}, {type} expected")
        return array.astype(numpy_dtype(type.dtype), copy=False)

    def _block(
        self, block: Block, arguments: Sequence[np.ndarray], outer: Mapping[Value, np.ndarray]
    ) -> list[np.ndarray]:
        """Runs a block; values are dropped after their last use here, so memory stays that of live tensors."""
        values: Environment = {**outer, **dict(zip(block.arguments, arguments, strict=True))}
        left = {value: len(value.uses) for op in block.ops for value in op.results}
        for op in block.ops:
            operands = [values[operand] for operand in op.operands]
            if op.definition.is_terminator:
                return operands
            results = self._op(op, operands, values)
            values.update(zip(op.results, results, strict=True))
            for operand in op.operands:
                if operand in left:
                    left[operand] -= 1
                    if left[operand] == 0:
                        values.pop(operand, None)
        raise InterpreterError("a block ends without a terminator")

    def _op(self, op: Op, operands: list[np.ndarray], values: Environment) -> Sequence[np.ndarray]:
        handler = self.handlers.get(op.name)
        if handler is not None:
            return handler(op, operands, values)
        if op.regions:  # a composite or a kernel: its body is its meaning
            return self._block(op.regions[0].block, operands, {})
        try:
            results = op.definition.evaluate(op, operands)
        except IrcError:
            raise
        except (ValueError, LookupError, ArithmeticError, MemoryError) as error:  # what NumPy says of values
            raise InterpreterError(f"{op.name}: {error}", at=op) from error
        except Exception as error:  # whatever else an op's evaluate does wrong, the op is named
            raise InternalOpError(op.definition, "evaluate", error, op) from error
        check_results(op, results)
        return results

    def _call(self, op: Op, operands: list[np.ndarray], values: Environment) -> list[np.ndarray]:
        return self.run(self.module.functions[str(op.attrs["callee"])], operands)

    def _if(self, op: Op, operands: list[np.ndarray], values: Environment) -> list[np.ndarray]:
        then, otherwise = op.regions
        return self._region(then if bool(operands[0].reshape(())) else otherwise, [], values)

    def _while(self, op: Op, operands: list[np.ndarray], values: Environment) -> list[np.ndarray]:
        condition, body = op.regions
        states = len(operands)
        rows: list[list[np.ndarray]] = [[] for _ in op.results[states:]]
        limit = int_of(op.attrs, "trip_bound") if rows else MAX_TRIPS
        for _ in range(limit + 1):
            if not bool(self._region(condition, operands, values)[0].reshape(())):
                return [*operands, *map(stack, rows, op.results[states:])]
            results = self._region(body, operands, values)
            operands = results[:states]
            for stacked, row in zip(rows, results[states:], strict=True):
                stacked.append(row)
        raise InterpreterError(f"a loop ran {limit:,} times without an end", at=op, help="is its bound too low?")

    def _scan(self, op: Op, operands: list[np.ndarray], values: Environment) -> list[np.ndarray]:
        states_count = int_of(op.attrs, "states")
        length = int_of(op.attrs, "length")
        states, sequences = operands[:states_count], operands[states_count:]
        stacked = [np.empty(r.type.shape, numpy_dtype(r.type.dtype)) for r in op.results[states_count:]]
        for step in reversed(range(length)) if op.attrs["reverse"] else range(length):
            results = self._region(op.regions[0], [*states, *(sequence[step] for sequence in sequences)], values)
            states = results[:states_count]
            for whole, part in zip(stacked, results[states_count:], strict=True):
                whole[step] = part
        return [*states, *stacked]

    def _region(self, region: Region, arguments: Sequence[np.ndarray], values: Environment) -> list[np.ndarray]:
        return self._block(region.block, arguments, values)


def check_results(op: Op, results: object) -> None:
    """Holds what an op's `evaluate` gave to the types of its results.

    Raises:
        InterpreterError: it is no list, has too many or too few, or an array of another shape or number format.
    """
    if not isinstance(results, (list, tuple)):
        given = "an array" if isinstance(results, np.ndarray) else type(results).__name__
        raise _not_as_declared(op, f"{given}, a list of arrays expected", "return [array], one for each result")
    if len(results) != len(op.results):
        raise _not_as_declared(op, f"{len(results)} results, {len(op.results)} declared", AGREE)
    for array, result in zip(results, op.results, strict=True):
        if not is_of_type(array, result.type):
            raise _not_as_declared(op, f"{given_type(array)}, {result.type} declared", AGREE)


def _not_as_declared(op: Op, given: str, cure: str) -> InterpreterError:
    help = f"{cure}; evaluate is declared in {op.definition.declared_in}"
    return InterpreterError(f"{op.name} gives {given}", at=op, help=help)


def is_of_type(array: object, type: TensorType) -> bool:
    """Whether it is an array of that format and shape; a bounded axis may be shorter."""
    if not isinstance(array, (np.ndarray, np.generic)) or array.dtype != numpy_dtype(type.dtype):
        return False
    shape = array.shape
    return shape == type.shape or (
        len(shape) == type.rank
        and all(n == m or (i in type.bounded and n < m) for i, (n, m) in enumerate(zip(shape, type.shape, strict=True)))
    )


def given_type(array: object) -> str:
    """What `evaluate` gave, as a type is written."""
    if not isinstance(array, (np.ndarray, np.generic)):
        return type(array).__name__
    try:
        name = dtype_of(np.asarray(array)).name
    except KeyError:  # complex numbers, objects
        name = str(array.dtype)
    return "x".join([*map(str, array.shape), name])


def stack(rows: Sequence[np.ndarray], result: Value) -> np.ndarray:
    """Rows along a new axis 0; there may be none."""
    return np.stack(rows) if rows else np.empty((0, *result.type.shape[1:]), numpy_dtype(result.type.dtype))
