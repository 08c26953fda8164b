"""``irc calibrate``: the same tables give the same file, which can be checked; mistakes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAD = "device,framework,dtype,op,rows,cols,latency_us\n"
BYTES_PER_US = {"a100_sxm": 1.2e6, "h100_sxm": 2e6, "t4": 0.2e6}  # six tenths of what their memory brings


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """A folder of small tables: copies of 5 us and their bytes, 10 us at least; products that take their flops."""
    streams = [
        f"{device},pytorch,float16,mul_scalar,{rows},4096,{max(10, 5 + rows * 4096 * 4 / rate):.3f}\n"
        for device, rate in BYTES_PER_US.items()
        for rows in range(16, 4096, 160)
    ]
    products = [f"t4,pytorch,float16,{m},1024,1024,{30 + m / 20:.3f}\n" for m in range(32, 4096, 128)]
    (tmp_path / "vector.csv").write_text(HEAD + "".join(streams))
    (tmp_path / "gemm.csv").write_text("device,framework,dtype,m,n,k,latency_us\n" + "".join(products))
    (tmp_path / "few.csv").write_text(HEAD + streams[0])
    (tmp_path / "model_ops.csv").write_text("device,op,dims,forward_us\nt4,ln,\"[['VECln', (8, 64)]]\",20\n")
    (tmp_path / "again").mkdir()
    (tmp_path / "again/vector.csv").write_text(HEAD + "".join(streams))
    return tmp_path


def test_the_file_lists_what_it_was_fitted_to(irc, tables: Path) -> None:
    outcome = irc("calibrate", "--data", tables / "vector.csv", tables / "gemm.csv", "-o", tables / "constants.json")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.endswith("constants of 2 families, fitted to samples of 110 rows\n")
    content = json.loads((tables / "constants.json").read_text())
    assert content["tables"] == {
        name: hashlib.sha256((tables / name).read_bytes()).hexdigest() for name in ("gemm.csv", "vector.csv")
    }
    about = content["families"]["vector"]["about"]
    assert (about["rows"], about["devices"]) == (78, ["a100_sxm_80gb", "h100_sxm", "t4"])
    assert about["median_error"] < 0.2


def test_constants_that_were_fitted_are_used(irc, tables: Path) -> None:
    irc("calibrate", "--data", tables / "vector.csv", "-o", tables / "constants.json")
    (own,) = json.loads(irc("evaluate", tables / "vector.csv", "--constants", tables / "constants.json", "--json").out)[
        "groups"
    ]
    (bundled,) = json.loads(irc("evaluate", tables / "vector.csv", "--json").out)["groups"]
    assert own["median_ape"] < 15 < bundled["median_ape"]


def test_the_same_tables_give_the_same_bytes(tables: Path) -> None:
    """However many threads there are, and in whichever order the tables come."""
    files = {"one.json": ("1", ["vector.csv", "gemm.csv"]), "two.json": ("2", ["gemm.csv", "vector.csv"])}
    for file, (threads, names) in files.items():
        command = [sys.executable, "-m", "ircost", "calibrate", "-o", str(tables / file), "--data"]
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
        subprocess.run([*command, *(str(tables / name) for name in names)], env=environment, check=True, cwd=ROOT)
    assert (tables / "one.json").read_bytes() == (tables / "two.json").read_bytes()


def test_check_tells_whether_a_file_is_of_these_tables(irc, tables: Path) -> None:
    file = tables / "constants.json"
    irc("calibrate", "--data", tables / "vector.csv", "-o", file)
    before = file.read_bytes()
    same = irc("calibrate", "--data", tables / "vector.csv", "--check", file)
    assert (same.code, same.err) == (0, "")
    assert f"{file}: the same, constants of 1 families" in same.out
    text = (tables / "vector.csv").read_text()
    (tables / "vector.csv").write_text(text.replace("t4,", "l40s,"))
    other = irc("calibrate", "--data", tables / "vector.csv", "--check", file)
    assert (other.code, other.err) == (1, "")
    assert "table vector.csv: " in other.out and "vector all, " in other.out
    assert file.read_bytes() == before


def test_two_tables_of_one_family_are_taken_together(irc, tables: Path) -> None:
    head, *rows = (tables / "vector.csv").read_text().splitlines(keepends=True)
    (tables / "first.csv").write_text(head + "".join(rows[:52]))
    (tables / "second.csv").write_text(head + "".join(rows[52:]))
    both = irc("calibrate", "--data", tables / "first.csv", "--data", tables / "second.csv", "-o", "-").out
    whole = irc("calibrate", "--data", tables / "vector.csv", "-o", "-").out
    assert json.loads(both)["families"] == json.loads(whole)["families"]


MISTAKES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "no data": (("-o", "@out.json"), ("missing option '--data'",)),
    "nowhere to": (("--data", "@vector.csv"), ("neither -o nor --check",)),
    "no such file": (("--data", "nowhere.csv", "-o", "@out.json"), ("cannot read nowhere.csv",)),
    "nothing to check": (("--data", "@vector.csv", "--check", "@nowhere.json"), ("holds no constants",)),
    "parts of models": (("--data", "@model_ops.csv", "-o", "@out.json"), ("match no family",)),
    "too few rows": (("--data", "@few.csv", "-o", "@out.json"), ("no rows to fit", "eight")),
    "two of a name": (
        ("--data", "@vector.csv", "@again/vector.csv", "-o", "@out.json"),
        ("2 tables are named vector.csv",),
    ),
    "no folder": (("--data", "@vector.csv", "-o", "@nowhere/out.json"), ("cannot write",)),
    "told before tables are read": (
        ("--data", "nowhere.csv", "-o", "/proc/out.json"),
        ("cannot write /proc/out.json",),
    ),
    "a folder": (("--data", "nowhere.csv", "-o", "@again"), ("cannot write", "Is a directory")),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_in_one_message(irc, tables: Path, mistake: str) -> None:
    arguments, wanted = MISTAKES[mistake]
    outcome = irc("calibrate", *(str(tables / word[1:]) if word.startswith("@") else word for word in arguments))
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("error: ") == 1
    assert [text for text in wanted if text not in outcome.err] == []
    assert not (tables / "out.json").exists()


# ---- power

POWERED = "device,framework,dtype,m,n,k,latency_us,power_w\n"


@pytest.fixture
def readings(tmp_path: Path) -> Path:
    """Products of an H200 that take what their weights take at 4 TB/s, and draw 130 W and 100 pJ for each byte."""
    lines = [
        f"h200,vllm,bfloat16,{m},{n},{k},{n * k / 2e6:.3f},{130 + 300 * m / 64:.1f}\n"
        for m in range(1, 65, 3)
        for n in (16384, 32768)
        for k in (16384, 32768)
    ]
    (tmp_path / "power.csv").write_text(POWERED + "".join(lines))
    short = [f"h200,vllm,bfloat16,{m},256,256,3.0,140\n" for m in range(1, 65)]
    (tmp_path / "short.csv").write_text(POWERED + "".join(short))
    return tmp_path


def test_power_is_fitted_to_readings_and_checked(irc, readings: Path) -> None:
    file = readings / "power.json"
    outcome = irc("calibrate", "--power", "--data", readings / "power.csv", "-o", file)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.endswith("factors of power, fitted to samples of 88 rows of h200_sxm\n")
    content = json.loads(file.read_text())
    assert content["factors"]["static"] == pytest.approx(1.35, abs=0.1)
    assert list(content["tables"]) == ["power.csv"]
    assert irc("calibrate", "--power", "--data", readings / "power.csv", "--check", file).code == 0
    content["factors"]["active"] += 1
    file.write_text(json.dumps(content))
    changed = irc("calibrate", "--power", "--data", readings / "power.csv", "--check", file)
    assert changed.code == 1 and "active: " in changed.out


@pytest.mark.parametrize("table", ["short.csv", "gemm.csv"])
def test_without_steady_readings_no_power_is_fitted(irc, readings: Path, tables: Path, table: str) -> None:
    outcome = irc("calibrate", "--power", "--data", readings / table, "-o", readings / "power.json")
    assert outcome.code == 2 and "no power readings to fit" in outcome.err
    assert not (readings / "power.json").exists()


def test_a_few_rows_of_a_new_machine_are_fitted_onto_what_is_known(irc, tables: Path) -> None:
    (tables / "new.csv").write_text(
        "device,dtype,m,n,k,latency_us\n"
        + "".join(f"rx_7900_xtx,f16,{m},4096,4096,{20 + m / 3:.1f}\n" for m in (64, 1024, 4096))
    )
    irc("calibrate", "--data", tables / "gemm.csv", tables / "vector.csv", "-o", tables / "constants.json")
    before = json.loads((tables / "constants.json").read_text())
    outcome = irc(
        "calibrate", "--data", tables / "new.csv", "--onto", tables / "constants.json", "-o", tables / "o.json"
    )
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.endswith("fitted to samples of 110 rows, and onto them to 3 rows\n")
    after = json.loads((tables / "o.json").read_text())
    assert after["tables"] == before["tables"] and list(after["added_tables"]) == ["new.csv"]
    for name, family in before["families"].items():
        assert after["families"][name]["effects"] == family["effects"]
    assert {tuple(entry[:2]) for entry in after["families"]["gemm"]["added"]} >= {("device", "rx_7900_xtx")}
    same = irc(
        "calibrate", "--data", tables / "new.csv", "--onto", tables / "constants.json", "--check", tables / "o.json"
    )
    assert same.code == 0


def test_rows_of_a_chip_that_is_known_by_another_name_move_nothing_and_are_told(irc, tables: Path) -> None:
    (tables / "mine.yaml").write_text("extends: h100_sxm\n")
    rows = "".join(f"mine,f16,{m},4096,4096,{20 + m / 3:.1f}\n" for m in (64, 1024, 4096))
    (tables / "new.csv").write_text("device,dtype,m,n,k,latency_us\n" + rows)
    ask = ("calibrate", "--data", tables / "new.csv", "--onto", "bundled", "--targets", tables, "-o", tables / "o.json")
    outcome = irc(*ask)
    assert outcome.code == 0
    assert "note: new.csv: mine has the chip of h100_sxm, whose constants stay" in outcome.err
    (tables / "mine.yaml").write_text("extends: h100_sxm\nchip: mine\n")
    assert "has the chip of" not in irc(*ask).err
    added = json.loads((tables / "o.json").read_text())["families"]["gemm"]["added"]
    assert ["device", "mine"] in [entry[:2] for entry in added]


def test_onto_is_of_latencies(irc, tables: Path) -> None:
    outcome = irc("calibrate", "--power", "--data", tables / "gemm.csv", "--onto", "bundled", "-o", tables / "o.json")
    assert outcome.code == 2 and "--onto adds to latency constants" in outcome.err
    outcome = irc("calibrate", "--data", tables / "gemm.csv", "--onto", tables / "none.json", "-o", tables / "o.json")
    assert outcome.code == 2 and "holds no constants" in outcome.err


def test_what_the_bundled_file_was_fitted_onto_is_of_the_rows_that_lie_there() -> None:
    content = json.loads((ROOT / "cost_models/gpu/constants.json").read_text())
    assert content["added_tables"] == {
        f"{name}.csv": hashlib.sha256((ROOT / f"datasets/published/{name}.csv").read_bytes()).hexdigest()
        for name in ("attention", "collective", "gemm", "mla", "moe", "vector")
    }
