"""The fitted constants: which apply to a kernel on a machine, and where they come from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path

from ircost.cost_models.gpu.families import FAMILIES
from ircost.ir.errors import IrcError

BUNDLED = Path(__file__).parent / "constants.json"
VERSION = 1
ANY = "*"
# Formats of one width run at one speed on every matrix unit so far.
SAME_SPEED = {"bfloat16": "16 bit", "float16": "16 bit", "half": "16 bit", "bf16": "16 bit", "f16": "16 bit"}


class ConstantsError(IrcError):
    """A file of constants is no such file."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What constants are for; ``*`` is all.

    Args:
        family: gemm, attention, ...
        architecture: of the machine. runtime: whose kernels. dtype: as tables name it, with formats of one width and
            speed under one name.
        kind: of kernels within a family.
    """

    family: str
    architecture: str
    runtime: str
    dtype: str
    kind: str

    def wider(self) -> list[Scope]:
        """This scope and those that hold it, the nearest first.

        A runtime's kernels tell more than a chip's generation: half of what is fitted is overhead.
        """
        f, a, r, d, k = self.family, self.architecture, self.runtime, self.dtype, self.kind
        chain = [
            *((a, r, d, k), (ANY, r, d, k), (a, ANY, d, k), (ANY, ANY, d, k)),
            *((ANY, r, ANY, k), (a, ANY, ANY, k), (ANY, ANY, ANY, k), (ANY, ANY, ANY, ANY)),
        ]
        return [Scope(f, *rest) for rest in dict.fromkeys(chain)]

    def __str__(self) -> str:
        return "/".join([self.family, self.architecture, self.runtime, self.dtype, self.kind or "-"])


@dataclass(frozen=True, slots=True)
class Fitted:
    """Constants of a scope.

    Args:
        constants: by name.
        rows, devices: that they were fitted to.
        median_error: of |log(predicted / measured)| on those.
    """

    constants: Mapping[str, float]
    rows: int = 0
    devices: tuple[str, ...] = ()
    median_error: float = 0.0


@dataclass(frozen=True, slots=True)
class ConstantsFile:
    """All fits, and what they were made of.

    Args:
        tables: SHA-256 of each table's file, by name.
        fits: by scope.
    """

    tables: Mapping[str, str] = field(default_factory=dict)
    fits: Mapping[Scope, Fitted] = field(default_factory=dict)

    def of(self, scope: Scope) -> tuple[Fitted, Scope | None]:
        """The fit of the nearest scope, and that scope; the defaults, and None, where nothing was fitted."""
        for wider in scope.wider():
            if wider in self.fits:
                return self.fits[wider], wider
        parameters = FAMILIES[scope.family].parameters
        return Fitted({name: parameter.default for name, parameter in parameters.items()}), None

    def to_json(self) -> str:
        """The text of a file: sorted, the same for the same fits."""
        rows = [
            {**asdict(scope), **asdict(fit), "constants": {k: float(f"{v:.4g}") for k, v in fit.constants.items()}}
            for scope, fit in sorted(self.fits.items(), key=lambda item: str(item[0]))
        ]
        lines = ",\n  ".join(json.dumps(row) for row in rows)
        tables = json.dumps(dict(sorted(self.tables.items())), indent=1)
        return f'{{"version": {VERSION},\n "tables": {tables},\n "fits": [\n  {lines}\n ]\n}}\n'


def read_constants(path: str | Path) -> ConstantsFile:
    """Constants from a file.

    Raises:
        ConstantsError: it is none, or of another version.
    """
    try:
        content = json.loads(Path(path).read_text())
        if content["version"] != VERSION:
            raise ConstantsError(f"{path}: version {content['version']}, {VERSION} expected", help="irc calibrate")
        fits = {scope: fitted for scope, fitted in map(_entry, content["fits"])}
        return ConstantsFile(content["tables"], fits)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConstantsError(f"{path} holds no constants: {error}", help="irc calibrate writes such a file") from error


def _entry(row: Mapping[str, object]) -> tuple[Scope, Fitted]:
    scope = Scope(*(str(row[name]) for name in ("family", "architecture", "runtime", "dtype", "kind")))
    constants = row["constants"]
    assert isinstance(constants, dict)
    known = FAMILIES[scope.family].parameters
    missing: Iterable[str] = set(known) - set(constants)
    defaults = {name: known[name].default for name in missing}
    return scope, Fitted(
        {**defaults, **{str(k): float(v) for k, v in constants.items()}},
        int(str(row["rows"])),
        tuple(row["devices"]),  # type: ignore[arg-type]
        float(str(row["median_error"])),
    )


@lru_cache(maxsize=8)
def bundled_constants() -> ConstantsFile:
    """Those that come with the package; none where the file is absent."""
    return read_constants(BUNDLED) if BUNDLED.exists() else ConstantsFile()


def dtype_class(dtype: str) -> str:
    return SAME_SPEED.get(dtype, dtype)
