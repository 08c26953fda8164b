"""Modules of PyTorch to modules of the IR."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind

import ircost.frontends.torch.lowerings  # noqa: F401  # registers every operator
from ircost.frontends.imported import Imported
from ircost.frontends.torch.call import LOWERINGS
from ircost.frontends.torch.dynamic_shapes import batch_dims_of, resized_inputs
from ircost.frontends.torch.errors import TorchError
from ircost.frontends.torch.graph_importer import GraphImporter
from ircost.frontends.torch.tensors import type_of
from ircost.ir import ops
from ircost.ir.graph import Function, Module, Value
from ircost.ir.location import Location


def import_module(
    module: torch.nn.Module | ExportedProgram,
    example_inputs: Sequence[Any] = (),
    dynamic_shapes: Any = None,
    *,
    kwargs: Mapping[str, Any] | None = None,
    dims: Mapping[str, int] | None = None,
    allow_opaque: bool = False,
) -> Imported:
    """See `ircost.from_torch`."""
    if isinstance(module, ExportedProgram):
        return import_program(module, "program", allow_opaque)
    inputs = resized_inputs(tuple(example_inputs), dynamic_shapes, dims or {})
    return import_program(
        exported(module, inputs, dict(kwargs or {})),
        type(module).__name__,
        allow_opaque,
        batch_dims_of(inputs, dynamic_shapes),
    )


def exported(module: torch.nn.Module, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> ExportedProgram:
    """Raises:
    TorchError: torch.export cannot trace the module; with what it says.
    """
    try:
        return torch.export.export(module, inputs, kwargs, strict=False)
    except Exception as error:  # torch raises whatever the module's own code does
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise TorchError(
            f"torch.export cannot trace {type(module).__name__}: {reason}",
            help="torch.export.export(module, inputs) must work; its own message says more",
        ) from error


def import_program(
    program: ExportedProgram, name: str, allow_opaque: bool = False, batch_dims: Mapping[str, int] | None = None
) -> Imported:
    """An exported program as a module with one function, ``main``.

    Operators that we know stay whole; PyTorch decomposes all others.

    Raises:
        UnsupportedError: operators are not known.
        TorchError: an operator's arguments are not supported.
    """
    program = decomposed(program)
    signature = program.graph_signature
    function = Function("main")
    importer = GraphImporter(function.block, name, allow_opaque)
    placeholders = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    inputs = []
    for spec in signature.input_specs:
        node = placeholders[spec.arg.name]
        if spec.kind is InputKind.USER_INPUT:
            importer.values[node] = user_input(function, node, name)
            if isinstance(importer.values[node], Value):
                inputs.append(node.name)
        elif spec.kind is InputKind.TOKEN:
            importer.values[node] = None  # orders what has effects
        elif node.users:
            importer.values[node] = importer.constant(stored(program, spec), str(spec.target))
    results = importer.run(program.graph_module)
    kept = [
        (spec.arg.name, result)
        for spec, result in zip(signature.output_specs, results, strict=True)
        if spec.kind is OutputKind.USER_OUTPUT and isinstance(result, Value)
    ]
    function.block.append(ops.return_.create([result for _, result in kept]))
    function.attrs = {"inputs": tuple(inputs), "outputs": tuple(label for label, _ in kept)}
    module = Module([function], name=name)
    written = [spec.target for spec in signature.output_specs if spec.kind is not OutputKind.USER_OUTPUT]
    notes = (f"state that the module writes is left out: {', '.join(map(str, written))}",) if written else ()
    return Imported(module, notes, importer.nodes, dict(batch_dims or {}))


def decomposed(program: ExportedProgram) -> ExportedProgram:
    """With PyTorch's decompositions of all operators but those we lower."""
    table = torch.export.default_decompositions()
    for operator in list(table):
        if str(operator) in LOWERINGS:
            table.pop(operator)
    return program.run_decompositions(table)


def user_input(function: Function, node: torch.fx.Node, name: str) -> Any:
    """An argument of the function for a tensor; numbers and the like are as in the example."""
    value = node.meta.get("val")
    if not isinstance(value, torch.Tensor):
        return value
    argument = function.block.add_argument(type_of(value, Location(name, (node.name,))))
    argument.name = node.name
    return argument


def stored(program: ExportedProgram, spec: Any) -> torch.Tensor:
    """The tensor of a parameter, a buffer or a constant."""
    tensor = program.state_dict.get(spec.target)
    found = program.constants.get(spec.target) if tensor is None else tensor
    if not isinstance(found, torch.Tensor):
        raise TorchError(f"'{spec.target}' is no tensor", help="only tensors may be state of the module")
    return found
