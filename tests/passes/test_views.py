"""Views cost nothing: what they do to estimates, and how PyTorch runs what is published of it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from random_modules import modules

from ircost.backends import load_target
from ircost.cost_models.automatic import search_model
from ircost.cost_models.kernel_table import kernel_table
from ircost.cost_models.lower_bound import model_lower_bound_s
from ircost.costing import totals_of
from ircost.ir import Module
from ircost.ir.clone import clone_module
from ircost.ir.parser import parse_module
from ircost.passes import run_pipeline
from ircost.passes.levels import OF_RUNTIMES

TARGET = load_target("rtx_4090+pytorch")
SHIFTED_WINDOWS = """
func @main(%x: 64x49x288xf16) -> 64x49x96xf16 {
  %r = reshape %x {shape = [64, 49, 3, 3, 32]}
  %t = transpose %r {perm = [2, 0, 3, 1, 4]}
  %q0 = slice %t {starts = [0, 0, 0, 0, 0], size = [1, 64, 3, 49, 32]}
  %k0 = slice %t {starts = [1, 0, 0, 0, 0], size = [1, 64, 3, 49, 32]}
  %v0 = slice %t {starts = [2, 0, 0, 0, 0], size = [1, 64, 3, 49, 32]}
  %q = reshape %q0 {shape = [64, 3, 49, 32]}
  %k = reshape %k0 {shape = [64, 3, 49, 32]}
  %v = reshape %v0 {shape = [64, 3, 49, 32]}
  %u = transpose %k {perm = [0, 1, 3, 2]}
  %s = matmul %q, %u
  %p = softmax %s
  %o = matmul %p, %v
  %b = transpose %o {perm = [0, 2, 1, 3]}
  %y = reshape %b {shape = [64, 49, 96]}
  return %y
}"""


def names_of(module: Module) -> list[str]:
    return [run.op.name for run in kernel_table(module).runs]


@pytest.mark.parametrize("runtime", sorted(OF_RUNTIMES))
def test_attention_by_hand_takes_four_copies(runtime: str) -> None:
    """As profiles of Swin have it: one of each operand of the batched products, one behind them."""
    module = parse_module(SHIFTED_WINDOWS)
    run_pipeline(module, "views{compiled=true}" if "compile" in runtime else "views")
    moves = ["slice", "transpose", "matmul", "softmax", "slice", "matmul", "transpose"]
    assert sorted(names_of(module)) == sorted(moves)


@settings(deadline=None, max_examples=100)
@given(modules())
def test_no_estimate_grows_and_none_is_below_the_bound(module: Module) -> None:
    model = search_model(TARGET)
    changed = clone_module(module)
    run_pipeline(changed, "views")
    before, after = (totals_of(each, kernel_table(each), model, TARGET) for each in (module, changed))
    assert after.latency_s <= before.latency_s * (1 + 1e-9)
    table = kernel_table(changed)
    assert after.latency_s >= model_lower_bound_s(changed, table, table.runs, TARGET)
