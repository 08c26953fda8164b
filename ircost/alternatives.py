"""What-if analysis: one thing of a compilation changed at a time, and the time and energy it would take then."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ircost.api import (
    NOTHING_BOUND,
    check_autocast,
    chosen_pipeline,
    compile_model,
    full_pipeline,
    imported_model,
    takes_dtype,
)
from ircost.backends import Target, load_target
from ircost.changed_target import TWICE, resources, wider_links, with_free_launches
from ircost.cost_models.analytical import Analytical
from ircost.cost_models.automatic import Automatic, chosen_model, own_runtimes, search_model
from ircost.cost_models.interface import CostModel
from ircost.cost_models.kernel_table import KernelTable, kernel_table
from ircost.cost_models.other_launches import launched_otherwise, without_launches
from ircost.costing import Totals, totals_of
from ircost.dequantised import integers_first
from ircost.frontends import Imported, ImportOptions, load
from ircost.ir.clone import clone_module
from ircost.ir.collector import collector_paused
from ircost.ir.errors import IrcError
from ircost.ir.graph import Module
from ircost.ir.types import parse_dtype
from ircost.ir.verify import VerifierMemory, verify
from ircost.model_source import model_file
from ircost.passes import (
    DEFAULT_LEVEL,
    PassContext,
    parse_pipeline,
    pipeline_text,
    run_pipeline,
)
from ircost.passes.integer_products import dequantised_products
from ircost.report import Report

Kind = Literal["resource", "pass", "format", "batch", "launch"]
FORMATS = ("tf32", "f16", "bf16", "f8e4m3", "i8")


@dataclass(frozen=True, slots=True)
class Alternative:
    """One thing changed.

    Args:
        kind: ``resource``: the machine has twice of it; ``pass``: left out; ``format``: the model converted to it, or
            the integers of dequantised tensors multiplied; ``batch``: twice as large; ``launch``: how kernels are
            launched.
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


@dataclass(frozen=True, slots=True, repr=False)
class WhatIf:
    """The answer of ``irc compile --what-if``.

    Args:
        report: of the model as it is.
        alternatives: what helps most first.
    """

    report: Report
    alternatives: tuple[Alternative, ...]
    not_tried: tuple[NotTried, ...]

    def __repr__(self) -> str:
        best = f", {self.alternatives[0].what} {self.alternatives[0].change:+.0%}" if self.alternatives else ""
        return f"<WhatIf of {len(self.alternatives)} changes to {self.report!r}{best}>"

    def _repr_html_(self) -> str:
        """What notebooks show."""
        from ircost.answer_html import what_if_html

        return what_if_html(self)

    def to_columns(self) -> dict[str, list[Any]]:
        """The changes as columns by name, what helps most first: what frames take."""
        return {name: [getattr(item, name) for item in self.alternatives] for name in Alternative.__slots__}

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
    target: str | Path | Target = "h100_sxm",
    bindings: ImportOptions = NOTHING_BOUND,
    *,
    dtype: str | None = None,
    autocast: str | None = None,
    pipeline: str | None = None,
    opt: int = DEFAULT_LEVEL,
    cost_model: str = "auto",
    target_folders: Sequence[str | Path] = (),
    **hooks: Any,
) -> WhatIf:
    """Compiles a model, and costs it again with each resource, pass, number format, batch and way to launch changed.

    The model is read once (and once more for the larger batch). Where only the machine changes, kernels are those of
    the report, tiles chosen anew. Speed alone: whether a number format is accurate enough is not asked. ``auto`` is the
    model without what was learned of machines as they are.

    Args:
        model, target, bindings, dtype, ...: as of ``compile_model``, ``hooks`` too. A module is left as it is.

    Raises:
        IrcError: as ``compile_model``.
    """
    machine = target if isinstance(target, Target) else load_target(target, target_folders, own_runtimes(cost_model))
    if cost_model == Automatic.name:
        cost_model = search_model(machine).name
    passes = chosen_pipeline(machine, pipeline, opt, dtype, autocast)
    parse_pipeline(full_pipeline(passes, dtype))  # a mistake in it is told before a large model is read
    source = model_file(model) if isinstance(model, str | Path) else model
    check_autocast(source, autocast)
    is_built = not isinstance(source, Module | Imported) and takes_dtype(source)
    options = replace(bindings, dtype=parse_dtype(dtype) if is_built and dtype is not None else None)
    with collector_paused():
        imported = imported_model(source, options, VerifierMemory())
    convert = None if is_built else dtype
    report = compile_model(imported, machine, dtype=convert, pipeline=passes, cost_model=cost_model, **hooks)
    if isinstance(model, str | Path):
        report = replace(report, source=str(model))
    return _Experiment(source, options, imported, machine, convert, passes, cost_model, report).run()


