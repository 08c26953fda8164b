"""Finds targets: bundled ones, a user's files, third parties' entry points."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NoReturn

from ircost.backends.errors import TargetError
from ircost.backends.runtime import Runtime
from ircost.backends.target import Target
from ircost.backends.target_document import build_target, merged, with_sources
from ircost.backends.target_yaml import read_file, read_text
from ircost.ir.errors import did_you_mean
from ircost.ir.registry import Registry
from ircost.ir.yaml_document import Entry

BUNDLED = Path(__file__).parent / "targets"

# Each bundled file lists its aliases too (a test compares), but to find one no file should have to be read.
ALIASES: dict[str, str] = {
    "7950x": "ryzen_9_7950x",
    "910b": "ascend_910b",
    "a100": "a100_sxm_80gb",
    "a100_40gb": "a100_sxm_40gb",
    "a100_80gb": "a100_sxm_80gb",
    "a100_pcie": "a100_pcie_80gb",
    "a100_sxm": "a100_sxm_80gb",
    "a4000": "rtx_a4000",
    "a5000": "rtx_a5000",
    "a6000": "rtx_a6000",
    "a770": "arc_a770",
    "a800": "a800_sxm",
    "agx_orin": "jetson_agx_orin",
    "agx_thor": "jetson_thor",
    "agx_xavier": "jetson_agx_xavier",
    "ascend910b": "ascend_910b",
    "b200": "b200_sxm",
    "b300": "b300_sxm",
    "b580": "arc_b580",
    "b60": "arc_pro_b60",
    "b_u585i_iot02a": "stm32u585",
    "cascade_lake": "xeon_8280",
    "cy8cproto_062_4343w": "psoc62",
    "disco_f746ng": "stm32f746",
    "ek_ra6m4": "ra6m4",
    "epyc": "epyc_9654",
    "gaudi_2": "gaudi2",
    "gaudi_3": "gaudi3",
    "gb10": "dgx_spark",
    "gb200_nvl72": "gb200",
    "gb200_sxm": "gb200",
    "gb300_nvl72": "gb300",
    "gb300_sxm": "gb300",
    "geforce_gtx_1060": "gtx_1060_6gb",
    "geforce_gtx_1060_6gb": "gtx_1060_6gb",
    "geforce_gtx_1070": "gtx_1070",
    "geforce_gtx_1080": "gtx_1080",
    "geforce_gtx_1650": "gtx_1650",
    "geforce_gtx_1650_super": "gtx_1650_super",
    "geforce_gtx_1660_ti": "gtx_1660_ti",
    "geforce_rtx_2060": "rtx_2060",
    "geforce_rtx_2070": "rtx_2070",
    "geforce_rtx_2080": "rtx_2080",
    "geforce_rtx_2080_ti": "rtx_2080_ti",
    "geforce_rtx_3050": "rtx_3050",
    "geforce_rtx_3060": "rtx_3060",
    "geforce_rtx_3060_ti": "rtx_3060_ti",
    "geforce_rtx_3070": "rtx_3070",
    "geforce_rtx_3070_ti": "rtx_3070_ti",
    "geforce_rtx_3080": "rtx_3080",
    "geforce_rtx_3080_ti": "rtx_3080_ti",
    "geforce_rtx_3090": "rtx_3090",
    "geforce_rtx_3090_ti": "rtx_3090_ti",
    "geforce_rtx_4060": "rtx_4060",
    "geforce_rtx_4060_ti": "rtx_4060_ti",
    "geforce_rtx_4060_ti_16gb": "rtx_4060_ti_16gb",
    "geforce_rtx_4070": "rtx_4070",
    "geforce_rtx_4070_super": "rtx_4070_super",
    "geforce_rtx_4070_ti": "rtx_4070_ti",
    "geforce_rtx_4070_ti_super": "rtx_4070_ti_super",
    "geforce_rtx_4080": "rtx_4080",
    "geforce_rtx_4080_super": "rtx_4080_super",
    "geforce_rtx_4090": "rtx_4090",
    "geforce_rtx_5060": "rtx_5060",
    "geforce_rtx_5060_ti": "rtx_5060_ti",
    "geforce_rtx_5060_ti_8gb": "rtx_5060_ti_8gb",
    "geforce_rtx_5070": "rtx_5070",
    "geforce_rtx_5070_ti": "rtx_5070_ti",
    "geforce_rtx_5080": "rtx_5080",
    "geforce_rtx_5090": "rtx_5090",
    "genoa": "epyc_9654",
    "gh200_144gb": "gh200",
    "gh200_480gb": "gh200_96gb",
    "gh200_hbm3": "gh200_96gb",
    "gh200_hbm3e": "gh200",
    "gtx_1060": "gtx_1060_6gb",
    "h100": "h100_sxm",
    "h20": "h20_sxm",
    "h200": "h200_sxm",
    "h800": "h800_sxm",
    "ice_lake": "cpu",
    "inf2": "inferentia2",
    "ironwood": "tpu_v7",
    "jetson_agx_orin_64gb": "jetson_agx_orin",
    "jetson_agx_thor": "jetson_thor",
    "jetson_orin_nano_8gb": "jetson_orin_nano",
    "jetson_orin_nx_16gb": "jetson_orin_nx",
    "jetson_t5000": "jetson_thor",
    "jetson_xavier": "jetson_agx_xavier",
    "k40m": "k40",
    "m1": "apple_m1",
    "m1_max": "apple_m1_max",
    "m1_pro": "apple_m1_pro",
    "m1_ultra": "apple_m1_ultra",
    "m2": "apple_m2",
    "m2_max": "apple_m2_max",
    "m2_pro": "apple_m2_pro",
    "m2_ultra": "apple_m2_ultra",
    "m3": "apple_m3",
    "m3_max": "apple_m3_max",
    "m3_pro": "apple_m3_pro",
    "m3_ultra": "apple_m3_ultra",
    "m4": "apple_m4",
    "m4_max": "apple_m4_max",
    "m4_pro": "apple_m4_pro",
    "mi250_gcd": "mi250",
    "mi250x_gcd": "mi250x",
    "mi50_16gb": "mi50",
    "milan": "epyc_7763",
    "milan_2cores": "epyc_7003_2cores",
    "milan_core": "epyc_7003_core",
    "nrf5340_dk": "nrf5340",
    "nucleo_g0b1re": "stm32g0b1",
    "nucleo_h7a3zi": "stm32h7a3",
    "nucleo_h7a3zi_q": "stm32h7a3",
    "nucleo_l4r5": "stm32l4r5",
    "nucleo_l4r5zi": "stm32l4r5",
    "nucleo_u575zi": "stm32u575",
    "nucleo_u575zi_q": "stm32u575",
    "numaker_m467hj": "m467",
    "orin_nano": "jetson_orin_nano",
    "orin_nano_super": "jetson_orin_nano_super",
    "orin_nx": "jetson_orin_nx",
    "p100": "p100_pcie",
    "p100_sxm": "p100_sxm2",
    "ponte_vecchio": "max_1550",
    "pvc": "max_1550",
    "radeon_8060s": "ryzen_ai_max_395",
    "radeon_pro_w7900": "w7900",
    "radeon_rx_6800_xt": "rx_6800_xt",
    "radeon_rx_6900_xt": "rx_6900_xt",
    "radeon_rx_7800_xt": "rx_7800_xt",
    "radeon_rx_7900_xt": "rx_7900_xt",
    "radeon_rx_7900_xtx": "rx_7900_xtx",
    "radeon_rx_9070_xt": "rx_9070_xt",
    "raspberry_pi_4b": "raspberry_pi_4",
    "raspberry_pi_pico": "rp2040",
    "rome": "epyc_7742",
    "rpi_4": "raspberry_pi_4",
    "rpi_5": "raspberry_pi_5",
    "rtx_4060_ti_8gb": "rtx_4060_ti",
    "rtx_4500_ada_generation": "rtx_4500_ada",
    "rtx_5000_ada_generation": "rtx_5000_ada",
    "rtx_5060_ti_16gb": "rtx_5060_ti",
    "rtx_6000_ada_generation": "rtx_6000_ada",
    "rtx_6000_pro": "rtx_pro_6000",
    "rtx_6000_pro_max_q": "rtx_pro_6000_max_q",
    "rtx_6000_pro_server": "rtx_pro_6000_server",
    "rtx_pro_5000_72gb": "rtx_pro_5000",
    "rtx_pro_5000_blackwell": "rtx_pro_5000",
    "rtx_pro_6000_blackwell": "rtx_pro_6000",
    "rtx_pro_6000_blackwell_max_q": "rtx_pro_6000_max_q",
    "rtx_pro_6000_blackwell_server": "rtx_pro_6000_server",
    "rtx_pro_6000_workstation": "rtx_pro_6000",
    "ryzen_ai_max+_395": "ryzen_ai_max_395",
    "sapphire_rapids": "xeon_8480",
    "stm32f412zg": "stm32f412",
    "stm32f746ng": "stm32f746",
    "stm32h743zi": "stm32h743",
    "stm32l4r5zi": "stm32l4r5",
    "strix_halo": "ryzen_ai_max_395",
    "thor": "jetson_thor",
    "tpu7x": "tpu_v7",
    "tpu_v5_lite": "tpu_v5e",
    "tpu_v7x": "tpu_v7",
    "trainium": "trainium1",
    "trillium": "tpu_v6e",
    "trn1": "trainium1",
    "trn2": "trainium2",
    "trn3": "trainium3",
    "v100": "v100_sxm2",
    "v100_pcie_32gb": "v100_pcie",
    "v100_sxm": "v100_sxm2",
    "v100_sxm2_16gb": "v100_sxm2",
    "xavier_nx": "jetson_xavier_nx",
    "xeon": "xeon_8480",
    "xeon_8358": "cpu",
    "xeon_phi_7250": "knl_7250",
}

# What drivers tell, plainly spelt, where that is no alias: found, but in no listing and no hint.
DRIVER_NAMES: dict[str, str] = {
    "a100_80gb_pcie": "a100_pcie_80gb",
    "a100_sxm4_40gb": "a100_sxm_40gb",
    "a100_sxm4_80gb": "a100_sxm_80gb",
    "a800_80gb_pcie": "a800_pcie",
    "a800_sxm4_80gb": "a800_sxm",
    "b300_sxm6_ac": "b300_sxm",
    "geforce_gtx_1080_ti": "gtx_1080_ti",
    "gh200_144g_hbm3e": "gh200",
    "h100_80gb_hbm3": "h100_sxm",
    "mi300x_oam": "mi300x",
    "p100_pcie_16gb": "p100_pcie",
    "p100_sxm2_16gb": "p100_sxm2",
    "rtx_pro_6000_blackwell_max_q_workstation_edition": "rtx_pro_6000_max_q",
    "rtx_pro_6000_blackwell_server_edition": "rtx_pro_6000_server",
    "rtx_pro_6000_blackwell_workstation_edition": "rtx_pro_6000",
    "titan_x_(pascal)": "titan_x_pascal",
    "xeon_platinum_8280": "xeon_8280",
    "xeon_platinum_8358": "cpu",
    "xeon_platinum_8480+": "xeon_8480",
}

# Words that drivers and sellers put before a machine's name.
VENDORS = frozenset(("nvidia", "amd", "intel", "instinct", "tesla"))

# Third parties: an entry point is the path of a YAML file, or a Target.
TARGETS: Registry[Target | Path | str] = Registry("target", group="ircost.targets", listing="irc targets")


def load_target(
    name_or_path: str | Path, folders: Sequence[str | Path] = (), runtimes: Sequence[Runtime] = ()
) -> Target:
    """The machine of that name, alias or file.

    Args:
        name_or_path: a name or alias, in capitals or not, with dashes, blanks or nothing between its words, or with the
            vendor before it, as drivers have it; or a path that ends in ``.yaml`` or ``.yml``. After it may stand the
            runtime whose kernels run there, as in ``h100+vllm``.
        folders: more folders of target files; they come before the bundled ones.
        runtimes: more runtimes, such as a cost model's own (``cost_models.automatic.own_runtimes``).

    Raises:
        TargetError: there is none, no such runtime or folder, or its file is wrong: what, in which line, and the cure.

    >>> load_target("h100"), load_target("h100+vllm")
    (Target('h100_sxm'), Target('h100_sxm+vllm'))
    """
    if not isinstance(name_or_path, (str, os.PathLike)):
        raise TargetError(
            f"{type(name_or_path).__name__} {name_or_path!r} is not a target",
            help="give a name, a file, or a loaded target",
        )
    _check_folders(folders)
    name = os.fspath(name_or_path)
    machine, runtime = _split(name) if _known(name, folders) is None else (name, None)
    found = _find(machine, folders)
    target = found if isinstance(found, Target) else build_target(_document(read_file(found), found, folders, ()))
    return target if runtime is None else target.with_runtime(runtime, runtimes)


def target_loader(folders: Sequence[str | Path] = (), runtimes: Sequence[Runtime] = ()) -> Callable[[str], Target]:
    """``load_target`` for names of which each is met many times: looked for once, whether there is one or not."""

    @cache
    def found(name: str) -> Target | TargetError:
        try:
            return load_target(name, folders, runtimes)
        except TargetError as error:
            return error

    def load(name: str) -> Target:
        target = found(name)
        if isinstance(target, TargetError):
            raise target.with_traceback(None)
        return target

    return load


def _split(name: str) -> tuple[str, str | None]:
    """Machine and runtime of a name that is no machine's; a plus sign in that of a folder or a file is not between."""
    machine, plus, runtime = name.rpartition("+")
    return (machine, runtime) if plus and os.sep not in runtime and not _is_path(name) else (name, None)


