"""What kernels come down to, read off their iteration spaces."""

from __future__ import annotations

import pytest

from ircost.backends import load_target
from ircost.cost_models.gpu.constants import bundled_constants
from ircost.cost_models.gpu.formats import FORMATS
from ircost.cost_models.gpu.kernel_work import (
    LIBRARIES,
    labels_of_group,
    measured_name,
    rates_of,
    table_name,
    work_of,
)
from ircost.cost_models.gpu.machine import machine_of
from ircost.cost_models.kernel_table import kernel_table
from ircost.cost_models.part_groups import FIELDS, PartGroup
from ircost.ir import Builder, Function, Module, Value, ops
from ircost.ir.builder import build_body
from ircost.ir.constant import Missing
from ircost.ir.ops.experts import rows_of_busiest
from ircost.ir.terminators import return_, yield_
from ircost.ir.types import DType, TensorType, bf16, f8e4m3, f16, f32, i32, i64, u4, u8
from ircost.passes.kernel_making import make_kernel


def weight(*shape: int, dtype=f16, name: str = "weight") -> Value:
    data = Missing(f"{name} {shape}")
    return ops.constant.create((), {"value": data}, result_types=(TensorType(shape, dtype),)).result


def parts_of(function: Function, *results: Value) -> list[tuple[PartGroup, dict[str, float]]]:
    """Each part with its sizes by name."""
    build = Builder(function.block)
    for result in results:
        build(result)
    build.op(return_.create(results))
    table = kernel_table(Module([function]))
    return [
        (group, dict(zip(FIELDS[group.family], sizes, strict=True))) for group in table.parts for sizes in group.sizes
    ]


def only(function: Function, *results: Value) -> tuple[str, dict[str, float]]:
    ((group, sizes),) = parts_of(function, *results)
    return group.family, sizes


def picked(sizes: dict[str, float], names: str) -> list[float]:
    return [sizes[name] for name in names.split()]


def test_what_lies_behind_an_operand_is_counted_once() -> None:
    """Forty sums of a value and itself, each read twice: 2^40 ways to the one operand that is read."""
    function = Function("main", [TensorType((64, 32), f16), TensorType((32, 16), f16)])

    def body(x: Value, w: Value) -> Value:
        for _ in range(40):
            x = ops.add(ops.tanh(x), ops.relu(x))
        return ops.matmul(x, w)

    regions = [build_body([argument.type for argument in function.arguments], body, yield_)]
    family, sizes = only(function, ops.kernel.create(function.arguments, regions=regions).result)
    assert (family, sizes["lhs_bytes"]) == ("gemm", 2)  # an element
    assert sizes["is_lhs_cold"] == 1.0


@pytest.mark.parametrize(
    ("notation", "lhs", "rhs", "expected"),
    [
        ("m k, k n -> m n", (3, 4), (4, 5), [1, 3, 5, 4]),
        ("b m k, b n k -> b m n", (2, 3, 4), (2, 5, 4), [2, 3, 5, 4]),
        ("b m k, k n -> b m n", (2, 3, 4), (4, 5), [1, 6, 5, 4]),
        ("b h q d, b h d k -> b h q k", (2, 3, 4, 5), (2, 3, 5, 6), [6, 4, 6, 5]),
        ("m i j, n i j -> m n", (3, 4, 5), (6, 4, 5), [1, 3, 6, 20]),
        ("b m, b n -> m n", (7, 3), (7, 5), [1, 3, 5, 7]),
    ],
)
def test_dims_of_a_contraction_by_who_has_them(notation, lhs, rhs, expected) -> None:
    function = Function("main", [TensorType(lhs, f16), TensorType(rhs, f16)])
    family, sizes = only(function, ops.contract(*function.arguments, notation=notation))
    assert family == "gemm"
    assert picked(sizes, "batch m n k") == expected
    assert picked(sizes, "lhs_bytes rhs_bytes out_bytes") == [2, 2, 2]


