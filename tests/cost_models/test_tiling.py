"""Tiles: what they move, step by step; the search against all candidates; never below the bounds."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ircost.backends import load_target
from ircost.backends.target_files import parse_target
from ircost.cost_models.tile_bounds import attention_bound_elements, product_bound_elements, traffic_bound_bytes
from ircost.cost_models.tile_levels import Level, levels_of
from ircost.cost_models.tile_search import Work, best_tile, loop_orders
from ircost.cost_models.tile_traffic import Loops, held_bytes, loads, moved_bytes, swept_bytes, trips_of
from ircost.cost_models.tiling import figures_of, find_schedule
from ircost.cost_models.traffic_bounds import attention_bound, product_bound
from ircost.ir.bind import bind
from ircost.ir.graph import Op
from ircost.ir.nest import Nest, Stream
from ircost.ir.nest_reading import nest_of
from ircost.ir.notation import parse_notation
from ircost.ir.parser import parse_module
from ircost.passes.kernel_making import kernel_of

TARGETS = ["h100_sxm", "mi300x", "epyc_9654", "raspberry_pi_3", "tpu_v5e"]
EXTENTS = st.integers(1, 9)


def kernel(text: str) -> Op:
    *ops, _ = parse_module(f"func @main{text}").main.block.ops
    return kernel_of(ops, ops[-1].results)


def product(m: int, n: int, k: int) -> Op:
    return kernel(f"(%x: {m}x{k}xf32, %w: {k}x{n}xf32) -> {m}x{n}xf32 {{ %y = matmul %x, %w return %y }}")


def convolution(size: int, channels: int, filters: int, window: int, stride: int) -> Op:
    out = (size - window) // stride + 1
    return kernel(
        f"(%x: 1x{channels}x{size}xf32, %w: {filters}x{channels}x{window}xf32) -> 1x{filters}x{out}xf32 "
        f"{{ %y = conv %x, %w {{strides = [{stride}]}} return %y }}"
    )


def nest(op: Op) -> Nest:
    found = nest_of(op)
    assert found is not None
    return found


# ---- traffic, walked through


def walked_loads(found: Nest, stream: Stream, sizes: Sequence[int], order: Sequence[int]) -> int:
    """Elements that a stream loads, tile after tile: whenever its tile is another than the last one."""
    starts = [range(0, dim.extent, size) for dim, size in zip(found.dims, sizes, strict=True)]
    held, total = None, 0
    for point in itertools.product(*(starts[dim] for dim in order)):
        at = dict(zip(order, point, strict=True))
        tile = {dim: (at[dim], min(sizes[dim], found.dims[dim].extent - at[dim])) for dim in sorted(stream.dims)}
        if tile != held:
            held = tile
            elements = 1
            for run in stream.runs:
                reach = run.base + sum(slope * (tile[dim][1] - 1) for dim, slope in run.slopes)
                elements *= min(reach, run.extent)
            total += elements
    return total


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_loads_are_those_of_walking_through_the_tiles(data: st.DataObject) -> None:
    made = data.draw(
        st.builds(product, EXTENTS, EXTENTS, EXTENTS)
        | st.builds(convolution, st.integers(5, 12), EXTENTS, EXTENTS, st.integers(1, 5), st.integers(1, 2))
    )
    found = nest(made)
    sizes = [data.draw(st.integers(1, dim.extent)) for dim in found.dims]
    order = tuple(data.draw(st.permutations(range(len(found.dims)))))
    row = np.array([sizes], dtype=float)
    extents = [dim.extent for dim in found.dims]
    loops = [Loops(order, trips_of(np.array([extents], dtype=float), row))]
    for stream in found.streams:
        moved = swept_bytes(stream, row, extents) * loads(stream, loops) / stream.element_bytes
        assert float(np.broadcast_to(moved, (1,))[0]) == walked_loads(found, stream, sizes, order)


@given(m=EXTENTS, n=EXTENTS, k=EXTENTS)
def test_one_tile_moves_each_element_once(m: int, n: int, k: int) -> None:
    found = nest(product(m, n, k))
    sizes = np.array([[dim.extent for dim in found.dims]], dtype=float)
    moved = moved_bytes(found, sizes, [Loops(tuple(range(len(found.dims))), np.ones_like(sizes))])
    assert moved[0] == 4 * (m * k + k * n + m * n)


# ---- the search


def level(room_bytes: float, *, copies: int = 1, stages: int = 1) -> Level:
    return Level("sram", room_bytes, stages, 0.0, copies, "dram", 1e9, room_bytes, copies > 1)


@settings(max_examples=30, deadline=None)
@given(m=st.integers(2, 24), n=st.integers(2, 24), k=st.integers(2, 24), room=st.integers(16, 2000))
def test_the_search_finds_the_best_of_all_tiles(m: int, n: int, k: int, room: int) -> None:
    found = nest(product(m, n, k))
    candidates = [range(1, dim.extent + 1) for dim in found.dims]
    best = best_tile(found, level(room), Work(0.0), candidates)
    rows = np.array(list(itertools.product(*candidates)), dtype=float)
    rows = rows[held_bytes(found, rows, 1, True) <= room]
    if best is None:
        assert not len(rows)
        return
    trips = trips_of(np.array([[dim.extent for dim in found.dims]], dtype=float), rows)
    orders = itertools.permutations(range(len(found.dims)))
    least = min(float(moved_bytes(found, rows, [Loops(order, trips)]).min()) for order in orders)
    assert best.traffic_bytes == pytest.approx(least, rel=1e-12)


def test_more_room_never_moves_more() -> None:
    found = nest(convolution(64, 16, 32, 5, 1))
    candidates = [range(1, dim.extent + 1) for dim in found.dims]
    tiles = [best_tile(found, level(room), Work(0.0), candidates) for room in (256, 1024, 4096, 16384, 65536)]
    moved = [tile.traffic_bytes for tile in tiles if tile is not None]
    assert len(moved) == 5 and moved == sorted(moved, reverse=True) and moved[-1] < moved[0]


def test_two_stages_leave_room_for_less() -> None:
    found = nest(product(512, 512, 512))
    candidates = [[1 << power for power in range(10)] for _ in found.dims]
    once, twice = (best_tile(found, level(40_000, stages=s), Work(0.0), candidates) for s in (1, 2))
    assert once is not None and twice is not None and twice.traffic_bytes >= once.traffic_bytes


def test_a_long_sum_with_few_results_is_split() -> None:
    found = nest(product(16, 16, 4096))
    split = best_tile(found, level(1e6, copies=8), Work(1.0), [(16,), (16,), (64,)])
    assert split is not None and split.parts == 8


def test_one_memory_leaves_nothing_to_tile_for() -> None:
    lone = parse_target("name: lone\nextends: tpu_v5e\nsource: test\nmemory: {vmem: none}\n")
    assert levels_of(lone) == () and find_schedule(product(64, 64, 64), lone) is None


def test_orders_are_permutations() -> None:
    found = nest(convolution(16, 4, 4, 3, 1))
    assert all(sorted(order) == list(range(len(found.dims))) for order in loop_orders(found))


# ---- bounds


@settings(max_examples=25, deadline=None)
@given(
    m=st.integers(1, 700),
    n=st.integers(1, 700),
    k=st.integers(1, 700),
    target=st.sampled_from(TARGETS),
)
def test_no_product_is_below_its_bound(m: int, n: int, k: int, target: str) -> None:
    check(product(m, n, k), target)


@settings(max_examples=25, deadline=None)
@given(
    size=st.integers(5, 400),
    channels=st.integers(1, 200),
    filters=st.integers(1, 200),
    window=st.integers(1, 5),
    stride=st.integers(1, 2),
    target=st.sampled_from(TARGETS),
)
def test_no_convolution_is_below_its_bound(
    size: int, channels: int, filters: int, window: int, stride: int, target: str
) -> None:
    check(convolution(size, channels, filters, window, stride), target)


def check(made: Op, target: str) -> None:
    machine = load_target(target)
    schedule = find_schedule(made, machine)
    if schedule is None:
        assert not nest(made).dims
        return
    for figures in figures_of(made, schedule, machine):
        assert figures.fits
        assert figures.moved_bytes >= figures.bound_bytes * (1 - 1e-12)


@pytest.mark.parametrize("room", [1_000, 10_000, 100_000])
def test_small_memories_come_near_to_the_bound(room: int) -> None:
    found = nest(product(2048, 2048, 2048))
    best = best_tile(found, level(room), Work(0.0), [[3 * 2**p // d for p in range(12) for d in (1, 3)]] * 3)
    assert best is not None
    bound = 4 * product_bound(2048, 2048, 2048, room / 4)
    assert bound <= best.traffic_bytes < 2 * bound


def test_bounds_are_the_published_ones() -> None:
    space = bind(parse_notation("m k, k n -> m n"), [(512, 512), (512, 512)], {})
    assert product_bound_elements(space, 1024.0) == product_bound(512, 512, 512, 1024.0)
    assert attention_bound_elements(1, 4096, 4096, 64, 1024.0) == attention_bound(4096, 64, 1024.0)


@pytest.mark.parametrize(("stride", "dilation", "met"), [(1, 1, 5), (2, 1, 3), (5, 1, 1), (2, 2, 5), (4, 2, 3)])
def test_windows_meet_an_element_as_often_as_counted(stride: int, dilation: int, met: int) -> None:
    from ircost.cost_models.tile_bounds import windows_that_meet

    notation = parse_notation("n c (o*stride + k*dilation), f c k -> n f o", frozenset({"stride", "dilation"}))
    space = bind(notation, [(1, 1, 64), (1, 1, 5)], {"stride": stride, "dilation": dilation})
    names = [dim.name for dim in space.dims]
    extent = space.dims[names.index("o")].extent
    places = [o * stride + k * dilation for o in range(extent) for k in range(5)]
    assert windows_that_meet(space, names.index("o"), names.index("k")) == met == max(map(places.count, places))


def test_registers_and_all_processors_count_for_bounds() -> None:
    shared = next(found for found in levels_of(load_target("h100_sxm")) if found.name == "shared")
    assert shared.inner_bytes == (228 + 256) * 1024
    large = product(8192, 8192, 8192)
    assert traffic_bound_bytes(large, nest(large), shared) > large.definition.traffic(large).total_bytes
