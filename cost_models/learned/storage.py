"""Learned models as folders: trees or other estimators (text, packed by xz), JSON, and a card for people.

Nothing of it is executed.

What was written together is read together: ``SHA256SUMS`` (as of ``sha256sum``) tells files of another training, and
figures that were changed by hand. Folders without it are read unchecked.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np

from ircost.cost_models.gpu.machine import LinkKind
from ircost.cost_models.learned.calibration import Calibration
from ircost.cost_models.learned.card import card_text
from ircost.cost_models.learned.columns import DEVICE, MACHINE_FIGURES, SIZES, WORDS
from ircost.cost_models.learned.combinations import COLUMNS
from ircost.cost_models.learned.estimators.layout import Layout
from ircost.cost_models.learned.family_model import FamilyModel, Head
from ircost.cost_models.learned.features import LOG_POWER, feature_names
from ircost.cost_models.learned.kinship import LINKED, MetMachine
from ircost.cost_models.learned.novelty import LEVELS, WIDTHS, Novelty
from ircost.cost_models.learned.packing import digest_of_bytes, packed, read_bytes
from ircost.cost_models.learned.short_text import short_text
from ircost.cost_models.learned.stored_estimator import TREES, StoredEstimator, text_of
from ircost.cost_models.learned.stored_trees import LearnedModelError, StoredTrees, Trees
from ircost.ir.json_document import parse_json

BUNDLED = Path(__file__).parent / "models"
POWER = "power"  # the folder of models of power, beside those of latency
VERSION = 6
MODEL, CARD, SUMS = "model.json", "card.md", "SHA256SUMS"
TEXT_MODEL = "text.json"  # as `text_storage.MODEL`, which needs LightGBM
HEADS = ("seen", "unnamed", "unseen")
EXTRAS = ((), (LOG_POWER,))


def write_model(model: FamilyModel, folder: str | Path) -> None:
    """Writes the model of one family into a folder of its own below this one.

    Raises:
        LearnedModelError: one of its estimators cannot be stored.
    """
    own = Path(folder) / model.family
    files = {trees_file(name): packed(short_text(trees.arrays_)) for name, trees in _all_trees(model).items()}
    files |= {
        estimator_file(name): packed(text_of(head.residual, head.estimator))
        for name, head in _other_estimators(model).items()
    }
    own.mkdir(parents=True, exist_ok=True)
    files[MODEL] = _to_json(model).encode()
    for name, data in files.items():
        (own / name).write_bytes(data)
    (own / SUMS).write_text("".join(f"{digest_of_bytes(data)}  {name}\n" for name, data in files.items()))
    (own / CARD).write_text(card_text(model))


def _all_trees(model: FamilyModel) -> dict[str, Trees]:
    """By the names of their files."""
    found = {}
    for name in HEADS:
        head: Head | None = getattr(model, name)
        if head is not None:
            if head.residual is not None and head.estimator == TREES:
                found[name] = cast(Trees, head.residual)
            found[f"{name}_spread"] = head.calibration.spread
    if model.kin is not None:
        found["kin_spread"] = model.kin.spread
    return found


def _other_estimators(model: FamilyModel) -> dict[str, Head]:
    """Heads whose corrections are no trees', by the names of their files."""
    heads = {name: getattr(model, name) for name in HEADS}
    return {
        name: head
        for name, head in heads.items()
        if head is not None and head.residual is not None and head.estimator != TREES
    }


def trees_file(name: str) -> str:
    return f"{name}.txt.xz"


def estimator_file(name: str) -> str:
    return f"{name}.json.xz"


def _to_json(model: FamilyModel) -> str:
    heads = {name: _head_json(getattr(model, name)) for name in HEADS if getattr(model, name) is not None}
    plain = {
        **{"version": VERSION, "family": model.family, "about": model.about, "vocabulary": model.vocabulary},
        "machines": {name: _machine_json(machine, model.family) for name, machine in model.machines.items()},
        **{"met": None if model.met is None else model.met.tolist(), "heads": heads},
        "kin": None if model.kin is None else _calibration_json(model.kin),
        "features": [*model.extra, *feature_names(model.family, True)],
        "cells": {
            f"{width:g} octaves": cells.tolist() for width, cells in zip(WIDTHS, model.novelty.cells, strict=True)
        },
    }
    lines = [f" {json.dumps(name)}: {json.dumps(value, allow_nan=False)}" for name, value in plain.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _machine_json(machine: MetMachine, family: str) -> dict[str, Any]:
    found: dict[str, Any] = {"architecture": machine.architecture, **machine.figures}
    if family == LINKED and machine.link is not None:
        found["link"] = asdict(machine.link)
    return found


def _head_json(head: Head) -> dict[str, Any]:
    found = {**_calibration_json(head.calibration), "is_corrected": head.residual is not None}
    return found if head.estimator == TREES else {**found, "estimator": head.estimator}


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
        others = [head.residual for head in _other_estimators(model).values()]
        for stored in (*_all_trees(model).values(), *others):
            if isinstance(stored, (StoredTrees, StoredEstimator)):
                stored.check()  # what is damaged is told before anything is asked
    return found


def table_digests(folder: str | Path) -> set[str]:
    """SHA-256 of the tables that the models of a folder were trained on.

    Raises:
        LearnedModelError: as of ``read_models``.
    """
    tables = [model.about.get("tables") for model in _models(folder).values()]
    return {str(digest) for own in tables if isinstance(own, Mapping) for digest in own.values()}


def is_of_power_alone(folder: str | Path) -> bool:
    """Whether a folder is what ``irc train --only power`` wrote."""
    own, power = (any(Path(place).glob(f"*/{MODEL}")) for place in (folder, Path(folder) / POWER))
    return power and not own


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
    if not found and is_of_power_alone(folder):
        raise LearnedModelError(
            f"{folder} holds models of power alone, which tell no latency",
            help="irc compile --model takes it, with the bundled corrections of latency",
        )
    if not found:
        raise LearnedModelError(f"{folder} holds no learned model", help="irc train TABLES... -o DIR writes one")
    return found


def _read_model(folder: Path) -> FamilyModel:
    try:
        data = read_bytes(folder / MODEL)
        plain, sums = parse_json(data), _sums(folder)
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
            name: _head(folder, sums, name, entry, family, extra)
            for name, entry in plain["heads"].items()
            if name in HEADS
        }
        vocabulary = {kind: _words(plain["vocabulary"][kind]) for kind in (*WORDS, DEVICE)}
        kin, width = plain["kin"], _width(family, extra, True)
        found = FamilyModel(
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
            None if kin is None else _calibration(folder, sums, "kin", kin, width),
        )
        if sums.get(MODEL) not in (None, digest_of_bytes(data)):
            raise ValueError(f"{MODEL}: another file than was written beside the others")
        return found
    except LearnedModelError:
        raise
    except (OSError, EOFError, ValueError, OverflowError, KeyError, TypeError, AttributeError) as error:
        raise LearnedModelError(f"{folder} holds no learned model: {error}", help="irc train writes one") from error


