"""Writes the table of real models: work, composites, what remains unknown.

    python -m benchmarks.model_table DIR > docs/models.md

DIR holds models with their indexes, as for `pytest --zoo`.
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
HEAD = """# Real models

Written by `python -m benchmarks.model_table DIR > docs/models.md` for the inputs that the indexes of DIR name. MACs are
multiply-adds of one run, less those of scores that a causal mask hides; composites are those of the IR after the
default pipeline, in programme order and not counted times the trips of a loop; opaque are operators that nobody knows.
`pytest --zoo DIR` compares each with onnxruntime.

| model | nodes | exporter | M MACs | composites | opaque |
|---|--:|---|--:|---|--:|"""


def main() -> None:
    print(HEAD)
    for model in zoo_models(sys.argv[1]):
        print(row(model))


def row(model: ZooModel) -> str:
    options = model.options
    report = ircost.compile(str(model.path), shapes=options.shapes, values=options.values)
    names = Counter(op.name for function in report.module.functions.values() for op in named_ops(function.block))
    exporter = str(report.module.attrs.get("producer", "")).split("+")[0].strip() or "-"
    composites = ", ".join(f"{count} {name}" for name, count in sorted(names.items())) or "-"
    cells = [model.name, report.nodes, exporter, f"{report.macs / 1e6:,.1f}", composites, len(report.unknown)]
    return f"| {' | '.join(map(str, cells))} |"


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
    main()
