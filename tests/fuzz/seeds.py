"""Models to damage: one small model for each operator of ONNX's conformance suite, and the bundled real one."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx_conformance import all_cases

BUNDLED = Path(__file__).resolve().parents[2] / "datasets" / "models" / "resnet50.onnx"
LARGEST_BYTES = 200_000


def seeds() -> list[onnx.ModelProto]:
    """A few models of each first operator."""
    found: dict[str, list[onnx.ModelProto]] = {}
    for case in all_cases():
        models = found.setdefault(case.operator, [])
        if len(models) < 4 and case.model.ByteSize() < LARGEST_BYTES:
            models.append(case.model)
    return [model for models in found.values() for model in models] + [onnx.load(BUNDLED, load_external_data=False)]


def real_models(folder: Path) -> list[bytes]:
    """Files small enough to be damaged many times a second."""
    return [path.read_bytes() for path in sorted(folder.glob("*.onnx")) if path.stat().st_size < 10 * LARGEST_BYTES]
