"""What the bundled files say hangs together: in itself, with each other, and with how chips are built."""

from __future__ import annotations

from pathlib import Path

import pytest

from ircost.backends import Target, load_target, target_names
from ircost.backends.target_files import ALIASES, BUNDLED

NAMES = sorted(path.stem for path in BUNDLED.glob("*.yaml"))
REQUIRED = {
    *("h100_sxm", "h200_sxm", "a100_sxm_80gb", "l40s", "v100_sxm2", "t4"),
    *("rtx_4090", "b200_sxm", "mi300x", "cpu"),
}
NVIDIA = [name for name in NAMES if load_target(name).vendor == "NVIDIA"]


def near(value: float, rel: float = 0.01) -> object:
    return pytest.approx(value, rel=rel)


def test_the_promised_machines_are_there() -> None:
    assert set(NAMES) >= REQUIRED
    assert set(target_names()) >= set(NAMES)


def test_alias_table_agrees_with_the_files() -> None:
    listed = {alias: name for name in NAMES for alias in load_target(name).aliases}
    assert listed == ALIASES
    assert not ALIASES.keys() & set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_file_is_named_after_its_target(name: str) -> None:
    target = load_target(name)
    assert target.name == name
    assert target.description
    assert target.vendor


@pytest.mark.parametrize("name", NAMES)
def test_file_names_its_schema(name: str) -> None:
    first = (BUNDLED / f"{name}.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=../target.schema.json"
    assert (BUNDLED / first.rpartition("=")[2]).resolve() == Path(BUNDLED.parent / "target.schema.json").resolve()


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_has_a_source(name: str) -> None:
    figures = load_target(name).sources()
    assert len(figures) > 20
    for path, figure in figures.items():
        assert len(figure.source) >= 10, path


@pytest.mark.parametrize("name", NAMES)
def test_what_a_data_sheet_gives_is_no_guess(name: str) -> None:
    """Vector f32, main memory's bandwidth and peak power are published for every machine."""
    target = load_target(name)
    published = (target.vector["f32"], target.main_memory.bandwidth_bytes_per_s, target.power.peak_w)
    assert not any(figure.guess for figure in published)


@pytest.mark.parametrize("name", NAMES)
def test_memory_gets_faster_inward(name: str) -> None:
    bandwidths = [level.bandwidth_bytes_per_s for level in load_target(name).memory]
    assert bandwidths == sorted(bandwidths)


@pytest.mark.parametrize("name", NAMES)
def test_main_memory_costs_most_energy(name: str) -> None:
    energies = [level.energy_j_per_byte for level in load_target(name).memory if level.energy_j_per_byte]
    assert energies == sorted(energies, reverse=True)


@pytest.mark.parametrize("name", NAMES)
def test_links_are_slower_than_main_memory_and_sorted(name: str) -> None:
    target = load_target(name)
    bandwidths = [link.bandwidth_bytes_per_s for link in target.links]
    assert bandwidths == sorted(bandwidths, reverse=True)
    assert bandwidths[0] < target.main_memory.bandwidth_bytes_per_s


@pytest.mark.parametrize("name", NAMES)
def test_narrower_is_never_slower(name: str) -> None:
    target = load_target(name)
    for peaks in (target.matrix, target.vector):
        floats = [peaks[dtype] for dtype in ("f64", "f32", "tf32", "f16", "f8e4m3", "f4e2m1") if dtype in peaks]
        assert floats == sorted(floats)


@pytest.mark.parametrize("name", NAMES)
def test_derived_energy_exhausts_the_power_limit(name: str) -> None:
    """Arithmetic and main memory at full speed, above idle: that is what the derivation presumes."""
    target = load_target(name)
    main = target.main_memory
    arithmetic_w = target.energy_j_per_flop("f32", "vector") * target.vector["f32"]
    assert main.energy_j_per_byte is not None
    total_w = target.power.idle_w + arithmetic_w + main.bandwidth_bytes_per_s * main.energy_j_per_byte
    assert total_w == near(target.power.peak_w, 1e-9)
    assert arithmetic_w > 0.2 * target.power.peak_w


@pytest.mark.parametrize("name", ["h100_sxm", "h100_pcie", "h200_sxm", "a100_sxm_80gb", "b200_sxm", "mi300x", "l40s"])
def test_each_halving_of_a_format_doubles_the_matrix_peak(name: str) -> None:
    matrix = load_target(name).matrix
    assert matrix["f16"] == near(2 * matrix["tf32"], 0.012)
    assert matrix["bf16"] == matrix["f16"]
    assert matrix["i8"] == near(2 * matrix["f16"], 0.013)
    assert matrix.get("f8e4m3", matrix["i8"]) == matrix["i8"]
    assert matrix.get("f4e2m1", 2 * matrix["i8"]) == 2 * matrix["i8"]


@pytest.mark.parametrize("name", NVIDIA)
def test_figures_follow_from_multiprocessors_and_clock(name: str) -> None:
    """16 special functions and 128 B of shared memory per clock and SM; f32 lanes a multiple of 64."""
    target = load_target(name)
    clocks = target.processors.count * target.processors.clock_hz
    shared = {level.name: level for level in target.memory}["shared"]
    assert target.special_per_s == near(16 * clocks)
    assert shared.bandwidth_bytes_per_s == near(128 * clocks)
    lanes = target.vector["f32"] / 2 / clocks
    assert lanes == near(round(lanes / 64) * 64)


def test_rates_per_multiprocessor_and_clock_of_one_generation_agree() -> None:
    """Tensor cores of Ada: the L40S, the L4 and the GeForce differ in their count and clock."""

    def integer_rate(name: str) -> float:
        target = load_target(name)
        return target.matrix["i8"] / target.processors.count / target.processors.clock_hz

    assert integer_rate("l40s") == near(integer_rate("rtx_4090"))
    assert integer_rate("l4") == near(integer_rate("rtx_4090"))


@pytest.mark.parametrize(
    ("name", "f16_tflops", "gb", "gb_per_s", "watt"),
    [
        ("h100", 989.4, 80, 3350, 700),
        ("h200", 989.4, 141, 4800, 700),
        ("a100", 312, 80, 2039, 400),
        ("l40s", 362.05, 48, 864, 350),
        ("v100", 125, 16, 900, 300),
        ("t4", 65, 16, 320, 70),
        ("rtx_4090", 165.2, 24, 1008, 450),
        ("b200", 2250, 180, 8000, 1000),
        ("mi300x", 1307.4, 192, 5300, 750),
    ],
)
def test_headline_figures(name: str, f16_tflops: float, gb: float, gb_per_s: float, watt: float) -> None:
    target = load_target(name)
    assert target.peak_flops_per_s("f16") == f16_tflops * 1e12
    assert target.main_memory.capacity_bytes == gb * 1e9
    assert target.main_memory.bandwidth_bytes_per_s == gb_per_s * 1e9
    assert target.power.peak_w == watt


def test_h200_is_h100_with_other_memory() -> None:
    h100, h200 = load_target("h100"), load_target("h200")
    changed = {path for path, figure in h200.sources().items() if h100.sources()[path] != figure}
    assert changed == {"memory.hbm.capacity_bytes", "memory.hbm.bandwidth_bytes_per_s"}
    assert "H200" in h200.main_memory.capacity_bytes.source
    assert isinstance(h200, Target)
