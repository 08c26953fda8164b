"""A module as a table of distinct kernels: what cost models estimate.

Equal kernels (same op, types, attributes and body, operands alike in whether they are weights) are one row, however
often the model runs them. A function that is called 80 times is looked at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ircost.cost_models.chain_parts import parts_of_several, recomputation
from ircost.cost_models.kernel_parts import Reader
from ircost.cost_models.part_groups import Part, PartGroup, grouped
from ircost.ir.counts import work_of
from ircost.ir.graph import Block, Function, Module, Op, Value
from ircost.ir.in_place import shown_before
from ircost.ir.load_time import load_time_ops
from ircost.ir.location import Location
from ircost.ir.structured import StructuredOp
from ircost.ir.types import DType

Key = tuple[object, ...]
Cold = tuple[bool, ...]  # for each operand of an op, and for its results together
Engine = str  # "matrix": contractions; "vector": all other arithmetic; "special": transcendental functions


@dataclass(frozen=True, slots=True)
class KernelRun:
    """One place where the model runs a kernel.

    Args:
        row: of the table.
        count: how often this place runs: loops and calls around it multiplied.
        location: nodes of the user's model.
        branch: the `if` branches it stands in, as (number of the `if`, 0 or 1); () outside of any.
    """

    row: int
    count: int
    op: Op
    location: Location | None
    branch: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class KernelTable:
    """Distinct kernels, a row each, as columns.

    Args:
        ops: one example of each.
        work_columns: (engine, number format) of each column of ``work``.
        work: [rows, columns] operations of one run; a multiply-add is two; ``special`` ones are in ``vector`` too.
        recomputed: [rows, columns] those of them that tiles do again which neighbours do too; 0 but in chains.
        spared: [rows, columns] those of them that the shortest algorithm of a convolution does without.
        read_bytes, write_bytes: [rows] compulsory traffic of one run; operands and results, each once.
        launches: [rows] kernels that must follow one another in one run: 1, or more for a scan over time.
        macs, flops: [rows] of one run, each result computed once.
        is_unknown: [rows] opaque ops, whose cost nobody knows.
        parts: what the kernels come down to, see ``kernel_parts``; a cost model may do without.
        runs: every place where the model runs a kernel, in program order.
        load_time: ops that run once, when the model is loaded, and are in no row.
    """

    ops: tuple[Op, ...]
    work_columns: tuple[tuple[Engine, DType], ...]
    work: np.ndarray
    recomputed: np.ndarray
    spared: np.ndarray
    read_bytes: np.ndarray
    write_bytes: np.ndarray
    launches: np.ndarray
    macs: np.ndarray
    flops: np.ndarray
    is_unknown: np.ndarray
    runs: tuple[KernelRun, ...]
    load_time: tuple[Op, ...]
    parts: tuple[PartGroup, ...] = ()

    def __len__(self) -> int:
        return len(self.ops)

    @property
    def traffic_bytes(self) -> np.ndarray:
        """[rows] read and written."""
        total: np.ndarray = self.read_bytes + self.write_bytes
        return total

    def by_shortest_algorithms(self) -> KernelTable:
        """The same kernels with no more work than libraries are sure to do: what limits are made of."""
        return replace(self, work=self.work - self.spared)


def kernel_table(module: Module) -> KernelTable:
    """The kernels of a verified module, as its ``main`` runs them.

    Views, constants and load-time ops are no kernels. A kernel op and a composite are one kernel each; a scan or
    `while` outside of a composite runs the kernels of its body once a trip.
    """
    collector = _Collector()
    runs = collector.collect(module)
    return table_of_kernels(collector.ops, collector.cold, runs=runs, load_time=collector.load_time)


def table_of_modules(modules: Iterable[Module]) -> tuple[KernelTable, list[tuple[KernelRun, ...]]]:
    """The kernels of many modules as one table, those alike once, and where each module runs them.

    A sweep prices all its points by one call of a cost model.
    """
    collector = _Collector()
    runs = [tuple(collector.collect(module)) for module in modules]
    return table_of_kernels(collector.ops, collector.cold), runs


def table_of_kernels(
    ops: Sequence[Op], cold: Sequence[Cold], *, runs: Sequence[KernelRun] = (), load_time: Sequence[Op] = ()
) -> KernelTable:
    """Kernels as rows, in the order given: those of a module, or candidates that no module holds yet.

    Args:
        cold: of each kernel, which operands are cold, and whether its results leave the model.
    """
    columns: dict[tuple[Engine, DType], int] = {}
    profiles = [_profile(op, own) for op, own in zip(ops, cold, strict=True)]
    for profile in profiles:
        for column in profile.work:
            columns.setdefault(column, len(columns))
    work, recomputed, spared = np.zeros((3, len(profiles), len(columns)))
    for row, profile in enumerate(profiles):
        for column, amount in profile.work.items():
            work[row, columns[column]] = amount
        for column, amount in profile.recomputed.items():
            recomputed[row, columns[column]] = amount
        for column, amount in profile.spared.items():
            spared[row, columns[column]] = amount
    return KernelTable(
        ops=tuple(ops),
        work_columns=tuple(columns),
        work=work,
        recomputed=recomputed,
        spared=spared,
        read_bytes=np.array([p.read_bytes for p in profiles], dtype=float),
        write_bytes=np.array([p.write_bytes for p in profiles], dtype=float),
        launches=np.array([p.launches for p in profiles], dtype=float),
        macs=np.array([p.macs for p in profiles], dtype=float),
        flops=np.array([p.flops for p in profiles], dtype=float),
        is_unknown=np.array([p.is_unknown for p in profiles], dtype=bool),
        runs=tuple(runs),
        load_time=tuple(load_time),
        parts=grouped([p.parts for p in profiles]),
    )


@dataclass(slots=True)
class _Collector:
    rows: dict[Key, int] = field(default_factory=dict)
    ops: list[Op] = field(default_factory=list)
    cold: list[Cold] = field(default_factory=list)
    functions: Mapping[str, Function] = field(default_factory=dict)
    runs: list[KernelRun] = field(default_factory=list)
    load_time: list[Op] = field(default_factory=list)
    choices: int = 0

    def collect(self, module: Module) -> list[KernelRun]:
        """Where a module runs its kernels; those not met before become rows."""
        self.functions, self.runs, self.load_time, self.choices = module.functions, [], [], 0
        self._block(module.main.block, 1, (), ColdValues.of_main(module.main))
        return self.runs

    def _block(self, block: Block, count: int, branch: tuple[tuple[int, int], ...], cold: ColdValues) -> None:
        at_load = load_time_ops(block)
        cold.weights |= at_load
        for op in block.ops:
            if op in at_load:
                if op.name != "constant":
                    self.load_time.append(op)
            elif op.name == "call":
                callee = self.functions[str(op.attrs["callee"])]
                self._block(callee.block, count, branch, cold.inside(callee.arguments, op.operands))
            elif op.name == "if":
                choice, self.choices = self.choices, self.choices + 1
                for side, region in enumerate(op.regions):
                    self._block(region.block, count, (*branch, (choice, side)), cold)
            elif op.name in ("while", "scan"):
                for region in op.regions:
                    self._block(region.block, count * trips(op), branch, cold.in_loop(op, region.block))
            elif is_kernel(op):
                self._run(op, count, branch, cold)

    def _run(self, op: Op, count: int, branch: tuple[tuple[int, int], ...], values: ColdValues) -> None:
        cold = values.of(op)
        key = structural_key(op), cold
        row = self.rows.get(key)
        if row is None:
            row = self.rows[key] = len(self.ops)
            self.ops.append(op)
            self.cold.append(cold)
        self.runs.append(KernelRun(row, count, op, op.location, branch))


@dataclass(slots=True)
class ColdValues:
    """What no cache holds yet when it is read in a run of the model: weights and inputs; and results that leave it.

    Args:
        weights: load-time ops met so far.
        values: arguments that stand for weights or inputs.
        leaving: what the model returns.
    """

    weights: set[Op]
    values: set[Value]
    leaving: set[Value]

    @classmethod
    def of_main(cls, main: Function) -> ColdValues:
        return cls(set(), set(main.arguments), {_owner(value) for value in main.results})

    def inside(self, arguments: Sequence[Value], operands: Sequence[Value]) -> ColdValues:
        """In a function that is called with these operands."""
        cold = {a for a, operand in zip(arguments, operands, strict=True) if self.has(operand)}
        return ColdValues(self.weights, cold, set())

    def in_loop(self, op: Op, body: Block) -> ColdValues:
        """In a loop: what it reads in each trip is in the cache after the first, but for slices of cold operands."""
        states = op.attrs.get("states")
        if not isinstance(states, int):
            return ColdValues(set(), set(), set())
        pairs = list(zip(body.arguments, op.operands, strict=False))[states:]
        return ColdValues(set(), {argument for argument, operand in pairs if self.has(operand)}, set())

    def has(self, value: Value) -> bool:
        owner = _owner(value)
        return owner in self.values or owner.producer in self.weights

    def of(self, op: Op) -> Cold:
        leaves = any(result in self.leaving for result in op.results) if self.leaving else False
        return (*[self.has(value) for value in op.operands], leaves)


def _owner(value: Value) -> Value:
    """The value whose bytes a view shows, or a cache before it was written to."""
    while (before := shown_before(value)) is not None:
        value = before
    return value


def trips(op: Op) -> int:
    """How often a loop runs its body; once where a `while` has no bound."""
    length = op.attrs["length"] if op.name == "scan" else op.attrs["trip_bound"]
    assert isinstance(length, int)
    return length if op.name == "scan" else max(length, 1)


def is_kernel(op: Op) -> bool:
    """Whether the device runs something: all but views, terminators and what makes nothing."""
    definition = op.definition
    return not definition.is_view and not definition.is_terminator and any(r.type.elements for r in op.results)


def structural_key(op: Op) -> Key:
    """Equal for ops that cost the same: name, types, attributes, which operands coincide, and bodies wired alike.

    Where operands come from does not matter, nor which values a constant inside of a body holds.
    """
    return _key(op, {})


def _key(op: Op, numbers: dict[Value, int]) -> Key:
    operands = tuple([(value.type, numbers.setdefault(value, len(numbers))) for value in op.operands])
    attrs = () if op.name == "constant" else tuple(op.attrs.values())
    results = tuple([result.type for result in op.results])
    return op.name, operands, attrs, results, tuple([_body_key(region.block) for region in op.regions])


def _body_key(block: Block) -> Key:
    return _sequence_key(block.ops, {argument: i for i, argument in enumerate(block.arguments)})


def _sequence_key(ops: Iterable[Op], numbers: dict[Value, int]) -> Key:
    keys = []
    for op in ops:
        keys.append(_key(op, numbers))
        for result in op.results:
            numbers.setdefault(result, len(numbers))
    return tuple(keys)


@dataclass(frozen=True, slots=True)
class _Profile:
    work: dict[tuple[Engine, DType], float]
    recomputed: dict[tuple[Engine, DType], float]
    spared: dict[tuple[Engine, DType], float]
    read_bytes: float
    write_bytes: float
    launches: int
    macs: int
    flops: int
    is_unknown: bool
    parts: list[Part]


def _profile(op: Op, cold: Cold) -> _Profile:
    """Work and traffic of one kernel; looked at once for each row."""
    work: dict[tuple[Engine, DType], float] = {}
    recomputed: dict[tuple[Engine, DType], float] = {}
    spared: dict[tuple[Engine, DType], float] = {}
    macs = flops = 0
    launches = 1
    is_unknown = False
    again = recomputation(op)
    inside = list(work_of(op))
    for inner, times, once in inside:
        counts = once.times(times) if times != 1 else once
        macs += counts.macs
        flops += counts.flops
        launches = max(launches, times if not op.definition.is_one_launch else 1)
        is_unknown |= inner.name == "opaque"
        for engine, amount in _engines(inner, counts.flops, counts.transcendental):
            column = (engine, arithmetic_dtype(inner))
            factor = again.get(_member(inner, op), 1.0) if again else 1.0
            work[column] = work.get(column, 0.0) + amount * factor
            if factor > 1:
                recomputed[column] = recomputed.get(column, 0.0) + amount * (factor - 1)
            share = spared_share(inner)
            if share:
                spared[column] = spared.get(column, 0.0) + amount * share
    traffic = op.definition.traffic(op)
    reader = Reader(op, inside, (traffic.read_bytes, traffic.write_bytes), cold[:-1], cold[-1], arithmetic_dtype)
    parts = parts_of_several(reader) or reader.parts()
    moved = traffic.read_bytes, traffic.write_bytes
    return _Profile(work, recomputed, spared, *moved, launches, macs, flops, is_unknown, parts)


def spared_share(op: Op) -> float:
    """Share of a contraction's products, 0 to 1, that an algorithm for its windows may do without."""
    if not isinstance(op.definition, StructuredOp) or not op.definition.is_contraction:
        return 0.0
    space = op.definition.iteration_space(op)
    return 1.0 - space.fewest_products / space.points if space.points else 0.0


def _member(inner: Op, kernel: Op) -> Op:
    """The op of a kernel's body that an op is, or is in."""
    while inner.block is not None and inner.block.parent_op is not kernel:
        parent = inner.block.parent_op
        assert parent is not None, "ops of a kernel stand in its body"
        inner = parent
    return inner


def _engines(op: Op, flops: int, transcendental: int) -> Iterator[tuple[Engine, float]]:
    if flops:
        yield ("matrix" if op.definition.is_contraction else "vector"), float(flops)
    if transcendental:
        yield "special", float(transcendental)


def arithmetic_dtype(op: Op) -> DType:
    """Number format of the arithmetic: that of the widest operand, or of the result of an op without any.

    A composite's kernel may have a say about the ops in its body.
    """
    around = op.block.parent_op if op.block is not None else None
    said = around.definition.arithmetic_within(around, op) if around is not None else None
    if said is not None:
        return said
    types = [value.type for value in op.operands] or [result.type for result in op.results]
    candidates = [t.dtype for t in types if t.dtype.name != "bool"] or [t.dtype for t in types]
    if candidates.count(candidates[0]) == len(candidates):
        return candidates[0]
    return max(candidates, key=lambda dtype: (dtype.is_float, dtype.bits))
