"""Computing an op whose operands are known."""

from __future__ import annotations

from ircost.ir import ops
from ircost.ir.errors import InterpreterError
from ircost.ir.graph import Op, Value
from ircost.ir.interpreter import evaluate_op

# A larger result stays an op: it would bloat the module, and runs once at load anyway.
MAX_FOLDED_ELEMENTS = 4096
# A larger operand is not written out: a splat of terabytes is a few bytes of text.
MAX_OPERAND_ELEMENTS = 1 << 24


def folded(op: Op) -> list[Value] | None:
    """Results of an op on constants in memory, as detached constants.

    Returns:
        None where an operand is not known, the op is no pure function of its operands, the results are large, or the
        values do not fit the op: the run that meets them will say so.
    """
    if not is_foldable(op):
        return None
    operands = [ops.constant_value(operand) for operand in op.operands]
    if any(array is None for array in operands):
        return None
    try:
        arrays = evaluate_op(op, [array for array in operands if array is not None])
    except InterpreterError:
        return None
    return [ops.constant_of(array, result.type.dtype) for array, result in zip(arrays, op.results, strict=True)]


def is_foldable(op: Op) -> bool:
    """Whether the results follow from the operands alone, all of them constants, and are small enough to hold."""
    definition = op.definition
    if not definition.is_pure or definition.is_terminator or op.name in ("constant", "call"):
        return False
    if op.regions and not definition.is_isolated:
        return False
    if any(operand.producer is None or operand.producer.name != "constant" for operand in op.operands):
        return False
    if any(operand.type.elements > MAX_OPERAND_ELEMENTS for operand in op.operands):
        return False
    return all(result.type.elements <= MAX_FOLDED_ELEMENTS and not result.type.bounded for result in op.results)
