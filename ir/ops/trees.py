"""Ensembles of decision trees."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ircost.ir.attributes import REQUIRED, Attributes, AttributeSpec, int_of
from ircost.ir.counts import Counts
from ircost.ir.definition import Arrays, OpDefinition, register_op
from ircost.ir.errors import DTypeError, ShapeError, VerifyError
from ircost.ir.graph import Op, Region
from ircost.ir.types import TensorType, boolean

# How a node compares a feature with its threshold; the position is the code.
MODES = ("leq", "lt", "gte", "gt", "eq", "neq")
COMPARE = (np.less_equal, np.less, np.greater_equal, np.greater, np.equal, np.not_equal)
COMBINE: dict[str, Callable[..., np.ndarray]] = {"sum": np.nansum, "min": np.nanmin, "max": np.nanmax}


class TreeEnsemble(OpDefinition):
    """From each root down to a leaf, for every row; the leaves' weights combined over the trees.

    Shapes: x [n, f]; of k nodes: features, modes, true and false children, whether a missing value (NaN) goes to the
    true child [k], thresholds [k], weights [k, m] (NaN where a leaf has none for a target); roots [t]; out [n, m]. A
    leaf is its own child. ``depth`` is the longest way; ``combine`` is sum, min or max.

    Counted as ``depth`` compares a tree and row: an upper bound. Source: ONNX TreeEnsemble-5.
    """

    name = "tree_ensemble"
    operand_names = (
        *("x", "features", "modes", "true_children", "false_children"),
        *("missing_true", "thresholds", "weights", "roots"),
    )
    attributes = {"depth": AttributeSpec("int", REQUIRED), "combine": AttributeSpec("str", "sum")}

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        x, *nodes, weights, roots = operands
        if (
            x.rank != 2
            or weights.rank != 2
            or any(table.shape != weights.shape[:1] for table in nodes)
            or roots.rank != 1
        ):
            raise ShapeError(f"tree_ensemble: x is {x}, weights are {weights}; tables of nodes differ in length")
        features, modes, true_children, false_children, missing_true, thresholds = (table.dtype for table in nodes)
        places = (features, modes, true_children, false_children, roots.dtype)
        if not all(dtype.is_integer for dtype in places) or missing_true != boolean or not thresholds.is_float:
            given = ", ".join(str(type.dtype) for type in operands)
            raise DTypeError(f"tree_ensemble: formats {given} do not fit", help="tables of places are of integers")
        return (TensorType((x.shape[0], weights.shape[1]), x.dtype),)

    def verify(self, op: Op) -> None:
        if op.attrs["combine"] not in COMBINE:
            raise VerifyError(f"tree_ensemble: no way '{op.attrs['combine']}' to combine trees", at=op)
        nodes = op.operands[1].type.shape[0]
        if not 0 <= int_of(op.attrs, "depth") <= nodes:
            raise VerifyError(f"tree_ensemble: depth is {op.attrs['depth']}, there are {nodes} nodes", at=op)

    def evaluate(self, op: Op, operands: Arrays) -> Sequence[np.ndarray]:
        x, features, modes, true_children, false_children, missing_true, thresholds, weights, roots = operands
        at = np.broadcast_to(roots, (len(x), len(roots)))
        for _ in range(int_of(op.attrs, "depth")):
            value = np.take_along_axis(x, features[at], axis=1)
            tests = [compare(value, thresholds[at]) for compare in COMPARE]
            holds = np.where(np.isnan(value), missing_true[at], np.select([modes[at] == i for i in range(6)], tests))
            at = np.where(holds, true_children[at], false_children[at])
        combined = COMBINE[str(op.attrs["combine"])](weights[at], axis=1)
        return [np.nan_to_num(combined, nan=0.0).astype(x.dtype)]

    def operand_bytes(self, op: Op) -> Sequence[int]:
        """Of the tables no more than the nodes that are met."""
        rows, roots = op.operands[0].type.shape[0], op.operands[-1].type.shape[0]
        met = rows * roots * (int_of(op.attrs, "depth") + 1)
        sizes = [operand.type.size_bytes for operand in op.operands]
        nodes = max(op.operands[1].type.shape[0], 1)
        return [sizes[0], *(min(size, size * met // nodes + 1) for size in sizes[1:-1]), sizes[-1]]

    def counts(self, op: Op) -> Counts:
        rows, roots = op.operands[0].type.shape[0], op.operands[-1].type.shape[0]
        targets = op.result.type.shape[1]
        return Counts(compare=rows * roots * int_of(op.attrs, "depth"), add=rows * roots * targets)


tree_ensemble = register_op(TreeEnsemble())
