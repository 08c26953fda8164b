"""Where an op comes from, in the user's own terms."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Location:
    """The nodes of the user's model that an op stands for.

    Args:
        file: the model, as the user named it; may be empty.
        nodes: node names, in program order; a fused op has several.
    """

    file: str
    nodes: tuple[str, ...]

    def describe(self) -> list[str]:
        names = ", ".join(f"'{node}'" for node in self.nodes[:4]) + (" ..." if len(self.nodes) > 4 else "")
        kind = "node" if len(self.nodes) == 1 else "nodes"
        return [f"at {kind} {names}" + (f" in {self.file}" if self.file else "")]


def merge_locations(locations: Iterable[Location | None]) -> Location | None:
    """One location for an op that replaces several; each node is named once, in order."""
    known = [location for location in locations if location is not None]
    if not known:
        return None
    if all(location is known[0] for location in known):
        return known[0]
    nodes = dict.fromkeys(node for location in known for node in location.nodes)
    return Location(known[0].file, tuple(nodes))
