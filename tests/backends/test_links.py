"""What a link joins, and what a target drops of the one it extends."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ircost.backends import Link, Target, TargetError, load_target
from ircost.backends.target_files import parse_target

HEAD = "name: mine\nextends: h100\nsource: me\n"


def refusal(action: Callable[[], object]) -> TargetError:
    with pytest.raises(TargetError) as caught:
        action()
    return caught.value


def links(body: str) -> dict[str, Link]:
    return {link.name: link for link in parse_target(f"{HEAD}links:\n  {body}\n").links}


@pytest.mark.parametrize(
    ("name", "topology"),
    [
        ("pcie", "bus"),
        ("pcie_5", "bus"),
        ("network", "network"),
        ("ib", "network"),
        ("infiniband", "network"),
        ("roce", "network"),
        ("efa", "network"),
        ("slingshot_11", "network"),
        ("ethernet", "network"),
        ("nvlink", "switch"),
        ("my_fabric", "switch"),
    ],
)
def test_topology_goes_by_the_name_where_the_file_does_not_say(name: str, topology: str) -> None:
    link = Link.model_validate({"name": name, "bandwidth": load_target("h100").links[0].bandwidth_bytes_per_s})
    assert (link.topology, link.devices, link.reduces) == (topology, None, False)


def test_what_the_file_says_counts() -> None:
    link = links("pcie: {bandwidth: 9 GB/s, topology: mesh, devices: 16, reduces: true}")["pcie"]
    assert (link.topology, link.devices, link.reduces) == ("mesh", 16, True)


def test_links_stand_fastest_first_in_whatever_order_they_are_written() -> None:
    assert list(links("ib: {bandwidth: 200 GB/s}")) == ["nvlink", "ib", "pcie", "network"]


def test_link_bus_and_network() -> None:
    def names(target: Target) -> list[str]:
        return [link.name if link else "-" for link in (target.link, target.bus, target.network)]

    assert names(load_target("h100")) == ["nvlink", "pcie", "network"]
    assert names(load_target("l40s")) == ["pcie", "pcie", "-"]
    assert names(load_target("gh200")) == ["nvlink", "nvlink_c2c", "network"]
    assert names(load_target("jetson_nano")) == ["-", "-", "network"]
    assert names(load_target("raspberry_pi_3")) == ["-", "-", "-"]


@pytest.mark.parametrize(
    ("body", "message", "help"),
    [
        ("topology: ring", "links.nvlink.topology: input should be 'switch', 'mesh'", ""),
        ("devices: many", "links.nvlink.devices: not a whole number", "such as 8"),
        ("devices: 8.5", "links.nvlink.devices: not a whole number", "such as 8"),
        ("devices: {value: 8}", "links.nvlink.devices: not a whole number", "such as 8"),
        ("devices: 1", "links.nvlink.devices: input should be greater than or equal to 2", ""),
        ("reduces: perhaps", "links.nvlink.reduces: neither true nor false", ""),
        ("topologie: mesh", "links.nvlink.topologie: no such key", "did you mean topology?"),
    ],
)
def test_mistakes(body: str, message: str, help: str) -> None:
    error = refusal(lambda: links(f"nvlink: {{{body}}}"))
    assert message in error.message
    assert help in (error.help or "")


def test_none_drops_what_is_inherited() -> None:
    target = parse_target(HEAD + "matrix: {f64: none}\nspecial: none\nlinks: {nvlink: none}\nmemory: {l2: none}\n")
    assert [link.name for link in target.links] == ["pcie", "network"]
    assert [level.name for level in target.memory] == ["hbm", "shared", "registers"]
    assert "f64" not in target.matrix
    assert "f64" in target.vector
    assert target.special_per_s is None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("links: {nvlnk: none}", "links.nvlnk: here goes a section"),
        ("matrix: {f4e2m1: none}", "matrix.f4e2m1: 'none' is not a number with a unit"),
        ("power: {peak: none}", "power.peak: missing"),
        ("memory: none", "memory: missing"),
    ],
)
def test_none_where_there_is_nothing_to_drop_or_all_is_needed(body: str, message: str) -> None:
    assert message in refusal(lambda: parse_target(HEAD + body)).message
