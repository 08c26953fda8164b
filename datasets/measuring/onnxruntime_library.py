"""ONNX Runtime as a library whose kernels are measured: a session of one node, or of its like many times, on the CPU.

Needs ``onnxruntime``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from ircost.datasets.measuring.cases import TABLE_ELEMENTS, Attention, Case, Conv, Gemm, Vector
from ircost.datasets.measuring.cpu import cpu_limits, cpu_machine, processors
from ircost.datasets.measuring.errors import CaseError
from ircost.datasets.measuring.host_clock import host_run, warm_s
from ircost.datasets.measuring.library import SESSIONS, Machine, PowerMeter, Sampler
from ircost.datasets.measuring.nvml import power_meter
from ircost.datasets.measuring.sampling import SHARES, Limits

OPSET = 23  # the first one with attention
IR_VERSION = 11
SCALAR = 1.7
WARM_UP_S = 0.2
# A session takes some three microseconds for itself, whatever is in it: shorter ones have the node several times.
LONG_S = 1e-4
MOST_COPIES = 128
# What would make one of nodes that are alike.
MERGING = ["CommonSubexpressionElimination"]

PAIRS = {"add": "Add", "mul": "Mul", "div": "Div", "pow": "Pow"}
SINGLES = {"relu": "Relu", "tanh": "Tanh", "copy": "Identity", "gelu": "Gelu", "softmax": "Softmax"}


@dataclass(frozen=True, slots=True)
class Node:
    """One operator and what it reads.

    Args:
        inputs: what a run brings, by name. constants: what the model holds.
    """

    operator: str
    inputs: Mapping[str, np.ndarray]
    constants: Mapping[str, np.ndarray]
    attributes: Mapping[str, Any]

    def model(self, copies: int = 1) -> bytes:
        """An ONNX model of this node, so many times side by side; the runtime infers the results' shapes."""
        operands, results = [*self.inputs, *self.constants], [f"y{place}" for place in range(copies)]
        nodes = [helper.make_node(self.operator, operands, [result], **self.attributes) for result in results]
        inputs = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for name, array in self.inputs.items()
        ]
        held = [numpy_helper.from_array(array, name) for name, array in self.constants.items()]
        outputs = [helper.make_tensor_value_info(result, onnx.TensorProto.FLOAT, None) for result in results]
        graph = helper.make_graph(nodes, "case", inputs, outputs, held)
        opsets = [helper.make_opsetid("", OPSET)]
        return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION).SerializeToString())


def node_of(case: Case, random: np.random.Generator) -> Node:
    """A case as one node of ONNX."""

    def normal(*shape: int, scale: float = 1.0) -> np.ndarray:
        return random.standard_normal(shape, dtype=np.float32) * np.float32(scale)

    if isinstance(case, Gemm):
        scale = case.k**-0.5
        if case.op == "linear":
            return Node("MatMul", {"x": normal(case.m, case.k)}, {"w": normal(case.k, case.n, scale=scale)}, {})
        x, y = normal(case.batch, case.m, case.k), normal(case.batch, case.k, case.n, scale=scale)
        return Node("MatMul", {"a": x, "b": y}, {}, {})
    if isinstance(case, Attention):
        q = normal(case.batch, case.heads, case.q_len, case.head_dim)
        k, v = (normal(case.batch, case.kv_heads, case.kv_len, case.head_dim) for _ in "kv")
        return Node("Attention", {"q": q, "k": k, "v": v}, {}, {"is_causal": int(case.phase == "prefill")})
    if isinstance(case, Conv):
        window = (case.kernel_h, case.kernel_w)
        scale = (case.in_channels * case.kernel_h * case.kernel_w) ** -0.5
        x = normal(case.batch, case.in_channels, case.in_h, case.in_w)
        w = normal(case.out_channels, case.in_channels, *window, scale=scale)
        pads = [case.pad_h, case.pad_w] * 2
        return Node("Conv", {"x": x}, {"w": w}, {"strides": [case.stride_h, case.stride_w], "pads": pads})
    return vector_node(case, random)


