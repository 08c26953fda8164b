"""Which measured machine stands for one that was not: by size, and of messages by links."""

from __future__ import annotations

import pytest

import ircost
from ircost.backends import load_target
from ircost.cost_models.gpu.machine import machine_of
from ircost.cost_models.learned.kinship import LINKED, MetMachine, may_have_kin, nearest_kin
from ircost.cost_models.learned.storage import bundled_models

MET = ("h100_sxm", "h200_sxm", "h100_nvl", "a100_sxm_80gb", "a100_pcie_80gb", "l40s")


def met(name: str) -> MetMachine:
    return MetMachine.of(machine_of(load_target(name)))


@pytest.mark.parametrize(
    ("machine", "of_products", "of_messages"),
    [
        ("gh200", "h200_sxm", "h100_sxm"),
        ("a100_sxm_40gb", "a100_pcie_80gb", "a100_sxm_80gb"),
        ("h800_sxm", "h100_sxm", None),  # links at less than half the rate
        ("h20_sxm", None, "h200_sxm"),  # three fifths of the processors, all of the links
        ("l40", "l40s", None),  # no links of its own
        ("a100_pcie_40gb", "a100_pcie_80gb", None),  # bridges between two, and a server's bus between the others
        ("b200_sxm", None, None),
    ],
)
def test_kin_share_a_size_or_their_links(machine: str, of_products: str | None, of_messages: str | None) -> None:
    known = {name: met(name) for name in MET}
    found = [nearest_kin(met(machine), known, MET, family) for family in ("gemm", LINKED)]
    assert found[0] == of_products
    if of_messages is not None and found[1] is not None:
        assert known[found[1]].link == met(machine).link == known[of_messages].link
    else:
        assert found[1] == of_messages


def test_what_leaves_a_node_has_no_kin() -> None:
    assert may_have_kin(LINKED, "eager all_reduce")
    assert not may_have_kin(LINKED, "eager all_reduce between nodes")
    assert may_have_kin("gemm", "between nodes")


def test_machines_that_differ_in_links_are_the_same_to_all_but_messages() -> None:
    plain, slower = met("h100_sxm"), met("h800_sxm")
    assert plain.is_same(slower, "gemm") and not plain.is_same(slower, LINKED)


def test_bundled_models_know_links() -> None:
    assert bundled_models()[LINKED].machines["h100_sxm"].link == met("h100_sxm").link
    assert bundled_models()[LINKED].machines["l40s"].link is None
    assert bundled_models()["gemm"].machines["h100_sxm"].link is None


def test_messages_over_the_same_links_take_the_same_time() -> None:
    """An A100 of 40 GB has the links of one of 80 GB, which was measured; half the links are another matter."""
    devices = ["a100_sxm_80gb", "a100_sxm_40gb", "h800_sxm"]
    columns = {"device": devices, "op": ["all_reduce"] * 3, "world_size": [8] * 3, "bytes": [2**24] * 3}
    found = ircost.predict({**columns, "dtype": ["float16"] * 3, "framework": ["nccl"] * 3})
    assert list(found.grade) == ["A", "B", "C"]
    assert found.latency_s[1] == pytest.approx(found.latency_s[0], rel=0.05)
    assert found.low_s[1] < found.low_s[0] and found.high_s[0] < found.high_s[1] < 2 * found.latency_s[1]