def test_weights_are_cold_and_the_second_operand() -> None:
    function = Function("main", [TensorType((64, 8), f16)])
    x = ops.relu(ops.relu(function.arguments[0]))
    parts = parts_of(function, ops.relu(ops.matmul(weight(32, 64), x)))
    (sizes,) = [sizes for group, sizes in parts if group.family == "gemm"]
    assert picked(sizes, "m n is_lhs_cold is_rhs_cold") == [8, 32, 0, 1]


def test_what_is_fused_is_extra() -> None:
    x, w, bias = TensorType((32, 64), f16), TensorType((64, 16), f16), TensorType((16,), f16)
    body = build_body([x, w, bias], lambda a, b, c: ops.exp(ops.add(ops.matmul(a, b), c)), yield_)
    function = Function("main", [x, w, bias])
    family, sizes = only(function, ops.kernel.create(function.arguments, regions=[body]).result)
    assert family == "gemm"
    assert picked(sizes, "m n k extra_bytes extra_flops extra_special") == [32, 16, 64, 32, 2 * 512, 512]


def test_windows_make_a_convolution() -> None:
    function = Function("main", [TensorType((2, 8, 30, 40), f32), TensorType((16, 4, 3, 5), f32)])
    pads = ((1, 1), (2, 2))
    family, sizes = only(function, ops.conv(*function.arguments, strides=(2, 1), pads=pads))
    assert family == "conv"
    assert picked(sizes, "batch groups in_channels in_height in_width") == [2, 2, 8, 30, 40]
    assert picked(sizes, "out_channels out_height out_width kernel_height kernel_width") == [16, 15, 40, 3, 5]
    assert picked(sizes, "direction is_winograd element_bytes") == [0, 0, 4]


@pytest.mark.parametrize(
    ("kernel", "strides", "dilations", "expected"),
    [(3, 1, 1, 1), (3, 2, 1, 0), (3, 1, 2, 0), (5, 1, 1, 1), (7, 1, 1, 0)],
)
def test_winograd_needs_small_square_windows_without_steps(kernel, strides, dilations, expected) -> None:
    function = Function("main", [TensorType((1, 8, 30, 30), f16), TensorType((16, 8, kernel, kernel), f16)])
    out = ops.conv(*function.arguments, strides=(strides, strides), dilations=(dilations, dilations))
    assert only(function, out)[1]["is_winograd"] == expected


@pytest.mark.parametrize(("shape", "height", "width"), [((2, 8, 30), 1, 30), ((2, 8, 5, 6, 7), 30, 7)])
def test_axes_other_than_two_are_folded(shape, height, width) -> None:
    function = Function("main", [TensorType(shape, f16), TensorType((16, 8, *(1 for _ in shape[2:])), f16)])
    assert picked(only(function, ops.conv(*function.arguments))[1], "in_height in_width") == [height, width]


def test_a_transposed_convolution_is_a_gradient() -> None:
    function = Function("main", [TensorType((1, 8, 10, 10), f16), TensorType((8, 4, 3, 3), f16)])
    family, sizes = only(function, ops.conv_transpose(*function.arguments, strides=(2, 2)))
    assert family == "conv"
    assert picked(sizes, "direction in_channels in_height out_channels out_height") == [1, 4, 21, 8, 10]


def test_a_depthwise_convolution_is_a_stream_with_its_arithmetic() -> None:
    function = Function("main", [TensorType((1, 32, 14, 14), f16), TensorType((32, 1, 3, 3), f16)])
    family, sizes = only(function, ops.conv(*function.arguments))
    assert family == "vector"
    assert sizes["flops"] == 2 * 32 * 12 * 12 * 9


@pytest.mark.parametrize(("shape", "family"), [((32, 2, 1), "vector"), ((1, 64, 1), "conv"), ((16, 2, 2), "conv")])
def test_channels_by_themselves_are_no_product_but_an_only_one_may_be(shape, family) -> None:
    """A depthwise convolution that makes two channels of each moves little more than one that makes one."""
    groups, made, seen = shape
    function = Function(
        "main", [TensorType((1, groups * seen, 14, 14), f16), TensorType((groups * made, seen, 3, 3), f16)]
    )
    assert only(function, ops.conv(*function.arguments))[0] == family


