"""Values that take over the memory of others: caches and states that outlive a run."""

from __future__ import annotations

from ircost.ir.graph import Module, Op, Value


def result_over(op: Op, index: int) -> int | None:
    """The result that keeps what operand ``index`` holds, all but a few elements that are written; None for others.

    A state that is written over as a whole is not kept.
    """
    for result, operand in op.definition.overwritten(op).items():
        if operand == index and not op.definition.operand_bytes(op)[index]:
            return result
    return None


def viewed(value: Value) -> Value:
    """What a value is a view of, be it through several; itself where it is none."""
    while value.producer is not None and value.producer.definition.is_view:
        value = value.producer.operands[0]
    return value


def shown_before(value: Value) -> Value | None:
    """What lay in the memory of a value before it: what it is a view of, or what was written over in part."""
    op = value.producer
    if op is None:
        return None
    if op.definition.is_view:
        return op.operands[0]
    place = op.definition.overwritten(op).get(value.index)
    return op.operands[place] if place is not None and result_over(op, place) is not None else None


def is_read_once(value: Value) -> bool:
    """Whether no more than one op reads a value, and each value that it is a view of."""
    while len(value.uses) <= 1:
        if value.producer is None or not value.producer.definition.is_view:
            return True
        value = value.producer.operands[0]
    return False


def is_kept(value: Value, module: Module) -> bool:
    """Whether a reader writes over a part of a value, be it through a view or in a function that is called."""
    seen, pending = {value}, [value]
    while pending:
        for op, index in pending.pop().uses:
            if result_over(op, index) is not None:
                return True
            shown = op.result if op.definition.is_view else _argument(op, index, module)
            if shown is not None and shown not in seen:
                seen.add(shown)
                pending.append(shown)
    return False


def _argument(op: Op, index: int, module: Module) -> Value | None:
    """What an operand is called in the function that an op calls."""
    return module.functions[str(op.attrs["callee"])].arguments[index] if op.name == "call" else None
