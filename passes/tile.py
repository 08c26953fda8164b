"""Tiles for every kernel and memory, written into the kernel's schedule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from ircost.backends import Target
from ircost.cost_models.automatic import search_model
from ircost.cost_models.interface import CostModel
from ircost.cost_models.kernel_table import (
    Cold,
    ColdValues,
    KernelTable,
    is_kernel,
    kernel_table,
    structural_key,
    table_of_kernels,
)
from ircost.cost_models.part_groups import FIELDS
from ircost.cost_models.tile_choice import given_by
from ircost.cost_models.tiling import find_schedule
from ircost.ir.graph import Module, Op
from ircost.ir.load_time import load_time_ops
from ircost.ir.nest_reading import nest_of
from ircost.ir.structured import StructuredOp
from ircost.passes.base import Pass, PassContext, PassError, register_pass
from ircost.passes.chosen_target import chosen_target
from ircost.passes.kernel_making import can_fuse, kernel_of, make_kernel


@register_pass("tile")
@dataclass(frozen=True, slots=True)
class Tile(Pass):
    """Choose a tile of every kernel for each memory of the target, and write it into the kernel's ``schedule``.

    An op that is no kernel yet becomes one of a single op. Where the cost model has a tile of its own for the kernel,
    as the families of GPU kernels have, processors are handed that one, and the tiles around it are searched; else all
    are searched by the slower of traffic and arithmetic. Kernels alike are looked at once. Outputs stay; so do costs,
    but for scalar constants, which are no operands of a kernel.

    A kernel that is no single nest of loops (several products, loops, access that depends on data), one whose dims the
    model's tile cannot be told in, and one with no tile that fits, is left as it is.

    Args:
        target: machine to tile for, in place of the one that the module is compiled for.
    """

    target: str = ""

    def run(self, module: Module, context: PassContext) -> Counter[str]:
        target = chosen_target(self.name, self.target, context)
        if target is None:
            raise PassError("pass 'tile' needs a target", help="write tile{target=h100_sxm}")
        return _Tiler(target, search_model(target)).run(module)


@dataclass(slots=True)
class _Tiler:
    target: Target
    model: CostModel
    known: dict[object, str] = field(default_factory=dict)
    fired: Counter[str] = field(default_factory=Counter)

    def run(self, module: Module) -> Counter[str]:
        table = kernel_table(module)
        # An op that several calls run is tiled as in the first.
        rows = {run.op: run.row for run in reversed(table.runs)}
        self._tile(table, dict(reversed(list(rows.items()))))
        rest = list(unreached(module, rows))
        own = table_of_kernels([op for op, _ in rest], [cold for _, cold in rest])
        self._tile(own, {op: row for row, (op, _) in enumerate(rest)})
        return +self.fired

    def _tile(self, table: KernelTable, rows: Mapping[Op, int]) -> None:
        """Kernels of a table, by op; those alike are looked at once."""
        choices = self.model.estimate(table, self.target).choice if rows else ()
        for op, row in rows.items():
            if not may_tile(op):
                continue
            choice = choices[row] if choices else ""
            key = structural_key(op), choice
            if key not in self.known:
                self.known[key] = self.schedule(op, choice, rows_extent(table, row))
            self.fired["tiled" if self.known[key] else "left"] += 1
            if self.known[key]:
                put(op, self.known[key])

    def schedule(self, op: Op, choice: str, rows: float) -> str:
        """The schedule as text; "" where there is none."""
        kernel = op if op.name == "kernel" else kernel_of([op], op.results)
        given = None
        if choice:
            nest = nest_of(kernel)
            given = None if nest is None else given_by(choice, nest, rows)
            if given is None:
                return ""
        schedule = find_schedule(kernel, self.target, given)
        return str(schedule or "")


def unreached(module: Module, reached: Collection[Op]) -> Iterator[tuple[Op, Cold]]:
    """Kernels that ``main`` does not run, of functions that nobody calls: as if each function were the model."""
    for function in module.functions.values():
        cold = ColdValues.of_main(function)
        cold.weights |= load_time_ops(function.block)
        for op in function.block.ops:
            if op not in reached and op not in cold.weights and is_kernel(op) and may_tile(op):
                yield op, cold.of(op)


def rows_extent(table: KernelTable, row: int) -> float:
    """Rows of the product that a kernel comes down to, as the cost model sees it; 0 where it is none."""
    for group in table.parts:
        if group.family == "gemm":
            places = np.flatnonzero(group.rows == row)
            if len(places):
                return float(group.sizes[places[0], FIELDS["gemm"].index("m")])
    return 0.0


def may_tile(op: Op) -> bool:
    """Kernels, and ops that may become one."""
    if op.name == "kernel":
        return all(not result.type.bounded for result in op.results)
    return can_fuse(op) and (isinstance(op.definition, StructuredOp) or op.definition.is_composite)


def put(op: Op, schedule: str) -> None:
    kernel = op if op.name == "kernel" else make_kernel([op], op.results)
    kernel.attrs = {**kernel.attrs, "schedule": schedule}
