"""ONNX's own conformance cases (`onnx.backend.test`), loaded and judged: what the tests and the tables share."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx.backend.test.loader import load_model_tests

from ircost.frontends.onnx.backend import PreparedModel, import_for
from ircost.ir.errors import IrcError
from ircost.ir.verify import verify
from ircost.passes import run_pipeline

KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator")


@dataclass(frozen=True, slots=True)
class Case:
    """One model with inputs and what must come out.

    Args:
        name: as ONNX calls it.
        model: to be run.
        data_sets: inputs and outputs, several times perhaps.
        rtol, atol: what the suite allows.
    """

    name: str
    model: onnx.ModelProto
    data_sets: tuple[tuple[list[Any], list[Any]], ...]
    rtol: float
    atol: float

    @property
    def operator(self) -> str:
        """The first operator of the model."""
        return self.model.graph.node[0].op_type if self.model.graph.node else "-"

    @property
    def why_left_out(self) -> str | None:
        """Text, image files, and training previews are no business of a cost model."""
        domains = {opset.domain for opset in self.model.opset_import}
        if "ai.onnx.preview.training" in domains:
            return "training preview"
        if any(node.op_type == "ImageDecoder" for node in self.model.graph.node):
            return "image decoding"
        infos = (*self.model.graph.input, *self.model.graph.output)
        return "strings" if any(b"elem_type: 8\n" in str(info).encode() for info in infos) else None


def all_cases() -> Iterator[Case]:
    """Cases of the installed onnx package: of nodes, of simple models, and of models converted from torch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind in KINDS:
            for case in sorted(load_model_tests(kind=kind), key=lambda case: str(case.name)):
                model, data_sets = from_files(Path(str(case.model_dir))) if case.model is None else in_memory(case)
                yield Case(case.name, model, data_sets, case.rtol, case.atol)


def in_memory(case: Any) -> tuple[onnx.ModelProto, tuple[tuple[list[Any], list[Any]], ...]]:
    pairs = ((list(map(plain, inputs)), list(map(plain, outputs))) for inputs, outputs in case.data_sets)
    return case.model, tuple(pairs)


def plain(value: Any) -> Any:
    """Tensors as arrays; lists of them as lists."""
    if isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.to_array(value)
    return list(map(plain, value)) if isinstance(value, (list, tuple)) else value


def from_files(folder: Path) -> tuple[onnx.ModelProto, tuple[tuple[list[Any], list[Any]], ...]]:
    model = onnx.load(folder / "model.onnx")
    sets = sorted(folder.glob("test_data_set_*"))
    return model, tuple((arrays(part, "input", model), arrays(part, "output", model)) for part in sets)


def arrays(folder: Path, side: str, model: onnx.ModelProto) -> list[Any]:
    infos = model.graph.input if side == "input" else model.graph.output
    files = sorted(folder.glob(f"{side}_*.pb"), key=lambda path: int(re.findall(r"\d+", path.stem)[-1]))
    return [read(path, info) for path, info in zip(files, infos, strict=False)]


def read(path: Path, info: onnx.ValueInfoProto) -> Any:
    if info.type.HasField("sequence_type"):
        return onnx.numpy_helper.to_list(onnx.SequenceProto.FromString(path.read_bytes()))
    return onnx.numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes()))


def outcome(case: Case) -> str:
    """``passed``, ``refused: ...`` or ``wrong: ...``; an error of ours that is no `IrcError` is not caught."""
    try:
        for inputs, expected in case.data_sets:
            imported, given = import_for(case.model, inputs)
            verify(imported.module)
            prepared = PreparedModel(case.model)
            before = prepared.execute(imported.module, given)
            run_pipeline(imported.module, "canonicalize")
            after = prepared.execute(imported.module, given)
            for when, results in (("before", before), ("after", after)):
                if len(results) < len(expected) or not all(map(is_close(case), results, expected)):
                    return f"wrong: {when} canonicalize"
    except IrcError as error:
        return f"refused: {error.message}"
    return "passed"


def is_close(case: Case) -> Callable[[Any, Any], bool]:
    """Compares as the suite does; formats of 16 bits and less to a last place or so, integers exactly."""

    def compare(actual: Any, expected: Any) -> bool:
        if isinstance(expected, list):
            return len(actual) == len(expected) and all(map(compare, actual, expected))
        if expected is None:
            return bool(actual == [])
        expected = np.asarray(expected)
        if actual.shape != expected.shape:
            return False
        if case.operator in RANDOM:
            return True
        wide = [array.astype(np.float64) if array.dtype.kind != "c" else array for array in (actual, expected)]
        is_narrow = expected.dtype.itemsize < 4 and expected.dtype.kind not in "iub"
        rtol, atol = (1e-2, 1e-2) if is_narrow else (case.rtol, max(case.atol, 1e-6))
        return bool(np.allclose(wide[0], wide[1], rtol=rtol, atol=atol, equal_nan=True))

    return compare


# Whose values no two implementations share: shapes are compared, and values in tests of their own.
RANDOM = ("Bernoulli", "RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial")
