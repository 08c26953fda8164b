"""A machine with one thing changed, under its old name: what was fitted to it goes on to hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from ircost.backends import Target
from ircost.backends.figure import Figure
from ircost.backends.target_parts import ArithmeticEnergy, MemoryLevel, Part

AnyPart = TypeVar("AnyPart", bound=Part)
TWICE = 2
SAID = "what if"  # the source of figures that nobody's data sheet has


def resources(target: Target) -> Iterator[tuple[str, str, Target]]:
    """The machine with twice of each thing it has: (name, in words, machine). Its name stays, and with it its fits."""
    target = with_energies(target)
    main = target.main_memory
    yield main.name, f"{main.name.upper()} bandwidth x2", _changed(target, memory=_memory(target, main.name))
    if target.matrix:
        yield "matrix", "matrix units x2", _changed(target, matrix=_peaks(target.matrix))
    yield "vector", "vector units x2", _changed(target, vector=_peaks(target.vector))
    if target.special_per_s is not None:
        yield "special", "special functions x2", _changed(target, special_per_s=_twice(target.special_per_s))
    for level in target.memory[1:]:
        if not level.per_processor:
            yield level.name, f"{level.name.upper()} bandwidth x2", _changed(target, memory=_memory(target, level.name))
    if target.kind != "microcontroller":  # its power is what it draws, no limit, and its network runs on one core
        power = _changed(target.power, peak_w=_twice(target.power.peak_w))
        yield "power", "power limit x2", _changed(target, power=power)
        yield "processors", f"{target.processors.name}s x2", more_processors(target)


def wider_links(target: Target) -> Iterator[tuple[str, str, Target]]:
    """Likewise, twice the bandwidth of each way to other devices."""
    for wider in target.links:
        links = tuple(
            _changed(link, bandwidth_bytes_per_s=_twice(link.bandwidth_bytes_per_s)) if link is wider else link
            for link in target.links
        )
        yield wider.name, f"{wider.name} bandwidth x2", _changed(with_energies(target), links=links)


def with_energies(target: Target) -> Target:
    """Energies of operations written out: those derived from the machine's power would follow what is changed."""
    energies: dict[str, dict[str, Figure]] = {
        "matrix": {dtype: target.energy_j_per_flop(dtype, "matrix") for dtype in target.matrix},
        "vector": {dtype: target.energy_j_per_flop(dtype, "vector") for dtype in target.vector},
    }
    power = target.power
    made_for = _changed(power, design_w=power.design_w or power.peak_w)
    return target.model_copy(update={"energy": ArithmeticEnergy(**energies), "power": made_for})


def more_processors(target: Target) -> Target:
    """Twice the processors: each with its own arithmetic, memory, way to the last cache, and power."""
    inner = tuple(
        _changed(level, bandwidth_bytes_per_s=_twice(level.bandwidth_bytes_per_s)) for level in target.memory[1:]
    )
    special = target.special_per_s
    return _changed(
        target,
        matrix=_peaks(target.matrix),
        vector=_peaks(target.vector),
        special_per_s=None if special is None else _twice(special),
        memory=(target.main_memory, *inner),
        processors=_changed(target.processors, count=_twice(target.processors.count)),
        power=_changed(target.power, **{name: _twice(watts) for name, watts in target.power if watts is not None}),
    )


def with_free_launches(target: Target) -> Target:
    return _changed(target, launch_overhead_s=Figure(0.0, SAID))


def _changed(part: AnyPart, **values: Any) -> AnyPart:
    return part.model_copy(update=values)


def _twice(figure: Figure) -> Figure:
    return Figure(TWICE * figure, SAID)


def _peaks(peaks: Mapping[str, Figure]) -> dict[str, Figure]:
    return {dtype: _twice(peak) for dtype, peak in peaks.items()}


def _memory(target: Target, name: str) -> tuple[MemoryLevel, ...]:
    return tuple(
        _changed(level, bandwidth_bytes_per_s=_twice(level.bandwidth_bytes_per_s)) if level.name == name else level
        for level in target.memory
    )
