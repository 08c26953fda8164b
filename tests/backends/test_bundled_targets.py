"""What the bundled files say hangs together: in itself, with each other, and with how chips are built."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ircost.backends import Target, load_target, target_names
from ircost.backends.target_files import ALIASES, BUNDLED

NAMES = sorted(path.stem for path in BUNDLED.glob("*.yaml"))
REQUIRED = {
    *("h100_sxm", "h100_pcie", "h100_nvl", "h200_sxm", "h200_nvl", "h800_sxm", "h20_sxm", "gh200", "gh200_96gb"),
    *("b200_sxm", "gb200", "b300_sxm", "gb300", "rtx_5090", "rtx_pro_6000", "rtx_pro_6000_server"),
    *("rtx_5080", "rtx_5070_ti", "rtx_5070"),
    *("a100_sxm_80gb", "a100_sxm_40gb", "a100_pcie_80gb", "a100_pcie_40gb", "a800_sxm", "a30"),
    *("a10", "a10g", "a40", "rtx_a6000", "rtx_a5000", "rtx_3090", "l4", "l40", "l40s", "rtx_4090"),
    *("v100_sxm2", "v100_sxm2_32gb", "v100_pcie", "t4", "rtx_2080", "rtx_2080_ti", "titan_rtx"),
    *("p100_pcie", "p100_sxm2", "p4", "p40", "gtx_1080_ti", "titan_x_pascal", "titan_xp", "titan_x_maxwell", "m40"),
    *("rtx_3060", "rtx_3070", "rtx_3080", "rtx_3080_ti", "rtx_4060", "rtx_4070", "rtx_4080", "gtx_1660_ti", "apple_m1"),
    *("jetson_nano", "jetson_tx2", "jetson_xavier_nx", "jetson_agx_xavier", "jetson_agx_orin", "jetson_agx_orin_32gb"),
    *("jetson_orin_nano", "jetson_orin_nano_super", "jetson_orin_nx", "jetson_orin_nx_8gb"),
    *("raspberry_pi_4", "raspberry_pi_5"),
    *("mi50", "mi100", "mi210", "mi250", "mi250x", "mi300x", "mi325x", "mi355x", "rx_7900_xtx", "vega_fe"),
    *("tpu_v3", "tpu_v4", "tpu_v5e", "tpu_v5p", "tpu_v6e", "gaudi2", "gaudi3", "trainium2"),
    *("apple_m1_pro", "apple_m1_max", "apple_m1_ultra", "apple_m2", "apple_m2_pro", "apple_m2_max", "apple_m2_ultra"),
    *("apple_m3", "apple_m3_pro", "apple_m3_max", "apple_m3_ultra", "apple_m4", "apple_m4_pro", "apple_m4_max"),
    *("gtx_1080", "gtx_1070", "gtx_1060_6gb", "gtx_1650", "gtx_1650_super", "titan_v", "v100s_pcie", "a2", "a16"),
    *("rtx_2060", "rtx_2070", "quadro_rtx_6000", "quadro_rtx_8000", "rtx_3050", "rtx_3060_ti", "rtx_4060_ti_16gb"),
    *("rtx_4070_ti", "rtx_4080_super", "rtx_4500_ada", "rtx_5000_ada", "rtx_5060", "rtx_5060_ti", "rtx_pro_5000_48gb"),
    *("mi300a", "rx_6800_xt", "rx_6900_xt", "rx_7800_xt", "rx_7900_xt", "rx_9070_xt", "w7900", "ryzen_ai_max_395"),
    *(
        "jetson_thor",
        "max_1550",
        "k40",
        "k80",
        "arc_a770",
        "arc_b580",
        "trainium1",
        "trainium3",
        "inferentia2",
        "tpu_v7",
    ),
    *("epyc_7742", "epyc_7763", "epyc_9554", "xeon_8280", "graviton3", "graviton4", "ryzen_9_7950x"),
    *("arc_pro_b60", "ascend_910b", "cpu", "xeon_8480", "epyc_9654", "knl_7250", "raspberry_pi_3", "iphone_6"),
}
# As tables of measurements call them.
MEASURED = (
    *("h100_sxm", "h100", "h100_nvl", "h200_sxm", "a100_sxm", "a100", "a100_sxm_40gb", "a100_pcie_40gb"),
    *("a100_pcie_80gb", "l40s", "t4", "v100_pcie", "v100_sxm2", "p100_pcie", "p4", "gtx_1080_ti"),
    *("titan_x_pascal", "titan_x_maxwell", "m40", "mi100", "vega_fe", "knl_7250", "raspberry_pi_3", "iphone_6"),
)
# As people type them.
TYPED = (
    *("gb200_nvl72", "gb200_sxm", "b300", "b60", "a6000", "a5000", "rtx_pro_6000_workstation", "mi250x_gcd"),
    *("agx_orin", "orin_nx", "orin_nano", "xavier_nx", "rpi_5", "m1", "geforce_rtx_3060"),
    *("rtx_3080ti", "RTX 3080Ti", "rtx2080ti", "GeForce RTX4090", "rtx_6000_pro_server", "jetson_xavier", "h100-sxm"),
    *("M3Max", "m4_pro", "strix_halo", "ironwood", "inf2", "trn1", "gtx_1060", "rome", "milan"),
    *("h20", "h800", "a800", "a100_pcie", "p100", "v100", "trn2", "gaudi_3", "910b", "xeon", "epyc"),
)
# Their makers publish no vector peak, or less: of TPUs no peak power, of the Ascend hardly anything.
UNPUBLISHED = {
    *("tpu_v3", "tpu_v4", "tpu_v5e", "tpu_v5p", "tpu_v6e", "trainium2", "ascend_910b"),
    *("raspberry_pi_3", "iphone_6", "epyc_7003_core", "epyc_7003_2cores"),
    *("tpu_v7", "trainium1", "trainium3", "inferentia2", "graviton3", "graviton4"),
    *(name for name in NAMES if name.startswith("apple_")),
}
# Maxwell and the small Pascal chips have twice the special units, Blackwell Ultra runs them at twice the rate.
TWICE_THE_SPECIAL_RATE = {
    *("titan_x_maxwell", "m40", "jetson_nano", "gtx_1080_ti", "titan_x_pascal", "titan_xp", "p4", "p40", "jetson_tx2"),
    *("gtx_1080", "gtx_1070", "gtx_1060_6gb", "k40", "k80"),
    *("b300_sxm", "gb300"),
}
SMALL = {name for name in NAMES if load_target(name).kind == "microcontroller"}
NVIDIA = [name for name in NAMES if load_target(name).vendor == "NVIDIA"]


def near(value: float, rel: float = 0.01) -> object:
    return pytest.approx(value, rel=rel)


def test_the_promised_machines_are_there() -> None:
    assert set(NAMES) >= REQUIRED
    assert set(target_names()) >= set(NAMES)


@pytest.mark.parametrize("name", [*MEASURED, *TYPED])
def test_names_in_use_are_known(name: str) -> None:
    assert load_target(name).name in REQUIRED


def test_alias_table_agrees_with_the_files() -> None:
    listed = {alias: name for name in NAMES for alias in load_target(name).aliases}
    assert listed == ALIASES
    assert not ALIASES.keys() & set(NAMES)
    assert {alias: load_target(alias).name for alias in ALIASES} == ALIASES


@pytest.mark.parametrize("name", NAMES)
def test_file_is_named_after_its_target(name: str) -> None:
    target = load_target(name)
    assert target.name == name
    assert target.description
    assert target.vendor
    assert target.architecture


@pytest.mark.parametrize("name", NAMES)
def test_file_names_its_schema(name: str) -> None:
    first = (BUNDLED / f"{name}.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=../target.schema.json"
    assert (BUNDLED / first.rpartition("=")[2]).resolve() == Path(BUNDLED.parent / "target.schema.json").resolve()


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_has_a_source(name: str) -> None:
    target = load_target(name)
    figures = target.sources()
    assert len(figures) >= (20 if target.kind == "gpu" else 12)
    for path, figure in figures.items():
        assert len(figure.source) >= 10, path


@pytest.mark.parametrize("name", sorted({*NAMES} - UNPUBLISHED - SMALL))
def test_what_a_data_sheet_gives_is_no_guess(name: str) -> None:
    """Vector f32, main memory's bandwidth and peak power are published for every machine but a few."""
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
    assert all(bandwidth < target.main_memory.bandwidth_bytes_per_s for bandwidth in bandwidths)


