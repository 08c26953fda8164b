"""Reads untrusted JSON: anything wrong with the text is a ``ValueError``."""

from __future__ import annotations

import json
import sys
from typing import Any

MAX_DEPTH = 100  # levels: whoever walks through what was read stays far from Python's own limit


def parse_json(text: str | bytes) -> Any:
    """The value of a text; as Python does, it takes ``Infinity`` and ``NaN`` for numbers, which configurations hold.

    Raises:
        ValueError: it is no JSON (``json.JSONDecodeError``), no UTF-8 (``UnicodeDecodeError``), is nested too deep, or
            has an integer of more digits than are read.

    >>> parse_json('{"m": [1, 2]}')
    {'m': [1, 2]}
    """
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise
    except RecursionError:
        raise _too_deep() from None
    except ValueError:
        raise ValueError(f"an integer of more than {sys.get_int_max_str_digits()} digits") from None
    _check_depth(value)
    return value


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [own for own in level if isinstance(own, (dict, list))]
        if not level:
            return
        level = [item for own in level for item in (own.values() if isinstance(own, dict) else own)]
    raise _too_deep()


def _too_deep() -> ValueError:
    return ValueError(f"nested too deep: over {MAX_DEPTH} levels")
