"""``irc run``: the reference interpreter on given or random inputs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from ircost.commands.array_files import npz_bytes, read_array
from ircost.commands.options import OptionError, import_options, pairs, read_model
from ircost.commands.output import write_whole
from ircost.ir.errors import did_you_mean
from ircost.terminal import working

if TYPE_CHECKING:
    from ircost.ir.graph import Function, Module, Value
    from ircost.ir.types import TensorType
    from ircost.passes import Pass


@click.command()
@click.argument("model", type=click.Path())
@click.option(
    "--input", "inputs", multiple=True, metavar="NAME=FILE", help="An input's .npy or .npz; random where left out."
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Of random inputs.")
@click.option("--passes", "pipeline", default="", metavar="PIPELINE", help="Passes to run first.")
@click.option("--compare", is_flag=True, help="Run before and after --passes, and print the largest differences.")
@click.option("--compare-each", is_flag=True, help="Run after every pass, and print from which one on outputs differ.")
@import_options
@click.option("-o", "--output", metavar="FILE.npz", help="Write the outputs.")
def command(
    model: str,
    inputs: tuple[str, ...],
    seed: int,
    pipeline: str,
    compare: bool,
    compare_each: bool,
    output: str | None,
    **bindings: Any,
) -> None:
    """Execute MODEL (.onnx or .irc) with the reference interpreter, and print what comes out.

    Random inputs are normal for floats, 0 to 9 for integers, true for booleans.
    """
    from ircost.ir.interpreter import interpret
    from ircost.passes import parse_pipeline, run_pipeline

    passes = parse_pipeline(pipeline)
    if (compare or compare_each) and not passes:
        option = "--compare" if compare else "--compare-each"
        raise OptionError(f"{option} has nothing to compare", help="name passes to run with --passes")
    with working(f"running {model}"):
        module = read_model(model, **bindings).module
        arrays = input_arrays(module.main, inputs, seed)
        names = output_names(module.main)
        before = interpret(module, arrays) if compare or compare_each else []
        lines: list[str] = []

        def compared(instance: Pass, module: Module) -> None:
            lines.append(f"after {instance.name}: {difference_text(names, before, interpret(module, arrays))}")

        run_pipeline(module, passes, after_pass=compared if compare_each else None)
        results = interpret(module, arrays)
    print_outputs(names, results)
    for line in lines:
        click.echo(line)
    if compare:
        print_differences(names, before, results)
    if output:
        write_whole(output, npz_bytes(dict(zip(names, results, strict=True))))


def input_arrays(function: Function, given: tuple[str, ...], seed: int) -> list[np.ndarray]:
    """An array for each argument.

    Raises:
        OptionError: a name is not an input, its file cannot be read, or its shape does not fit.
    """
    files = pairs("--input", given)
    names = argument_names(function)
    unknown = [name for name in files if name not in names]
    if unknown:
        raise OptionError(f"--input {unknown[0]}: the model has no such input", help=did_you_mean(unknown[0], names))
    random = np.random.default_rng(seed)
    return [
        given_array(name, files[name], argument.type) if name in files else random_array(argument, random)
        for name, argument in zip(names, function.arguments, strict=True)
    ]


def given_array(name: str, path: str, type: TensorType) -> np.ndarray:
    array = read_array(name, path)
    if array.dtype.kind not in "biufV":
        raise OptionError(f"--input {name}: {path} holds {array.dtype}, {type} expected")
    if array.ndim != type.rank or (not type.bounded and array.shape != type.shape):
        shape = "x".join(map(str, array.shape)) or "a scalar"
        raise OptionError(f"--input {name}: {path} is {shape}, {type} expected", help="--shape and --dim bind inputs")
    return array


def argument_names(function: Function) -> list[str]:
    names = function.attrs.get("inputs", ())
    if isinstance(names, tuple) and len(names) == len(function.arguments):
        return [str(name) for name in names]
    return [argument.name or str(i) for i, argument in enumerate(function.arguments)]


def output_names(function: Function) -> list[str]:
    names = function.attrs.get("outputs", ())
    if isinstance(names, tuple) and len(names) == len(function.results):
        return [str(name) for name in names]
    return [f"output_{i}" for i in range(len(function.results))]


def random_array(argument: Value, random: np.random.Generator) -> np.ndarray:
    from ircost.ir.numpy_dtypes import to_format

    type = argument.type
    if type.dtype.is_float:
        return to_format(random.standard_normal(type.shape, np.float32), type.dtype)
    if type.dtype.is_integer:
        return to_format(random.integers(0, 10 if type.dtype.bits > 4 else 2, type.shape), type.dtype)
    return np.ones(type.shape, bool)


def print_outputs(names: list[str], arrays: list[np.ndarray]) -> None:
    from ircost.table import print_table

    rows = [(name, *described(array)) for name, array in zip(names, arrays, strict=True)]
    print_table(("output", "type", "min", "max", "mean", "first values"), rows, right=(2, 3, 4))


def described(array: np.ndarray) -> tuple[str, str, str, str, str]:
    """Type, least, greatest, mean, and the first values in row-major order."""
    from ircost.ir.numpy_dtypes import dtype_of

    type = "x".join([*map(str, array.shape), str(dtype_of(array))])
    if array.size == 0:
        return type, "", "", "", "empty"
    wide = array.astype(np.float64)
    first = " ".join(f"{number:.6g}" for number in wide.reshape(-1)[:4])
    return type, f"{wide.min():.6g}", f"{wide.max():.6g}", f"{wide.mean():.6g}", first


def print_differences(names: list[str], before: list[np.ndarray], after: list[np.ndarray]) -> None:
    """The largest difference of each output; nan where one has a NaN that the other lacks."""
    for name, old, new in zip(names, before, after, strict=True):
        click.echo(f"{name}: largest difference {largest_difference(old, new):.3g}")


def difference_text(names: list[str], before: list[np.ndarray], after: list[np.ndarray]) -> str:
    """The largest difference of all outputs, and of which one it is."""
    found = {name: largest_difference(old, new) for name, old, new in zip(names, before, after, strict=True)}
    worst = max(found, key=lambda name: math.inf if math.isnan(found[name]) else found[name], default=None)
    if worst is None or found[worst] == 0.0:
        return "equal"
    return f"largest difference {found[worst]:.3g}, of {worst}"


def largest_difference(before: np.ndarray, after: np.ndarray) -> float:
    """Of two arrays of one shape; equal infinities and NaNs differ by 0."""
    old, new = before.astype(np.float64), after.astype(np.float64)
    same = (old == new) | (np.isnan(old) & np.isnan(new))
    with np.errstate(invalid="ignore"):
        return float(np.where(same, 0.0, np.abs(old - new)).max(initial=0.0))
