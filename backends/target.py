"""What a machine can do: peaks, memory levels, links, launches, power; every figure with its source."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, model_validator

from ircost.backends.errors import TargetError
from ircost.backends.figure import Figure, Quantity
from ircost.backends.number_formats import Engine, unit_for
from ircost.backends.runtime import RUNTIMES, Runtime, runtime_named
from ircost.backends.target_parts import (
    ArithmeticEnergy,
    Link,
    MemoryLevel,
    Part,
    Peaks,
    Power,
    Processors,
    wrong,
)
from ircost.ir.types import DType


def _named(levels: object) -> object:
    """``{hbm: {...}}`` of a file to ``({name: hbm, ...},)``."""
    if not isinstance(levels, Mapping):
        return levels
    return tuple({**level, "name": name} if isinstance(level, Mapping) else level for name, level in levels.items())


def _flash(level: object) -> object:
    return {**level, "name": "flash"} if isinstance(level, Mapping) else level


def _fastest_first(links: tuple[Link, ...]) -> tuple[Link, ...]:
    """A file that extends another adds its links at the end; those of one speed keep the file's order."""
    return tuple(sorted(links, key=lambda link: -link.bandwidth_bytes_per_s))


def _known_runtime(name: str) -> str:
    try:
        return runtime_named(name).name if name else ""
    except TargetError as error:
        raise wrong(error.message, error.help) from error


