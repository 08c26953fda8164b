"""What a target is made of: memory levels, links, processors, power, energy of arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from ircost.backends.figure import Figure, Quantity
from ircost.ir.errors import did_you_mean
from ircost.ir.types import DTYPES


class Part(BaseModel):
    """A part of a target: immutable, and no key that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class MemoryLevel(Part):
    """A memory, main memory or one nearer to the arithmetic.

    Args:
        name: ``hbm``, ``l2``, ``shared``, ...
        capacity_bytes: of the one there is, or of each processor's own.
        bandwidth_bytes_per_s: reads, of all of it together.
        energy_j_per_byte: to move a byte in or out; None where nobody knows.
        per_processor: every processor has its own.
    """

    name: str
    capacity_bytes: Annotated[Figure, Quantity("B")] = Field(alias="capacity")
    bandwidth_bytes_per_s: Annotated[Figure, Quantity("B/s")] = Field(alias="bandwidth")
    energy_j_per_byte: Annotated[Figure, Quantity("J/B")] | None = Field(default=None, alias="energy")
    per_processor: bool = False


Topology = Literal["switch", "mesh", "torus", "pair", "bus", "network"]

# What a link is when its file does not say, by how its name starts; any other is a switch.
USUAL_TOPOLOGY: dict[str, Topology] = {
    "pcie": "bus",
    **dict.fromkeys(("network", "ib", "infiniband", "roce", "ethernet", "efa", "slingshot"), "network"),
}


def _usual_topology(said: dict[str, Any]) -> Topology:
    name = said.get("name", "")
    return next((topology for start, topology in USUAL_TOPOLOGY.items() if name.startswith(start)), "switch")


class Link(Part):
    """A way to other devices or to the host.

    Args:
        bandwidth_bytes_per_s: out of one device, of all lanes together, in one direction; data sheets often add
            both directions up.
        latency_s: from send to arrival of the first byte.
        topology: what it joins, and how. ``switch``: every device reaches every other at full bandwidth. ``mesh``: a
            wire to each neighbour, so one neighbour gets a part of the bandwidth. ``torus``: the same in a grid, where
            few devices are neighbours of few. ``pair``: a bridge between two. ``bus``: shared, through the host.
            ``network``: between nodes.
        devices: how many it joins at most; None where that is open.
        neighbours: of a ``mesh``, how many others each device has a wire to; all that it joins where left out. A
            ``torus`` needs them: two for each dimension.
        reduces: its switches add up what they pass on, as NVLink SHARP does.
        peers: over a ``bus``, devices write to one another; else through the host's memory, as drivers of a GeForce
            since Turing have it.
    """

    name: str
    bandwidth_bytes_per_s: Annotated[Figure, Quantity("B/s")] = Field(alias="bandwidth")
    latency_s: Annotated[Figure, Quantity("s")] | None = Field(default=None, alias="latency")
    topology: Topology = Field(default_factory=_usual_topology)
    devices: int | None = Field(default=None, ge=2)
    neighbours: int | None = Field(default=None, ge=1)
    reduces: bool = False
    peers: bool = True

    @model_validator(mode="after")
    def _torus_has_neighbours(self) -> Link:
        if self.topology == "torus" and self.neighbours is None:
            raise wrong(f"a torus, as '{self.name}', needs 'neighbours'", "4 of two dimensions, 6 of three")
        return self

    @property
    def wires(self) -> int:
        """How many others share a device's bandwidth between them: one, where whoever is sent to gets all of it."""
        return (self.neighbours or (self.devices or 2) - 1) if self.topology in ("mesh", "torus") else 1


class Processors(Part):
    """The equal parts that share out a kernel: SMs, CUs, cores.

    Args:
        name: what the vendor calls one.
        count: how many; a whole number.
        clock_hz: of the vector units, by which the data sheet counts its rates.
        top_clock_hz: up to which the driver lets them run, where that is above: a GeForce is sold by the clock that it
            reaches in games.
    """

    name: str = "processor"
    count: Annotated[Figure, Quantity("1")]
    clock_hz: Annotated[Figure, Quantity("Hz")] = Field(alias="clock")
    top_clock_hz: Annotated[Figure, Quantity("Hz")] | None = Field(default=None, alias="top_clock")

    @model_validator(mode="after")
    def _top_is_top(self) -> Processors:
        if self.top_clock_hz is not None and self.top_clock_hz < self.clock_hz:
            raise ValueError(f"top_clock is below clock, {float(self.clock_hz) / 1e9:g} GHz")
        return self

    @property
    def boost(self) -> float:
        """How much faster than its data sheet says all that runs by this clock can be: 1 and more."""
        return float(self.top_clock_hz or self.clock_hz) / float(self.clock_hz)


class Power(Part):
    """Power of the whole device with its main memory.

    Args:
        idle_w: ready to run, running nothing.
        peak_w: the limit it is held to.
        design_w: the limit that the board was made for, where it is held to another one.
    """

    idle_w: Annotated[Figure, Quantity("W")] = Field(alias="idle")
    peak_w: Annotated[Figure, Quantity("W")] = Field(alias="peak")
    design_w: Annotated[Figure, Quantity("W")] | None = Field(default=None, alias="design")

    @model_validator(mode="after")
    def _in_order(self) -> Power:
        if self.idle_w >= self.peak_w:
            raise wrong(f"idle power, {self.idle_w:g} W, is not below peak power, {self.peak_w:g} W")
        if self.design_w is not None and self.design_w <= self.idle_w:
            raise wrong(f"design power, {self.design_w:g} W, is not above idle power, {self.idle_w:g} W")
        return self


def wrong(message: str, help: str | None = None) -> PydanticCustomError:
    """A mistake in a file; the reader of the file adds the place."""
    return PydanticCustomError("figure", "{message}", {"message": message, "help": help})


def _known_format(name: str) -> str:
    if name not in DTYPES:
        raise wrong(f"no number format '{name}'", did_you_mean(name, DTYPES))
    return name


FormatName = Annotated[str, AfterValidator(_known_format)]
Peaks = Mapping[FormatName, Annotated[Figure, Quantity("flop/s")]]
Energies = Mapping[FormatName, Annotated[Figure, Quantity("J/flop")]]


class ArithmeticEnergy(Part):
    """Energy of one operation, per unit and number format; a multiply-add is two."""

    matrix: Energies = Field(default_factory=dict)
    vector: Energies = Field(default_factory=dict)
