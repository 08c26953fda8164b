"""ONNX models to modules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx

import ircost.frontends.onnx.lowerings  # noqa: F401  # registers every operator
from ircost.frontends.imported import Imported, ImportOptions
from ircost.frontends.onnx.bounds import Bounds
from ircost.frontends.onnx.context import ModelContext
from ircost.frontends.onnx.errors import OnnxError
from ircost.frontends.onnx.expansion import check_expands
from ircost.frontends.onnx.external_data import ExternalData
from ircost.frontends.onnx.graph_importer import GraphImporter
from ircost.frontends.onnx.inputs import bind_inputs
from ircost.frontends.onnx.model_file import LoadedModel, read_model
from ircost.frontends.onnx.sequence_value import Absent, OnnxValue, SequenceValue, flat_names, tensors_of
from ircost.ir import ops
from ircost.ir.errors import did_you_mean
from ircost.ir.graph import Function, Module, Value
from ircost.ir.location import Location
from ircost.ir.numpy_dtypes import numpy_dtype

NO_OPTIONS = ImportOptions()
LATEST_OPSET = 1 << 16  # there are some 30; what is far beyond is damage
DAMAGED = "the model is damaged"


def import_onnx(path: str, options: ImportOptions = NO_OPTIONS) -> Imported:
    """Reads an ONNX file; its large weights stay where they are.

    Args:
        path: the file.
        options: bind symbolic dims, shapes and values of inputs.

    Raises:
        OnnxError: the file is damaged, or leaves a dim unbound.
        UnsupportedError: an operator or a number format is not known.
    """
    return import_loaded(read_model(path), options)


def import_model(proto: onnx.ModelProto, options: ImportOptions = NO_OPTIONS, file: str = "model.onnx") -> Imported:
    """The same for a model in memory; external data are looked for beside ``file``."""
    return import_loaded(LoadedModel(file, proto, {}, {}), options)


def import_loaded(loaded: LoadedModel, options: ImportOptions) -> Imported:
    """A read model as a module with one function, ``main``."""
    proto, graph, file = loaded.proto, loaded.proto.graph, Path(loaded.path).name
    opsets, notes = known_opsets(proto, file)
    initializers = {tensor.name: tensor for tensor in graph.initializer}
    sparse = {tensor.values.name: tensor for tensor in graph.sparse_initializer}
    check_named_once(graph, file)
    check_expands(proto, file)
    infos = [info for info in graph.input if info.name not in initializers and info.name not in sparse]
    bound = bind_inputs(infos, options, file)
    names = [name for name in bound.types if name not in options.values]
    function = Function(
        "main",
        [bound.types[name] for name in names],
        {"inputs": tuple(names)},
    )
    context = ModelContext(
        file=file,
        model=proto,
        opsets=opsets,
        functions={(f.domain, f.name, f.overload): f for f in proto.functions},
        external=ExternalData(loaded.path),
        constant_weights=loaded.constant_weights,
        allow_opaque=options.allow_opaque,
        bounds=Bounds(options.bounds),
    )
    importer = GraphImporter(context, function.block)
    for name, tensor in initializers.items():
        importer.add_initializer(name, tensor, loaded.weights.get(name))
    for weight in sparse.values():
        importer.add_sparse(weight)
    tensors = dict(zip(names, function.arguments, strict=True))
    for name, value in options.values.items():
        array = np.asarray(value).astype(numpy_dtype(bound.types[name].dtype))
        tensors[name] = importer.place([ops.constant_of(array)], Location(file, (name,)))[0]
    for name, parts in bound.inputs.items():
        importer.define(name, input_value(parts, tensors))
    importer.run(graph.node)
    context.bounds.check_all_used(file)
    function.attrs = {**function.attrs, "outputs": return_outputs(importer, graph)}
    module = Module([function], name=Path(loaded.path).stem, attrs=model_attributes(proto, opsets))
    notes += [*bound.notes, *context.notes, *context.bounds.notes]
    return Imported(module, tuple(dict.fromkeys(notes)), count_nodes(graph), bound.batch_dims)


def check_named_once(graph: onnx.GraphProto, file: str) -> None:
    """Raises:
    OnnxError: two inputs or two weights have one name; which of them is meant would be a guess.
    """
    weights = [tensor.name for tensor in graph.initializer] + [t.values.name for t in graph.sparse_initializer]
    for names in ([info.name for info in graph.input], weights):
        if len(set(names)) < len(names):
            name, _ = Counter(names).most_common(1)[0]
            raise OnnxError(f"two values are called '{name}'", at=file, help=DAMAGED)


def count_nodes(graph: onnx.GraphProto) -> int:
    """Operators of a graph and of those nested in it, constants included."""
    nested = (a.g for node in graph.node for a in node.attribute if a.type == onnx.AttributeProto.GRAPH)
    return len(graph.node) + sum(map(count_nodes, nested))


def known_opsets(proto: onnx.ModelProto, file: str) -> tuple[dict[str, int], list[str]]:
    """Version of each domain, and notes: an opset newer than the installed onnx knows is taken as its newest.

    Raises:
        OnnxError: a version is no version.
    """
    opsets = {("" if o.domain == "ai.onnx" else o.domain): o.version for o in proto.opset_import}
    for domain, version in opsets.items():
        if not 0 < version < LATEST_OPSET:
            raise OnnxError(f"opset {version} of domain '{domain or 'ai.onnx'}' is no version", at=file, help=DAMAGED)
    newest = onnx.defs.onnx_opset_version()
    if opsets.get("", 1) <= newest:
        return opsets, []
    note = f"opset {opsets['']} is newer than onnx {onnx.__version__} knows: taken as {newest}, its newest"
    return {**opsets, "": newest}, [note]


def input_value(parts: str | list[str] | None, tensors: Mapping[str, Value]) -> OnnxValue:
    """A tensor, a sequence of some, or an optional that is left out."""
    if parts is None:
        return Absent()
    return tensors[parts] if isinstance(parts, str) else SequenceValue(tuple(tensors[part] for part in parts))


def return_outputs(importer: GraphImporter, graph: onnx.GraphProto) -> tuple[str, ...]:
    """Ends the function with what the graph gives; names of the tensors."""
    results: list[Value] = []
    names: list[str] = []
    for info in graph.output:
        value = importer.find(info.name)
        if value is None:
            raise OnnxError(
                f"output '{info.name}' is made by nothing",
                at=importer.context.file,
                help=did_you_mean(info.name, importer.names()),
            )
        results.extend(tensors_of(value))
        names.extend(flat_names(info.name, value))
    importer.block.append(ops.return_.create(results))
    return tuple(names)


def model_attributes(proto: onnx.ModelProto, opsets: dict[str, int]) -> dict[str, str | int]:
    producer = f"{proto.producer_name} {proto.producer_version}".strip()
    attrs: dict[str, str | int] = {"producer": producer} if producer else {}
    return {**attrs, "opset": opsets.get("", 1)}
