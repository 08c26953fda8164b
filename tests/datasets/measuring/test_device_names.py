"""Names that drivers tell belong to targets that are there."""

from __future__ import annotations

import re

import pytest

from ircost.backends import load_target
from ircost.datasets.measuring.cases import SPELLINGS
from ircost.datasets.measuring.cpu import available_bytes, processor_name
from ircost.datasets.measuring.device_names import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_the_target_is_there_and_of_that_name(name: str) -> None:
    target = load_target(TARGETS[name])
    assert (target.name, target.kind) == (TARGETS[name], "gpu")
    assert load_target(name) == target
    told = re.search(r"(\d+)GB", name.replace("GH200 480GB", ""))  # of the GH200 it is the CPU's memory
    if told is not None:
        assert float(target.main_memory.capacity_bytes) == pytest.approx(1e9 * int(told[1]), rel=0.1)


def test_formats_are_spelt_as_cost_models_do() -> None:
    from ircost.cost_models.gpu.formats import ALIASES

    assert SPELLINGS.items() <= ALIASES.items()


def test_what_the_system_says_of_a_cpu(tmp_path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Example CPU @ 2.60GHz\nmodel name\t: another\n")
    (tmp_path / "meminfo").write_text("MemTotal: 2000 kB\nMemAvailable:    1000 kB\n")
    assert processor_name(tmp_path / "cpuinfo") == "Example CPU @ 2.60GHz"
    assert processor_name(tmp_path / "nowhere")
    assert available_bytes(tmp_path / "meminfo") == 1_024_000
    assert available_bytes(tmp_path / "nowhere") > 0
