"""Passes on layouts, transforms, patches and tiles, on generated graphs: time per op should stay level.

python -m pytest benchmarks/test_tile_speed.py -s
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ircost.backends import load_target
from ircost.cost_models.automatic import search_model
from ircost.frontends import load
from ircost.passes import PassContext, run_pipeline

PIPELINE = "canonicalize,recognise,layout,monarch,patch,fuse,tile"
MEASURED = ("layout", "monarch", "patch", "tile")


@pytest.mark.parametrize("nodes", [1_000, 10_000, 100_000])
def test_passes_of_generated_graphs(nodes: int, benchmark: Any, tmp_path: Path) -> None:
    import onnx
    from generated_graph import transformer_like

    path = tmp_path / "generated.onnx"
    onnx.save(transformer_like(nodes), path)
    module = load(path).module
    target = load_target("h100_sxm")
    context = PassContext(target, search_model(target))
    reports = benchmark.pedantic(run_pipeline, (module, PIPELINE), {"context": context}, rounds=1)
    for report in reports:
        if report.text in MEASURED:
            per_op_s = report.seconds / report.ops_before
            benchmark.extra_info[report.text] = per_op_s
            print(f"\n{nodes:7} nodes  {report.text:8} {report.seconds:7.2f} s  {per_op_s * 1e6:6.1f} us an op", end="")
            print(f"  {report.verify_seconds:6.2f} s to verify", end="")
