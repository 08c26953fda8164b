"""What kernels with several products come down to: attention where a cascade streams, else the products of a chain.

A kernel's schedule says which: ``chain DIM=EXTENT ...`` is the tile of its last product (``ir.chain``), ``stream
RANK=EXTENT`` the rank that one pass goes along (``ir.cascade``). Without either it is a launch for each product.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ircost.cost_models.contraction_dims import Dims, is_product
from ircost.cost_models.gpu.attention import FLOPS_PER_SCORE
from ircost.cost_models.kernel_parts import Reader
from ircost.cost_models.part_groups import Part
from ircost.ir.cascade import cascade_over
from ircost.ir.chain import Chain, chain_of
from ircost.ir.dependency import box_bytes, dims_of_box
from ircost.ir.graph import Op, Value
from ircost.ir.in_place import viewed
from ircost.ir.schedule import Schedule, parse_schedule
from ircost.ir.types import TensorType


def parts_of_several(reader: Reader) -> list[Part] | None:
    """The parts of a kernel with several products that its schedule makes one launch of; None for all others."""
    if reader.op.name != "kernel" or not reader.op.attrs.get("schedule"):
        return None
    streamed = scheduled_stream(reader.op)
    chain = scheduled_chain(reader.op)
    reader.enter(reader.op)
    if streamed is not None:
        return [attention_part(reader, streamed)]
    return chain_parts(reader, chain) if chain is not None else None


def recomputation(kernel: Op) -> dict[Op, float]:
    """How often each op of a kernel computes an element of its result: of those that do so more than once."""
    chain = scheduled_chain(kernel) if kernel.name == "kernel" and kernel.attrs.get("schedule") else None
    if chain is None:
        return {}
    factors = {op: chain.recomputed(op) for op in chain.body if op.name != "constant"}
    return {op: factor for op, factor in factors.items() if factor > 1.0}


def products_of(ops: Sequence[Op]) -> list[Op]:
    """Contractions among ops, not those inside of composites."""
    return [op for op in ops if op.definition.is_contraction]


# ---- as a schedule has it


def scheduled_chain(kernel: Op) -> Chain | None:
    """The chain that a kernel's schedule says it is; None where it says nothing of the kind, or what cannot be."""
    tile = next(iter(schedule_of(kernel).named("chain")), None)
    *ops, terminator = kernel.regions[0].block.ops
    products = products_of(ops)
    if tile is None or len(products) < 2 or len(tile.sizes) < len(tile.settings):
        return None
    return chain_of(ops, terminator.operands, products[-1], tile.sizes)


def scheduled_stream(kernel: Op) -> Streamed | None:
    """The two products of a kernel that its schedule says streams over the rank between them."""
    if not schedule_of(kernel).named("stream"):
        return None
    *ops, terminator = kernel.regions[0].block.ops
    return streamed_products(ops, terminator.operands)


def schedule_of(kernel: Op) -> Schedule:
    return parse_schedule(str(kernel.attrs["schedule"]))


# ---- product, cascade, product


@dataclass(frozen=True, slots=True)
class Streamed:
    """Two products with a cascade between them that one pass over the rank is enough for.

    Args:
        first, last: the products. keys_at: operand of the first that has the rank; values_at: of the last.
        rank: name of the last one's dim.
        batch, queries, keys, key_width, value_width: as attention has them; each head counts as a sequence.
        passes: over the rank, as the ops are written.
    """

    first: Op
    last: Op
    keys_at: int
    values_at: int
    rank: str
    batch: float
    queries: float
    keys: float
    key_width: float
    value_width: float
    passes: int


