"""Products of dequantised tensors (QDQ), which some runtimes run as integer kernels."""

from __future__ import annotations

from dataclasses import replace

from ircost.backends import Target
from ircost.frontends import Imported
from ircost.passes import parse_pipeline, pipeline_text
from ircost.passes.convert_dtype import ConvertDType
from ircost.passes.integer_products import IntegerProducts, dequantised_products


def integers_first(pipeline: str) -> str:
    """The passes behind the conversion of ``--dtype``, the integers multiplied first; "" if they are already.

    >>> integers_first("convert-dtype{to=f16},canonicalize,fuse")
    'integer-products,canonicalize,fuse'
    """
    passes = parse_pipeline(pipeline)
    if any(isinstance(each, IntegerProducts) for each in passes):
        return ""
    return pipeline_text((IntegerProducts(), *(each for each in passes if not isinstance(each, ConvertDType))))


def noted(imported: Imported, target: Target, pipeline: str) -> Imported:
    """A model as imported, with a note on its products of dequantised tensors: in which format they count.

    Args:
        pipeline: the passes that will run.

    Source: ONNX Runtime documentation, "Quantize ONNX models", tensor-oriented format (QDQ).
    """
    found, taken, floats = dequantised_products(imported.module)
    other = integers_first(pipeline)
    floats = next((str(each.to) for each in parse_pipeline(pipeline) if isinstance(each, ConvertDType)), floats)
    if not found or (taken == found and not other):
        return imported
    if taken and other:
        note = (
            f"{_products(found)} in {floats}, weights as well; for runtimes that make integer kernels of "
            f"{'them' if taken == found else f'{taken} of them'}{_gain(target, floats)}: --passes '{other}'"
        )
    else:
        note = f"{_products(found - taken)} in {floats}: scales or zero points do not come out of the sum"
    return replace(imported, notes=(*imported.notes, note))


def _products(count: int) -> str:
    return "1 product of dequantised tensors counts" if count == 1 else f"{count} products of dequantised tensors count"


def _gain(target: Target, floats: str) -> str:
    times = float(target.peak_flops_per_s("i8") / target.peak_flops_per_s(floats))
    return f" ({times:.3g} times as fast on {target.name} at best)" if times > 1 else ""
