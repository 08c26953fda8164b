"""Estimates of measured rows: the same models that estimate a network's kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from ircost.backends import Target
from ircost.backends.errors import TargetError
from ircost.backends.runtime import known_runtime
from ircost.cost_models.gpu.constants import ConstantsFile
from ircost.cost_models.gpu.demand import times
from ircost.cost_models.gpu.families import Family, kind_on, words
from ircost.cost_models.gpu.formats import format_of
from ircost.cost_models.gpu.labels import (
    GRAPH_REPLAY,
    OF_BYTES,
    OF_COLLECTIVES,
    implementation,
    labels_of,
    runtime_on,
)
from ircost.cost_models.gpu.machine import machine_of
from ircost.cost_models.gpu.power_limit import product_flops_per_s
from ircost.cost_models.gpu.table_work import Columns, Setting, architecture_on_a_bus, coded, is_on_a_bus
from ircost.cost_models.side_by_side import processors, side_by_side

TargetOf = Callable[[str], Target]
# Rows at a time: of fewer the way through Python counts, of more what no cache of the CPU holds. No power of two, for
# which rows of all candidates would meet in the same lines of a cache.
CHUNK = 3000
COLLECTIVE = "collective"
FEWEST_ROWS = 20_000  # that are worth a process of their own
# Where a matrix unit lacks a narrow format, kernels unpack it to the next that it has.
WIDER = {"f4e2m1": "f8e4m3", "f8e4m3": "bf16", "bf16": "f16"}


@dataclass(frozen=True, slots=True)
class RowGroup:
    """Rows of a table that share target, runtime, number format, kind and implementation.

    Args:
        labels: for the constants.
        device: as the table has it.
        rows: their places in the table.
        setting: None where the target is unknown or cannot compute in the format; then ``failure`` says why.
        server: of collectives, that the devices are in, where the table names it.
    """

    labels: Mapping[str, str]
    device: str
    rows: np.ndarray
    setting: Setting | None
    failure: str = ""
    server: str = ""


def groups_of(family: Family, columns: Columns, target_of: TargetOf) -> Iterator[RowGroup]:
    """The rows of a table, those alike together.

    Args:
        columns: completed.
    """
    count = len(columns["device"])
    none = np.full(count, "", dtype=object)
    made_by = words(columns["kernel"], lambda kernel: implementation("", kernel))
    ops = columns["op"] if "rows" in columns else none
    caches = columns.get("kv_dtype", none)
    keys = [columns["device"], columns["framework"], columns["dtype"], family.kinds(columns), made_by, ops, caches]
    if family.name == COLLECTIVE:
        keys += [columns.get(name, none) for name in ("server", "peer", "source")]
    codes = np.zeros(count, dtype=np.int64)
    vocabularies = []
    for key in keys:
        numbers, names = coded(key)
        codes = codes * max(len(names), 1) + numbers
        vocabularies.append(names)
    for code, rows in by_code(codes):
        parts = []
        for names in reversed(vocabularies):
            code, number = divmod(code, max(len(names), 1))
            parts.append(names[number])
        device, runtime, dtype, kind, kernel, op, cache, *told = reversed(parts)
        server, peer, source = told or ("", "", "")
        setting, failure = setting_of(device, runtime, dtype, target_of)
        machine = setting.machine if setting else None
        architecture = machine.architecture if machine else ""
        runtime = setting.runtime if setting else runtime
        name = machine.chip if machine else ""
        # A source that names no server has measured one.
        if family.name == COLLECTIVE and setting and (server or (not source and is_on_a_bus(setting.target))):
            architecture, name, dtype = architecture_on_a_bus(setting.target, peer), "", OF_BYTES
        labels = labels_of(
            architecture=architecture,
            device=name,
            runtime=runtime_on(architecture, family.name, runtime),
            dtype=dtype,
            cache=cache,
            kind=kind_on(kind, op, machine.kind if machine else ""),
            kernel=kernel,
            machine=machine.kind if machine else "",
        )
        yield RowGroup(labels, device, rows, setting, failure, server)


def by_code(codes: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Each code with its rows, in the order of the codes."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    starts = np.flatnonzero(np.r_[len(codes) > 0, ordered[1:] != ordered[:-1]])
    for rows in np.split(order, starts[1:]) if len(starts) else ():
        yield int(codes[rows[0]]), rows


def setting_of(device: str, runtime: str, dtype: str, target_of: TargetOf) -> tuple[Setting | None, str]:
    """What the models need to know of a device and a format, or why they cannot tell.

    Args:
        device: may name a runtime, as ``h100+vllm``. runtime: of the row; else the device's.
    """
    form = format_of(dtype)
    if form is None:
        return None, f"number format '{dtype}' is not known" if dtype else "dtype is missing"
    if not device:
        return None, "device is missing"
    try:
        target = target_of(device)
        arithmetic = _arithmetic(target, form.arithmetic)
        peak = product_flops_per_s(target, arithmetic, form.is_block_scaled)
    except TargetError as error:
        return None, error.message
    if target.runtime and runtime not in ("", GRAPH_REPLAY, OF_COLLECTIVES, target.runtime):
        return None, f"framework '{runtime}' is not that of device '{device}', {target.runtime}"
    known = known_runtime(runtime)
    if known is not None and not known.runs_on(target.vendor):
        return None, f"framework '{runtime}' runs on machines of {known.only_on} only, not on {target.name}"
    machine = target.model_copy(update={"name": target.name.partition("+")[0]})
    return Setting(machine, machine_of(machine), runtime or target.runtime, form, arithmetic, peak), ""


def _arithmetic(target: Target, arithmetic: str) -> str:
    """The format, or the next wider one that the target has."""
    try:
        target.peak_flops_per_s(arithmetic)
    except TargetError:
        if arithmetic not in WIDER:
            raise
        return _arithmetic(target, WIDER[arithmetic])
    return arithmetic


def analytical_rows(
    family: Family, columns: Columns, groups: Sequence[RowGroup], constants: ConstantsFile
) -> np.ndarray:
    """The analytical model's latency of every row, in seconds, never below the physical limit; NaN where it cannot.

    Of machines of which no kind was measured it is the roofline.
    """

    def of_group(group: RowGroup, setting: Setting) -> Callable[[Columns], np.ndarray]:
        if not setting.machine.is_of_measured_kind:
            return partial(roofline_of, family, setting=setting)
        fitted = constants.of(family.name, group.labels)

        def of_rows(own: Columns) -> np.ndarray:
            latency_s = times(family.asked_of(family.work(own, setting), setting), fitted).latency_s
            at_least: np.ndarray = np.maximum(latency_s, physical_limit_s(family, own, setting))
            return at_least

        return of_rows

    return by_group(columns, groups, of_group)


def roofline_rows(family: Family, columns: Columns, groups: Sequence[RowGroup], constants: ConstantsFile) -> np.ndarray:
    """The plain roofline with a launch floor, of every row, in seconds; it takes no constants."""
    del constants

    return by_group(columns, groups, lambda group, setting: lambda own: roofline_of(family, own, setting))


def roofline_of(family: Family, columns: Columns, setting: Setting) -> np.ndarray:
    """The plain roofline with a launch floor, and links at their rate, in seconds, of rows of one setting."""
    totals = family.totals(columns, setting)
    machine = setting.machine
    busy_s = np.maximum(totals.flops / setting.flops_per_s, totals.touched_bytes / machine.main_bytes_per_s)
    return np.maximum(np.maximum(busy_s, totals.sent_at_rate_s), machine.launch_s)


def limit_rows(family: Family, columns: Columns, groups: Sequence[RowGroup]) -> np.ndarray:
    """The physical limit of every row, in seconds."""
    return by_group(columns, groups, lambda group, setting: lambda own: physical_limit_s(family, own, setting))


def by_group(
    columns: Columns,
    groups: Sequence[RowGroup],
    of_group: Callable[[RowGroup, Setting], Callable[[Columns], np.ndarray]],
    most: int = CHUNK,
) -> np.ndarray:
    """What functions of groups say of their rows, at most so many at a time; NaN where the machine is not known."""

    def found_of(of_rows: Callable[[Columns], np.ndarray], rows: np.ndarray) -> np.ndarray:
        return of_rows(at_rows(columns, rows))

    known = [(of_group(group, group.setting), group.rows) for group in groups if group.setting is not None]
    tasks = [(rows, partial(found_of, of_rows, rows)) for of_rows, own in known for rows in parts_of(own, most)]
    return on_all_processors(len(columns["device"]), tasks)


def on_all_processors(
    count: int, tasks: Sequence[tuple[np.ndarray, Callable[[], np.ndarray]]], figures: tuple[int, ...] = ()
) -> np.ndarray:
    """[count, *figures] what each task finds of its rows; NaN where none does. Each processor takes some of many rows.

    No figure depends on how many processors there are. They are copies of this process: threads get in each other's
    way between one operation of NumPy and the next.

    Args:
        tasks: rows, and what finds their figures. figures: how many there are of a row; () for one by itself.
    """

    def found_of(some: Sequence[int]) -> list[np.ndarray]:
        with np.errstate(all="ignore"):  # what comes of extents of zero is told by who asks
            return [tasks[place][1]() for place in some]

    sizes = np.array([len(rows) for rows, _ in tasks], dtype=int)
    copies = int(np.clip(sizes.sum() // FEWEST_ROWS, 1, processors()))
    by_size = np.argsort(-sizes, kind="stable").tolist()
    dealt = [place for first in range(copies) for place in by_size[first::copies]]
    result = np.full((count, *figures), np.nan)
    for place, found in zip(dealt, side_by_side(found_of, dealt, copies, 1), strict=True):
        result[tasks[place][0]] = found
    return result


def parts_of(rows: np.ndarray, most: int = CHUNK) -> Iterator[np.ndarray]:
    """At most so many at a time."""
    return (rows[start : start + most] for start in range(0, len(rows), most))


def at_rows(columns: Columns, rows: np.ndarray) -> Columns:
    """Some rows of each column; neighbours are not copied."""
    is_run = len(rows) and rows[-1] - rows[0] == len(rows) - 1 and bool((np.diff(rows) == 1).all())
    own = slice(int(rows[0]), int(rows[-1]) + 1) if is_run else rows
    return {name: column[own] for name, column in columns.items()}


def physical_limit_s(family: Family, columns: Columns, setting: Setting) -> np.ndarray:
    """No run is shorter: operations at peak; bytes beyond what caches hold over main memory's bandwidth; what is sent
    over links at their rate."""
    totals = family.totals(columns, setting)
    held = sum(
        level.capacity_bytes * (setting.machine.processors if level.per_processor else 1)
        for level in setting.target.memory[1:]
    )
    memory_s = np.maximum(totals.touched_bytes - held, 0.0) / setting.machine.main_bytes_per_s
    # The data sheet's peak, not that of sums in f32: kernels that sum in 16 bits do reach it.
    peak = setting.target.peak_flops_per_s(setting.arithmetic, is_block_scaled=setting.format.is_block_scaled)
    peak_per_s = float(peak) * setting.target.processors.boost
    limit: np.ndarray = np.maximum(np.maximum(totals.flops / peak_per_s, memory_s), totals.sent_s)
    return limit
