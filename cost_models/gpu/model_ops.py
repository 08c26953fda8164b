"""Tables of operators inside of models: each row becomes kernels of the families, forward and backward."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from math import prod

import numpy as np

from ircost.cost_models.gpu.families import FAMILIES, Family
from ircost.cost_models.gpu.table_work import Columns

# Element-wise ops and reductions by their names there.
VECTOR_NAMES = {
    **{name: name for name in ("add", "mul", "div", "relu", "gelu", "tanh", "softmax")},
    **{"addu": "add_scalar", "mulu": "mul_scalar", "divu": "div_scalar", "powu": "pow_scalar", "ln": "layer_norm"},
}
# Their gradients read the result's gradient beside the operand: as many bytes as a product of two tensors.
BACKWARD_NAMES = {"softmax": "softmax_gradient", "layer_norm": "layer_norm_gradient"}
Kernel = tuple[str, tuple[object, ...]]  # family, and its dims in the order of DIMS
DIMS = {"gemm": ("op", "batch", "m", "n", "k"), "vector": ("op", "rows", "cols")}


def is_model_ops(columns: Columns) -> bool:
    return {"dims", "forward_us", "backward_us"} <= set(columns)


def parts_of_model_ops(
    columns: Columns,
) -> tuple[list[tuple[Family, dict[str, np.ndarray], np.ndarray]], dict[str, list[np.ndarray]]]:
    """The rows as columns of families, with the row that each kernel belongs to; and the rows that nobody can read."""
    found: dict[str, list[tuple[int, tuple[object, ...]]]] = defaultdict(list)
    failures: dict[str, list[np.ndarray]] = {}
    for row, (op, dims, backward_us) in enumerate(
        zip(columns["op"], columns["dims"], columns["backward_us"], strict=True)
    ):
        try:
            for family, kernel in kernels_of(str(op), str(dims), backward_us > 0):
                found[family].append((row, kernel))
        except (ValueError, SyntaxError, TypeError, KeyError, IndexError):
            failures.setdefault(f"operator '{op}' with dims {dims} is not known", []).append(np.array([row]))
    parts = []
    for name, kernels in found.items():
        rows = np.array([row for row, _ in kernels])
        own = {key: columns[key][rows] for key in ("device", "framework", "dtype") if key in columns}
        for place, dim in enumerate(DIMS[name]):
            values = [kernel[place] for _, kernel in kernels]
            own[dim] = np.array(values, dtype=object if dim == "op" else float)
        parts.append((FAMILIES[name], own, rows))
    return parts, failures


@lru_cache(maxsize=1 << 14)
def kernels_of(op: str, dims: str, is_trained: bool) -> tuple[Kernel, ...]:
    """The kernels of one operator.

    Raises:
        ValueError: it is not known.
    """
    return tuple(kernel for kind, extents in ast.literal_eval(dims) for kernel in _kernels(op, kind, extents, is_trained))


def _kernels(op: str, kind: str, extents: tuple[int, ...], is_trained: bool) -> Iterator[Kernel]:
    if kind in ("Linear", "BMM"):
        *batches, m, k, n = extents
        batch, name = prod(batches), "bmm" if kind == "BMM" else "linear"
        yield "gemm", (name, batch, m, n, k)
        if is_trained:
            yield "gemm", (name, batch, m, k, n)
            yield "gemm", (name, batch, n, k, m)
    elif kind == "MEM":
        yield from _memory_kernels(op, extents, is_trained)  # type: ignore[arg-type]
    elif kind.startswith("VEC"):
        name = VECTOR_NAMES[kind[3:]]
        yield "vector", (name, *extents)
        if is_trained:
            yield "vector", (BACKWARD_NAMES.get(name, "mul"), *extents)
    else:
        raise ValueError(kind)


def _memory_kernels(op: str, shapes: tuple[tuple[int, ...], ...], is_trained: bool) -> Iterator[Kernel]:
    *_, result = shapes
    name = "embedding" if op == "EMBEDDING" else "copy"
    rows, cols = prod(result[:-1]), result[-1]
    for _ in range(1 + is_trained):
        yield "vector", (name, rows, cols)
