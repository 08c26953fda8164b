"""An ONNX file without its large weights: which bytes are left out, and the model that is left."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from mmap import mmap
from typing import NamedTuple

from ircost.frontends.onnx.wire import NUMBER, RUN, Field, fields, read_number, without, write_run

# Field numbers and wire types, from onnx.proto.
MODEL_GRAPH = 7
GRAPH_NODE, GRAPH_INITIALIZER = 1, 5
NODE_OUTPUT, NODE_OP_TYPE, NODE_ATTRIBUTE = 2, 4, 5
ATTRIBUTE_NAME, ATTRIBUTE_TENSOR = 1, 5
TENSOR_DATA_TYPE, TENSOR_SEGMENT, TENSOR_NAME, TENSOR_RAW_DATA, TENSOR_DATA_LOCATION = 2, 3, 8, 9, 14
NODE = {NODE_OUTPUT: RUN, NODE_OP_TYPE: RUN, NODE_ATTRIBUTE: RUN}
ATTRIBUTE = {ATTRIBUTE_NAME: RUN, ATTRIBUTE_TENSOR: RUN}
TENSOR = {
    TENSOR_DATA_TYPE: NUMBER,
    TENSOR_SEGMENT: RUN,
    TENSOR_NAME: RUN,
    TENSOR_RAW_DATA: RUN,
    TENSOR_DATA_LOCATION: NUMBER,
}


@dataclass(frozen=True, slots=True)
class Stripped:
    """A serialised model and the bytes of the file that it lacks.

    Args:
        model: the serialised model.
        initializers: byte ranges of initializers' values, by name.
        constants: byte ranges of ``Constant`` nodes' values, by the node's output.
    """

    model: bytes
    initializers: Mapping[str, range]
    constants: Mapping[str, range]


class Cut(NamedTuple):
    """Values to be left out.

    Args:
        name: of the tensor.
        values: the field that holds the values.
        inside: the messages around it, from the graph's entry inwards.
    """

    name: str
    values: Field
    inside: tuple[Field, ...]


def strip_weights(data: bytes | mmap, keep_bytes: int, data_types: Container[int]) -> Stripped:
    """Leaves out the raw data of the main graph's initializers and of its ``Constant`` nodes.

    What is not written the usual way (a graph in two parts, two weights of one name) stays whole.

    Args:
        keep_bytes: raw data that are not longer than this stay.
        data_types: element types whose values may be left out; others stay.

    Raises:
        MalformedError: `fields` cannot read a message that may hold weights.
    """
    graphs = [field for field in fields(data, 0, len(data)) if field[:2] == (MODEL_GRAPH, RUN)]
    cuts = list(_cuts(data, graphs[0], keep_bytes, data_types)) if len(graphs) == 1 else []
    initializers, constants = (_ranges(cuts, number) for number in (GRAPH_INITIALIZER, GRAPH_NODE))
    if not cuts or len(initializers) + len(constants) < len(cuts):
        return Stripped(data[:], {}, {})
    graph = write_run(MODEL_GRAPH, _content_without(data, graphs[0], cuts))
    return Stripped(data[: graphs[0].begin] + graph + data[graphs[0].end :], initializers, constants)


def _ranges(cuts: list[Cut], number: int) -> dict[str, range]:
    chosen = [cut for cut in cuts if cut.inside[0].number == number]
    return {cut.name: range(cut.values.start, cut.values.end) for cut in chosen}


def _content_without(data: bytes | mmap, graph: Field, cuts: list[Cut]) -> bytes:
    pieces, position = [], graph.start
    for cut in cuts:
        pieces += [data[position : cut.inside[0].begin], without(data, cut.values, cut.inside)]
        position = cut.inside[0].end
    return b"".join([*pieces, data[position : graph.end]])


def _cuts(data: bytes | mmap, graph: Field, keep_bytes: int, data_types: Container[int]) -> Iterator[Cut]:
    for entry in fields(data, graph.start, graph.end, longer_than=keep_bytes):
        inside = (entry,) if entry[:2] == (GRAPH_INITIALIZER, RUN) else _constant_messages(data, entry)
        tensor = _sole_fields(data, inside[-1], TENSOR) if inside else {}
        values = tensor.get(TENSOR_RAW_DATA)
        if values is None or values.end - values.start <= keep_bytes:
            continue
        name = _text(data, tensor.get(TENSOR_NAME)) if len(inside) == 1 else _output(data, entry)
        if name and _is_plain(data, tensor, data_types):
            yield Cut(name, values, inside)


def _output(data: bytes | mmap, node: Field) -> str:
    return _text(data, _sole_fields(data, node, NODE).get(NODE_OUTPUT))


def _constant_messages(data: bytes | mmap, entry: Field) -> tuple[Field, ...]:
    """Node, attribute and tensor, if the entry is a ``Constant`` node with a tensor as its one attribute."""
    if entry[:2] != (GRAPH_NODE, RUN):
        return ()
    node = _sole_fields(data, entry, NODE)
    attribute = node.get(NODE_ATTRIBUTE)
    if _text(data, node.get(NODE_OP_TYPE)) != "Constant" or attribute is None:
        return ()
    parts = _sole_fields(data, attribute, ATTRIBUTE)
    tensor = parts.get(ATTRIBUTE_TENSOR)
    if _text(data, parts.get(ATTRIBUTE_NAME)) != "value" or tensor is None:
        return ()
    return entry, attribute, tensor


def _is_plain(data: bytes | mmap, tensor: Mapping[int, Field | None], data_types: Container[int]) -> bool:
    """Whether the raw data are all there is: no segment of a larger tensor, nothing in another file."""
    data_type, elsewhere = tensor.get(TENSOR_DATA_TYPE), tensor.get(TENSOR_DATA_LOCATION)
    return _number(data, data_type) in data_types and not _number(data, elsewhere) and TENSOR_SEGMENT not in tensor


def _sole_fields(data: bytes | mmap, message: Field, wanted: Mapping[int, int]) -> dict[int, Field | None]:
    """The wanted fields of a message, by number; None for one that occurs repeatedly."""
    found: dict[int, Field | None] = {}
    for field in fields(data, message.start, message.end):
        if wanted.get(field.number) == field.wire_type:
            found[field.number] = None if field.number in found else field
    return found


def _text(data: bytes | mmap, field: Field | None) -> str:
    """A field's text; empty where there is none, or where it is no text."""
    try:
        return data[field.start : field.end].decode() if field else ""
    except UnicodeDecodeError:
        return ""


def _number(data: bytes | mmap, field: Field | None) -> int:
    return read_number(data, field.start, field.end)[0] if field else 0
