"""What a user does wrong: one message with place and cure, exit code 2. What we do wrong: 70, and a file."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from ircost.backends.target_files import BUNDLED
from ircost.ir.graph import Module
from ircost.passes import PASSES, Pass, PassContext

RESNET = Path(__file__).resolve().parents[2] / "datasets/models/resnet50.onnx"

# Arguments after `irc`, files by name behind an @; what the message must hold.
MISTAKES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "no such file": (("compile", "nowhere.onnx"), ("cannot read nowhere.onnx",)),
    "phase of an ONNX file": (("compile", "@mlp", "--phase", "decode"), ("--phase decode", "config.json")),
    "mesh of an ONNX file": (("compile", "@mlp", "--mesh", "tp=2"), ("--mesh tp=2", "config.json")),
    "cache of an ONNX file": (("compile", "@mlp", "--cache-dtype", "f8e4m3"), ("--cache-dtype f8e4m3", "config.json")),
    "unknown name": (("compile", "llama-3-8c"), ("or known model 'llama-3-8c'", "llama-3-8b", "files end in .irc")),
    "unknown kind of file": (("compile", "model.txt"), ("ends in '.txt'", ".onnx")),
    "unknown target": (("compile", "@mlp", "--target", "h10"), ("no target 'h10'", "h100", "irc targets lists")),
    "unknown pass": (("compile", "@mlp", "--passes", "canonicalise"), ("no pass 'canonicalise'", "canonicalize")),
    "unknown pass to opt": (("opt", "@mlp", "--passes", "fus"), ("no pass 'fus'", "fuse", "irc passes lists all")),
    "unknown option of a pass": (("opt", "@mlp", "--passes", "fuse{max_op=3}"), ("no option 'max_op'", "max_ops")),
    "no pipeline": (("opt", "@mlp", "--passes", "fuse{"), ("not a pipeline", "^")),
    "unknown target of a pass": (("opt", "@mlp", "--passes", "tile{target=h10}"), ("no target 'h10'", "h100")),
    "unknown op": (("ops", "matmull"), ("no op 'matmull'", "matmul", "irc ops lists all")),
    "unknown op in text": (("opt", "@bad_op"), ("no op 'reluu'", "relu", "bad_op.irc:2")),
    "unknown format": (("compile", "@mlp", "--dtype", "f17"), ("no number format 'f17'", "f16")),
    "integer format": (("compile", "@mlp", "--dtype", "i8"), ("i8", "quantisation")),
    "size swept and bound": (
        ("compile", "llama-3-8b", "--sweep", "batch=1,2", "--batch", "4"),
        ("batch is both swept and bound to 4", "leave batch=4 out"),
    ),
    "price that is no number": (("compile", "@mlp", "--price-per-hour", "nan"), ("--price-per-hour", "'nan'")),
    "gate without end": (("diff", "@mlp", "@mlp", "--fail-above", "inf"), ("--fail-above", "'inf'")),
    "unknown cost model": (("compile", "@mlp", "--model", "rooflin"), ("no cost model 'rooflin'", "roofline")),
    "unbound dim": (("compile", "@dynamic"), ("unbound dims: sequence of 'x'", "dynamic.onnx", "--dim sequence=")),
    "dim bound to a word": (("compile", "@dynamic", "--dim", "sequence=long"), ("--dim sequence=long", "extent")),
    "dim bound to nothing": (("compile", "@dynamic", "--dim", "sequence"), ("no '='", "name=value")),
    "dim bound twice": (
        ("compile", "@dynamic", "--dim", "sequence=4", "--dim", "sequence=5"),
        ("--dim sequence is given twice: 4 and 5",),
    ),
    "dim that is not there": (("compile", "@dynamic", "--dim", "sequenc=4"), ("no symbolic dim 'sequenc'", "sequence")),
    "shape that does not fit": (("compile", "@dynamic", "--shape", "x=4"), ("--shape is 4", "?x?")),
    "dim of IR text": (("compile", "@mlp", "--dim", "N=3"), ("mlp.irc is IR text", "'N'")),
    "name without an ending": (("compile", "model"), ("or known model", ".onnx")),
    "input that is not there": (("compile", "@dynamic", "--shape", "z=4"), ("'z'", "x")),
    "value that is no number": (("compile", "@dynamic", "--value", "x=high"), ("--value x=high", "1,2,3")),
    "unknown operator": (
        ("compile", "@foreign", "--dim", "sequence=4"),
        ("com.example::Frobnicate", "opset 3", "'odd_one'", "--allow-opaque"),
    ),
    "not a protobuf": (("compile", "@noise"), ("is not an ONNX model",)),
    "truncated": (("compile", "@truncated"), ("is not an ONNX model", "cut off")),
    "text with an error": (("opt", "@bad_text"), ("bad_text.irc:2:", "^")),
    "extent without an end": (("opt", "@wide"), ("has an extent of 5000 digits",)),
    "text that does not verify": (("opt", "@bad_shape"), ("matmul", "8", "9")),
    "misspelt key": (("targets", "@bad_key"), ("bandwith", "bandwidth", "bad_key.yaml:")),
    "missing unit": (("targets", "@bad_unit"), ("missing unit in '3.35'", "bad_unit.yaml:", "TB/s")),
    "negative peak": (("targets", "@bad_peak"), ("'-9 TFLOP/s' is negative", "bad_peak.yaml:")),
    "folder to write to": (("compile", "@mlp", "-o", "@nowhere"), ("cannot write", "folder")),
    "report to be written as IR": (
        ("compile", "@mlp", "-o", "report.json"),
        ("not report.json", "--json > report.json"),
    ),
    "page to be written as IR": (
        ("compile", "@mlp", "-o", "report.html"),
        ("not report.html", "--json or --csv; drawn: --plot FILE.svg"),
    ),
    "json and csv": (("compile", "@mlp", "--json", "--csv"), ("--json and --csv",)),
    "pass that does not run": (
        ("compile", "@mlp", "--print-ir-after", "dce"),
        ("--print-ir-after dce", "canonicalize"),
    ),
    "passes and level": (
        ("compile", "@mlp", "--passes", "fuse", "--opt", "1"),
        ("--passes and --opt exclude", "--levels"),
    ),
    "passes and level to opt": (("opt", "@mlp", "--passes", "fuse", "--opt", "1"), ("--passes and --opt exclude",)),
    "passes and level of B": (
        ("diff", "@mlp", "--passes-b", "fuse", "--opt-b", "1"),
        ("--passes-b and --opt-b exclude",),
    ),
    "no such level": (("compile", "@mlp", "--opt", "4"), ("--opt", "4", "0<=x<=3")),
    "what-if as lines": (("compile", "@mlp", "--what-if", "--csv"), ("--csv lists kernels", "--json")),
    "what-if drawn as nothing": (("compile", "@mlp", "--what-if", "--plot", "a.gif"), ("cannot draw a.gif",)),
    "nothing to set against": (("diff", "@mlp"), ("A and B are the same", "--target-b")),
    "no other thing to set against": (
        ("diff", "@mlp", "--dtype", "f16", "--dtype-b", "f16"),
        ("A and B are the same",),
    ),
    "report that is not there": (("diff", "nowhere.json", "@mlp"), ("cannot read nowhere.json",)),
    "report that is no JSON": (("diff", "@broken", "@mlp"), ("broken.json is not JSON", "irc compile --json")),
    "report that nests too deep": (("diff", "@deep", "@deep"), ("deep.json is not JSON", "nested too deep")),
    "report without an end": (("diff", "@endless", "@mlp"), ("$.latency_s is no number",)),
    "report of another kind": (("diff", "@mlp", "@other"), ("other.json is not a report by irc", "is missing")),
    "report of another version": (("diff", "@mlp", "@later"), ("$.schema_version is 99, not 1",)),
    "option of a report": (("diff", "@mlp", "@other", "--target-b", "a100"), ("--target-b says", "is a report")),
    "option of two reports": (("diff", "@other", "@other", "--dtype", "f16"), ("--dtype says", "is a report")),
    "target of B": (("diff", "@mlp", "--target-b", "a10000"), ("no target 'a10000'", "a100")),
    "metric that nobody has": (("diff", "@mlp", "--opt-b", "0", "--metric", "beauty"), ("--metric", "latency")),
    "no reproducer": (("opt", "@mlp", "--reproduce"), ("not a reproducer",)),
    "reproducer that is not there": (("opt", "nowhere.irc", "--reproduce"), ("cannot read nowhere.irc",)),
    "nothing to compare": (("run", "@mlp", "--compare"), ("--passes",)),
    "unknown input": (("run", "@mlp", "--input", "z=z.npy"), ("no such input",)),
    "input without a file": (("run", "@mlp", "--input", "x=nowhere.npy"), ("cannot read nowhere.npy",)),
    "input that is no array": (("run", "@mlp", "--input", "x=@noise"), ("cannot read", "numpy.save")),
}

FILES = {
    "bad_op.irc": "func @main(%x: 2xf32) -> 2xf32 {\n  %y = reluu %x : 2xf32\n  return %y\n}\n",
    "bad_text.irc": "func @main(%x: 2xf32) -> 2xf32 {\n  %y = = relu %x : 2xf32\n  return %y\n}\n",
    "bad_shape.irc": "func @main(%x: 2x8xf32, %w: 9x4xf32) -> 2x4xf32 {\n  %y = matmul %x, %w\n  return %y\n}\n",
    "bad_key.yaml": "name: bad\nextends: h100\nsource: test\nmemory:\n  hbm: {bandwith: 3.35 TB/s}\n",
    "bad_unit.yaml": "name: bad\nextends: h100\nsource: test\nmemory:\n  hbm: {bandwidth: 3.35}\n",
    "bad_peak.yaml": "name: bad\nextends: h100\nsource: test\nmatrix: {f16: -9 TFLOP/s}\n",
    "broken.json": "{",
    "other.json": "{}",
    "deep.json": "[" * 100_000,
    "endless.json": '{"latency_s": Infinity}',
    "wide.irc": f"func @main(%x: {'9' * 5000}xf32) -> 2xf32 {{\n  return %x\n}}\n",
    "later.json": '{"schema_version": 99}',
    "noise.onnx": "this is no protobuf, whatever its name says\n",
}


@pytest.fixture
def places(tmp_path: Path, mlp: Path, dynamic: Path, foreign: Path) -> dict[str, str]:
    """Files to point at, by name."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "truncated.onnx").write_bytes(RESNET.read_bytes()[:20_000])
    return {
        "nowhere": str(tmp_path / "no such folder/out.irc"),
        **{path.stem: str(path) for path in [*tmp_path.glob("*.*"), mlp, dynamic, foreign]},
    }


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_in_one_message(irc, places: dict[str, str], mistake: str, tmp_path: Path) -> None:
    arguments, wanted = MISTAKES[mistake]
    before = sorted(tmp_path.iterdir())
    outcome = irc(*(re.sub(r"@(\w+)", lambda match: places[match[1]], argument) for argument in arguments))
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("error: ") == 1
    assert "Traceback" not in outcome.err
    assert [text for text in wanted if text not in outcome.err] == []
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("name", sorted(path.stem for path in BUNDLED.glob("*.yaml")))
def test_every_target_costs_the_bundled_model(irc, name: str) -> None:
    outcome = irc("compile", RESNET, "--target", name)
    assert (outcome.code, outcome.err) == (int("does not fit" in outcome.out), "")


