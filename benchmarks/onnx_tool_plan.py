"""Prints the size of onnx-tool's memory plan of a model: run by a Python that has onnx-tool, and nothing of ours.

    PYTHON benchmarks/onnx_tool_plan.py model.onnx inputs.npz

The last line is JSON: bytes, and how many of onnx-tool's own warnings say that its plan is wrong.
"""

import json
import sys
import warnings


def main(model: str, inputs: str) -> None:
    import numpy as np
    import onnx_tool

    graph = onnx_tool.Model(model).graph
    with np.load(inputs) as feeds:
        graph.shape_infer(dict(feeds))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _, size = graph.get_compute_graph().compress_memory()
    told = [str(warning.message) for warning in caught]
    wrong = sum("overlap" in text or "Wrong" in text or "missing" in text for text in told)
    print(json.dumps({"bytes": int(size), "warnings": wrong}))


if __name__ == "__main__":
    main(*sys.argv[1:])
