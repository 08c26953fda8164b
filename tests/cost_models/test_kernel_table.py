"""What becomes a kernel, what does not, and how often each runs."""

from __future__ import annotations

import numpy as np
import pytest

from ircost.cost_models.kernel_table import KernelTable, kernel_table
from ircost.cost_models.lower_bound import compulsory_bytes
from ircost.cost_models.memory import memory_use
from ircost.ir import Builder, Function, Module, Value, ops
from ircost.ir.builder import build_body
from ircost.ir.constant import FileSlice
from ircost.ir.parser import parse_module
from ircost.ir.terminators import return_, yield_
from ircost.ir.types import TensorType, boolean, f32, i64

X = TensorType((4, 8), f32)
W = TensorType((8, 8), f32)


def weight(type: TensorType, name: str = "weights.bin") -> Value:
    data = FileSlice(name, 0, type.size_bytes, f32)
    return ops.constant.create((), {"value": data}, result_types=(type,)).result


def finish(function: Function, build: Builder, *results: Value) -> Module:
    for result in results:
        build(result)
    build.op(return_.create(results))
    return Module([function])


def names(table: KernelTable) -> list[str]:
    return [run.op.name for run in table.runs]


def test_equal_kernels_are_one_row_and_views_are_none() -> None:
    function = Function("main", [X])
    build = Builder(function.block)
    value = function.arguments[0]
    for _ in range(5):
        value = build(ops.relu(value))
    flat = build(ops.reshape(value, shape=(32,)))
    table = kernel_table(finish(function, build, flat))
    assert names(table) == ["relu"] * 5
    # The first reads an input, which no cache holds yet; what the last writes leaves the model.
    assert [run.row for run in table.runs] == [0, 1, 1, 1, 2]


def test_an_operand_that_is_read_twice_is_counted_once() -> None:
    function = Function("main", [X])
    build = Builder(function.block)
    (x,) = function.arguments
    table = kernel_table(finish(function, build, build(ops.mul(x, x))))
    assert table.read_bytes.tolist() == [X.size_bytes]


def test_ops_on_weights_only_run_at_load() -> None:
    function = Function("main", [X])
    build = Builder(function.block)
    transposed = build(ops.transpose(weight(W), perm=(1, 0)))
    module = finish(function, build, build(ops.matmul(function.arguments[0], transposed)))
    table = kernel_table(module)
    assert names(table) == ["matmul"]
    assert [op.name for op in table.load_time] == ["transpose"]
    # The weight itself is let go once it is transposed.
    assert memory_use(module).weights_bytes == W.size_bytes


def test_a_function_called_twice_is_listed_twice_and_costed_once() -> None:
    layer = Function("layer", [X])
    inside = Builder(layer.block)
    inside.op(return_.create([inside(ops.gelu(layer.arguments[0]))]))
    function = Function("main", [X])
    build = Builder(function.block)
    value = function.arguments[0]
    for _ in range(3):
        op = build.op(ops.call.create([value], {"callee": "layer"}, result_types=(X,)))
        value = op.result
    build.op(return_.create([value]))
    table = kernel_table(Module([layer, function]))
    # The first call reads the model's input.
    assert (names(table), [run.row for run in table.runs]) == (["gelu"] * 3, [0, 1, 1])


def test_a_scan_multiplies_the_kernels_of_its_body() -> None:
    function = Function("main", [X, TensorType((5, 4, 8), f32)])
    build = Builder(function.block)
    state, sequence = function.arguments
    body = build_body([X, X], lambda h, x: [ops.tanh(ops.add(h, x))], yield_)
    op = build.op(ops.scan.create([state, sequence], {"length": 5, "states": 1}, regions=[body]))
    table = kernel_table(finish(function, build, op.result))
    assert [(run.op.name, run.count) for run in table.runs] == [("add", 5), ("tanh", 5)]


def test_both_branches_are_listed_as_choices() -> None:
    function = Function("main", [X, TensorType((), boolean)])
    build = Builder(function.block)
    x, condition = function.arguments
    then = build_body([], lambda: ops.relu(x), yield_)
    otherwise = build_body([], lambda: ops.exp(x), yield_)
    op = build.op(ops.if_.create([condition], {}, regions=[then, otherwise]))
    table = kernel_table(finish(function, build, op.result))
    assert [(run.op.name, run.branch) for run in table.runs] == [("relu", ((0, 0),)), ("exp", ((0, 1),))]


def test_a_composite_is_one_kernel_with_the_work_of_its_body() -> None:
    function = Function("main", [X])
    build = Builder(function.block)
    table = kernel_table(finish(function, build, build(ops.softmax(function.arguments[0]))))
    max_compares, subtractions, exponentials, additions, divisions = 4 * 7, 32, 32, 4 * 7, 32
    assert table.flops.tolist() == [max_compares + subtractions + exponentials + additions + divisions]
    assert table.traffic_bytes.tolist() == [2 * X.size_bytes]


def test_a_gather_reads_the_rows_it_takes() -> None:
    table_type = TensorType((1000, 8), f32)
    function = Function("main", [TensorType((3,), i64)])
    build = Builder(function.block)
    rows = build(ops.gather(weight(table_type), function.arguments[0], axis=0))
    module = finish(function, build, rows)
    assert kernel_table(module).read_bytes.tolist() == [3 * 8 * 4 + 3 * 8]
    assert compulsory_bytes(module) == (3 * 8 * 4 + 3 * 8) + 3 * 8 * 4
    assert memory_use(module).weights_bytes == table_type.size_bytes


