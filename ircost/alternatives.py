"""What if: one thing of a compilation changed at a time, and the time and energy that it would take then."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from ircost.api import compile_model, full_pipeline
from ircost.backends import Target, load_target
from ircost.backends.figure import Figure
from ircost.backends.runtime import RUNTIMES
from ircost.backends.target_parts import ArithmeticEnergy, MemoryLevel, Part
from ircost.cost_models.analytical import Analytical, Evaluated
from ircost.cost_models.automatic import chosen_model
from ircost.cost_models.gpu.demand import ISSUE
from ircost.cost_models.interface import CostModel
from ircost.cost_models.kernel_table import KernelTable, kernel_table
from ircost.costing import Totals, totals_of
from ircost.frontends import Imported, ImportOptions, load
from ircost.ir.clone import clone_module
from ircost.ir.collector import collector_paused
from ircost.ir.errors import IrcError
from ircost.ir.graph import Module
from ircost.ir.types import parse_dtype
from ircost.ir.verify import verify
from ircost.passes import (
    DEFAULT_LEVEL,
    PassContext,
    parse_pipeline,
    pipeline_of_level,
    pipeline_text,
    run_pipeline,
)
from ircost.report import Report

Kind = Literal["resource", "pass", "format", "batch", "launch"]
TWICE = 2
AnyPart = TypeVar("AnyPart", bound=Part)
FORMATS = ("tf32", "f16", "bf16", "f8e4m3", "i8")
FREE = ("launch", ISSUE)  # fitted times that launches take on the device
SAID = "what if"  # the source of figures that nobody's data sheet has


@dataclass(frozen=True, slots=True)
class Alternative:
    """One thing changed.

    Args:
        kind: ``resource``: the machine has twice of it; ``pass``: left out; ``format``: the model converted to it;
            ``batch``: twice as large; ``launch``: how kernels are launched.
        name: what is changed. what: the change, in words.
        latency_s, energy_j: of one run then.
        items: how many times the work of today one run then does.
        change: of the latency for the same work: -0.2 is a fifth less.
    """

    kind: Kind
    name: str
    what: str
    latency_s: float
    energy_j: float
    items: int
    change: float


@dataclass(frozen=True, slots=True)
class NotTried:
    """A change that cannot be costed, and why."""

    kind: Kind
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The answer of ``irc compile --what-if``.

    Args:
        report: of the model as it is.
        alternatives: what helps most first.
    """

    report: Report
    alternatives: tuple[Alternative, ...]
    not_tried: tuple[NotTried, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values: what ``irc compile --what-if --json`` adds to the report."""
        return {
            "latency_s": self.report.latency_s,
            "energy_j": self.report.energy_j,
            "alternatives": [asdict(alternative) for alternative in self.alternatives],
            "not_tried": [asdict(item) for item in self.not_tried],
        }


def what_if(
    model: str | Path | Module | Imported,
    target: str | Target = "h100_sxm",
    *,
    dtype: str | None = None,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    values: Mapping[str, object] | None = None,
    bounds: Mapping[str, int] | None = None,
    allow_opaque: bool = False,
    pipeline: str | None = None,
    opt: int = DEFAULT_LEVEL,
    cost_model: str = "auto",
    target_folders: Sequence[str | Path] = (),
    **hooks: Any,
) -> WhatIf:
    """Compiles a model, and costs it again with each resource, pass, number format, batch and way to launch changed.

    The model is read once (and once more for the larger batch). Where only the machine changes, kernels are those of
    the report, tiles chosen anew. Speed alone: whether a number format is accurate enough is not asked.

    Args:
        model, target, dtype, ...: as of ``compile_model``, ``hooks`` too. A module is left as it is.

    Raises:
        IrcError: as ``compile_model``.
    """
    machine = target if isinstance(target, Target) else load_target(target, target_folders)
    passes = pipeline_of_level(opt, machine.kind) if pipeline is None else pipeline
    parse_pipeline(full_pipeline(passes, dtype))  # a mistake in it is told before a large model is read
    options = ImportOptions(
        dims=dict(dims or {}),
        shapes={name: tuple(shape) for name, shape in (shapes or {}).items()},
        values={name: np.asarray(value) for name, value in (values or {}).items()},
        bounds=dict(bounds or {}),
        allow_opaque=allow_opaque,
    )
    imported = _read(model, options)
    again = replace(imported, module=clone_module(imported.module))
    report = compile_model(again, machine, dtype=dtype, pipeline=passes, cost_model=cost_model, **hooks)
    if isinstance(model, str | Path):
        report = replace(report, source=str(model))
    return _Experiment(model, options, imported, machine, dtype, passes, cost_model, report).run()


def _read(model: str | Path | Module | Imported, options: ImportOptions) -> Imported:
    if isinstance(model, Imported):
        return model
    if isinstance(model, Module):
        return Imported(model, (), sum(1 for _ in model.walk()))
    with collector_paused():
        return load(model, options)


@dataclass(frozen=True, slots=True)
class _Experiment:
    model: str | Path | Module | Imported
    options: ImportOptions
    imported: Imported
    target: Target
    dtype: str | None
    passes: str
    cost_model: str
    report: Report

    def run(self) -> WhatIf:
        found: list[Alternative] = []
        failed: list[NotTried] = []
        tries = (*self._resources(), *self._launches(), *self._left_out(), *self._formats(), *self._batch())
        for kind, name, what, items, cost in tries:
            try:
                found.append(self._alternative(kind, name, what, items, cost()))
            except IrcError as error:
                failed.append(NotTried(kind, name, error.message))
        ranked = sorted(found, key=lambda alternative: alternative.change)
        return WhatIf(self.report, tuple(ranked), tuple(failed))

    def _alternative(self, kind: Kind, name: str, what: str, items: int, totals: Totals) -> Alternative:
        now_s = self.report.latency_s
        change = totals.latency_s / items / now_s - 1 if now_s else 0.0
        return Alternative(kind, name, what, totals.latency_s, totals.energy_j, items, change)

    def _resources(self) -> Iterator[Try]:
        table = kernel_table(self.report.module)
        for name, what, better in resources(self.target):
            yield "resource", name, what, 1, self._on(better, table, chosen_model(self.cost_model, self.target))

    def _launches(self) -> Iterator[Try]:
        table = kernel_table(self.report.module)
        model = chosen_model(self.cost_model, self.target)
        free = self.target.model_copy(update={"launch_overhead_s": Figure(0.0, SAID)})
        yield "launch", "launches", "launches cost nothing", 1, self._on(free, table, without_launches(model))
        if isinstance(model, Analytical) and self.target.kind == "gpu":
            name, what, other = other_launch(self.target)
            yield "launch", name, what, 1, self._on(other, table, model)

    def _on(self, target: Target, table: KernelTable, model: CostModel) -> Callable[[], Totals]:
        return lambda: totals_of(self.report.module, table, model, target)

    def _left_out(self) -> Iterator[Try]:
        passes = parse_pipeline(self.passes)
        for place, instance in enumerate(passes):
            rest = pipeline_text((*passes[:place], *passes[place + 1 :]))
            earlier = sum(other.name == instance.name for other in passes[:place])
            name = f"{instance.name} ({earlier + 1})" if earlier else instance.name
            yield "pass", name, f"without {name}", 1, self._compiled(full_pipeline(rest, self.dtype))

    def _formats(self) -> Iterator[Try]:
        own = self.target.matrix or self.target.vector
        for name in FORMATS:
            if name in own and name != self.report.dtype:
                yield "format", name, name, 1, self._compiled_as(name)

    def _compiled_as(self, dtype: str) -> Callable[[], Totals]:
        def cost() -> Totals:
            if not parse_dtype(dtype).is_float:
                raise IrcError("integers need quantisation, with scales that data give; only floats are converted")
            return self._compiled(full_pipeline(self.passes, dtype))()

        return cost

    def _batch(self) -> Iterator[Try]:
        dims = {name: TWICE * extent for name, extent in self.imported.batch_dims.items()}
        name = ", ".join(dims) or "batch"
        what = ", ".join(f"{dim}={extent}" for dim, extent in dims.items())
        yield "batch", name, f"batch {what}", TWICE, lambda: self._larger(dims)

    def _larger(self, dims: Mapping[str, int]) -> Totals:
        if not dims or not isinstance(self.model, str | Path):
            raise IrcError("no leading symbolic dim of an input is open; bind dims by name to have it doubled")
        larger = _read(self.model, replace(self.options, dims={**self.options.dims, **dims}))
        return self._compiled(full_pipeline(self.passes, self.dtype), larger.module)()

    def _compiled(self, pipeline: str, module: Module | None = None) -> Callable[[], Totals]:
        def cost() -> Totals:
            with collector_paused():
                copy = clone_module(self.imported.module if module is None else module)
                verify(copy)
                model = chosen_model(self.cost_model, self.target)
                context = PassContext(target=self.target, cost_model=model)
                run_pipeline(copy, parse_pipeline(pipeline), context=context)
                return totals_of(copy, kernel_table(copy), model, self.target)

        return cost


Try = tuple[Kind, str, str, int, Callable[[], Totals]]


def resources(target: Target) -> Iterator[tuple[str, str, Target]]:
    """The machine with twice of each thing it has: (name, in words, machine). Its name stays, and with it its fits."""
    target = with_energies(target)
    main = target.main_memory
    yield main.name, f"{main.name.upper()} bandwidth x2", _changed(target, memory=_memory(target, main.name))
    if target.matrix:
        yield "matrix", "matrix units x2", _changed(target, matrix=_peaks(target.matrix))
    yield "vector", "vector units x2", _changed(target, vector=_peaks(target.vector))
    if target.special_per_s is not None:
        yield "special", "special functions x2", _changed(target, special_per_s=_twice(target.special_per_s))
    for level in target.memory[1:]:
        if not level.per_processor:
            yield level.name, f"{level.name.upper()} bandwidth x2", _changed(target, memory=_memory(target, level.name))
    yield "power", "power limit x2", _changed(target, power=_changed(target.power, peak_w=_twice(target.power.peak_w)))
    if target.kind != "microcontroller":
        yield "processors", f"{target.processors.name}s x2", more_processors(target)


def with_energies(target: Target) -> Target:
    """Energies of operations written out: those derived from the machine's power would follow what is changed."""
    energies: dict[str, dict[str, Figure]] = {
        "matrix": {dtype: target.energy_j_per_flop(dtype, "matrix") for dtype in target.matrix},
        "vector": {dtype: target.energy_j_per_flop(dtype, "vector") for dtype in target.vector},
    }
    return target.model_copy(update={"energy": ArithmeticEnergy(**energies)})


def more_processors(target: Target) -> Target:
    """Twice the processors: each with its own arithmetic, memory, way to the last cache, and power."""
    inner = tuple(
        _changed(level, bandwidth_bytes_per_s=_twice(level.bandwidth_bytes_per_s)) for level in target.memory[1:]
    )
    special = target.special_per_s
    return _changed(
        target,
        matrix=_peaks(target.matrix),
        vector=_peaks(target.vector),
        special_per_s=None if special is None else _twice(special),
        memory=(target.main_memory, *inner),
        processors=_changed(target.processors, count=_twice(target.processors.count)),
        power=_changed(target.power, idle_w=_twice(target.power.idle_w), peak_w=_twice(target.power.peak_w)),
    )


def other_launch(target: Target) -> tuple[str, str, Target]:
    """Launched one by one where steps are replayed as a whole, and the other way round."""
    runtime = RUNTIMES.get(target.runtime)
    bare = target.model_copy(update={"name": target.name.partition("+")[0], "runtime": ""})
    if runtime is not None and runtime.launch == "eager":
        return "graph", "kernels replayed (CUDA graphs)", bare
    return "eager", "PyTorch, kernels launched one by one", bare.with_runtime("pytorch")


class FreeLaunches(Analytical):
    """The analytical model's own choice of tiles, and no time for launches: neither the host's nor the device's."""

    def evaluated(self, kernels: KernelTable, target: Target) -> Iterator[Evaluated]:
        for part in Analytical.evaluated(self, kernels, target):
            terms = part.terms
            # Kernels that no library has are priced in launches: with free ones the choice of tiles would take them.
            paid = {name: seconds for name, seconds in terms.fixed.items() if name in FREE}
            rest_s = terms.device_s - sum(paid.values(), start=np.zeros_like(terms.device_s))
            fixed = {name: seconds for name, seconds in terms.fixed.items() if name not in FREE}
            yield replace(part, terms=replace(terms, latency_s=rest_s, device_s=rest_s, fixed=fixed))


def without_launches(model: CostModel) -> CostModel:
    """The model with launches that cost nothing; for what has no such constants, the target says all there is."""
    return FreeLaunches(model.constants) if isinstance(model, Analytical) else model


def _changed(part: AnyPart, **values: Any) -> AnyPart:
    return part.model_copy(update=values)


def _twice(figure: Figure) -> Figure:
    return Figure(TWICE * figure, SAID)


def _peaks(peaks: Mapping[str, Figure]) -> dict[str, Figure]:
    return {dtype: _twice(peak) for dtype, peak in peaks.items()}


def _memory(target: Target, name: str) -> tuple[MemoryLevel, ...]:
    return tuple(
        _changed(level, bandwidth_bytes_per_s=_twice(level.bandwidth_bytes_per_s)) if level.name == name else level
        for level in target.memory
    )