# ---- our own faults


@dataclass(frozen=True)
class Broken(Pass):
    """Fails."""

    name = "broken"

    def run(self, module: Module, context: PassContext) -> Counter[str]:
        raise ZeroDivisionError("on purpose")


@pytest.fixture
def broken_pass(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    PASSES.get("canonicalize")
    monkeypatch.setitem(PASSES._things, "broken", Broken)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("broken_pass")
def test_a_pass_of_ours_that_fails_is_our_fault(irc, mlp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Broken, "__module__", "ircost.passes.broken")
    assert "a fault of irc" in irc("opt", mlp, "--passes", "broken").err


@pytest.mark.usefixtures("broken_pass")
def test_the_replay_names_the_machine(irc, mlp: Path) -> None:
    assert "--reproduce --target t4" in irc("opt", mlp, "--passes", "broken", "--target", "t4").err


@pytest.mark.usefixtures("broken_pass")
def test_a_pass_that_fails_leaves_a_reproducer_that_replays(irc, mlp: Path, tmp_path: Path) -> None:
    outcome = irc("opt", mlp, "--passes", "canonicalize,broken")
    (reproducer,) = tmp_path.glob("broken-*.irc")
    assert outcome.code == 70
    assert "pass 'broken' failed: ZeroDivisionError: on purpose" in outcome.err
    assert f"irc opt {reproducer.name} --reproduce" in outcome.err
    assert f"a fault of the pass, in {Broken.__module__}" in outcome.err
    assert "Traceback" not in outcome.err
    replayed = irc("opt", reproducer, "--reproduce")
    assert replayed.code == 70
    assert "pass 'broken' failed: ZeroDivisionError: on purpose" in replayed.err


@pytest.mark.usefixtures("broken_pass")
def test_verbose_shows_the_traceback(irc, mlp: Path) -> None:
    assert "Traceback (most recent call last)" in irc("--verbose", "opt", mlp, "--passes", "broken").err


def test_any_other_fault_leaves_its_traceback_in_a_file(
    irc, mlp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyError("lost")

    monkeypatch.setattr("ircost.commands.opt.read", fail)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    outcome = irc("opt", mlp)
    (file,) = tmp_path.glob("irc-fault-*.txt")
    assert outcome.code == 70
    assert outcome.err.startswith("error: internal fault: KeyError: 'lost'\n")
    assert str(file) in outcome.err
    assert "Traceback" in file.read_text() and f"irc opt {mlp}" in file.read_text()


def test_interrupted(irc, mlp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ircost.commands.opt.read", interrupt)
    assert irc("opt", mlp).code == 130


# ---- colour


@pytest.mark.parametrize(
    ("environment", "is_red"),
    [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)],
    ids=["piped", "forced", "refused"],
)
def test_colour(irc, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], is_red: bool) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert ("\x1b[31m" in irc("targets", "h10").err) is is_red
    assert ("\x1b[" in irc("targets").out) is is_red


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is Linux's")
def test_a_full_disk_is_no_fault_of_ours() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "ircost", "targets", "h100"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 2
    assert done.stderr.startswith("error: cannot write to standard output: No space left")
