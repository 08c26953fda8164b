"""Real models in a folder: exported ones by `zoo.json`, packaged ones by `packaged.json`, with inputs that fit them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ircost.frontends import ImportOptions

# Names of integer inputs that tell few things apart; all others name tokens.
FEW = ("mask", "type", "role")
SMALL_VOCABULARIES = {"rxnmap": 12, "tashkeel_bilstm_int8": 12}


@dataclass(frozen=True)
class ZooModel:
    """One file, and what its index says of its inputs."""

    path: Path
    inputs: dict[str, Any]

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def is_quantised(self) -> bool:
        return any(word in self.name for word in ("int8", "qdq", "quantised"))

    @property
    def is_half(self) -> bool:
        return "fp16" in self.name

    @property
    def options(self) -> ImportOptions:
        """Every dynamic input bound as the index says, and values where the graph depends on them."""
        return ImportOptions(
            shapes={name: tuple(facts["shape"]) for name, facts in self.inputs.items() if facts.get("dynamic")},
            values={name: np.array(facts["value"]) for name, facts in self.inputs.items() if "value" in facts},
        )

    def feeds(self, seed: int = 0) -> dict[str, np.ndarray]:
        random = np.random.default_rng(seed)
        return {name: self._feed(name, facts, random) for name, facts in self.inputs.items()}

    def _feed(self, name: str, facts: dict[str, Any], random: np.random.Generator) -> np.ndarray:
        dtype, shape = np.dtype(facts["dtype"]), facts["shape"]
        if "value" in facts:
            return np.array(facts["value"], dtype)
        if dtype.kind == "b":
            return np.ones(shape, dtype)
        if dtype.kind in "iu":
            most = 2 if any(word in name for word in FEW) else SMALL_VOCABULARIES.get(self.name, 99)
            return np.asarray(random.integers(0, most, shape).astype(dtype))
        return np.asarray(random.standard_normal(shape).astype(dtype))


def zoo_models(folder: str | Path | None) -> list[ZooModel]:
    """All models that the indexes of a folder list and that are there."""
    found = []
    for index in ("packaged.json", "zoo.json"):
        path = Path(folder or "") / index
        if folder is not None and path.exists():
            rows = [(path.parent / row["file"], dict(row["inputs"])) for row in json.loads(path.read_text())]
            found += [ZooModel(file, inputs) for file, inputs in rows if file.exists()]
    return found
