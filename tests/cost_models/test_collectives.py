"""Collectives on a target's links: more bytes never sooner, and never sooner than the wires allow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ircost
from ircost.backends import TargetError, load_target
from ircost.backends.target_files import parse_target
from ircost.cost_models.collectives import asked_collectives, collective_times
from ircost.cost_models.gpu.collective import OPS, collective_demand
from ircost.cost_models.gpu.constants import bundled_constants
from ircost.cost_models.gpu.demand import Demand
from ircost.cost_models.gpu.formats import format_of
from ircost.cost_models.gpu.machine import machine_of
from ircost.cost_models.gpu.table_work import Setting, collective_work, devices_in_a_node
from ircost.cost_models.learned.hybrid import Hybrid
from ircost.cost_models.row_estimates import estimate_rows
from ircost.ir.ops.experts import experts_met

SIZES = [float(round(size)) for size in np.geomspace(1e3, 1e9, 25)]


@given(
    st.sampled_from(OPS[:5]), st.sampled_from([2, 4, 8, 16, 64]), st.sampled_from(["h100_sxm", "a100_sxm_80gb", "l40s"])
)
def test_more_bytes_take_longer_and_links_set_a_limit(kind: str, ranks: int, name: str) -> None:
    found = collective_times(kind, SIZES, ranks, load_target(name))
    assert (np.diff(found.latency_s) >= 0).all()
    assert (np.diff(found.at_best_s) > 0).all()
    assert (found.latency_s >= found.at_best_s * (1 - 1e-9)).all()


def test_a_target_without_links_has_none() -> None:
    with pytest.raises(TargetError, match="no links"):
        collective_times("all_reduce", [1e6], 2, load_target("raspberry_pi_3"))


def test_what_links_do_not_join_goes_through_the_bus() -> None:
    """Four in pairs: steps through the host's bus, which a ring crosses once each way; two of them have their link."""
    pairs, two = (demand_of("h100_nvl", ranks) for ranks in (4, 2))
    assert (pairs.fixed["hop"] == 0).all() and (pairs.fixed["bus_hop"].max(axis=1) > 0).all()
    assert (two.fixed["bus_hop"] == 0).all() and (two.fixed["hop"].max(axis=1) > 0).all()
    alone = demand_of("l40s", 4)
    ring = alone.choices.index("ring, bulk")
    rates = [float(link.bandwidth_bytes_per_s) for name in ("h100_nvl", "l40s") for link in load_target(name).links]
    assert alone.busy["root"][0, ring] * rates[-1] == pytest.approx(2 * pairs.busy["root"][0, ring] * rates[-2])


@pytest.mark.parametrize(
    ("name", "ranks", "link"),
    [
        *[("mi250x", 2, "in_package"), ("mi250x", 8, "infinity_fabric"), ("mi210", 4, "infinity_fabric")],
        *[("mi210", 8, "pcie"), ("h100_nvl", 4, "pcie"), ("h100_nvl", 2, "nvlink"), ("h100_sxm", 8, "nvlink")],
    ],
)
def test_as_many_as_stand_in_a_node_take_the_fastest_link_that_joins_them(name: str, ranks: int, link: str) -> None:
    """Bridges of a few cards, or of two dies, do not end a node: no network is between them."""
    demand = demand_of(name, ranks)
    ring = demand.choices.index("ring, bulk")
    taken = next(own for own in load_target(name).links if own.name == link)
    busy = demand.busy["bus" if link == "pcie" else "link"][0, ring]
    assert busy == pytest.approx(2 * (ranks - 1) / ranks * 1e6 / float(taken.bandwidth_bytes_per_s))
    far_s, near_s = (collective_times("all_reduce", [1e6], n, load_target(name)).latency_s[0] for n in (16, ranks))
    assert ranks <= devices_in_a_node(load_target(name)) and near_s < far_s


