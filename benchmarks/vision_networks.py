"""Writes docs/networks.md: vision networks that others measured on GPUs of today, beside predictions of them.

    python -m benchmarks.vision_networks > docs/networks.md
    python -m benchmarks.vision_networks resnet50 vit_base_patch16_224

Needs torch, torchvision and timm, which has the networks. Nothing is fitted to these rows. It takes some ten seconds a
network.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import yaml

import ircost
from ircost.frontends.imported import Imported
from ircost.ir.errors import IrcError

FOLDER = Path(__file__).resolve().parents[1] / "datasets/published"
TABLE = FOLDER / "networks.csv"
HEAD = """# Vision networks on GPUs of today

Written by `python -m benchmarks.vision_networks > docs/networks.md`.

{rows} measurements of {networks} networks that others published (`datasets/published/networks.csv`), beside
predictions of the networks as timm has them, by `ircost.from_torch`, in f16, on `{targets}`. Nothing is fitted
to them, and no convolution of these machines was ever measured for our constants. Eager PyTorch is predicted by
`+pytorch`, with what its convolutions took on GPUs up to Turing; `torch.compile` by `+pytorch_compile`, where
[products stand in](cost-models.md#convolutions) for convolutions, as they do where no runtime is named.

Batches are of 384 to 1,024 images, so that devices are busy, launches do not show, and time goes by the image:
predictions are of 1,024. Each figure is predicted by measured time.

**What to make of it.** At such batches a network's time is known to a tenth or two, without a convolution of
the machine. What is off is off for reasons:

- The rows are of automatic mixed precision. There layer norms read and write f32, and so does what is added to
  them, with casts between; ours are f16 throughout. Eager networks of attention and MLPs take longer than
  predicted for that. With the pass `autocast` some come out nearer (Swin, Mixer), and others too slow (ViT, ConvNeXt),
  for what is said of layer norms below: this page does without it.
- Views are free in eager PyTorch, where a kernel reads what was sliced or transposed as it lies, and so are ours; a
  kernel that reads across is taken to be as fast as one that does not.
- Layer norms are priced too high: under `torch.compile` they take about half of it. So do concatenations and shifts of
  windows, which it fuses with what is around and we do not.
- On an RTX 5090 whatever is element by element takes a third longer eager than predicted, and nothing longer
  compiled.
- Memory formats are not ours to tell apart: channels last is faster for convolutions, and slower for group
  norms, by half in PyTorch 2.4.
- Grouped convolutions of RegNet take longer under `torch.compile` than predicted, where eager ones do not.

"""
SOURCES = """
## Sources

| source | rows | where | how it was timed | what is not sure |
|---|--:|---|---|---|"""
BATCH = 1024
# Profilers of operations count norms besides multiply-adds, two operations an element: so much counts may differ.
COUNTED_ALIKE = 0.07
ROUNDED = 0.01  # the table's counts, to two decimals

Row = Mapping[str, str]


def main(names: Sequence[str]) -> None:
    # One network after the other: to export one takes longest.
    rows = sorted((row for row in read() if not names or row["model"] in names), key=lambda row: row["model"])
    ratios: dict[str, dict[str, float]] = {}
    for row in rows:
        try:
            ratios.setdefault(row["model"], {})[column_of(row)] = predicted_ms(row) / float(row["latency_ms"])
        except IrcError as error:
            print(f"{row['model']}: {error}", file=sys.stderr)
    targets = "`, `".join(sorted({target_of(row) for row in rows}))
    print(HEAD.format(rows=len(rows), networks=len({row["model"] for row in rows}), targets=targets), end="")
    print("\n".join([*summary(ratios), "", *networks(ratios), *refused(rows, ratios), *sources(rows)]))


def read() -> list[Row]:
    with TABLE.open(newline="") as file:
        return list(csv.DictReader(file))


def column_of(row: Row) -> str:
    """What is compared side by side: a machine, a memory format, and how PyTorch ran."""
    how = {"pytorch": "eager", "pytorch compile": "compiled"}[row["framework"]]
    return f"{row['device']} {row['layout']} {how}"


def target_of(row: Row) -> str:
    return f"{row['device']}+{row['framework'].replace(' ', '_')}"


def predicted_ms(row: Row) -> float:
    """Of the row's batch.

    Raises:
        IrcError: the network is not supported.
    """
    report = ircost.compile(network(row["model"], int(row["image"]), row["params_m"]), target_of(row), dtype="f16")
    assert report.latency_s is not None
    gmacs, counted = report.macs / BATCH / 1e9, float(row["gmacs"])
    if abs(gmacs - counted) > COUNTED_ALIKE * counted + ROUNDED:
        print(f"{row['model']}: {gmacs:.3f} G multiply-adds, the table has {counted}", file=sys.stderr)
    return 1e3 * report.latency_s * int(row["batch"]) / BATCH


@lru_cache(maxsize=1)
def network(name: str, image: int, params_m: str) -> Imported:
    """As it was measured: the count of parameters tells where branches that only training needs were merged."""
    import timm
    import torch
    from timm.utils.model import reparameterize_model

    with torch.device("meta"):
        model = timm.create_model(name).eval()
    if abs(sum(each.numel() for each in model.parameters()) / 1e6 - float(params_m)) > ROUNDED:
        model = reparameterize_model(timm.create_model(name).eval()).to("meta")
    return ircost.from_torch(model, (torch.empty(BATCH, 3, image, image, device="meta"),))


def summary(ratios: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    yield "| machine, memory format, PyTorch | networks | median ratio | median error | mean error | within 25 % |"
    yield "|---|--:|--:|--:|--:|--:|"
    for column in columns(ratios):
        found = np.array([own[column] for own in ratios.values() if column in own])
        size = np.abs(found - 1)
        figures = (f"{np.median(found):.2f}", *(f"{100 * x:.0f} %" for x in (np.median(size), size.mean())))
        yield f"| {column} | {len(found)} | {' | '.join(figures)} | {100 * np.mean(size < 0.25):.0f} % |"


def networks(ratios: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """One by one, worst first."""
    yield "## Networks"
    yield ""
    yield f"| predicted / measured | {' | '.join(columns(ratios))} |"
    yield f"|---|{'--:|' * len(columns(ratios))}"
    for name in sorted(ratios, key=lambda name: -max(abs(np.log(x)) for x in ratios[name].values())):
        cells = [f"{ratios[name][column]:.2f}" if column in ratios[name] else "-" for column in columns(ratios)]
        yield f"| {name} | {' | '.join(cells)} |"


def columns(ratios: Mapping[str, Mapping[str, float]]) -> list[str]:
    return sorted({column for own in ratios.values() for column in own})


def refused(rows: Sequence[Row], ratios: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    names = sorted({row["model"] for row in rows} - ratios.keys())
    if names:
        yield ""
        yield f"Not supported by `from_torch`: {', '.join(names)}."


def sources(rows: Sequence[Row]) -> Iterator[str]:
    yield SOURCES
    about = yaml.safe_load((FOLDER / "sources.yaml").read_text())
    for source in sorted({row["source"] for row in rows}):
        count, own = sum(row["source"] == source for row in rows), about[source]
        yield f"| {source} | {count} | {own['at']} | {own['how']} | {own.get('doubt', '')} |"


if __name__ == "__main__":
    main(sys.argv[1:])