def streamed_products(ops: Sequence[Op], results: Sequence[Value]) -> Streamed | None:
    """The sizes of an attention-like kernel, off its iteration spaces; None where it is none.

    scores = first(q, k);  shares = cascade(scores);  last(shares, v), with the rank that scores and v share summed.
    Which ops stand in the cascade does not matter, only that running corrections are enough (``ir.cascade``).
    """
    products = products_of(ops)
    if len(products) != 2:
        return None
    first, last = products
    members = set(ops)
    inner, outer = (op.definition.iteration_space(op) for op in products)
    if inner is None or outer is None or not is_product(inner) or not is_product(outer):
        return None
    values_at = next((i for i, value in enumerate(last.operands) if not depends_on(value, first, members)), None)
    dims, scores = Dims(outer), Dims(inner)
    summed = [i for i, role in enumerate(dims.roles) if role == "k" and outer.dims[i].extent > 1]
    if values_at is None or len(summed) != 1 or dims.windows or scores.windows:
        return None
    cascade = cascade_over(ops, last, summed[0])
    if cascade is None or not cascade.is_streamable or cascade.passes < 2:
        return None
    if any(result in cascade.axes or not depends_on(result, last, members) for result in results):
        return None  # what has the rank is known at the end of it only
    ranked = [i for i, value in enumerate(first.operands) if value in cascade.axes]
    if len(ranked) != 1 or first.result not in cascade.axes:
        return None
    batch, keys = dims.extent("b"), float(outer.dims[summed[0]].extent)
    queries, width = (dims.extent(role) for role in ("mn" if values_at == 1 else "nm"))
    if first.result.type.elements != batch * queries * keys:
        return None
    rank = outer.dims[summed[0]].name
    sizes = (batch, queries, keys, scores.extent("k"), width)
    return Streamed(first, last, ranked[0], values_at, rank, *sizes, cascade.passes)


def depends_on(value: Value, op: Op, members: Collection[Op]) -> bool:
    """Whether a value is made from an op's result by some members."""
    seen: set[Op] = set()
    stack = [value.producer]
    while stack:
        producer = stack.pop()
        if producer is op:
            return True
        if producer is not None and producer in members and producer not in seen:
            seen.add(producer)
            stack.extend(operand.producer for operand in producer.operands)
    return False


def attention_part(reader: Reader, streamed: Streamed) -> Part:
    """The kernel as one of the family ``attention``, whose measured kernels stream in the same way."""
    keys, values = streamed.first.operands[streamed.keys_at], streamed.last.operands[streamed.values_at]
    queries = streamed.first.operands[1 - streamed.keys_at]
    own = sum(value.type.size_bytes for value in (queries, keys, values, streamed.last.result))
    scores = streamed.batch * streamed.queries * streamed.keys
    beside = [
        (counts.flops * times, counts.transcendental * times)
        for inner, times, counts in reader.work
        if not inner.definition.is_contraction
    ]
    flops, special = (float(sum(column)) for column in zip(*beside, strict=True))
    sizes = (
        *(streamed.batch, streamed.queries, streamed.keys, 1.0, 1.0, streamed.key_width, streamed.value_width),
        (keys.type.size_bytes + values.type.size_bytes) / max(streamed.batch * streamed.keys, 1),
        queries.type.dtype.bits / 8,
        *(False, 0.0),  # masks that a cascade adds hide nothing that a kernel could leave out
        reader.is_cold(queries) or reader.is_result_cold,
        reader.is_cold(keys),
        max(sum(reader.traffic_bytes) - own, 0.0),
        max(flops - FLOPS_PER_SCORE * scores, 0.0),
        max(special - scores, 0.0),
    )
    kind = "decode" if streamed.queries == 1 else "encoder"
    return Part("attention", kind, reader.dtype_of(streamed.first), sizes)


# ---- chains


@dataclass(slots=True)
class Beside:
    """What stands between one product of a chain and the next, of all tiles.

    Args:
        flops, special: on the vector lanes and in the special units.
        loaded_bytes: of operands from outside, as often as tiles load them. kept_bytes: written to shared memory.
    """

    flops: float = 0.0
    special: float = 0.0
    loaded_bytes: float = 0.0
    kept_bytes: float = 0.0


