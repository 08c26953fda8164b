"""Where a sequence of ops repeats itself: layers, one after another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ircost.ir.graph import Op, Value
from ircost.passes.merge_equal_ops import attribute_keys, body_key

# Longer layers than this are not looked for: the search takes time in proportion.
MAX_LAYER_OPS = 1024
Layers = list[list[Op]]


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of a sequence whose ops are like those ``length`` further on.

    Args:
        count: ops in it, ``length`` at least: one repetition or more.
    """

    length: int
    start: int
    count: int

    @property
    def rank(self) -> tuple[int, int]:
        """Larger for a run whose layers take more ops away; of those, for shorter layers."""
        return (self.count // self.length) * self.length, -self.length

    def outside(self, first: int, end: int) -> Iterator[Run]:
        """What is left of it once the ops in between are one layer's and no longer of the sequence."""
        before, behind = min(self.start + self.count, first - self.length), max(self.start, end)
        for start, stop in ((self.start, before), (behind, self.start + self.count)):
            if stop - start >= self.length:
                yield Run(self.length, start, stop - start)


class Repeats:
    """The repetitions of a sequence, of which the best are taken one after another.

    The sequence is compared with itself once, at every distance up to `MAX_LAYER_OPS`: linear in the ops, for each
    distance. A call in place of a layer is like nothing else, so that what repeats in the sequence with calls is what
    is left of the runs found.

    Args:
        sequence: ops in program order. min_ops: shortest layer.
    """

    def __init__(self, sequence: Sequence[Op], min_ops: int) -> None:
        self.sequence = sequence
        keys = shape_keys(sequence)
        self.runs = {
            length: list(runs_of(keys[:-length] == keys[length:], length))
            for length in range(min_ops, min(len(keys) // 2, MAX_LAYER_OPS) + 1)
        }
        self.failed: set[Run] = set()

    def take_best(self) -> Layers | None:
        """The layers that save most ops, which are no longer of the sequence; None where nothing repeats.

        Of the repetitions at one distance only the longest is looked at.
        """
        longest = [max(runs, key=lambda run: run.count) for runs in self.runs.values() if runs]
        for run in sorted(longest, key=lambda run: run.rank, reverse=True):
            found = self.layers_of(run)
            if found is not None:
                first, layers = found
                self.remove(first, first + len(layers) * run.length)
                return layers
        return None

    def layers_of(self, run: Run) -> tuple[int, Layers] | None:
        """A run as layers with the place of the first, if they are wired alike and anybody reads them."""
        if run in self.failed:
            return None
        found = cut(self.sequence, run)
        # What nobody reads is dead, and no call makes it useful.
        if found is None or not layer_outputs(found[1]):
            self.failed.add(run)
            return None
        return found

    def remove(self, first: int, end: int) -> None:
        for length, runs in self.runs.items():
            self.runs[length] = [rest for run in runs for rest in run.outside(first, end)]


def runs_of(flags: np.ndarray, length: int) -> Iterator[Run]:
    """Stretches of true that are as long as a layer."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    starts, counts = edges[::2], edges[1::2] - edges[::2]
    for place in np.flatnonzero(counts >= length).tolist():
        yield Run(length, int(starts[place]), int(counts[place]))


def shape_keys(sequence: Sequence[Op]) -> np.ndarray:
    """A number for each op, equal for ops that may stand in each other's place; calls are like nothing else."""
    numbers: dict[object, int] = {}
    keys = []
    for op in sequence:
        operands = tuple([operand.type for operand in op.operands])
        results = tuple([result.type for result in op.results])
        bodies = tuple([body_key(region.block) for region in op.regions])
        is_alone = op.name == "call" or (op.regions and not op.definition.is_isolated)
        key = op if is_alone else (op.name, operands, results, attribute_keys(op.attrs.values()), bodies)
        keys.append(numbers.setdefault(key, len(numbers)))
    return np.array(keys, dtype=np.int64)


def cut(sequence: Sequence[Op], run: Run) -> tuple[int, Layers] | None:
    """Layers out of a run and the place of the first, cut where fewest values cross; None if none has equal wiring."""
    length = run.length
    shifts = range(run.count % length + 1)
    for shift in sorted(shifts, key=lambda shift: crossing(sequence, run.start + shift, length)):
        first = run.start + shift
        count = (run.count - shift) // length + 1
        layers = [list(sequence[first + i * length : first + (i + 1) * length]) for i in range(count)]
        if all(wiring(layer) == wiring(layers[0]) for layer in layers):
            return first, layers
    return None


def crossing(sequence: Sequence[Op], first: int, length: int) -> int:
    """How many values that the layer makes are read behind it."""
    layer = set(sequence[first : first + length])
    return sum(1 for op in layer for result in op.results if any(user not in layer for user in result.users))


def wiring(layer: Sequence[Op]) -> list[tuple[int, int] | None]:
    """For each operand, which result of which op of the layer it is; None for what comes from outside."""
    places = {result: (i, result.index) for i, op in enumerate(layer) for result in op.results}
    return [places.get(operand) for op in layer for operand in op.operands]


def layer_outputs(layers: Layers) -> list[tuple[int, int]]:
    """(op, result) of each value that something behind its layer reads, in any of the layers."""
    found: set[tuple[int, int]] = set()
    for layer in layers:
        members = set(layer)
        for i, op in enumerate(layer):
            found.update((i, r.index) for r in op.results if any(user not in members for user in users_outside(r)))
    return sorted(found)


def users_outside(value: Value) -> list[Op]:
    """Users, each as the op of the value's own block that it stands in."""
    home = value.producer.block if value.producer is not None else None
    users = []
    for user in value.users:
        while user.block is not home and user.parent is not None:
            user = user.parent
        users.append(user)
    return users