def _is_path(name: str) -> bool:
    return name.endswith((".yaml", ".yml"))


def parse_target(text: str, file: str = "text.yaml", folders: Sequence[str | Path] = ()) -> Target:
    """The machine that a file with this text would describe.

    Raises:
        TargetError: as ``load_target``.

    >>> parse_target('''
    ... name: slow_h100
    ... extends: h100
    ... source: what if
    ... power: {peak: 500 W}
    ... ''').power.peak_w
    500.0
    """
    return build_target(_document(read_text(text, file), Path(file), folders, ()))


def target_names(folders: Sequence[str | Path] = ()) -> list[str]:
    """All names, aliases left out, sorted.

    Raises:
        TargetError: no such folder.

    >>> "h100_sxm" in target_names()
    True
    """
    _check_folders(folders)
    files = {path.stem for folder in (*folders, BUNDLED) for path in Path(folder).glob("*.yaml")}
    return sorted({*files, *TARGETS.names()})


def _check_folders(folders: Sequence[str | Path]) -> None:
    for folder in folders:
        if not Path(folder).is_dir():
            raise TargetError(f"no folder '{folder}'", help="give the folder of your target files")


def _find(name_or_path: str | Path, folders: Sequence[str | Path]) -> Path | Target:
    name = os.fspath(name_or_path)
    known = _known(name, folders)
    if known is not None:
        return known
    return _file(Path(name)) if _is_path(name) or os.sep in name else _unknown(name, folders)