@pytest.mark.parametrize("name", NAMES)
def test_links_join_what_their_kind_can(name: str) -> None:
    target = load_target(name)
    for link in target.links:
        assert link.devices == 2 or link.topology != "pair"
        assert link.devices is not None or link.topology in ("bus", "network")
        assert link.topology == "switch" or not link.reduces
        assert (link.topology == "bus") == (link.name in ("pcie", "nvlink_c2c"))
    assert len([link for link in target.links if link.topology == "network"]) <= 1


@pytest.mark.parametrize(
    ("name", "topology", "devices", "reduces", "network_gb_per_s"),
    [
        ("h100_sxm", "switch", 8, True, 50),
        ("h100_pcie", "pair", 2, False, None),
        ("h100_nvl", "pair", 2, False, None),
        ("h200_nvl", "mesh", 4, False, None),
        ("gh200", "switch", 256, True, 50),
        ("a100_sxm_80gb", "switch", 8, False, 25),
        ("a100_pcie_40gb", "pair", 2, False, None),
        ("v100_sxm2", "mesh", 8, False, None),
        ("v100_pcie", "bus", None, False, None),
        ("b200_sxm", "switch", 8, True, 50),
        ("gb200", "switch", 72, True, 50),
        ("b300_sxm", "switch", 8, True, 100),
        ("gb300", "switch", 72, True, 100),
        ("mi300x", "mesh", 8, False, 50),
        ("mi250x", "pair", 2, False, 12.5),
        ("rtx_3090", "pair", 2, False, None),
        ("a10", "bus", None, False, None),
        ("tpu_v5e", "torus", 256, False, 3.125),
        ("gaudi3", "mesh", 8, False, 75),
        ("trainium2", "torus", 64, False, 25),
    ],
)
def test_fastest_link_and_network(
    name: str, topology: str, devices: int | None, reduces: bool, network_gb_per_s: float | None
) -> None:
    target = load_target(name)
    assert target.link is not None
    assert (target.link.topology, target.link.devices, target.link.reduces) == (topology, devices, reduces)
    network = target.network and target.network.bandwidth_bytes_per_s / 1e9
    assert network == network_gb_per_s


