"""``irc compile``: the main job."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ircost.commands.finite_range import FiniteRange
from ircost.commands.options import (
    DEFAULT_OPT,
    OptionError,
    check_format_options,
    check_pipeline_options,
    import_options,
    machine_options,
    opt_option,
    read_import_options,
    read_model,
)
from ircost.commands.output import told_if_unwritable, write_whole
from ircost.terminal import working

if TYPE_CHECKING:
    from ircost.alternatives import WhatIf
    from ircost.report import Report

EXIT_DOES_NOT_FIT = 1

# Options of one compilation, as people write them; arguments that a compilation and a sweep share.
OF_ONE_SIZE = {
    "memory_limit": "--memory-limit",
    "exact": "--exact",
    "show_all": "--all",
    "stats": "--stats",
    "print_after": "--print-ir-after",
}
OF_ANY_SIZE = ("target", "bindings", "dtype", "autocast", "pipeline", "cost_model")


@click.command()
@click.argument("model", type=click.Path())
@machine_options
@import_options
@click.option(
    "--passes",
    "pipeline",
    metavar="PIPELINE",
    help="Passes to run.  [default, on GPUs: weight-only,canonicalize,recognise,fold-batch-norm,fuse{by_cost=true}]",
)
@opt_option
@click.option(
    "--model",
    "cost_model",
    metavar="NAME",
    default="auto",
    show_default=True,
    help="hybrid (with intervals), analytical, roofline, auto (by the target), a folder by irc train, or the file of "
    "constants by irc calibrate.",
)
@click.option(
    "--memory-limit",
    metavar="SIZE",
    help="Weights and activations may take this much (24GiB): reorder ops and compute values twice to keep to it.",
)
@click.option("--exact", is_flag=True, help="Ask a solver for the smallest arena (pip install 'ircost[solve]').")
@click.option(
    "--output-tokens",
    type=click.IntRange(1),
    metavar="N",
    help="Of a language model: the prompt of --seq tokens, then N tokens one by one.",
)
@click.option("--price-per-hour", type=FiniteRange(0), metavar="X", help="Of one device: what do tokens cost?")
@click.option("--intensity", type=FiniteRange(0), metavar="X", help="Operations that a byte counts as in eFLOPs.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole report as JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the kernels as CSV.")
@click.option("--all", "show_all", is_flag=True, help="List every kernel.")
@click.option("--stats", is_flag=True, help="Print what each pass did, on stderr.")
@click.option(
    "--print-ir-after", "print_after", multiple=True, metavar="PASS", help="Print the IR after a pass, on stderr."
)
@click.option("--what-if", is_flag=True, help="Change one thing at a time: what would help most?")
@click.option(
    "--sweep",
    "axes",
    multiple=True,
    metavar="NAME=1,2,4..256",
    help="Many sizes of a dim or a mesh axis, a line each: values, a..b doubling, a..b:step. Several: all of them.",
)
@click.option(
    "--plot",
    metavar="FILE.svg|png",
    help="Draw the roofline: kernels under ceilings; with --what-if a tornado, with --sweep curves.",
)
@click.option(
    "-o", "--output", metavar="FILE.irc|onnx", help="Write the IR that was costed, or the model, optimised, as ONNX."
)
@click.option(
    "--for",
    "for_runtime",
    type=click.Choice(["onnxruntime", "onnxruntime:nchw16c", "onnxruntime:nchw8c"]),
    help="Let the ONNX file use this runtime's own operators; standard ones only where left out. With :nchw16c "
    "weights are in the order that processors with AVX-512 want, with :nchw8c AVX2; all others refuse the file.",
)
def command(
    model: str,
    target: str,
    as_json: bool,
    as_csv: bool,
    output: str | None,
    for_runtime: str | None,
    plot: str | None,
    show_all: bool,
    what_if: bool,
    axes: tuple[str, ...],
    **options: Any,
) -> int:
    """Latency, energy and peak memory of MODEL on a target, what limits it, and the kernels that cost most.

    MODEL is an .onnx file, a YAML graph, IR text (.irc), a config.json, or the name of a bundled one (irc models). Exit
    code 1: it does not fit the target's memory, or the limit.
    """
    form = "json" if as_json else "csv" if as_csv else "text"
    check_combination(as_json, as_csv, output, for_runtime, what_if, bool(axes), options)
    if plot:
        from ircost.plots.drawing import check_drawing

        check_drawing(plot)  # before a large model is read
    if axes:
        check_sweep({**options, "show_all": show_all})
        print_sweep_of(model, target, axes, form, plot, **options)
        return 0
    answer = make_what_if(model, target, **options) if what_if else None
    report = make_report(model, target, **options) if answer is None else answer.report
    if output:
        write(report, model, output, for_runtime, options)
    if plot:
        draw(report, answer, target, options["target_folders"], options["cost_model"], plot)
    print_as(report, answer, form, show_all)
    return 0 if report.fits else EXIT_DOES_NOT_FIT


def check_combination(
    as_json: bool,
    as_csv: bool,
    output: str | None,
    for_runtime: str | None,
    what_if: bool,
    is_sweep: bool,
    options: Mapping[str, Any],
) -> None:
    """Raises:
    OptionError: two options exclude each other, or one applies to nothing that is asked for.
    """
    if as_json and as_csv:
        raise OptionError("--json and --csv exclude each other", help="run twice; the JSON also lists the kernels")
    if for_runtime and not is_onnx(output):
        raise OptionError("--for applies to ONNX output only", help="name a file: -o optimised.onnx")
    if output:
        check_output(output)
    if as_csv and what_if:
        raise OptionError("--csv lists kernels, not the changes of --what-if", help="--json has the changes")
    alone = ("output_tokens", "intensity") if is_sweep else ("output_tokens", "price_per_hour", "intensity")
    asked = [name for name in alone if options[name] is not None]
    if asked and (what_if or is_sweep):
        option = asked[0].replace("_", "-")
        raise OptionError(f"--{option} cannot be combined with --what-if or --sweep", help="run them separately")
    if what_if:
        check_what_if(options["cost_model"])
    if is_sweep and (what_if or output):
        raise OptionError("--sweep cannot be combined with --what-if or -o", help="run those at one size")


def is_onnx(output: str | None) -> bool:
    return output is not None and output.endswith(".onnx")


def write(report: Report, model: str, output: str, for_runtime: str | None, options: Mapping[str, Any]) -> None:
    """The IR that was costed, or the model as ONNX."""
    if is_onnx(output):
        write_model(model, output, for_runtime or "", **options)
    else:
        from ircost.ir.printer import print_module

        write_whole(output, print_module(report.module, locations=True))


def check_output(output: str) -> None:
    """Raises:
    OptionError: the file is named like a report, which is what the screen gets, or like a drawing.
    """
    kind = Path(output).suffix.lower()
    if kind not in {"", ".irc", ".onnx"}:
        report = f"--{kind[1:]} > {output}" if kind in {".json", ".csv"} else "--json or --csv; drawn: --plot FILE.svg"
        raise OptionError(
            f"-o writes IR (FILE.irc) or the model (FILE.onnx), not {output}", help=f"for a report: {report}"
        )


def check_sweep(options: Mapping[str, Any]) -> None:
    """Raises:
    OptionError: an option is of one compilation.
    """
    for name, option in OF_ONE_SIZE.items():
        if options[name]:
            raise OptionError(f"--sweep cannot be combined with {option}", help=f"run {option} at one size")


def check_what_if(cost_model: str) -> None:
    """Raises:
    OptionError: the model knows machines as they are only.
    """
    from ircost.cost_models.automatic import is_learned

    if is_learned(cost_model):
        raise OptionError(
            f"--what-if cannot be combined with --model {cost_model}",
            help="what was learned of a machine says nothing about a changed one",
        )


def write_model(model: str, output: str, for_runtime: str, **options: Any) -> None:
    """The model as ONNX. It is read anew: the kernels of the one that was costed are no operators of ONNX."""
    from ircost.api import EXPORT_PIPELINE, export_onnx, full_pipeline
    from ircost.ir.collector import collector_paused
    from ircost.passes.autocast import with_autocast

    names = ("dims", "shapes", "values", "bounds", "allow_opaque")
    chosen = options["pipeline"] if options["pipeline"] is not None else EXPORT_PIPELINE
    if options["autocast"] is not None:
        chosen = with_autocast(chosen, options["autocast"])
    with working(f"writing {output}"), collector_paused(), told_if_unwritable(output):
        module = read_model(model, **{name: options[name] for name in names}).module
        export_onnx(module, output, for_runtime, pipeline=full_pipeline(chosen, options["dtype"]))


def draw(
    report: Report, answer: WhatIf | None, target: str, folders: tuple[str, ...], cost_model: str, plot: str
) -> None:
    """The tornado of what-ifs; without any the roofline."""
    if answer is not None:
        from ircost.plots.tornado import draw_tornado

        draw_tornado(answer, plot)
    else:
        from ircost.backends import load_target
        from ircost.cost_models.automatic import own_runtimes
        from ircost.plots.roofline import draw_roofline

        draw_roofline(report, load_target(target, folders, own_runtimes(cost_model)), plot)


def make_report(model: str, target: str, **options: Any) -> Report:
    """The report; what was asked for on the way goes to stderr. Options are checked before the model is read."""
    from ircost.api import compile_model

    arguments = compile_arguments(target, **options)
    with working(f"compiling {model}"):
        return compile_model(model, **arguments)


def make_what_if(model: str, target: str, **options: Any) -> WhatIf:
    """The report, and what would become of it with one thing changed at a time."""
    from ircost.alternatives import what_if

    arguments = compile_arguments(target, **options)
    with working(f"compiling {model}, one change at a time"):
        return what_if(model, **arguments)


def print_sweep_of(model: str, target: str, axes: tuple[str, ...], form: str, plot: str | None, **options: Any) -> None:
    """Every combination of sizes, as text, CSV or JSON, and drawn."""
    from ircost.api import sweep_model
    from ircost.cost_models.side_by_side import processors
    from ircost.sweep_axes import parse_axes

    sizes = parse_axes(axes)
    arguments = compile_arguments(target, **options)
    machine = arguments["target"]
    with working(f"compiling {model}, one size at a time"):
        shared = {name: arguments[name] for name in OF_ANY_SIZE}
        price = options["price_per_hour"]
        found = sweep_model(model, sizes, processes=processors(), price_per_hour=price, **shared)
    title = f"{model}  ->  {machine.name}"
    if plot:
        from ircost.plots.sweep import draw_sweep

        draw_sweep(found, plot, title)
    if form == "csv":
        click.echo(found.to_csv(), nl=False)
    elif form == "json":
        points = [point.to_dict() for point in found.points]
        whole = {"model": model, "target": machine.name, "notes": found.notes, "points": points}
        click.echo(json.dumps(whole, indent=2, allow_nan=False))
    else:
        from ircost.sweep_text import print_sweep

        print_sweep(found, title)


def compile_arguments(
    target: str,
    *,
    target_folders: tuple[str, ...],
    dtype: str | None,
    autocast: str | None = None,
    pipeline: str | None,
    opt: int | None = None,
    cost_model: str,
    stats: bool,
    print_after: tuple[str, ...],
    memory_limit: str | None = None,
    exact: bool = False,
    output_tokens: int | None = None,
    price_per_hour: float | None = None,
    intensity: float | None = None,
    **bindings: Any,
) -> dict[str, Any]:
    """What ``compile_model`` takes, out of the options' texts."""
    from ircost.api import chosen_pipeline, full_pipeline
    from ircost.backends import load_target
    from ircost.commands.printing import printer_after, say_stats
    from ircost.cost_models.automatic import own_runtimes
    from ircost.passes import parse_pipeline, pipeline_of_level
    from ircost.passes.rematerialise import limit_bytes
    from ircost.request import FiguresAsked

    if memory_limit is not None:
        limit_bytes(memory_limit)  # a mistake in it is told before a large model is read
    check_pipeline_options(pipeline, opt)
    check_format_options(dtype, autocast)
    machine = load_target(target, target_folders, own_runtimes(cost_model))
    level = DEFAULT_OPT if opt is None else opt
    chosen = pipeline_of_level(level, machine.kind, machine.runtime) if pipeline is None else pipeline
    whole = chosen_pipeline(machine, chosen, level, dtype, autocast)
    return {
        "target": machine,
        "bindings": read_import_options(**bindings),
        "dtype": dtype,
        "autocast": autocast,
        "pipeline": chosen,
        "cost_model": cost_model,
        "memory_limit": memory_limit,
        "exact": exact,
        "figures": FiguresAsked(output_tokens, price_per_hour, intensity),
        "after_pass": printer_after(print_after, parse_pipeline(full_pipeline(whole, dtype))),
        "on_reports": say_stats if stats else None,
    }


def print_as(report: Report, answer: WhatIf | None, form: str, show_all: bool) -> None:
    if form == "csv":
        click.echo(report.to_csv(), nl=False)
    elif form == "json" and answer is None:
        click.echo(report.to_json())
    elif form == "json":
        values = {**report.to_dict(), "what_if": answer.to_dict() if answer else None}
        click.echo(json.dumps(values, indent=2, sort_keys=True, allow_nan=False))
    else:
        print_text(report, answer, show_all)


def print_text(report: Report, answer: WhatIf | None, show_all: bool) -> None:
    from ircost.report_text import print_report

    print_report(report, show_all=show_all)
    if answer is not None:
        from ircost.alternatives_text import print_what_if

        print_what_if(answer)