def _known(name: str, folders: Sequence[str | Path]) -> Path | Target | None:
    """What has the name, however it is spelt; None of paths and of what nobody knows."""
    plain = plainly_spelt(name)
    if _is_path(name) or os.sep in plain:
        return None
    return _named(name, folders) or _named(plain, folders) or _named(_parted(plain, folders), folders)


def _named(name: str, folders: Sequence[str | Path]) -> Path | Target | None:
    files = sorted(path for folder in folders for path in Path(folder).glob("*.yaml"))
    own = next((path for path in files if path.stem == name), None)
    # Other people's files are opened, for their aliases, only when no file has the name itself.
    return own or _bundled(name) or _by_alias(name, files) or _third_party(name)


def plainly_spelt(name: str) -> str:
    """A name without what people and drivers write differently: capitals, dashes, blanks, the vendor before it, marks,
    and what processors tell of themselves behind it.

    >>> plainly_spelt("H100-PCIe"), plainly_spelt("NVIDIA GeForce RTX 4090"), plainly_spelt("AMD Instinct MI300X")
    ('h100_pcie', 'geforce_rtx_4090', 'mi300x')
    >>> plainly_spelt("AMD EPYC 9654 96-Core Processor"), plainly_spelt("Intel(R) Xeon(R) Platinum 8358 CPU @ 2.60GHz")
    ('epyc_9654', 'xeon_platinum_8358')
    """
    machine = re.split(r" \d+-core processor| cpu @ | w/ ", re.sub(r"\((r|tm)\)", "", name.strip().lower()))[0]
    words = re.split(r"[\s_-]+", machine)
    while len(words) > 1 and words[0] in VENDORS:
        words = words[1:]
    return "_".join(words)


