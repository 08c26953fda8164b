"""Cases as calls of PyTorch: what runs, on operands of random numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch.nn import functional

from ircost.datasets.measuring.cases import TABLE_ELEMENTS, Attention, Case, Conv, Gemm, Vector

Call: TypeAlias = Callable[[], torch.Tensor]
DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32, "tf32": torch.float32}
EXPONENT = 1.7  # no case of its own in the library, as squares and roots are
BLOCK = 2**22  # random numbers that are drawn; larger operands repeat them


@dataclass(frozen=True, slots=True)
class Operands:
    """Makes operands on a device, the same for the same seed.

    Args:
        weights_in_turn_bytes: second operands of products take turns, as many of them as hold so many bytes: no cache
            then has one when it is read again. 0: there is one.
        most_in_turn: of them, at most.
    """

    device: torch.device
    generator: torch.Generator
    weights_in_turn_bytes: float = 0.0
    most_in_turn: int = 512

    def normal(self, dtype: str, *shape: int, scale: float = 1.0) -> torch.Tensor:
        """Of a normal distribution with this standard deviation."""
        return self._filled(dtype, shape, lambda block: block.normal_(0.0, scale, generator=self.generator))

    def near_one(self, dtype: str, *shape: int) -> torch.Tensor:
        """Between 0.5 and 1.5: powers and quotients of them are finite."""
        return self._filled(dtype, shape, lambda block: block.uniform_(0.5, 1.5, generator=self.generator))

    def _filled(self, dtype: str, shape: tuple[int, ...], fill: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        made = torch.empty(*shape, dtype=DTYPES[dtype], device=self.device)
        first, *others = made.view(-1).split(BLOCK)
        fill(first)
        for other in others:
            other.copy_(first[: len(other)])
        return made

    def in_turn(self, weight_bytes: int) -> int:
        """How many second operands there are."""
        return min(max(math.ceil(self.weights_in_turn_bytes / weight_bytes), 1), self.most_in_turn)


def calls_of(case: Case, operands: Operands) -> list[Call]:
    """What runs a case: calls that do the same work, one for each set of operands."""
    if isinstance(case, Gemm):
        return gemm_calls(case, operands)
    if isinstance(case, Attention):
        return [attention_call(case, operands)]
    if isinstance(case, Conv):
        return [conv_call(case, operands)]
    return [vector_call(case, operands)]


def gemm_calls(case: Gemm, operands: Operands) -> list[Call]:
    sets, scale = range(operands.in_turn(case.weight_bytes)), case.k**-0.5
    if case.op == "linear":
        x = operands.normal(case.dtype, case.m, case.k)
        weights = [operands.normal(case.dtype, case.n, case.k, scale=scale) for _ in sets]
        return [lambda w=w: functional.linear(x, w) for w in weights]  # type: ignore[misc]
    x = operands.normal(case.dtype, case.batch, case.m, case.k)
    others = [operands.normal(case.dtype, case.batch, case.k, case.n, scale=scale) for _ in sets]
    return [lambda y=y: torch.bmm(x, y) for y in others]  # type: ignore[misc]


def attention_call(case: Attention, operands: Operands) -> Call:
    q = operands.normal(case.dtype, case.batch, case.heads, case.q_len, case.head_dim)
    k, v = (operands.normal(case.kv_dtype, case.batch, case.kv_heads, case.kv_len, case.head_dim) for _ in "kv")
    # The causal mask of this call begins in the upper left corner, which is that of a prompt and not of one new token.
    is_causal = case.phase == "prefill"
    shares = case.heads > case.kv_heads
    return lambda: functional.scaled_dot_product_attention(q, k, v, is_causal=is_causal, enable_gqa=shares)


def conv_call(case: Conv, operands: Operands) -> Call:
    x = operands.normal(case.dtype, case.batch, case.in_channels, case.in_h, case.in_w)
    window = (case.kernel_h, case.kernel_w)
    scale = (case.in_channels * case.kernel_h * case.kernel_w) ** -0.5
    w = operands.normal(case.dtype, case.out_channels, case.in_channels, *window, scale=scale)
    if operands.device.type == "cuda" and case.dtype != "float32":  # as matrix units take them: no transposes
        x, w = (tensor.to(memory_format=torch.channels_last) for tensor in (x, w))
    stride, padding = (case.stride_h, case.stride_w), (case.pad_h, case.pad_w)
    return lambda: functional.conv2d(x, w, stride=stride, padding=padding)


def vector_call(case: Vector, operands: Operands) -> Call:
    if case.op == "embedding":
        table = operands.normal(case.dtype, TABLE_ELEMENTS // case.cols, case.cols)
        tokens = torch.randint(len(table), (case.rows,), device=operands.device, generator=operands.generator)
        return lambda: functional.embedding(tokens, table)
    x = operands.near_one(case.dtype, case.rows, case.cols)
    if case.op == "copy":  # into memory that is there: main memory's speed, and no allocator's
        result = torch.empty_like(x)
        return lambda: result.copy_(x)
    if case.op in PAIRS:
        of_two, y = PAIRS[case.op], operands.near_one(case.dtype, case.rows, case.cols)
        return lambda: of_two(x, y)
    of_one = SINGLES[case.op]
    return lambda: of_one(x)


def _normalised(x: torch.Tensor) -> torch.Tensor:
    return functional.layer_norm(x, x.shape[-1:])


Op: TypeAlias = Callable[..., Any]
PAIRS: Mapping[str, Op] = {"add": torch.add, "mul": torch.mul, "div": torch.div, "pow": torch.pow}
SINGLES: Mapping[str, Op] = {
    "add_scalar": lambda x: torch.add(x, EXPONENT),
    "mul_scalar": lambda x: torch.mul(x, EXPONENT),
    "div_scalar": lambda x: torch.div(x, EXPONENT),
    "pow_scalar": lambda x: torch.pow(x, EXPONENT),
    "relu": torch.relu,
    "tanh": torch.tanh,
    "gelu": functional.gelu,
    "softmax": lambda x: functional.softmax(x, dim=-1),
    "layer_norm": _normalised,
    "cumsum": lambda x: torch.cumsum(x, dim=-1),
}
