"""``irc explain``: where each figure comes from."""

from __future__ import annotations

import json
from typing import Any

import click

from ircost.commands.options import import_options, machine_options


@click.command()
@click.argument("model", type=click.Path())
@machine_options
@import_options
@click.option("--passes", "pipeline", metavar="PIPELINE", help="Passes to run instead of the default.")
@click.option(
    "--model", "cost_model", metavar="NAME", default="auto", show_default=True, help="Cost model, as of compile."
)
@click.option("--kernel", metavar="NAME", help="Only kernels with this in their node's name.")
@click.option("--all", "show_all", is_flag=True, help="Open every kernel, not the five slowest.")
@click.option("--json", "as_json", is_flag=True, help="Print the tree as JSON.")
def command(
    model: str,
    target: str,
    target_folders: tuple[str, ...],
    kernel: str | None,
    show_all: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """The tree behind the latency of MODEL on a target: kernels, what bounds each, data sheets and fits.

    Leaves add up to the root: what is hidden behind a slower resource is shown, but not added.
    """
    from ircost.backends import load_target
    from ircost.commands.compile import make_report
    from ircost.cost_models.automatic import own_runtimes
    from ircost.explaining import SLOWEST, explain_report
    from ircost.explanation_text import print_explanation

    report = make_report(model, target, target_folders=target_folders, stats=False, print_after=(), **options)
    machine = load_target(target, target_folders, own_runtimes(options["cost_model"]))
    tree = explain_report(report, machine, options["cost_model"], kernel, None if show_all else SLOWEST)
    if as_json:
        click.echo(json.dumps(tree.to_json(), indent=2, allow_nan=False))
    else:
        print_explanation(tree)
    return 0
