"""Products with quantised weights."""

from __future__ import annotations

import math

import numpy as np

from ircost.frontends.config.architecture import Quantisation
from ircost.frontends.config.scope import Scope
from ircost.ir import ops
from ircost.ir.graph import Value
from ircost.ir.numpy_dtypes import numpy_dtype
from ircost.ir.types import DType, TensorType


def form_of(scope: Scope) -> Quantisation | None:
    """How weights of the part at hand are quantised; None: they are not."""
    form, part = scope.quantisation, ".".join(scope.path[1:])
    if form is not None and scope.path == ("head",):
        return form.head
    if form is None or not scope.path[0].startswith("layers") or WIDE & set(scope.path) or part in scope.wide:
        return None
    if part == "attention.indexer.weights":  # one for each head
        return None
    if not form.mixed:
        return form
    number = dict(scope.forms).get(part)
    return None if number is None else form.mixed[number][0]


WIDE = {"router", "shared_gate"}  # small, and decisive


def quantised_linear(scope: Scope, x: Value, width: int) -> Value:
    """x W' with W in its narrow format: widened on the way, or multiplied as it is with x quantised, too."""
    form, k = form_of(scope), x.type.shape[-1]
    assert form is not None, "asked for where there is one"
    block = min(form.block or k, k)
    blocks, short = -(-k // block), short_block(block, k)
    if form.activations is None:
        shape = (width, k) if short else (width, blocks, block)
        weights = scope.weight("weight", *shape, dtype=form.weights)
        scales = _beside(scope, "scales", width, blocks, 1, dtype=form.scales)
        zeros = _zeros(scope, form, width, blocks, 1)
        return scope(ops.block_quantised_matmul(x, weights, scales, zeros, inner=k, block=short))
    narrow, x_scale = scope.build.op(ops.quantise_rows.create([x], {"to": form.activations, "block": block})).results
    weights = scope.weight("weight", width, k, dtype=form.weights)
    rows = form.rows if width % form.rows == 0 else 1
    scales = _beside(scope, "scales", width // rows, blocks, dtype=form.scales)
    return scope(ops.scaled_matmul(narrow, x_scale, weights, scales, out=scope.dtype, block=short))


def short_block(block: int, *rows: int) -> int:
    """A block that leaves a shorter one at the end of any of these rows; 0 where all are whole.

    Ranks that share a row may have no whole blocks of it: what is left has a scale of its own on each of them.

    >>> short_block(32, 2880, 360), short_block(32, 2880, 1440), short_block(0, 360)
    (32, 0, 0)
    """
    return block if block and any(k % block for k in rows) else 0


def expert_scales(scope: Scope, name: str, weights: TensorType) -> list[Value]:
    """Scales and zero points of all experts' weights [e, n, k]."""
    form = form_of(scope)
    assert form is not None, "asked for where there is one"
    count, n, k = weights.shape
    blocks = -(-k // (form.block or k))
    rows = form.rows if n % form.rows == 0 else 1
    scales = _beside(scope, f"{name}_scales", count, n // rows, blocks, dtype=form.scales)
    return [scales, _zeros(scope, form, count, n // rows, blocks, name=f"{name}_zeros")]


def _zeros(scope: Scope, form: Quantisation, *shape: int, name: str = "zeros") -> Value:
    if form.has_zeros:
        return _beside(scope, name, *shape, dtype=form.weights)
    return scope(ops.constant_of(np.zeros((), numpy_dtype(scope.dtype))))


def _beside(scope: Scope, name: str, *shape: int, dtype: DType) -> Value:
    """Scales and zero points: published counts of parameters leave them out."""
    return scope.weight(name, *shape, dtype=dtype, padding=math.prod(shape))
