"""Whose kernels run on a machine: part of the target's name, or a line in its file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ircost.backends import RUNTIMES, TargetError, load_target
from ircost.backends.runtime import own_runtime
from ircost.backends.target_files import TARGETS, parse_target
from ircost.cli import run

MODEL = "module @one\n\nfunc @main(%x: 2x8xf32) -> 2x8xf32 {\n  %y = relu %x : 2x8xf32\n  return %y\n}\n"


def refusal(action: Callable[[], object]) -> TargetError:
    with pytest.raises(TargetError) as caught:
        action()
    return caught.value


@pytest.mark.parametrize(
    ("asked", "name", "runtime"),
    [
        ("h100_sxm", "h100_sxm", ""),
        ("h100_sxm+vllm", "h100_sxm+vllm", "vllm"),
        ("h100+vllm", "h100_sxm+vllm", "vllm"),
        ("mi300x+sglang", "mi300x+sglang", "sglang"),
        ("a100+vendor_library", "a100_sxm_80gb+vendor_library", "vendor library"),
        ("a100+vendor library", "a100_sxm_80gb+vendor_library", "vendor library"),
    ],
)
def test_name_with_a_runtime(asked: str, name: str, runtime: str) -> None:
    target = load_target(asked)
    assert (target.name, target.runtime) == (name, runtime)


@pytest.mark.parametrize("name", ["mi300x+trtllm", "gaudi3+tensorrt", "epyc_9654+trtllm"])
def test_a_runtime_of_one_maker_runs_on_no_others_machines(name: str) -> None:
    error = refusal(lambda: load_target(name))
    assert "of NVIDIA only" in error.message and name.partition("+")[0] in error.message
    assert error.help and "another runtime" in error.help


@pytest.mark.parametrize(
    "name",
    [
        *("vllm", "sglang", "trtllm", "tensorrt", "pytorch", "vendor library", "sarathi", "nccl"),
        *("pytorch graphs", "pytorch compile", "onnxruntime"),
    ],
)
def test_known_runtimes(name: str) -> None:
    runtime = RUNTIMES[name]
    assert runtime.name == name
    assert runtime.description
    graphs = ("vllm", "sglang", "trtllm", "tensorrt", "pytorch graphs", "pytorch compile")
    assert runtime.launch == ("graph" if name in graphs else "eager")
    assert load_target(f"t4+{runtime.key}").runtime == name


def test_a_runtime_changes_nothing_else() -> None:
    plain, with_runtime = load_target("h100"), load_target("h100+vllm")
    assert with_runtime.sources() == plain.sources()
    assert with_runtime.digest() != plain.digest()
    assert with_runtime != plain
    assert load_target("h100+vllm") == with_runtime
    assert hash(load_target("h100+vllm")) == hash(with_runtime)


@pytest.mark.parametrize(
    ("asked", "message", "help"),
    [
        ("h100+vlm", "no runtime 'vlm'", "did you mean vllm?"),
        ("h100+", "no runtime ''", "pytorch, vendor_library, sarathi, nccl, pytorch_graphs, pytorch_compile, onnx"),
        ("h100+vendor", "no runtime 'vendor'", "vendor_library"),
        ("h10+vllm", "no target 'h10'", "did you mean h100"),
        ("h10+vlm", "no target 'h10'", "did you mean h100"),
        ("+vllm", "no target ''", "irc targets lists"),
        ("h100+vllm+nccl", "no target 'h100+vllm'", "h100"),
    ],
)
def test_mistakes(asked: str, message: str, help: str) -> None:
    error = refusal(lambda: load_target(asked))
    assert error.message == message
    assert help in (error.help or "")


def test_a_runtime_of_ones_own_is_named_like_any_other() -> None:
    own = [own_runtime("My RT"), own_runtime("my_rt")]
    assert load_target("h100+my_rt", (), own).runtime == "my_rt"
    assert load_target("h100+My-RT", (), own).name == "h100_sxm+My_RT"
    assert load_target("h100+vllm", (), own).runtime == "vllm"
    assert own[0].launch == "graph"
    error = refusal(lambda: load_target("h100+my_rd", (), own))
    assert error.message == "no runtime 'my_rd'" and "my_rt? (known: My_RT, my_rt, vllm, " in (error.help or "")
    assert "no microcontroller" in refusal(lambda: load_target("stm32l4r5+my_rt", (), own)).message
    assert "no runtime 'my_rt'" in refusal(lambda: load_target("h100+my_rt")).message


def test_files_of_a_user(tmp_path: Path) -> None:
    folder = tmp_path / "c++"
    folder.mkdir()
    path = folder / "mine.yaml"
    path.write_text("extends: h100\naliases: [nick]\nruntime: sglang\n")
    assert load_target(path).runtime == "sglang"
    assert load_target(path).name == "mine"
    assert load_target("nick", [folder]).runtime == "sglang"
    assert load_target("nick+vllm", [folder]).name == "mine+vllm"
    assert load_target(f"{path}+vllm").runtime == "vllm"
    assert "c++/other" in refusal(lambda: load_target(folder / "other")).message


def test_targets_of_third_parties(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TARGETS, "_things", {"theirs": load_target("t4").model_copy(update={"name": "theirs"})})
    assert load_target("theirs+trtllm").name == "theirs+trtllm"


def test_unknown_runtime_in_a_file() -> None:
    error = refusal(lambda: parse_target("extends: h100\nruntime: pytorhc\n", "mine.yaml"))
    assert error.message == "runtime: no runtime 'pytorhc'"
    assert error.place() == ["at mine.yaml:2"]
    assert "did you mean pytorch, " in (error.help or "")


def test_blank_in_a_file_is_as_on_the_command_line() -> None:
    for written in ("vendor library", "vendor_library"):
        assert parse_target(f"extends: h100\nruntime: {written}\n").runtime == "vendor library"


def test_command_line_tells_an_unknown_runtime(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "one.irc").write_text(MODEL)
    assert run(["compile", str(tmp_path / "one.irc"), "--target", "h100+vlm"]) == 2
    assert "error: no runtime 'vlm'\n  help: did you mean vllm?" in capfd.readouterr().err
    assert run(["compile", str(tmp_path / "one.irc"), "--target", "h100+vllm"]) == 0
    assert "h100_sxm+vllm" in capfd.readouterr().out
