"""All ops by name: ``ops.matmul(x, w)`` makes a detached op and returns its result."""

from ircost.ir.ops.constant import constant, constant_array, constant_of, constant_value, iota, opaque
from ircost.ir.ops.contraction import contract, conv, conv_integer, conv_transpose, matmul, matmul_integer
from ircost.ir.ops.control import call, if_, kernel, scan, while_
from ircost.ir.ops.elementwise import (
    abs,
    acos,
    acosh,
    add,
    asin,
    asinh,
    atan,
    atanh,
    cast,
    ceil,
    cos,
    cosh,
    div,
    elu,
    equal,
    erf,
    exp,
    floor,
    fmod,
    gelu,
    gelu_tanh,
    greater,
    greater_equal,
    hard_sigmoid,
    hard_swish,
    isinf,
    isnan,
    leaky_relu,
    less,
    less_equal,
    log,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    maximum,
    minimum,
    mod,
    mul,
    neg,
    not_equal,
    pow,
    prelu,
    reciprocal,
    relu,
    round,
    rsqrt,
    sigmoid,
    sign,
    silu,
    sin,
    sinh,
    softplus,
    sqrt,
    sub,
    tan,
    tanh,
    where,
)
from ircost.ir.ops.indexing import cumsum, gather, gather_elements, gather_nd, scatter_elements, scatter_nd, top_k
from ircost.ir.ops.movement import broadcast, pad, slice, transpose
from ircost.ir.ops.normalization import (
    batch_norm,
    group_norm,
    layer_norm,
    log_softmax,
    reduce_mean,
    rms_norm,
    scalar_like,
    softmax,
)
from ircost.ir.ops.pooling import max_pool, sum_pool
from ircost.ir.ops.recurrent import gru, lstm
from ircost.ir.ops.reduction import (
    argmax,
    argmin,
    reduce_all,
    reduce_any,
    reduce_max,
    reduce_min,
    reduce_prod,
    reduce_sum,
)
from ircost.ir.ops.shape import concat, reshape
from ircost.ir.terminators import return_, yield_

__all__ = [name for name in dir() if not name.startswith("__")]
