"""Large constants of one number: written as such, not element by element."""

from __future__ import annotations

import numpy as np

from ircost.backends.onnx.emitter import Scope, emits
from ircost.backends.onnx.node import Array, Input, node, whole_numbers
from ircost.ir.constant import Splat
from ircost.ir.graph import Op
from ircost.ir.numpy_dtypes import numpy_dtype


@emits("constant")
def emit_splat(op: Op, scope: Scope) -> Input | None:
    data = op.attrs["value"]
    if not isinstance(data, Splat):
        return None
    number = np.asarray(data.value).astype(numpy_dtype(op.result.type.dtype))
    return node("Expand", Array(number), whole_numbers(*op.result.type.shape))
