"""The shortest time that a whole model can take on a machine, if nothing but data-sheet limits held."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from ircost.backends import Target
from ircost.cost_models.kernel_table import KernelRun, KernelTable
from ircost.cost_models.main_memory import main_memory_floor_s
from ircost.cost_models.roofline import shortest_arithmetic_s
from ircost.ir.graph import Module, Op, Region, Value
from ircost.ir.in_place import result_over, shown_before
from ircost.ir.load_time import load_time_ops


def model_lower_bound_s(module: Module, kernels: KernelTable, runs: Iterable[KernelRun], target: Target) -> float:
    """All arithmetic at peak, or compulsory traffic beyond the caches at full bandwidth, whichever takes longer.

    No fusion, schedule or cache can do better: intermediates and launches are not counted, and of convolutions only the
    products that Winograd's shortcut needs too.

    Args:
        kernels: of ``module``.
        runs: the places that run; of an `if`, those of one branch.

    Returns:
        Seconds.

    Source: Williams, Waterman, Patterson, "Roofline", CACM 52(4), 2009, for the model as one kernel.
    """
    return LowerBounds(kernels, target).of(module, runs)


class LowerBounds:
    """The same of many modules whose kernels are rows of one table: what holds of a row is worked out once."""

    def __init__(self, kernels: KernelTable, target: Target) -> None:
        once = replace(kernels, work=kernels.work - kernels.recomputed)
        self.arithmetic_s = shortest_arithmetic_s(once, target)
        self.target = target
        self.known: dict[int, Sequence[int]] = {}  # fewest bytes of a row's operands

    def of(self, module: Module, runs: Iterable[KernelRun]) -> float:
        """Of one module, and the places of it that run, in seconds; see ``model_lower_bound_s``."""
        counts: dict[int, int] = {}
        row_of = {}
        for run in runs:
            counts[run.row] = counts.get(run.row, 0) + run.count
            row_of[run.op] = run.row
        times = np.array(list(counts.values()), dtype=float)
        arithmetic_s = (self.arithmetic_s[list(counts)] * times[:, None]).sum(axis=0)
        reads = _Reads(module, row_of, self.known)
        return float(max([main_memory_floor_s(reads.compulsory_bytes(), self.target), *arithmetic_s]))


def compulsory_bytes(module: Module) -> int:
    """Bytes that must cross main memory: what is read of inputs and weights, and results, each once.

    Of a weight only the part that is read counts: a few rows of an embedding table, the experts of one row, since all
    others may choose the same. Branches of an `if` count nothing,
    since only one of them runs.
    """
    return _Reads(module, {}, {}).compulsory_bytes()


def _written_bytes(module: Module, at_load: set[Op]) -> int:
    """Results that the run computes; an input or a weight handed back is not written."""
    owners = dict.fromkeys(_owner(value, module) for value in module.main.results)
    computed = [value for value in owners if value.producer is not None and value.producer not in at_load]
    return sum(value.type.size_bytes for value in computed if not _is_opaque(value.producer))


def _is_opaque(op: Op | None) -> bool:
    """What an opaque op reads and writes is in no estimate, so it is in no bound."""
    return op is not None and op.name == "opaque"


def _owner(value: Value, module: Module) -> Value:
    """The value whose bytes a view shows, that is written over, or that a callee hands back."""
    while (before := shown_before(value) or _handed_back(value, module)) is not None:
        value = before
    return value


def _handed_back(value: Value, module: Module) -> Value | None:
    call = value.producer
    if call is None or call.name != "call":
        return None
    callee = module.functions[str(call.attrs["callee"])]
    inner = _owner(callee.results[value.index], module)
    return call.operands[inner.index] if inner.block is callee.block else None


class _Reads:
    """Bytes read of a value, through views, calls, loops and kernels."""

    def __init__(self, module: Module, row_of: Mapping[Op, int], of_rows: dict[int, Sequence[int]]) -> None:
        self.module = module
        self.known: dict[Value, int] = {}
        self.row_of = row_of
        self.of_rows = of_rows

    def compulsory_bytes(self) -> int:
        main = self.module.main
        at_load = load_time_ops(main.block)
        weights = [r for op in at_load for r in op.results if any(user not in at_load for user, _ in r.uses)]
        return sum(self.of(value) for value in (*main.arguments, *weights)) + _written_bytes(self.module, at_load)

    def of(self, value: Value) -> int:
        if value not in self.known:
            self.known[value] = 0
            most = max((self._by(op, index, value) for op, index in value.uses), default=0)
            self.known[value] = min(most, value.type.size_bytes)
        return self.known[value]

    def _by(self, op: Op, index: int, value: Value) -> int:
        if op.definition.is_terminator or _is_opaque(op) or _is_in_branch(op, value):
            return 0
        if op.definition.is_view:
            return self.of(op.result)
        if op.name == "call":
            return self.of(self.module.functions[str(op.attrs["callee"])].arguments[index])
        if op.name == "scan":
            return self._by_scan(op, index)
        kept = result_over(op, index)
        if kept is not None:  # what the op itself does not read may be read later, all but what it writes
            return max(self.of(op.results[kept]) - sum(self._operand_bytes(op)), 0)
        if op.name == "while":
            return self._argument(op.regions[0], index)  # the condition runs at least once, the body perhaps never
        if op.regions and not op.definition.is_isolated:
            return 0
        return self._operand_bytes(op)[index]

    def _operand_bytes(self, op: Op) -> Sequence[int]:
        row = self.row_of.get(op)
        if row is None:
            return op.definition.fewest_operand_bytes(op)
        if row not in self.of_rows:
            self.of_rows[row] = op.definition.fewest_operand_bytes(op)
        return self.of_rows[row]

    def _by_scan(self, op: Op, index: int) -> int:
        states, length = op.attrs["states"], op.attrs["length"]
        assert isinstance(states, int) and isinstance(length, int)
        return self._argument(op.regions[0], index) * (length if index >= states else min(length, 1))

    def _argument(self, region: Region, index: int) -> int:
        return self.of(region.block.arguments[index])


def _is_in_branch(op: Op, value: Value) -> bool:
    """Whether ``op`` stands in an `if` or a `while` body that ``value`` comes into from outside."""
    home = value.producer.block if value.producer is not None else value.block
    block = op.block
    while block is not None and block is not home:
        parent = block.parent_op
        if parent is not None and parent.name in ("if", "while"):
            return True
        block = parent.block if parent is not None else None
    return False