def vector_node(case: Vector, random: np.random.Generator) -> Node:
    def near_one(*shape: int) -> np.ndarray:
        return random.random(shape, dtype=np.float32) + np.float32(0.5)

    shape = (case.rows, case.cols)
    if case.op == "embedding":
        table = near_one(TABLE_ELEMENTS // case.cols, case.cols)
        return Node("Gather", {"table": table, "tokens": random.integers(len(table), size=case.rows)}, {}, {})
    x = near_one(*shape)
    plain = case.op.removesuffix("_scalar")
    if case.op in PAIRS:
        return Node(PAIRS[case.op], {"a": x, "b": near_one(*shape)}, {}, {})
    if plain in PAIRS:
        return Node(PAIRS[plain], {"a": x}, {"b": np.array([SCALAR], np.float32)}, {})
    if case.op == "layer_norm":
        return Node("LayerNormalization", {"x": x}, {"scale": np.ones(case.cols, np.float32)}, {})
    if case.op == "cumsum":
        return Node("CumSum", {"x": x}, {"axis": np.array(1)}, {})
    return Node(SINGLES[case.op], {"x": x}, {}, {})


def copies_of(session_s: float) -> int:
    """How often a session has a node, of which a session of one took so many seconds.

    >>> copies_of(3e-6), copies_of(1e-8), copies_of(1e-3)
    (34, 128, 1)
    """
    return min(math.ceil(LONG_S / session_s), MOST_COPIES)


@dataclass(frozen=True, slots=True)
class OnnxRuntime:
    """Args:
    threads: within an operator.
    """

    threads: int

    framework = SESSIONS
    dtypes = ("float32",)
    protocol = (
        "a session of one node, or of as many like it as take a tenth of a millisecond, inputs and results bound to "
        "memory, by the host's clock; weights are constants of the model; operands are used again and may lie in caches"
    )

    @property
    def version(self) -> str:
        return str(onnxruntime.__version__)

    @property
    def machine(self) -> Machine:
        return cpu_machine(self.threads)

    @property
    def limits(self) -> Limits:
        return cpu_limits(self.threads)

    @property
    def kinds(self) -> tuple[tuple[str, str], ...]:
        return tuple((family, kind) for family, kinds in SHARES.items() for kind in kinds)

    def power_meter(self) -> PowerMeter:
        return power_meter(None)

    def warm_up(self) -> None:
        side = np.random.default_rng(0).standard_normal((512, 512), dtype=np.float32)
        end = time.monotonic() + WARM_UP_S
        while time.monotonic() < end:
            side @ side

    @contextmanager
    def ready(self, case: Case, seed: int) -> Iterator[Sampler]:
        node = node_of(case, np.random.default_rng(seed))
        with _told_as_case_error():
            call = self._call(node, 1)
            copies = copies_of(warm_s(call))
            yield host_run(self._call(node, copies) if copies > 1 else call, copies)

    def _call(self, node: Node, copies: int) -> Callable[[], object]:
        """A run of a session, which has given finite results once."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(
            node.model(copies), options, providers=["CPUExecutionProvider"], disabled_optimizers=MERGING
        )
        results = session.run(None, dict(node.inputs))
        if not all(np.isfinite(result).all() for result in results):
            raise CaseError("the result is not finite")
        binding = session.io_binding()
        for name, array in node.inputs.items():
            binding.bind_cpu_input(name, array)
        for place, result in enumerate(results):
            binding.bind_ortvalue_output(f"y{place}", onnxruntime.OrtValue.ortvalue_from_numpy(result))
        return lambda: session.run_with_iobinding(binding)


# What the runtime raises has no common base but this; faults of ours are of Python's own classes.
RUNTIME_ERRORS: tuple[type[Exception], ...] = tuple(
    error
    for error in vars(onnxruntime.capi.onnxruntime_pybind11_state).values()
    if isinstance(error, type) and issubclass(error, Exception)
)


@contextmanager
def _told_as_case_error() -> Iterator[None]:
    try:
        yield
    except MemoryError as error:
        raise CaseError("out of memory") from error
    except RUNTIME_ERRORS as error:
        raise CaseError(next(iter(str(error).splitlines()), type(error).__name__)) from error


def open_onnxruntime(threads: int | None) -> OnnxRuntime:
    """ONNX Runtime on so many threads; one for each processor where left out."""
    return OnnxRuntime(threads or processors())
