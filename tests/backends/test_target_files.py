"""What a user can do wrong in a target's file, and finding files."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest
import yaml

from ircost.backends import Target, TargetError, load_target, target_files, target_names
from ircost.backends.target_files import TARGETS, parse_target
from ircost.ir import registry

DOC = Path(__file__).parents[2] / "docs" / "write-a-target.md"
HEAD = "name: mine\nextends: h100\nsource: me\n"


def refusal(action: Callable[[], object]) -> TargetError:
    with pytest.raises(TargetError) as caught:
        action()
    return caught.value


@pytest.mark.parametrize(
    ("body", "line", "message", "help"),
    [
        (
            "memory:\n  hbm:\n    bandwith: 4 TB/s",
            6,
            "memory.hbm.bandwith: no such key",
            "did you mean bandwidth?",
        ),
        ("lunch_overhead: 2 us", 4, "lunch_overhead: no such key", "did you mean launch_overhead"),
        ("power: {peek: 2 W}", 4, "power.peek: no such key", "did you mean peak?"),
        ("memory:\n  hbm: {bandwidth: 4}", 5, "memory.hbm.bandwidth: missing unit in '4'", "3.35 TB/s"),
        ("memory:\n  hbm: {bandwidth: 4 TB}", 5, "unknown unit 'TB'", "B/s, byte/s, bit/s"),
        ("matrix:\n  f16: -4 TFLOP/s", 5, "matrix.f16: '-4 TFLOP/s' is negative", "above zero"),
        ("matrix:\n\n  fp16: 4 TFLOP/s", 6, "matrix.fp16: no number format 'fp16'", "did you mean f16"),
        ("energy: {vector: {f31: 1 pJ/flop}}", 4, "energy.vector.f31: no number format", "did you mean f32"),
        ("power: 80 W", 4, "power: here goes a section", "its keys: idle, peak"),
        ("memory: 80 GB", 4, "memory: here goes a section", "a name for each"),
        ("power: {peak: [80 W]}", 4, "power.peak: one figure belongs here", "700 W"),
        ("power: {peak: 30 W}", 4, "idle power, 100 W, is not below peak power, 30 W", ""),
        ("power: {design: 90 W}", 4, "design power, 90 W, is not above idle power, 100 W", ""),
        ("power: {peak: 30 MW}", 4, "power.peak: unknown unit 'MW' in '30 MW'", "prefixes: m u n p k"),
        (
            *("memory: {l2: {capacity: 1 TB}}", 1, "memory 'l2' holds more than main memory 'hbm'"),
            "from main memory inward",
        ),
        (
            *("memory: {shared: {capacity: 1 GB}}", 1, "132 times memory 'shared' holds more than main memory 'hbm'"),
            "from main memory inward",
        ),
        (
            *("links: {grid: {bandwidth: 1 GB/s, topology: torus}}", 4, "a torus, as 'grid', needs 'neighbours'"),
            "4 of two dimensions",
        ),
        ("kind: gpuu", 4, "kind: input should be 'gpu'", ""),
        ("aliases: x", 4, "aliases: here goes a list", "[h100]"),
        ("memory: {hbm: {per_processor: maybe}}", 4, "memory.hbm.per_processor: neither true nor false", ""),
        ("processors: {count: 1.5}", 4, "'1.5' is not a whole number", "132"),
        ("guess: perhaps", 4, "guess is 'perhaps'", "true or false"),
        (
            "matrix: {f16: {value: 3 TFLOP/s, sorce: x}}",
            4,
            "no key 'sorce' in a figure",
            "value, source, guess",
        ),
        (
            "memory:\n  l9: {capacity: 1 MB, bandwidth: 1 TB/s, energie: 1 pJ/bit}",
            5,
            "memory.l9.energie",
            "energy",
        ),
        ("memory:\n  l9: {capacity: 1 MB}", 5, "memory.l9.bandwidth: missing", "extends"),
        ("name: twice", 4, "'name' is there twice", "line 1"),
        ("vendor: &a x", 4, "YAML anchors and aliases are not read", ""),
        ("aliases: [" + "[" * 100, 4, "nested too deep", "8 levels"),
        (" vendor: x", 4, "not YAML", ""),
    ],
)
def test_mistake_is_told_with_line_and_cure(body: str, line: int, message: str, help: str) -> None:
    error = refusal(lambda: parse_target(HEAD + body + "\n", "mine.yaml"))
    assert message in error.message
    assert error.place() == [f"at mine.yaml:{line}"]
    assert help in (error.help or "")
    assert "pydantic" not in error.render()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"# nothing\n", "the file is empty"),
        (b"- a list\n", "a target is a list of 'key: value' lines"),
        (b"a: b\n---\nc: d\n", "more than one YAML document"),
        (b"name: \xff\n", "not UTF-8"),
        (b"name: \x01\n", "not YAML: unacceptable character"),
        (b"? [a]\n: b\n", "a key has to be a word"),
        (b"name: x\nextends: h100\nmatrix: {f16: 1 TFLOP/s}\n", "matrix.f16: no source for '1 TFLOP/s'"),
        (b"name: x\nkind: gpu\n", "missing"),
        (b"name: not/a name\nextends: h100\n", "name: not a name"),
        (b"a: " + b"[" * 500_000, "nested too deep"),
        (b"a: " + b"x" * 1_000_000, "over 1000 kB"),
    ],
    ids=range(12),
)
def test_bad_file(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    error = refusal(lambda: load_target(path))
    assert message in error.message
    assert "bad.yaml" in error.render() or "at byte" in error.render()


def test_reads_the_same_without_libyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    digest = load_target("h100").digest()
    monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    assert load_target("h100").digest() == digest
    assert "nested too deep" in refusal(lambda: parse_target("a: " + "[" * 10_000)).message


def test_unknown_name_lists_the_nearest() -> None:
    error = refusal(lambda: load_target("h10"))
    assert error.message == "no target 'h10'"
    assert error.help is not None
    assert re.fullmatch(r"did you mean h100, h100_nvl, h100_pcie\? \(irc targets lists \d+\)", error.help)


@pytest.mark.parametrize(
    ("name", "first"),
    [("HGX H100 80GB", "h100"), ("L40S-48GB", "l40s"), ("NVIDIA A100-SXM4-80GB MIG 1g.10gb", "a100_80gb")],
)
def test_a_known_name_with_words_around_it_is_the_nearest(name: str, first: str) -> None:
    assert str(refusal(lambda: load_target(name)).help).startswith(f"did you mean {first}")


@pytest.mark.parametrize("name", [3, None, ["h100"]])
def test_what_is_no_name_is_told(name: Any) -> None:
    error = refusal(lambda: load_target(name))
    assert error.message == f"{type(name).__name__} {name!r} is not a target"


@pytest.mark.parametrize("name", ["", "\0", "../targets/h100_sxm", "no.yaml", "/dev/zero", "h100_sxm.yml"])
def test_what_is_no_target(name: str) -> None:
    refusal(lambda: load_target(name))


def test_a_circle_is_told(tmp_path: Path) -> None:
    for own, other in (("a", "b"), ("b", "c"), ("c", "a")):
        (tmp_path / f"{own}.yaml").write_text(f"name: {own}\nextends: {other}.yaml\n")
    error = refusal(lambda: load_target(tmp_path / "a.yaml"))
    assert error.message == "'extends' is circular: a.yaml -> b.yaml -> c.yaml -> a.yaml"
    assert error.place() == [f"at {tmp_path}/a.yaml:2"]


def test_unknown_base_is_told_where_it_is_named() -> None:
    error = refusal(lambda: parse_target("name: x\nextends: h10\n", "x.yaml"))
    assert error.message == "no target 'h10'"
    assert error.place() == ["at x.yaml:2"]
    assert "h100" in (error.help or "")


def test_a_mistake_in_the_base_is_told_in_the_base(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(HEAD + "power: {peak: 9 V}\n")
    error = refusal(lambda: parse_target("extends: base.yaml\n", f"{tmp_path}/child.yaml"))
    assert error.place() == [f"at {tmp_path}/base.yaml:4"]


def test_sources_nearest_first() -> None:
    target = parse_target("""
