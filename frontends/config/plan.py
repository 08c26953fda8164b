"""What is built, for whom: the workload, the ranks that share it, and what they tell each other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ircost.frontends.config.config_file import ConfigError
from ircost.frontends.config.workload import Workload
from ircost.ir.graph import Value

AXES = ("tp", "dp", "ep", "pp")
SUCH = f"axes are {', '.join(AXES)}, such as --mesh tp=4,pp=2 or --mesh dp=8,ep=8"
# What is said of experts beside the ranks that they are spread over.
OF_EXPERTS = ("redundant", "balance")


@dataclass(frozen=True, slots=True)
class Mesh:
    """Ranks by what they share.

    Args:
        tp: ranks that share each layer (tensor parallel). pp: stages of layers (pipeline parallel).
        dp: groups of such ranks, each with sequences of its own (data parallel).
        ep: ranks that experts are spread over, whole ones (expert parallel): some of a group, with what is left of it
            splitting each expert, or all of all groups, which then send each other tokens. 1: experts are split like
            all else.
        redundant: copies of experts beside those that the model has, held by these ranks as well; as many on each.
        balance: tokens that ranks get for their experts, on the mean, over those of the busiest: 1 where all experts
            are asked for alike. What vLLM and SGLang log as balancedness.

    Source: of names and of ep over all groups, vLLM, "Expert Parallel Deployment"; DeepSeek-AI, "DeepSeek-V3",
    arXiv:2412.19437, 3.4.
    """

    tp: int = 1
    pp: int = 1
    dp: int = 1
    ep: int = 1
    redundant: int = 0
    balance: float = 1.0

    @property
    def ranks(self) -> int:
        return self.stage_ranks * self.pp

    @property
    def stage_ranks(self) -> int:
        """Devices of one stage."""
        return self.tp * self.dp

    def leaves_node(self, stage: int, node: int) -> bool:
        """Whether some device of a stage hands on to one in another node.

        Devices of a stage stand side by side, then stages, then copies that share nothing. Source: vLLM 0.30,
        ``initialize_model_parallel``.

        Args:
            node: devices of one.

        >>> [Mesh(tp=4, pp=4).leaves_node(stage, 8) for stage in range(3)]
        [False, True, False]
        """
        width = self.stage_ranks if self.sends_tokens else self.tp
        copies = range(stage * width, self.ranks, self.pp * width)
        return any(d // node != (d + width) // node for first in copies for d in range(first, first + width))

    @property
    def sends_tokens(self) -> bool:
        """Whether experts are spread over groups that have tokens of their own."""
        return self.dp > 1 and self.ep == self.stage_ranks

    @property
    def ranks_of_expert(self) -> int:
        """That share each expert."""
        return 1 if self.sends_tokens else self.tp // self.ep

    def __str__(self) -> str:
        """As users write it.

        >>> str(Mesh(tp=8, ep=8))
        'tp=8,ep=8'
        """
        usual = Mesh()
        named = ((name, getattr(self, name)) for name in (*AXES, *OF_EXPERTS))
        return ",".join(f"{name}={value}" for name, value in named if value != getattr(usual, name))


def parse_mesh(text: str) -> Mesh:
    """``tp=8``, ``tp=4,pp=2`` or ``dp=8,ep=8``; of experts also ``redundant=32`` and ``balance=0.8``.

    Raises:
        ConfigError: no such axis, no whole number of 1 and more, or experts over ranks that are no such part.

    >>> parse_mesh("tp=4,pp=2") == Mesh(tp=4, pp=2)
    True
    """
    mesh = Mesh(**mesh_sizes(text))
    if mesh.tp % mesh.ep and not mesh.sends_tokens:
        raise ConfigError(
            f"--mesh {text}: experts cannot be spread over ep={mesh.ep} of tp={mesh.tp} times dp={mesh.dp} ranks",
            help=f"a divisor of tp keeps them within each copy, ep={mesh.stage_ranks} spreads them over all",
        )
    if mesh.ep == 1 and (mesh.redundant or mesh.balance != 1):
        raise ConfigError(
            f"--mesh {text}: redundant and balance are of experts that are spread over ranks", help="such as ep=8"
        )
    return mesh


def mesh_sizes(text: str) -> dict[str, Any]:
    """What a text names, by the names of ``Mesh``; what ``parse_mesh`` reads.

    Raises:
        ConfigError: no such axis, or no such number.
    """
    sizes: dict[str, Any] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = item.partition("=")
        if name not in (*AXES, *OF_EXPERTS):
            raise ConfigError(f"--mesh has no axis '{name}'", help=SUCH)
        size = _share(item, value) if name == "balance" else _size(item, value, least=int(name in AXES))
        if sizes.setdefault(name, size) != size:
            raise ConfigError(f"--mesh {name} is given twice: {sizes[name]} and {size}", help="leave out one")
    return sizes


def _size(item: str, text: str, least: int) -> int:
    if not text.isdecimal() or int(text) < least:
        raise ConfigError(f"--mesh {item}: a whole number of {least} and more expected")
    return int(text)


def _share(item: str, text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0 < share <= 1:
        raise ConfigError(
            f"--mesh {item}: a number above 0 and up to 1 expected", help="mean tokens of a rank over the busiest's"
        )
    return share


def with_axes(text: str, sizes: Mapping[str, int]) -> str:
    """A mesh as users write it, with other sizes of some axes.

    >>> with_axes("tp=8,pp=2", {"tp": 4, "dp": 2})
    'tp=4,pp=2,dp=2'
    """
    return ",".join(f"{name}={size}" for name, size in {**mesh_sizes(text), **sizes}.items())


@dataclass(frozen=True, slots=True)
class Collective:
    """What ranks send each other.

    Args:
        kind: ``all_reduce``, ``all_gather``, ``all_to_all`` or ``send_recv``.
        size_bytes: of the whole buffer. ranks: that take part. count: how often in one pass.
        purpose: in the user's words.
        chosen: of tokens that go to their experts: of how many each, where a token goes over the network once to each
            node and is handed on within it; 0: it goes to each rank by itself.
        stages: that hand on to the next.
    """

    kind: str
    size_bytes: int
    ranks: int
    count: int
    purpose: str
    chosen: int = 0
    stages: tuple[int, ...] = ()


@dataclass(slots=True)
class Plan:
    """Args:
    workload, mesh: what one group of ranks runs, and how many ranks there are.
    repeats: how often what is being built runs: the steps of the scan that it stands in.
    source: the encoder's output [batch, source, width], where it comes in. position_bias: of the stack being built.
    chosen: tokens that the last indexer chose, none where all are seen; has_choice: whether there was one.
    tokens: that came in. layer_inputs: [layers, batch, tokens, width] for each layer.
    kept: keys and values, of the past too, that later layers see: of one with a window (True) and of one without.
    """

    workload: Workload
    mesh: Mesh
    repeats: int = 1
    collectives: list[Collective] = field(default_factory=list)
    source: Value | None = None
    position_bias: Value | None = None
    chosen: Value | None = None
    has_choice: bool = False
    tokens: Value | None = None
    layer_inputs: Value | None = None
    kept: dict[bool, tuple[Value, ...]] = field(default_factory=dict)

    def of_tower(self, rows: int) -> Plan:
        """For an encoder of so many tokens; what its ranks tell each other joins the rest."""
        work = replace(self.workload, phase="encode", rows=rows, context=rows)
        return replace(self, workload=work, source=None, position_bias=None)

    def share(self, size: int, what: str) -> int:
        """One rank's part.

        Raises:
            ConfigError: it does not divide.
        """
        return _part(size, what, self.mesh.tp, "tp")

    def local_experts(self, count: int) -> int:
        """That one rank holds, or a part of each; redundant ones as well.

        Raises:
            ConfigError: they do not divide.
        """
        more = self.mesh.redundant
        what = f"experts and {more} redundant ones" if more else "experts"
        return _part(count + more, what, self.mesh.ep, "ep", count)

    def expert_share(self, inner: int) -> int:
        """One rank's part of the width of an expert that it holds.

        Raises:
            ConfigError: it does not divide.
        """
        return _part(inner, "columns of an expert", self.mesh.ranks_of_expert, "tp")

    def exchange(self, kind: str, size_bytes: int, purpose: str) -> None:
        """Notes a collective of the ranks that share a layer; none where there is one rank."""
        self._exchange(kind, size_bytes, self.mesh.tp, purpose)

    def send(self, size_bytes: int, chosen: int, purpose: str) -> None:
        """Notes what each rank sends to the others that experts are spread over.

        Args:
            size_bytes: of all that a rank has for others and for itself. chosen: experts of a token.
        """
        # Steps of few tokens are sent by kernels of low latency, prompts by those that save the network.
        is_handed_on = self.workload.phase in ("prefill", "chunk")
        self._exchange("all_to_all", size_bytes, self.mesh.ep, purpose, chosen if is_handed_on else 0)

    def _exchange(self, kind: str, size_bytes: int, ranks: int, purpose: str, chosen: int = 0) -> None:
        if ranks > 1:
            self.collectives.append(Collective(kind, size_bytes, ranks, self.repeats, purpose, chosen))


def _part(size: int, what: str, ranks: int, axis: str, named: int | None = None) -> int:
    """Args:
    named: the number that stands before ``what``, where it is another.
    """
    if size % ranks:
        told = f"{size if named is None else named} {what}"
        raise ConfigError(f"{told} do not divide by {axis}={ranks}", help=f"choose another --mesh {axis}=N")
    return size // ranks