@pytest.mark.parametrize(
    ("name", "ranks", "share"),
    [
        *[("mi300x", 2, 1 / 7), ("mi300x", 4, 3 / 7), ("mi300x", 8, 1), ("v100", 2, 1 / 4), ("v100", 4, 3 / 4)],
        *[("tpu_v5e", 4, 2 / 4), ("tpu_v5e", 8, 3 / 4), ("tpu_v5e", 16, 1), ("tpu_v5p", 8, 3 / 6), ("tpu_v5p", 64, 1)],
    ],
)
def test_over_a_mesh_few_devices_reach_a_part_of_the_bandwidth(name: str, ranks: int, share: float) -> None:
    """A wire leads to each neighbour; what is sent to one does not leave by the others."""
    target = load_target(name)
    assert target.link is not None
    rate = float(target.link.bandwidth_bytes_per_s) * share
    found = collective_times("all_gather", [1e9], ranks, target)
    assert found.at_best_s[0] == pytest.approx((ranks - 1) / ranks * 1e9 / rate)
    sent = collective_times("send_recv", [1e9], 2, target)
    assert sent.at_best_s[0] == pytest.approx(1e9 * target.link.wires / float(target.link.bandwidth_bytes_per_s))


def test_four_in_pairs_take_what_was_measured() -> None:
    """Of two H100 NVL pairs in one machine. Source: microsoft/vidur at 7d47513, data/profiling/network."""
    (latency_s,) = collective_times("all_reduce", [240e3], 4, load_target("h100_nvl")).latency_s
    assert latency_s == pytest.approx(30e-6, rel=0.25)


# Ranks -> microseconds of a dispatch in FP8 and of a combine in bf16, 128 tokens of 7,168 elements to 8 experts each,
# on H800s with a card of 400 Gb/s each. Source: deepseek-ai/DeepEP, README, low-latency kernels.
PUBLISHED = {16: (118, 195), 32: (155, 273), 64: (173, 314), 128: (192, 369), 256: (194, 360)}


@pytest.mark.parametrize("ranks", PUBLISHED)
def test_tokens_to_experts_between_nodes_take_about_as_long_as_published(ranks: int) -> None:
    """Sent straight to where they go. The network's fit is of a slow cluster, so that good kernels are faster."""
    for element_bytes, published in zip((1 + 4 / 128, 2), PUBLISHED[ranks], strict=True):
        size = 128 * experts_met(8, 1, ranks) * 7168 * element_bytes
        latency_us = collective_times("all_to_all", [size], ranks, load_target("h100_sxm")).latency_s[0] * 1e6
        assert 1.0 < latency_us / published < 2.0


def demand_of(name: str, ranks: int, topology: str = "") -> Demand:
    columns = {
        **{"op": np.array(["all_reduce"], dtype=object), "topology": np.array([topology], dtype=object)},
        **{"world_size": np.array([float(ranks)]), "bytes": np.array([1e6])},
    }
    target, dtype = load_target(name), format_of("float16")
    assert dtype is not None
    setting = Setting(target, machine_of(target), "nccl", dtype, "f16", 1.0)
    return collective_demand(collective_work(columns, setting), setting.machine)


def test_what_is_sent_bounds_collectives_of_tables() -> None:
    """64 MiB to seven others are no matter of a launch, whatever the model."""
    rows = {"device": "h100", "op": list(OPS[:4]), "world_size": 8, "bytes": 2**26}
    found = {model: ircost.predict(rows, model=model) for model in ("roofline", "analytical", "hybrid")}
    link = float(load_target("h100").links[0].bandwidth_bytes_per_s)
    once_s = 7 / 8 * 2**26 / link
    for estimates in found.values():
        assert estimates.at_best_s == pytest.approx([once_s] * 4), "switches add up: what is sent once suffices"
        assert (estimates.latency_s >= estimates.at_best_s).all()
    twice = ircost.predict({**rows, "device": "l40s", "op": ["all_reduce", "all_gather"]})
    assert twice.at_best_s[0] == pytest.approx(2 * twice.at_best_s[1])


@pytest.mark.parametrize("name", ["h100_sxm", "l40s", "mi300x"])
@pytest.mark.parametrize("ranks", [8, 16, 1024])
def test_a_table_without_topology_has_the_nodes_of_a_mesh(name: str, ranks: int) -> None:
    columns = {"device": name, "op": "all_reduce", "world_size": [ranks], "bytes": [1e9], "dtype": "float16"}
    found = ircost.predict(columns, model="analytical").latency_s[0]
    assert found == pytest.approx(collective_times("all_reduce", [1e9], ranks, load_target(name)).latency_s[0], rel=0.2)


