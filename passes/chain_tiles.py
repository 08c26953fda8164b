"""How ops with several products may run as one kernel: the schedules that fit on a processor."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from ircost.cost_models.chain_parts import Streamed, products_of, streamed_products
from ircost.cost_models.contraction_dims import Dims, is_product
from ircost.ir.chain import Chain, Tile, chain_of, split_at
from ircost.ir.dependency import Box, dims_of_box
from ircost.ir.graph import Op, Value
from ircost.passes import fusion_legality
from ircost.passes.fusion_legality import ACCUMULATOR_BYTES, Room, moves_innermost, smallest_tile

# Rows of a tile together, columns at least, elements of the anchor's reduction in a step, parts of a windowed axis:
# multiples of what matrix units take, up to the largest tiles of libraries. Source: NVIDIA/cutlass, default tiles.
ROWS = (16, 32, 64, 128, 256)
LEAST_COLUMNS = 64
STEPS = (32, 64, 128, 256)
PARTS, COLUMN_PARTS = (1, 2, 4, 8, 16), (1, 2, 4, 8)
MOST_ROWS = 512
# The inner product is made in parts of this size, each written to shared memory before the next begins.
INNER_ROWS, INNER_COLUMNS = 64, 256
# Tiles of outside operands: two in flight, of so many elements of the reduction. Source: NVIDIA/cutlass, stages.
STAGES, STAGE_DEPTH = 2, 32
# Of one kernel: inverted residuals, ConvNeXt blocks and gated layers have three.
MOST_PRODUCTS = 4
STREAM_ROWS, STREAM_KEYS = 64, 64  # queries and keys of a tile. Source: Dao, "FlashAttention-2", 2023


def schedules(members: Sequence[Op], results: Sequence[Value], room: Room) -> list[str]:
    """Schedules under which members with several products can be one kernel; none where there is no such kernel."""
    if any(fusion_legality.is_product(op) and not op.definition.is_contraction for op in members):
        return []  # a composite's kernel has tiles of its own
    streamed = streamed_products(members, results)
    stream = stream_schedule(members, results, streamed, room) if streamed is not None else ""
    return [*filter(None, [stream]), *map(chain_schedule, chains(members, results, room))]


# ---- streams


def stream_schedule(members: Sequence[Op], results: Sequence[Value], of: Streamed, room: Room) -> str:
    """The schedule of an attention-like kernel; "" where a tile has no room, or what follows needs more than a row."""
    split = split_at(members, of.last)
    if split is None or not has_rows_for(of.last, split[1], results, {}):
        return ""
    element = of.first.operands[of.keys_at].type.dtype.bits / 8
    held = STAGES * STREAM_KEYS * (of.key_width + of.value_width) * element + STREAM_ROWS * of.key_width * element
    sums = STREAM_ROWS * (of.value_width + STREAM_KEYS) * ACCUMULATOR_BYTES
    if held > room.tile_bytes or sums > room.accumulator_bytes:
        return ""
    return f"stream {of.rank}={STREAM_KEYS} passes={of.passes}; room bytes={held:.0f}"


# ---- chains


def chains(members: Sequence[Op], results: Sequence[Value], room: Room) -> list[Chain]:
    """Chains of members that fit: of each tile of the result, with the longest step that there is room for."""
    products = products_of(members)
    anchor = products[-1]
    space = anchor.definition.iteration_space(anchor)
    split = split_at(members, anchor)
    if space is None or not is_product(space) or split is None or len(products) > MOST_PRODUCTS:
        return []
    body, tail = split
    if any(result.producer not in (anchor, *tail) for result in results) or any(map(moves_innermost, tail)):
        return []
    found = []
    for tile in tiles(members, results, anchor):
        if not has_rows_for(anchor, tail, results, tile):
            continue
        for step in steps(anchor, body):
            chain = chain_of(members, results, anchor, {**tile, **step})
            if chain is not None and fits(chain, room):
                found.append(chain)
                break
    return found


def tiles(members: Sequence[Op], results: Sequence[Value], anchor: Op) -> list[Tile]:
    """Tiles of the anchor's result: one of each batch, some columns, and rows shared out over the axes that have them.

    Axes along which tiles would overlap are cut into parts as near to equal as they go, alike along all of them.
    """
    space = anchor.definition.iteration_space(anchor)
    assert space is not None, "contractions have iteration spaces"
    extents = {dim.name: dim.extent for dim in space.dims if dim.extent > 1}
    named: dict[str, list[str]] = {role: [] for role in "bmnk"}
    for dim, role in zip(space.dims, Dims(space).roles, strict=True):
        if dim.extent > 1:
            named[role].append(dim.name)
    windowed = [name for name in named["m"] if overlaps(members, results, anchor, name)]
    plain = [name for name in named["m"] if name not in windowed]
    found: dict[tuple[tuple[str, int], ...], Tile] = {}
    for parts, columns, rows in product(PARTS if windowed else (1,), column_tiles(named["n"], extents), ROWS):
        cut = {name: math.ceil(extents[name] / parts) for name in windowed}
        tile = {**dict.fromkeys(named["b"], 1), **columns, **cut}
        tile |= filled(plain, extents, rows // math.prod(cut.values()))
        if math.prod(tile[name] for name in named["m"]) <= MOST_ROWS:
            found.setdefault(tuple(sorted(tile.items())), tile)
    return list(found.values())


def column_tiles(names: Sequence[str], extents: Mapping[str, int]) -> list[dict[str, int]]:
    """All columns, and equal parts of them down to the narrowest that pay."""
    if not names:
        return [{}]
    name, *_ = names
    widths = [math.ceil(extents[name] / parts) for parts in COLUMN_PARTS]
    return [{name: width} for width in widths if width == extents[name] or width >= LEAST_COLUMNS]


def filled(names: Sequence[str], extents: Mapping[str, int], count: int) -> dict[str, int]:
    """So many elements over some axes, the innermost first; one of each at least.

    >>> filled(["n", "t"], {"n": 8, "t": 128}, 256)
    {'t': 128, 'n': 2}
    """
    found = {}
    for name in reversed(names):
        found[name] = max(min(extents[name], count), 1)
        count //= found[name]
    return found


def overlaps(members: Sequence[Op], results: Sequence[Value], anchor: Op, dim: str) -> bool:
    """Whether tiles that are cut along a dim of the anchor compute something of the body twice for that."""
    chain = chain_of(members, results, anchor, {dim: 1})
    whole = chain_of(members, results, anchor, {})
    if chain is None or whole is None:
        return False
    halo = [
        math.prod(chain.boxes[op.result]) * chain.blocks > math.prod(whole.boxes[op.result])
        and chain.boxes[op.result] != whole.boxes[op.result]
        for op in chain.body
        if op.name != "constant"
    ]
    return any(halo)


def steps(anchor: Op, body: Sequence[Op]) -> Iterator[Tile]:
    """Parts of the anchor's reduction, the longest first: of the longest dim that no window runs along."""
    space = anchor.definition.iteration_space(anchor)
    assert space is not None, "contractions have iteration spaces"
    dims = Dims(space)
    windows = {dim for window in dims.windows for dim in window[:2]}
    summed = [
        dim
        for i, (dim, role) in enumerate(zip(space.dims, dims.roles, strict=True))
        if role == "k" and i not in windows and dim.extent > 1
    ]
    yield {}
    if summed:
        longest = max(summed, key=lambda dim: dim.extent)
        for step in reversed(STEPS):
            if step < longest.extent:
                yield {longest.name: step}


