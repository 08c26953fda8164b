"""The fitted constants: which apply to a kernel on a machine, and where they come from."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ircost.cost_models.gpu.demand import Parameter
from ircost.cost_models.gpu.families import FAMILIES
from ircost.cost_models.gpu.fit import BASE, Effect, Effects, start_of, value_of
from ircost.cost_models.gpu.labels import FASTEST, GRAPH_REPLAY, as_runtime, is_runtime
from ircost.ir.errors import IrcError
from ircost.ir.json_document import parse_json

BUNDLED = Path(__file__).parent / "constants.json"
VERSION = 2
MOST = 20.0  # of an effect on the link scale: a factor of 5e8, which no two machines are apart
SAME = 5e-3  # on the link scale, half a percent: what other CPUs' rounding may make of the same fit
# Whose constants stand in for a family's on architectures that it was never measured on.
STANDS_IN = {"conv": "gemm"}
# Whose constants a family has that no table measures, the first that has one of the name. Attention is the chain of
# products through tiles on chip that was measured.
BORROWED = {"chain": ("attention", "gemm")}


class ConstantsError(IrcError):
    """A file of constants is no such file."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one effect adds to a constant.

    Args:
        effect: such as ``architecture``; ``all`` is the family's own.
        level: such as ``hopper``.
        factor: by which it multiplies a time or a factor, or the odds of a loss for a share; of ``all`` the value.
    """

    effect: str
    level: str
    factor: float


@dataclass(frozen=True, slots=True)
class FamilyFit:
    """Effects of one family's constants, on the link scale (see ``fit``).

    Args:
        effects: (effect, level) -> parameter -> amount.
        rows, devices: that they were fitted to.
        median_error: of |log(predicted / measured)| on those.
        added: effects of what those rows never met, fitted onto them.
        added_rows, added_devices: that they were fitted to.
        added_half_width: in ln of the latency, of an interval that holds nine in ten kernels of a machine that those
            rows do not have, but its architecture; None where nobody knows.
        half_width_of: the same by architecture, of those that many machines are of.
    """

    effects: Effects
    rows: int = 0
    devices: tuple[str, ...] = ()
    median_error: float = 0.0
    added: Effects = field(default_factory=dict)
    added_rows: int = 0
    added_devices: tuple[str, ...] = ()
    added_half_width: float | None = None
    half_width_of: Mapping[str, float] = field(default_factory=dict)

    def is_added(self, labels: Mapping[str, str]) -> bool:
        """Whether the machine, or its architecture, was fitted onto others."""
        return any((name, labels.get(name, "")) in self.added for name in ("architecture", "device"))

    @property
    def all_effects(self) -> Effects:
        return {**self.effects, **self.added} if self.added else self.effects


@dataclass(frozen=True, slots=True)
class ConstantsFile:
    """All fits, and what they were made of.

    Args:
        tables: SHA-256 of each table's file, by name.
        fits: by family.
        added_tables: of what was fitted onto them.
        corrected: families and runtimes that corrections beside these were learned of, and that these may not have met.
    """

    tables: Mapping[str, str] = field(default_factory=dict)
    fits: Mapping[str, FamilyFit] = field(default_factory=dict)
    added_tables: Mapping[str, str] = field(default_factory=dict)
    corrected: frozenset[tuple[str, str]] = frozenset()

    @property
    def runtimes(self) -> frozenset[str]:
        """Runtimes whose kernels they were fitted to, or corrections beside them learned of."""
        fitted = {level for fit in self.fits.values() for effect, level in fit.all_effects if effect == "runtime"}
        return frozenset(name for name in (*fitted, *(name for _, name in self.corrected)) if is_runtime(name))

    @property
    def base(self) -> ConstantsFile:
        """Without what was added: corrections were learned beside these."""
        fits = {name: FamilyFit(x.effects, x.rows, x.devices, x.median_error) for name, x in self.fits.items()}
        return ConstantsFile(self.tables, fits)

    def of(self, family: str, labels: Mapping[str, str]) -> dict[str, float]:
        """The constants of a family's kernels with these labels: their defaults where nothing was fitted."""
        names = dict.fromkeys(name for lender in lenders(family) for name in FAMILIES[lender].parameters)
        homes = {name: self.home(family, labels, name) for name in names}
        effects = {home: self._effects(home) for home in dict.fromkeys(homes.values())}
        known = {home: self._labels(home, labels) for home in effects}
        return {
            name: _value(FAMILIES[home].parameters[name], effects[home], known[home], name)
            for name, home in homes.items()
        }

    def home(self, family: str, labels: Mapping[str, str], name: str) -> str:
        """The family whose fit a constant is from: another one on architectures that the family was never measured on.

        Convolutions are products in the libraries of today; measured ones are older than many machines, and so is their
        mean. A machine that neither was measured on is taken by the mean of products.
        """
        family = next(lender for lender in lenders(family) if name in FAMILIES[lender].parameters)
        other = STANDS_IN.get(family, family)
        is_known = self._holds(family, ("architecture", labels.get("architecture", ""))) or other not in self.fits
        if is_known or labels.get("runtime") != GRAPH_REPLAY or name not in FAMILIES[other].parameters:
            return family
        return other

    def has_own(self, family: str, labels: Mapping[str, str]) -> bool:
        """Whether no other family's constants stand in: corrections that were learned are of its own."""
        return self.home(family, labels, "launch") == family

    def shares(self, family: str, labels: Mapping[str, str], name: str) -> list[Share]:
        """How a constant comes about, the family's own value first."""
        family = self.home(family, labels, name)
        parameter = FAMILIES[family].parameters[name]
        fit = self.fits.get(family)
        if fit is None:
            return [Share("default", "", float(parameter.default))]
        effects = fit.all_effects
        own = effects.get((BASE, ""), {}).get(name, start_of(parameter))
        found = [Share(BASE, "", float(value_of(parameter, own)))]
        for effect, level in self._labels(family, labels).items():
            amount = effects.get((effect, level), {}).get(name, 0.0)
            if amount:
                found.append(Share(effect, level, float(np.exp(amount))))
        return found

    def half_width_of_added(self, family: str, labels: Mapping[str, str]) -> float | None:
        """Of an interval around kernels of machines that constants were fitted onto, or of their architectures; None of
        all others.
        """
        fit = self.fits.get(lenders(family)[0])
        if fit is None or not fit.is_added(labels):
            return None
        return fit.half_width_of.get(labels.get("architecture", ""), fit.added_half_width)

    def has_met(self, family: str, effect: str, level: str) -> bool:
        """Whether kernels of that level were measured."""
        return self._holds(lenders(family)[0], (effect, level))

    def has_met_runtime(self, family: str, runtime: str) -> bool:
        """Whether a runtime's kernels were measured: these were fitted to them, or corrections learned of them."""
        return self.has_met(family, "runtime", runtime) or (lenders(family)[0], runtime) in self.corrected

    def unseen(self, family: str, labels: Mapping[str, str]) -> tuple[str, ...]:
        """Effects whose level the fit never met: there the family's mean stands in."""
        return tuple(effect for effect, level in labels.items() if level and not self._holds(family, (effect, level)))

    def _holds(self, family: str, effect: Effect) -> bool:
        fit = self.fits.get(family)
        return fit is not None and (effect in fit.effects or effect in fit.added)

    def _labels(self, family: str, labels: Mapping[str, str]) -> Mapping[str, str]:
        """As the fit knows them: of a machine that others published nobody's kernels are the fastest."""
        fit = self.fits.get(family)
        is_published = fit is not None and fit.is_added(labels) and ("runtime", FASTEST) in fit.effects
        return as_runtime(labels, FASTEST) if is_published and labels.get("runtime") == GRAPH_REPLAY else labels

    def _effects(self, family: str) -> Effects:
        fit = self.fits.get(family)
        return fit.all_effects if fit is not None else {}

    def to_json(self) -> str:
        """The text of a file: sorted, the same for the same fits."""
        families = [_family_text(name, fit) for name, fit in sorted(self.fits.items())]
        tables = f'"tables": {json.dumps(dict(sorted(self.tables.items())), indent=1)}'
        if self.added_tables:
            tables += f',\n"added_tables": {json.dumps(dict(sorted(self.added_tables.items())), indent=1)}'
        body = ",\n".join(families)
        return f'{{"version": {VERSION},\n{tables},\n"families": {{\n{body}\n}}}}\n'


