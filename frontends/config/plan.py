"""What is built, for whom: the workload, the ranks that share it, and what they tell each other."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ircost.frontends.config.config_file import ConfigError
from ircost.frontends.config.workload import Workload
from ircost.ir.graph import Value

# What is said of axes that others have.
AXES = {
    "ep": "tp splits experts like all else; ",
    "dp": "copies share nothing: multiply tokens a second and devices; ",
    "": "axes are tp and pp, such as --mesh tp=4,pp=2",
}


@dataclass(frozen=True, slots=True)
class Mesh:
    """Ranks by what they share.

    Args:
        tp: ranks that share each layer (tensor parallel). pp: stages of layers (pipeline parallel).
    """

    tp: int = 1
    pp: int = 1

    @property
    def ranks(self) -> int:
        return self.tp * self.pp


def parse_mesh(text: str) -> Mesh:
    """``tp=8`` or ``tp=4,pp=2``.

    Raises:
        ConfigError: no such axis, or no whole number of 1 and more.

    >>> parse_mesh("tp=4,pp=2")
    Mesh(tp=4, pp=2)
    """
    sizes: dict[str, int] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, _, size = item.partition("=")
        if name not in Mesh.__slots__:
            raise ConfigError(
                f"--mesh has no axis '{name}'", help=f"{AXES[name]}{AXES['']}" if name in AXES else AXES[""]
            )
        if not size.isdecimal() or not int(size):
            raise ConfigError(f"--mesh {item}: a whole number of 1 and more expected")
        if sizes.setdefault(name, int(size)) != int(size):
            raise ConfigError(f"--mesh {name} is given twice: {sizes[name]} and {size}", help="leave out one")
    return Mesh(**sizes)


@dataclass(frozen=True, slots=True)
class Collective:
    """What ranks send each other.

    Args:
        kind: ``all_reduce``, ``all_gather`` or ``send_recv``.
        size_bytes: of the whole buffer. ranks: that take part. count: how often in one pass.
        purpose: in the user's words.
    """

    kind: str
    size_bytes: int
    ranks: int
    count: int
    purpose: str


@dataclass(slots=True)
class Plan:
    """Args:
    workload, mesh: what is run, and on how many ranks.
    repeats: how often what is being built runs: the steps of the scan that it stands in.
    source: the encoder's output [batch, source, width], where it comes in. position_bias: of the stack being built.
    """

    workload: Workload
    mesh: Mesh
    repeats: int = 1
    collectives: list[Collective] = field(default_factory=list)
    source: Value | None = None
    position_bias: Value | None = None

    def of_tower(self, rows: int) -> Plan:
        """For an encoder of so many tokens; what its ranks tell each other joins the rest."""
        work = replace(self.workload, phase="encode", rows=rows, context=rows)
        return replace(self, workload=work, source=None, position_bias=None)

    def share(self, size: int, what: str) -> int:
        """One rank's part.

        Raises:
            ConfigError: it does not divide.
        """
        if size % self.mesh.tp:
            raise ConfigError(f"{size} {what} do not divide by tp={self.mesh.tp}", help="choose another --mesh tp=N")
        return size // self.mesh.tp

    def exchange(self, kind: str, size_bytes: int, purpose: str) -> None:
        """Notes a collective of the ranks that share a layer; none where there is one rank."""
        if self.mesh.tp > 1:
            self.collectives.append(Collective(kind, size_bytes, self.mesh.tp, self.repeats, purpose))
