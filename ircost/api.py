"""The library's front door: a model and a target in, a report out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ircost.backends import Target, load_target
from ircost.cost_models.automatic import chosen_model
from ircost.costing import report_on
from ircost.dequantised import noted
from ircost.fitting import Retry, fit, remedies
from ircost.frontends import Imported, ImportOptions, load
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
    PassReport,
    parse_pipeline,
    pipeline_of_level,
    run_pipeline,
)
from ircost.passes.rematerialise import limit_bytes
from ircost.report import Report
from ircost.request import FiguresAsked, with_figures

DEFAULT_PIPELINE = LEVELS[DEFAULT_LEVEL].pipelines["gpu"]
# As above without kernels, which no ONNX operator is; what folding leaves is folded once more.
EXPORT_PIPELINE = "canonicalize,loop-invariants,recognise,fold-batch-norm,fold-pads,fold-affine,canonicalize"


def compile_model(
    model: str | Path | Module | Imported,
    target: str | Target = "h100_sxm",
    *,
    dtype: str | None = None,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    values: Mapping[str, object] | None = None,
    bounds: Mapping[str, int] | None = None,
    phase: str = "",
    mesh: str = "",
    cache_dtype: str | None = None,
    allow_opaque: bool = False,
    pipeline: str | None = None,
    opt: int = DEFAULT_LEVEL,
    cost_model: str = "auto",
    target_folders: Sequence[str | Path] = (),
    memory_limit: str | int | None = None,
    exact: bool = False,
    output_tokens: int | None = None,
    price_per_hour: float | None = None,
    intensity: float | None = None,
    after_pass: Callable[[Pass, Module], None] | None = None,
    on_reports: Callable[[tuple[PassReport, ...]], None] | None = None,
) -> Report:
    """Imports a model, rewrites it, and estimates latency, energy and memory on a target.

    Args:
        model: an ONNX file, IR text or a ``config.json`` by path, the name of a bundled configuration (``irc models``),
            a module, or what ``load`` returned. A module is rewritten in place.
        target: name, alias, YAML file, or a loaded target.
        dtype: cost the model as if converted to this number format; its own where left out.
        dims, shapes, values: bind symbolic dims by name, whole input shapes, and values of small inputs.
        bounds: how often a loop runs, or how many elements a node selects, at most, by the node's name.
        phase: of a model that comes as a configuration: ``prefill``, ``chunk``, ``decode``, ``verify`` or ``encode``;
            its dims are ``batch``, ``seq`` (new tokens) and ``context`` (tokens attended to, the new ones included).
        mesh: ranks that share it, such as ``tp=8`` or ``tp=4,pp=2``; the report is that of one rank.
        cache_dtype: number format of its cached keys and values.
        allow_opaque: let operators pass that are not known; their cost is then unknown, and the report lists them.
        pipeline: passes to run; those of ``opt`` where left out.
        opt: level of optimisation, 0 to 3, each a pipeline for each kind of target (``irc passes --levels``).
        cost_model: name of the cost model, or a folder that ``irc train`` wrote; ``auto`` is ``hybrid`` for GPUs
            and ``roofline`` for all else.
        target_folders: more folders to look for target files in.
        memory_limit: ``24GiB`` or bytes that weights and activations may take: where they take more, ops are put in
            another order, and values are computed twice. Left out, the target's main memory is the limit, and the
            report only says whether it is enough.
        exact: ask a solver (OR-Tools, extra ``solve``) for the smallest arena.
        output_tokens: of a model that comes as a configuration, in phase ``prefill``: the report's ``request`` is the
            prompt and so many tokens of an answer.
        price_per_hour: of one device, in any currency: the report says what a million tokens cost.
        intensity: operations that a byte counts as in ``eflops``; the target's ridge where left out.
        after_pass: called with each pass and the module after it.
        on_reports: called with what each pass did.

    Raises:
        IrcError: the model, the target or an option is wrong; says what, where, and how to mend it.
    """
    machine = target if isinstance(target, Target) else load_target(target, target_folders)
    options = import_options_of(
        dims=dims,
        shapes=shapes,
        values=values,
        bounds=bounds,
        phase=phase,
        mesh=mesh,
        dtype=dtype,
        cache_dtype=cache_dtype,
        allow_opaque=allow_opaque,
    )
    context = PassContext(target=machine, cost_model=chosen_model(cost_model, machine).for_search)
    chosen = pipeline_of_level(opt, machine.kind) if pipeline is None else pipeline
    source = model_file(model) if isinstance(model, (str, Path)) else model
    text = full_pipeline(chosen, None if takes_dtype(source) else dtype)
    limit = None if memory_limit is None else limit_bytes(str(memory_limit))
    passes = parse_pipeline(text)  # a mistake in it is told before a large model is read
    with collector_paused():
        memory = VerifierMemory()
        imported = noted(_imported(source, options, memory), machine, text)
        if chosen != pipeline_of_level(DEFAULT_LEVEL, machine.kind):
            imported = replace(imported, notes=(*imported.notes, f"passes that ran: {text or 'none'}"))
        reports = run_pipeline(imported.module, passes, context=context, after_pass=after_pass, memory=memory)
        if on_reports is not None:
            on_reports(reports)
        fitted = fit(imported, context, limit, exact)
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
    asked = FiguresAsked(output_tokens, price_per_hour, intensity)
    report = replace(report, notes=(*report.notes, *fitted.notes(report.latency_s)))
    report = with_figures(report, asked, source, options, machine, text)
    if report.fits:
        return report
    retry = Retry(source, options, text, exact, context) if isinstance(source, Path) else None
    return replace(report, remedies=remedies(report, retry, is_own_limit=limit is not None))


def import_options_of(
    *,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    values: Mapping[str, object] | None = None,
    bounds: Mapping[str, int] | None = None,
    phase: str = "",
    mesh: str = "",
    dtype: str | None = None,
    cache_dtype: str | None = None,
    allow_opaque: bool = False,
    **_: object,
) -> ImportOptions:
    """What a frontend is asked, out of the arguments of ``compile_model``; further ones are for others.

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
        dtype=parse_dtype(dtype) if dtype is not None else None,
        cache_dtype=parse_dtype(cache_dtype) if cache_dtype is not None else None,
    )


def _extent(name: str, size: object) -> int:
    if not isinstance(size, (int, np.integer)):
        raise UnsupportedError(f"dim '{name}' is bound to {size!r}", help="extents are whole numbers")
    return int(size)


def takes_dtype(source: Path | Module | Imported) -> bool:
    """Whether a model is built in the number format that was asked for; all others are converted."""
    return isinstance(source, Path) and (source.is_dir() or source.suffix == ".json")


def full_pipeline(pipeline: str, dtype: str | None) -> str:
    """The passes to run, the conversion to a number format first.

    Raises:
        DTypeError: there is no such format.
    """
    convert = [] if dtype is None else [f"convert-dtype{{to={parse_dtype(dtype)}}}"]
    return ",".join([*convert, *filter(None, [pipeline])])


def _imported(model: Path | Module | Imported, options: ImportOptions, memory: VerifierMemory) -> Imported:
    if isinstance(model, Imported):
        return model
    if isinstance(model, Module):
        verify(model, memory)
        return Imported(module=model, notes=(), nodes=sum(1 for _ in model.walk()))
    if not isinstance(model, Path):
        raise UnsupportedError(
            f"a {type(model).__name__} is no model",
            help="give a file, a name, a Module, or what ircost.from_torch gave",
        )
    imported = load(model, options)
    verify(imported.module, memory)
    return imported


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