@pytest.mark.parametrize("name", NAMES)
def test_narrower_is_never_slower(name: str) -> None:
    target = load_target(name)
    for peaks in (target.matrix, target.vector):
        floats = [peaks[dtype] for dtype in ("f64", "f32", "tf32", "f16", "f8e4m3", "f4e2m1") if dtype in peaks]
        assert floats == sorted(floats)


@pytest.mark.parametrize("name", sorted({*NAMES} - SMALL))
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
    """16 or 32 special functions and 128 B of shared memory per clock and SM; f32 lanes a multiple of 64."""
    target = load_target(name)
    clocks = target.processors.count * target.processors.clock_hz
    shared = {level.name: level for level in target.memory}["shared"]
    assert target.special_per_s == near((32 if name in TWICE_THE_SPECIAL_RATE else 16) * clocks)
    assert shared.bandwidth_bytes_per_s == near(128 * clocks)
    lanes = target.vector["f32"] / 2 / clocks
    assert lanes == near(round(lanes / 64) * 64, 0.015)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *(("l40s", "rtx_4090"), ("l4", "rtx_4090"), ("a30", "a100"), ("a40", "a10"), ("rtx_a6000", "rtx_3090")),
        *(("rtx_3060", "rtx_3090"), ("rtx_3070", "rtx_3090"), ("rtx_3080", "rtx_3090")),
        *(("rtx_4060", "rtx_4090"), ("rtx_4070", "rtx_4090"), ("rtx_4080", "rtx_4090")),
        *(("jetson_xavier_nx", "jetson_agx_xavier"), ("jetson_agx_orin", "a100"), ("jetson_agx_orin_32gb", "a100")),
        *(("jetson_orin_nano", "a100"), ("jetson_orin_nano_super", "a100"), ("jetson_orin_nx", "a100")),
        *(("rtx_5080", "rtx_5090"), ("rtx_5070_ti", "rtx_5090"), ("rtx_5070", "rtx_5090")),
        *(
            ("rtx_pro_6000", "rtx_5090"),
            ("rtx_pro_6000_server", "rtx_5090"),
            ("rtx_pro_6000_max_q", "rtx_5090"),
            ("titan_rtx", "rtx_2080"),
        ),
        *(("rtx_2080_ti", "rtx_2080"), ("rtx_2060", "rtx_2080"), ("quadro_rtx_8000", "titan_rtx"), ("a2", "a10")),
        *(("rtx_3050", "rtx_3090"), ("rtx_4080_super", "rtx_4090"), ("rtx_5000_ada", "rtx_6000_ada")),
        *(("rtx_5060", "rtx_5090"), ("rtx_5060_ti", "rtx_5090"), ("rtx_pro_5000_48gb", "rtx_5090")),
    ],
)
def test_rates_per_multiprocessor_and_clock_of_one_generation_agree(one: str, other: str) -> None:
    """Tensor cores of one generation: the cards differ in their count and clock. The GeForce do too, for integers."""

    def integer_rate(name: str) -> float:
        target = load_target(name)
        return target.matrix["i8"] / target.processors.count / target.processors.clock_hz

    assert integer_rate(one) == near(integer_rate(other))


