"""Which transposes, slices and broadcasts are views: strides over memory that stays, with no kernel of their own.

PyTorch makes a view of each, and a copy where a kernel that reads it cannot take its strides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from ircost.ir import ops
from ircost.ir.attributes import ints_of
from ircost.ir.clone import clone_op
from ircost.ir.graph import Block, Module, Op, Region, Value, replace_value
from ircost.ir.load_time import load_time_ops
from ircost.ir.ops.shape import STRIDED
from ircost.ir.strides import Strides, axis_order, is_row_major, lies_in_order, ordered, reshaped, row_major
from ircost.ir.structured import StructuredOp
from ircost.passes.base import Pass, PassContext, register_pass
from ircost.passes.kernel_making import is_elementwise

CHANNELS_LAST = (0, 2, 3, 1)
HEADS_BEHIND_TOKENS = (0, 2, 1, 3)
ATTENTION = ("attention", "cached_attention", "latent_attention")
# Kernels that go over rows side by side, and are handed a copy where there are none. Source: PyTorch,
# aten/src/ATen/native/cuda: SoftMax.cu, layer_norm_kernel.cu (``contiguous``, ``expect_contiguous``).
BY_ROWS = ("softmax", "log_softmax", "layer_norm")
# Composites whose first op takes elements as they come, or that libraries run so.
BY_ELEMENTS = ("reduce_mean", "rms_norm", "rotary_embedding")


@register_pass("views")
@dataclass(frozen=True, slots=True)
class Views(Pass):
    """Let transposes, slices and broadcasts be views, wherever PyTorch makes no copy for whoever reads them.

    Element-wise kernels, reductions and concatenations take any strides. Products take operands that are stacks of
    matrices, transposed or not; convolutions and pools images that lie channels first or last; attention heads whose
    elements are side by side; softmax and layer norms rows without gaps. All others get a copy, which costs what it
    did. A view holds on to the memory that it shows.

    Args:
        compiled: loops were made for what they read, so that all take any strides but products, convolutions and
            attention.
    """

    compiled: bool = False

    is_exact = True

    def run(self, module: Module, context: PassContext) -> Counter[str]:
        fired: Counter[str] = Counter()
        for block in blocks_of(module):
            walk = _Walk(block, self.compiled, is_main=block is module.main.block)
            for op in walk.free():
                replace_value(op.result, view_of(op).result)
                block.remove(op)
                fired["views"] += 1
        return fired


def blocks_of(module: Module) -> Iterable[Block]:
    """Blocks of functions and of control flow in them, whose ops are kernels or lead to some."""
    pending = [function.block for function in module.functions.values()]
    while pending:
        block = pending.pop()
        yield block
        pending.extend(r.block for op in block.ops if not op.definition.is_isolated for r in op.regions)


def view_of(op: Op) -> Op:
    """A view that does what ``op`` does, put before it."""
    body = Block([op.operands[0].type])
    mapping = {op.operands[0]: body.arguments[0]}
    body.append(clone_op(op, mapping))
    body.append(ops.yield_.create([mapping[op.result]]))
    made = ops.view.create([op.operands[0]], regions=[Region(body)], location=op.location)
    assert op.block is not None, "a move that runs stands in a block"
    op.block.insert_before(made, op)
    made.result.name = op.result.name
    return made


@dataclass(frozen=True, slots=True)
class Lie:
    """Where a value lies.

    Args:
        strides: elements from one to the next along each axis.
        move: the op that a copy of it would be; None where it is what a kernel wrote.
    """

    strides: Strides
    move: Op | None = None


@dataclass(slots=True)
class _Walk:
    """One block, top to bottom."""

    block: Block
    is_compiled: bool
    is_main: bool
    lies: dict[Value, Lie] = field(default_factory=dict)
    copied: set[Op] = field(default_factory=set)

    def free(self) -> list[Op]:
        """Moves that nobody needs a copy of."""
        at_load = load_time_ops(self.block)
        moves = []
        for op in self.block.ops:
            if op in at_load:
                continue
            if is_move(op):
                self.lies[op.result] = Lie(moved(op, self.lie(op.operands[0]).strides), op)
                moves.append(op)
            elif op.name == "view":
                self.lies[op.result] = self.seen_through(op)
            elif op.name == "reshape" and not op.result.type.bounded:
                self.reshape(op)
            else:
                self.read(op)
        return [op for op in moves if op not in self.copied]

    def lie(self, value: Value) -> Lie:
        return self.lies.get(value) or Lie(row_major(value.type.shape))

    def seen_through(self, view: Op) -> Lie:
        found = self.lie(view.operands[0])
        strides: Strides | None = found.strides
        for inner in view.regions[0].block.ops:
            if inner.definition.is_terminator or strides is None:
                continue
            if is_move(inner):
                strides = moved(inner, strides)
            else:
                strides = reshaped(inner.operands[0].type.shape, strides, inner.result.type.shape)
        return found if strides is None else Lie(strides, found.move)

    def reshape(self, op: Op) -> None:
        """A view where strides allow it, else of a copy."""
        (x,) = op.operands
        found = self.lie(x)
        strides = reshaped(x.type.shape, found.strides, op.result.type.shape)
        if strides is None:
            self.copy(found)
            return
        self.lies[op.result] = Lie(strides, found.move)

    def copy(self, lie: Lie) -> None:
        if lie.move is not None:
            self.copied.add(lie.move)

    def read(self, op: Op) -> None:
        takes = self.takes(op)
        for index, operand in enumerate(op.operands):
            found = self.lie(operand)
            if not takes(index, found.strides):
                self.copy(found)
        for result in op.results:
            order = self.order_of(op, result)
            if order is not None:
                self.lies[result] = Lie(ordered(result.type.shape, order))

    # ---- who takes which strides

    def takes(self, op: Op) -> Callable[[int, Strides], bool]:
        """Whether operand ``index`` may have such strides."""
        if op.definition.is_terminator:
            return lambda index, strides: self.is_main
        if op.name == "kernel":
            return self.kernel_takes(op)
        return lambda index, strides: self.op_takes(op, index, strides)

    def kernel_takes(self, kernel: Op) -> Callable[[int, Strides], bool]:
        """What the ops in it take that read an argument, through views or as it is."""
        block = kernel.regions[0].block

        def takes(index: int, strides: Strides) -> bool:
            readers = block.arguments[index].uses
            return all(self.op_takes(op, place, strides) or is_view_inside(op) for op, place in readers)

        return takes

    def op_takes(self, op: Op, index: int, strides: Strides) -> bool:
        shape = op.operands[index].type.shape
        if op.name in ATTENTION:
            return len(shape) < 4 or not strides or strides[-1] == 1
        if op.definition.is_contraction and isinstance(op.definition, StructuredOp):
            if has_windows(op):
                return is_image(shape, strides)
            return is_stack_of_matrices(op, index, strides)
        if self.is_compiled and (isinstance(op.definition, StructuredOp) or op.definition.is_composite):
            return True
        if op.name in BY_ROWS:
            return is_row_major(shape, strides)
        if op.name == "group_norm":
            return is_image(shape, strides)
        if op.name == "concat" or op.name in BY_ELEMENTS:
            return True
        if op.definition.is_composite:
            inside = [inner for inner in op.regions[0].block.ops if not inner.definition.is_terminator]
            return all(inner.definition.is_view or not inner.operands or is_elementwise(inner) for inner in inside)
        if isinstance(op.definition, StructuredOp):
            return not has_windows(op) or is_image(shape, strides)
        return is_row_major(shape, strides)

    def order_of(self, op: Op, result: Value) -> Sequence[int] | None:
        """Axes of a result from the outermost in memory to the innermost; None for row-major."""
        if op.name in ATTENTION and result.type.rank == len(HEADS_BEHIND_TOKENS):
            return HEADS_BEHIND_TOKENS
        inside = list(op.regions[0].block.ops) if op.name == "kernel" else [op]
        if any(isinstance(each.definition, StructuredOp) and has_windows(each) for each in inside):
            return CHANNELS_LAST if self.is_channels_last(op.operands[0]) and result.type.rank == 4 else None
        if all(map(keeps_order, inside)):
            alike = [operand for operand in op.operands if operand.type.shape == result.type.shape]
            if alike:
                return axis_order(result.type.shape, self.lie(alike[0]).strides)
        return None

    def is_channels_last(self, value: Value) -> bool:
        return is_channels_last(value.type.shape, self.lie(value).strides)


def keeps_order(op: Op) -> bool:
    """Whether results lie in the order of what is read: element-wise work of PyTorch, and norms by image."""
    if op.definition.is_view or op.definition.is_terminator or not op.operands or op.name in ("concat", "group_norm"):
        return True
    if op.definition.is_composite:
        return all(map(keeps_order, op.regions[0].block.ops))
    return is_elementwise(op)


def is_view_inside(op: Op) -> bool:
    return op.definition.is_view or op.definition.is_terminator


def is_move(op: Op) -> bool:
    """Whether strides can tell where the result of an op lies: steps go forward, nothing is of unknown extent."""
    if op.name not in STRIDED or op.result.type.bounded or op.operands[0].type.bounded:
        return False
    return op.name != "slice" or all(step > 0 for step in ints_of(op.attrs, "steps"))


def moved(op: Op, strides: Strides) -> Strides:
    """Strides of the result of a move."""
    if op.name == "transpose":
        return tuple(strides[axis] for axis in ints_of(op.attrs, "perm"))
    if op.name == "slice":
        steps = ints_of(op.attrs, "steps") or (1,) * len(strides)
        return tuple(stride * step for stride, step in zip(strides, steps, strict=True))
    shape, before = op.result.type.shape, op.operands[0].type.shape
    lead = len(shape) - len(before)
    kept = [s if n == m else 0 for s, n, m in zip(strides, before, shape[lead:], strict=True)]
    return (*(0,) * lead, *kept)


def has_windows(op: Op) -> bool:
    space = op.definition.iteration_space(op)
    return space is not None and any(len(axis.terms) > 1 for access in space.operands[:1] for axis in access.axes)


def is_channels_last(shape: Sequence[int], strides: Strides) -> bool:
    return len(shape) == 4 and lies_in_order(shape, strides, CHANNELS_LAST)


def is_image(shape: Sequence[int], strides: Strides) -> bool:
    return is_row_major(shape, strides) or is_channels_last(shape, strides)


def is_stack_of_matrices(op: Op, index: int, strides: Strides) -> bool:
    """Whether cuBLAS takes an operand: one axis for all matrices, and in each rows or columns side by side.

    What a matrix is multiplied with that all share is one matrix itself, of all rows. Source: PyTorch,
    aten/src/ATen/native/LinearAlgebra.cpp, ``matmul``; Blas.cpp, ``prepare_batch_matrix_for_cublas``.
    """
    shape, other = op.operands[index].type.shape, op.operands[1 - index].type.shape
    if len(shape) < 2:
        return True
    folded = shape[:-1] if len(other) < 3 else shape[:-2]
    kept = shape[len(folded) :]
    rows = 1
    for extent in folded:
        rows *= extent
    found = reshaped(shape, strides, (rows, *kept))
    if found is None:
        return False
    (m, n), (outer, inner) = ((rows, *kept) if len(kept) == 1 else kept), found[-2:]
    return (inner == 1 and outer >= n) or (outer == 1 and inner >= m) or min(m, n) == 1
