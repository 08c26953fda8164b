"""``irc reproduce``: claims of papers, held against predictions."""

from __future__ import annotations

import json

import click

from ircost.commands.options import OptionError


@click.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON; nothing is rounded.")
@click.option("--markdown", is_flag=True, help="Print the page docs/papers.md.")
def command(ids: tuple[str, ...], as_json: bool, markdown: bool) -> int:
    """Hold claims of papers against what targets and models say; all claims where no ID is given.

    Prints what was claimed and what is predicted, their ratio, whether it is inside of the tolerance, and the fitted
    constants that the prediction leans on. Nothing is fitted to a claim.

    Exit codes: 0 all inside; 1 some outside of their tolerance.

    \b
    irc reproduce
    irc reproduce C17 --json
    """
    from ircost.datasets.claims import read_claims, waiting
    from ircost.reproduction import reproduce
    from ircost.reproduction_text import page, print_reproduction

    if as_json and markdown:
        raise OptionError("--json and --markdown exclude each other", help="leave out one")
    reproductions = [reproduce(file) for file in read_claims(ids)]
    if as_json:
        click.echo(json.dumps([one.to_dict() for one in reproductions], indent=2, sort_keys=True, allow_nan=False))
    elif markdown:
        click.echo(page(reproductions, waiting()), nl=False)
    else:
        for number, one in enumerate(reproductions):
            if number:
                click.echo()
            print_reproduction(one)
    return 0 if markdown or all(one.inside for one in reproductions) else 1