def _parted(name: str, folders: Sequence[str | Path]) -> str:
    """The known name that differs in where its words are parted: ``rtx_3080ti`` is ``rtx_3080_ti``."""
    known = (*target_names(folders), *sorted({*ALIASES, *DRIVER_NAMES}))
    return next((other for other in known if other.replace("_", "") == name.replace("_", "")), name)


def _file(path: Path) -> Path:
    if path.suffix not in (".yaml", ".yml"):
        raise TargetError(f"'{path}' is not a target's file", help="its name has to end in .yaml")
    if not path.is_file():
        raise TargetError(f"no file '{path}'", help="give a target's name or the path of its YAML file")
    return path


def _by_alias(name: str, files: Sequence[Path]) -> Path | None:
    return next((path for path in files if name in _aliases(read_file(path))), None)


def _aliases(document: Entry) -> list[str]:
    listed = document.section.get("aliases")
    return [entry.value for entry in listed.entries] if listed is not None else []


def _bundled(name: str) -> Path | None:
    path = BUNDLED / f"{ALIASES.get(name) or DRIVER_NAMES.get(name, name)}.yaml"
    return path if path.is_file() else None


def _third_party(name: str) -> Path | Target | None:
    if name not in TARGETS:
        return None
    thing = TARGETS.get(name)
    return thing if isinstance(thing, Target) else Path(thing)


