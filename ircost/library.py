"""The library as it is called: every option by name, type and meaning. What it stands on is imported by the first call.

Each function only hands on what it is given, so that ``import ircost`` costs nothing, and help, editors and type
checkers know all the same what there is to give.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from pathlib import Path

    from ircost.alternatives import WhatIf
    from ircost.backends import Target
    from ircost.comparing import Comparison
    from ircost.cost_models.evaluation import Score
    from ircost.cost_models.row_estimates import RowEstimates
    from ircost.explaining import Explanation
    from ircost.frontends import Imported
    from ircost.ir.graph import Module
    from ircost.passes import Pass, PassReport
    from ircost.report import Report
    from ircost.sweep_points import Sweep

P = ParamSpec("P")
Answer = TypeVar("Answer")


def checks_options(function: Callable[P, Answer]) -> Callable[P, Answer]:
    """Tells of options that the function has not, with the nearest that it has, and of values in no form it takes."""
    code = function.__code__
    known = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    defaults = function.__kwdefaults__ or {}

    @wraps(function)
    def checked(*arguments: P.args, **options: P.kwargs) -> Answer:
        from ircost.option_forms import check_options

        check_options(function.__name__, known, defaults, options)
        return function(*arguments, **options)

    return checked


@checks_options
def compile(
    model: str | Path | Module | Imported,
    target: str | Path | Target = "h100_sxm",
    *,
    dtype: str | None = None,
    autocast: str | None = None,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    values: Mapping[str, object] | None = None,
    bounds: Mapping[str, int] | None = None,
    phase: str = "",
    mesh: str = "",
    cache_dtype: str | None = None,
    allow_opaque: bool = False,
    pipeline: str | None = None,
    opt: int = 2,
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
    """Latency (s), energy (J) and memory (bytes) of a model on a target, what limits it, and each kernel's share.

    Args:
        model: an ONNX file, a YAML graph, IR text or a ``config.json`` by path, the name of a bundled configuration
            (``irc models``), a module, or what ``from_torch`` or ``ircost.frontends.load`` returned; the last two
            stay as they are.
        target: name, alias, YAML file, or a loaded target (``irc targets``).
        dtype: cost the model as if converted to this number format, such as ``f16``; its own where left out.
        autocast: cost a model of f32 as under ``torch.autocast``, products in this format, ``f16`` or ``bf16``, norms
            and softmax in f32; in place of ``dtype``. Weights are converted once, at load.
        dims, shapes, values: of a model that is read from a file: symbolic dims by name, ``{"batch": 8}``; whole input
            shapes, ``{"x": (1, 3, 224, 224)}``; values of small inputs, on which shapes may depend.
        bounds: how often a loop runs, or how many elements a node selects, at most, by the node's name.
        phase: of a model that comes as a configuration: ``prefill``, ``chunk``, ``decode``, ``verify``, ``encode`` or
            ``denoise``; its dims are ``batch``, ``seq`` (new tokens) and ``context`` (tokens attended to, the new ones
            included).
        mesh: ranks that share it, such as ``tp=8`` or ``tp=4,pp=2``; the report is that of one rank.
        cache_dtype: number format of its cached keys and values.
        allow_opaque: let operators pass that are not known; their cost is then unknown, and the report lists them.
        pipeline: passes to run, as text: ``canonicalize,fuse{max_ops=8}``; those of ``opt`` where left out.
        opt: level of optimisation, 0 to 3, each a pipeline for each kind of target (``irc passes --levels``).
        cost_model: ``hybrid``, ``analytical``, ``roofline``, a folder that ``irc train`` wrote, or a file of constants
            that ``irc calibrate`` wrote; ``auto`` is ``hybrid`` for GPUs and CPUs, ``roofline`` for all else.
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
        IrcError: the model, the target or an option is wrong; says what, where, and how to mend it
            (``ircost.ir.IrcError``).

    >>> report = compile("llama-3-8b", "h100", phase="decode", dims={"batch": 1, "context": 4096})
    >>> report.lower_bound_s < report.latency_s
    True
    """
    from ircost.api import compile_model, import_options_of
    from ircost.request import FiguresAsked

    bindings = import_options_of(
        dims=dims,
        shapes=shapes,
        values=values,
        bounds=bounds,
        phase=phase,
        mesh=mesh,
        cache_dtype=cache_dtype,
        allow_opaque=allow_opaque,
    )
    return compile_model(
        model,
        target,
        bindings,
        dtype=dtype,
        autocast=autocast,
        pipeline=pipeline,
        opt=opt,
        cost_model=cost_model,
        target_folders=target_folders,
        memory_limit=memory_limit,
        exact=exact,
        figures=FiguresAsked(output_tokens, price_per_hour, intensity),
        after_pass=after_pass,
        on_reports=on_reports,
    )


@checks_options
def what_if(
    model: str | Path | Module | Imported,
    target: str | Path | Target = "h100_sxm",
    *,
    dtype: str | None = None,
    autocast: str | None = None,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    values: Mapping[str, object] | None = None,
    bounds: Mapping[str, int] | None = None,
    phase: str = "",
    mesh: str = "",
    cache_dtype: str | None = None,
    allow_opaque: bool = False,
    pipeline: str | None = None,
    opt: int = 2,
    cost_model: str = "auto",
    target_folders: Sequence[str | Path] = (),
) -> WhatIf:
    """What would help most: one thing of machine, passes, number format or batch changed at a time.

    Speed alone: whether a number format is accurate enough is not asked.

    Args:
        model, target, dtype, ...: as of ``compile``. ``auto`` is the cost model without what was learned of machines
            as they are.

    Raises:
        IrcError: as of ``compile``; a change that cannot be costed is listed in ``not_tried`` instead.
    """
    from ircost.alternatives import what_if as ask
    from ircost.api import import_options_of

    bindings = import_options_of(
        dims=dims,
        shapes=shapes,
        values=values,
        bounds=bounds,
        phase=phase,
        mesh=mesh,
        cache_dtype=cache_dtype,
        allow_opaque=allow_opaque,
    )
    return ask(
        model,
        target,
        bindings,
        dtype=dtype,
        autocast=autocast,
        pipeline=pipeline,
        opt=opt,
        cost_model=cost_model,
        target_folders=target_folders,
    )


@checks_options
def sweep(
    model: str | Path,
    axes: Mapping[str, Sequence[int]],
    target: str | Path | Target = "h100_sxm",
    *,
    dtype: str | None = None,
    autocast: str | None = None,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    values: Mapping[str, object] | None = None,
    bounds: Mapping[str, int] | None = None,
    phase: str = "",
    mesh: str = "",
    cache_dtype: str | None = None,
    allow_opaque: bool = False,
    pipeline: str | None = None,
    opt: int = 2,
    cost_model: str = "auto",
    target_folders: Sequence[str | Path] = (),
    price_per_hour: float | None = None,
) -> Sweep:
    """A model at many sizes, all priced together: latency (s), throughput (1/s), energy (J), memory (bytes), knees.

    Args:
        model: as of ``compile``, but read from a file, since each size is another model.
        axes: what to vary, ``{"batch": [1, 2, 4], "context": [1024, 4096]}``: dims, of a configuration also axes of
            its mesh. Every combination is a point, the last axis running fastest.
        target, dtype, ...: as of ``compile``.
        price_per_hour: of one device, in any currency: points say what a million items cost.

    Raises:
        IrcError: as of ``compile``; or a point cannot be built, says which.

    >>> points = sweep("llama-3-8b", {"batch": [1, 64]}, "h100", phase="decode", dims={"context": 4096}).points
    >>> points[0].items_per_s < points[1].items_per_s
    True
    """
    from ircost.api import import_options_of, sweep_model

    bindings = import_options_of(
        dims=dims,
        shapes=shapes,
        values=values,
        bounds=bounds,
        phase=phase,
        mesh=mesh,
        cache_dtype=cache_dtype,
        allow_opaque=allow_opaque,
    )
    return sweep_model(
        model,
        axes,
        target,
        bindings,
        dtype=dtype,
        autocast=autocast,
        pipeline=pipeline,
        opt=opt,
        cost_model=cost_model,
        target_folders=target_folders,
        price_per_hour=price_per_hour,
    )


@checks_options
def diff(report_a: Report | str | Path, report_b: Report | str | Path) -> Comparison:
    """What changes from one report to another, kernel by kernel, and why.

    Args:
        report_a, report_b: what ``compile`` gave, or JSON files that ``irc compile --json`` wrote.

    Returns:
        Changes, largest first; their ``delta_s`` add up to the difference of the latencies.

    Raises:
        IrcError: a file is no report.
    """
    from ircost.comparing import compare

    return compare(report_a, report_b)


@checks_options
def explain(
    report: Report,
    kernel: str | None = None,
    *,
    target: str | Path | Target | None = None,
    most: int | None = 5,
) -> Explanation:
    """The tree behind a report's latency: terms, data sheets, fits. ``print`` it, or look at it in a notebook.

    Args:
        report: what ``compile`` gave.
        kernel: part of the name of a kernel's node; the tree is that of all kernels that have it.
        target: the report's, where it is in a file of your own.
        most: kernels that are opened up, the slowest; None: all.

    Returns:
        An explanation with a ``tree``, in seconds: ``children`` make each value up as ``how`` says.

    Raises:
        IrcError: no kernel has that name, or the target is not that of the report.
    """
    from ircost.explaining import explain_again

    return explain_again(report, target, kernel, most)


@checks_options
def predict(
    kernels: Any,
    *,
    model: str = "hybrid",
    target_folders: Sequence[str | Path] = (),
) -> RowEstimates:
    """How long single kernels take: latency (s), its interval of 90 %, its limit, and a grade, a row each.

    Args:
        kernels: a frame of pandas or polars, a table of Arrow, or a dict of columns, in the schema of
            ``docs/cost-models.md``: ``device``, sizes such as ``m``, ``n`` and ``k``, perhaps ``dtype`` and
            ``framework``. Latencies may be missing.
        model: ``hybrid`` or a folder that ``irc train`` wrote; without intervals ``analytical``, ``roofline``, or a
            file of constants that ``irc calibrate`` wrote.
        target_folders: more folders to look for target files in.

    Returns:
        Arrays of [rows], NaN where a row tells of no kernel: ``failures`` says why. ``to_columns()`` goes into a frame.

    Raises:
        IrcError: columns are missing or of different lengths, or there is no such model.

    >>> products = {"device": ["h100", "t4"], "m": [4096, 64], "n": [4096, 64], "k": [4096, 64]}
    >>> predict(products, model="roofline").latency_s.round(7).tolist()
    [0.0001389, 2.5e-06]
    """
    from ircost.kernel_tables import predict_kernels

    return predict_kernels(kernels, model, target_folders)


@checks_options
def evaluate(
    measured: Any,
    *,
    model: str = "analytical",
    by: Sequence[str] = (),
    target_folders: Sequence[str | Path] = (),
) -> tuple[Score, ...]:
    """A cost model held against measured kernels: errors in percent, bias, order.

    Args:
        measured: as of ``predict``, with ``latency_us``.
        model: as of ``predict``. The hybrid was trained on such rows: ``irc evaluate --split`` judges it on others.
        by: a score for each of ``device``, ``framework``, ``dtype``, or several of them.
        target_folders: more folders to look for target files in.

    Raises:
        IrcError: columns are missing or of different lengths, no row tells of a measured kernel, or there is no such
            model.
    """
    from ircost.kernel_tables import evaluate_kernels

    return evaluate_kernels(measured, model, by, target_folders)


@checks_options
def from_torch(
    module: Any,
    example_inputs: Sequence[Any] = (),
    dynamic_shapes: Any = None,
    *,
    kwargs: Mapping[str, Any] | None = None,
    dims: Mapping[str, int] | None = None,
    allow_opaque: bool = False,
) -> Imported:
    """A module of PyTorch, by ``torch.export``; what ``compile`` takes. Needs the extra ``torch``.

    Weights are not copied: constants refer to the tensors, so a module on the meta device costs no memory at all.

    Args:
        module: a ``torch.nn.Module`` in eval mode, or a ``torch.export.ExportedProgram`` with fixed shapes.
        example_inputs: as the module is called; their shapes are those that are costed.
        dynamic_shapes: names for axes, as ``torch.export.export`` takes them: ``({0: "batch"},)``.
        kwargs: example inputs by name.
        dims: extents of named axes in place of the examples' own.
        allow_opaque: let operators pass that are not known; their cost is then unknown, and the report lists them.

    Raises:
        IrcError: PyTorch is not installed, the module cannot be exported, or has an operator that is not known.
    """
    from ircost.frontends.load import load_torch

    return load_torch(module, example_inputs, dynamic_shapes, kwargs=kwargs, dims=dims, allow_opaque=allow_opaque)
