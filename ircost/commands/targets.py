"""``irc targets``: the machines, and where each figure is from."""

from __future__ import annotations

import json
from typing import Any

import click

from ircost.backends import Target, load_target, target_names


@click.command()
@click.argument("name", required=False)
@click.option("--targets", "folders", multiple=True, metavar="DIR", help="Look for target files here too.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(name: str | None, folders: tuple[str, ...], as_json: bool) -> None:
    """List the targets that are known; with NAME, every figure of one and its source."""
    targets = [load_target(name, folders)] if name else [load_target(n, folders) for n in target_names(folders)]
    if as_json:
        click.echo(json.dumps([figures(target) for target in targets], indent=2, sort_keys=True))
    elif name:
        show_one(targets[0])
    else:
        show_all(targets)


def figures(target: Target) -> dict[str, Any]:
    return {
        "name": target.name,
        "aliases": list(target.aliases),
        "vendor": target.vendor,
        "kind": target.kind,
        "description": target.description,
        "figures": {
            path: {"value": float(figure), "source": figure.source, "guess": figure.guess}
            for path, figure in target.sources().items()
        },
    }


def show_all(targets: list[Target]) -> None:
    from ircost.table import print_table

    rows = []
    for target in targets:
        f16 = target.peak_flops_per_s("f16") / 1e12
        main = target.main_memory
        rows.append(
            (
                target.name,
                ", ".join(target.aliases),
                f"{f16:,.0f}" if f16 >= 10 else f"{f16:.1f}",
                f"{main.capacity_bytes / 1e9:,.0f} GB",
                f"{main.bandwidth_bytes_per_s / 1e12:.2f} TB/s",
                f"{target.power.peak_w:.0f} W",
                target.description,
            )
        )
    print_table(("target", "aliases", "f16 TFLOP/s", "memory", "bandwidth", "power", ""), rows, right=(2, 3, 4, 5))


def show_one(target: Target) -> None:
    from ircost.table import print_table

    click.echo(f"{target.name}  {target.vendor} {target.description}")
    rows = [
        (path, f"{float(figure):.6g}", "guess" if figure.guess else "", figure.source)
        for path, figure in target.sources().items()
    ]
    print_table(("figure (SI units)", "value", "", "source"), rows, right=(1,))
