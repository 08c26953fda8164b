"""What is computed once, when the model is loaded: all that depends on constants only.

A weight that lives in a file is never read to fold it. The ops behind it (a transpose, a cast, a batch norm folded
into a convolution) stay in the graph, run at load, and cost nothing at each inference.
"""

from __future__ import annotations

from ircost.ir.graph import Block, Op


def load_time_ops(block: Block) -> set[Op]:
    """Constants, and pure ops whose operands all come from load-time ops; nested bodies are not looked into.

    Constants held in memory count as load-time ops too.
    """
    found: set[Op] = set()
    for op in block.ops:
        if op.name == "constant" or _depends_on_load_time_only(op, found):
            found.add(op)
    return found


def _depends_on_load_time_only(op: Op, found: set[Op]) -> bool:
    if not op.definition.is_pure or (op.regions and not op.definition.is_isolated) or op.name == "call":
        return False
    return all(operand.producer in found for operand in op.operands)
