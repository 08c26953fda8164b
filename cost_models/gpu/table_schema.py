"""What measured tables have as columns: what may be left out, and which rows tell of no kernel."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ircost.backends.errors import TargetError
from ircost.backends.runtime import known_runtime
from ircost.cost_models.gpu.collective import OPS
from ircost.cost_models.gpu.families import FAMILIES, Family, words
from ircost.cost_models.gpu.formats import format_name, format_of
from ircost.cost_models.gpu.table_work import COLD, QUANTIZING, TURNING, VECTOR_OPS, WARM, Columns, coded, skew_of

WORDS = frozenset(
    ("device", "framework", "kernel", "op", "dtype", "kv_dtype", "phase", "distribution", "topology", "caches")
)
# Columns that a table may lack, and what that means. Without `kv_dtype` it is that of the arithmetic.
DEFAULTS: Mapping[str, str | float] = {
    **{"framework": "", "kernel": "", "dtype": "bfloat16", "distribution": "balanced", "topology": "", "caches": ""},
    **{"batch": 1, "groups": 1, "window": 0, "tp": 1, "ep": 1, "stride_h": 1, "stride_w": 1, "pad_h": 0, "pad_w": 0},
    "power_w": float("nan"),
}
MAY_BE_ZERO = frozenset(("window", "pad_h", "pad_w"))
# Dims that some ops of a family have not: there stands -1.
LACKING = {
    "recurrent": frozenset(
        (
            *("num_k_heads", "head_k_dim", "num_v_heads", "head_v_dim"),
            *("nheads", "n_groups", "d_state", "head_dim"),
        )
    )
}
MOST_EXTENT = 1 << 53  # whole numbers beyond are not told apart, and no memory holds as many elements
MOST_EXPERTS = 1 << 20  # each is looked at by itself, and no model comes near
KNOWN_OF_ALL: Mapping[str, Callable[[str], bool]] = {"caches": ("", COLD, WARM, TURNING).__contains__}
KNOWN: Mapping[str, Mapping[str, Callable[[str], bool]]] = {
    "attention": {
        "phase": ("prefill", "decode", "encoder").__contains__,
        "kv_dtype": lambda name: format_of(name) is not None,
    },
    "mla": {
        "phase": ("prefill", "decode").__contains__,
        "kv_dtype": lambda name: format_of(name) is not None,
    },
    "moe": {"distribution": lambda name: skew_of(name) is not None},
    "recurrent": {"phase": ("context", "generation", "verify").__contains__},
    "conv": {"op": ("conv2d", "conv2d_dgrad", "conv2d_wgrad").__contains__},
    "collective": {"op": OPS.__contains__},
    "vector": {"op": VECTOR_OPS.__contains__},
    "quantize": {"op": VECTOR_OPS.__contains__},
}

# Sizes that no kernel has together.
IMPOSSIBLE: Mapping[str, Mapping[str, Callable[[Columns], np.ndarray]]] = {
    "attention": {
        "heads is not a multiple of kv_heads": lambda x: np.asarray(x["heads"] % x["kv_heads"] != 0),
        "kv_len, which counts the new tokens too, is less than q_len": lambda x: np.asarray(x["kv_len"] < x["q_len"]),
    },
    "mla": {
        "kv_len, which counts the new tokens too, is less than q_len": lambda x: np.asarray(x["kv_len"] < x["q_len"]),
    },
    "moe": {
        "topk is more than experts": lambda x: np.asarray(x["topk"] > x["experts"]),
        f"experts is more than {MOST_EXPERTS:,}": lambda x: np.asarray(x["experts"] > MOST_EXPERTS),
    },
    "conv": {
        "kernel_h is more than in_h and its padding": lambda x: np.asarray(x["kernel_h"] > x["in_h"] + 2 * x["pad_h"]),
        "kernel_w is more than in_w and its padding": lambda x: np.asarray(x["kernel_w"] > x["in_w"] + 2 * x["pad_w"]),
        "channels do not divide by groups": lambda x: np.asarray(
            (x["in_channels"] % x["groups"] > 0) | (x["out_channels"] % x["groups"] > 0)
        ),
        "a depthwise convolution is a stream, not a product: irc compile costs it": lambda x: np.asarray(
            (x["groups"] > 1) & (x["groups"] == x["in_channels"])
        ),
    },
    "collective": {"world_size is 1: nothing is sent": lambda x: np.asarray(x["world_size"] == 1)},
}


def family_of(columns: Columns, at: str) -> Family:
    """The family that a table's columns tell of.

    Raises:
        TargetError: none has these columns; says what the nearest lacks.
    """
    needed = {name: family.columns - DEFAULTS.keys() - {"kv_dtype"} for name, family in FAMILIES.items()}
    fitting = [name for name, own in needed.items() if own <= columns.keys()]
    if not fitting:
        nearest = max(needed, key=lambda name: len(needed[name] & columns.keys()) / len(needed[name]))
        missing = ", ".join(sorted(needed[nearest] - columns.keys()))
        raise TargetError(
            f"{at}: its columns match no family of kernels",
            help=f"{nearest} also needs {missing}; families are {', '.join(FAMILIES)}, model_ops",
        )
    name = max(fitting, key=lambda name: len(needed[name]))
    if name in ("vector", "quantize"):  # both are ops on rows x cols: only the ops tell them apart
        name = "quantize" if set(coded(columns["op"])[1]) <= QUANTIZING else "vector"
    return FAMILIES[name]


def completed(family: Family, columns: Columns) -> dict[str, np.ndarray]:
    """The columns of a table and those that it may leave out; words as words, numbers as far as they can be read."""
    count = len(columns["device"])
    absent = {name: np.full(count, value, object) for name, value in DEFAULTS.items() if name not in columns}
    whole = {**absent, **columns}
    if "kv_dtype" in family.columns and "kv_dtype" not in whole:
        whole["kv_dtype"] = whole["dtype"]
    return {name: readable_column(name, column, name in family.columns) for name, column in whole.items()}


def runtime_name(name: str) -> str:
    """The runtime's own name, by which constants are fitted; others stay as they are written."""
    known = known_runtime(name)
    return name if known is None else known.name


