"""Whose kernels run on a machine, and how they are launched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ircost.backends.errors import TargetError
from ircost.ir.errors import did_you_mean


@dataclass(frozen=True, slots=True)
class Runtime:
    """A runtime, serving engine or kernel library.

    Args:
        name: as tables of measurements call it.
        description: one line for a listing.
        launch: ``graph``: whole steps are recorded once and replayed, so a kernel costs little to launch. ``eager``:
            the host launches kernels one by one.
        sums_narrow: it lets lanes add up products of 16 bits in 16 bits where that is faster; others add up in f32.
        only_on: whose machines alone it runs on; empty where that is not told.
        is_small: it runs on microcontrollers, and on nothing else; others do not run there.
    """

    name: str
    description: str
    launch: Literal["graph", "eager"]
    sums_narrow: bool = False
    only_on: str = ""
    is_small: bool = False

    @property
    def key(self) -> str:
        """The name as one word, for the command line: ``vendor_library``."""
        return self.name.replace(" ", "_")

    def runs_on(self, vendor: str) -> bool:
        """Whether machines of that maker run it; of a maker that nobody names, yes.

        >>> runtime_named("trtllm").runs_on("AMD"), runtime_named("vllm").runs_on("AMD")
        (False, True)
        """
        return not vendor or self.only_on in ("", vendor)


_ROWS = (
    Runtime("vllm", "vLLM, serving of language models", "graph"),
    Runtime("sglang", "SGLang, serving of language models", "graph"),
    Runtime("trtllm", "NVIDIA TensorRT-LLM, serving of language models", "graph", only_on="NVIDIA"),
    # At 34.2 images of ResNet-50 a second a Jetson Nano runs 280 GFLOP/s, more than its lanes have in f32.
    # Source: NVIDIA-AI-IOT/torch2trt, docs/benchmarks/jetson_nano.md.
    Runtime("tensorrt", "NVIDIA TensorRT, engines of whole networks", "graph", sums_narrow=True, only_on="NVIDIA"),
    Runtime("pytorch", "PyTorch, op by op", "eager"),
    Runtime("vendor library", "the vendor's own library, such as cuBLAS, called one kernel at a time", "eager"),
    Runtime("sarathi", "Sarathi-Serve, serving with chunked prefill", "eager"),
    Runtime("nccl", "NVIDIA NCCL, collectives between devices", "eager"),
    Runtime("pytorch graphs", "PyTorch, recorded as CUDA graphs and replayed", "graph"),
    Runtime("pytorch compile", "PyTorch under torch.compile, what it made replayed as CUDA graphs", "graph"),
    Runtime("onnxruntime", "ONNX Runtime, op by op", "eager"),
    Runtime(
        "tflite micro", "TensorFlow Lite Micro with its vendor's kernels, such as CMSIS-NN", "eager", is_small=True
    ),
    Runtime("microtvm", "Apache microTVM with CMSIS-NN", "eager", is_small=True),
    Runtime("x cube ai", "STMicroelectronics X-CUBE-AI", "eager", only_on="STMicroelectronics", is_small=True),
    Runtime("plumerai", "Plumerai Inference Engine", "eager", is_small=True),
    Runtime("hale", "Bosch Hardware-Aware Lowering Engine", "eager", is_small=True),
    Runtime("onnc", "Skymizer ONNC with CMSIS-NN", "eager", is_small=True),
    Runtime("tinyengine", "TinyEngine of MCUNet", "eager", is_small=True),
)
RUNTIMES: dict[str, Runtime] = {runtime.name: runtime for runtime in _ROWS}


def own_runtime(name: str) -> Runtime:
    """A runtime of which nothing is known but kernels that somebody measured.

    Tables have the time of each kernel, as of graphs that are replayed: it is taken to launch like that.

    Args:
        name: as in those tables.
    """
    return Runtime(name, "known by its measured kernels alone", "graph")


def known_runtime(name: str, own: Sequence[Runtime] = ()) -> Runtime | None:
    """The runtime of that name, whatever its case; ``_`` and ``-`` may stand for a blank. None where there is none.

    Args:
        own: somebody's, beside those that all know.

    >>> known_runtime("vLLM").name, known_runtime("vendor_library").name, known_runtime("mine")
    ('vllm', 'vendor library', None)
    >>> known_runtime("TensorRT-LLM").name
    'trtllm'
    """
    words = _plain(name)
    found = RUNTIMES.get("trtllm" if words == "tensorrt llm" else words)
    exact = next((runtime for runtime in own if runtime.name == name), None)
    return found or exact or next((runtime for runtime in own if _plain(runtime.name) == words), None)


def _plain(name: str) -> str:
    return name.lower().replace("_", " ").replace("-", " ")


def runtime_named(name: str, own: Sequence[Runtime] = ()) -> Runtime:
    """The runtime of that name, as ``known_runtime``.

    Raises:
        TargetError: there is none; lists the nearest.

    >>> runtime_named("vllm").launch, runtime_named("vendor_library").name
    ('graph', 'vendor library')
    """
    runtime = known_runtime(name, own)
    if runtime is None:
        known = [runtime.key for runtime in (*own, *_ROWS)]
        raise TargetError(f"no runtime '{name}'", help=did_you_mean(name, known, f"known: {', '.join(known)}"))
    return runtime
