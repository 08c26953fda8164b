"""ONNX files are read without their weights, and nothing but an `IrcError` comes of bad ones."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from ircost.frontends.onnx.element_types import ELEMENT_TYPES
from ircost.frontends.onnx.errors import OnnxError
from ircost.frontends.onnx.model_file import LoadedModel, read_model
from ircost.frontends.onnx.strip import strip_weights
from ircost.frontends.onnx.wire import read_number, write_number
from ircost.ir.errors import IrcError
from ircost.ir.types import f32

WEIGHT = np.arange(24 * 16, dtype=np.float32).reshape(24, 16)  # 1536 bytes: above the threshold
BIAS = np.ones(16, dtype=np.float32)  # 64 bytes: below


def small_model() -> onnx.ModelProto:
    """y = x W + b + c; W and b are initializers, c is a Constant node."""
    nodes = [
        helper.make_node("MatMul", ["x", "W"], ["product"], name="/fc/MatMul"),
        helper.make_node("Add", ["product", "b"], ["sum"], name="/fc/Add"),
        helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(WEIGHT, "value of c")),
        helper.make_node("Add", ["sum", "c"], ["y"], name="/Add"),
    ]
    weights = [numpy_helper.from_array(WEIGHT.T, "W"), numpy_helper.from_array(BIAS, "b")]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [24, 24])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [24, 16])
    graph = helper.make_graph(nodes, "small", [x], [y], weights, doc_string="before and after the weights")
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def tiny_model() -> onnx.ModelProto:
    """A quarter of a kilobyte with every kind of message that the scan goes into."""
    nodes = [
        helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.ones(2, np.float32))),
        helper.make_node("Add", ["w", "c"], ["y"], name="/Add"),
    ]
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N"])
    weight = numpy_helper.from_array(np.ones(2, np.float32), "w")
    return helper.make_model(helper.make_graph(nodes, "tiny", [], [y], [weight]), ir_version=8)


def with_external(model: onnx.ModelProto, **entries: str) -> onnx.ModelProto:
    """The model with ``W`` in another file."""
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        weight.external_data.add(key=key, value=value)
    return model


def read_bytes(folder: Path, data: bytes, keep_bytes: int = 1024) -> LoadedModel:
    path = folder / "model.onnx"
    path.write_bytes(data)
    return read_model(str(path), keep_bytes)


def put_back(model: LoadedModel) -> onnx.ModelProto:
    """The model as one that was read whole."""
    whole = onnx.ModelProto()
    whole.CopyFrom(model.proto)
    for tensor in whole.graph.initializer:
        if tensor.name in model.weights:
            tensor.raw_data = model.weights[tensor.name].read()
    for node in whole.graph.node:
        if node.op_type == "Constant" and node.output[0] in model.constant_weights:
            node.attribute[0].t.raw_data = model.constant_weights[node.output[0]].read()
    return whole


def test_large_values_stay_in_the_file(tmp_path: Path) -> None:
    model = read_bytes(tmp_path, small_model().SerializeToString())
    assert list(model.weights) == ["W"]
    assert list(model.constant_weights) == ["c"]
    assert model.weights["W"].dtype is f32
    assert model.weights["W"].read() == WEIGHT.T.tobytes()
    assert model.proto.ByteSize() < WEIGHT.nbytes


@pytest.mark.parametrize("keep_bytes", [0, 63, 64, 1024, 10**6])
def test_with_its_values_put_back_the_model_is_the_same(tmp_path: Path, keep_bytes: int) -> None:
    expected = small_model()
    assert put_back(read_bytes(tmp_path, expected.SerializeToString(), keep_bytes)) == expected


def test_short_values_and_typed_values_are_kept(tmp_path: Path) -> None:
    expected = small_model()
    text = TensorProto(name="text", data_type=TensorProto.STRING, dims=[999], string_data=[b"word"] * 999)
    expected.graph.initializer.append(text)
    expected.graph.initializer.append(helper.make_tensor("typed", TensorProto.FLOAT, [999], [0.5] * 999))
    model = read_bytes(tmp_path, expected.SerializeToString())
    kept = {tensor.name for tensor in expected.graph.initializer} - model.weights.keys()
    assert kept == {"b", "text", "typed"}
    assert put_back(model) == expected


@pytest.mark.parametrize("data_type", [TensorProto.COMPLEX64, 99])
def test_values_of_a_type_without_counterpart_are_kept(tmp_path: Path, data_type: int) -> None:
    expected = small_model()
    expected.graph.initializer[0].data_type = data_type
    model = read_bytes(tmp_path, expected.SerializeToString())
    assert not model.weights
    assert put_back(model) == expected


def test_each_element_type_has_onnx_s_width() -> None:
    known = set(TensorProto.DataType.values())  # older releases of ONNX lack the newest types
    for data_type, dtype in ((number, dtype) for number, dtype in ELEMENT_TYPES.items() if number in known):
        assert helper.tensor_dtype_to_np_dtype(data_type).itemsize == max(1, dtype.bits // 8), dtype


def test_a_model_larger_than_protobuf_can_parse_is_read(tmp_path: Path) -> None:
    """Nothing touches the values: 3 GiB that are a hole in the file, where protobuf gives up at 2."""
    zeros = 3 * 2**30
    weight = TensorProto(name="W", data_type=TensorProto.INT8, dims=[3, 2**30])
    head = weight.SerializeToString() + run_header(9, zeros)
    head = run_header(5, len(head) + zeros) + head
    head = run_header(7, len(head) + zeros) + head
    path = tmp_path / "large.onnx"
    path.write_bytes(head)
    os.truncate(path, len(head) + zeros)
    found = read_model(str(path)).weights["W"]
    assert (found.offset, found.length) == (len(head), zeros)


def run_header(number: int, length: int) -> bytes:
    return write_number(number << 3 | 2) + write_number(length)


class TestExternalData:
    def test_values_are_found_beside_the_model(self, tmp_path: Path) -> None:
        path = tmp_path / "model.onnx"
        onnx.save(small_model(), path, save_as_external_data=True, location="w.bin", convert_attribute=True)
        model = read_model(str(path))
        assert model.weights["W"].read() == WEIGHT.T.tobytes()
        assert model.constant_weights["c"].read() == WEIGHT.tobytes()
        assert Path(model.weights["W"].path) == tmp_path / "w.bin"

    def test_a_missing_file_is_an_error_only_when_it_is_read(self, tmp_path: Path) -> None:
        data = with_external(small_model(), location="gone.bin", offset="4096").SerializeToString()
        weight = read_bytes(tmp_path, data).weights["W"]
        assert (weight.offset, weight.length) == (4096, WEIGHT.nbytes)
        with pytest.raises(IrcError, match=r"gone\.bin"):
            weight.read()

    def test_a_short_file_is_an_error_only_when_it_is_read(self, tmp_path: Path) -> None:
        (tmp_path / "short.bin").write_bytes(bytes(1000))
        data = with_external(small_model(), location="short.bin").SerializeToString()
        with pytest.raises(IrcError, match="ends at byte 1000, not 1536"):
            read_bytes(tmp_path, data).weights["W"].read()

    def test_a_location_may_have_folders_in_it(self, tmp_path: Path) -> None:
        data = with_external(small_model(), location="parts/../w.bin").SerializeToString()
        assert read_bytes(tmp_path, data).weights["W"].length == WEIGHT.nbytes

    @pytest.mark.parametrize("location", ["../w", "a/../../w", "/etc/passwd", "", "a\0b", "link/w"])
    def test_a_file_outside_of_the_folder_is_refused(self, tmp_path: Path, location: str) -> None:
        folder = tmp_path / "model"
        folder.mkdir()
        (folder / "link").symlink_to(tmp_path)
        data = with_external(small_model(), location=location).SerializeToString()
        with pytest.raises(OnnxError, match="not in the model's folder") as raised:
            read_bytes(folder, data)
        assert "'W' in " in raised.value.render()

    def test_the_folder_is_the_current_one_for_a_bare_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        Path("model.onnx").write_bytes(with_external(small_model(), location="w.bin").SerializeToString())
        assert read_model("model.onnx").weights["W"].path == "w.bin"
        Path("model.onnx").write_bytes(with_external(small_model(), location="../w.bin").SerializeToString())
        with pytest.raises(OnnxError, match="not in the model's folder"):
            read_model("model.onnx")

    @pytest.mark.parametrize(
        ("key", "value"),
        [("offset", "-1"), ("offset", "1e3"), ("length", ""), ("length", "9" * 5000), ("length", "1535")],
    )
    def test_offset_and_length_must_be_right(self, tmp_path: Path, key: str, value: str) -> None:
        entries = {"location": "w.bin", key: value}
        with pytest.raises(OnnxError, match=r"of external data is '|takes 1536 bytes, 1535 are given"):
            read_bytes(tmp_path, with_external(small_model(), **entries).SerializeToString())


@pytest.mark.parametrize("dims", [[24, 17], [-24, -16], [2**40, 2**40], [2**62] * 300])
def test_values_must_fill_the_shape(tmp_path: Path, dims: list[int]) -> None:
    model = small_model()
    model.graph.initializer[0].dims[:] = dims
    with pytest.raises(OnnxError, match=r"1536 are given|no tensor has shape"):
        read_bytes(tmp_path, model.SerializeToString())


def test_every_truncation_is_judged_as_the_library_does(tmp_path: Path) -> None:
    data = tiny_model().SerializeToString()
    for end in range(1, len(data)):
        assert_same_verdict(tmp_path, data[:end])


def test_a_truncated_model_is_told_with_its_place(tmp_path: Path) -> None:
    data = small_model().SerializeToString()
    with pytest.raises(OnnxError, match=r"at byte \d+ field 7 takes \d+ bytes, \d+ are left") as raised:
        read_bytes(tmp_path, data[: len(data) // 2])
    assert "fetch or export it again" in raised.value.render()


def test_damage_inside_a_short_field_is_told_with_its_place(tmp_path: Path) -> None:
    data = small_model().SerializeToString()
    place = data.index(b"/fc/Add") - 1
    damaged = data[:place] + bytes([100]) + data[place + 1 :]
    with pytest.raises(OnnxError, match=rf"at byte {place - 1} field 3 takes 100 bytes, \d+ are left"):
        read_bytes(tmp_path, damaged)


def a_second_graph(data: bytes) -> bytes:
    return data + data


def two_weights_of_one_name(data: bytes) -> bytes:
    model = onnx.ModelProto.FromString(data)
    model.graph.initializer.append(model.graph.initializer[0])
    return bytes(model.SerializeToString())


def a_group_of_fields(data: bytes) -> bytes:
    """Wire types 3 and 4, long out of use; the library skips them."""
    return write_number(99 << 3 | 3) + b"\x08\x01" + write_number(99 << 3 | 4) + data


def a_field_from_the_future(data: bytes) -> bytes:
    return data + write_number(999 << 3 | 2) + b"\x02ab" + write_number(998 << 3 | 1) + bytes(8)


def a_length_with_leading_zeros(data: bytes) -> bytes:
    content: bytes = onnx.ModelProto.FromString(data).graph.SerializeToString()
    return data.replace(write_number(len(content)) + content, padded(len(content)) + content)


def padded(value: int) -> bytes:
    digits = write_number(value)
    return digits[:-1] + bytes([digits[-1] | 0x80, 0x80, 0x00])


@pytest.mark.parametrize(
    "oddity",
    [
        a_second_graph,
        two_weights_of_one_name,
        a_group_of_fields,
        a_field_from_the_future,
        a_length_with_leading_zeros,
    ],
)
def test_unusual_files_mean_what_the_library_says(tmp_path: Path, oddity: Callable[[bytes], bytes]) -> None:
    data = oddity(small_model().SerializeToString())
    assert data != small_model().SerializeToString()
    assert put_back(read_bytes(tmp_path, data)) == onnx.load_from_string(data)


def test_names_that_are_no_text_become_text(tmp_path: Path) -> None:
    data = small_model().SerializeToString().replace(b"/fc/MatMul", b"/fc/\xd6\xd0\xce\xc4__")
    model = read_bytes(tmp_path, data.replace(b"product", b"pr\xffduct"))
    assert model.proto.graph.node[0].name == "/fc/\\xd6\\xd0\\xce\\xc4__"
    assert model.proto.graph.node[0].output[0] == model.proto.graph.node[1].input[0] == "pr\\xffduct"


def test_values_whose_name_is_no_text_are_kept(tmp_path: Path) -> None:
    model = read_bytes(tmp_path, small_model().SerializeToString().replace(b"\x01W", b"\x01\xff"))
    assert model.proto.graph.initializer[0].name == "\\xff"
    assert model.proto.graph.initializer[0].raw_data == WEIGHT.T.tobytes()


def test_a_model_nested_too_deeply_is_refused(tmp_path: Path) -> None:
    graph = helper.make_graph([], "leaf", [], []).SerializeToString()
    for _ in range(200):  # node { attribute { g } }
        for number in (6, 5, 1):
            graph = write_number(number << 3 | 2) + write_number(len(graph)) + graph
    with pytest.raises(OnnxError, match="nested more than 100 deep"):
        read_bytes(tmp_path, write_number(7 << 3 | 2) + write_number(len(graph)) + graph)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is empty"),
        (b"ir_version: 8\ngraph { }\n", "not an ONNX model but text"),
        (b'{"irVersion": "8", "graph": {}}', "not an ONNX model but text"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"<!DOCTYPE html><html></html>", "a web page"),
        (b"PK\x03\x04" + bytes(60), "PyTorch checkpoint"),
        (bytes(100), "not an ONNX model"),
        (b"\x08\x08", "it has no graph"),
    ],
)
def test_other_files_are_told_apart(tmp_path: Path, content: bytes, what: str) -> None:
    with pytest.raises(OnnxError) as raised:
        read_bytes(tmp_path, content)
    assert what in raised.value.render()
    assert "model.onnx" in raised.value.render()
    assert raised.value.help


def test_what_is_no_file_is_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, what in [(".", "directory"), ("pipe", "a pipe"), ("gone", "No such"), ("a\0b", "not a path")]:
        with pytest.raises(OnnxError, match=what):
            read_model(str(tmp_path / path))


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """The bytes with some of them changed, dropped or repeated."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(changed) - 1))
        length = draw(st.integers(0, 8))
        changed[at : at + length] = draw(st.binary(max_size=8) | st.just(bytes(changed[at : at + 40])))
        changed = changed or bytearray(b"\0")
    return bytes(changed)