def test_the_roofline_of_a_message_has_the_rate_of_its_link() -> None:
    names = ["h100_sxm", "gaudi3"]
    columns = {"device": names, "op": "send_recv", "world_size": 2, "bytes": 1e9}
    found = ircost.predict(columns, model="roofline").latency_s
    links = [link for name in names if (link := load_target(name).link) is not None]
    rates = np.array([float(link.bandwidth_bytes_per_s) for link in links])
    assert len(rates) == 2 and (found >= 1e9 / rates).all()


BOARDS = ("raspberry_pi_4", "jetson_nano", "jetson_agx_orin", "dgx_spark")


@pytest.mark.parametrize("name", BOARDS)
def test_boards_that_a_network_alone_joins_send_over_it(name: str) -> None:
    """Two of them sum up over Ethernet, in tables as in models, and not over a bus that they do not share."""
    target = load_target(name)
    assert target.network is not None
    sent_s = 2 * (2 - 1) / 2 * 1e6 / float(target.network.bandwidth_bytes_per_s)
    found = collective_times("all_reduce", [1e6], 2, target)
    (row,) = ircost.predict(
        {"device": name, "op": "all_reduce", "world_size": 2, "bytes": 1e6}, model="analytical"
    ).at_best_s
    assert found.at_best_s[0] == pytest.approx(sent_s) == row
    assert found.latency_s[0] >= sent_s


@pytest.mark.parametrize(("link", "ranks", "steps"), [("nvlink", 8, 1), ("network", 16, 2), ("network", 64, 6)])
def test_no_step_takes_less_than_the_latency_of_its_link(link: str, ranks: int, steps: int) -> None:
    """A small sum takes one step to all within a node, and up and down a tree of nodes between them."""
    slow = parse_target(f"name: slow\nextends: h100\nsource: test\nlinks: {{{link}: {{latency: 5 ms}}}}\n")
    near_s, far_s = (collective_times("all_reduce", [1e3], ranks, t).latency_s[0] for t in (load_target("h100"), slow))
    assert near_s < 1e-3 and far_s == pytest.approx(steps * 5e-3, abs=1e-3)
    one_node = collective_times("all_reduce", [1e3], 8, slow).latency_s[0]
    assert (one_node < 1e-3) == (link == "network"), "in a node nothing goes over the network"


@given(st.sampled_from([2, 4, 8, 16, 32]), st.sampled_from([1, 2, 4, 8]))
def test_a_ring_has_the_same_steps_however_it_is_cut_into_nodes(nodes: int, devices: int) -> None:
    """One step between nodes for each further node, once to sum up and once to tell."""
    ranks = nodes * devices
    demand = demand_of("h100", ranks, f"dgx; {devices} per node")
    for protocol, prefix in (("flags", ""), ("bulk", "bulk_")):
        ring = demand.choices.index(f"ring, {protocol}")
        near, far = (float(demand.fixed[prefix + name][0, ring]) for name in ("hop", "far_hop"))
        assert far == 2 * (nodes - 1)
        slower = machine_of(load_target("h100")).clocks_per_reference
        assert near == pytest.approx((2 * (ranks - 1) - far) * slower)


@pytest.mark.parametrize("device", ["h100_sxm", "a100_sxm_80gb", "l40s", "b200", "h100+vllm", "l40s+pytorch"])
@pytest.mark.parametrize("kind", ["all_reduce", "all_gather"])
@pytest.mark.parametrize("ranks", [2, 8])
def test_models_and_tables_are_told_the_same(device: str, kind: str, ranks: int) -> None:
    """What ranks of a model send is corrected as a row of a table is."""
    columns = {"device": device, "op": kind, "world_size": ranks, "bytes": SIZES, "dtype": "float16"}
    row = ircost.predict(columns)
    found = Hybrid().collectives(kind, SIZES, ranks, load_target(device))
    assert found.latency_s == pytest.approx(row.latency_s)
    assert found.grades == tuple(row.grade)
    assert found.high_s == pytest.approx(row.high_s)
    assert found.low_s == pytest.approx(row.low_s)


