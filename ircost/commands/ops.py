"""``irc ops``: the ops of the IR."""

from __future__ import annotations

import inspect
import json
from typing import Any

import click

from ircost.ir.definition import OPS, OpDefinition
from ircost.ir.structured import StructuredOp


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(name: str | None, as_json: bool) -> None:
    """List the ops of the IR; with NAME, all that is declared of one."""
    definitions = [OPS.get(name)] if name else list(OPS)
    if as_json:
        click.echo(json.dumps([facts(definition) for definition in definitions], indent=2))
    elif name:
        show_one(definitions[0])
    else:
        from ircost.table import print_table

        rows = [(d.name, kind(d), notation(d) or ", ".join(d.operand_names), first_line(d)) for d in definitions]
        print_table(("op", "kind", "notation or operands", ""), rows)


def kind(definition: OpDefinition) -> str:
    if isinstance(definition, StructuredOp):
        return "structured"
    if definition.is_composite:
        return "composite"
    return "control" if definition.region_names or definition.is_terminator else "declared"


def notation(definition: OpDefinition) -> str:
    """The index notation, where it does not depend on attributes."""
    written = getattr(definition, "written_notation", "")
    return written if isinstance(written, str) else ""


def facts(definition: OpDefinition) -> dict[str, Any]:
    return {
        "name": definition.name,
        "kind": kind(definition),
        "operands": list(definition.operand_names),
        "variadic": definition.is_variadic,
        "attributes": {name: spec.kind for name, spec in definition.attributes.items()},
        "notation": notation(definition) or None,
        "summary": first_line(definition),
    }


def show_one(definition: OpDefinition) -> None:
    attributes = ", ".join(f"{name}: {spec.kind} = {spec.default}" for name, spec in definition.attributes.items())
    dots = "..." if definition.is_variadic else ""
    click.echo(f"{definition.name}({', '.join(definition.operand_names)}{dots})  {kind(definition)}")
    if attributes:
        click.echo(f"  attributes  {attributes}")
    if notation(definition):
        click.echo(f"  notation    {notation(definition)}")
    click.echo(f"\n{inspect.cleandoc(definition.doc)}")


def first_line(definition: OpDefinition) -> str:
    return inspect.cleandoc(definition.doc).split("\n")[0]
