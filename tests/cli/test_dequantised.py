"""Models of dequantised tensors (QDQ): the report says in which format they count, and how to cost the integers."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import ircost
from ircost.cli import run

RNG = np.random.default_rng(0)
INTEGERS = "integer-products,weight-only,canonicalize,recognise,fold-batch-norm,fuse{by_cost=true}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``both.onnx``, whose convolution and product have two dequantised operands; ``weights.onnx``: one."""
    folder = tmp_path_factory.mktemp("qdq")
    known: dict[str, np.ndarray] = {
        "w_q": RNG.integers(-127, 128, (16, 8, 3, 3)).astype(np.int8),
        "v_q": RNG.integers(-127, 128, (10, 16)).astype(np.int8),
        "each": RNG.uniform(0.01, 0.1, 16).astype(np.float32),
        "none": np.zeros(16, np.int8),
        "scale": np.array(0.05, np.float32),
        "zero": np.array(-3, np.int8),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["x_q"]),
        helper.make_node("DequantizeLinear", ["x_q", "scale", "zero"], ["x_dq"]),
        helper.make_node("DequantizeLinear", ["w_q", "each", "none"], ["w"], axis=0),
        helper.make_node("Conv", ["x_dq", "w"], ["c"], name="conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("ReduceMean", ["r"], ["m"], axes=[2, 3], keepdims=0),
        helper.make_node("QuantizeLinear", ["m", "scale", "zero"], ["m_q"]),
        helper.make_node("DequantizeLinear", ["m_q", "scale", "zero"], ["m_dq"]),
        helper.make_node("DequantizeLinear", ["v_q", "scale"], ["v"]),
        helper.make_node("Gemm", ["m_dq", "v"], ["y"], name="gemm", transB=1),
    ]
    bare = [*nodes[2:6], *nodes[8:]]
    bare[1] = helper.make_node("Conv", ["x", "w"], ["c"], name="conv", pads=[1, 1, 1, 1])
    bare[-1] = helper.make_node("Gemm", ["m", "v"], ["y"], name="gemm", transB=1)
    for name, own in (("both", nodes), ("weights", bare)):
        graph = helper.make_graph(
            own,
            "graph",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 8, 20, 20])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(array, each) for each, array in known.items()],
        )
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), folder / f"{name}.onnx")
    return folder


def about_dequantised(notes: tuple[str, ...]) -> list[str]:
    return [note for note in notes if "dequantised" in note]


def test_the_note_is_the_option_that_costs_the_integers(folder: Path) -> None:
    wide = ircost.compile(folder / "both.onnx", target="t4", dims={"N": 64})
    (note,) = about_dequantised(wide.notes)
    assert note.startswith("2 products of dequantised tensors count in f32, weights as well")
    assert "of them (16 times as fast on t4 at best)" in note
    (pipeline,) = re.findall(r"--passes '(.*)'", note)
    assert pipeline == INTEGERS
    narrow = ircost.compile(folder / "both.onnx", target="t4", dims={"N": 64}, pipeline=pipeline)
    assert not about_dequantised(narrow.notes)
    assert narrow.dtype == "i8" and narrow.latency_s < wide.latency_s
    assert 3.5 < wide.weights_bytes / narrow.weights_bytes <= 4
    assert any("conv_integer" in kernel.op for kernel in narrow.kernels)
    assert not any("pad" in kernel.op for kernel in narrow.kernels)


def test_of_another_format_and_level_it_speaks_of_those(folder: Path) -> None:
    (note,) = about_dequantised(ircost.compile(folder / "both.onnx", target="t4", dtype="f16", opt=1).notes)
    assert "count in f16" in note and "(2 times as fast on t4" in note
    assert note.endswith("--passes 'integer-products,weight-only,canonicalize'")


def test_a_machine_without_faster_integers_promises_none(folder: Path) -> None:
    (note,) = about_dequantised(ircost.compile(folder / "both.onnx", target="raspberry_pi_3").notes)
    assert "fast" not in note and "--passes 'integer-products,canonicalize,recognise,fold-batch-norm,fuse'" in note


def test_integers_that_are_slower_than_floats_are_told_of(folder: Path) -> None:
    """A Jetson Nano has no dot product of bytes."""
    notes = {
        name: ircost.compile(folder / "both.onnx", target=name, pipeline=INTEGERS).notes
        for name in ("jetson_nano", "gtx_1080_ti")
    }
    slower = "i8 contractions run in i32 on jetson_nano, more slowly than those in f32"
    assert slower in notes["jetson_nano"]
    assert not any("contractions run" in note for note in notes["gtx_1080_ti"])


def test_weights_alone_are_no_product_of_integers(folder: Path) -> None:
    assert not about_dequantised(ircost.compile(folder / "weights.onnx", target="t4").notes)


def test_sweeps_say_it_and_what_if_tries_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(folder / "both.onnx")
    assert run(["compile", model, "--target", "t4", "--sweep", "N=1,64", "--dtype", "f32"]) == 0
    assert f"--passes '{INTEGERS}'" in capsys.readouterr().out
    asked = ircost.what_if(model, target="t4", dims={"N": 64})
    tried = next(item for item in asked.alternatives if item.name == "integer-products")
    assert tried.kind == "format" and tried.change < 0
    bare = ircost.what_if(folder / "weights.onnx", target="t4")
    assert not any(item.name == "integer-products" for item in bare.alternatives)


def test_weights_that_grow_at_load_are_told_of(tmp_path: Path) -> None:
    """Quantised for storage alone: a report of 4 MiB of a file of 1 MiB needs a word."""
    weight = helper.make_tensor("w_q", TensorProto.INT8, [1024, 1024], bytes(2**20), raw=True)
    graph = helper.make_graph(
        [helper.make_node("DequantizeLinear", ["w_q", "scale"], ["w"]), helper.make_node("MatMul", ["x", "w"], ["y"])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [8, 1024])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [weight, numpy_helper.from_array(np.array(0.05, np.float32), "scale")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), tmp_path / "stored.onnx")
    report = ircost.compile(tmp_path / "stored.onnx", target="t4")
    (note,) = [note for note in report.notes if "widened" in note]
    assert note.startswith("weights are widened at load: 1.00 MiB as stored, 4 MiB in memory")
