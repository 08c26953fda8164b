"""One example of every op, as it is and with other operands and attributes: taken and right, or refused in words."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from mutated_ops import EXAMPLES, Made, mutated_ops

from ircost.cost_models.kernel_table import kernel_table
from ircost.cost_models.memory import memory_use
from ircost.ir import IrcError, Module, TensorType, interpret
from ircost.ir.clone import clone_module
from ircost.ir.definition import OPS
from ircost.ir.graph import Op
from ircost.ir.numpy_dtypes import numpy_dtype
from ircost.ir.parser import parse_module
from ircost.ir.printer import print_module
from ircost.ir.verify import verify
from ircost.passes import run_pipeline

INTERPRETED_ELEMENTS = 20_000  # of a tensor, extents of 0 counted as 1
LONGEST_MESSAGE = 3_000


def test_no_op_lacks_an_example() -> None:
    ours = {name for name in OPS.names() if type(OPS.get(name)).__module__.startswith("ircost.")}
    declared_by_tests = {name for name in ours if name.startswith(("plugged", "squared_distance", "declared"))}
    assert ours - {"return", "yield"} - declared_by_tests == set(EXAMPLES.functions)


@pytest.mark.parametrize("name", EXAMPLES.functions)
def test_examples_are_as_their_names_say(name: str) -> None:
    verify(EXAMPLES)
    first = EXAMPLES.functions[name].block.first
    assert first is not None and first.name == name


def test_examples_read_back() -> None:
    text = print_module(EXAMPLES)
    assert print_module(parse_module(text)) == text


@settings(max_examples=500, deadline=None)
@given(mutated_ops())
def test_what_is_taken_holds(made: Made) -> None:
    module = taken(made)
    if module is None:
        return
    op = module.main.block.first
    assert op is not None
    read_back(module)
    counted(module, op)
    prepared = clone_module(module)
    run_pipeline(prepared, "canonicalize,recognise,fuse", reproducer_folder="/nowhere")
    computed(module, prepared, op)


def taken(made: Made) -> Module | None:
    """The module of an op; None where it is refused, in a message that is no flood."""
    try:
        module = made.module()
        verify(module)
    except IrcError as error:
        text = error.render()
        assert len(text) < LONGEST_MESSAGE, text
        return None
    return module


def read_back(module: Module) -> None:
    text = print_module(module)
    again = parse_module(text)
    verify(again)
    assert print_module(again) == text


def counted(module: Module, op: Op) -> None:
    """Every figure is there, and none is negative."""
    definition = op.definition
    counts, traffic = definition.counts(op), definition.traffic(op)
    assert min(counts.flops, traffic.read_bytes, traffic.write_bytes) >= 0
    for least, most in zip(definition.fewest_operand_bytes(op), definition.operand_bytes(op), strict=True):
        assert 0 <= least <= most
    table = kernel_table(module)
    assert np.all(np.isfinite(table.work)) and np.all(table.work >= 0)
    assert memory_use(module).peak_bytes >= 0


def computed(module: Module, prepared: Module, op: Op) -> None:
    """Results have the types that were inferred, and passes keep them; values may not fit the op, which is said."""
    values = [*module.main.arguments, *(result for inner in module.walk() for result in inner.results)]
    if op.name == "opaque" or any(padded_elements(value.type) > INTERPRETED_ELEMENTS for value in values):
        return
    rng = np.random.default_rng(0)
    inputs = [random_array(argument.type, rng) for argument in module.main.arguments]
    try:
        with np.errstate(all="ignore"):
            results = interpret(module, inputs)
    except IrcError:
        return
    with np.errstate(all="ignore"):
        after = interpret(prepared, inputs)
    for array, again, result in zip(results, after, op.results, strict=True):
        assert array.dtype == numpy_dtype(result.type.dtype) and array.ndim == result.type.rank
        for axis, (extent, most) in enumerate(zip(array.shape, result.type.shape, strict=True)):
            assert extent == most or (axis in result.type.bounded and extent <= most)
        assert (again.shape, again.dtype) == (array.shape, array.dtype)


def padded_elements(type: TensorType) -> int:
    return math.prod(max(extent, 1) for extent in type.shape)


def random_array(type: TensorType, rng: np.random.Generator) -> np.ndarray:
    """Small numbers; extents that depend on data are any up to their bound."""
    shape = [int(rng.integers(0, n + 1)) if axis in type.bounded else n for axis, n in enumerate(type.shape)]
    numbers = rng.uniform(-2, 2, shape) if type.dtype.is_float else rng.integers(0, 2, shape)
    return numbers.astype(numpy_dtype(type.dtype))