def test_attention_is_one_launch() -> None:
    q, kv = TensorType((2, 8, 5, 64), f16), TensorType((2, 2, 100, 64), f16)
    function = Function("main", [q, kv, kv])
    family, sizes = only(function, ops.attention(*function.arguments, scale=1.0))
    assert family == "attention"
    assert picked(sizes, "batch queries keys heads kv_heads key_width kv_bytes") == [2, 5, 100, 8, 2, 64, 256]
    assert sizes["extra_bytes"] == 0


def test_a_mask_is_extra() -> None:
    q = TensorType((1, 2, 16, 64), f16)
    function = Function("main", [q, q, q, TensorType((1, 1, 16, 16), f16)])
    assert only(function, ops.attention(*function.arguments, scale=1.0))[1]["extra_bytes"] == 16 * 16 * 2


def test_biases_by_distance_are_made_where_the_scores_are() -> None:
    """Two operations a score that is seen; of bytes the slopes alone."""
    q, kv = TensorType((2, 4, 16, 64), f16), TensorType((2, 2, 16, 64), f16)
    function = Function("main", [q, kv, kv, TensorType((4,), f32)])
    family, sizes = only(function, ops.attention(*function.arguments, scale=1.0, is_causal=True, has_alibi=True))
    assert family == "attention"
    assert picked(sizes, "extra_bytes extra_flops extra_special") == [4 * 4, 2 * 2 * 4 * (16 * 17 // 2), 0]


@pytest.mark.parametrize(
    ("q", "kv", "attrs", "kind"),
    [
        ((2, 8, 1, 64), (2, 8, 100, 64), {}, "decode"),
        ((2, 8, 1, 64), (2, 2, 100, 64), {"is_causal": True}, "decode, shared heads"),
        ((2, 8, 50, 64), (2, 2, 100, 64), {"is_causal": True}, "prefill"),
        ((2, 8, 50, 64), (2, 2, 100, 64), {}, "encoder"),
    ],
)
def test_attention_by_what_a_query_sees(q, kv, attrs, kind) -> None:
    function = Function("main", [TensorType(q, f16), *[TensorType(kv, f16)] * 2])
    ((group, sizes),) = parts_of(function, ops.attention(*function.arguments, scale=1.0, window=30, length=70, **attrs))
    assert (group.family, group.kind, group.cache) == ("attention", kind, None)
    assert picked(sizes, "keys is_causal window kv_bytes extra_bytes") == [70, bool(attrs), 30, 256, 0]


def test_a_cache_in_another_format_is_read_as_it_is() -> None:
    q, kv, scale = TensorType((2, 8, 1, 64), bf16), TensorType((2, 2, 100, 64), f8e4m3), TensorType((1, 1, 1, 1), f32)
    function = Function("main", [q, kv, kv, scale, scale])
    ((group, sizes),) = parts_of(function, ops.attention(*function.arguments, scale=1.0, has_scales=True))
    assert (group.dtype, group.cache) == (bf16, f8e4m3)
    assert picked(sizes, "kv_bytes query_bytes extra_bytes") == [128, 2, 8]


@pytest.mark.parametrize("tokens", [1, 4])
def test_latents_have_kernels_of_their_own(tokens) -> None:
    function = Function("main", [TensorType((2, 16, tokens, 576), bf16), TensorType((2, 1, 100, 576), bf16)])
    q, latent = function.arguments
    ((group, sizes),) = parts_of(function, ops.attention(q, latent, latent, scale=1.0, is_causal=True, value_width=512))
    assert (group.family, group.kind) == ("mla", "decode")
    assert picked(sizes, "kv_heads key_width value_width kv_bytes extra_bytes") == [1, 576, 512, 576 * 2, 0]


def test_keys_wider_than_values_are_latents_unfolded() -> None:
    q, v = TensorType((2, 16, 50, 192), bf16), TensorType((2, 16, 50, 128), bf16)
    function = Function("main", [q, q, v])
    ((group, sizes),) = parts_of(function, ops.attention(*function.arguments, scale=1.0, is_causal=True))
    assert (group.family, group.kind) == ("mla", "prefill")
    assert picked(sizes, "key_width value_width kv_bytes") == [192, 128, 640]


def test_new_rows_of_a_cache_are_a_small_copy() -> None:
    cache, new = TensorType((4, 8, 1000, 128), f16), TensorType((4, 8, 1, 128), f16)
    function = Function("main", [cache, cache, new, new])
    ((group, sizes),) = parts_of(function, *ops.update_cache.results(*function.arguments, at=999))
    assert (group.family, group.kind) == ("vector", "elements")
    moved = 2 * 4 * 8 * 128 * 2
    assert picked(sizes, "elements read_bytes write_bytes flops") == [moved / 4, moved, moved, 0]


@pytest.mark.parametrize(
    ("tokens", "has_state", "phase", "is_chunked"),
    [(1, True, "generation", 0), (4, True, "verify", 0), (4, False, "context", 1), (100, True, "context", 1)],
)
def test_scans_are_one_launch(tokens, has_state, phase, is_chunked) -> None:
    keys, values, each = (TensorType((2, tokens, *shape), bf16) for shape in ((4, 64), (8, 32), (8,)))
    types = [keys, keys, values, each, each, *([TensorType((2, 8, 64, 32), f32)] if has_state else [])]
    function = Function("main", types)
    results = ops.gated_delta_rule.results(*function.arguments, scale=1.0, has_state=has_state)
    ((group, sizes),) = parts_of(function, *results)
    assert (group.family, group.kind, group.dtype, list(group.times)) == ("recurrent", f"scan {phase}", bf16, [1])
    assert picked(sizes, "batch steps heads key_width value_width is_chunked") == [2, tokens, 8, 64, 32, is_chunked]
    rows, state = 2 * tokens * (2 * 4 * 64 + 2 * 8 * 32 + 2 * 8) * 2, 2 * 8 * 64 * 32 * 4
    assert sizes["touched_bytes"] == rows + state * (1 + has_state)


def test_a_short_convolution_is_bytes_and_a_selective_scan_a_stream() -> None:
    function = Function("main", [TensorType((2, 100, 64), bf16), TensorType((64, 4), bf16)])
    ((group, sizes),) = parts_of(function, *ops.causal_conv1d.results(*function.arguments))
    assert (group.family, group.kind) == ("recurrent", "conv context")
    assert picked(sizes, "heads key_width value_width is_chunked") == [1, 1, 1, 0]
    assert sizes["touched_bytes"] == 2 * 2 * 100 * 64 * 2 + 2 * 3 * 64 * 2
    rows, matrix, each = TensorType((2, 100, 64), bf16), TensorType((64, 16), f32), TensorType((2, 100, 16), bf16)
    function = Function("main", [rows, rows, matrix, each, each])
    ((group, sizes),) = parts_of(function, *ops.selective_scan.results(*function.arguments))
    assert (group.family, list(group.times)) == ("vector", [1])
    assert sizes["special"] >= 2 * 100 * 64 * 16


def test_experts_are_one_layer() -> None:
    types = [TensorType((64, 32), f16), TensorType((64, 2), f16), TensorType((64, 2), i64)]
    function = Function("main", [*types, TensorType((8, 96, 32), f16), TensorType((8, 32, 48), f16)])
    family, sizes = only(function, ops.mixture_of_experts(*function.arguments))
    assert family == "moe"
    assert picked(sizes, "tokens hidden inner chosen experts matrices weight_bytes") == [64, 32, 48, 2, 8, 3, 2]


def test_a_recurrent_layer_is_one_product_and_one_for_each_step() -> None:
    t, n, k, h = 7, 2, 16, 8
    shapes = [(t, n, k), (4 * h, k), (4 * h, h), (4 * h,), (n, h), (n, h)]
    function = Function("main", [TensorType(shape, f32) for shape in shapes])
    parts = parts_of(function, *ops.lstm.results(*function.arguments))
    assert [group.family for group, _ in parts] == ["gemm", "gemm"]
    assert parts[0][0].times.tolist() == [1, 7]
    assert [picked(sizes, "m n k") for _, sizes in parts] == [[t * n, 4 * h, k], [n, 4 * h, h]]
    assert all(sizes["extra_flops"] > 0 for _, sizes in parts)


def test_packed_weights_are_read_at_their_own_width() -> None:
    types = [TensorType((4, 64), f16), TensorType((32, 2, 32), u8), TensorType((32, 2, 1), f16)]
    function = Function("main", [*types, TensorType((32, 2, 1), f16)])
    family, sizes = only(function, ops.block_quantised_matmul(*function.arguments, inner=64))
    assert family == "gemm"
    assert picked(sizes, "m n k lhs_bytes") == [4, 32, 64, 2]
    assert sizes["rhs_bytes"] == pytest.approx(1 + 2 * 2 / 32)
    assert sizes["unpack_flops"] > 0


@pytest.mark.parametrize(
    ("make", "kind", "reduced"),
    [
        (lambda x: ops.relu(x), "elements", 0),
        (lambda x: ops.softmax(x, axis=-1), "softmax", 128),
        (lambda x: ops.softmax(x, axis=0), "softmax", 0),
        (lambda x: ops.reduce_sum(x, axes=(1,)), "reduce_sum", 128),
        (lambda x: ops.batch_norm(x, *[weight(64, name=name) for name in ("a", "b", "c", "d")]), "elements", 0),
        (lambda x: ops.layer_norm(x, weight(64), weight(64, name="bias")), "layer_norm", 128),
    ],
)
def test_all_else_is_a_stream(make, kind, reduced) -> None:
    function = Function("main", [TensorType((128, 64), f16)])
    ((group, sizes),) = parts_of(function, make(function.arguments[0]))
    assert (group.family, group.kind, sizes["reduced_rows"]) == ("vector", kind, reduced)
    assert sizes["read_bytes"] == pytest.approx(128 * 64 * 2, rel=0.05)  # parameters of norms are read besides


def test_a_row_is_the_innermost_axis_and_all_heads_of_a_token_that_is_turned() -> None:
    heads, tokens, width = 8, 16, 64
    shapes = [(1, heads, tokens, width), (tokens, width), (tokens, width)]
    function = Function("main", [TensorType(shape, f16) for shape in shapes])
    ((group, sizes),) = parts_of(function, ops.rotary_embedding(*function.arguments))
    assert (group.kind, sizes["row_length"]) == ("rope", heads * width)
    function = Function("main", [TensorType(shapes[0], f16)])
    _, sizes = only(function, ops.softmax(function.arguments[0], axis=-1))
    assert sizes["row_length"] == width


def test_a_gather_reads_whole_sectors_of_rows() -> None:
    function = Function("main", [TensorType((1000, 5), f16), TensorType((10,), i32)])
    _, sizes = only(function, ops.gather(*function.arguments, axis=0))
    assert sizes["read_bytes"] == 10 * 32 + 10 * 4
    assert sizes["elements"] < 1000


@pytest.mark.parametrize(
    ("make", "read"),
    [
        (lambda x: ops.transpose(x, perm=(1, 0)), 128 * 64 * 2),  # through shared memory: no more than a copy
        (lambda x: ops.slice(x, starts=(0, 0), size=(128, 32), steps=(1, 2)), 128 * 128),  # 63 elements of each row
        (lambda x: ops.slice(x, starts=(0, 0), size=(128, 3)), 128 * 32),
        (lambda x: ops.slice(x, starts=(0, 0), size=(64, 64)), 64 * 64 * 2),
    ],
)
def test_movements_move_sectors(make, read) -> None:
    function = Function("main", [TensorType((128, 64), f16)])
    assert only(function, make(function.arguments[0]))[1]["read_bytes"] == read


def test_nobody_knows_an_opaque_op() -> None:
    function = Function("main", [TensorType((2, 3), f16)])
    result = ops.opaque.create(
        function.arguments, {"op": "com.example::Odd"}, result_types=(TensorType((2, 3), f16),)
    ).result
    assert parts_of(function, result) == []


def test_products_of_packed_weights_are_a_group_of_their_own() -> None:
    """Those beside them of plain weights get the constants of plain products."""
    types = [TensorType((4, 64), f16), TensorType((32, 2, 32), u8), TensorType((32, 2, 1), f16)]
    function = Function("main", [*types, TensorType((32, 2, 1), f16), TensorType((64, 32), f16)])
    x, *packed, plain = function.arguments
    products = ops.block_quantised_matmul(x, *packed, inner=64), ops.matmul(x, plain)
    groups = [group for group, _ in parts_of(function, *products)]
    assert [(group.family, group.unpacked_bits, len(group)) for group in groups] == [("gemm", 8, 1), ("gemm", 0, 1)]
    assert [table_name(group) for group in groups] == ["int8_wo", "float16"]


def test_libraries_that_runtimes_take_are_those_that_were_measured() -> None:
    constants = bundled_constants()
    for (runtime, architecture), taken in LIBRARIES.items():
        for library in filter(None, taken.values()):
            families = [name for name in constants.fits if constants.has_met(name, "kernel", f"{runtime} {library}")]
            assert families, f"no fit has kernels of {library} as {runtime} takes them"
            pair = f"{architecture} {runtime} {library}"
            assert any(constants.has_met(name, "architecture, kernel", pair) for name in families)


@pytest.mark.parametrize(
    ("runtime", "dtype", "kernel"),
    [
        *[("sglang", bf16, "sglang triton"), ("sglang", f8e4m3, "sglang triton"), ("sglang", u4, "sglang marlin")],
        *[
            ("vllm", bf16, "vllm triton"),
            ("vllm", u4, "vllm marlin"),
            ("trtllm", bf16, "trtllm cutlass"),
            ("", bf16, ""),
        ],
    ],
)
def test_labels_of_experts_on_a_runtime(runtime: str, dtype: DType, kernel: str) -> None:
    ((group, _),) = parts_of(*mixture(dtype, is_narrow=dtype == f8e4m3))
    machine = machine_of(load_target("h100_sxm" + (f"+{runtime}" if runtime else "")))
    labels = labels_of_group(group, machine, bundled_constants())
    assert labels["kernel"] == kernel and bundled_constants().unseen("moe", labels) == ()


@pytest.mark.parametrize(("dtype", "name"), [(bf16, "bfloat16"), (f8e4m3, "fp8_block"), (u4, "int4_wo")], ids=str)
def test_experts_of_a_network_are_as_wide_as_those_of_tables(dtype: DType, name: str) -> None:
    """Constants and corrections were learned from rows: what streams in a network must be what streams there."""
    ((_, sizes),) = parts_of(*mixture(dtype, is_narrow=dtype == f8e4m3))
    form = FORMATS[name]
    assert sizes["activation_bytes"] == form.activation_bytes
    assert sizes["weight_bytes"] == pytest.approx(form.weight_bytes, rel=0.01)
    assert (sizes["unpack_flops"] > 0) == (form.unpack_flops > 0)


def test_a_rank_has_the_rows_that_come_to_it() -> None:
    """Eight tokens of two experts each over four ranks: four rows each on the mean, rather more on the busiest."""
    function, mixed = mixture(bf16, is_narrow=False, ranks=4, senders=3)
    ((_, sizes),) = parts_of(function, mixed)
    assert picked(sizes, "chosen experts") == [1, 4]
    assert sizes["tokens"] == rows_of_busiest(3 * 8, 2, 4) > 3 * 8 * 2 / 4


def mixture(dtype: DType, is_narrow: bool, **spread: int) -> tuple[Function, Value]:
    """Eight tokens, two of four experts each, [512, 256], weights in blocks of 128 where they are no bf16."""
    count, hidden, inner, blocks = 4, 512, 256, 128
    up, down = (count, 2 * inner, hidden), (count, hidden, inner)
    rows = blocks if is_narrow else 1
    types = [TensorType((8, hidden), bf16), TensorType((8, 2), bf16), TensorType((8, 2), i64)]
    types += [TensorType(shape, dtype) for shape in (up, down)]
    if dtype != bf16:
        scales = [TensorType((e, n // rows, k // blocks), f32 if is_narrow else f16) for e, n, k in (up, down)]
        types += [scales[0], TensorType((), bf16), scales[1], TensorType((), bf16)]
    function = Function("main", types)
    mixed = ops.mixture_of_experts(*function.arguments, has_scales=dtype != bf16, is_narrow=is_narrow, **spread)
    return function, mixed


def test_labels_of_attention_on_a_runtime() -> None:
    q, kv = TensorType((2, 8, 1, 64), bf16), TensorType((2, 2, 100, 64), f8e4m3)
    function = Function("main", [q, kv, kv])
    ((group, _),) = parts_of(function, ops.attention(*function.arguments, scale=1.0))
    machine = machine_of(load_target("h100_sxm+vllm"))
    labels = labels_of_group(group, machine, bundled_constants())
    assert labels["dtype"] == "16 bit, fp8 cache"
    assert (labels["kernel"], labels["kind"]) == ("vllm fa3", "decode, shared heads")
    assert bundled_constants().unseen("attention", labels) == ()


@pytest.mark.parametrize(
    ("target", "width", "window", "cache", "kernel"),
    [
        *[("h100_sxm+sglang", 128, 0, bf16, "fa3"), ("h100_sxm+sglang", 256, 0, bf16, "fa3")],
        *[("h100_sxm+sglang", 256, 64, bf16, "triton"), ("h100_sxm+sglang", 512, 0, f8e4m3, "triton")],
        *[("l40s+sglang", 128, 64, bf16, "flashinfer"), ("l40s+sglang", 64, 64, bf16, "triton")],
        *[("l40s+vllm", 128, 0, bf16, "fa2"), ("l40s+vllm", 128, 64, f8e4m3, "flashinfer")],
        *[("l40s+vllm", 192, 0, f8e4m3, "triton"), ("h100_sxm+vllm", 512, 0, bf16, "fa4")],
    ],
)
def test_libraries_choose_by_heads_windows_and_caches(
    target: str, width: int, window: int, cache: DType, kernel: str
) -> None:
    q, kv = TensorType((2, 8, 100, width), bf16), TensorType((2, 2, 100, width), cache)
    function = Function("main", [q, kv, kv])
    made = ops.attention(*function.arguments, scale=1.0, is_causal=True, window=window)
    ((group, _),) = parts_of(function, made)
    machine = machine_of(load_target(target))
    found = labels_of_group(group, machine, bundled_constants())["kernel"]
    assert found == f"{target.partition('+')[2]} {kernel}"


def test_a_kernel_that_masks_a_window_walks_over_all_keys() -> None:
    """As rows of tables have it: SGLang's Triton kernel on heads of 256 with a window."""
    types = [TensorType((1, 8, 4096, 256), bf16), TensorType((1, 2, 4096, 256), bf16)]
    found = {}
    for runtime in ("sglang", "vllm"):
        function = Function("main", [types[0], types[1], types[1]])
        made = ops.attention(*function.arguments, scale=1.0, is_causal=True, window=512)
        ((group, sizes),) = parts_of(function, made)
        target = load_target(f"h100_sxm+{runtime}")
        machine = machine_of(target)
        work = work_of(group, slice(None), machine, rates_of(target, machine, bf16))
        found[runtime] = sizes["window"], float(work.window[0])
    assert found == {"sglang": (512, 0), "vllm": (512, 512)}


@pytest.mark.parametrize(
    ("target", "cache", "kernel"),
    [
        *[("a100_sxm_80gb+vllm", bf16, "vllm triton"), ("l40s+sglang", bf16, "sglang triton")],
        *[("h100_sxm+vllm", bf16, ""), ("h100_sxm+vllm", f8e4m3, "vllm flashmla"), ("h100_sxm+trtllm", bf16, "")],
    ],
)
def test_labels_of_latent_attention_on_a_runtime(target: str, cache: DType, kernel: str) -> None:
    q, latent = TensorType((2, 16, 1, 576), bf16), TensorType((2, 1, 100, 576), cache)
    function = Function("main", [q, latent])
    query, both = function.arguments
    ((group, _),) = parts_of(function, ops.attention(query, both, both, scale=1.0, value_width=512))
    assert group.family == "mla"
    assert labels_of_group(group, machine_of(load_target(target)), bundled_constants())["kernel"] == kernel


@pytest.mark.parametrize(
    "make",
    [
        lambda x: ops.slice(x, starts=(0, 1), size=(512, 100), steps=(1, 3)),
        lambda x: ops.mul(x, x),
        lambda x: ops.transpose(x, perm=(1, 0)),
        lambda x: ops.reduce_sum(x, axes=(1,)),
        lambda x: ops.softmax(x),
        lambda x: ops.matmul(x, weight(512, 64)),
    ],
)
def test_a_kernel_of_one_op_comes_down_to_what_the_op_does(make) -> None:
    found = []
    for is_wrapped in (False, True):
        function = Function("main", [TensorType((512, 512), f16)])
        build = Builder(function.block)
        result = build(make(function.arguments[0]))
        build.op(return_.create([result]))
        if is_wrapped:
            assert result.producer is not None
            make_kernel([result.producer], [result])
        (group,) = kernel_table(Module([function])).parts
        found.append((group.family, group.kind, group.sizes.tolist()))
    assert found[0] == found[1]


@pytest.mark.parametrize(("blocks", "name"), [(2, "fp8_block"), (1, "fp8")])
def test_experts_with_a_scale_for_each_block_are_measured_ones_of_their_own(blocks: int, name: str) -> None:
    count, hidden, inner = 4, 64, 32
    shapes = {
        **{"x": ((8, hidden), f16), "shares": ((8, 2), f16), "chosen": ((8, 2), i64)},
        **{"up": ((count, 2 * inner, hidden), f8e4m3), "down": ((count, hidden, inner), f8e4m3)},
        **{"up_scales": ((count, 2, blocks), f32), "up_zeros": ((), f16)},
        **{"down_scales": ((count, 2, blocks), f32), "down_zeros": ((), f16)},
    }
    function = Function("main", [TensorType(shape, dtype) for shape, dtype in shapes.values()])
    mixed = ops.mixture_of_experts(*function.arguments, activation="silu", has_scales=True, is_narrow=True)
    groups = [group for group, _ in parts_of(function, mixed) if group.family == "moe"]
    assert [measured_name(group, bundled_constants()) for group in groups] == [name]
    table = kernel_table(Module([function]))
    work = dict(zip(table.work_columns, table.work.sum(axis=0).tolist(), strict=True))
    products = 2 * 8 * 2 * (2 * inner + inner) * hidden
    assert work["matrix", f8e4m3] == products, "what weights are multiplied with is narrow, too"
    assert work["matrix", f16] == 2 * 8 * 2 * hidden, "their sum is not"
    labels = labels_of_group(groups[0], machine_of(load_target("h100_sxm+vllm")), bundled_constants())
    assert labels["kernel"] == ("vllm flashinfer" if name == "fp8" else ""), "with block scales there are two"
