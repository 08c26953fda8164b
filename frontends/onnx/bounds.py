"""Upper bounds of what data decide: how often a loop runs, how many elements are selected."""

from __future__ import annotations

from collections.abc import Mapping

from ircost.frontends.onnx.errors import OnnxError
from ircost.ir.errors import did_you_mean


class Bounds:
    """What the user says, by the name of the node; what nobody says is noted.

    Args:
        given: bounds of the user.
    """

    def __init__(self, given: Mapping[str, int]) -> None:
        self.given = given
        self.asked: list[str] = []
        self.notes: list[str] = []

    def take(self, name: str, most: int, what: str, operator: str) -> int:
        """The bound for one node, not above what is possible.

        Args:
            most: how many there can be.
            what: is counted; for the note.
        """
        self.asked.append(name)
        if name in self.given:
            return min(self.given[name], most)
        count = f"{most:,} {what}, the most there can be"
        self.notes.append(f"{operator} '{name}' is costed with {count} (--bound {name}=N)")
        return most

    def known(self, name: str) -> int | None:
        """What the user says, if anything."""
        self.asked.append(name)
        return self.given.get(name)

    def check_all_used(self, file: str) -> None:
        """Raises OnnxError where the user bounds a node that needs none."""
        for name in self.given:
            if name not in self.asked:
                raise OnnxError(
                    f"no node '{name}' has a length that depends on data", at=file, help=did_you_mean(name, self.asked)
                )
