"""Which values the library's options accept; anything else is an error before a model is read."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

from ircost.ir.errors import UnknownNameError, UnsupportedError, did_you_mean

Form = tuple[Callable[[Any], bool], str]  # whether a value has it, and how it is written


class OptionNameError(UnknownNameError, TypeError):
    """A function has no option of that name; a ``TypeError``, too, as Python itself would raise."""


class OptionFormError(UnsupportedError, TypeError):
    """An option is given in a form that it does not take."""


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_path(value: Any) -> bool:
    return isinstance(value, (str, os.PathLike))


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(name, str) for name in value)


def _is_mapping_to_lists(value: Any) -> bool:
    return _is_mapping(value) and all(hasattr(own, "__iter__") and not _is_text(own) for own in value.values())


FORMS: Mapping[str, Form] = {
    "dtype": (_is_text, "dtype='f16'"),
    "autocast": (_is_text, "autocast='f16'"),
    "cache_dtype": (_is_text, "cache_dtype='f8e4m3'"),
    "dims": (_is_mapping, "dims={'batch': 8}"),
    "shapes": (_is_mapping_to_lists, "shapes={'x': (1, 3, 224, 224)}"),
    "values": (_is_mapping, "values={'sr': 16000}"),
    "bounds": (_is_mapping, "bounds={'NODE': 10}"),
    "axes": (_is_mapping_to_lists, "axes={'batch': [1, 2, 4]}"),
    "phase": (_is_text, "phase='decode'"),
    "mesh": (_is_text, "mesh='tp=8'"),
    "pipeline": (_is_text, "pipeline='canonicalize,fuse{max_ops=8}'"),
    "opt": (_is_whole, "opt=2"),
    "cost_model": (_is_text, "cost_model='analytical'"),
    "target_folders": (lambda value: _is_list(value) and all(map(_is_path, value)), "target_folders=['targets/']"),
    "memory_limit": (lambda value: _is_text(value) or _is_whole(value), "memory_limit='24GiB'"),
    "output_tokens": (lambda value: _is_whole(value) and value > 0, "output_tokens=256"),
    "price_per_hour": (lambda value: _is_number(value) and value >= 0, "price_per_hour=2.5"),
    "intensity": (lambda value: _is_number(value) and value >= 0, "intensity=300"),
    "kernel": (_is_text, "kernel='conv2'"),
    "most": (lambda value: value is None or (_is_whole(value) and value >= 0), "most=5, or None for all"),
    "by": (lambda value: _is_list(value) and all(map(_is_text, value)), "by=['device', 'dtype']"),
}


def check_options(
    function: str, known: Collection[str], defaults: Mapping[str, Any], options: Mapping[str, Any]
) -> None:
    """Looks at what a function is given by name.

    Args:
        known: names of its parameters. defaults: of those that have one; where it is None, None may be given.

    Raises:
        OptionNameError: the function has no option of that name; names the nearest.
        OptionFormError: a value is in no form that the option takes; says how it is written.
    """
    for name, value in options.items():
        if name not in known:
            raise OptionNameError(f"{function} has no option '{name}'", help=_nearest(name, value, known))
        may_be_none = defaults.get(name, function) is None
        if name in FORMS and not (value is None and may_be_none):
            is_right, example = FORMS[name]
            if not is_right(value):
                raise OptionFormError(f"{function}: {name} is {value!r}", help=f"such as {example}")


def _nearest(name: str, value: Any, known: Iterable[str]) -> str:
    options = [option for option in known if option not in ("model", "report", "kernels")]
    listing = f"options are {', '.join(options)}"
    if "dims" in options and _is_whole(value):
        return f"a size of the model is dims={{{name!r}: {value}}}; {listing}"
    return did_you_mean(name, options, listing)
