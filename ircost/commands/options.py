"""Options that several commands share, and how their values are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click
import numpy as np

from ircost.frontends import Imported, ImportOptions, load
from ircost.ir.errors import IrcError
from ircost.ir.types import parse_dtype
from ircost.ir.verify import verify
from ircost.model_source import model_file

DEFAULT_OPT = 2  # the level of ``ircost.passes.levels``, which listings of help should not import

Command = TypeVar("Command", bound=Callable[..., Any])


class OptionError(IrcError):
    """An option's value cannot be read."""


MACHINE_OPTIONS = (
    click.option(
        "--target", "-t", default="h100_sxm", show_default=True, help="Machine: a name, an alias or a YAML file."
    ),
    click.option("--targets", "target_folders", multiple=True, metavar="DIR", help="Look for target files here too."),
    click.option("--dtype", metavar="FORMAT", help="Cost the model as if converted: f16, bf16, f8e4m3, ..."),
    click.option(
        "--autocast",
        type=click.Choice(["f16", "bf16"]),
        help="Cost a model of f32 in mixed precision, as under torch.autocast.",
    ),
)
IMPORT_OPTIONS = (
    click.option("--dim", "dims", multiple=True, metavar="NAME=N", help="Bind a symbolic dim."),
    click.option("--shape", "shapes", multiple=True, metavar="INPUT=1,3,48,192", help="Bind an input's whole shape."),
    click.option(
        "--value",
        "values",
        multiple=True,
        metavar="INPUT=16000",
        help="Bind an input's value; what depends on it folds.",
    ),
    click.option(
        "--bound", "bounds", multiple=True, metavar="NODE=N", help="How often a loop runs, or a node selects, at most."
    ),
    click.option("--allow-opaque", is_flag=True, help="Take unknown operators; their cost is reported as unknown."),
    click.option(
        "--phase",
        type=click.Choice(["prefill", "chunk", "decode", "verify", "encode", "denoise"]),
        help="What a model by its configuration runs.",
    ),
    click.option("--batch", type=click.IntRange(1), metavar="N", help="Sequences: short for --dim batch=N."),
    click.option("--seq", type=click.IntRange(1), metavar="N", help="New tokens of each: short for --dim seq=N."),
    click.option(
        "--context",
        type=click.IntRange(1),
        metavar="N",
        help="Tokens attended to, the new ones included: short for --dim context=N.",
    ),
    click.option(
        "--mesh",
        multiple=True,
        callback=lambda context, option, texts: ",".join(texts),
        metavar="tp=8,dp=2,ep=16,pp=2",
        help="Devices that share a model by its configuration: layers, sequences, experts, stages.",
    ),
    click.option("--cache-dtype", metavar="FORMAT", help="Number format of cached keys and values."),
)


def machine_options(command: Command) -> Command:
    """Options that say what a model is costed on, and in which number format."""
    for option in reversed(MACHINE_OPTIONS):
        command = option(command)
    return command


def import_options(command: Command) -> Command:
    """Options that bind a model's inputs, and say what is run of a model by its configuration."""
    for option in reversed(IMPORT_OPTIONS):
        command = option(command)
    return command


def opt_option(command: Command) -> Command:
    """``--opt``, a pipeline by its level; None where left out."""
    return click.option(
        "--opt",
        type=click.IntRange(0, 3),
        help=f"Passes by level, 0 to 3 (irc passes --levels).  [default: {DEFAULT_OPT}]",
    )(command)


def check_format_options(dtype: str | None, autocast: str | None, end: str = "") -> None:
    """Raises:
    OptionError: both say in which formats the model runs.
    """
    if dtype is not None and autocast is not None:
        raise OptionError(
            f"--dtype{end} and --autocast{end} exclude each other",
            help="--dtype converts the whole model, --autocast what torch.autocast does: leave one out",
        )


def check_pipeline_options(pipeline: str | None, opt: int | None, end: str = "") -> None:
    """Raises:
    OptionError: both say which passes run.
    """
    if pipeline is not None and opt is not None:
        raise OptionError(
            f"--passes{end} and --opt{end} exclude each other", help="irc passes --levels shows what each level runs"
        )


def read_model(model: str, **options: Any) -> Imported:
    """Imports and verifies a model as the options say: those of `read_import_options`."""
    imported = load(model_file(model), read_import_options(**options))
    verify(imported.module)
    return imported


def read_import_options(
    *,
    dims: Iterable[str],
    shapes: Iterable[str],
    values: Iterable[str],
    bounds: Iterable[str],
    allow_opaque: bool,
    phase: str | None = None,
    batch: int | None = None,
    seq: int | None = None,
    context: int | None = None,
    mesh: str = "",
    cache_dtype: str | None = None,
) -> ImportOptions:
    """The options' texts as values.

    Raises:
        OptionError: one cannot be read, or two say different things.
    """
    sizes = {"batch": batch, "seq": seq, "context": context}
    short = [f"{name}={size}" for name, size in sizes.items() if size is not None]
    return ImportOptions(
        dims={name: extent(f"--dim {name}", text) for name, text in pairs("--dim", [*dims, *short]).items()},
        shapes={name: shape(f"--shape {name}", text) for name, text in pairs("--shape", shapes).items()},
        values={name: array(f"--value {name}", text) for name, text in pairs("--value", values).items()},
        bounds={name: extent(f"--bound {name}", text) for name, text in pairs("--bound", bounds).items()},
        allow_opaque=allow_opaque,
        phase=phase or "",
        mesh=mesh,
        cache_dtype=parse_dtype(cache_dtype) if cache_dtype else None,
    )


def pairs(option: str, texts: Iterable[str]) -> dict[str, str]:
    """``name=value`` texts; the last ``=`` divides, since names of inputs may hold some.

    Raises:
        OptionError: no ``=``, or a name that has two values.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.rpartition("="))
        if not equals or not name:
            raise OptionError(f"{option} {text}: no '='", help=f"write it like {option} name=value")
        if found.setdefault(name, value) != value:
            raise OptionError(f"{option} {name} is given twice: {found[name]} and {value}", help="leave out one")
        found[name] = value
    return found


def shape(option: str, text: str) -> tuple[int, ...]:
    """``1,3,48,192``; nothing at all is a scalar."""
    return tuple(extent(option, part) for part in text.split(",")) if text else ()


def extent(option: str, text: str) -> int:
    if not text.strip().isdecimal():
        raise OptionError(
            f"{option}={text}: '{text.strip()}' is not an extent", help="extents are whole numbers, 0 or more"
        )
    return int(text)


def array(option: str, text: str) -> np.ndarray:
    """``16000`` is a scalar, ``1,2,3`` a vector, ``true`` and ``false`` booleans."""
    try:
        numbers = [number(part.strip()) for part in text.split(",")]
    except ValueError:
        raise OptionError(f"{option}={text}: not a number or a list of numbers", help="write 16000, or 1,2,3") from None
    return np.array(numbers if "," in text else numbers[0])


def number(text: str) -> bool | int | float:
    if text in ("true", "false"):
        return text == "true"
    return int(text) if text.lstrip("+-").isdecimal() else float(text)
