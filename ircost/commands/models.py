"""``irc models``: the configurations that are known, and where each is from."""

from __future__ import annotations

import json
from typing import Any

import click

from ircost.datasets.model_configs import KnownModel, canonical, find_model, known_models
from ircost.datasets.model_outline import context_tokens, hidden_size, layer_counts, number_formats
from ircost.quantity_text import si_text
from ircost.table import print_table


@click.command()
@click.argument("text", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON, configurations included.")
def command(text: str | None, as_json: bool) -> None:
    """List the models that are known; with TEXT, those that have it in a name, family or repository.

    Where TEXT is the whole name of one, all that is known of it.
    """
    models = matching(text) if text else list(known_models())
    if as_json:
        click.echo(json.dumps([facts(model) for model in models], indent=2))
    elif text and canonical(text) in models[0].answers_to():
        show_one(models[0])
    else:
        show_all(models)


def matching(text: str) -> list[KnownModel]:
    """The one that answers to ``text``, or else all that have it in a name; at least one.

    Raises:
        UnknownNameError: there is none; lists the nearest.
    """
    models = list(known_models())
    wanted = canonical(text)
    named = [model for model in models if wanted in model.answers_to()]
    found = named or [model for model in models if any(wanted in name for name in searched(model))]
    return found or [find_model(text)]


def searched(model: KnownModel) -> tuple[str, ...]:
    return (*model.answers_to(), canonical(model.family))


def facts(model: KnownModel) -> dict[str, Any]:
    return {
        "name": model.name,
        "family": model.family,
        "repository": model.repository,
        "aliases": list(model.aliases),
        "parameters": model.parameters,
        "parameters_source": model.parameters_source,
        "parameters_of": model.parameters_of,
        "kv_bytes_per_token": model.kv_bytes_per_token,
        "kv_bytes_source": model.kv_bytes_source,
        "source": model.source,
        "config": model.config,
    }


def show_all(models: list[KnownModel]) -> None:
    head = ("model", "family", "parameters", "layers", "hidden", "context", "dtype", "source")
    print_table(head, [row(model) for model in models], right=(2, 3, 4, 5))


def row(model: KnownModel) -> tuple[str, ...]:
    return (
        model.name,
        model.family,
        "-" if model.parameters is None else si_text(model.parameters, ""),
        "+".join(map(str, layer_counts(model.config))) or "-",
        number_or_dash(hidden_size(model.config)),
        number_or_dash(context_tokens(model.config)),
        ", ".join(number_formats(model.config)) or "-",
        model.source,
    )


def number_or_dash(value: int | None) -> str:
    return "-" if value is None else str(value)


def show_one(model: KnownModel) -> None:
    aliases = f" (also {', '.join(model.aliases)})" if model.aliases else ""
    click.echo(click.style(model.name, bold=True) + f"{aliases}  {model.family}, {model.repository}\n")
    print_table(("figure", "value", "source"), figures(model), right=(1,))
    click.echo(f"\nconfig.json, from {model.source}\n{json.dumps(model.config, indent=2)}")


def figures(model: KnownModel) -> list[tuple[str, str, str]]:
    """Published figures, the exact ones; a dash where nobody published one."""
    parameters = "-" if model.parameters is None else f"{model.parameters:,}"
    counted = f"parameters of {model.parameters_of}" if model.parameters_of else "parameters"
    rows = [(counted, parameters, model.parameters_source)]
    if model.kv_bytes_per_token is not None:
        rows.append(("KV bytes per token", f"{model.kv_bytes_per_token:,}", model.kv_bytes_source))
    return rows
