"""`irc run`: inputs from files or at random, outputs on the screen and in a file."""

from __future__ import annotations

import re
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from ircost.commands.array_files import npz_bytes
from ircost.commands.run import largest_difference


def test_given_inputs_and_written_outputs(irc, mlp: Path, tmp_path: Path) -> None:
    x = np.arange(16, dtype=np.float32).reshape(2, 8)
    np.save(tmp_path / "x.npy", x)
    outcome = irc("run", mlp, "--input", f"x={tmp_path / 'x.npy'}", "-o", tmp_path / "out.npz")
    assert outcome.code == 0
    assert re.search(r"^output_0 +2x4xf32 +14 +46 +30 +14 14 14 14$", outcome.out, re.MULTILINE)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npz")["output_0"], (x @ np.full((8, 4), 0.5)).astype("f"))


def test_input_by_name_from_npz(irc, mlp: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", x=np.ones((2, 8)), other=np.zeros(3))
    assert " 4  " in irc("run", mlp, "--input", f"x={tmp_path / 'in.npz'}").out
    np.savez(tmp_path / "other.npz", other=np.zeros(3))
    assert "has no array 'x'" in irc("run", mlp, "--input", f"x={tmp_path / 'other.npz'}").err


@pytest.mark.parametrize(("array", "message"), [(np.ones((3, 8)), "is 3x8, 2x8xf32"), (np.array(["a"]), "holds <U1")])
def test_input_that_does_not_fit(irc, mlp: Path, tmp_path: Path, array: np.ndarray, message: str) -> None:
    np.save(tmp_path / "x.npy", array)
    outcome = irc("run", mlp, "--input", f"x={tmp_path / 'x.npy'}")
    assert outcome.code == 2
    assert message in outcome.err


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip", b"\x93NUMPY"])
def test_damaged_array_file(irc, mlp: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    assert irc("run", mlp, "--input", f"x={tmp_path / 'x.npy'}").code == 2


def test_random_inputs_follow_the_seed(irc, mlp: Path) -> None:
    outputs = [irc("run", mlp, "--seed", seed).out for seed in ("1", "1", "2")]
    assert outputs[0] == outputs[1] != outputs[2]


def test_compare_before_and_after_passes(irc, mlp: Path) -> None:
    outcome = irc("run", mlp, "--passes", "canonicalize,fuse", "--compare")
    assert outcome.out.endswith("output_0: largest difference 0\n")


def test_compare_each_names_the_pass(irc, mlp: Path) -> None:
    lines = irc("run", mlp, "--passes", "canonicalize,convert-dtype{to=bf16},fuse", "--compare-each").out.splitlines()
    found = [line for line in lines if line.startswith("after ")]
    assert found[0] == "after canonicalize: equal"
    assert found[1].startswith("after convert-dtype: largest difference ") and found[1].endswith(", of output_0")
    assert "--compare-each has nothing to compare" in irc("run", mlp, "--compare-each").err


def test_compare_sees_a_difference(irc, mlp: Path) -> None:
    text = irc("run", mlp, "--passes", "convert-dtype{to=bf16}", "--compare").out
    assert float(text.split()[-1]) > 1e-6


def test_symbolic_dims_are_bound(irc, dynamic: Path) -> None:
    assert "y       3x4xf32" in irc("run", dynamic, "--dim", "batch=3", "--dim", "sequence=4").out


def test_largest_difference() -> None:
    old = np.array([1.0, np.nan, np.inf, 4.0])
    assert largest_difference(old, old) == 0
    assert largest_difference(old, np.array([1.0, np.nan, np.inf, 4.5])) == 0.5
    assert np.isnan(largest_difference(old, np.array([1.0, 2.0, np.inf, 4.0])))
    assert largest_difference(np.zeros(0), np.zeros(0)) == 0


def test_equal_arrays_make_equal_files(tmp_path: Path) -> None:
    arrays = {"file": np.ones(2, ml_dtypes.bfloat16), "a/b": np.array([1, 2])}
    assert npz_bytes(arrays) == npz_bytes(arrays)
    (tmp_path / "a.npz").write_bytes(npz_bytes(arrays))
    loaded = np.load(tmp_path / "a.npz")
    assert loaded["file"].dtype == np.float32 and loaded["file"].tolist() == [1, 1]
    assert loaded["a/b"].tolist() == [1, 2]