def _unknown(name: str, folders: Sequence[str | Path]) -> NoReturn:
    names = target_names(folders)
    listing = f"irc targets lists {len(names)}"
    raise TargetError(f"no target '{name}'", help=did_you_mean(name, {*names, *ALIASES}, listing))


def _document(own: Entry, path: Path, folders: Sequence[str | Path], above: tuple[Path, ...]) -> Entry:
    """The file's entries over those of what it extends.

    ``above``: the files that led here, to notice a circle.
    """
    if path.resolve() in above:
        circle = " -> ".join(file.name for file in (*above, path))
        help = "let one of them stand alone"
        raise TargetError(f"'extends' is circular: {circle}", at=own.section["extends"].place, help=help)
    named = {"name": Entry(path.stem, own.file, 1), **own.section}
    if "chip" in named:
        named["chip"] = _chip(named, path, folders)
    sourced = with_sources(replace(own, value=named))
    base = _base(own, path, folders)
    if base is None:
        return sourced
    return merged(_document(read_file(base), base, folders, (*above, path.resolve())), sourced)


def _chip(section: dict[str, Entry], path: Path, folders: Sequence[str | Path]) -> Entry:
    """The name of the target that a file has its chip from: itself, or another by name, alias or file."""
    chip = section["chip"]
    if not isinstance(chip.value, str):
        raise TargetError("'chip' takes one target", at=chip.place, help="the file's own name, or that of another")
    if chip.value in ("", section["name"].value):
        return chip
    found = _beside(chip, path, folders)
    document = {} if isinstance(found, Target) else read_file(found).section
    name = found.name if isinstance(found, Target) else document["name"].value if "name" in document else found.stem
    return replace(chip, value=name)


def _base(own: Entry, path: Path, folders: Sequence[str | Path]) -> Path | None:
    extends = own.section.get("extends")
    if extends is None:
        return None
    if not isinstance(extends.value, str):
        raise TargetError("'extends' takes one target", at=extends.place)
    base = _beside(extends, path, folders)
    if isinstance(base, Target):
        raise TargetError(f"'{extends.value}' has no file to extend", at=extends.place)
    return base


def _beside(named: Entry, path: Path, folders: Sequence[str | Path]) -> Path | Target:
    """The target that an entry of a file names: a name, an alias, or a file next to it."""
    beside = path.parent / named.value
    try:
        return _find(beside if _is_path(named.value) else named.value, folders)
    except TargetError as error:
        raise TargetError(error.message, at=named.place, help=error.help) from error
