"""``irc targets``: the machines, and where each figure is from."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import click

from ircost.backends import RUNTIMES, Target, TargetError, load_target, target_names
from ircost.failures import readable, tell_unreadable
from ircost.figure_text import figure_text
from ircost.quantity_text import si_text, small_text
from ircost.table import print_table

PEAKS_SHOWN = ("f16", "bf16", "i8")


@click.command()
@click.argument("name", required=False)
@click.option("--targets", "folders", multiple=True, metavar="DIR", help="Look for target files here too.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON, in SI base units.")
def command(name: str | None, folders: tuple[str, ...], as_json: bool) -> None:
    """List the targets that are known; with NAME, every figure of one and its source.

    NAME may be the path of a YAML file: what is wrong in it is told. A file that cannot be read is told after the list
    of the others; the exit code is 2 then.
    """
    load = partial(load_target, folders=folders)
    targets, errors = ([load(name)], []) if name else readable(target_names(folders), load)
    if as_json:
        click.echo(json.dumps([facts(target) for target in targets], indent=2, sort_keys=True))
    elif name:
        show_one(targets[0])
    else:
        show_all(targets)
    tell_unreadable(errors)


def facts(target: Target) -> dict[str, Any]:
    return {
        "name": target.name,
        "aliases": list(target.aliases),
        "vendor": target.vendor,
        "kind": target.kind,
        "runtime": target.runtime,
        "description": target.description,
        "digest": target.digest(),
        "figures": {path: figure.entry() for path, figure in target.sources().items()},
    }


def show_all(targets: list[Target]) -> None:
    head = ("target", "aliases", *PEAKS_SHOWN, "memory", "bandwidth", "power", "")
    print_table(head, [row(target) for target in targets], right=range(2, len(head) - 1))


def row(target: Target) -> tuple[str, ...]:
    main = target.main_memory
    return (
        target.name,
        ", ".join(target.aliases),
        *(peak_text(target, dtype) for dtype in PEAKS_SHOWN),
        si_text(main.capacity_bytes, "B"),
        si_text(main.bandwidth_bytes_per_s, "B/s"),
        f"{target.power.peak_w:g} W" if target.power.peak_w >= 1 else small_text(target.power.peak_w, "W"),
        target.description,
    )


def peak_text(target: Target, dtype: str) -> str:
    """Peak of contractions in ``dtype``, on whichever unit does them; a dash where none can."""
    try:
        return si_text(target.peak_flops_per_s(dtype), "OP/s" if dtype == "i8" else "FLOP/s")
    except TargetError:
        return "-"


def show_one(target: Target) -> None:
    aliases = f" (also {', '.join(target.aliases)})" if target.aliases else ""
    runtime = RUNTIMES.get(target.runtime)
    kernels = "" if runtime is None else f"; runtime {runtime.key} ({runtime.description})"
    click.echo(click.style(target.name, bold=True) + f"{aliases}  {target.vendor} {target.description}{kernels}\n")
    rows = [
        (path, figure_text(path, figure), "guess" if figure.guess else "", figure.source)
        for path, figure in target.sources().items()
    ]
    print_table(("figure", "value", "", "source"), rows, right=(1,))
