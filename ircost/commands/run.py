"""``irc run``: the reference interpreter on given or random inputs."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from ircost.commands.options import OptionError, import_options, pairs, read_model, write_whole

if TYPE_CHECKING:
    from ircost.ir.graph import Function, Value


@click.command()
@click.argument("model", type=click.Path())
@click.option(
    "--input", "inputs", multiple=True, metavar="NAME=FILE.npy", help="An input's array; random where left out."
)
@click.option("--seed", default=0, show_default=True, help="Of random inputs.")
@click.option("--passes", "pipeline", default="", help="Passes to run first.")
@click.option("--compare", is_flag=True, help="Run before and after --passes, and print the largest difference.")
@import_options
@click.option("-o", "--output", metavar="FILE.npz", help="Write the outputs.")
def command(
    model: str,
    inputs: tuple[str, ...],
    seed: int,
    pipeline: str,
    compare: bool,
    dims: tuple[str, ...],
    shapes: tuple[str, ...],
    values: tuple[str, ...],
    allow_opaque: bool,
    output: str | None,
) -> None:
    """Execute MODEL (.onnx or .irc) with the reference interpreter, and print what comes out.

    Random inputs are normal for floats, 0 to 9 for integers, true for booleans.
    """
    from ircost.ir.interpreter import interpret
    from ircost.passes import parse_pipeline, run_pipeline

    passes = parse_pipeline(pipeline)
    module = read_model(model, dims, shapes, values, allow_opaque).module
    arrays = input_arrays(module.main, inputs, seed)
    before = interpret(module, arrays) if compare or not passes else []
    results = before
    if passes:
        run_pipeline(module, passes)
        results = interpret(module, arrays)
    names = output_names(module.main)
    for name, array in zip(names, results, strict=True):
        click.echo(f"{name:24} {describe(array)}")
    if compare:
        worst = max((largest_difference(a, b) for a, b in zip(before, results, strict=True)), default=0.0)
        click.echo(f"largest difference after {pipeline or 'no passes'}: {worst:.3g}")
    if output:
        buffer = io.BytesIO()
        np.savez(buffer, **dict(zip(names, results, strict=True)))
        write_whole(output, buffer.getvalue())


def input_arrays(function: Function, given: tuple[str, ...], seed: int) -> list[np.ndarray]:
    """An array for each argument.

    Raises:
        OptionError: a name is not an input, or its file cannot be read.
    """
    files = dict(pairs("--input", given))
    names = argument_names(function)
    unknown = [name for name in files if name not in names]
    if unknown:
        raise OptionError(f"--input {unknown[0]}: the model has no such input", help=f"inputs: {', '.join(names)}")
    random = np.random.default_rng(seed)
    return [
        read_array(name, files[name]) if name in files else random_array(argument, random)
        for name, argument in zip(names, function.arguments, strict=True)
    ]


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


def read_array(name: str, path: str) -> np.ndarray:
    try:
        loaded: Any = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise OptionError(f"--input {name}: cannot read {path}: {error}", help="write it with numpy.save") from None
    if isinstance(loaded, np.ndarray):
        return loaded
    if name not in loaded:
        raise OptionError(f"--input {name}: {path} holds {', '.join(loaded)}", help="name the array after the input")
    return np.asarray(loaded[name])


def random_array(argument: Value, random: np.random.Generator) -> np.ndarray:
    from ircost.ir.numpy_dtypes import to_format

    type = argument.type
    if type.dtype.is_float:
        return to_format(random.standard_normal(type.shape, np.float32), type.dtype)
    if type.dtype.is_integer:
        return to_format(random.integers(0, 10 if type.dtype.bits > 4 else 2, type.shape), type.dtype)
    return np.ones(type.shape, bool)


def describe(array: np.ndarray) -> str:
    from ircost.ir.numpy_dtypes import dtype_of

    type = "x".join([*map(str, array.shape), str(dtype_of(array))])
    if array.size == 0:
        return f"{type}  (empty)"
    wide = array.astype(np.float64)
    first = " ".join(f"{number:.6g}" for number in wide.reshape(-1)[:4])
    return f"{type}  min {wide.min():.6g}  max {wide.max():.6g}  mean {wide.mean():.6g}  first {first}"


def largest_difference(before: np.ndarray, after: np.ndarray) -> float:
    if before.size == 0:
        return 0.0
    return float(np.abs(before.astype(np.float64) - after.astype(np.float64)).max())
