"""The search for an order of many ops that can all run at once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType

from ircost.ir import Builder, Function, Module, TensorType, ops
from ircost.ir.builder import build_body
from ircost.ir.terminators import yield_
from ircost.ir.types import f32
from ircost.passes import run_pipeline

STATE = TensorType((4,), f32)


def scan_of(states: int) -> Module:
    """Each step adds the same input to every state, and takes the hyperbolic tangent."""
    main = Function("main", [TensorType((5, 4), f32)] + [STATE] * states)
    build = Builder(main.block)
    inputs, *first = main.arguments
    body = build_body([STATE] * (states + 1), lambda *a: [ops.tanh(ops.add(s, a[-1])) for s in a[:-1]], yield_)
    scan = build.op(
        ops.scan.create([*first, inputs], {"length": 5, "states": states, "reverse": False}, regions=[body])
    )
    build.op(ops.return_.create(scan.results))
    return Module([main])


def check_calls(work: Callable[[], object], most: int) -> None:
    """Fails at once where work takes more calls of Python functions."""
    calls = 0

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal calls
        calls += event == "call"
        assert calls <= most, f"more than {most} calls"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)


def test_states_of_a_scan_are_put_in_order_in_few_steps() -> None:
    """All of them can run at once; what follows a set is looked at where it may be kept, not for each of them.

    That takes 1.6 million calls; a list of all others for every op, 100 million for a fifth of the states.
    """
    module = scan_of(500)
    check_calls(lambda: run_pipeline(module, "order-for-memory"), most=5_000_000)


def test_ops_alike_are_told_apart_by_their_order() -> None:
    """Of ops that need as much, the first ones run first, however few sets are kept."""
    module = scan_of(12)
    before = str(module)
    run_pipeline(module, "order-for-memory{max_states=100}")
    assert str(module) == before, "the given order is as good as any"