def _value(parameter: Parameter, effects: Effects, labels: Mapping[str, str], name: str) -> float:
    point = effects.get((BASE, ""), {}).get(name, start_of(parameter))
    return float(value_of(parameter, point + sum(effects.get(key, {}).get(name, 0.0) for key in labels.items())))


def lenders(family: str) -> tuple[str, ...]:
    """Families whose fits a family's constants are from: its own, but for those without measurements."""
    return BORROWED.get(family, (family,))


def _family_text(name: str, fit: FamilyFit) -> str:
    about = {"rows": fit.rows, "devices": list(fit.devices), "median_error": round(fit.median_error, 4)}
    text = f'{json.dumps(name)}: {{"about": {json.dumps(about)}, "effects": [\n  {_effects_text(fit.effects)}]'
    if fit.added:
        about = {"rows": fit.added_rows, "devices": list(fit.added_devices)}
        if fit.added_half_width is not None:
            about["half_width"] = round(fit.added_half_width, 4)
        if fit.half_width_of:
            about["half_width_of"] = {name: round(width, 4) for name, width in sorted(fit.half_width_of.items())}
        text += f',\n "added_about": {json.dumps(about)}, "added": [\n  {_effects_text(fit.added)}]'
    return text + "}"


def _effects_text(effects: Effects) -> str:
    return ",\n  ".join(
        json.dumps(
            [effect, level, {k: round(v, 4) for k, v in sorted(amounts.items()) if round(v, 4) or effect == BASE}]
        )
        for (effect, level), amounts in sorted(effects.items())
    )


