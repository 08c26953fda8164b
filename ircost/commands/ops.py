"""``irc ops``: the ops of the IR."""

from __future__ import annotations

import inspect
import json
from typing import Any

import click

from ircost.failures import readable, tell_unreadable
from ircost.ir.attributes import AttributeSpec, Required
from ircost.ir.definition import OPS, OpDefinition
from ircost.ir.printer import attribute_text
from ircost.ir.structured import StructuredOp

WRITTEN_LATE = "(written from operands and attributes)"
NOTATION_SHOWN = 42  # letters in the list; the rest is left to `irc ops NAME`

# Flags of a declaration -> the word for it.
PROPERTIES = {
    "is_commutative": "commutative",
    "is_view": "view",
    "is_terminator": "terminator",
    "is_composite": "composite",
}


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.option("--coverage", is_flag=True, help="List ONNX operators instead, and how each version is taken.")
@click.option("--markdown", is_flag=True, help="With --coverage: as the page docs/onnx.md.")
def command(name: str | None, as_json: bool, coverage: bool, markdown: bool) -> None:
    """List the ops of the IR; with NAME, all that is declared of one.

    An installed package's op that does not load is told after the list of the others; the exit code is 2 then.
    """
    if coverage:
        from ircost.commands.coverage import show_coverage

        show_coverage("json" if as_json else "markdown" if markdown else "text")
        return
    definitions, errors = ([OPS.get(name)], []) if name else readable(OPS.names(), OPS.get)
    if as_json:
        click.echo(json.dumps([facts(definition) for definition in definitions], indent=2, sort_keys=True))
    elif name:
        show_one(definitions[0])
    else:
        from ircost.table import print_table

        rows = [(d.name, notation_or_operands(d), summary(d)) for d in definitions]
        print_table(("op", "notation or operands", ""), rows)
    tell_unreadable(errors)


def kind(definition: OpDefinition) -> str:
    if isinstance(definition, StructuredOp):
        return "structured"
    if definition.is_composite:
        return "composite"
    return "control" if definition.region_names or definition.is_terminator else "declared"


def signature(definition: OpDefinition) -> str:
    return f"{definition.name}({', '.join(definition.operand_names)}{'...' if definition.is_variadic else ''})"


def notation(definition: OpDefinition) -> str | None:
    """The index notation; of an op whose notation is written from its operands, only that it is so."""
    if not isinstance(definition, StructuredOp):
        return None
    written = definition.written_notation
    return written if isinstance(written, str) else WRITTEN_LATE


def notation_or_operands(definition: OpDefinition) -> str:
    """One of them, short enough to leave room beside it."""
    operands = signature(definition).removeprefix(definition.name)
    written = notation(definition)
    text = operands if written in (None, WRITTEN_LATE) else str(written)
    return text if len(text) <= NOTATION_SHOWN else text[: NOTATION_SHOWN - 1] + "…"


def facts(definition: OpDefinition) -> dict[str, Any]:
    return {
        "name": definition.name,
        "kind": kind(definition),
        "operands": list(definition.operand_names),
        "variadic": definition.is_variadic,
        "attributes": {
            name: {"type": spec.kind, "default": default_text(spec)} for name, spec in definition.attributes.items()
        },
        "regions": list(definition.region_names),
        "notation": notation(definition),
        "properties": properties(definition),
        "summary": summary(definition),
    }


def properties(definition: OpDefinition) -> list[str]:
    pure = [] if definition.is_pure else ["not pure"]
    return [word for flag, word in PROPERTIES.items() if getattr(definition, flag)] + pure


def default_text(spec: AttributeSpec) -> str | None:
    """The default as the text format writes it; None where the attribute is required."""
    if isinstance(spec.default, Required):
        return None
    return "none" if spec.default is None else attribute_text(spec.default)


def show_one(definition: OpDefinition) -> None:
    click.echo(f"{signature(definition)}  {kind(definition)}\n\n{inspect.cleandoc(definition.doc)}\n")
    for name, text in details(definition):
        if text:
            click.echo(f"  {name:15} {text}")


def details(definition: OpDefinition) -> list[tuple[str, str]]:
    """What is declared, a line each; lines without text do not apply."""
    lines = [("attribute", attribute_line(name, spec)) for name, spec in definition.attributes.items()]
    lines += [("bodies", ", ".join(definition.region_names)), ("properties", ", ".join(properties(definition)))]
    if not isinstance(definition, StructuredOp):
        return lines
    work = ", ".join(f"{count} {kind.replace('_', '-')}" for kind, count in definition.body.counts().items())
    return [
        ("index notation", str(notation(definition))),
        ("formats", definition.signature.text),
        ("reduced by", definition.reduce or ""),
        ("work per point", "1 multiply-add" if definition.is_contraction else work),
        *lines,
    ]


def attribute_line(name: str, spec: AttributeSpec) -> str:
    default = default_text(spec)
    return f"{name}: {spec.kind}" + ("" if default is None else f" = {default}")


def summary(definition: OpDefinition) -> str:
    """The docstring's first line, without its source."""
    return inspect.cleandoc(definition.doc).split("\n")[0].partition(" Source: ")[0]
