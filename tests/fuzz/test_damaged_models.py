"""Damaged models are taken or refused by an `IrcError`: a short run of what `run.py` does for as long as one likes."""

from __future__ import annotations

import random
import warnings
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import onnx
import pytest
import survival
from mutation import mutated_bytes, mutated_fields
from seeds import seeds
from survival import TooLargeError, survives, survives_file

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


@pytest.mark.parametrize(("before", "after", "is_large"), [(1, 2, False), (9, 9, False), (1, 4, True)])
def test_memory_is_what_a_model_adds(before: int, after: int, is_large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """In GiB; what ran before may have needed more."""
    peaks = iter((before << 30, after << 30))
    monkeypatch.setattr(survival, "peak_bytes", lambda: next(peaks))
    with pytest.raises(TooLargeError) if is_large else nullcontext():
        survives(onnx.ModelProto())