def read_constants(path: str | Path) -> ConstantsFile:
    """Constants from a file.

    Raises:
        ConstantsError: it is none, or of another version.
    """
    try:
        content = parse_json(Path(path).read_text(encoding="utf-8"))
        version = content["version"]
        if version != VERSION:
            raise ConstantsError(
                f"{path}: version {version}, {VERSION} expected", help="write it again with irc calibrate"
            )
        fits = {str(name): _family_fit(entry) for name, entry in content.get("families", {}).items()}
        tables = {str(k): str(v) for k, v in content["tables"].items()}
        added = {str(k): str(v) for k, v in content.get("added_tables", {}).items()}
    except (OSError, ValueError, OverflowError, KeyError, TypeError, AttributeError) as error:
        raise ConstantsError(f"{path} holds no constants: {error}", help="irc calibrate writes such a file") from error
    return ConstantsFile(tables, {name: fit for name, fit in fits.items() if name in FAMILIES}, added)


def constants_beside_bundled(path: str | Path) -> ConstantsFile:
    """Constants from a file, and the bundled ones of families that it has not.

    Raises:
        ConstantsError: as of ``read_constants``.
    """
    own, bundled = read_constants(path), bundled_constants()
    added = {**bundled.added_tables, **own.added_tables}
    return ConstantsFile({**bundled.tables, **own.tables}, {**bundled.fits, **own.fits}, added)


def _family_fit(entry: Any) -> FamilyFit:
    about, added = entry["about"], entry.get("added_about", {"rows": 0, "devices": []})
    return FamilyFit(
        _effects_of(entry["effects"]),
        int(about["rows"]),
        tuple(map(str, about["devices"])),
        _bounded(about["median_error"], 0.0, sys.float_info.max),
        _effects_of(entry.get("added", [])),
        int(added["rows"]),
        tuple(map(str, added["devices"])),
        _bounded(added["half_width"], 0.0, MOST) if "half_width" in added else None,
        {str(name): _bounded(width, 0.0, MOST) for name, width in added.get("half_width_of", {}).items()},
    )


def _effects_of(entries: Any) -> Effects:
    return {
        (str(effect), str(level)): {str(name): _bounded(amount, -MOST, MOST) for name, amount in amounts.items()}
        for effect, level, amounts in entries
    }


def _bounded(value: Any, least: float, most: float) -> float:
    found = float(value)
    if not least <= found <= most:
        raise ValueError(f"a number from {least:g} to {most:g} expected, not {value}")
    return found


def differences(one: ConstantsFile, other: ConstantsFile) -> list[str]:
    """What two files have different, in words: constants beyond ``SAME``, and the tables that they were fitted to."""
    mine, theirs = {**one.tables, **one.added_tables}, {**other.tables, **other.added_tables}
    found = [
        f"table {name}: {mine.get(name, 'none')[:12]}, {theirs.get(name, 'none')[:12]}"
        for name in sorted({*mine, *theirs})
        if mine.get(name) != theirs.get(name)
    ]
    for family in sorted({*one.fits, *other.fits}):
        if family not in one.fits or family not in other.fits:
            found.append(f"{family}: fitted in one of them only")
        else:
            found += [
                f"{family} {text}" for text in _differing(one.fits[family].all_effects, other.fits[family].all_effects)
            ]
    return found


def _differing(one: Mapping[Effect, Mapping[str, float]], other: Mapping[Effect, Mapping[str, float]]) -> list[str]:
    nothing: Mapping[str, float] = {}
    found = []
    for effect in sorted({*one, *other}):
        mine, theirs = one.get(effect, nothing), other.get(effect, nothing)
        for name in sorted({*mine, *theirs}):
            here, there = mine.get(name, 0.0), theirs.get(name, 0.0)
            if abs(here - there) > SAME:
                found.append(f"{' '.join(filter(None, effect))}, {name}: {here:.4f}, {there:.4f}")
    return found


@lru_cache(maxsize=1)
def bundled_constants() -> ConstantsFile:
    """Those that come with the package."""
    return read_constants(BUNDLED)