def test_cards_on_a_bus_are_taken_as_in_a_usual_server() -> None:
    """32 MiB among four: 10 to 14 ms on the server of L40S in the tables, 1.3 to 2.6 on others of PCIe 4 with peers."""
    (slow,) = estimate_rows(on_a_bus("l40s", source="aiconfigurator"), "rows", load_target, "hybrid").latency_s
    found = Hybrid().collectives("all_reduce", [2.0**25], 4, load_target("l40s"))
    assert found.low_s is not None and found.high_s is not None
    assert found.at_best_s[0] <= found.low_s[0] < 1.6e-3 < found.latency_s[0] < 4e-3 < found.high_s[0] < slow
    assert slow > 9e-3
    assert found.grades == ("C",)
    cards = [Hybrid().collectives("all_reduce", [2.0**25], 4, load_target(name)) for name in ("rtx_6000_ada", "l40")]
    assert [other.latency_s[0] for other in cards] == pytest.approx([found.latency_s[0]] * 2, rel=0.01)


def on_a_bus(device: str, **words: str) -> dict[str, np.ndarray]:
    """Sums of 32 MiB among four by NCCL."""
    named = {"device": device, "framework": "nccl", "op": "all_reduce", "dtype": "float16", **words}
    numbers = {"world_size": 4.0, "bytes": 2.0**25}
    return {name: np.array([value], dtype=object) for name, value in named.items()} | {
        name: np.array([value]) for name, value in numbers.items()
    }


def test_whose_card_it_is_does_not_count_where_the_server_is_named() -> None:
    """As of rows that others published: `server`."""
    plain = estimate_rows(on_a_bus("rtx_4090"), "rows", load_target, "hybrid")
    named = estimate_rows(on_a_bus("rtx_4090", server="mine", source="me"), "rows", load_target, "hybrid")
    assert named.latency_s == plain.latency_s
    (linked,), (unlinked,) = (
        estimate_rows(on_a_bus("h100_nvl", **words), "rows", load_target, "hybrid").latency_s
        for words in ({"topology": "pairs"}, {"server": "mine"})
    )
    assert unlinked != linked, "a server is named for what its bus does, bridges or not"


def test_geforce_cards_send_through_their_host() -> None:
    """Unless somebody saw that they need not: a patched driver."""
    plain, patched, other = (
        estimate_rows(on_a_bus(device, **words), "rows", load_target, "hybrid").latency_s[0]
        for device, words in (("rtx_4090", {}), ("rtx_4090", {"peer": "yes", "server": "mine"}), ("l40s", {}))
    )
    assert patched == pytest.approx(other, rel=0.01) and patched < 0.7 * plain


@pytest.mark.parametrize(
    ("device", "kind", "runtime"),
    [
        *[("h100", "all_reduce", "graph replay"), ("h100", "all_gather", "nccl"), ("h100+vllm", "all_reduce", "vllm")],
        *[("h100+vllm", "all_to_all", "nccl"), ("h100+pytorch", "all_reduce", "nccl")],
        *[("h100+tensorrt", "all_reduce", "graph replay"), ("h100+nccl", "all_reduce", "nccl")],
    ],
)
def test_whose_kernels_send(device: str, kind: str, runtime: str) -> None:
    asked = asked_collectives(kind, [1e6], 8, load_target(device), bundled_constants())
    assert asked.labels["runtime"] == runtime
    between = asked_collectives(kind, [1e6], 16, load_target(device), bundled_constants())
    assert between.labels["runtime"] == "nccl", "none has kernels of its own between nodes"


def test_a_model_in_ranks_is_told_how_well_its_messages_are_known() -> None:
    """On an H100 they were measured; on an L40S the note says whose bus it was."""
    h100, l40s = (
        ircost.compile("llama-3-8b", name, mesh="tp=4", phase="prefill", dims={"seq": 512}) for name in ("h100", "l40s")
    )
    sums = next(kernel for kernel in h100.kernels if kernel.op == "all_reduce")
    assert sums.grade == "A" and sums.low_s is not None and sums.latency_s is not None and sums.high_s is not None
    assert sums.low_s < sums.latency_s < sums.high_s
    told = [any("ranks send over the host's bus" in note for note in report.notes) for report in (h100, l40s)]
    assert told == [False, True]
