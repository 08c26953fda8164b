"""Learned models as folders: text of trees (packed by xz), JSON, and a card for people. Nothing of it is executed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ircost.cost_models.learned.calibration import Calibration
from ircost.cost_models.learned.card import card_text
from ircost.cost_models.learned.columns import DEVICE, MACHINE_FIGURES, SIZES, WORDS
from ircost.cost_models.learned.combinations import COLUMNS
from ircost.cost_models.learned.family_model import FamilyModel, Head
from ircost.cost_models.learned.features import LOG_POWER, feature_names
from ircost.cost_models.learned.kinship import MetMachine
from ircost.cost_models.learned.novelty import LEVELS, WIDTHS, Novelty
from ircost.cost_models.learned.packing import checked_size, packed
from ircost.cost_models.learned.short_text import short_text
from ircost.cost_models.learned.stored_trees import LearnedModelError, StoredTrees, Trees
from ircost.ir.json_document import parse_json

BUNDLED = Path(__file__).parent / "models"
POWER = "power"  # the folder of models of power, beside those of latency
VERSION = 6
MODEL, CARD = "model.json", "card.md"
TEXT_MODEL = "text.json"  # as `text_storage.MODEL`, which needs LightGBM
HEADS = ("seen", "unnamed", "unseen")
EXTRAS = ((), (LOG_POWER,))


def write_model(model: FamilyModel, folder: str | Path) -> None:
    """Writes the model of one family into a folder of its own below this one."""
    own = Path(folder) / model.family
    own.mkdir(parents=True, exist_ok=True)
    for name in HEADS:
        head: Head | None = getattr(model, name)
        if head is not None:
            if head.residual is not None:
                _write_trees(head.residual, own / trees_file(name))
            _write_trees(head.calibration.spread, own / trees_file(f"{name}_spread"))
    if model.kin is not None:
        _write_trees(model.kin.spread, own / trees_file("kin_spread"))
    (own / MODEL).write_text(_to_json(model))
    (own / CARD).write_text(card_text(model))


def _write_trees(trees: Trees, path: Path) -> None:
    path.write_bytes(packed(short_text(trees.arrays_)))


def trees_file(name: str) -> str:
    return f"{name}.txt.xz"


def _to_json(model: FamilyModel) -> str:
    heads = {name: _head_json(getattr(model, name)) for name in HEADS if getattr(model, name) is not None}
    plain = {
        **{"version": VERSION, "family": model.family, "about": model.about, "vocabulary": model.vocabulary},
        "machines": {name: {"architecture": m.architecture, **m.figures} for name, m in model.machines.items()},
        **{"met": None if model.met is None else model.met.tolist(), "heads": heads},
        "kin": None if model.kin is None else _calibration_json(model.kin),
        "features": [*model.extra, *feature_names(model.family, True)],
        "cells": {
            f"{width:g} octaves": cells.tolist() for width, cells in zip(WIDTHS, model.novelty.cells, strict=True)
        },
    }
    lines = [f" {json.dumps(name)}: {json.dumps(value, allow_nan=False)}" for name, value in plain.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _head_json(head: Head) -> dict[str, Any]:
    return {**_calibration_json(head.calibration), "is_corrected": head.residual is not None}


def _calibration_json(calibration: Calibration) -> dict[str, Any]:
    return {
        "trust": [round(x, 4) for x in calibration.trust],
        "quantile": [round(x, 4) for x in calibration.quantile],
        "shared": round(calibration.shared, 4),
        "widest": round(calibration.widest, 4),
    }


def read_models(folder: str | Path) -> dict[str, FamilyModel]:
    """The models of a folder, by family, with all of their trees.

    Raises:
        LearnedModelError: there is none, or one is damaged.
    """
    found = _models(folder)
    for model in found.values():
        heads = [head for name in HEADS if (head := getattr(model, name)) is not None]
        spreads = [head.calibration.spread for head in heads] + ([] if model.kin is None else [model.kin.spread])
        for trees in (*(head.residual for head in heads), *spreads):
            if isinstance(trees, StoredTrees):
                trees.forest_  # noqa: B018  # what is damaged is told before anything is asked
    return found


def table_digests(folder: str | Path) -> set[str]:
    """SHA-256 of the tables that the models of a folder were trained on.

    Raises:
        LearnedModelError: as of ``read_models``.
    """
    tables = [model.about.get("tables") for model in _models(folder).values()]
    return {str(digest) for own in tables if isinstance(own, Mapping) for digest in own.values()}


def _models(folder: str | Path) -> dict[str, FamilyModel]:
    """The same, but for the trees, which are read when they are first asked."""
    found = {}
    for path in sorted(Path(folder).glob(f"*/{MODEL}")):
        model = _read_model(path.parent)
        found[model.family] = model
    if not found and any(Path(folder).glob(f"*/{TEXT_MODEL}")):
        raise LearnedModelError(
            f"{folder} holds text models, which predict single kernels only and which no command takes",
            help="read_text_models reads them (docs/text-model.md); irc train without --text writes what commands take",
        )
    if not found:
        raise LearnedModelError(f"{folder} holds no learned model", help="irc train TABLES... -o DIR writes one")
    return found


def _read_model(folder: Path) -> FamilyModel:
    try:
        plain = parse_json(checked_size((folder / MODEL).read_bytes(), folder / MODEL))
        if plain["version"] != VERSION:
            raise LearnedModelError(
                f"{folder}: version {plain['version']}, {VERSION} expected", help="write it again with irc train"
            )
        family = str(plain["family"])
        if family not in SIZES:
            raise ValueError(f"no family '{family}'")
        own = feature_names(family, True)
        extra = tuple(map(str, plain["features"][: -len(own)]))
        if plain["features"] != [*extra, *own] or extra not in EXTRAS:
            raise LearnedModelError(
                f"{folder}: its features are not those of this version", help="write it again with irc train"
            )
        heads = {
            name: _head(folder, family, name, entry, extra) for name, entry in plain["heads"].items() if name in HEADS
        }
        vocabulary = {kind: [str(word) for word in plain["vocabulary"][kind]] for kind in (*WORDS, DEVICE)}
        return FamilyModel(
            family,
            vocabulary,
            {str(name): _machine(figures) for name, figures in plain["machines"].items()},
            None if plain["met"] is None else _combinations(plain["met"], vocabulary),
            Novelty(tuple(_cells(plain["cells"][f"{width:g} octaves"]) for width in WIDTHS)),
            heads["seen"],
            heads.get("unseen"),
            dict(plain["about"]),
            extra,
            heads.get("unnamed"),
            None if plain["kin"] is None else _calibration(folder, "kin", plain["kin"], _width(family, extra, True)),
        )
    except LearnedModelError:
        raise
    except (OSError, EOFError, ValueError, OverflowError, KeyError, TypeError, AttributeError) as error:
        raise LearnedModelError(f"{folder} holds no learned model: {error}", help="irc train writes one") from error


def _head(folder: Path, family: str, name: str, plain: Mapping[str, Any], extra: Sequence[str]) -> Head:
    features = _width(family, extra, name != "unseen")
    calibration = _calibration(folder, name, plain, features)
    return Head(StoredTrees(folder / trees_file(name), features) if plain["is_corrected"] else None, calibration)


def _width(family: str, extra: Sequence[str], sees_machine: bool) -> int:
    """Number of features."""
    return len(extra) + len(feature_names(family, sees_machine))


def _calibration(folder: Path, name: str, plain: Mapping[str, Any], features: int) -> Calibration:
    return Calibration(
        _shares(plain["trust"]),
        StoredTrees(folder / trees_file(f"{name}_spread"), features),
        _numbers(plain["quantile"]),
        float(_shares([plain["shared"]], count=1)[0]),
        float(_numbers([plain["widest"]], count=1)[0]),
    )


def _machine(plain: Mapping[str, Any]) -> MetMachine:
    figures = {name: float(plain[name]) for name in MACHINE_FIGURES}
    if not all(map(math.isfinite, figures.values())):
        raise ValueError(f"numbers expected of a machine, not {figures}")
    return MetMachine(str(plain["architecture"]), figures)


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


def _combinations(values: Sequence[Any], vocabulary: Mapping[str, Sequence[str]]) -> np.ndarray:
    found = np.array(values, dtype=np.int64)
    if found.ndim != 2 or found.shape[1] != COLUMNS:
        raise ValueError(f"combinations of {COLUMNS} words expected")
    if (found < 0).any() or (found >= [len(vocabulary[kind]) for kind in (*WORDS, DEVICE)]).any():
        raise ValueError("met: a place beyond the words of the vocabulary")
    return found


def _cells(values: Sequence[Any]) -> np.ndarray:
    found = np.array(values, dtype=np.int64)
    if found.ndim != 1:
        raise ValueError("a list of cells expected")
    return np.unique(found)


@lru_cache(maxsize=1)
def bundled_models() -> dict[str, FamilyModel]:
    """Those that come with the package."""
    return _models(BUNDLED)


@lru_cache(maxsize=1)
def bundled_power_models() -> dict[str, FamilyModel]:
    """Those of power that come with the package."""
    return _models(BUNDLED / POWER)
