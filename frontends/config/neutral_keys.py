"""Keys of a ``config.json`` that change no computation of an inference: training, tokens, generation, bookkeeping."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

# What a key says that something is not there.
NOTHING: tuple[Any, ...] = (None, False, "", [], {})


def is_neutral(name: str, value: Any) -> bool:
    """Whether a key may go unread: it is known to change nothing, or its value says that something is not there."""
    return name in neutral_keys() or any(value == nothing and type(value) is type(nothing) for nothing in NOTHING)


@cache
def neutral_keys() -> frozenset[str]:
    """The names in ``neutral_keys.txt``.

    >>> "dropout" in neutral_keys(), "hidden_size" in neutral_keys()
    (True, False)
    """
    text = Path(__file__).with_suffix(".txt").read_text(encoding="utf-8")
    return frozenset(word for line in text.splitlines() if not line.startswith("#") for word in line.split())
