"""Known models: the `config.json` of each, where it was read, and how many parameters were published.

``models/`` has a file a model, of two parts: ``about`` is the fields of ``KnownModel``, ``config`` holds the keys of
Hugging Face's ``config.json`` that matter for the computation, under their own names and unchanged. What only
tokenizers, training or a version of `transformers` read (token ids, dropout, initialisers) is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ircost.ir.errors import UnknownNameError, did_you_mean

BUNDLED = Path(__file__).parent / "models"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """A model's configuration, and what is known of it.

    Args:
        name: as ``irc models`` lists it; also that of its file.
        family: what its makers call the series.
        repository: on Hugging Face; models of one configuration share an entry, and the others are aliases.
        aliases: other names it is found under.
        source: where the values of ``config`` were read. *As publicly known* is said of values that could not be read
            anywhere; what has weights among them is proven by the count of parameters.
        parameters: exact published count of weights, each counted once; None where nobody published one.
        parameters_source: where; and what other published counts have on top, or why there is none.
        parameters_of: class of `transformers` that was counted, where it is not the first of the config's
            ``architectures``: an encoder without its head for training.
        kv_bytes_per_token: published size of the cache for one token, in bytes; None where nobody published one.
        kv_bytes_source: where.
        config: keys and values of its ``config.json``.
    """

    name: str
    family: str
    repository: str
    aliases: tuple[str, ...]
    source: str
    parameters: int | None
    parameters_source: str
    parameters_of: str = ""
    kv_bytes_per_token: int | None = None
    kv_bytes_source: str = ""
    config: dict[str, Any]

    def answers_to(self) -> tuple[str, ...]:
        """Every name that finds it, as ``canonical`` writes names; owners of repositories may be left out."""
        names = (self.name, self.repository, *self.aliases)
        return tuple(dict.fromkeys(canonical(form) for name in names for form in (name, name.rpartition("/")[2])))


def find_model(name: str, folder: Path = BUNDLED) -> KnownModel:
    """The model of that name, repository or alias; case plays no part, nor does ``_`` for ``-``.

    Raises:
        UnknownNameError: there is none; lists the nearest.

    >>> find_model("meta-llama/Meta-Llama-3-70B").name, find_model("DeepSeek_V3").kv_bytes_per_token
    ('llama-3-70b', 70272)
    """
    wanted = canonical(name)
    if wanted in model_names(folder):
        return read_model(folder / f"{wanted}.json")
    models = list(known_models(folder))
    for model in models:
        if wanted in model.answers_to():
            return model
    known = [known for model in models for known in model.answers_to()]
    raise UnknownNameError(f"no model '{name}'", help=did_you_mean(wanted, known, "irc models lists all"))


def model_names(folder: Path = BUNDLED) -> list[str]:
    """All bundled configurations, by name.

    >>> "llama-3.1-405b" in model_names()
    True
    """
    return sorted(path.stem for path in folder.glob("*.json"))


def known_models(folder: Path = BUNDLED) -> Iterator[KnownModel]:
    """All bundled configurations, in the order of their names."""
    return (read_model(folder / f"{name}.json") for name in model_names(folder))


def read_model(path: Path) -> KnownModel:
    content = json.loads(path.read_text(encoding="utf-8"))
    about = content["about"]
    return KnownModel(name=path.stem, config=content["config"], **{**about, "aliases": tuple(about["aliases"])})


def canonical(name: str) -> str:
    """A name as lookup compares it.

    >>> canonical("Qwen2.5 72B"), canonical("meta-llama/Llama_3_8B")
    ('qwen2.5-72b', 'meta-llama/llama-3-8b')
    """
    return name.strip().lower().replace("_", "-").replace(" ", "-")
