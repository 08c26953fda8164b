"""Writes the table of real models: work, composites, what remains unknown.

    python -m benchmarks.model_table DIR... [--write]

Each DIR holds models with their indexes, as for `pytest --zoo`. `--write` puts the table into docs/models.md.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from zoo import ZooModel, zoo_models

import ircost
from ircost.ir import Block, Op

NAMED = {"gelu", "gelu_tanh", "quick_gelu", "silu", "swiglu", "hard_swish"}
TARGET, FORMAT = "h100", "f16"
PAGE = Path(__file__).resolve().parents[1] / "docs/models.md"
BEGIN, END = "<!-- table: benchmarks/model_table.py -->", "<!-- end of models -->"
HEAD = """\
| model | nodes | exporter | M MACs | M flops | MB of weights | kernels | ms | composites | opaque |
|---|--:|---|--:|--:|--:|--:|--:|---|--:|"""


def main(folders: list[str], write: bool) -> None:
    lines = [HEAD, *(row(model) for folder in folders for model in zoo_models(folder))]
    print("\n".join(lines))
    if write:
        page = PAGE.read_text()
        PAGE.write_text("\n".join([page.split(BEGIN)[0] + BEGIN, *lines, END]) + page.split(END)[1])


def row(model: ZooModel) -> str:
    options = model.options
    report = ircost.compile(str(model.path), TARGET, dtype=FORMAT, shapes=options.shapes, values=options.values)
    names = Counter(op.name for function in report.module.functions.values() for op in named_ops(function.block))
    exporter = str(report.module.attrs.get("producer", "")).split("+")[0].strip() or "-"
    composites = ", ".join(f"{count} {name}" for name, count in sorted(names.items())) or "-"
    work = [f"{report.macs / 1e6:,.1f}", f"{report.flops / 1e6:,.1f}", f"{report.weights_bytes / 1e6:,.1f}"]
    cells = [*work, len(report.kernels), f"{report.latency_s * 1e3:.3f}", composites, len(report.unknown)]
    return f"| {' | '.join(map(str, [model.name, report.nodes, exporter, *cells]))} |"


def named_ops(block: Block) -> Iterator[Op]:
    """Composites and activations, but not what composites are made of."""
    for op in block.ops:
        is_named = op.definition.is_composite and op.name != "reduce_mean"
        if is_named or op.name in NAMED:
            yield op
        if not op.definition.is_composite:
            for region in op.regions:
                yield from named_ops(region.block)


if __name__ == "__main__":
    main([argument for argument in sys.argv[1:] if argument != "--write"], "--write" in sys.argv)