@given(data=damaged(tiny_model().SerializeToString()))
@settings(max_examples=500)
def test_damaged_bytes_load_or_raise(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert_same_verdict(tmp_path_factory.getbasetemp(), data)


@given(data=damaged(with_external(small_model(), location="w.bin", offset="0").SerializeToString()))
@settings(max_examples=100)
def test_damaged_references_load_or_raise(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert_same_verdict(tmp_path_factory.getbasetemp(), data)


@given(data=st.binary(max_size=64))
def test_any_bytes_can_be_scanned(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert_same_verdict(tmp_path_factory.getbasetemp(), data)


@given(value=st.integers(0, 2**63 - 1))
def test_numbers_are_read_as_written(value: int) -> None:
    digits = write_number(value)
    assert read_number(digits, 0, len(digits)) == (value, len(digits))


def assert_same_verdict(folder: Path, data: bytes) -> None:
    """Loads what the library loads and has a graph; all strings are text; else an `IrcError`."""
    try:
        model = read_bytes(folder, data, keep_bytes=4)
    except IrcError as error:
        assert error.help and not is_sound(data)  # noqa: PT017
    else:
        nodes = model.proto.graph.node
        assert onnx.ModelProto.FromString(data).HasField("graph")
        assert all(isinstance(name, str) for node in nodes for name in (node.op_type, *node.output))


def is_sound(data: bytes) -> bool:
    """Whether the library reads it and every weight fills its shape."""
    try:
        graph = onnx.ModelProto.FromString(data).graph
    except DecodeError:
        return False
    constants = [attribute.t for node in graph.node for attribute in node.attribute]
    return bool(graph.ByteSize()) and all(
        tensor.data_location != TensorProto.EXTERNAL
        and tensor.data_type == TensorProto.FLOAT
        and len(tensor.raw_data) == 4 * math.prod(tensor.dims)
        for tensor in [*graph.initializer, *constants]
    )


def test_the_scan_leaves_only_whole_messages(tmp_path: Path) -> None:
    """What is stripped parses by itself, whatever is kept."""
    data = small_model().SerializeToString()
    for keep_bytes in (0, 10, 100, 1535, 1536):
        stripped = strip_weights(data, keep_bytes, ELEMENT_TYPES)
        kept = onnx.ModelProto.FromString(stripped.model)
        assert len(stripped.initializers) == sum(not tensor.raw_data for tensor in kept.graph.initializer)