def _sums(folder: Path) -> dict[str, str]:
    """SHA-256 of the files that were written together, by their names; none where nobody wrote them down."""
    path = folder / SUMS
    lines = read_bytes(path).decode().splitlines() if path.exists() else []
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def _head(
    folder: Path, sums: Mapping[str, str], name: str, plain: Mapping[str, Any], family: str, extra: Sequence[str]
) -> Head:
    sees_machine = name != "unseen"
    features = _width(family, extra, sees_machine)
    calibration = _calibration(folder, sums, name, plain, features)
    if not isinstance(plain["is_corrected"], bool):
        raise ValueError(f"is_corrected: true or false expected, not {plain['is_corrected']!r}")
    estimator = str(plain.get("estimator", TREES))
    if not plain["is_corrected"]:
        return Head(None, calibration, estimator)
    if estimator == TREES:
        return Head(_trees(folder, sums, name, features), calibration)
    file, layout = estimator_file(name), Layout.of(family, sees_machine)
    return Head(StoredEstimator(folder / file, estimator, layout, sums.get(file)), calibration, estimator)


def _trees(folder: Path, sums: Mapping[str, str], name: str, features: int) -> StoredTrees:
    file = trees_file(name)
    return StoredTrees(folder / file, features, sums.get(file))


def _width(family: str, extra: Sequence[str], sees_machine: bool) -> int:
    """Number of features."""
    return len(extra) + len(feature_names(family, sees_machine))


def _calibration(
    folder: Path, sums: Mapping[str, str], name: str, plain: Mapping[str, Any], features: int
) -> Calibration:
    return Calibration(
        _shares(plain["trust"]),
        _trees(folder, sums, f"{name}_spread", features),
        _numbers(plain["quantile"]),
        float(_shares([plain["shared"]], count=1)[0]),
        float(_numbers([plain["widest"]], count=1)[0]),
    )


def _machine(plain: Mapping[str, Any]) -> MetMachine:
    figures = {name: _number(plain[name]) for name in MACHINE_FIGURES}
    link = plain.get("link")
    return MetMachine(str(plain["architecture"]), figures, None if link is None else _link(link))


def _link(plain: Any) -> LinkKind:
    if not isinstance(plain["reduces"], bool):
        raise ValueError(f"reduces: true or false expected, not {plain['reduces']!r}")
    return LinkKind(str(plain["topology"]), _number(plain["bytes_per_s"]), plain["reduces"])


def _number(value: Any) -> float:
    """Of JSON: no word that looks like one, and no truth."""
    if type(value) not in (int, float) or not math.isfinite(found := float(value)):
        raise ValueError(f"a number expected, not {value!r}")
    return found


def _numbers(values: Any, count: int = LEVELS) -> tuple[float, ...]:
    found = tuple(map(_number, _list(values)))
    if len(found) != count or min(found) < 0:
        raise ValueError(f"{count} numbers from nought on expected, not {values}")
    return found


def _list(values: Any) -> list[Any]:
    if not isinstance(values, list):
        raise ValueError(f"a list expected, not {values!r}")
    return values


def _words(values: Any) -> list[str]:
    if not all(isinstance(word, str) for word in _list(values)):
        raise ValueError(f"words expected, not {values}")
    return [*values]


def _whole(values: Any) -> np.ndarray:
    """An array of whole numbers."""
    found = np.array(_list(values) or np.zeros(0, dtype=np.int64))
    if found.dtype.kind != "i":
        raise ValueError("whole numbers expected")
    return found.astype(np.int64)


def _shares(values: Any, count: int = LEVELS) -> tuple[float, ...]:
    found = _numbers(values, count)
    if max(found) > 1:
        raise ValueError(f"shares expected, not {values}")
    return found


def _combinations(values: Any, vocabulary: Mapping[str, Sequence[str]]) -> np.ndarray:
    found = _whole(values)
    if found.ndim != 2 or found.shape[1] != COLUMNS:
        raise ValueError(f"combinations of {COLUMNS} words expected")
    if (found < 0).any() or (found >= [len(vocabulary[kind]) for kind in (*WORDS, DEVICE)]).any():
        raise ValueError("met: a place beyond the words of the vocabulary")
    return found


def _cells(values: Any) -> np.ndarray:
    found = _whole(values)
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
