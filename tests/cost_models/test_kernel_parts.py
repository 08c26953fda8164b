"""What kernels come down to, read off their iteration spaces."""

from __future__ import annotations

import pytest

from ircost.cost_models.kernel_parts import FIELDS, PartGroup
from ircost.cost_models.kernel_table import kernel_table
from ircost.ir import Builder, Function, Module, Value, ops
from ircost.ir.builder import build_body
from ircost.ir.constant import Missing
from ircost.ir.terminators import return_, yield_
from ircost.ir.types import TensorType, f16, f32, i32, i64, u8
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
    ("kernel", "strides", "dilations", "expected"), [(3, 1, 1, 1), (3, 2, 1, 0), (3, 1, 2, 0), (5, 1, 1, 0)]
)
def test_winograd_needs_three_by_three_without_steps(kernel, strides, dilations, expected) -> None:
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
    ],
)
def test_all_else_is_a_stream(make, kind, reduced) -> None:
    function = Function("main", [TensorType((128, 64), f16)])
    ((group, sizes),) = parts_of(function, make(function.arguments[0]))
    assert (group.family, group.kind, sizes["reduced_rows"]) == ("vector", kind, reduced)
    assert sizes["read_bytes"] == 128 * 64 * 2


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