class Target(Part):
    """A machine. Load one with ``load_target``; every figure is a float that knows its source.

    Args:
        name: as on the command line.
        aliases: other names it is found by.
        vendor: who makes it.
        kind: what it is.
        description: one line for a listing.
        architecture: its generation, such as hopper: machines of one share what is fitted to measurements.
        chip: the target by whose name its chip was measured: what is fitted to and learned of that one's kernels holds
            for its own, as shares of its own figures. "" is its own name; a file that extends another has that one's,
            unless it says otherwise.
        runtime: whose kernels run on it, a name in ``RUNTIMES``; "" is nobody's in particular. Given as
            ``h100_sxm+vllm``; so may be one that only a cost model knows.
        matrix: peak flop/s of the matrix units per number format, dense; a multiply-add is two.
        block_scaled: how many times that rate 8-bit floats get whose blocks share a scale (Microscaling): above 1 where
            the plain rate is halved because sums are kept in f32, as a GeForce halves it.
        vector: the same of the vector lanes.
        special_per_s: transcendental functions (exp, tanh, rsqrt, ...) per second, f32.
        memory: from main memory inward.
        flash: memory apart that weights and code lie in and are read from in place; main memory then holds what a run
            writes, and no weights. None where weights lie in main memory.
        links: the fastest first.
        launch_overhead_s: least time from one kernel's start to the next's, launched one by one on a stream.
        processors, power: see there.
        energy: published energy per operation; where it is silent, ``energy_j_per_flop`` derives one.

    >>> from ircost.backends import load_target
    >>> h100 = load_target("h100")
    >>> h100.main_memory.bandwidth_bytes_per_s, h100.power.peak_w.source
    (3350000000000.0, 'NVIDIA H100 Tensor Core GPU data sheet, 2023')
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]*$")
    aliases: tuple[str, ...] = ()
    vendor: str = ""
    kind: Literal["gpu", "cpu", "accelerator", "microcontroller"]
    description: str = ""
    architecture: str = ""
    chip: str = ""
    runtime: Annotated[str, AfterValidator(_known_runtime)] = ""
    matrix: Peaks = Field(default_factory=dict)
    block_scaled: Annotated[Figure, Quantity("1")] | None = None
    vector: Peaks
    special_per_s: Annotated[Figure, Quantity("flop/s")] | None = Field(default=None, alias="special")
    memory: Annotated[tuple[MemoryLevel, ...], BeforeValidator(_named, json_schema_input_type=dict[str, MemoryLevel])]
    flash: Annotated[MemoryLevel, BeforeValidator(_flash)] | None = None
    links: Annotated[
        tuple[Link, ...],
        BeforeValidator(_named, json_schema_input_type=dict[str, Link]),
        AfterValidator(_fastest_first),
    ] = ()
    launch_overhead_s: Annotated[Figure, Quantity("s")] = Field(alias="launch_overhead")
    processors: Processors
    power: Power
    energy: ArithmeticEnergy = ArithmeticEnergy()

    @model_validator(mode="after")
    def _has_main_memory(self) -> Target:
        if not self.vector:
            raise wrong("the vector units have no number format", "such as 'vector: {f32: 67 TFLOP/s}'")
        if not self.memory:
            raise wrong("no memory", "list at least main memory: capacity, bandwidth, energy")
        if self.main_memory.energy_j_per_byte is None and self.kind != "microcontroller":
            raise wrong(f"main memory '{self.main_memory.name}' lacks 'energy'", "such as 'energy: 3.9 pJ/bit'")
        return self

    @model_validator(mode="after")
    def _goes_inward(self) -> Target:
        for level in self.memory[1:]:
            copies = self.processors.count if level.per_processor else 1
            if level.capacity_bytes * copies > self.main_memory.capacity_bytes:
                times = f"{copies:g} times memory" if level.per_processor else "memory"
                raise wrong(
                    f"{times} '{level.name}' holds more than main memory '{self.main_memory.name}'",
                    "list memories from main memory inward",
                )
        return self

    @property
    def measured_as(self) -> str:
        """The target by whose name kernels of its chip are known.

        >>> from ircost.backends import load_target
        >>> load_target("rtx_4060_ti_16gb+vllm").measured_as, load_target("rtx_4060").measured_as
        ('rtx_4060_ti', 'rtx_4060')
        """
        return self.chip or self.name.partition("+")[0]

    @property
    def main_memory(self) -> MemoryLevel:
        """Where inputs and results live, and weights where there is no flash for them."""
        return self.memory[0]

    def holds(self, weights_bytes: float, others_bytes: float) -> bool:
        """Whether its memories have room for weights and for all else that a run holds.

        >>> from ircost.backends import load_target
        >>> nucleo = load_target("nucleo_l4r5zi")  # 640 KB of SRAM, 2 MB of flash
        >>> nucleo.holds(1e6, 300e3), nucleo.holds(1e6, 700e3), nucleo.holds(3e6, 300e3)
        (True, False, False)
        """
        if self.flash is None:
            return weights_bytes + others_bytes <= self.main_memory.capacity_bytes
        return weights_bytes <= self.flash.capacity_bytes and others_bytes <= self.main_memory.capacity_bytes

    @property
    def link(self) -> Link | None:
        """The fastest way to another device of the same node or domain, if there is any."""
        return next((link for link in self.links if link.topology != "network"), None)

    @property
    def bus(self) -> Link | None:
        """The fastest way to the host, if there is any."""
        return next((link for link in self.links if link.topology == "bus"), None)

    @property
    def network(self) -> Link | None:
        """The way to other nodes, if the standard system has one for each device.

        >>> from ircost.backends import load_target
        >>> [link.name for link in (load_target("h100").link, load_target("h100").network) if link]
        ['nvlink', 'network']
        """
        return next((link for link in self.links if link.topology == "network"), None)

    def with_runtime(self, name: str, own: Sequence[Runtime] = ()) -> Target:
        """This machine as that runtime's kernels find it: ``h100_sxm`` becomes ``h100_sxm+vllm``.

        Args:
            own: somebody's runtimes, beside those that all know.

        Raises:
            TargetError: no such runtime, which lists the nearest; or it does not run on machines of this maker.

        >>> from ircost.backends import load_target
        >>> load_target("h100").with_runtime("vllm")
        Target('h100_sxm+vllm')
        """
        runtime = runtime_named(name, own)
        if not runtime.runs_on(self.vendor):
            raise TargetError(
                f"{runtime.name} runs on machines of {runtime.only_on} only, not on {self.name} of {self.vendor}",
                help=f"name another runtime, or none: {self.name}",
            )
        if runtime.is_small != (self.kind == "microcontroller"):
            small = [row.key for row in RUNTIMES.values() if row.is_small]
            where = "microcontrollers alone" if runtime.is_small else "no microcontroller"
            help = None if runtime.is_small else f"on them run {', '.join(small)}; or name none: {self.name}"
            raise TargetError(f"{runtime.name} runs on {where}, {self.name} is a {self.kind}", help=help)
        return self.model_copy(update={"name": f"{self.name}+{runtime.key}", "runtime": runtime.name})

    def unit_for(self, dtype: DType | str, engine: Engine = "matrix") -> tuple[Engine, str]:
        """The unit that computes in ``dtype``, and the format it does it in; see ``number_formats.unit_for``.

        Raises:
            TargetError: the machine cannot; lists the formats it has.

        >>> from ircost.backends import load_target
        >>> load_target("t4").unit_for("bf16")
        ('vector', 'f32')
        """
        unit = unit_for(str(dtype), engine, self.matrix, self.vector)
        if unit is None:
            has = f"it has matrix {', '.join(self.matrix) or 'none'}; vector {', '.join(self.vector)}"
            raise TargetError(f"{self.name} has no {engine} arithmetic in {dtype}", help=has)
        return unit

    def peak_flops_per_s(self, dtype: DType | str, engine: Engine = "matrix", is_block_scaled: bool = False) -> Figure:
        """Highest rate of arithmetic in ``dtype``, dense; a multiply-add is two operations.

        Args:
            dtype: format of the arithmetic, not of storage.
            engine: ``matrix`` for contractions, ``vector`` for all else. Falls back as ``unit_for`` says: f32
                contractions on a machine whose matrix units lack f32 run at the vector peak.
            is_block_scaled: of operands whose blocks share a scale.

        Raises:
            TargetError: the machine cannot; lists the formats it has.

        >>> from ircost.backends import load_target
        >>> load_target("h100").peak_flops_per_s("f16") / 1e12
        989.4
        """
        unit, unit_format = self.unit_for(dtype, engine)
        peak = (self.matrix if unit == "matrix" else self.vector)[unit_format]
        faster = self.block_scaled if is_block_scaled and unit == "matrix" and unit_format.startswith("f8") else None
        return peak if faster is None else Figure(peak * faster, faster.source, faster.guess)

    def energy_j_per_flop(self, dtype: DType | str, engine: Engine = "matrix") -> Figure:
        """Energy of one operation in ``dtype``, above idle power; a multiply-add is two.

        Where the target's file does not give it: (peak power - idle power - main memory at full bandwidth) /
        peak rate; of a board that is held to another limit, by that which it was made for. That presumes that this
        power is reached when arithmetic and main memory both run at full speed, so it is an estimate from above. What
        on-chip memory takes is inside: add only the energy of main memory to it.

        Raises:
            TargetError: the machine cannot compute in ``dtype``.
        """
        unit, unit_format = self.unit_for(dtype, engine)
        published = (self.energy.matrix if unit == "matrix" else self.energy.vector).get(unit_format)
        if published is not None:
            return published
        return self._derived_energy(self.peak_flops_per_s(unit_format, unit))

    def _derived_energy(self, peak_flops_per_s: float) -> Figure:
        formula = "derived: (peak power - idle power - main memory at full bandwidth) / peak rate"
        return Figure(max(self.arithmetic_w, 0.0) / peak_flops_per_s, formula, guess=True)

    @property
    def arithmetic_w(self) -> float:
        """What the power that it was made for leaves for arithmetic beside main memory at full bandwidth; where that is
        nothing, not above zero, its figures contradict each other.
        """
        main = self.main_memory
        limit_w = self.power.design_w or self.power.peak_w
        # A microcontroller's file may leave its memory's energy out: the power of the running chip has it in it.
        moved_w = main.bandwidth_bytes_per_s * (main.energy_j_per_byte or 0.0)
        return float(limit_w - self.power.idle_w - moved_w)

    def sources(self) -> dict[str, Figure]:
        """Every figure by its path, in file order; each knows ``source`` and ``guess``.

        >>> from ircost.backends import load_target
        >>> load_target("h100").sources()["memory.hbm.bandwidth_bytes_per_s"].source
        'NVIDIA H100 Tensor Core GPU data sheet, 2023'
        """
        return dict(_figures(self, ""))

    def digest(self) -> str:
        """SHA-256 of all that is said here, sources included, as 64 hex digits."""
        # Left out where they are not said, so that reports of before these keys still compare.
        unsaid = {name for name in ("flash", "block_scaled") if getattr(self, name) is None}
        if self.measured_as == self.name.partition("+")[0]:
            unsaid.add("chip")
        said = self.model_dump(mode="json", exclude=unsaid)
        for link in said["links"]:
            if link["peers"]:
                del link["peers"]
        content = json.dumps(said, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(content.encode()).hexdigest()

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"Target({self.name!r})"

    def __str__(self) -> str:
        return self.name


def _figures(part: Any, path: str) -> Iterator[tuple[str, Figure]]:
    if isinstance(part, Figure):
        yield path, part
    for name, inner in _parts(part):
        yield from _figures(inner, f"{path}.{name}" if path else name)


def _parts(part: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(part, BaseModel):
        return part
    if isinstance(part, Mapping):
        return part.items()
    if isinstance(part, tuple):
        return [(inner.name, inner) for inner in part if isinstance(inner, MemoryLevel | Link)]
    return ()
