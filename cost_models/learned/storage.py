"""Learned models as folders: LightGBM's text (gzipped), JSON, and a card for people. Nothing of it is executed."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ircost.cost_models.learned.calibration import Calibration
from ircost.cost_models.learned.card import card_text
from ircost.cost_models.learned.columns import DEVICE, SIZES, WORDS
from ircost.cost_models.learned.estimator import BoostedResidual
from ircost.cost_models.learned.family_model import FamilyModel, Head
from ircost.cost_models.learned.features import LOG_POWER, feature_names
from ircost.cost_models.learned.novelty import LEVELS, WIDTHS, Novelty
from ircost.ir.errors import IrcError

BUNDLED = Path(__file__).parent / "models"
POWER = "power"  # the folder of models of power, beside those of latency
VERSION = 2
MODEL, CARD = "model.json", "card.md"
HEADS = ("seen", "unseen")
DECISIONS = frozenset((0, 2, 8, 10))  # numbers; NaN is nought or goes to a side of its own
EXTRAS = ((), (LOG_POWER,))
LARGEST_BYTES = 64 * 2**20  # of a file: the bundled ones are below one


class LearnedModelError(IrcError):
    """A folder holds no learned model."""


def write_model(model: FamilyModel, folder: str | Path) -> None:
    """Writes the model of one family into a folder of its own below this one."""
    own = Path(folder) / model.family
    own.mkdir(parents=True, exist_ok=True)
    for name in HEADS:
        head: Head | None = getattr(model, name)
        if head is not None:
            if head.residual is not None:
                (own / trees_file(name)).write_bytes(packed(head.residual.text_))
            (own / trees_file(f"{name}_spread")).write_bytes(packed(head.calibration.spread.text_))
    (own / MODEL).write_text(_to_json(model))
    (own / CARD).write_text(card_text(model))


def trees_file(name: str) -> str:
    return f"{name}.txt.gz"


def packed(text: str) -> bytes:
    """The same bytes for the same text, whenever it is written."""
    return gzip.compress(text.encode(), mtime=0)


def _to_json(model: FamilyModel) -> str:
    heads = {name: _head_json(getattr(model, name)) for name in HEADS if getattr(model, name) is not None}
    plain = {
        **{"version": VERSION, "family": model.family, "about": model.about, "vocabulary": model.vocabulary},
        **{"devices": list(model.devices), "heads": heads},
        "features": [*model.extra, *feature_names(model.family, True)],
        "cells": {
            f"{width:g} octaves": cells.tolist() for width, cells in zip(WIDTHS, model.novelty.cells, strict=True)
        },
    }
    lines = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in plain.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _head_json(head: Head) -> dict[str, Any]:
    calibration = head.calibration
    return {
        "trust": [round(x, 4) for x in calibration.trust],
        "quantile": [round(x, 4) for x in calibration.quantile],
        "shared": round(calibration.shared, 4),
        "widest": round(calibration.widest, 4),
        "is_corrected": head.residual is not None,
    }


def read_models(folder: str | Path) -> dict[str, FamilyModel]:
    """The models of a folder, by family.

    Raises:
        LearnedModelError: there is none, or one is damaged.
    """
    found = {}
    for path in sorted(Path(folder).glob(f"*/{MODEL}")):
        model = _read_model(path.parent)
        found[model.family] = model
    if not found:
        raise LearnedModelError(f"{folder} holds no learned model", help="irc train TABLES... -o DIR writes one")
    return found


def _read_model(folder: Path) -> FamilyModel:
    try:
        plain = json.loads(checked_size((folder / MODEL).read_bytes(), folder / MODEL))
        if plain["version"] != VERSION:
            raise LearnedModelError(
                f"{folder}: version {plain['version']}, {VERSION} expected", help="write it anew with irc train"
            )
        family = str(plain["family"])
        if family not in SIZES:
            raise ValueError(f"no family '{family}'")
        own = feature_names(family, True)
        extra = tuple(map(str, plain["features"][: -len(own)]))
        if plain["features"] != [*extra, *own] or extra not in EXTRAS:
            raise LearnedModelError(
                f"{folder}: its features are not those of this version", help="write it anew with irc train"
            )
        heads = {
            name: _head(folder, family, name, entry, len(extra))
            for name, entry in plain["heads"].items()
            if name in HEADS
        }
        return FamilyModel(
            family,
            {kind: [str(word) for word in plain["vocabulary"][kind]] for kind in (*WORDS, DEVICE)},
            tuple(map(str, plain["devices"])),
            Novelty(tuple(_cells(plain["cells"][f"{width:g} octaves"]) for width in WIDTHS)),
            heads["seen"],
            heads.get("unseen"),
            dict(plain["about"]),
            extra,
        )
    except LearnedModelError:
        raise
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LearnedModelError(f"{folder} holds no learned model: {error}", help="irc train writes one") from error


def _head(folder: Path, family: str, name: str, plain: Mapping[str, Any], extra: int) -> Head:
    features = extra + len(feature_names(family, sees_machine=name == "seen"))
    calibration = Calibration(
        _shares(plain["trust"]),
        _trees(folder / trees_file(f"{name}_spread"), features),
        _numbers(plain["quantile"]),
        float(_shares([plain["shared"]], count=1)[0]),
        float(_numbers([plain["widest"]], count=1)[0]),
    )
    return Head(_trees(folder / trees_file(name), features) if plain["is_corrected"] else None, calibration)


def _trees(path: Path, features: int) -> BoostedResidual:
    """Raises:
    ValueError: the file is no text of trees over so many features.
    """
    from lightgbm.basic import LightGBMError

    text = unpacked(path)
    check_trees(text, features)
    try:
        found = BoostedResidual.of_text(text, features)
    except LightGBMError as error:
        raise ValueError(f"{path.name}: {error}") from error
    if found.booster_.num_feature() != features:
        raise ValueError(f"{path.name}: {found.booster_.num_feature()} features, {features} expected")
    return found


def unpacked(path: Path) -> str:
    """Raises:
    ValueError: there is more than any model has, or no text.
    """
    with gzip.open(path, "rb") as file:  # of what unpacks to more than is allowed, no more is read
        return checked_size(file.read(LARGEST_BYTES + 1), path).decode()


def check_trees(text: str, features: int, is_linear: bool = False) -> None:
    """LightGBM trusts the numbers in its files: children and features out of range would read beyond its memory.

    Args:
        is_linear: leaves are straight lines in some features.

    Raises:
        ValueError: one is out of range, or a tree ends in a loop.
    """
    for number, block in enumerate(text.split("\nTree=")[1:]):
        own = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        leaves = int(own["num_leaves"])
        values = [float(x) for x in own["leaf_value"].split()]
        if leaves < 1 or len(values) != leaves or not all(map(math.isfinite, values)):
            raise ValueError(f"tree {number} has {len(values)} values for {leaves} leaves")
        kinds = {int(x) for x in own.get("decision_type", "").split()}
        is_odd = bool(int(own.get("is_linear", "0"))) != is_linear or not kinds <= DECISIONS
        if int(own.get("num_cat", "0")) or is_odd:
            raise ValueError(f"tree {number} is of a kind that irc train does not write")
        if is_linear:
            check_lines(own, leaves, features)
        if leaves == 1:
            continue
        split = [int(x) for x in own["split_feature"].split()]
        left, right = ([int(x) for x in own[name].split()] for name in ("left_child", "right_child"))
        counts = {len(split), len(left), len(right), len(own["threshold"].split()), len(own["decision_type"].split())}
        if counts != {leaves - 1} or not all(0 <= feature < features for feature in split):
            raise ValueError(f"tree {number} has splits that do not fit its {leaves} leaves")
        children = sorted((*left, *right))
        if children != sorted((*range(-leaves, 0), *range(1, leaves - 1))):
            raise ValueError(f"tree {number} is no tree: a node has no parent, or two")
        if any(child >= 0 and child <= parent for side in (left, right) for parent, child in enumerate(side)):
            raise ValueError(f"tree {number} is no tree: a node comes before its parent")


def check_lines(tree: Mapping[str, str], leaves: int, features: int) -> None:
    """Raises:
    ValueError: the leaves' constants, features or coefficients are not as many as they say, or out of range.
    """
    counts = [int(x) for x in tree["num_features"].split()]
    own = [int(x) for x in tree["leaf_features"].split()]
    numbers = [[float(x) for x in tree[name].split()] for name in ("leaf_const", "leaf_coeff")]
    if (len(counts), len(numbers[0])) != (leaves, leaves) or min(counts) < 0:
        raise ValueError(f"{leaves} leaves have {len(numbers[0])} constants and {len(counts)} counts of features")
    if not len(own) == len(numbers[1]) == sum(counts) or not all(0 <= feature < features for feature in own):
        raise ValueError(f"{sum(counts)} features of leaves expected, there are {len(own)}")
    if not all(map(math.isfinite, (*numbers[0], *numbers[1]))):
        raise ValueError("a leaf that is no number")


def checked_size(data: bytes, path: Path) -> bytes:
    """Raises:
    ValueError: there is more than any model has.
    """
    if len(data) > LARGEST_BYTES:
        raise ValueError(f"{path.name} is larger than {LARGEST_BYTES >> 20} MiB")
    return data


def _numbers(values: Sequence[Any], count: int = LEVELS) -> tuple[float, ...]:
    found = tuple(float(x) for x in values)
    if len(found) != count or not all(math.isfinite(x) and x >= 0 for x in found):
        raise ValueError(f"{count} positive numbers expected, not {values}")
    return found


def _shares(values: Sequence[Any], count: int = LEVELS) -> tuple[float, ...]:
    found = _numbers(values, count)
    if max(found) > 1:
        raise ValueError(f"shares expected, not {values}")
    return found


def _cells(values: Sequence[Any]) -> np.ndarray:
    found = np.array(values, dtype=np.int64)
    if found.ndim != 1:
        raise ValueError("a list of cells expected")
    return np.unique(found)


@lru_cache(maxsize=1)
def bundled_models() -> dict[str, FamilyModel]:
    """Those that come with the package."""
    return read_models(BUNDLED)


@lru_cache(maxsize=1)
def bundled_power_models() -> dict[str, FamilyModel]:
    """Those of power that come with the package."""
    return read_models(BUNDLED / POWER)
