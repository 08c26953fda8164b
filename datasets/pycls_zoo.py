"""The baselines of pycls' model zoo: 36 networks, what is published of each, and how to build it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from ircost.datasets.convnets import Complexity, EfficientNet, Network, RegNet, ResNet

FILE = Path(__file__).parent / "networks" / "pycls_zoo.yaml"
BATCH = 64  # images that the published times are of
FAMILIES: dict[str, type[ResNet] | type[RegNet] | type[EfficientNet]] = {
    "resnet": ResNet,
    "regnet": RegNet,
    "efficientnet": EfficientNet,
}


@dataclass(frozen=True, slots=True)
class ZooNetwork:
    """One network.

    Args:
        published: counts for one image. time_s: of one forward pass of 64 images on a V100, by its authors.
    """

    name: str
    network: Network
    published: Complexity
    time_s: float


def pycls_zoo() -> tuple[ZooNetwork, ...]:
    """All of them, in the order of the file.

    >>> len(pycls_zoo()), pycls_zoo()[0].name
    (36, 'RegNetX-200MF')
    """
    rows = yaml.safe_load(FILE.read_text())["networks"]
    return tuple(map(_network, rows))


def _network(row: dict[str, Any]) -> ZooNetwork:
    published = Complexity(*(row[name] for name in ("flops", "parameters", "activations")))
    family = FAMILIES[row["family"]]
    given = {field.name: row[field.name] for field in fields(family) if field.name in row}
    sizes: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    return ZooNetwork(row["name"], family(**sizes), published, row["time_ms"] / 1000)
