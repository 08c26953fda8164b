"""Products of dequantised tensors (QDQ), which some runtimes make integer kernels of."""

from __future__ import annotations

from collections.abc import Iterable

import onnx

PRODUCTS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
VIEWS = frozenset({"Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})


def note_on_dequantised(nodes: Iterable[onnx.NodeProto]) -> list[str]:
    """What the reader should know: such products are costed as the file says, in the format dequantised to.

    Args:
        nodes: of a graph, in any order.

    Returns:
        One note, or none where the graph has no product whose both operands are dequantised.

    Source: ONNX Runtime documentation, "Quantize ONNX models", tensor-oriented format (QDQ).
    """
    makers = {name: node for node in nodes for name in node.output if name}
    products = [node for node in makers.values() if node.op_type in PRODUCTS and len(node.input) > 1]
    count = sum(all(_is_dequantised(name, makers) for name in node.input[:2]) for node in products)
    if not count:
        return []
    what = "1 product of dequantised tensors counts" if count == 1 else f"{count} products of dequantised tensors count"
    return [
        f"{what} in the format dequantised to, weights as well: for runtimes that make integer kernels of QDQ put the "
        "pass integer-products in front of the others (irc passes --levels shows them)"
    ]


def _is_dequantised(name: str, makers: dict[str, onnx.NodeProto]) -> bool:
    seen = set()
    while name in makers and name not in seen:
        node = makers[name]
        if node.op_type not in VIEWS:
            return node.op_type == "DequantizeLinear"
        seen.add(name)
        name = node.input[0] if node.input else ""
    return False
