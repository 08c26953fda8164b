"""Number formats as measured tables name them: what is computed in, and how wide operands lie in memory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Format:
    """Args:
    arithmetic: format of the products.
    activation_bytes, weight_bytes, result_bytes: of an element, scales included.
    unpack_flops: vector operations on each weight before it can be multiplied: mask, convert, scale.
    converted_bytes: of an activation, read in 16 bits and written in the format, where a kernel of its own converts.
    """

    arithmetic: str
    activation_bytes: float
    weight_bytes: float
    result_bytes: float
    unpack_flops: float = 0.0
    converted_bytes: float = 0.0

    @property
    def is_block_scaled(self) -> bool:
        """Whether matrix units take the scales in: of blocks of 32, powers of two (Microscaling)."""
        return self.arithmetic == "f8e4m3" and self.activation_bytes == self.weight_bytes == 1 + 1 / 32

    @property
    def is_blocked(self) -> bool:
        """Whether blocks of activations have scales of their own."""
        return self.activation_bytes % 0.5 != 0


# 128 x 128 blocks of weights and 1 x 128 of activations share a scale of 4 bytes; groups of 128 int4 one of 2; blocks
# of 32 fp4 one byte (MX), of 16 one byte (NVFP4).
FORMATS = {
    "float32": Format("f32", 4, 4, 4),
    "float64": Format("f64", 8, 8, 8),
    "tf32": Format("tf32", 4, 4, 4),
    "float16": Format("f16", 2, 2, 2),
    "half": Format("f16", 2, 2, 2),
    "bfloat16": Format("bf16", 2, 2, 2),
    "fp8": Format("f8e4m3", 1, 1, 2, converted_bytes=3),
    "fp8_block": Format("f8e4m3", 1 + 4 / 128, 1 + 4 / 128**2, 2, converted_bytes=3),
    "mxfp8": Format("f8e4m3", 1 + 1 / 32, 1 + 1 / 32, 2, converted_bytes=3),
    "int8": Format("i8", 1, 1, 4),
    "sq": Format("i8", 1, 1, 2),
    "int8_wo": Format("bf16", 2, 1, 2, unpack_flops=2),
    "int4_wo": Format("bf16", 2, 0.5 + 2 / 128, 2, unpack_flops=3),
    "w4a16_mxfp4": Format("bf16", 2, 0.5 + 1 / 32, 2, unpack_flops=3),
    "w4a8_mxfp4": Format("f8e4m3", 1, 0.5 + 1 / 32, 2, unpack_flops=3, converted_bytes=3),
    "mxfp4": Format("f4e2m1", 0.5 + 1 / 32, 0.5 + 1 / 32, 2, converted_bytes=2.5),
    "nvfp4": Format("f4e2m1", 0.5 + 1 / 16, 0.5 + 1 / 16, 2, converted_bytes=2.5),
    "fp4": Format("f4e2m1", 0.5 + 1 / 16, 0.5 + 1 / 16, 2, converted_bytes=2.5),
}
# What others call them: the IR, PyTorch, and whoever writes `fp`. Both formats of 8 bits run at one speed.
ALIASES = {
    **{"fp16": "float16", "bf16": "bfloat16", "fp32": "float32", "fp64": "float64"},
    **{"f16": "float16", "f32": "float32", "f64": "float64", "i8": "int8", "u8": "int8", "uint8": "int8"},
    **dict.fromkeys(("f8e4m3", "f8e5m2", "fp8_e4m3", "fp8_e5m2", "float8", "float8_e4m3", "float8_e5m2"), "fp8"),
    **dict.fromkeys(("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2fnuz"), "fp8"),
    "f4e2m1": "nvfp4",
}


def format_of(name: str) -> Format | None:
    """None where nobody knows the name."""
    return FORMATS.get(format_name(name))


def format_name(name: str) -> str:
    """The name in ``FORMATS``, by which constants are fitted and models trained; unknown ones stay.

    >>> format_name("FP16"), format_name("torch.bfloat16"), format_name("fp8_e4m3"), format_name("float17")
    ('float16', 'bfloat16', 'fp8', 'float17')
    """
    low = name.lower().removeprefix("torch.")
    known = ALIASES.get(low, low)
    return known if known in FORMATS else name
