"""What kernels come down to: products, convolutions, attention, experts, scans, streams, and their sizes.

Read off the iteration spaces: the dims of a contraction are batch, m, n or k by which operands have them, an axis that
runs over an m and a k dim at once is a window, and what sums no products is a stream. No machine is looked at here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ircost.cost_models.access_pattern import moved_bytes
from ircost.cost_models.contraction_dims import Dims, is_product
from ircost.cost_models.part_groups import Part
from ircost.ir.attributes import float_of
from ircost.ir.counts import Counts
from ircost.ir.graph import Block, Op, Value
from ircost.ir.index import IterationSpace
from ircost.ir.ops.attention import visibility
from ircost.ir.ops.chosen_keys import seen_keys
from ircost.ir.ops.experts import rows_of_busiest, spread
from ircost.ir.structured import StructuredOp
from ircost.ir.types import DType, TensorType, f8e8m0

# Work of one op of a kernel: the op, how often it runs, its counts of one run.
InnerWork = tuple[Op, int, Counts]


@dataclass(slots=True)
class Reader:
    """Reads a kernel.

    Args:
        op: the kernel.
        work: of the ops in it.
        traffic_bytes: (read, written) compulsory traffic.
        cold: for each operand, whether nothing has touched it before in this run of the model: weights and inputs.
        is_result_cold: whether the result leaves the model.
        dtype_of: number format of an op's arithmetic.
    """

    op: Op
    work: Sequence[InnerWork]
    traffic_bytes: tuple[float, float]
    cold: Sequence[bool]
    is_result_cold: bool
    dtype_of: Callable[[Op], DType]
    outer: dict[Value, Value] = field(default_factory=dict)  # arguments of bodies, and what stands for them outside

    def parts(self) -> list[Part]:
        """The launches that the kernel comes down to; none where nobody knows.

        A composite that libraries have a kernel of its own for is that kernel; each other product is a launch, with
        the arithmetic beside it fused; what has no product is one stream.
        """
        if any(inner.name == "opaque" for inner, _, _ in self.work):
            return []
        if self.op.regions:
            self.enter(self.op)
            whole = next((op for op in [self.op, *self.op.regions[0].block.ops] if op.name in WHOLE), None)
            if whole is not None:
                return [WHOLE[whole.name](self, whole)]
        products = [(inner, times) for inner, times, _ in self.work if inner.definition.is_contraction and times]
        spaces = [inner.definition.iteration_space(inner) for inner, _ in products]
        if not products or any(space is None or not is_product(space) for space in spaces):
            return [self._stream()]
        return [
            self._product(inner, times, space, is_only=len(products) == 1, fused=fused)
            for (inner, times), space, fused in zip(products, spaces, self._fused(products), strict=True)
            if space is not None
        ]

    # ---- what is around

    def enter(self, op: Op) -> None:
        """Takes note of what the arguments of an op's bodies stand for."""
        for region in op.regions:
            self.outer.update(zip(region.block.arguments, op.operands, strict=False))
            for inner in region.block.ops:
                if inner.regions:
                    self.enter(inner)

    def is_cold(self, value: Value) -> bool:
        """Whether an operand of the kernel, seen from within, or anything that it is made of there, is cold."""
        cold = {operand for operand, is_cold in zip(self.op.operands, self.cold, strict=False) if is_cold}
        met = {value: None}
        pending = [value]
        while pending:
            value = pending.pop()
            while value in self.outer:
                value = self.outer[value]
            if value.producer is not None and self._is_inside(value.producer):
                new = [operand for operand in dict.fromkeys(value.producer.operands) if operand not in met]
                met |= dict.fromkeys(new)
                pending += new
            elif value in cold:
                return True
        return False

    def _fused(self, products: Sequence[tuple[Op, int]]) -> list[tuple[float, float]]:
        """Flops and special functions beside each product: of the ops that run as often, those of its loop."""
        fused = [[0.0, 0.0] for _ in products]
        for inner, times, counts in self.work:
            if inner.definition.is_contraction:
                continue
            alike = [i for i, (_, often) in enumerate(products) if often == times]
            place = alike[-1] if alike else 0
            ratio = times / products[place][1]
            fused[place][0] += counts.flops * ratio
            fused[place][1] += counts.transcendental * ratio
        return [(flops, special) for flops, special in fused]

    def _operand(self, value: Value) -> tuple[float, float, bool]:
        """Bytes in memory behind a product's operand, flops on the way from there, whether they are cold; each once."""
        read_bytes, flops, is_cold = 0.0, 0.0, False
        behind = {value: None}
        pending = [value]
        while pending:
            value = pending.pop()
            producer = value.producer
            if producer is not None and self._is_inside(producer) and is_prologue(producer):
                flops += producer.definition.counts(producer).flops
                new = [operand for operand in dict.fromkeys(producer.operands) if operand not in behind]
                behind |= dict.fromkeys(new)
                pending += new
                continue
            read_bytes += value.type.size_bytes
            is_cold = is_cold or ((producer is None or not self._is_inside(producer)) and self.is_cold(value))
        return read_bytes, flops, is_cold

    def _is_inside(self, op: Op) -> bool:
        block: Block | None = op.block
        while block is not None:
            parent = block.parent_op
            if parent is self.op:
                return True
            block = parent.block if parent is not None else None
        return False

    # ---- the parts

    def _product(self, op: Op, times: int, space: IterationSpace, *, is_only: bool, fused: tuple[float, float]) -> Part:
        lhs, rhs = op.operands
        (lhs_bytes, _, lhs_cold), (rhs_bytes, unpack, rhs_cold) = self._operand(lhs), self._operand(rhs)
        out_bytes = float(op.result.type.size_bytes)
        flops, special = fused
        extra = max(sum(self.traffic_bytes) - lhs_bytes - rhs_bytes - out_bytes, 0.0) if is_only else 0.0
        extras = (extra, max(flops - unpack, 0.0), special)
        is_first = times == 1  # what a loop reads again is in the cache by then
        lhs_cold = is_first and (lhs_cold or (is_only and self.is_result_cold))
        rhs_cold = is_first and rhs_cold
        dtype = self.dtype_of(op)
        dims = Dims(space)
        if dims.is_depthwise:
            return self._stream(on_lanes=True)  # each channel by itself: nothing for matrix units to share
        if dims.windows:
            sizes = dims.convolution(is_float=dtype.is_float)
            element = (lhs_bytes + rhs_bytes + out_bytes) / max(
                lhs.type.elements + rhs.type.elements + op.result.type.elements, 1
            )
            return Part("conv", "", dtype, (*sizes, element, lhs_cold, rhs_cold, *extras), times)
        m, n = dims.extent("m"), dims.extent("n")
        sides = [
            (m, lhs_bytes / max(lhs.type.elements, 1), lhs_cold),
            (n, rhs_bytes / max(rhs.type.elements, 1), rhs_cold),
        ]
        if lhs_cold and not rhs_cold:  # rows of a weight by columns of activations: the same product transposed
            sides.reverse()
        (m, lhs_wide, lhs_cold), (n, rhs_wide, rhs_cold) = sides
        batch, k = dims.extent("b"), dims.extent("k")
        widths = (lhs_wide, rhs_wide, out_bytes / max(op.result.type.elements, 1), unpack / max(rhs.type.elements, 1))
        sizes = (batch, m, n, k, *widths, lhs_cold, rhs_cold, *extras)
        return Part("gemm", "batched" if batch > 1 else "", dtype, sizes, times)

    def _stream(self, on_lanes: bool = False, is_one_launch: bool = False) -> Part:
        """All of the kernel as one stream.

        Args:
            on_lanes: products run on the vector lanes; else they count at the peak of the units for products.
            is_one_launch: its loops are within one launch; else each turn is one.
        """
        times = 1 if is_one_launch else max((times for _, times, _ in self.work), default=1)
        flops = special = products = reduced = 0.0
        for inner, often, counts in self.work:
            if inner.definition.is_contraction and not on_lanes:
                products += counts.flops * often
            else:
                flops += counts.flops * often
                special += counts.transcendental * often
            reduced = max(reduced, reduced_rows(inner))
        read, written = moved_bytes(self.op, *self.traffic_bytes)
        share = read / max(self.traffic_bytes[0], 1)
        operand_bytes = self.op.definition.operand_bytes(self.op) if any(self.cold) else ()
        cold = {v: n for v, n, is_cold in zip(self.op.operands, operand_bytes, self.cold, strict=False) if is_cold}
        cold_bytes = sum(cold.values()) * share + (written if self.is_result_cold else 0.0)
        each = [x / times for x in (read, written, flops, special)]
        kind = stream_kind(self.op, self.work)
        ends = (reduced, cold_bytes / times, products / times, self._row_length(kind))
        sizes = (self._elements(read + written) / times, *each, *ends)
        return Part("vector", kind, self._stream_dtype(), sizes, times)

    def _elements(self, moved: float) -> float:
        """Elements that threads share out: all that is moved, as if it were of the largest operands or results.

        A small operand beside them counts by its bytes, so that a longer kernel has as much to do for each thread.
        """
        types = [value.type for value in dict.fromkeys((*self.op.operands, *self.op.results))]
        most = max(type.elements for type in types)
        width = sum(type.dtype.bits / 8 for type in types if type.elements == most)
        return moved / width

    def _row_length(self, kind: str) -> float:
        """Elements along the innermost axis of the largest operand or result; of rotary embeddings of all heads, which
        one block of threads takes for a token.
        """
        types = [value.type for value in (*self.op.operands, *self.op.results)]
        shape = max(types, key=lambda type: type.elements).shape
        heads = shape[1] if kind == "rope" and len(shape) == 4 else 1  # [batch, heads, tokens, width]
        return float(heads * shape[-1]) if shape else 1.0

    def _stream_dtype(self) -> DType:
        formats = [self.dtype_of(inner) for inner, _, counts in self.work if counts.flops]
        return max(formats or [self.dtype_of(self.op)], key=lambda dtype: (dtype.is_float, dtype.bits))

    def _attention(self, op: Op) -> Part:
        """Latents, keys and values at once that all heads share, have kernels of their own; so has their prefill, where
        keys are wider than values.
        """
        q, k, v = (operand.type for operand in op.operands[:3])
        batch, heads, queries, width = q.shape
        view = visibility(op)
        is_latent = op.operands[1] is op.operands[2]
        kv_heads, value_width = k.shape[1], op.result.type.shape[3]
        row_bytes = (k.size_bytes + (0 if is_latent else v.size_bytes)) / max(batch * kv_heads * k.shape[2], 1)
        reads = op.definition.operand_bytes(op)
        own = reads[0] + reads[1] + (0 if is_latent else reads[2]) + op.result.type.size_bytes
        beside = [
            counts for inner, _, counts in self.work if inner.block is not None and inner.block.parent_op is self.op
        ]
        is_outside = op is not self.op
        biased = batch * heads * view.pairs if op.attrs["has_alibi"] else 0
        sizes = (
            *(batch, queries, view.keys, heads, kv_heads, width, value_width),
            *(row_bytes, q.dtype.bits / 8, view.is_causal, view.window),
            self.is_cold(op.operands[0]) or self.is_result_cold,
            self.is_cold(op.operands[1]),
            max(sum(self.traffic_bytes) - own, 0.0),
            (float(sum(counts.flops for counts in beside)) if is_outside else 0.0) + FLOPS_PER_BIAS * biased,
            float(sum(counts.transcendental for counts in beside)) if is_outside else 0.0,
        )
        is_wide = view.is_causal and queries > 1 and width > value_width
        family = "mla" if is_latent or is_wide else "attention"
        cache = k.dtype if k.dtype != q.dtype else None
        return Part(family, attention_kind(op, is_latent), q.dtype, sizes, cache=cache)

    def _experts(self, op: Op) -> Part:
        x, shares, _, up, down = (operand.type for operand in op.operands[:5])
        ranks, senders = spread(op)
        tokens, chosen = float(x.shape[0] * senders), shares.shape[1]
        if ranks > 1:  # rows that come to the busiest rank have one expert each there, whatever else they chose
            tokens, chosen = rows_of_busiest(tokens, chosen, ranks, float_of(op.attrs, "balance")), 1
        is_narrow = bool(op.attrs["is_narrow"])
        unpacked = op.attrs["has_scales"]
        weights = (
            sum(operand.type.size_bytes for operand in op.operands[3:]) if unpacked else up.size_bytes + down.size_bytes
        )
        sizes = (
            *(tokens, x.shape[1], down.shape[2], chosen, up.shape[0]),
            2.0 if op.attrs["gate"] == "none" else 3.0,
            narrow_bytes(up, op.operands[-4].type) if is_narrow else x.dtype.bits / 8,
            weights / max(up.elements + down.elements, 1),
            3.0 if unpacked and not is_narrow else 0.0,  # mask, convert, scale
            self.is_cold(op.operands[3]),
        )
        scales = kind_of_scales(op.operands[-4].type) if unpacked else ""
        return Part("moe", "", up.dtype if is_narrow else x.dtype, sizes, scales=scales)  # scales may be wider

    def _scaled_product(self, op: Op) -> Part:
        """One product of a narrow format; scales are a little more of each operand."""
        x, x_scale, w, w_scale = (operand.type for operand in op.operands)
        n, k = w.shape
        m = x.elements / max(k, 1)
        widths = (
            (x.size_bytes + x_scale.size_bytes) / max(x.elements, 1),
            (w.size_bytes + w_scale.size_bytes) / max(w.elements, 1),
            op.result.type.dtype.bits / 8,
        )
        cold = (self.is_cold(op.operands[0]) or self.is_result_cold, self.is_cold(op.operands[2]))
        extra = max(sum(self.traffic_bytes) - m * k * widths[0] - n * k * widths[1] - m * n * widths[2], 0.0)
        sizes = (1.0, m, float(n), float(k), *widths, 0.0, *cold, extra, 0.0, 0.0)
        return Part("gemm", "", w.dtype, sizes, scales=kind_of_scales(w_scale))

    def _scan(self, op: Op) -> Part:
        """A state for each head, [key width, value width]; in chunks where there are more than a few tokens."""
        phase = scan_phase(op)
        _, heads, key_width, value_width = op.results[1].type.shape
        return self._recurrent(op, f"scan {phase}", (heads, key_width, value_width), phase == "context")

    def _short_convolution(self, op: Op) -> Part:
        return self._recurrent(op, f"conv {scan_phase(op)}", (1, 1, 1), is_chunked=False)

    def _index_scores(self, op: Op) -> Part:
        """One product of all heads with the keys that queries see, what is summed up over heads fused behind it."""
        has_cache = bool(op.attrs["has_cache"])
        read = [op.operands[i].type for i in (0, 1, *(3,) * has_cache)]
        batch, queries, heads, width = read[0].shape
        product = next((inner, times) for inner, times, _ in self.work if inner.definition.is_contraction)
        ((flops, special),) = self._fused([product])
        out = op.result.type
        # Of each head's scores what is left is its part of a sum: as many bytes less.
        widths = (read[0].dtype.bits / 8, read[-1].dtype.bits / 8, out.dtype.bits / 8 / max(heads, 1), 0.0)
        cold = (self.is_cold(op.operands[0]), self.is_cold(op.operands[3 if has_cache else 1]))
        extra = max(sum(self.traffic_bytes) - sum(type.size_bytes for type in (*read, out)), 0.0)
        sizes = (float(batch), float(queries * heads), seen_keys(op), float(width))
        return Part(
            "gemm", "batched" if batch > 1 else "", read[0].dtype, (*sizes, *widths, *cold, extra, flops, special)
        )

    def _recurrent(self, op: Op, kind: str, state: tuple[int, int, int], is_chunked: bool) -> Part:
        """What belongs to no sequence, such as the weights of a window, stays in the processors, as fits have it."""
        batch, steps = op.results[0].type.shape[:2]
        reads = zip(op.operands, op.definition.operand_bytes(op), strict=True)
        shared = sum(n for operand, n in reads if operand.type.rank < 3)
        is_cold = self.is_cold(op.operands[-1 if op.attrs["has_state"] else 0])
        sizes = (batch, steps, *state, sum(self.traffic_bytes) - shared, is_chunked, is_cold)
        return Part("recurrent", kind, op.results[0].type.dtype, sizes)

    def _selective_scan(self, op: Op) -> Part:
        """No table has kernels of it: a stream whose special functions, one for each element of the state and token,
        and whose arithmetic the vector lanes take; threads share the tokens of a channel.
        """
        return self._stream(on_lanes=True, is_one_launch=True)


