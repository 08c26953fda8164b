"""Rows of measured tables as printed IR: the kernel as ops, machine and runtime as attributes of the module."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import sqrt
from typing import Any

import numpy as np

from ircost.cost_models.gpu.formats import Format, format_of
from ircost.cost_models.gpu.machine import machine_of
from ircost.cost_models.gpu.rows import RowGroup
from ircost.cost_models.gpu.table_work import LATENT, NOPE, ROPE, VALUE, Setting, skew_of
from ircost.cost_models.learned.rows import Readable
from ircost.ir import Builder, Function, Module, TensorType, Value, ops
from ircost.ir.attributes import Attribute
from ircost.ir.errors import IrcError
from ircost.ir.printer import print_module
from ircost.ir.types import DType, bf16, f8e4m3, f16, f32, i4, i8, i32, parse_dtype

Row = Mapping[str, Any]
Writer = Callable[["Kernel", Row, Format], Value]
LABELS = ("runtime", "kind", "kernel", "dtype")  # words that the feature model sees, too
VOCABULARY = 32_000  # rows of an embedding's table, which measured tables do not tell


class RowTextError(IrcError):
    """Rows whose kernels no op of the IR stands for."""


class Kernel:
    """A ``main`` that is being written; every operand is an argument of it."""

    def __init__(self) -> None:
        self.function = Function("main", [])
        self.build = Builder(self.function.block)

    def operand(self, dtype: DType, *shape: object) -> Value:
        return self.function.block.add_argument(TensorType(tuple(int(extent) for extent in shape), dtype))  # type: ignore[call-overload]

    def weights(self, form: Format, *shape: object) -> Value:
        """In the format that they lie in memory in, widened to that of the arithmetic."""
        stored, wanted = weight_dtype(form), parse_dtype(form.arithmetic)
        value = self.operand(stored, *shape)
        return value if stored == wanted else ops.cast(value, to=wanted)


def texts_of(table: Readable, rows: Sequence[int] | np.ndarray) -> list[str]:
    """The printed module of each row.

    Args:
        rows: of ``table``, in any order.

    Raises:
        RowTextError: rows of this family, or of an op in it, have no op in the IR.
    """
    writer = writer_of(table)
    groups = [group for group in table.groups if group.setting is not None]
    number = np.full(len(table.place), -1)
    for place, group in enumerate(groups):
        number[group.rows] = place
    attributes = [module_attributes(group) for group in groups]
    texts = []
    for row, place in zip(rows, number[rows].tolist(), strict=True):
        own = {name: column[row] for name, column in table.columns.items()}
        setting = groups[place].setting
        assert place >= 0 and setting is not None, "rows of known machines"
        try:
            texts.append(row_text(writer, own, setting, attributes[place]))
        except IrcError as error:
            told = f"row {table.place[row] + 1} of {table.family.name}: {error.message}"
            raise RowTextError(told, help=error.help or "leave it out of the table") from error
    return texts


def writer_of(table: Readable) -> Writer:
    """Raises:
    RowTextError: rows of this family have no op in the IR.
    """
    name = table.family.name
    if name not in WRITERS:
        raise RowTextError(f"no text is written of rows of {name}", help=f"give rows of {', '.join(WRITERS)}")
    return WRITERS[name]


def row_text(writer: Writer, row: Row, setting: Setting, attributes: Mapping[str, Attribute]) -> str:
    kernel = Kernel()
    result = kernel.build(writer(kernel, row, setting.format))
    kernel.build.op(ops.return_.create([result]))
    return print_module(Module([kernel.function], "row", {**attributes, **row_attributes(row)}))


def module_attributes(group: RowGroup) -> dict[str, Attribute]:
    """What rows of a group share: words, and the machine by its data sheet, not by its name; SI base units."""
    assert group.setting is not None, "groups of known machines"
    machine = machine_of(group.setting.target)
    figures = {
        **{"flops_per_s": group.setting.flops_per_s, "vector_flops_per_s": machine.vector_flops_per_s},
        **{"main_bytes_per_s": machine.main_bytes_per_s, "cache_bytes": machine.cache_bytes},
        **{"processors": machine.processors, "clock_hz": machine.clock_hz},
    }
    return {name: group.labels.get(name, "") for name in LABELS} | {name: float(x) for name, x in figures.items()}


def row_attributes(row: Row) -> dict[str, Attribute]:
    """What a row says that no op has a place for.

    Raises:
        RowTextError: how tokens are spread over experts is not known.
    """
    if "experts" not in row:
        return {}
    skew = skew_of(str(row["distribution"]))
    if skew is None:
        raise RowTextError(
            f"distribution '{row['distribution']}' is not known", help="write balanced, or power_law_1.2"
        )
    return {"skew": skew, "ranks": int(row["ep"])}


def weight_dtype(form: Format) -> DType:
    if form.weight_bytes < 0.75:
        return i4
    return parse_dtype(form.arithmetic) if form.weight_bytes >= form.activation_bytes else i8


def sixteen_bits(form: Format) -> DType:
    """The format of activations that are not narrowed."""
    return f32 if form.arithmetic in ("f32", "tf32") else f16 if form.arithmetic == "f16" else bf16


# ---- families


def gemm(kernel: Kernel, row: Row, form: Format) -> Value:
    batch = () if row["batch"] == 1 else (row["batch"],)
    lhs = kernel.operand(parse_dtype(form.arithmetic), *batch, row["m"], row["k"])
    rhs = kernel.weights(form, *batch, row["k"], row["n"])
    return ops.matmul(lhs, rhs, out=sixteen_bits(form))


def attention(kernel: Kernel, row: Row, form: Format) -> Value:
    q_format, width = sixteen_bits(form), int(row["head_dim"])
    cache = kv_dtype(row, q_format)
    q = kernel.operand(q_format, row["batch"], row["heads"], row["q_len"], width)
    k, v = (kernel.operand(cache, row["batch"], row["kv_heads"], row["kv_len"], width) for _ in range(2))
    is_causal = row["phase"] != "encoder"
    return ops.attention(q, k, v, scale=1 / sqrt(width), is_causal=is_causal, window=int(max(row["window"], 0)))


def mla(kernel: Kernel, row: Row, form: Format) -> Value:
    """Decoding, all heads share one latent, which is key and value at once."""
    batch, heads, queries, keys = (row[name] for name in ("batch", "heads", "q_len", "kv_len"))
    q_format = sixteen_bits(form)
    if row["phase"] == "prefill":
        q = kernel.operand(q_format, batch, heads, queries, NOPE + ROPE)
        k = kernel.operand(q_format, batch, heads, keys, NOPE + ROPE)
        v = kernel.operand(q_format, batch, heads, keys, VALUE)
        return ops.attention(q, k, v, scale=1 / sqrt(NOPE + ROPE), is_causal=True)
    q = kernel.operand(q_format, batch, heads, queries, LATENT + ROPE)
    latent = kernel.operand(kv_dtype(row, q_format), batch, 1, keys, LATENT + ROPE)
    return ops.attention(q, latent, latent, scale=1 / sqrt(NOPE + ROPE), is_causal=True, value_width=LATENT)


def kv_dtype(row: Row, otherwise: DType) -> DType:
    form = format_of(str(row["kv_dtype"]))
    if form is None or form.weight_bytes == otherwise.bits / 8:
        return otherwise
    return f8e4m3 if form.weight_bytes < otherwise.bits / 8 else f32


def moe(kernel: Kernel, row: Row, form: Format) -> Value:
    experts, inner = max(int(row["experts"] // row["ep"]), 1), max(int(row["inter"] // row["tp"]), 1)
    gates = 1 if "nongated" in row["kernel"] else 2
    rows = sixteen_bits(form)
    x = kernel.operand(rows, row["tokens"], row["hidden"])
    shares = kernel.operand(rows, row["tokens"], row["topk"])
    chosen = kernel.operand(i32, row["tokens"], row["topk"])
    stored = weight_dtype(form)
    up, down = (
        kernel.operand(stored, experts, *shape) for shape in ((gates * inner, row["hidden"]), (row["hidden"], inner))
    )
    wide = [value if stored == rows else ops.cast(value, to=rows) for value in (up, down)]
    return ops.mixture_of_experts(x, shares, chosen, *wide, gate="halves" if gates == 2 else "none")


def conv(kernel: Kernel, row: Row, form: Format) -> Value:
    """Gradients are convolutions as well: that of the data a transposed one, that of the weights one over images."""
    dtype = parse_dtype(form.arithmetic)
    n, c, f = (int(row[name]) for name in ("batch", "in_channels", "out_channels"))
    size, window, stride, pad = (
        tuple(int(row[name]) for name in names)
        for names in (("in_h", "in_w"), ("kernel_h", "kernel_w"), ("stride_h", "stride_w"), ("pad_h", "pad_w"))
    )
    out = tuple(max((i + 2 * p - k) // s + 1, 1) for i, k, s, p in zip(size, window, stride, pad, strict=True))
    pads = tuple((p, p) for p in pad)
    if row["op"] == "conv2d_dgrad":
        x, weight = kernel.operand(dtype, n, f, *out), kernel.operand(dtype, f, c, *window)
        return ops.conv_transpose(x, weight, strides=stride, pads=pads)
    if row["op"] == "conv2d_wgrad":
        x, weight = kernel.operand(dtype, c, n, *size), kernel.operand(dtype, f, n, *out)
        return ops.conv(x, weight, dilations=stride, pads=pads)
    x, weight = kernel.operand(dtype, n, c, *size), kernel.operand(dtype, f, c, *window)
    return ops.conv(x, weight, strides=stride, pads=pads)


UNARY = {"relu": "relu", "tanh": "tanh", "gelu": "gelu", "activation": "gelu"}
BINARY = {"add": "add", "mul": "mul", "div": "div", "pow": "pow", "silu_and_mul": "swiglu"}


def vector(kernel: Kernel, row: Row, form: Format) -> Value:
    """Raises:
    RowTextError: an op that has no counterpart in the IR.
    """
    op, dtype = str(row["op"]), sixteen_bits(form)
    rows, columns = int(row["rows"]), int(row["cols"])

    def operand(*shape: int) -> Value:
        return kernel.operand(dtype, *(shape or (rows, columns)))

    name, _, ending = op.rpartition("_")
    if op in UNARY:
        return getattr(ops, UNARY[op])(operand())  # type: ignore[no-any-return]
    if op in BINARY:
        return getattr(ops, BINARY[op])(operand(), operand())  # type: ignore[no-any-return]
    if ending == "scalar" and name in BINARY:
        return getattr(ops, BINARY[name])(operand(), operand(1))  # type: ignore[no-any-return]
    if op not in OTHERS and op != "embedding":
        raise RowTextError(f"no text is written of rows of '{op}'", help="leave them out of the table")
    if op == "embedding":
        return ops.gather(operand(VOCABULARY, columns), kernel.operand(i32, rows), axis=0)
    return OTHERS[op](operand, rows, columns)


OTHERS: Mapping[str, Callable[[Callable[..., Value], int, int], Value]] = {
    "softmax": lambda operand, rows, columns: ops.softmax(operand()),
    "layer_norm": lambda operand, rows, columns: ops.layer_norm(operand(), operand(columns), operand(columns)),
    **dict.fromkeys(("norm", "rms_norm"), lambda operand, rows, columns: ops.rms_norm(operand(), operand(columns))),
    "rope": lambda operand, rows, columns: ops.rotary_embedding(
        operand(), operand(rows, columns), operand(rows, columns)
    ),
    "computescale": lambda operand, rows, columns: ops.reduce_max(ops.abs(operand()), axes=(0, 1), keepdims=True),
    "scale_matrix": lambda operand, rows, columns: ops.cast(ops.mul(operand(), operand(1)), to=f8e4m3),
}

WRITERS: Mapping[str, Writer] = {
    **{"gemm": gemm, "attention": attention, "mla": mla, "moe": moe, "conv": conv},
    **{"vector": vector, "quantize": vector},
}
