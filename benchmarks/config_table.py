"""Writes the tables of families and of known models that are built from their configuration.

python -m benchmarks.config_table > docs/config-models.md
"""

from __future__ import annotations

from collections.abc import Iterator

from ircost.datasets.model_configs import KnownModel, known_models
from ircost.frontends.config import architecture_of, build_model
from ircost.frontends.config.config_file import Config
from ircost.frontends.config.diffusion import CLASSES
from ircost.frontends.config.families import ALIASES, FAMILIES, TEXT_OF
from ircost.frontends.config.family import Family
from ircost.frontends.config.parameters import count_parameters
from ircost.frontends.config.workload import workload_of

HEAD = """# Models from their configuration

Written by `python -m benchmarks.config_table > docs/config-models.md`. How they are read: [config](config.md).

## Families

By `model_type`. *Text of* are models of several modalities whose text is of the family.

| family | attention | feed-forward layers | positions | norms | text of, other names |
|---|---|---|---|---|---|"""
MODELS = """
## Known models

Parameters are those of the whole checkpoint, towers included, and equal the published counts where there are some
(`irc models NAME`). The cache is that of one token in the format of the weights; a state is that of one sequence,
however long it is.

| model | family | phases | parameters | bytes of cache a token | bytes of state |
|---|---|---|--:|--:|--:|"""


def main() -> None:
    print(HEAD)
    for name, family in sorted(FAMILIES.items()):
        print(row(name, *family_cells(name, family)))
    print(f"\nClasses of diffusers, in phase `denoise`: {', '.join(f'`{name}`' for name in CLASSES)}.")
    print(MODELS)
    for model in known_models():
        print(row(*model_cells(model)))


def row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def family_cells(name: str, family: Family) -> Iterator[str]:
    yield ", ".join(attention(family)) or "-"
    feed_forward = f"{'gated ' if family.is_gated else ''}{family.activation}" if family.has_feed_forward else "-"
    yield feed_forward + (", experts" if family.experts is not None else "")
    yield positions(family)
    yield f"{family.norm}, {family.placement}"
    names = [f"`{other}`" for other, own in (*ALIASES.items(), *TEXT_OF.items()) if own == name]
    yield ", ".join(names) or "-"


def attention(family: Family) -> Iterator[str]:
    attends = family.states is None or family.states.attention
    if family.states is not None:
        yield family.states.kind
    if family.has_latent:
        yield "latent, of tokens that an indexer chooses" if family.indexer else "latent"
    elif attends:
        yield "causal" if family.is_causal else "both ways"
    if family.sides is not None:
        yield "encoder and decoder"
    if family.window:
        yield f"windows ({family.window})"
    if family.head_norm or family.whole_norm:
        yield "norms of queries and keys"


def positions(family: Family) -> str:
    if family.images is not None:
        return "patches" + (f", rotary ({family.rotary})" if family.rotary else "")
    kinds = {
        "learnt": family.positions,
        "ALiBi": family.has_alibi,
        "buckets of distances": family.has_bias_table,
        f"rotary ({family.rotary})": bool(family.rotary) and not family.has_alibi,
    }
    return ", ".join(kind for kind, is_there in kinds.items() if is_there) or "none"


def model_cells(model: KnownModel) -> Iterator[str]:
    config = {key: value for key, value in model.config.items() if key != "quantization_config"}
    architecture = architecture_of(Config(config, model.name), model.name)
    yield model.name
    yield architecture.family
    yield ", ".join(architecture.phases)
    yield f"{count_parameters(architecture):,}"
    if not architecture.is_decoder:
        yield from ("-", "-")
        return
    built = build_model(architecture, workload_of("decode", context=2, source=int(architecture.has_source)))
    yield f"{built.kv_bytes_per_token:,.0f}"
    yield f"{built.state_bytes_per_sequence:,}" if built.state_bytes_per_sequence else "-"


if __name__ == "__main__":
    main()