@dataclass(frozen=True, slots=True)
class _Experiment:
    model: Path | Module | Imported
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
        tries = (
            *self._resources(),
            *self._launches(),
            *self._left_out(),
            *self._formats(),
            *self._integers(),
            *self._batch(),
        )
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
        built = self.imported.built
        links = wider_links(self.target) if built is not None and built.collectives else ()
        for name, what, better in (*resources(self.target), *links):
            yield "resource", name, what, 1, self._on(better, table, chosen_model(self.cost_model, self.target))

    def _launches(self) -> Iterator[Try]:
        table = kernel_table(self.report.module)
        model = chosen_model(self.cost_model, self.target)
        free = with_free_launches(self.target)
        yield "launch", "launches", "launches cost nothing", 1, self._on(free, table, without_launches(model))
        if isinstance(model, Analytical) and self.target.kind == "gpu":
            name, what, other = launched_otherwise(model, self.target)
            yield "launch", name, what, 1, self._on(self.target, table, other)

    def _on(self, target: Target, table: KernelTable, model: CostModel) -> Callable[[], Totals]:
        return lambda: totals_of(self.report.module, table, model, target, self.imported.built)

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

    def _integers(self) -> Iterator[Try]:
        passes = integers_first(self.passes)
        if passes and dequantised_products(self.imported.module)[1]:
            what = "integer-products of QDQ"
            yield "format", "integer-products", what, 1, self._compiled(full_pipeline(passes, self.dtype))

    def _compiled_as(self, dtype: str) -> Callable[[], Totals]:
        def cost() -> Totals:
            if not parse_dtype(dtype).is_float:
                raise IrcError(
                    "integers need quantisation, with scales from calibration data; only floats are converted"
                )
            if isinstance(self.model, Path) and takes_dtype(self.model):
                return self._compiled(self.passes, self._read(replace(self.options, dtype=parse_dtype(dtype))))()
            return self._compiled(full_pipeline(self.passes, dtype))()

        return cost

    def _batch(self) -> Iterator[Try]:
        dims = {name: TWICE * extent for name, extent in self.imported.batch_dims.items()}
        name = ", ".join(dims) or "batch"
        what = ", ".join(f"{dim}={extent}" for dim, extent in dims.items())
        yield "batch", name, f"batch {what}", TWICE, lambda: self._larger(dims)

    def _larger(self, dims: Mapping[str, int]) -> Totals:
        if not dims or not isinstance(self.model, str | Path):
            raise IrcError("no input has a leading dim, bound by name, that could be doubled")
        larger = self._read(replace(self.options, dims={**self.options.dims, **dims}))
        return self._compiled(full_pipeline(self.passes, self.dtype), larger)()

    def _read(self, options: ImportOptions) -> Imported:
        """The model once more, bound otherwise."""
        assert isinstance(self.model, Path), "read from a file"
        with collector_paused():
            return load(self.model, options)

    def _compiled(self, pipeline: str, other: Imported | None = None) -> Callable[[], Totals]:
        imported = self.imported if other is None else other

        def cost() -> Totals:
            with collector_paused():
                copy = clone_module(imported.module)
                verify(copy)
                model = chosen_model(self.cost_model, self.target)
                context = PassContext(target=self.target, cost_model=model.for_search)
                run_pipeline(copy, parse_pipeline(pipeline), context=context)
                return totals_of(copy, kernel_table(copy), model, self.target, imported.built)

        return cost


Try = tuple[Kind, str, str, int, Callable[[], Totals]]
