"""How a kernel runs, as text: ``tile@shared m=128 n=128 k=64; loop@shared m=8 n=8 k=16; stages shared=2; split k=4``.

    schedule  := directive (";" directive)*
    directive := name ["@" level] (" " key "=" value)*

Directives that are known:

- ``tile@LEVEL DIM=EXTENT ...``: the part of each dim that a tile in that memory has; a dim that is left out is whole;
- ``loop@LEVEL DIM=TRIPS ...``: the loops over these tiles, the outermost first; what does not change in the innermost
  ones stays where it is;
- ``stages LEVEL=COUNT``: how often each operand tile has room there: 2 where the next is loaded while one is used;
- ``split DIM=PARTS``: a reduction shared out among processors, whose parts are added up.

Others belong to whoever writes them. Levels are names of a target's memories, from main memory inward.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ircost.ir.errors import IrcError

WORD = r"[A-Za-z0-9_.\-]+"
DIRECTIVE = re.compile(rf"(?P<name>{WORD})(?:@(?P<level>{WORD}))?(?P<values>(?: +{WORD}={WORD})*)")

Setting = tuple[str, int | str]


class ScheduleError(IrcError):
    """A text that is no schedule, or one that does not fit its kernel."""


@dataclass(frozen=True, slots=True)
class Directive:
    """One line of a schedule.

    Args:
        level: the memory that it is about; "" for none.
        settings: (key, value) in order.
    """

    name: str
    settings: tuple[Setting, ...] = ()
    level: str = ""

    @property
    def sizes(self) -> dict[str, int]:
        """The settings that are numbers."""
        return {key: value for key, value in self.settings if isinstance(value, int)}

    def __str__(self) -> str:
        place = f"@{self.level}" if self.level else ""
        return " ".join([f"{self.name}{place}", *(f"{key}={value}" for key, value in self.settings)])


@dataclass(frozen=True, slots=True)
class Schedule:
    """Directives in order.

    >>> schedule = parse_schedule("tile@l2 m=512; tile@shared m=128 k=64; stages shared=2")
    >>> schedule.levels, schedule.tile("shared"), schedule.stages("shared")
    (('l2', 'shared'), {'m': 128, 'k': 64}, 2)
    """

    directives: tuple[Directive, ...] = ()

    @property
    def levels(self) -> tuple[str, ...]:
        """Memories that it gives tiles for, from main memory inward."""
        return tuple(directive.level for directive in self.named("tile"))

    def named(self, name: str) -> tuple[Directive, ...]:
        return tuple(directive for directive in self.directives if directive.name == name)

    def tile(self, level: str) -> dict[str, int]:
        """Extent of the dims that a tile in that memory does not hold whole."""
        return self._of("tile", level)

    def loops(self, level: str) -> dict[str, int]:
        """Trips of the loops over the tiles of a level, the outermost first."""
        return self._of("loop", level)

    def stages(self, level: str) -> int:
        return next((d.sizes[level] for d in self.named("stages") if level in d.sizes), 1)

    @property
    def splits(self) -> dict[str, int]:
        """Parts of each reduction that processors share out."""
        return {dim: parts for directive in self.named("split") for dim, parts in directive.sizes.items()}

    def _of(self, name: str, level: str) -> dict[str, int]:
        return next((d.sizes for d in self.named(name) if d.level == level), {})

    def __str__(self) -> str:
        return "; ".join(map(str, self.directives))


def parse_schedule(text: str) -> Schedule:
    """The schedule that a text says; an empty one says nothing.

    Raises:
        ScheduleError: it is none; shows where.

    >>> str(parse_schedule("tile@l1  m=8 ;split k=4"))
    'tile@l1 m=8; split k=4'
    """
    if not text.strip():
        return Schedule()
    return Schedule(tuple(_directive(part.strip(), text) for part in text.split(";")))


def _directive(part: str, text: str) -> Directive:
    match = DIRECTIVE.fullmatch(part)
    if match is None:
        raise ScheduleError(
            f"'{part}' is not a directive of a schedule: '{text}'",
            help="write it like 'tile@shared m=128 n=128 k=64; stages shared=2'",
        )
    settings = tuple(_setting(pair) for pair in match["values"].split())
    repeated = [key for key, _ in settings if [other for other, _ in settings].count(key) > 1]
    if repeated:
        raise ScheduleError(f"'{part}' says '{repeated[0]}' twice")
    return Directive(match["name"], settings, match["level"] or "")


def _setting(pair: str) -> Setting:
    key, value = pair.split("=")
    return key, int(value) if value.isdecimal() else value


KNOWN = ("tile", "loop", "stages", "split")


def check_schedule(schedule: Schedule, extents: Mapping[str, int], reductions: Iterable[str]) -> None:
    """Whether a schedule fits a kernel of these dims.

    Args:
        extents: of its dims. reductions: those of them that are summed.

    Raises:
        ScheduleError: a dim that it lacks, a tile that is larger than the dim or than the one around it, a split of
            what is not summed.
    """
    for directive in schedule.directives:
        if directive.name in KNOWN:
            _check_numbers(directive)
        if directive.name in ("tile", "loop", "split"):
            for dim in directive.sizes:
                if dim not in extents:
                    raise ScheduleError(
                        f"'{directive}' names dim '{dim}', which the kernel lacks",
                        help=f"its dims are {', '.join(f'{name}={extent}' for name, extent in extents.items())}",
                    )
    around = dict(extents)
    for level in schedule.levels:
        for dim, size in schedule.tile(level).items():
            if size > around[dim]:
                raise ScheduleError(f"tile of {dim} at {level} is {size}, that around it {around[dim]}")
        around |= schedule.tile(level)
    for dim in schedule.splits:
        if dim not in set(reductions):
            raise ScheduleError(f"'split {dim}=...': {dim} is not a reduction dim of the kernel")


def _check_numbers(directive: Directive) -> None:
    for key, value in directive.settings:
        if not isinstance(value, int) or value < 1:
            raise ScheduleError(f"'{directive}': {key} is '{value}', a number of 1 or more expected")
