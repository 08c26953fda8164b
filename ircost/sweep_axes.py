"""What a sweep varies, as text: ``batch=1,2,4..256``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from ircost.ir.errors import IrcError

MOST_POINTS = 20_000


class SweepError(IrcError):
    """What is to be swept cannot be read."""


def parse_axes(texts: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """``batch=1,2,4..256`` and ``context=1024..8192:1024``: values, runs that double, runs by steps.

    Raises:
        SweepError: no such form, an axis twice, or too many points.

    >>> parse_axes(["batch=1,2,4..32", "context=1024..4096:1024"])
    {'batch': (1, 2, 4, 8, 16, 32), 'context': (1024, 2048, 3072, 4096)}
    """
    axes: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, equals, values = (part.strip() for part in text.partition("="))
        if not equals or not name or not values:
            raise SweepError(f"--sweep {text}: no values", help="such as --sweep batch=1,2,4..256")
        if name in axes:
            raise SweepError(f"--sweep {name} is given twice", help="put all values into one: --sweep batch=1,4..64")
        axes[name] = tuple(value for item in values.split(",") for value in _values(text, item.strip()))
    return checked_axes(axes)


def checked_axes(axes: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...]]:
    """Each value of each axis once.

    Raises:
        SweepError: no axis or no value, a value below one, or too many points.
    """
    if not axes:
        raise SweepError("nothing to sweep", help="name a dim and its sizes: batch=1,2,4")
    for name, values in axes.items():
        if not values:
            raise SweepError(f"axis {name} has no values", help=f"such as {name}=1,2,4")
        if min(values) < 1:
            raise SweepError(f"axis {name} has the value {min(values)}", help="sizes are one or more")
    found = {name: tuple(dict.fromkeys(values)) for name, values in axes.items()}
    count = int(np.prod([len(values) for values in found.values()], dtype=float))
    if count > MOST_POINTS:
        raise SweepError(
            f"{count:,} points, but at most {MOST_POINTS:,} are allowed", help="take fewer values, or larger steps"
        )
    return found


def _values(text: str, item: str) -> Iterator[int]:
    first, dots, rest = item.partition("..")
    last, colon, step = rest.partition(":")
    words = [first, *([last] if dots else []), *([step] if colon else [])]
    if not all(word.strip().isdecimal() and int(word) > 0 for word in words):
        raise SweepError(f"--sweep {text}: '{item}' is not a value", help="whole numbers, 4..256 or 1024..8192:1024")
    value, end = int(first), int(last) if dots else int(first)
    if end < value:
        raise SweepError(f"--sweep {text}: '{item}' runs backwards")
    if colon and (end - value) // int(step) > MOST_POINTS:
        raise SweepError(f"--sweep {text}: '{item}' has too many values")
    while value <= end:
        yield value
        value = value + int(step) if colon else 2 * value
