"""YAML graphs to modules."""

from __future__ import annotations

from pathlib import Path

import ircost.frontends.yaml.layers  # noqa: F401  # registers every kind of layer
from ircost.frontends.imported import Imported, ImportOptions
from ircost.frontends.yaml.body import Body, Network
from ircost.frontends.yaml.document import (
    GRAPH_FILE,
    Document,
    check_keys,
    names_at,
    read_blocks,
    read_params,
    text_at,
)
from ircost.frontends.yaml.errors import YamlGraphError
from ircost.frontends.yaml.inputs import bind_inputs, dtype_at
from ircost.frontends.yaml.layer import LAYERS
from ircost.ir import ops
from ircost.ir.graph import Function, Module
from ircost.ir.types import f32
from ircost.ir.yaml_document import Entry, read_file, read_text

NO_OPTIONS = ImportOptions()


def import_yaml(path: str, options: ImportOptions = NO_OPTIONS) -> Imported:
    """Reads a network from a YAML file; `docs/yaml-graphs.md` says what it may hold.

    Args:
        path: the file.
        options: numbers for symbolic dims and params, shapes of inputs.

    Raises:
        YamlGraphError: the file is wrong; file, line and column.
    """
    return import_document(read_file(Path(path), GRAPH_FILE), Path(path).name, options)


def import_yaml_text(text: str, options: ImportOptions = NO_OPTIONS, file: str = "network.yaml") -> Imported:
    """The same for a text in memory.

    >>> network = import_yaml_text("{inputs: {x: [batch, 64]}, layers: [linear: 10, softmax]}")
    >>> print(network.module.main.results[0].type)
    1x10xf32
    """
    return import_document(read_text(text, file, GRAPH_FILE), file, options)


def import_document(top: Entry, file: str, options: ImportOptions) -> Imported:
    """A read file as a module: ``main``, and a function for each block in use."""
    keys = check_keys(top, Document, "the network")
    dtype = dtype_at(keys["dtype"]) if "dtype" in keys else f32
    params = read_params(keys.get("params"), options.dims)
    bound = bind_inputs(keys["inputs"], params, dtype, options)
    blocks = read_blocks(keys.get("blocks"))
    for name, block in blocks.items():
        if name in LAYERS:
            raise YamlGraphError(f"block '{name}' has the name of a layer", at=block.entry.position, help="rename it")
    names = {**params, **bound.dims}
    function = Function("main", bound.types.values(), {"inputs": tuple(bound.types)})
    values = dict(zip(bound.types, function.arguments, strict=True))
    for name, value in values.items():
        value.name = name
    network = Network(file, dtype, names, blocks)
    body = Body(network, function, names, values, is_main=True)
    last = body.run(keys["layers"], function.arguments)
    outputs = names_at(keys.get("outputs"), "outputs")
    results = [body.find(entry) for entry in outputs] or last[:1]
    function.block.append(ops.return_.create(results))
    function.attrs = {**function.attrs, "outputs": tuple(entry.value for entry in outputs) or ("output",)}
    name = text_at(keys["name"], "name") if "name" in keys else Path(file).stem
    module = Module([*network.functions.values(), function], name=name)
    return Imported(module, tuple(bound.notes), network.layers, bound.batch_dims)
