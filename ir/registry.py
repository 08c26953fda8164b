"""Registries of things found by name, our own and those of third parties."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points
from inspect import isclass, isroutine
from typing import Generic, TypeVar

from ircost.ir.errors import DeclarationError, PluginError, UnknownNameError, did_you_mean

T = TypeVar("T")

# Kind -> what an entry point of it has to be, and how that is told from what is put there by mistake.
WANTED: dict[str, tuple[str, Callable[[object], bool]]] = {
    "op": ("what structured_op, composite or register_op returns", lambda thing: has(thing, "operand_names", "create")),
    "pass": (
        "a subclass of Pass below @register_pass",
        lambda thing: isclass(thing) and all(hasattr(thing, name) for name in ("name", "patterns", "run")),
    ),
    "cost model": ("an instance of a subclass of CostModel", lambda thing: has(thing, "name", "estimate")),
    "target": (
        "the path of a YAML file, or a Target",
        lambda thing: isinstance(thing, (str, os.PathLike)) or has(thing, "main_memory"),
    ),
    "frontend": ("a function of a path and options", callable),
    "estimator": ("a function of a layout and of trees", lambda thing: callable(thing) and not isclass(thing)),
}


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
        """Registers ``thing``, in place of an earlier declaration of it: a cell run again, a module loaded again.

        Raises:
            UnknownNameError: the name is taken by something else.
            DeclarationError: it is no such thing: a class where an instance is wanted.
        """
        if not self._fits(thing):
            raise DeclarationError(f"{self.kind} '{name}' is {described(thing)}, {WANTED[self.kind][0]} is wanted")
        held = self._things.get(name)
        if held is not None and held is not thing and not is_redeclared(held, thing):
            origin = origin_of(held)
            place = f", of {origin[0]}" if origin else ""
            raise UnknownNameError(f"there is another {self.kind} '{name}'{place}", help="rename the one that is yours")
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
                raise PluginError(
                    f"{self.kind} '{name}' of {package_of(entry)} does not load: {type(error).__name__}: {error}",
                    help=f"its entry point is {entry.value}; mend or uninstall {package_of(entry)}",
                ) from error
            if name not in self._things:
                self._check_kind(name, entry, thing)
                self.add(name, thing)

    def _check_kind(self, name: str, entry: EntryPoint, thing: object) -> None:
        if not self._fits(thing):
            wanted = WANTED[self.kind][0]
            raise PluginError(
                f"{self.kind} '{name}' of {package_of(entry)} is {described(thing)}, {wanted} is wanted",
                help=f"its entry point is {entry.value}; mend or uninstall {package_of(entry)}",
            )

    def _fits(self, thing: object) -> bool:
        return self.kind not in WANTED or WANTED[self.kind][1](thing)


def has(thing: object, *names: str) -> bool:
    """Whether a thing that is no class has all these attributes."""
    return not isclass(thing) and all(hasattr(thing, name) for name in names)


def is_redeclared(held: object, thing: object) -> bool:
    """Whether two things of one name are declarations of the same, one after the other."""
    origin = origin_of(thing)
    return held == thing or (origin is not None and origin == origin_of(held))


def origin_of(thing: object) -> tuple[str, ...] | None:
    """Where a thing is declared: module and name of a class or function, the module of what says it; else None."""
    if isclass(thing) or isroutine(thing):
        return thing.__module__, thing.__qualname__
    module = getattr(thing, "declared_in", None)
    return None if module is None else (module,)


def package_of(entry: EntryPoint) -> str:
    """The package that an entry point belongs to."""
    return entry.dist.name if entry.dist else "a package"


def described(thing: object) -> str:
    """What a thing is, in a word and its name."""
    if isclass(thing):
        return f"the class {thing.__qualname__}"
    if isroutine(thing):
        return f"the function {thing.__qualname__}"
    return f"an object of type {type(thing).__name__}"