# Words that have several spellings: figures hang on them.
SPELLINGS: Mapping[str, Callable[[str], str]] = {
    "framework": runtime_name,
    **dict.fromkeys(("dtype", "kv_dtype"), format_name),
}


def readable_column(name: str, column: np.ndarray, is_needed: bool = True) -> np.ndarray:
    if name in WORDS:
        found = word_column(column)
        return words(found, SPELLINGS[name]) if name in SPELLINGS else found
    return number_column(column) if is_needed else column


def word_column(column: np.ndarray) -> np.ndarray:
    """Words as text; where nothing stands, the empty word."""
    column = np.where(column == None, "", column) if column.dtype == object else column  # noqa: E711
    return words(column, lambda word: "" if word == "nan" else word)


def number_column(column: np.ndarray) -> np.ndarray:
    """Numbers as they are; texts as far as they are numbers, else NaN."""
    return column if column.dtype.kind in "iufb" else np.array([_number(value) for value in column.tolist()], float)


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return float("nan")


def unreadable(family: Family, columns: Columns) -> dict[str, np.ndarray]:
    """Why rows tell of no kernel, and which: extents that no kernel has, words that nobody knows.

    Args:
        columns: completed.
    """
    found = {}
    for name in sorted(family.columns - WORDS - {"power_w"}):
        numbers = columns[name]
        found[f"{name} is not a number"] = ~np.isfinite(numbers)
        found[f"{name} is more than {MOST_EXTENT:,}"] = np.isfinite(numbers) & (numbers.astype(float) > MOST_EXTENT)
        found[f"{name} is not a whole number"] = np.isfinite(numbers) & (numbers != np.round(numbers))
        if name in MAY_BE_ZERO:
            found[f"{name} is negative"] = numbers < 0
        elif name not in LACKING.get(family.name, ()):
            found[f"{name} is not positive"] = numbers <= 0
    for name, is_known in {**KNOWN_OF_ALL, **KNOWN.get(family.name, {})}.items():
        codes, names = coded(columns[name])
        for number, word in enumerate(names):
            if not is_known(word):
                found[f"{name} '{word}' is not known" if word else f"{name} is missing"] = codes == number
    for reason, is_broken in IMPOSSIBLE.get(family.name, {}).items():
        with np.errstate(all="ignore"):  # extents that are no numbers, or zero, are told above
            found[reason] = is_broken(columns)
    return {reason: np.flatnonzero(mask) for reason, mask in found.items() if mask.any()}