FLOPS_PER_BIAS = 2  # of a score: slope times distance, added. Source: Press et al., "ALiBi", ICLR 2022


def attention_kind(op: Op, is_latent: bool) -> str:
    """As tables name phases; decoding kernels differ by whether heads share keys and values."""
    q, k = (operand.type for operand in op.operands[:2])
    if q.shape[2] > 1 and not is_latent:
        return "prefill" if op.attrs["is_causal"] else "encoder"
    return "decode, shared heads" if q.shape[1] > k.shape[1] and not is_latent else "decode"


MOST_VERIFIED = 8  # tokens at once that kernels take step by step: as many as measured ones do at most


def scan_phase(op: Op) -> str:
    """As tables name it: ``generation`` of one token, ``verify`` of a few behind a state, else ``context``."""
    steps = op.results[0].type.shape[1]
    if steps == 1:
        return "generation"
    return "verify" if steps <= MOST_VERIFIED and op.attrs["has_state"] else "context"


# Composites that libraries have one kernel, or one fused layer, for.
WHOLE: dict[str, Callable[[Reader, Op], Part]] = {
    "attention": Reader._attention,
    "causal_conv1d": Reader._short_convolution,
    **dict.fromkeys(("gated_delta_rule", "linear_attention", "ssd_scan"), Reader._scan),
    "selective_scan": Reader._selective_scan,
    "mixture_of_experts": Reader._experts,
    "index_scores": Reader._index_scores,
    "scaled_matmul": Reader._scaled_product,
}


