"""Damaged models are taken or refused by an `IrcError`: a short run of what `run.py` does for as long as one likes."""

from __future__ import annotations

import random
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
from mutation import mutated_bytes, mutated_fields
from seeds import seeds
from survival import survives, survives_file

CASES = 400


@pytest.fixture(scope="module")
def models() -> object:
    return seeds()


@pytest.fixture(autouse=True)
def _quiet() -> object:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def test_damaged_fields(models: list[onnx.ModelProto]) -> None:
    rng = random.Random(1)
    verdicts = [survives(mutated_fields(rng.choice(models), rng)) for _ in range(CASES)]
    assert 0 < verdicts.count("taken") < CASES  # neither is all damage fatal, nor is none noticed


def test_damaged_bytes(models: list[onnx.ModelProto], tmp_path: Path) -> None:
    rng = random.Random(2)
    path = tmp_path / "damaged.onnx"
    verdicts = []
    for _ in range(CASES):
        path.write_bytes(mutated_bytes(rng.choice(models).SerializeToString(), rng))
        verdicts.append(survives_file(path))
    assert 0 < verdicts.count("taken") < CASES