def test_mi100_tells_matrix_from_vector() -> None:
    mi100 = load_target("mi100")
    assert mi100.peak_flops_per_s("f32", "matrix") == 46.1e12
    assert mi100.peak_flops_per_s("f32", "vector") == 23.1e12


@pytest.mark.parametrize(
    ("name", "f16_tflops", "sold_gb", "gb_per_s", "watt"),
    [
        ("h100", 989.4, 80, 3350, 700),
        ("h200", 989.4, 141, 4800, 700),
        ("a100", 312, 80, 2039, 400),
        ("l40s", 362.05, 48, 864, 350),
        ("v100", 125, 16, 900, 300),
        ("t4", 65, 16, 320, 70),
        ("rtx_4090", 165.2, 24, 1008, 450),
        ("b200", 2250, 180, 7670, 1000),
        ("mi300x", 1307.4, 192, 5300, 750),
        ("h100_pcie", 756, 80, 2000, 350),
        ("h200_nvl", 835.5, 141, 4800, 600),
        ("gb200", 2500, 186, 8000, 1200),
        ("gb300", 2500, 279, 8000, 1400),
        ("rtx_5090", 209.5, 32, 1792, 575),
        ("rtx_5080", 112.6, 16, 960, 360),
        ("rtx_5070_ti", 87.88, 16, 896, 300),
        ("rtx_5070", 61.73, 12, 672, 250),
        ("a40", 149.7, 48, 696, 300),
        ("a30", 165, 24, 933, 165),
        ("mi250x", 191.5, 64, 1638, 280),
        ("mi355x", 2516.6, 288, 8000, 1400),
        ("mi100", 184.6, 32, 1228.8, 300),
        ("rtx_3080", 59.5, 10, 760, 320),
        ("rtx_4080", 97.5, 16, 716.8, 320),
        ("rtx_4060", 30.2, 8, 272, 115),
        ("jetson_agx_orin", 42.6, 64, 204.8, 60),
        ("jetson_orin_nano", 10.2, 8, 68, 15),
        ("jetson_xavier_nx", 6.76, 8, 59.7, 20),
        ("rtx_5060_ti", 47.41, 16, 448, 180),
        ("rtx_5000_ada", 261, 32, 576, 250),
        ("rtx_pro_6000_max_q", 439, 96, 1792, 300),
        ("rtx_2060", 25.8, 6, 336, 160),
        ("v100s_pcie", 130, 32, 1134, 250),
        ("mi300a", 980.6, 128, 5300, 760),
        ("w7900", 122.6, 48, 864, 295),
        ("rx_9070_xt", 194.6, 16, 640, 304),
        ("inferentia2", 190, 32, 820, 210),
        ("tpu_v7", 2307, 192, 7380, 960),
    ],
)
def test_headline_figures(name: str, f16_tflops: float, sold_gb: float, gb_per_s: float, watt: float) -> None:
    target = load_target(name)
    assert target.peak_flops_per_s("f16") == f16_tflops * 1e12
    # Sold by units of 2^30 bytes; drivers keep some of it, ECC on GDDR a sixteenth.
    assert 0.93 * sold_gb * 2**30 < target.main_memory.capacity_bytes <= sold_gb * 2**30
    assert target.main_memory.bandwidth_bytes_per_s == gb_per_s * 1e9
    assert target.power.peak_w == watt


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [
        *(("apple_m1", "apple_m1_pro"), ("apple_m1_pro", "apple_m1_max"), ("apple_m1_max", "apple_m1_ultra")),
        *(("apple_m1", "apple_m2"), ("apple_m2_max", "apple_m2_ultra"), ("apple_m3_max", "apple_m3_ultra")),
        *(("apple_m4", "apple_m4_pro"), ("apple_m4_pro", "apple_m4_max"), ("apple_m3_max", "apple_m4_max")),
        *(("gtx_1070", "gtx_1080"), ("rtx_2060", "rtx_2070"), ("rtx_5060", "rtx_5060_ti"), ("rtx_4070", "rtx_4070_ti")),
        *(("rx_7800_xt", "rx_7900_xt"), ("rx_7900_xt", "rx_7900_xtx")),
        *(("epyc_7742", "epyc_7763"), ("epyc_9554", "epyc_9654"), ("graviton3", "graviton4")),
    ],
)
def test_a_larger_sibling_is_slower_at_nothing(smaller: str, larger: str) -> None:
    one, other = load_target(smaller), load_target(larger)
    for peaks, more in ((one.matrix, other.matrix), (one.vector, other.vector)):
        assert all(more.get(dtype, 0) >= peak for dtype, peak in peaks.items())
    assert other.main_memory.bandwidth_bytes_per_s >= one.main_memory.bandwidth_bytes_per_s


