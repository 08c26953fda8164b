"""Rows of measured tables as features, what the analytical model says of them, and what they share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from ircost.cost_models.gpu.constants import ConstantsFile
from ircost.cost_models.gpu.demand import times
from ircost.cost_models.gpu.families import Family
from ircost.cost_models.gpu.labels import GRAPH_REPLAY, labels_of
from ircost.cost_models.gpu.rows import RowGroup, TargetOf, at_rows, groups_of, parts_of, physical_limit_s, roofline_of
from ircost.cost_models.gpu.table_schema import WORDS as NAMES
from ircost.cost_models.gpu.table_schema import completed, family_of, number_column, unreadable
from ircost.cost_models.gpu.table_work import Columns, Setting, coded
from ircost.cost_models.gpu.unnamed_runtime import GRAPH_REPLAYS
from ircost.cost_models.learned.columns import DEVICE, WORDS, Expressed
from ircost.cost_models.learned.features import Vocabulary, feature_matrix, octaves

ConstantsOf = Callable[[str], ConstantsFile]  # by the target's name
# What makes two rows one shape: the layer, whatever runs through it. Source: README of the measured tables, "split by
# shape, never by row". Of messages it is the octave of their bytes.
SHAPE: Mapping[str, tuple[str, ...]] = {
    "gemm": ("n", "k"),
    "attention": ("heads", "kv_heads", "head_dim", "window"),
    "mla": ("batch", "heads"),
    "moe": ("hidden", "inter", "experts", "topk", "tp", "ep"),
    "recurrent": (
        *("num_k_heads", "head_k_dim", "num_v_heads", "head_v_dim", "nheads", "n_groups", "d_state", "head_dim"),
    ),
    "conv": ("in_channels", "in_h", "in_w", "out_channels", "kernel_h", "kernel_w", "stride_h", "stride_w"),
    **dict.fromkeys(("vector", "quantize"), ("cols",)),
    "collective": ("bytes",),
}
IDENTITY = frozenset(("device", "framework", "kernel", "caches", "dtype"))  # of a kernel, beside its sizes


@dataclass(frozen=True, slots=True)
class Rows:
    """Measured rows of one family; every array has one entry for each.

    Args:
        place: of the row in its table.
        features: [rows, features], see ``features.feature_names``.
        octaves: [rows, sizes], see ``features.octaves``.
        roofline_s, analytical_s, limit_s, measured_s: seconds.
        device: the target's name. framework: as the table has it. shape: equal numbers are one shape.
        is_replay: a copy that stands for nobody's runtime in particular.
    """

    family: str
    place: np.ndarray
    features: np.ndarray
    octaves: np.ndarray
    roofline_s: np.ndarray
    analytical_s: np.ndarray
    limit_s: np.ndarray
    measured_s: np.ndarray
    device: np.ndarray
    framework: np.ndarray
    shape: np.ndarray
    is_replay: np.ndarray

    def __len__(self) -> int:
        return len(self.place)

    @property
    def residual(self) -> np.ndarray:
        """ln of measured over analytical: what there is to learn."""
        found: np.ndarray = np.log(self.measured_s / self.analytical_s)
        return found

    def at(self, rows: np.ndarray) -> Rows:
        """Some of them, by number or by mask."""
        own = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "family"}
        return replace(self, **own)

    def group(self, split: str) -> np.ndarray:
        """What rows share that one split keeps together: ``shape``, ``device`` or ``framework``."""
        column: np.ndarray = getattr(self, split)
        return column


@dataclass(frozen=True, slots=True)
class Readable:
    """The rows of a table that tell of a kernel, by what they share.

    Args:
        place: [rows] in the table.
        measured_s: [rows].
    """

    family: Family
    columns: Columns
    groups: Sequence[RowGroup]
    place: np.ndarray
    measured_s: np.ndarray

    def vocabulary(self) -> dict[str, list[str]]:
        """The words that are met."""
        known = [group.labels for group in self.groups if group.setting is not None]
        found = {kind: {labels.get(kind, "") for labels in known} for kind in (*WORDS, DEVICE)}
        found["runtime"] |= {GRAPH_REPLAY} if set(_replays(found["runtime"])) else set()
        found["kernel"] |= {""}
        return {kind: sorted(words) for kind, words in found.items()}

    def shapes(self) -> np.ndarray:
        """[rows] a number for each shape."""
        codes = np.zeros(len(self.place), dtype=np.int64)
        for name in SHAPE[self.family.name]:
            numbers = np.asarray(self.columns[name], float)
            own = np.unique(np.round(np.log2(numbers)) if name == "bytes" else numbers, return_inverse=True)[1]
            _, codes = np.unique(codes * (int(own.max(initial=0)) + 1) + own, return_inverse=True)
        return codes

    def kernels(self, most: int) -> int:
        """How many kernels differ among the rows of known machines, as far as it takes to find so many.

        Runs of one kernel, each on a row of its own, are one: they tell nothing of others.
        """
        known = [group.rows for group in self.groups if group.setting is not None]
        rows = np.concatenate([np.empty(0, dtype=np.int64), *known])
        codes, found = np.zeros(len(rows), dtype=np.int64), min(len(rows), 1)
        numbers_first = sorted(self.family.columns - {"power_w"} | IDENTITY, key=lambda name: (name in NAMES, name))
        for name in numbers_first:
            if found >= most:
                break
            column = self.columns[name][rows]
            own = coded(column)[0] if name in NAMES else np.unique(column, return_inverse=True)[1]
            _, codes = np.unique(codes * (int(own.max(initial=0)) + 1) + own, return_inverse=True)
            found = int(codes.max(initial=-1)) + 1
        return found


def readable(columns: Columns, at: str, target_of: TargetOf, needs_latency: bool = True) -> Readable:
    """The rows of a table that tell of a kernel of a known machine.

    Args:
        columns: of the table. at: its name, for errors.
        needs_latency: only rows that were measured.

    Raises:
        TargetError: the columns tell of no family of kernels.
    """
    family = family_of(columns, at)
    whole = completed(family, columns)
    measured_s = number_column(columns["latency_us"]).astype(float) * 1e-6
    kept = np.isfinite(measured_s) & (measured_s > 0) if needs_latency else np.ones(len(measured_s), dtype=bool)
    for rows in unreadable(family, whole).values():
        kept[rows] = False
    place = np.flatnonzero(kept)
    own = {name: column[place] for name, column in whole.items()}
    return Readable(family, own, list(groups_of(family, own, target_of)), place, measured_s[place])


def always(constants: ConstantsFile) -> ConstantsOf:
    """The same constants for every target."""
    return lambda target: constants


def thinned(table: Readable, most: int) -> Readable:
    """At most so many rows: small groups whole, as many of each large one. The same every time."""
    sizes = np.array([len(group.rows) for group in table.groups if group.setting is not None])
    if sizes.sum() <= most:
        return table
    caps = np.sort(sizes)
    held = np.array([np.minimum(sizes, cap).sum() for cap in caps])
    below = int(np.searchsorted(held, most, side="right"))
    rest = most - (caps[:below].sum() if below else 0)
    cap = max(int(rest / max(len(caps) - below, 1)), 1)
    groups = []
    for group in table.groups:
        order = np.random.default_rng(len(group.rows)).permutation(group.rows)[:cap]
        groups.append(replace(group, rows=np.sort(order)))
    return replace(table, groups=groups)


def rows_of(table: Readable, constants_of: ConstantsOf, vocabulary: Vocabulary, with_replays: float = 0.0) -> Rows:
    """Features and figures of a table's rows, in its order.

    Args:
        constants_of: for each target: those of all rows, or those that were fitted without it.
        with_replays: share of the rows of runtimes that replay graphs that also stand for nobody's in particular.
    """
    parts = [part for group in table.groups if group.setting is not None for part in _parts(table, group, constants_of)]
    if with_replays:
        for group in _replay_groups(table, with_replays):
            parts += _parts(table, group, constants_of, is_replay=True)
    rows = np.concatenate([part.rows for part in parts])
    found = Rows(
        table.family.name,
        place=table.place[rows],
        features=np.concatenate([feature_matrix(part.expressed, vocabulary) for part in parts]),
        octaves=np.concatenate([octaves(part.expressed) for part in parts]),
        roofline_s=np.concatenate([part.roofline_s for part in parts]),
        analytical_s=np.concatenate([np.maximum(part.expressed.terms.latency_s, part.limit_s) for part in parts]),
        limit_s=np.concatenate([part.limit_s for part in parts]),
        measured_s=table.measured_s[rows],
        device=np.concatenate([np.full(len(p.rows), p.expressed.labels["device"], dtype=object) for p in parts]),
        framework=np.asarray(table.columns["framework"])[rows],
        shape=table.shapes()[rows],
        is_replay=np.concatenate([np.full(len(part.rows), part.is_replay) for part in parts]),
    )
    usable = np.isfinite(found.analytical_s) & (found.analytical_s > 0)
    order = np.lexsort((found.place, found.is_replay))
    return found.at(order[usable[order]])


@dataclass(frozen=True, slots=True)
class _Part:
    """Some rows of one group."""

    expressed: Expressed
    rows: np.ndarray
    roofline_s: np.ndarray
    limit_s: np.ndarray
    is_replay: bool


def _parts(table: Readable, group: RowGroup, constants_of: ConstantsOf, is_replay: bool = False) -> Iterator[_Part]:
    setting = group.setting
    assert setting is not None, "groups of known machines"
    constants = constants_of(setting.machine.chip).of(table.family.name, group.labels)
    for rows in parts_of(group.rows):
        own = at_rows(table.columns, rows)
        with np.errstate(all="ignore"):
            roofline_s = roofline_of(table.family, own, setting)
            limit_s = np.broadcast_to(physical_limit_s(table.family, own, setting), len(rows))
        x = expressed(table.family, own, setting, group.labels, constants)
        yield _Part(x, rows, np.broadcast_to(roofline_s, len(rows)), limit_s, is_replay)


def expressed(
    family: Family, columns: Columns, setting: Setting, labels: Mapping[str, str], constants: Mapping[str, float]
) -> Expressed:
    """Rows of one group as the analytical model understands them."""
    with np.errstate(all="ignore"):
        work = family.work(columns, setting)
        terms = times(family.asked_of(work, setting), constants)
    return Expressed(family.name, work, terms, setting.machine, labels)


def _replays(runtimes: set[str]) -> tuple[str, ...]:
    return next((group for group in GRAPH_REPLAYS if runtimes & set(group)), ())


def _replay_groups(table: Readable, share: float) -> Iterator[RowGroup]:
    """The same rows under no runtime's name: what a network's kernels are, where none is said."""
    standing = _replays({group.labels["runtime"] for group in table.groups})
    for group in table.groups:
        if group.setting is None or group.labels["runtime"] not in standing:
            continue
        chosen = np.random.default_rng(len(group.rows)).permutation(group.rows)[: int(len(group.rows) * share)]
        if not len(chosen):
            continue
        width, _, cache = group.labels["dtype"].partition(", ")
        labels = labels_of(
            architecture=group.labels["architecture"],
            device=group.labels["device"],
            runtime=GRAPH_REPLAY,
            dtype=width,
            cache=cache.removesuffix(" cache"),
            kind=group.labels["kind"],
            machine=group.labels["machine"],
        )
        yield replace(group, labels=labels, rows=np.sort(chosen))