def has_rows_for(anchor: Op, tail: Sequence[Op], results: Sequence[Value], tile: Tile) -> bool:
    """Whether a tile of the anchor holds what the smallest tile behind it needs of its result, such as a whole row."""
    boxes = smallest_tile([anchor, *tail], results)
    if boxes is None:
        return False
    needed = boxes[anchor.result]
    if not tile:  # a stream: rows are there one by one, columns as a whole
        return all(extent == 1 for extent in needed[:-1])
    space = anchor.definition.iteration_space(anchor)
    assert space is not None, "contractions have iteration spaces"
    sizes = dims_of_box(space, needed)
    own = space.sizes(tile)
    return all(have % need == 0 for have, need, dim in zip(own, sizes, space.dims, strict=True) if not dim.is_reduction)


def fits(chain: Chain, room: Room) -> bool:
    """Whether a processor has room for one tile: what passes between ops, operand tiles in flight, and sums."""
    return room_bytes(chain) <= room.tile_bytes and sum_bytes(chain) <= room.accumulator_bytes


def room_bytes(chain: Chain) -> float:
    """Bytes of shared memory that a tile takes."""
    return chain.on_chip_bytes + max(staged_bytes(chain, op) for op in products_of(chain.ops))


def staged_bytes(chain: Chain, op: Op) -> float:
    """Of a product's operands from outside, on their way."""
    made = {inner.result for inner in chain.body}
    box = chain.boxes[op.result]
    m, n = rows_and_columns(op, box)
    widths = (min(m, INNER_ROWS), min(n, INNER_COLUMNS))
    return sum(
        STAGES * STAGE_DEPTH * width * value.type.dtype.bits / 8
        for value, width in zip(op.operands, widths, strict=True)
        if value not in made
    )


def sum_bytes(chain: Chain) -> float:
    """Of the sums of the anchor, which stay through all steps, and of the part of another product that is in work."""
    inner = [
        min(m, INNER_ROWS) * min(n, INNER_COLUMNS)
        for m, n in (rows_and_columns(op, chain.boxes[op.result]) for op in products_of(chain.body))
    ]
    return (math.prod(chain.boxes[chain.anchor.result]) + max(inner)) * ACCUMULATOR_BYTES


def rows_and_columns(op: Op, box: Box) -> tuple[int, int]:
    space = op.definition.iteration_space(op)
    assert space is not None, "contractions have iteration spaces"
    sizes = dims_of_box(space, box)
    roles = Dims(space).roles
    m, n = (math.prod(s for s, own in zip(sizes, roles, strict=True) if own in role) for role in ("bm", "n"))
    return m, n


def chain_schedule(chain: Chain) -> str:
    """``chain m=64 k=128; again products=1.31; room bytes=98304``: the tile, what is computed again, bytes on chip."""
    space = chain.anchor.definition.iteration_space(chain.anchor)
    assert space is not None, "contractions have iteration spaces"
    tile = [f"{dim.name}={n}" for dim, n in zip(space.dims, chain.sizes, strict=True) if n < dim.extent]
    counts = [(op.definition.counts(op).macs, chain.recomputed(op)) for op in products_of(chain.ops)]
    again = sum(macs * factor for macs, factor in counts) / max(sum(macs for macs, _ in counts), 1)
    return f"{' '.join(['chain', *tile])}; again products={again:.2f}; room bytes={room_bytes(chain):.0f}"
