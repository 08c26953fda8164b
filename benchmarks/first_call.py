"""Prints how long one call takes in a process that has imported what it needs, and done nothing else yet.

python -m benchmarks.first_call compile|infer MODEL [INPUT=1,3,48,320 ...]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable


def compile_call(path: str, shapes: dict[str, tuple[int, ...]]) -> Callable[[], object]:
    import ircost.api
    import ircost.cost_models.roofline
    import ircost.frontends.onnx.importer
    import ircost.passes.all

    return lambda: ircost.compile(path, "h100", shapes=shapes)


def infer_call(path: str, shapes: dict[str, tuple[int, ...]]) -> Callable[[], object]:
    import onnx

    return lambda: onnx.shape_inference.infer_shapes(onnx.load(path))


def main() -> None:
    which, path, *bindings = sys.argv[1:]
    pairs = (binding.split("=") for binding in bindings)
    shapes = {name: tuple(map(int, text.split(","))) for name, text in pairs}
    call = {"compile": compile_call, "infer": infer_call}[which](path, shapes)
    start = time.perf_counter()
    call()
    print(time.perf_counter() - start)


if __name__ == "__main__":
    main()