def chain_parts(reader: Reader, chain: Chain) -> list[Part]:
    """A part for each product of a chain, with the arithmetic that follows it; the first one is the launch.

    Recomputed work counts as often as it is done. What passes between products is read from and written to shared
    memory; what comes from outside crosses main memory once, and is loaded by each tile and step.
    """
    products = products_of(chain.ops)
    outside = [[origin_bytes(value) for value in op.operands] for op in products]
    other_bytes = max(sum(reader.traffic_bytes) - sum(map(sum, outside)), 0.0)
    rest = [other_bytes if op is chain.anchor else 0.0 for op in products]
    return [
        _phase(reader, chain, op, once_bytes, beside, other)
        for op, once_bytes, beside, other in zip(products, outside, beside_products(chain), rest, strict=True)
    ]


def beside_products(chain: Chain) -> list[Beside]:
    """What follows each product up to the next; what is before the first counts with it."""
    found: list[Beside] = []
    stored, body = chain.stored, frozenset(chain.body)
    ahead = Beside()
    for op in chain.ops:
        if op.definition.is_contraction:
            found.append(Beside() if found else ahead)
        own = found[-1] if found else ahead
        if op.result in stored:
            own.kept_bytes += box_bytes(op.result.type, chain.boxes[op.result]) * chain.runs(op) * chain.blocks
        if not op.definition.is_contraction and not op.definition.is_view and op.name != "constant":
            counts, factor = op.definition.counts(op), chain.recomputed(op)
            own.flops += counts.flops * factor
            own.special += counts.transcendental * factor
            own.loaded_bytes += loaded_bytes(chain, op) if op in body else 0.0
    return found


def loaded_bytes(chain: Chain, op: Op) -> float:
    """Of an op's operands from outside, by all tiles and steps together."""
    boxes = [box_bytes(value.type, chain.boxes[value]) for value in op.operands if origin_bytes(value)]
    return sum(boxes) * chain.runs(op) * chain.blocks


def _phase(
    reader: Reader, chain: Chain, op: Op, once_bytes: Sequence[float], beside: Beside, other_bytes: float
) -> Part:
    space = op.definition.iteration_space(op)
    assert space is not None, "contractions have iteration spaces"
    sizes = chain.sizes if op is chain.anchor else dims_of_box(space, chain.boxes[op.result])
    dims = Dims(space)
    batch, m, n, k = (
        float(math.prod(size for size, own in zip(sizes, dims.roles, strict=True) if own == role)) for role in "bmnk"
    )
    loaded = [
        box_bytes(value.type, chain.boxes[value]) if once else 0.0
        for value, once in zip(op.operands, once_bytes, strict=True)
    ]
    widths = [element_bytes(value.type) for value in op.operands]
    is_on_lanes = bool(dims.windows) and dims.extent("n") == 1 and dims.extent("k", inside=False) == 1
    fields = (
        *(chain.blocks, chain.runs(op), batch, m, n, k, *widths, *loaded),
        *(beside.loaded_bytes, beside.kept_bytes, beside.flops, beside.special, *once_bytes, other_bytes),
        *(is_outside_cold(reader, op.operands[0]) or (bool(other_bytes) and reader.is_result_cold),),
        *(is_outside_cold(reader, op.operands[1]), is_on_lanes, op is products_of(chain.ops)[0]),
    )
    return Part("chain", "encoder", reader.dtype_of(op), tuple(map(float, fields)))


def element_bytes(type: TensorType) -> float:
    return type.dtype.bits / 8


def origin_bytes(value: Value) -> float:
    """Bytes of an operand that comes from outside of the kernel; 0 of what is made in it."""
    return float(value.type.size_bytes) if viewed(value).producer is None else 0.0


def is_outside_cold(reader: Reader, value: Value) -> bool:
    return viewed(value).producer is None and reader.is_cold(viewed(value))
