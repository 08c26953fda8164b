"""Things that are found by name, ours and third parties'."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from ircost.ir.errors import PluginError, UnknownNameError, did_you_mean

T = TypeVar("T")


class Registry(Generic[T]):
    """A table of named things. A name that is not in it is looked for among installed packages' entry points.

    A third-party package adds its own by declaring, for instance::

        [project.entry-points."ircost.passes"]
        my-pass = "my_package.my_pass:MyPass"

    Args:
        kind: what the things are, for messages: ``pass``.
        group: entry-point group; loading an entry point must register the thing, or be the thing.
        listing: how the user sees all names, for messages.
        load_builtin: imports the modules that register our own; called at the first look-up.
    """

    def __init__(
        self, kind: str, group: str, listing: str = "", load_builtin: Callable[[], object] | None = None
    ) -> None:
        self.kind = kind
        self.group = group
        self._listing = listing
        self._load_builtin = load_builtin
        self._things: dict[str, T] = {}

    def add(self, name: str, thing: T) -> T:
        """Registers ``thing``; a second one under the same name is a fault of ours or of a plug-in.

        Raises:
            UnknownNameError: the name is taken.
        """
        if name in self._things and self._things[name] is not thing:
            raise UnknownNameError(f"two {self.kind}s are called '{name}'", help="rename the one that is yours")
        self._things[name] = thing
        return thing

    def get(self, name: str) -> T:
        """The thing of that name.

        Raises:
            UnknownNameError: nobody registered it; lists the nearest names.
        """
        found = self._things.get(name)
        if found is not None:
            return found
        self._builtin()
        if name not in self._things:
            self._load_entry_point(name)
        if name not in self._things:
            raise UnknownNameError(
                f"no {self.kind} '{name}'", help=did_you_mean(name, self._things, listing=self._listing)
            )
        return self._things[name]

    def __contains__(self, name: str) -> bool:
        try:
            self.get(name)
        except UnknownNameError:
            return False
        return True

    def names(self) -> list[str]:
        """All names, sorted, those of entry points included."""
        self._builtin()
        return sorted({*self._things, *(entry.name for entry in entry_points(group=self.group))})

    def __iter__(self) -> Iterator[T]:
        return (self.get(name) for name in self.names())

    def _builtin(self) -> None:
        if self._load_builtin is not None:
            load, self._load_builtin = self._load_builtin, None
            load()

    def _load_entry_point(self, name: str) -> None:
        for entry in entry_points(group=self.group, name=name):
            try:
                thing = entry.load()
            except Exception as error:  # whatever is wrong with it, it is not ours
                package = entry.dist.name if entry.dist else "a package"
                raise PluginError(
                    f"{self.kind} '{name}' of {package} does not load: {type(error).__name__}: {error}",
                    help=f"its entry point is {entry.value}; mend or uninstall {package}",
                ) from error
            if name not in self._things:
                self.add(name, thing)
