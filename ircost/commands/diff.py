"""``irc diff``: two compilations side by side, and whether the second is bad enough to stop for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ircost.commands.finite_range import FiniteRange
from ircost.commands.options import OptionError, check_format_options, check_pipeline_options, import_options

if TYPE_CHECKING:
    from ircost.comparing import Side

EXIT_WORSE = 1
# Options that say how a side is compiled: key -> option. B's end in -b, and are A's where left out.
COMPILE_OPTIONS = {
    "target": "--target",
    "dtype": "--dtype",
    "autocast": "--autocast",
    "pipeline": "--passes",
    "opt": "--opt",
    "cost_model": "--model",
}
KINDS: dict[str, Any] = {"opt": click.IntRange(0, 3), "autocast": click.Choice(["f16", "bf16"])}
DEFAULTS = {"target": "h100_sxm", "cost_model": "auto"}


def side_options(command: Any) -> Any:
    """``--target`` and ``--target-b``, and so on: None where left out."""
    texts = {
        "target": ("NAME", "Machine of A, and of B where nothing else is said.  [default: h100_sxm]"),
        "dtype": ("FORMAT", "Cost the model as if converted."),
        "autocast": ("f16|bf16", "Cost a model of f32 in mixed precision."),
        "pipeline": ("PIPELINE", "Passes to run."),
        "opt": ("0..3", "Passes by level."),
        "cost_model": ("NAME", "Cost model, as of compile."),
    }
    for key, option in reversed(COMPILE_OPTIONS.items()):
        metavar, help = texts[key]
        kind = KINDS.get(key, str)
        short = ("-t",) if key == "target" else ()
        command = click.option(f"{option}-b", f"{key}_b", type=kind, metavar=metavar, help="The same for B.")(command)
        command = click.option(option, *short, key, type=kind, metavar=metavar, help=help)(command)
    return command


@click.command()
@click.argument("a", type=click.Path())
@click.argument("b", type=click.Path(), required=False)
@side_options
@click.option("--targets", "target_folders", multiple=True, metavar="DIR", help="Look for target files here too.")
@import_options
@click.option(
    "--fail-above", type=FiniteRange(), metavar="PERCENT", help="Exit code 1 if B is worse than A by more than this."
)
@click.option(
    "--metric",
    type=click.Choice(["latency", "energy", "memory", "bytes"]),
    default="latency",
    show_default=True,
    help="What --fail-above looks at.",
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.option("--all", "show_all", is_flag=True, help="List every change.")
@click.option("--plot", metavar="FILE.svg|png", help="Draw the waterfall from A to B.")
def command(
    a: str,
    b: str | None,
    fail_above: float | None,
    metric: str,
    as_json: bool,
    show_all: bool,
    plot: str | None,
    **options: Any,
) -> int:
    """What changes between two compilations, kernel by kernel, and why.

    A and B are models (.onnx, .irc) or reports that 'irc compile --json' wrote. Without B, A is compiled twice, by the
    options and by those that end in -b. Exit code 1: B is worse than --fail-above allows.
    """
    from ircost.comparing import compare_sides
    from ircost.comparison_text import print_comparison

    if plot:
        from ircost.plots.drawing import check_drawing

        check_drawing(plot)
    own = {key: options.pop(key) for key in COMPILE_OPTIONS}
    others = {key: options.pop(f"{key}_b") for key in COMPILE_OPTIONS}
    check_options(a, b, own, others)
    comparison = compare_sides(side(a, own, **options), side(b or a, choices_of_b(own, others), **options))
    if plot:
        from ircost.plots.waterfall import draw_waterfall

        draw_waterfall(comparison, plot)
    if as_json:
        click.echo(json.dumps(comparison.to_dict(), indent=2, sort_keys=True, allow_nan=False))
    else:
        print_comparison(comparison, show_all)
    worse = comparison.worse(metric)
    if fail_above is None or worse * 100 <= fail_above:
        return 0
    click.echo(f"B's {metric} is {worse:.1%} above A's; --fail-above allows {fail_above:g}%", err=True)
    return EXIT_WORSE


def check_options(a: str, b: str | None, own: dict[str, Any], others: dict[str, Any]) -> None:
    """Raises:
    OptionError: two ways to say one thing, options without anything to act on, or nothing to compare.
    """
    check_pipeline_options(own["pipeline"], own["opt"])
    check_pipeline_options(others["pipeline"], others["opt"], end="-b")
    check_format_options(own["dtype"], own["autocast"])
    check_format_options(others["dtype"], others["autocast"], end="-b")
    for file, given, end in ((b or a, others, "-b"), (a, own if is_report(b or a) else {}, "")):
        for key, value in given.items():
            if value is not None and is_report(file):
                raise OptionError(
                    f"{COMPILE_OPTIONS[key]}{end} says how to compile a model, but {file} is a report",
                    help="give the model instead, or leave the option out",
                )
    if b is None and all(value is None or value == own[key] for key, value in others.items()):
        raise OptionError(
            f"A and B are the same: both are {a}, with the same options", help="give B, or an option such as --target-b"
        )


def choices_of_b(own: dict[str, Any], others: dict[str, Any]) -> dict[str, Any]:
    """A's choices where B's are left out; what passes run is one choice, however it is said, and so are the formats."""
    chosen = {key: own[key] if value is None else value for key, value in others.items()}
    for pair in (("pipeline", "opt"), ("dtype", "autocast")):
        if any(others[key] is not None for key in pair):
            chosen.update({key: others[key] for key in pair})
    return chosen


def is_report(path: str) -> bool:
    return Path(path).suffix.lower() == ".json"


def side(path: str, chosen: dict[str, Any], **options: Any) -> Side:
    """A report out of its file, or a model compiled."""
    from ircost.commands.compile import make_report
    from ircost.comparing import side_of

    if is_report(path):
        return side_of(path)
    values: dict[str, Any] = {key: DEFAULTS.get(key) if value is None else value for key, value in chosen.items()}
    return side_of(make_report(path, stats=False, print_after=(), **values, **options))
