"""``irc passes``: what pipelines are made of."""

from __future__ import annotations

import inspect
import json
from dataclasses import MISSING, fields
from typing import Any

import click

from ircost.passes import PASSES, Pass


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(name: str | None, as_json: bool) -> None:
    """List the passes; with NAME, what one does, its options and its patterns."""
    classes = [PASSES.get(name)] if name else list(PASSES)
    if as_json:
        click.echo(json.dumps([facts(cls) for cls in classes], indent=2))
    elif name:
        show_one(classes[0])
    else:
        from ircost.table import print_table

        print_table(("pass", "options", ""), [(cls.name, options_text(cls), first_line(cls)) for cls in classes])


def facts(cls: type[Pass]) -> dict[str, Any]:
    options = {
        f.name: {"type": str(f.type), "default": None if f.default is MISSING else f.default} for f in fields(cls)
    }
    return {"name": cls.name, "summary": first_line(cls), "options": options}


def show_one(cls: type[Pass]) -> None:
    click.echo(f"{cls.name}{options_text(cls)}\n\n{inspect.getdoc(cls)}\n")
    required = any(f.default is MISSING for f in fields(cls))
    patterns = () if required else cls().patterns()
    for pattern in patterns:
        click.echo(f"  {type(pattern).__name__:24} {first_line(type(pattern))}")


def options_text(cls: type[Pass]) -> str:
    texts = [f"{f.name}={'...' if f.default is MISSING else f.default}" for f in fields(cls)]
    return f"{{{', '.join(texts)}}}" if texts else ""


def first_line(thing: type) -> str:
    return (inspect.getdoc(thing) or "").split("\n")[0]
