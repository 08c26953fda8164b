"""LightGBM's text of trees as it is kept: what prediction needs, in few bytes."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

# What prediction needs of a tree's text; statistics of the training rows are left out.
NEEDED = frozenset(
    (
        *("Tree", "num_leaves", "num_cat", "split_feature", "threshold", "decision_type", "left_child", "right_child"),
        *("leaf_value", "is_linear", "shrinkage", "version", "num_class", "num_tree_per_iteration", "label_index"),
        *("max_feature_idx", "objective", "feature_names", "feature_infos"),
    )
)
THRESHOLD = ".6g"  # values that lie as near to each other are alike
LEAF_DECIMALS = 4  # at least; more where what is learned spreads by less than a tenth


def number_formats(y: np.ndarray) -> dict[str, str]:
    """How the numbers of trees that learn y are written: hundreds of leaves err by a thousandth of its spread or two.

    >>> number_formats(np.array([-0.3, 0.3]))["leaf_value"]
    '.4f'
    """
    spread = float(np.std(y))
    decimals = LEAF_DECIMALS - 1 - int(np.floor(np.log10(spread))) if spread > 0 else 0
    return {"leaf_value": f".{max(decimals, LEAF_DECIMALS)}f", "threshold": THRESHOLD}


def compact_text(text: str, formats: Mapping[str, str], needed: Collection[str] = NEEDED) -> str:
    """The text of a LightGBM model with what prediction needs, numbers rounded: a quarter of its size.

    Args:
        formats: of the numbers of a line, by its key. needed: keys of the lines that are kept.
    """
    kept = []
    for line in text.partition("end of trees")[0].splitlines():
        key, is_pair, value = line.partition("=")
        if not is_pair:
            kept.append(line)
        elif key in needed:
            kept.append(f"{key}={_rounded(value, formats[key]) if key in formats else value}")
    return "\n".join((*kept, "end of trees", ""))


def _rounded(numbers: str, form: str) -> str:
    return " ".join(f"{float(number):{form}}" for number in numbers.split())
