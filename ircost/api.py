"""The library's front door: a model and a target in, a report out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ircost.backends import Target, load_target
from ircost.cost_models.automatic import chosen_model, own_runtimes
from ircost.costing import report_on
from ircost.dequantised import noted
from ircost.fitting import Retry, fit, remedies
from ircost.frontends import Imported, ImportOptions, load
from ircost.ir.clone import clone_module
from ircost.ir.collector import collector_paused
from ircost.ir.errors import UnsupportedError
from ircost.ir.graph import Module
from ircost.ir.types import parse_dtype
from ircost.ir.verify import VerifierMemory, verify
from ircost.model_source import model_file
from ircost.passes import (
    DEFAULT_LEVEL,
    LEVELS,
    Pass,
    PassContext,
    PassError,
    PassReport,
    parse_pipeline,
    pipeline_of_level,
    run_pipeline,
)
from ircost.passes.autocast import with_autocast
from ircost.passes.rematerialise import limit_bytes
from ircost.quantity_text import bytes_text
from ircost.report import Report
from ircost.request import NO_FIGURES, FiguresAsked, with_figures
from ircost.sweep_axes import checked_axes
from ircost.sweep_points import Sweep
from ircost.sweeping import sweep

DEFAULT_PIPELINE = LEVELS[DEFAULT_LEVEL].pipelines["gpu"]
# As above without kernels, which no ONNX operator is; what folding leaves is folded once more.
EXPORT_PIPELINE = "canonicalize,loop-invariants,recognise,fold-batch-norm,fold-pads,fold-affine,canonicalize"
NOTHING_BOUND = ImportOptions()


def compile_model(
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
    memory_limit: str | int | None = None,
    exact: bool = False,
    figures: FiguresAsked = NO_FIGURES,
    after_pass: Callable[[Pass, Module], None] | None = None,
    on_reports: Callable[[tuple[PassReport, ...]], None] | None = None,
) -> Report:
    """Imports a model, rewrites it, and estimates latency, energy and memory on a target.

    It is ``ircost.compile``, which says what each option means.

    Args:
        bindings: dims, shapes and values of a model that is read from a file; its number format is ``dtype``.
        figures: that a report on a language model has on request.

    Raises:
        IrcError: the model, the target or an option is wrong; says what, where, and how to mend it.
    """
    machine = target if isinstance(target, Target) else load_target(target, target_folders, own_runtimes(cost_model))
    options = replace(bindings, dtype=None if dtype is None else parse_dtype(dtype))
    context = PassContext(target=machine, cost_model=chosen_model(cost_model, machine).for_search)
    chosen = chosen_pipeline(machine, pipeline, opt, dtype, autocast)
    source = model_file(model) if isinstance(model, (str, Path)) else model
    check_autocast(source, autocast)
    text = full_pipeline(chosen, None if takes_dtype(source) else dtype)
    limit = None if memory_limit is None else limit_within(str(memory_limit), machine)
    passes = parse_pipeline(text)  # a mistake in it is told before a large model is read
    with collector_paused():
        memory = VerifierMemory()
        imported = noted(imported_model(source, options, memory), machine, text)
        if chosen != pipeline_of_level(DEFAULT_LEVEL, machine.kind, machine.runtime):
            imported = replace(imported, notes=(*imported.notes, f"passes that ran: {text or 'none'}"))
        reports = run_pipeline(imported.module, passes, context=context, after_pass=after_pass, memory=memory)
        if on_reports is not None:
            on_reports(reports)
        if autocast is not None and not any(own.fired["casts"] for own in reports):
            imported = replace(
                imported, notes=(*imported.notes, "autocast changes nothing: no op of the model takes f32")
            )
        fitted = fit(imported, context, limit, exact, cost_model=cost_model)
        report = report_on(
            imported,
            machine,
            cost_model=cost_model,
            dtype=dtype,
            pipeline=",".join(filter(None, [text, fitted.pipeline])),
            source=str(model) if isinstance(model, (str, Path)) else "",
            memory=fitted.memory,
            memory_limit_bytes=limit,
        )
    report = replace(report, notes=(*report.notes, *fitted.notes(report.latency_s)))
    report = with_figures(report, figures, source, options, machine, text)
    has_room = report.allocated_bytes <= report.memory_limit_bytes and report.weights_fit
    if report.fits or report.remedies or has_room:
        return report  # a request that outgrows memory has remedies of its own
    retry = Retry(source, options, text, exact, context) if isinstance(source, Path) else None
    return replace(report, remedies=remedies(report, machine, retry, is_own_limit=limit is not None))


def limit_within(text: str, target: Target) -> int:
    """A limit of memory in bytes, of what the target has.

    Raises:
        PassError: it is none, or more than there is.
    """
    limit, capacity = limit_bytes(text), target.main_memory.capacity_bytes
    if limit > capacity:
        raise PassError(
            f"the memory limit of {text} is more than the {bytes_text(capacity)} of {target.name}",
            help="leave it out to allow all of that; for a board with more, write a target that 'extends' this one",
        )
    return limit


def sweep_model(
    model: str | Path,
    axes: Mapping[str, Sequence[int]],
    target: str | Path | Target = "h100_sxm",
    bindings: ImportOptions = NOTHING_BOUND,
    *,
    dtype: str | None = None,
    autocast: str | None = None,
    pipeline: str | None = None,
    opt: int = DEFAULT_LEVEL,
    cost_model: str = "auto",
    target_folders: Sequence[str | Path] = (),
    processes: int = 1,
    price_per_hour: float | None = None,
) -> Sweep:
    """A model at many sizes: ``ircost.sweep``, which says what each option means.

    Args:
        bindings: as of ``compile_model``.
        processes: to split the points over; they are copies of this one, which must not run threads then.
        price_per_hour: of one device, in any currency: what do a million items cost?

    Raises:
        IrcError: the model, an axis, the target or an option is wrong.
    """
    machine = target if isinstance(target, Target) else load_target(target, target_folders, own_runtimes(cost_model))
    if not isinstance(model, (str, Path)):
        raise UnsupportedError(
            f"a {type(model).__name__} has one size",
            help="give the file or the name of a model: it is read again for each size",
        )
    source = model_file(model)
    check_autocast(source, autocast)
    passes = chosen_pipeline(machine, pipeline, opt, dtype, autocast)
    options = replace(bindings, dtype=None if dtype is None else parse_dtype(dtype))
    for name in axes.keys() & options.dims.keys():
        raise UnsupportedError(
            f"{name} is both swept and bound to {options.dims[name]}", help=f"leave {name}={options.dims[name]} out"
        )
    found = sweep(
        source,
        options,
        checked_axes({name: [_extent(name, size) for size in sizes] for name, sizes in axes.items()}),
        machine,
        chosen_model(cost_model, machine),
        full_pipeline(passes, None if takes_dtype(source) else dtype),
        processes,
    )
    return found if price_per_hour is None else found.priced(price_per_hour)


def import_options_of(
    *,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    values: Mapping[str, object] | None = None,
    bounds: Mapping[str, int] | None = None,
    phase: str = "",
    mesh: str = "",
    cache_dtype: str | None = None,
    allow_opaque: bool = False,
) -> ImportOptions:
    """What a frontend is asked, out of the options of ``ircost.compile``.

    Raises:
        DTypeError: there is no such number format.
        UnsupportedError: a dim is no whole number.
    """
    return ImportOptions(
        dims={name: _extent(name, size) for name, size in (dims or {}).items()},
        shapes={name: tuple(shape) for name, shape in (shapes or {}).items()},
        values={name: np.asarray(value) for name, value in (values or {}).items()},
        bounds=dict(bounds or {}),
        allow_opaque=allow_opaque,
        phase=phase,
        mesh=mesh,
        cache_dtype=parse_dtype(cache_dtype) if cache_dtype is not None else None,
    )


def _extent(name: str, size: object) -> int:
    if not isinstance(size, (int, np.integer)) or isinstance(size, bool):
        raise UnsupportedError(f"dim '{name}' is bound to {size!r}", help="extents are whole numbers")
    return int(size)


def takes_dtype(source: Path | Module | Imported) -> bool:
    """Whether a model is built in the number format that was asked for; all others are converted."""
    return isinstance(source, Path) and (source.is_dir() or source.suffix == ".json")


def chosen_pipeline(
    machine: Target, pipeline: str | None, opt: int, dtype: str | None = None, autocast: str | None = None
) -> str:
    """The passes that were asked for, or those of a level, in mixed precision where that was asked for.

    Raises:
        UnsupportedError: a number format was asked for, too.
        PassError: there is no such level, or no such precision.
    """
    chosen = pipeline_of_level(opt, machine.kind, machine.runtime) if pipeline is None else pipeline
    if autocast is None:
        return chosen
    if dtype is not None:
        raise UnsupportedError(
            f"both autocast ({autocast}) and dtype ({dtype}) are given",
            help="autocast converts what torch.autocast does, dtype the whole model: leave one out",
        )
    return with_autocast(chosen, autocast)


def check_autocast(source: Path | Module | Imported, autocast: str | None) -> None:
    """Raises:
    UnsupportedError: mixed precision of a model that is built in one format.
    """
    is_built = source.built is not None if isinstance(source, Imported) else takes_dtype(source)
    if autocast is not None and is_built:
        raise UnsupportedError(
            f"autocast ({autocast}): a model by its configuration is built in one number format",
            help=f"give dtype {autocast}; or import the module itself, by ircost.from_torch or as ONNX",
        )


def full_pipeline(pipeline: str, dtype: str | None) -> str:
    """The passes to run, the conversion to a number format first.

    Raises:
        DTypeError: there is no such format.
    """
    convert = [] if dtype is None else [f"convert-dtype{{to={parse_dtype(dtype)}}}"]
    return ",".join([*convert, *filter(None, [pipeline])])


def imported_model(model: Path | Module | Imported, options: ImportOptions, memory: VerifierMemory) -> Imported:
    """A model as a module of its own, verified: what is given as one stays as it is.

    Raises:
        UnsupportedError: it is no model, or is bound already and options would bind it otherwise.
    """
    if isinstance(model, Path):
        imported = load(model, options)
        verify(imported.module, memory)
        return imported
    if not isinstance(model, Module | Imported):
        raise UnsupportedError(
            f"a {type(model).__name__} is not a model",
            help="give a file, a name, a Module, or what ircost.from_torch gave",
        )
    _check_unbound(options)
    given = model if isinstance(model, Imported) else Imported(model, (), sum(1 for _ in model.walk()))
    verify(given.module, memory)
    return replace(given, module=clone_module(given.module))


def _check_unbound(options: ImportOptions) -> None:
    """Raises:
    UnsupportedError: an option binds what is bound already: to leave it out of account would answer something else.
    """
    asked = {name: getattr(options, name) for name in ("dims", "shapes", "values", "bounds", "phase", "mesh")}
    for name, value in {**asked, "cache_dtype": options.cache_dtype}.items():
        if value:
            raise UnsupportedError(
                f"the model is a module with fixed shapes: {name} applies only to models that are read from a file",
                help="give the file, or bind it where the module is made: ircost.frontends.load, ircost.from_torch",
            )


def export_onnx(
    module: Module, path: str | Path, for_runtime: str = "", *, pipeline: str = EXPORT_PIPELINE
) -> tuple[PassReport, ...]:
    """Rewrites a module in place and writes it as an ONNX model of standard operators.

    Args:
        module: verified, with the values of its weights, or the files that hold them.
        path: the file; weights of more than 1.9 GB go into ``path`` + ``.data``.
        for_runtime: ``onnxruntime`` may get its own operators, too.
        pipeline: passes to run first.

    Returns:
        What each pass did.

    Raises:
        IrcError: an op has no ONNX operator, or a weight has no values.
        OSError: the file cannot be written.
    """
    from ircost.backends.onnx import write_onnx  # and with it `onnx`, which most runs do without

    reports = run_pipeline(module, pipeline)
    write_onnx(module, path, for_runtime)
    return reports
