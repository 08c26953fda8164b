"""Tables of operators inside of models: each row becomes kernels of the families, forward and backward."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import prod

import numpy as np

from ircost.cost_models.gpu.families import FAMILIES, Family
from ircost.cost_models.gpu.table_schema import number_column
from ircost.cost_models.gpu.table_work import VECTOR_OPS, Columns

# Element-wise ops and reductions by their names there; a `u` at the end: the other operand is one number.
VECTOR_NAMES = {
    **{name: name for name in ("add", "mul", "div", "pow", "relu", "gelu", "tanh", "softmax")},
    **{"addu": "add_scalar", "mulu": "mul_scalar", "divu": "div_scalar", "powu": "pow_scalar", "ln": "layer_norm"},
}
MEMORY_NAMES = {"EMBEDDING": "embedding", "where": "where", "cumsum": "cumsum", "dropout": "dropout"}
# Gradients read the result's gradient beside the operand: as many bytes as a product of two tensors. That of a sum is
# the result's own, and no kernel.
BACKWARD_NAMES = {"softmax": "softmax_gradient", "layer_norm": "layer_norm_gradient", "add": "", "add_scalar": ""}
BACKWARD = "mul"
MOST_CHARACTERS = 4000  # of a cell: keeps Python's parser far from the end of its stack
MOST_TOLD = 120  # of its characters in a message
LARGEST = 2**53  # of a dim: up to there every whole number is one in floating point
Kernel = tuple[str, tuple[object, ...]]  # family, and its dims in the order of DIMS
DIMS = {"gemm": ("op", "batch", "m", "n", "k"), "vector": ("op", "rows", "cols")}


def is_model_ops(columns: Columns) -> bool:
    return {"op", "dims", "forward_us"} <= columns.keys()


def parts_of_model_ops(
    columns: Columns,
) -> tuple[list[tuple[Family, Columns, np.ndarray]], dict[str, list[np.ndarray]]]:
    """The rows as columns of families, with the row that each kernel belongs to; and the rows that nobody can read."""
    found: dict[str, list[tuple[int, tuple[object, ...]]]] = defaultdict(list)
    failures: dict[str, list[np.ndarray]] = {}
    is_trained = backward_us(columns) > 0
    operands = columns.get("input_shapes", np.full(len(is_trained), "[]", dtype=object))
    for row, (op, dims, shapes) in enumerate(zip(columns["op"], columns["dims"], operands, strict=True)):
        try:
            for family, kernel in kernels_of(str(op), str(dims), str(shapes), bool(is_trained[row])):
                found[family].append((row, kernel))
        except (ValueError, KeyError, IndexError):
            told = f"{dims}" if len(str(dims)) <= MOST_TOLD else f"{str(dims)[:MOST_TOLD]}..."
            failures.setdefault(f"operator '{op}' with dims {told} is not known", []).append(np.array([row]))
    parts: list[tuple[Family, Columns, np.ndarray]] = []
    for name, kernels in found.items():
        rows = np.array([row for row, _ in kernels])
        own = {key: columns[key][rows] for key in ("device", "framework", "dtype") if key in columns}
        for place, dim in enumerate(DIMS[name]):
            values = [kernel[place] for _, kernel in kernels]
            own[dim] = np.array(values, dtype=object if dim == "op" else float)
        parts.append((FAMILIES[name], own, rows))
    return parts, failures


def backward_us(columns: Columns) -> np.ndarray:
    """Measured time of the backward pass; 0 where there was none."""
    if "backward_us" not in columns:
        return np.zeros(len(columns["op"]))
    found: np.ndarray = np.nan_to_num(number_column(columns["backward_us"]))
    return found


@lru_cache(maxsize=1 << 14)
def kernels_of(op: str, dims: str, input_shapes: str, is_trained: bool) -> tuple[Kernel, ...]:
    """The kernels of one operator.

    Args:
        op: the table's name of it.
        dims: its kernels' kinds and extents, as text.
        input_shapes: of its operands, as text.
        is_trained: with those of its gradient.

    Raises:
        ValueError, KeyError, IndexError: it is not known, or its dims cannot be read.

    >>> kernels_of("Linear", "[['Linear', (8, 64, 32)]]", "[[8, 64]]", False)
    (('gemm', ('linear', 1, 8, 32, 64)),)
    >>> kernels_of("div", "[['VECdiv', (8, 64)]]", "[[8, 64], [1]]", False)
    (('vector', ('div_scalar', 8, 64)),)
    """
    operands = [_shape(shape) for shape in _listed(_literal(input_shapes))]
    by_number = len(operands) > 1 and prod(operands[-1]) == 1
    parts = [_listed(part) for part in _listed(_literal(dims))]
    found = tuple(kernel for kind, extents in parts for kernel in _kernels(op, kind, extents, by_number, is_trained))
    if not found or any(isinstance(dim, int) and dim > LARGEST for _, kernel in found for dim in kernel):
        raise ValueError("no kernels, or impossibly large ones")
    return found


def _literal(text: str) -> object:
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"{len(text)} characters, at most {MOST_CHARACTERS} are read")
    try:
        found: object = ast.literal_eval(text)
    except (SyntaxError, TypeError, MemoryError, RecursionError):
        raise ValueError("no list of Python's") from None
    return found


def _listed(value: object) -> Sequence[object]:
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"a list expected, not {value!r}")
    return value


def _shape(value: object) -> tuple[int, ...]:
    extents = tuple(extent for extent in _listed(value) if type(extent) is int and extent > 0)
    if len(extents) < len(_listed(value)):
        raise ValueError(f"positive whole numbers expected, not {value!r}")
    return extents


def _kernels(op: str, kind: object, extents: object, by_number: bool, is_trained: bool) -> Iterator[Kernel]:
    if not isinstance(kind, str):
        raise ValueError(f"a kind of kernel expected, not {kind!r}")
    if kind in ("Linear", "BMM"):
        *batches, m, k, n = _shape(extents)
        batch, name = prod(batches), "bmm" if kind == "BMM" else "linear"
        yield "gemm", (name, batch, m, n, k)
        if is_trained:
            yield "gemm", (name, batch, m, k, n)
            yield "gemm", (name, batch, n, k, m)
    elif kind == "MEM":
        yield from _memory_kernels(op, [_shape(shape) for shape in _listed(extents)], is_trained)
    elif kind.startswith("VEC"):
        name, (rows, cols) = VECTOR_NAMES[kind[3:]], _shape(extents)
        name = f"{name}_scalar" if by_number and f"{name}_scalar" in VECTOR_OPS else name
        backward = BACKWARD_NAMES.get(name, BACKWARD)
        yield "vector", (name, rows, cols)
        if is_trained and backward:
            yield "vector", (backward, rows, cols)
    else:
        raise ValueError(f"no kernels of kind {kind}")


def _memory_kernels(op: str, shapes: Sequence[Sequence[int]], is_trained: bool) -> Iterator[Kernel]:
    *operands, result = shapes
    name = MEMORY_NAMES[op]
    if name == "where" and sum(prod(shape) == prod(result) for shape in operands) < 2:
        name = "copy"  # a mask and a number that all rows share: one operand is read in full
    assert name in VECTOR_OPS, f"{name} is not an op of tables"
    for _ in range(1 + is_trained):
        yield "vector", (name, prod(result[:-1]), result[-1])
