"""``irc passes``: what pipelines are made of."""

from __future__ import annotations

import inspect
import json
from dataclasses import MISSING, Field, fields
from typing import Any

import click

from ircost.failures import readable, tell_unreadable
from ircost.passes import DEFAULT_LEVEL, KINDS, LEVELS, PASSES, Pass
from ircost.passes.pipeline_text import option_kind, option_text


@click.command()
@click.argument("name", required=False)
@click.option("--levels", is_flag=True, help="List the pipelines of --opt 0 to 3 instead, for each kind of target.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(name: str | None, levels: bool, as_json: bool) -> None:
    """List the passes; with NAME, what one does, its options and its patterns.

    An installed package's pass that does not load is told after the list of the others; the exit code is 2 then.
    """
    if levels:
        return show_levels(as_json)
    classes, errors = ([PASSES.get(name)], []) if name else readable(PASSES.names(), PASSES.get)
    if as_json:
        click.echo(json.dumps([facts(cls) for cls in classes], indent=2, sort_keys=True))
    elif name:
        show_one(classes[0])
    else:
        from ircost.table import print_table

        print_table(("pass", "options", ""), [(cls.name, options_text(cls), first_line(cls)) for cls in classes])
    tell_unreadable(errors)


def show_levels(as_json: bool) -> None:
    """Each level for each kind of target; what all kinds run is one line."""
    from ircost.table import print_table

    if as_json:
        rows = [{"opt": opt, "summary": level.summary, **level.pipelines} for opt, level in enumerate(LEVELS)]
        click.echo(json.dumps(rows, indent=2, sort_keys=True))
        return
    lines = []
    for opt, level in enumerate(LEVELS):
        kinds: dict[str, list[str]] = {}
        for kind in KINDS:
            kinds.setdefault(level.pipelines[kind], []).append(kind)
        for text, those in kinds.items():
            whom = "all" if len(kinds) == 1 else ", ".join(those)
            number = f"{opt} (default)" if opt == DEFAULT_LEVEL else str(opt)
            lines.append((number, whom, f"--passes '{text}'", level.summary))
    print_table(("--opt", "targets", "the same as", ""), lines)


def facts(cls: type[Pass]) -> dict[str, Any]:
    options = {f.name: {"type": option_kind(f), "default": default_text(f)} for f in fields(cls)}
    return {"name": cls.name, "summary": first_line(cls), "description": inspect.getdoc(cls), "options": options}


def show_one(cls: type[Pass]) -> None:
    click.echo(f"{cls.name}{options_text(cls)}\n\n{inspect.getdoc(cls)}")
    patterns = () if any(default_text(f) is None for f in fields(cls)) else cls().patterns()
    if patterns:
        click.echo("\nPatterns:")
    for pattern in patterns:
        click.echo(f"  {type(pattern).__name__:28} {first_line(type(pattern))}")


def options_text(cls: type[Pass]) -> str:
    """``{max_ops=16}``; dots where the user must say."""
    texts = [f"{f.name}={default_text(f) or '...'}" for f in fields(cls)]
    return f"{{{', '.join(texts)}}}" if texts else ""


def default_text(field: Field[Any]) -> str | None:
    """An option's default as a pipeline writes it; None where the user must say."""
    if field.default_factory is not MISSING:
        return option_text(field.default_factory())
    return None if field.default is MISSING else option_text(field.default)


def first_line(thing: type) -> str:
    return (inspect.getdoc(thing) or "").split("\n")[0]
