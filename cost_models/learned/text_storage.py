"""Text models as folders: LightGBM's text (packed by xz) and JSON. Nothing of it is executed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from lightgbm.basic import LightGBMError

from ircost.cost_models.learned.estimators.linear_trees import LinearTrees
from ircost.cost_models.learned.packing import packed, read_bytes, unpacked
from ircost.cost_models.learned.row_text import WRITERS
from ircost.cost_models.learned.stored_trees import LearnedModelError
from ircost.cost_models.learned.text_model import IrTextRegressor
from ircost.cost_models.learned.text_training import TextModel
from ircost.cost_models.learned.text_vectors import BUCKETS, IrTextVectorizer
from ircost.cost_models.learned.tree_text import tree_text
from ircost.ir.json_document import parse_json

VERSION = 2
MODEL, TREES = "text.json", "text.txt.xz"


def write_text_model(model: TextModel, folder: str | Path) -> None:
    """Writes the model of one family into a folder of its own below this one."""
    own = Path(folder) / model.family
    own.mkdir(parents=True, exist_ok=True)
    regressor = model.regressor
    plain = {
        **{"version": VERSION, "family": model.family, "about": dict(model.about)},
        **{"half_width": model.half_width, "range": list(regressor.trees_.range_)},
        **{"parameters": regressor.get_params(), "buckets": regressor.vectorizer_.buckets_.tolist()},
    }
    lines = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in plain.items()]
    (own / MODEL).write_text("{\n" + ",\n".join(lines) + "\n}\n")
    (own / TREES).write_bytes(packed(regressor.trees_.text_))


def read_text_models(folder: str | Path) -> dict[str, TextModel]:
    """The text models of a folder, by family.

    Raises:
        LearnedModelError: there is none, or one is damaged.
    """
    found = {}
    for path in sorted(Path(folder).glob(f"*/{MODEL}")):
        model = _read(path.parent)
        found[model.family] = model
    if not found:
        raise LearnedModelError(f"{folder} holds no text model", help="irc train TABLES... --text -o DIR writes one")
    return found


def _read(folder: Path) -> TextModel:
    try:
        plain = parse_json(read_bytes(folder / MODEL))
        if plain["version"] != VERSION:
            raise LearnedModelError(
                f"{folder}: version {plain['version']}, {VERSION} expected", help="write it again with irc train --text"
            )
        if plain["family"] not in WRITERS:
            raise ValueError(f"no family '{plain['family']}'")
        half_width = _number(plain["half_width"])
        return TextModel(str(plain["family"]), _regressor(folder, plain), half_width, dict(plain["about"]))
    except LearnedModelError:
        raise
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, OverflowError, LightGBMError) as error:
        raise LearnedModelError(f"{folder} holds no text model: {error}", help="irc train --text writes one") from error


def _regressor(folder: Path, plain: Mapping[str, Any]) -> IrTextRegressor:
    found = IrTextRegressor(**plain["parameters"])
    vectorizer = IrTextVectorizer(found.longest, found.fewest, found.most, found.has_sizes)
    vectorizer.buckets_ = _buckets(plain["buckets"])
    text = unpacked(folder / TREES)
    columns = len(vectorizer.buckets_)
    tree_text(text, columns, is_linear=True)
    trees = LinearTrees.of_text(text, columns, trees=found.trees, leaves=found.leaves, seed=found.seed)
    if trees.booster_.num_feature() != columns:
        raise ValueError(f"{TREES}: {trees.booster_.num_feature()} features, {columns} expected")
    low, high = map(_number, plain["range"])
    trees.range_ = low, high
    found.vectorizer_, found.trees_ = vectorizer, trees
    return found


def _buckets(values: Any) -> np.ndarray:
    found = np.array(values, dtype=np.int64)
    if found.ndim != 1 or not len(found) or (np.diff(found) <= 0).any() or not 0 <= found[0] <= found[-1] < BUCKETS:
        raise ValueError(f"ascending buckets below {BUCKETS} expected")
    return found


def _number(value: Any) -> float:
    found = float(value)
    if not math.isfinite(found):
        raise ValueError(f"a number expected, not {value}")
    return found