def test_matmul_macs_are_the_closed_form() -> None:
    function = Function("main", [TensorType((2, 3, 5), f32), TensorType((5, 7), f32)])
    build = Builder(function.block)
    table = kernel_table(finish(function, build, build(ops.matmul(*function.arguments))))
    assert table.macs.tolist() == [2 * 3 * 5 * 7]
    assert table.flops.tolist() == [2 * 2 * 3 * 5 * 7]


def test_peak_memory_holds_operands_and_result_at_once() -> None:
    function = Function("main", [X])
    build = Builder(function.block)
    (x,) = function.arguments
    wide = build(ops.concat(x, x, x, axis=1))
    narrow = build(ops.reduce_sum(wide, axes=(1,)))
    use = memory_use(finish(function, build, narrow))
    assert use.peak_bytes == X.size_bytes + 3 * X.size_bytes + 4 * 4
    assert use.peak_op is narrow.producer


def test_counts_do_not_depend_on_values() -> None:
    def softmax_flops(value: float) -> list[float]:
        function = Function("main", [X])
        build = Builder(function.block)
        scaled = build(ops.mul(function.arguments[0], ops.constant_of(np.array(value, np.float32))))
        return [float(n) for n in kernel_table(finish(function, build, scaled)).flops]

    assert softmax_flops(0.0) == softmax_flops(3.5)


def test_kernels_that_differ_in_their_wiring_are_two_rows() -> None:
    """Both slice, multiply and add; one of them slices what it multiplies, and reads less."""
    function = Function("main", [TensorType((8, 8), f32)])
    build = Builder(function.block)
    (x,) = function.arguments

    def part(value: Value) -> Value:
        return ops.slice(value, starts=(0, 0), size=(2, 8))

    bodies = (lambda a: [ops.exp(part(a))], lambda a: [part(ops.exp(a))])
    kernels = [build.op(ops.kernel.create([x], regions=[build_body([x.type], body, yield_)])) for body in bodies]
    table = kernel_table(finish(function, build, *(kernel.result for kernel in kernels)))
    assert table.read_bytes.tolist() == [2 * 8 * 4, 8 * 8 * 4]


def test_a_scan_that_is_one_launch_and_one_that_is_not() -> None:
    text = """
func @main(%x: 64x2x8xf32, %w: 4x8xf32, %r: 4x1xf32, %b: 4xf32, %h: 2x1xf32, %q: 2x64x1x8xf32, %g: 2x64x1xf32)
    -> (64x2x1xf32, 2x64x1x8xf32) {
  %ys, %last, %cell = lstm %x, %w, %r, %b, %h, %h
  %y, %state = linear_attention %q, %q, %q, %g
  return %ys, %y
}
"""
    table = kernel_table(parse_module(text))
    assert table.launches.tolist() == [64, 1]


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "pad", "products"),
    [
        (6, 3, 1, 0, 6 * 6),  # F(4 x 4, 3 x 3) takes 36 products for 144
        (6, 3, 1, 1, 6 * 6),  # padding needs none
        (6, 1, 1, 0, 6 * 6),
        (8, 2, 2, 0, 8 * 8),  # nothing overlaps, nothing is spared
        (3, 3, 1, 0, 3 * 3),  # a window over all of the image is a matrix product
    ],
)
def test_a_limit_counts_each_element_under_windows_once(size, kernel, stride, pad, products) -> None:
    function = Function("main", [TensorType((1, 8, size, size), f32), TensorType((16, 8, kernel, kernel), f32)])
    pads = ((pad, pad), (pad, pad))
    out = ops.conv(*function.arguments, strides=(stride, stride), pads=pads)
    table = kernel_table(finish(function, Builder(function.block), out))
    assert table.by_shortest_algorithms().work.sum() == pytest.approx(2 * 8 * 16 * products)
    assert table.flops.sum() == table.work.sum()


def test_a_transposed_convolution_needs_as_many_products_as_it_writes() -> None:
    function = Function("main", [TensorType((1, 8, 4, 4), f32), TensorType((8, 16, 3, 3), f32)])
    table = kernel_table(finish(function, Builder(function.block), ops.conv_transpose(*function.arguments)))
    assert table.by_shortest_algorithms().work.sum() == pytest.approx(2 * 8 * 16 * 6 * 6)


@pytest.mark.parametrize(("tokens", "counted"), [(1, 2), (3, 8 - 8 * 0.75**3), (50, 8)])
def test_tokens_may_all_choose_the_same_experts(tokens: int, counted: float) -> None:
    """Counts are those of a random routing, a bound is not above what rows that agree read: the experts of one."""
    expert = 2 * 16 * 16 * 4
    x, shares = TensorType((tokens, 16), f32), TensorType((tokens, 2), f32)
    weights = TensorType((8, 16, 16), f32)
    function = Function("main", [x, shares, TensorType((tokens, 2), i64), weights, weights])
    out = ops.mixture_of_experts(*function.arguments, gate="none")
    module = finish(function, Builder(function.block), out)
    rows = x.size_bytes + shares.size_bytes + tokens * 2 * 8
    assert kernel_table(module).read_bytes.sum() == rows + counted * expert
    assert compulsory_bytes(module) == rows + 2 * expert + x.size_bytes