name: mine
extends: h100
source: the file
matrix:
  source: the section
  f16: 1 TFLOP/s
  f64: {value: 1 TFLOP/s, source: its own}
power:
  guess: true
  peak: 800 W
  idle: {value: 99 W, source: measured}
links:
  pcie: {bandwidth: 1 GB/s, guess: true}
""")
    found = {path: (figure.source, figure.guess) for path, figure in target.sources().items()}
    assert found["matrix.f16"] == ("the section", False)
    assert found["matrix.f64"] == ("its own", False)
    assert found["power.peak_w"] == ("the file", True)
    assert found["power.idle_w"] == ("measured", False)
    assert found["links.pcie.bandwidth_bytes_per_s"] == ("the file", True)
    assert "H100" in found["matrix.bf16"][0]


def test_extending_keeps_name_aliases_and_description_apart() -> None:
    target = parse_target("extends: h100\n", "my_card.yaml")
    assert (target.name, target.aliases, target.description) == ("my_card", (), "")
    assert target.vendor == "NVIDIA"


def test_a_chip_is_that_of_what_is_extended_unless_the_file_says_otherwise(tmp_path: Path) -> None:
    (tmp_path / "capped.yaml").write_text("extends: h800_sxm\n")
    (tmp_path / "twice.yaml").write_text("extends: capped.yaml\n")
    (tmp_path / "new.yaml").write_text("extends: h100\nchip: new\n")
    (tmp_path / "other.yaml").write_text("extends: t4\nchip: h100\n")
    names = {name: load_target(name, [tmp_path]).measured_as for name in ("capped", "twice", "new", "other")}
    assert names == {"capped": "h100_sxm", "twice": "h100_sxm", "new": "new", "other": "h100_sxm"}
    assert load_target("capped+vllm", [tmp_path]).measured_as == "h100_sxm"


def test_a_chip_of_no_target_is_told() -> None:
    error = refusal(lambda: parse_target("extends: h100\nchip: h1000\n", "mine.yaml"))
    assert "no target 'h1000'" in error.message and "h100" in (error.help or "")
    assert error.place() == ["at mine.yaml:2"]


def test_folders_come_first_and_their_aliases_count(tmp_path: Path) -> None:
    (tmp_path / "t4.yaml").write_text("extends: h100\nname: t4\n")
    (tmp_path / "other.yaml").write_text("extends: h100\naliases: [nick]\n")
    assert load_target("t4", [tmp_path]).main_memory.bandwidth_bytes_per_s == 3.35e12
    assert load_target("nick", [tmp_path]).name == "other"
    assert "other" in target_names([tmp_path])
    assert "other" not in target_names()


def test_a_folder_that_is_none_is_told(tmp_path: Path) -> None:
    for look in (lambda: load_target("t4", [tmp_path / "nowhere"]), lambda: target_names([tmp_path / "nowhere"])):
        assert refusal(look).message == f"no folder '{tmp_path / 'nowhere'}'"


def test_entry_points_add_targets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "theirs.yaml").write_text("name: theirs\nextends: h100\n")
    entry = EntryPoint("theirs", f"{__name__}:THEIRS", TARGETS.group)

    def found(*, group: str, name: str | None = None) -> EntryPoints:
        return EntryPoints([entry] if group == TARGETS.group and name in (None, "theirs") else [])

    monkeypatch.setattr(registry, "entry_points", found)
    monkeypatch.setattr(EntryPoint, "load", lambda self: tmp_path / "theirs.yaml")
    monkeypatch.setattr(TARGETS, "_things", {})
    assert load_target("theirs").vendor == "NVIDIA"
    assert "theirs" in target_names()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOC.read_text(), re.DOTALL)


def test_the_pages_targets_load() -> None:
    short, whole, board = blocks("yaml")
    assert len(short.strip().splitlines()) == 5
    assert parse_target(short).power.peak_w == 500.0
    toy = parse_target(whole)
    assert toy.peak_flops_per_s("i8") == 8e12
    assert toy.peak_flops_per_s("f16", "vector") == 250e9
    assert [level.name for level in toy.memory] == ["dram", "scratchpad"]
    small = parse_target(board)
    assert small.holds(weights_bytes=2 * 2**20, others_bytes=640 * 2**10)
    assert not small.holds(weights_bytes=0, others_bytes=641 * 2**10)


def test_flash_is_a_memory_without_a_name() -> None:
    error = refusal(lambda: parse_target("extends: stm32l4r5\nsource: x\nflash: {capacty: 1 MiB}\n"))
    assert "flash.capacty: no such key" in error.message and "capacity" in str(error.help)
    assert load_target("stm32l4r5").sources()["flash.capacity_bytes"] == 2.0 * 2**20
    assert load_target("h100").flash is None


def test_the_pages_python_runs() -> None:
    assert blocks("python")
    for block in blocks("python"):
        exec(compile(block, str(DOC), "exec"), {})


def test_the_pages_mistake_is_told_so() -> None:
    whole = blocks("yaml")[1]
    error = refusal(lambda: parse_target(whole.replace("bandwidth: 51.2", "bandwith: 51.2"), "toy_npu.yaml"))
    # Misspelling it also leaves it out; the page shows the first mistake only.
    told = [line.partition("  (")[0] for line in error.render().splitlines()]
    assert "\n".join(told) in DOC.read_text()


@pytest.mark.parametrize(
    ("spelt", "name"),
    [
        ("H100", "h100_sxm"),
        ("h100-pcie", "h100_pcie"),
        ("L4", "l4"),
        ("NVIDIA L40", "l40"),
        ("NVIDIA A100-SXM4-80GB", "a100_sxm_80gb"),
        ("NVIDIA GeForce RTX 4090", "rtx_4090"),
        ("Tesla T4", "t4"),
        ("AMD Instinct MI300X", "mi300x"),
        ("B200-SXM+vLLM", "b200_sxm+vllm"),
        ("AMD Instinct MI300X OAM", "mi300x"),
        ("NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition", "rtx_pro_6000_max_q"),
        ("AMD EPYC 9654 96-Core Processor", "epyc_9654"),
        ("Intel(R) Xeon(R) Platinum 8480+", "xeon_8480"),
        ("Intel(R) Xeon(R) Platinum 8358 CPU @ 2.60GHz", "cpu"),
        ("AMD RYZEN AI MAX+ 395 w/ Radeon 8060S", "ryzen_ai_max_395"),
        ("ryzen_ai_max+_395+pytorch", "ryzen_ai_max_395+pytorch"),
        ("h100+TensorRT-LLM", "h100_sxm+trtllm"),
    ],
)
def test_names_as_people_and_drivers_spell_them(spelt: str, name: str) -> None:
    assert load_target(spelt).name == name


@pytest.mark.parametrize("spelt", ["NVIDIA", "NVIDIA B100", "rtx_4090_d", "NVIDIA H20-3e", "Tesla V100-SXM3-32GB"])
def test_other_machines_are_not_taken_for_one_that_is_known(spelt: str) -> None:
    with pytest.raises(TargetError, match="no target"):
        load_target(spelt)


def test_a_users_name_comes_before_its_plain_spelling(tmp_path: Path) -> None:
    (tmp_path / "H100.yaml").write_text("extends: t4\nname: H100\n")
    assert load_target("H100", [tmp_path]).architecture == "turing"


def test_a_name_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of many kernels of a machine that nobody knows asks for it again and again."""
    asked = []

    def counted(name: str, *others: object) -> Target:
        asked.append(name)
        return load_target(name)

    monkeypatch.setattr(target_files, "load_target", counted)
    load = target_files.target_loader()
    for _ in range(3):
        assert load("h100").name == "h100_sxm"
        with pytest.raises(TargetError, match="no target 'h1000'"):
            load("h1000")
    assert asked == ["h100", "h1000"]
