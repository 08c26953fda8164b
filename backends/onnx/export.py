"""A module as an ONNX model."""

from __future__ import annotations

import onnx

import ircost.backends.onnx.emitters  # noqa: F401  # registers all
from ircost.backends.onnx.element_types import LEAST_OPSET, OPSETS, value_info
from ircost.backends.onnx.emitter import Scope
from ircost.backends.onnx.graph import GraphWriter, UniqueNames
from ircost.backends.onnx.inline import flattened, open_composites, widen_products
from ircost.backends.onnx.known import Evaluator, known_ops
from ircost.backends.onnx.quantised import find_dynamic_quantisation
from ircost.backends.onnx.split import find_splits
from ircost.backends.onnx.tensors import TensorStore
from ircost.ir.errors import UnknownNameError, did_you_mean
from ircost.ir.graph import Function, Module, Value


def to_onnx(module: Module, for_runtime: str = "", store: TensorStore | None = None) -> onnx.ModelProto:
    """The model that computes what ``main`` does, with its names of inputs and outputs.

    What depends on constants only is computed now and becomes an initializer. The module stays as it is.

    Args:
        module: verified.
        for_runtime: one of ``RUNTIMES``: ``onnxruntime`` allows its own operators, with ``:nchw16c`` or ``:nchw8c`` its
            blocked layout, too, for processors with blocks of that many channels; empty: standard operators only.
        store: where the values of initializers go; into the model where left out.

    Raises:
        UnsupportedError: an op has no ONNX operator, or a weight has no values.
        InterpreterError: the file of a weight is missing.

    >>> from ircost.ir.parser import parse_module
    >>> lines = ["func @main(%x: 2x3xf32) -> 2x3xf32 {", "  %y = relu %x", "  return %y", "}"]
    >>> to_onnx(parse_module(chr(10).join(lines))).graph.node[0].op_type
    'Relu'
    """
    module = flattened(module)
    evaluator = Evaluator()
    runtime, block = runtime_of(for_runtime)
    scope = Scope(runtime, known_ops(module.main.block), evaluator, block=block)
    open_composites(module, scope)
    if block:
        widen_products(module)
    scope.at_load = known_ops(module.main.block)
    scope.outputs = {**find_dynamic_quantisation(module.main.block), **find_splits(module.main.block)}
    return model_of(module, scope, store or TensorStore())


# What a file can be written for, and how many channels a block of its layout has.
RUNTIMES = {"": 0, "onnxruntime": 0, "onnxruntime:nchw8c": 8, "onnxruntime:nchw16c": 16}


def runtime_of(text: str) -> tuple[str, int]:
    """A runtime and the channels in its blocks; 0 for none.

    Raises:
        UnknownNameError: there is no such runtime.
    """
    if text not in RUNTIMES:
        raise UnknownNameError(f"no runtime '{text}'", help=did_you_mean(text, list(RUNTIMES)[1:]))
    return text.split(":")[0], RUNTIMES[text]


def model_of(module: Module, scope: Scope, store: TensorStore) -> onnx.ModelProto:
    main = module.main
    inputs = names_of(main, "inputs", [value.name for value in main.arguments])
    outputs = names_of(main, "outputs", [value.name for value in main.results])
    taken = UniqueNames()
    for name in (*inputs, *outputs):
        taken.take(name)
    names: dict[Value, str] = dict(zip(main.arguments, inputs, strict=True))
    for value, name in zip(main.results, outputs, strict=True):
        names.setdefault(value, name)
    writer = GraphWriter(scope, store, taken)
    nodes: list[onnx.NodeProto] = []
    writer.block(main.block, names, nodes)
    for value, name in zip(main.results, outputs, strict=True):
        writer.named(value, names, nodes, name)
    writer.guarded(nodes)
    graph = onnx.helper.make_graph(
        nodes,
        module.name or "model",
        [value_info(name, value.type) for name, value in zip(inputs, main.arguments, strict=True)],
        [value_info(name, value.type) for name, value in zip(outputs, main.results, strict=True)],
        writer.frames[0].tensors,
    )
    formats = {value.type.dtype.name for value in (*main.arguments, *main.results)}
    version = max([writer.opset, *(OPSETS.get(name, LEAST_OPSET) for name in formats)])
    opsets = [onnx.helper.make_opsetid("", version)]
    opsets += [onnx.helper.make_opsetid(domain, 1) for domain in sorted(writer.domains - {""})]
    return onnx.helper.make_model(
        graph,
        producer_name="ircost",
        opset_imports=opsets,
        ir_version=onnx.helper.find_min_ir_version_for(opsets, ignore_unknown=True),
    )


def names_of(main: Function, which: str, fallback: list[str | None]) -> list[str]:
    """Names of inputs or outputs as the model had them; of their values, or numbered, where there was none."""
    given = main.attrs.get(which)
    if isinstance(given, tuple) and len(given) == len(fallback):
        return [str(name) for name in given]
    taken = UniqueNames()
    return [taken.take(f"{which[:-1]}_{name or i}") for i, name in enumerate(fallback)]