def test_cards_without_a_bridge_inherit_none() -> None:
    bridged = {"rtx_2080", "rtx_2080_ti", "titan_rtx", "rtx_3090", "rtx_3090_ti"}
    cards = [name for name in NAMES if re.match("(gtx|rtx_[2-5]0|titan)", name)]
    assert {name for name in cards if any(link.name == "nvlink" for link in load_target(name).links)} == bridged


def test_names_differ_in_more_than_where_their_words_are_parted() -> None:
    machines = {name: name for name in NAMES} | ALIASES
    runs = {(name.replace("_", ""), machine) for name, machine in machines.items()}
    assert len(runs) == len(dict(runs))


@pytest.mark.parametrize(
    ("name", "told_bytes"),
    [
        ("gaudi2", 98304 * 2**20),
        ("gaudi3", 128 * 2**30),
        ("rx_7900_xtx", 25_753_026_560),
        ("mi100", 34_342_961_152),
        ("p100_sxm2", 16280 * 2**20),
        ("p40", 23040 * 2**20),
        ("rtx_2080_ti", 11264 * 2**20),
        ("titan_xp", 12288 * 2**20),
        ("arc_pro_b60", 24576 * 2**20),
        ("jetson_agx_orin", 62827 * 2**20),
        ("apple_m1", 10922 * 2**20),
        ("apple_m2_max", 73728 * 2**20),
        ("tpu_v5e", 15.75 * 2**30),
        ("tpu_v6e", 31.25 * 2**30),
    ],
)
def test_memory_is_what_drivers_tell(name: str, told_bytes: float) -> None:
    """Of chips in units of 2^30 bytes: sequences that ran on a Gaudi 2 did not fit in 96e9."""
    assert load_target(name).main_memory.capacity_bytes == told_bytes


def test_h200_is_h100_with_other_memory() -> None:
    h100, h200 = load_target("h100"), load_target("h200")
    changed = {path for path, figure in h200.sources().items() if h100.sources()[path] != figure}
    assert changed == {"memory.hbm.capacity_bytes", "memory.hbm.bandwidth_bytes_per_s"}
    assert "H200" in h200.main_memory.bandwidth_bytes_per_s.source
    assert isinstance(h200, Target)


@pytest.mark.parametrize("name", ["tpu_v3", "tpu_v4", "tpu_v5e", "tpu_v5p", "tpu_v6e"])
def test_tpus_multiply_wider_floats_where_they_multiply_bf16(name: str) -> None:
    """XLA rounds what it multiplies to bf16; with f32 in full it would take six passes, still above the lanes' rate."""
    target = load_target(name)
    assert target.peak_flops_per_s("f32") == target.peak_flops_per_s("f16") == target.peak_flops_per_s("bf16")
    assert target.peak_flops_per_s("bf16") / 6 > target.vector["f32"]


@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_microcontroller_has_two_memories_and_rates_of_its_clock(name: str) -> None:
    target = load_target(name)
    assert target.flash is not None
    assert 128 * 2**10 <= target.main_memory.capacity_bytes < target.flash.capacity_bytes <= 8 * 2**20
    assert target.flash.bandwidth_bytes_per_s <= target.main_memory.bandwidth_bytes_per_s
    each_clock = target.vector["i8"] / (target.processors.clock_hz * target.processors.count)
    assert each_clock == near({"cortex_m0plus": 1, "xtensa_lx7": 32}.get(target.architecture, 4), 1e-9)
    published = (target.vector["i8"], target.main_memory.capacity_bytes, target.flash.capacity_bytes)
    assert not any(figure.guess for figure in published)


def test_a_chip_is_measured_under_one_name_and_is_of_one_architecture() -> None:
    for name in NAMES:
        target = load_target(name)
        chip = load_target(target.measured_as)
        assert chip.measured_as == chip.name, name
        assert (chip.architecture, chip.kind) == (target.architecture, target.kind), name
        assert float(chip.processors.count) == float(target.processors.count), name
