"""The module as PyTorch runs it under ``torch.autocast``: each op in the format that PyTorch's lists give it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from ircost.ir import ops
from ircost.ir.clone import clone_op, clone_region
from ircost.ir.graph import Block, Function, Module, Op, Region, Value
from ircost.ir.in_place import viewed
from ircost.ir.types import DType, f16, f32, parse_dtype
from ircost.passes.base import Pass, PassContext, PassError, register_pass
from ircost.passes.pipeline_text import parse_pipeline, pipeline_text

# Ops that run in the narrow format and in f32; all others run in the widest format of their operands. Source: PyTorch,
# aten/src/ATen/autocast_mode.h, ``AT_FORALL_LOWER_PRECISION_FP`` and ``AT_FORALL_FP32``; its documentation, "Autocast
# Op Reference". RMS norms are there by the powers and square roots that models write them out with.
NARROW = frozenset(("attention", "gru", "lstm", "prelu", "rnn"))
WIDE = frozenset(
    (
        *("acos", "asin", "cosh", "cumprod", "cumsum", "exp", "group_norm", "layer_norm", "log", "log_softmax", "pow"),
        *("reciprocal", "reduce_prod", "reduce_sum", "rms_norm", "rsqrt", "sinh", "softmax", "softplus", "tan"),
    )
)


@register_pass("autocast")
@dataclass(frozen=True, slots=True)
class Autocast(Pass):
    """Run a model of f32 in mixed precision, as ``torch.autocast`` does.

    Products and convolutions run in half, norms, softmax and powers in f32, all else in the widest format of its
    tensors, with casts between.

    A value is cast once for all ops on the lists that read it, and for each other op by itself, whose kernel does so on
    the way (`eager` joins them). Weights are cast at load, as in one context that stays open; PyTorch casts them once
    in each context, so once in each forward that opens its own. That is not counted, and shows where batches are small.

    Args:
        to: f16 or bf16.
    """

    to: DType = f16

    def check_format(self) -> None:
        """Raises:
        PassError: the format is no half precision.
        """
        if not self.to.is_float or self.to.bits != 16:
            raise PassError(f"autocast: {self.to} is no half precision", help="take f16 or bf16")

    def run(self, module: Module, context: PassContext) -> Counter[str]:
        self.check_format()
        caster = _Caster(self.to)
        functions = [caster.function(f, is_main=f is module.main) for f in module.functions.values()]
        module.functions.clear()
        for function in functions:
            module.add(function)
        return caster.changed


# Passes that make kernels, or choose among them: formats have to be known before. Composites of which the lists have a
# name are recognised before that.
KERNEL_MAKING = ("eager", "views", "inline", "layout", "monarch", "fuse", "merge-products", "outline", "patch", "tile")


def with_autocast(pipeline: str, to: str) -> str:
    """A pipeline with `autocast` in its place: before the first pass that makes kernels, or behind all.

    Args:
        to: the format, such as f16 or bf16.

    Raises:
        PassError: the pipeline runs it already, or the format is no half precision.

    >>> with_autocast("canonicalize,recognise,fuse{max_ops=4}", "bf16")
    'canonicalize,recognise,autocast{to=bf16},fuse{max_ops=4}'
    """
    passes = parse_pipeline(pipeline)
    own = Autocast(parse_dtype(to))
    own.check_format()
    if any(isinstance(instance, Autocast) for instance in passes):
        raise PassError(f"autocast is among the passes already: {pipeline}", help="leave out one of the two")
    place = next((at for at, instance in enumerate(passes) if instance.name in KERNEL_MAKING), len(passes))
    return pipeline_text((*passes[:place], own, *passes[place:]))


@dataclass(slots=True)
class _Caster:
    """One function after the other.

    Args:
        mapping: values as they were -> as they are. cast: what was cast already, by block, value and format.
    """

    to: DType
    changed: Counter[str] = field(default_factory=Counter)
    mapping: dict[Value, Value] = field(default_factory=dict)
    cast: dict[tuple[Block, Value, DType], Value] = field(default_factory=dict)

    def function(self, function: Function, is_main: bool) -> Function:
        new = Function(function.name, [a.type for a in function.arguments], function.attrs)
        self.block(function.block, new.block, keeps_formats=not is_main)
        return new

    def block(self, source: Block, target: Block, keeps_formats: bool) -> None:
        """Args:
        keeps_formats: whether what leaves is of the formats that it was of, as whoever calls or repeats it expects.
        """
        for old, argument in zip(source.arguments, target.arguments, strict=True):
            argument.name = old.name
            self.mapping[old] = argument
        for op in source.ops:
            if op.definition.is_terminator and keeps_formats:
                left = [self.converted(self.mapping[v], v.type.dtype, target, op) for v in op.operands]
                target.append(op.definition.create(left, dict(op.attrs), location=op.location))
            else:
                self.op(op, target)

    def region(self, region: Region) -> Region:
        block = Block(argument.type for argument in region.block.arguments)
        self.block(region.block, block, keeps_formats=True)
        return Region(block)

    def as_it_was(self, op: Op, block: Block) -> None:
        """Calls, loops and branches keep what they take and give; kernels and what nobody knows is not looked into."""
        operands = [self.converted(self.mapping[v], v.type.dtype, block, op) for v in op.operands]
        is_open = bool(op.regions) and not op.definition.is_isolated
        regions = [self.region(r) if is_open else clone_region(r, {}) for r in op.regions]
        types = [result.type for result in op.results]
        made = Op(op.definition, operands, op.attrs, types, regions, op.location)
        block.append(made)
        for old, new in zip(op.results, made.results, strict=True):
            new.name = old.name
            self.mapping[old] = new

    def op(self, op: Op, block: Block) -> None:
        is_open = op.regions and not op.definition.is_isolated
        if is_open or op.name in ("call", "kernel") or op.definition.needs_result_types:
            self.as_it_was(op, block)
            return
        operands = [self.mapping[operand] for operand in op.operands]
        if op.name == "cast" and operands[0].type.dtype == op.attrs["to"]:
            self.mapping[op.result] = operands[0]
            return
        wanted = self.format_of(op, operands)
        if wanted is None:
            block.append(clone_op(op, self.mapping))
            return
        made = op.definition.create(self.in_format(operands, wanted, block, op), dict(op.attrs), location=op.location)
        block.append(made)
        for old, new in zip(op.results, made.results, strict=True):
            new.name = old.name
            self.mapping[old] = new

    def format_of(self, op: Op, operands: Sequence[Value]) -> DType | None:
        """What floats among the operands are to be; None where there are none, or each may be what it is."""
        floats = [value for value in operands if value.type.dtype in (f32, self.to)]
        if not floats or op.definition.is_terminator or op.name == "cast":
            return None
        if op.name in NARROW or (op.definition.is_contraction and "out" in op.attrs):
            return self.to
        if has_bias(op):
            return self.to
        if op.name in WIDE:
            return f32
        if op.name == "batch_norm":
            return operands[0].type.dtype
        # Numbers without axes take part in no promotion where there are tensors.
        deciding = [value for value in floats if value.type.rank] or floats
        return f32 if any(value.type.dtype == f32 for value in deciding) else self.to

    def in_format(self, operands: Sequence[Value], dtype: DType, block: Block, op: Op) -> list[Value]:
        return [self.converted(v, dtype, block, op) if v.type.dtype in (f32, self.to) else v for v in operands]

    def converted(self, value: Value, dtype: DType, block: Block, op: Op) -> Value:
        if value.type.dtype == dtype:
            return value
        known = (
            self.cast.get((block, value, dtype)) if op.name in NARROW | WIDE or op.definition.is_contraction else None
        )
        if known is None:
            made = ops.cast.create([value], {"to": dtype}, location=op.location)
            block.append(made)
            known = self.cast[block, value, dtype] = made.result
            self.changed["casts"] += 1
        return known


def has_bias(op: Op) -> bool:
    """Whether a vector of weights is added to a product: in PyTorch that is an operand of the product."""
    if op.name != "add":
        return False
    return any(
        product.producer is not None
        and product.producer.definition.is_contraction
        and len([extent for extent in bias.type.shape if extent > 1]) == 1
        and is_weight(viewed(bias))
        for product, bias in (op.operands, op.operands[::-1])
    )


def is_weight(value: Value) -> bool:
    """Whether a value is a constant, or an input that no op has made."""
    return value.producer is None or value.producer.name == "constant"
