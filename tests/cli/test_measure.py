"""``irc measure``: tables that the other verbs read, whole wherever it ends; mistakes.

The library is one that is made up, and runs nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_library import FakeLibrary

from ircost.commands import measure
from ircost.datasets.tables import read_table

ROOT = Path(__file__).resolve().parents[2]
FAMILIES = ("gemm", "attention", "vector", "conv")
H100 = "NVIDIA H100 80GB HBM3"
Use = Callable[[FakeLibrary], FakeLibrary]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Use:
    """Measures a library that is made up."""

    def using(library: FakeLibrary) -> FakeLibrary:
        monkeypatch.setattr(measure, "open_library", lambda *arguments: library)
        return library

    return using


@pytest.fixture
def h100(use: Use) -> FakeLibrary:
    return use(FakeLibrary(kind="gpu", name=H100, framework="pytorch graphs", dtypes=("bfloat16", "float32")))


def rows_of(path: Path) -> int:
    return len(read_table(path))


def test_a_table_for_each_family(irc, h100: FakeLibrary, tmp_path: Path) -> None:
    outcome = irc("measure", "-o", tmp_path / "out", "--rows", "12", "--csv")
    assert (outcome.code, outcome.err) == (0, "")
    assert [line.split()[:3] for line in outcome.out.splitlines()[1:]] == [[name, "12", "0"] for name in FAMILIES]
    for family in FAMILIES:
        table = read_table(tmp_path / "out" / f"{family}.csv")
        assert len(table) == 12
        assert set(table.columns["device"]) == {"h100_sxm"}
        assert set(table.columns["dtype"]) == {"bfloat16"}
        (run,) = json.loads((tmp_path / "out" / f"{family}.json").read_text())["runs"]
        assert (run["framework"], run["machine"]["name"], run["failed"]) == ("pytorch graphs", H100, {})
        assert run["options"]["rows"] == 12


@pytest.mark.parametrize("family", FAMILIES)
def test_the_other_verbs_take_the_tables_without_a_word(irc, h100: FakeLibrary, tmp_path: Path, family: str) -> None:
    pytest.importorskip("pyarrow", reason="tables are Parquet")
    table = tmp_path / f"{family}.parquet"
    irc("measure", "-o", table, "--family", family, "--rows", "200")
    for verb in (
        ("evaluate", table),
        ("calibrate", "--data", table, "-o", tmp_path / "constants.json"),
        ("evaluate", table, "--constants", tmp_path / "constants.json"),
        ("predict", table, "--model", tmp_path / "constants.json", "--csv"),
    ):
        outcome = irc(*verb)
        assert (outcome.code, outcome.err) == (0, ""), verb
    scores = json.loads(irc("evaluate", table, "--constants", tmp_path / "constants.json", "--json").out)
    assert (scores["groups"][0]["rows"], scores["groups"][0]["failed"]) == (200, 0)


def test_models_are_learned_from_what_was_measured(irc, h100: FakeLibrary, tmp_path: Path) -> None:
    irc("measure", "-o", tmp_path / "vector.csv", "--family", "vector", "--rows", "240")
    outcome = irc("train", tmp_path / "vector.csv", "-o", tmp_path / "models")
    assert outcome.code == 0
    assert "note: " not in outcome.err
    assert (tmp_path / "models" / "vector" / "card.md").exists()


def test_going_on_measures_what_is_missing(irc, h100: FakeLibrary, tmp_path: Path) -> None:
    first = ("measure", "-o", tmp_path / "gemm.csv", "--family", "gemm")
    irc(*first, "--rows", "10")
    before = read_table(tmp_path / "gemm.csv").columns["m"].tolist()
    refused = irc(*first, "--rows", "30")
    assert refused.code == 2
    assert "gemm.csv is there already\n  help: --resume adds to it" in refused.err
    irc(*first, "--rows", "30", "--resume")
    assert read_table(tmp_path / "gemm.csv").columns["m"].tolist()[:10] == before
    assert rows_of(tmp_path / "gemm.csv") == 30
    assert len(h100.met) == len(set(h100.met)) == 30
    assert len(json.loads((tmp_path / "gemm.json").read_text())["runs"]) == 2


def test_going_on_elsewhere_is_refused(irc, h100: FakeLibrary, use: Use, tmp_path: Path) -> None:
    first = ("measure", "-o", tmp_path / "gemm.csv", "--family", "gemm", "--rows", "10")
    irc(*first)
    use(FakeLibrary(kind="gpu", name="NVIDIA L40S", framework="pytorch graphs"))
    outcome = irc(*first, "--resume")
    assert outcome.code == 2
    assert "was measured on h100_sxm pytorch graphs 1.0; this is l40s pytorch graphs 1.0" in outcome.err


def test_breaking_off_keeps_whole_rows(irc, h100: FakeLibrary, tmp_path: Path) -> None:
    h100.interrupted_after = 25
    outcome = irc("measure", "-o", tmp_path, "--rows", "20", "--csv")
    assert outcome.code == 130
    assert sum(rows_of(tmp_path / f"{family}.csv") for family in FAMILIES) == 25
    assert json.loads((tmp_path / "gemm.json").read_text())["runs"][0]["interrupted"] is True
    h100.interrupted_after = None
    assert irc("measure", "-o", tmp_path, "--rows", "20", "--csv", "--resume").code == 0
    assert [rows_of(tmp_path / f"{family}.csv") for family in FAMILIES] == [20] * 4
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".csv"] * 4 + [".json"] * 4  # no scratch is left


def test_cases_that_fail_are_counted(irc, h100: FakeLibrary, tmp_path: Path) -> None:
    h100.failing = ("attention",)
    outcome = irc("measure", "-o", tmp_path, "--rows", "12", "--csv")
    assert outcome.code == 0
    assert [line.split()[:3] for line in outcome.out.splitlines()[1:3]] == [
        ["gemm", "12", "0"],
        ["attention", "0", "12"],
    ]
    assert outcome.err == "failed 12 times: attention: out of memory\n"
    assert not (tmp_path / "attention.csv").exists()
    assert json.loads((tmp_path / "gemm.json").read_text())["runs"][0]["failed"] == {"attention: out of memory": 12}


def test_where_all_fails_that_is_the_message(irc, h100: FakeLibrary, tmp_path: Path) -> None:
    h100.failing = FAMILIES
    outcome = irc("measure", "-o", tmp_path, "--rows", "3", "--csv")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: nothing was measured: conv: out of memory; ")


def test_the_time_ends_it(irc, h100: FakeLibrary, tmp_path: Path) -> None:
    assert irc("measure", "-o", tmp_path, "--minutes", "0.005", "--csv").code == 0
    assert sum(rows_of(tmp_path / f"{family}.csv") for family in FAMILIES) > 4


def test_a_target_of_ones_own(irc, use: Use, tmp_path: Path) -> None:
    use(FakeLibrary())
    (tmp_path / "targets").mkdir()
    file = tmp_path / "targets" / "my_cpu.yaml"
    file.write_text("extends: cpu\nname: my_cpu\ndescription: mine\nsource: mine\nprocessors: {count: 1}\n")
    table, targets = tmp_path / "vector.csv", ("--targets", tmp_path / "targets")
    outcome = irc("measure", "-o", table, "--family", "vector", "--rows", "80", "--target", file)
    assert (outcome.code, outcome.err) == (0, "")
    assert set(read_table(table).columns["device"]) == {"my_cpu"}
    constants = tmp_path / "constants.json"
    assert irc("calibrate", "--data", table, "-o", constants, *targets).code == 0
    errors = [
        json.loads(irc("evaluate", table, *targets, *more, "--json").out)["groups"][0]["median_ape"]
        for more in ((), ("--constants", constants))
    ]
    assert errors[1] < 20 < errors[0]


def test_fewer_threads_than_the_target_has_cores_are_told(irc, use: Use, tmp_path: Path) -> None:
    use(FakeLibrary())
    outcome = irc("measure", "-o", tmp_path / "gemm.csv", "--family", "gemm", "--rows", "5", "--target", "cpu")
    assert outcome.code == 0
    assert outcome.err.startswith("note: target cpu has 32 cores, and kernels run on 1 of them: rows are too slow")


MISTAKES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "nowhere to": ((), ("missing option '-o'",)),
    "no such family": (("--family", "gem"), ("'gem' is not one of 'gemm'",)),
    "no such format": (("--target", "cpu", "--dtype", "f8"), ("--dtype f8", "have float32, bfloat16")),
    "unknown machine": ((), ("no target is known to be 'Example CPU'", "docs/write-a-target.md", "--target FILE.yaml")),
    "no such target": (("--target", "xeom_8480"), ("no target 'xeom_8480'", "xeon_8480")),
    "another kind": (("--target", "h100"), ("--target h100_sxm is a gpu, and 'Example CPU' a cpu",)),
    "no power": (("--target", "cpu", "--power"), ("no power can be read", "ircost[power]")),
    "no rows": (("--rows", "0"), ("0 is not in the range",)),
    "no such folder": (
        ("--target", "cpu", "--family", "gemm", "-o", "@nowhere/gemm.csv"),
        ("cannot write", "No such file or directory"),
    ),
    "two endings": (("--target", "cpu", "--family", "gemm", "--csv", "-o", "@gemm.parquet"), ("--csv and -o",)),
    "several in one file": (("--target", "cpu", "-o", "@all.csv"), ("holds one family, not gemm, attention",)),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_in_one_message(irc, use: Use, tmp_path: Path, mistake: str) -> None:
    library = use(FakeLibrary())
    arguments, wanted = MISTAKES[mistake]
    given = [str(tmp_path / word[1:]) if word.startswith("@") else word for word in arguments]
    places = () if "-o" in given or mistake == "nowhere to" else ("-o", str(tmp_path / "out"))
    outcome = irc("measure", *places, *given)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.count("error: ") == 1
    assert [text for text in wanted if text not in outcome.err] == []
    assert library.met == []


NOT_INSTALLED = """
import sys
sys.modules[{module!r}] = None
from ircost.cli import run
sys.exit(run(["measure", "-o", {out!r}, "--library", {library!r}]))
"""


@pytest.mark.parametrize(
    ("library", "module", "wanted"),
    [
        ("torch", "torch", "PyTorch is not installed\n  help: pip install 'ircost[torch]'"),
        ("onnxruntime", "onnxruntime", "ONNX Runtime is not installed\n  help: pip install onnxruntime"),
    ],
)
def test_a_library_that_is_not_installed_is_named(tmp_path: Path, library: str, module: str, wanted: str) -> None:
    code = NOT_INSTALLED.format(module=module, library=library, out=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {wanted}")


BARE = """
import sys
for name in ("lark", "pydantic", "lightgbm", "sklearn", "scipy", "networkx"):
    sys.modules[name] = None
sys.path.insert(0, {tests!r})
from fake_library import FakeLibrary
from ircost.commands import measure
measure.open_library = lambda *arguments: FakeLibrary(kind="gpu", name="NVIDIA H100 80GB HBM3")
from ircost.cli import run
sys.exit(run(["measure", "-o", {out!r}, "--rows", "3", "--csv"]))
"""


def test_what_only_models_need_is_not_imported(tmp_path: Path) -> None:
    """A machine to measure has the library, NumPy and little else."""
    code = BARE.format(tests=str(ROOT / "tests"), out=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stderr) == (0, "")
