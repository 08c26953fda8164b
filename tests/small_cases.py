"""Small kernels of every family that `irc measure` times, with the shapes of their results."""

from ircost.datasets.measuring.cases import Attention, Conv, Gemm, Vector
from ircost.datasets.measuring.sampling import STREAMS

F32 = "float32"
CASES = [
    (Gemm("linear", F32, 1, 3, 16, 8), (3, 16)),
    (Gemm("bmm", F32, 4, 3, 16, 8), (4, 3, 16)),
    (Attention("prefill", F32, F32, 2, 5, 5, 4, 2, 8), (2, 4, 5, 8)),
    (Attention("decode", F32, F32, 2, 1, 9, 4, 2, 8), (2, 4, 1, 8)),
    (Conv("conv2d", F32, 2, 3, 8, 8, 4, *(3, 3, 2, 2, 1, 1)), (2, 4, 4, 4)),
    *((Vector(op, F32, 3, 64), (3, 64)) for ops in STREAMS.values() for op in ops),
]
