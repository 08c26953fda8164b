"""Operators that are refused for good, and why."""

from __future__ import annotations

STRINGS = "it works on text, and no tensor here holds text: a cost model has nothing to say of it"
REFUSED: dict[tuple[str, str], str] = {
    **{("", name): STRINGS for name in ("StringConcat", "StringNormalizer", "StringSplit", "RegexFullMatch")},
    ("", "ImageDecoder"): "it decodes image files: feed the model decoded pixels, and cut the operator off",
    **{
        ("ai.onnx.ml", name): f"{STRINGS}; cut the operator off the end of the model"
        for name in ("CastMap", "CategoryMapper", "DictVectorizer")
    },
    **{
        ("ai.onnx.preview.training", name): "it is a training preview of ONNX: export the model for inference"
        for name in ("Adagrad", "Adam", "Gradient", "Momentum")
    },
}