def narrow_bytes(weights: TensorType, scales: TensorType) -> float:
    """Of an element of what is quantised as weights [.., n, k] are, their scales [.., rows, blocks of a row] included.

    Source: as tables of measured kernels count it, `gpu.formats`.
    """
    blocks = scales.shape[-1] if scales.rank else 1
    return (weights.dtype.bits + (scales.dtype.bits * blocks / weights.shape[-1] if blocks > 1 else 0)) / 8


def kind_of_scales(scales: TensorType) -> str:
    """As of ``Part.scales``, by the type of the scales [.., rows, blocks of a row]."""
    if scales.rank == 0 or scales.shape[-1] == 1:
        return ""
    return "mx" if scales.dtype == f8e8m0 else "blocks"


def is_prologue(op: Op) -> bool:
    """Whether a product can take the op in where it loads: element-wise work, and moves that change no value."""
    if op.definition.is_view or op.name == "constant":
        return True
    return isinstance(op.definition, StructuredOp) and op.definition.reduce is None


WARP = 32  # threads that one instruction runs. Source: CUDA C++ Programming Guide, "SIMT Architecture"


def reduced_rows(op: Op) -> float:
    """Rows that threads reduce together: those along the innermost axis that are long enough for a warp.

    A window of a few elements, or a column, is one thread's own affair.
    """
    if not isinstance(op.definition, StructuredOp) or op.definition.reduce is None:
        return 0.0
    space = op.definition.iteration_space(op)
    axes = space.operands[0].axes
    inner = {dim for dim, _ in axes[-1].terms} if axes else set()
    is_inner = bool(inner) and all(space.dims[dim].is_reduction for dim in inner)
    is_long = space.points >= WARP * max(space.result_points, 1)
    return float(space.result_points) if is_inner and is_long else 0.0


# Kinds of streams as measured tables name them, where ours have other names.
KINDS = {
    "rotary_embedding": "rope",
    "log_softmax": "softmax",
    "transpose": "copy",
    "update_cache": "elements",
    "expert_routing": "softmax",
    "sample_token": "softmax",
}


def stream_kind(op: Op, work: Sequence[InnerWork]) -> str:
    """``elements`` where all is element-wise, else the name of what is not."""
    named = [op] if op.name != "kernel" else list(op.regions[0].block.ops)
    odd = [o for o in named if not is_plain(o)]
    return KINDS.get(odd[0].name, odd[0].name) if odd else "elements"


def is_plain(op: Op) -> bool:
    """Whether no element waits for others; a composite that tables do not name is what it is made of, as a batch norm
    of known statistics is.
    """
    definition = op.definition
    if definition.is_view or definition.is_terminator or op.name == "constant":
        return True
    if definition.is_composite and op.name not in KINDS:
        return all(map(is_plain, op.regions[0].block.ops))
    return isinstance(definition, StructuredOp) and definition.reduce is None
