"""What every cost model does: a table of kernels in, a table of estimates out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ircost.backends import Target
from ircost.cost_models.collectives import CollectiveTimes, collective_times
from ircost.cost_models.kernel_table import KernelTable
from ircost.ir.errors import IrcError
from ircost.ir.fault import InternalError, is_ours
from ircost.ir.registry import Registry


@dataclass(frozen=True, slots=True)
class Estimates:
    """Estimates of one run of each kernel of a table; all columns have a row for each kernel.

    Args:
        latency_s, energy_j: the estimates; 0 where the cost is unknown (see ``KernelTable.is_unknown``).
        lower_bound_s: no run on this machine is shorter, by its data sheet.
        bound: what limits it, as an index into ``bound_names``.
        bound_names: ``matrix``, ``vector``, ``special``, ``shared``, ``l2``, the main memory's name, ``launch``,
            ``steps`` (latency of steps that wait for each other).
        terms_s: [rows, bounds] time that each resource alone would take.
        adds_up: the terms follow one another, and their sum is the latency; of others the longest hides the rest.
        model: which cost model the figures are from.
        choice: [rows] the tile and split that a kernel runs with, in words; none where the model knows of none.
        notes: what whoever reads the figures should know.
        learned_s: [rows] what a learned correction adds to the latency; None where nothing was learned.
        low_s, high_s: [rows] ends of the interval of 90 % around the latency.
        shared: [rows] part of the variance of errors that a kernel shares with all others on its machine.
        grades: [rows] how well a kernel is known: A, B or C (see ``learned.family_model``).
        host_s, device_s: [rows] where a host launches kernel by kernel: what that takes, and what the device takes for
            it. The latency is of a kernel by itself, the longer of the two; behind long kernels the host runs ahead
            (``ircost.launching``). None where launches are replayed.
    """

    latency_s: np.ndarray
    energy_j: np.ndarray
    lower_bound_s: np.ndarray
    bound: np.ndarray
    bound_names: tuple[str, ...]
    terms_s: np.ndarray
    model: str
    adds_up: bool = False
    choice: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    learned_s: np.ndarray | None = None
    low_s: np.ndarray | None = None
    high_s: np.ndarray | None = None
    shared: np.ndarray | None = None
    grades: tuple[str, ...] = ()
    host_s: np.ndarray | None = None
    device_s: np.ndarray | None = None


class CostModel(ABC):
    """Estimates kernels on a target. Stateless: same table, same target, same figures."""

    name: str

    @abstractmethod
    def estimate(self, kernels: KernelTable, target: Target) -> Estimates:
        """Latency and energy of one run of each kernel, vectorised over the table.

        Raises:
            TargetError: the target cannot compute in a format that a kernel needs.
        """

    @property
    def runtimes(self) -> frozenset[str]:
        """Runtimes whose measured kernels it was fitted to, or learned from, as tables name them."""
        return frozenset()

    def collectives(
        self, kind: str, sizes_bytes: Sequence[float], ranks: int, target: Target, node: int | None = None
    ) -> CollectiveTimes:
        """What ranks send each other: by the analytical model of collectives, unless a model knows more.

        Args: as of ``collectives.asked_collectives``.

        Raises:
            TargetError: the target has no links.
        """
        return collective_times(kind, sizes_bytes, ranks, target, node=node)

    @property
    def for_search(self) -> CostModel:
        """The model by which passes choose among kernels that nobody has measured; laws hold for it."""
        return self

    @property
    def declared_in(self) -> str:
        """The module that its class is written in."""
        return type(self).__module__


class InternalModelError(InternalError):
    """A cost model raises something that is no word to the user, or its estimates are not of the kernels."""

    part = "cost model"

    def __init__(self, model: CostModel, message: str) -> None:
        self.author = model.declared_in
        super().__init__(f"cost model '{model.name}': {message}", help=f"it is written in {self.author}")


@dataclass(frozen=True, slots=True)
class CheckedModel(CostModel):
    """Somebody else's cost model, held to what `CostModel` promises."""

    model: CostModel

    @property
    def name(self) -> str:  # type: ignore[override]  # of ours it is a constant of the class
        return self.model.name

    @property
    def declared_in(self) -> str:
        return self.model.declared_in

    @property
    def for_search(self) -> CostModel:
        chosen = self.model.for_search
        return self if chosen is self.model else checked(chosen)

    @property
    def runtimes(self) -> frozenset[str]:
        return self.model.runtimes

    def collectives(
        self, kind: str, sizes_bytes: Sequence[float], ranks: int, target: Target, node: int | None = None
    ) -> CollectiveTimes:
        return self.model.collectives(kind, sizes_bytes, ranks, target, node)

    def estimate(self, kernels: KernelTable, target: Target) -> Estimates:
        """The model's estimates.

        Raises:
            InternalModelError: it fails, or gives no estimates, or columns of another length.
        """
        try:
            estimates = self.model.estimate(kernels, target)
        except IrcError:
            raise
        except Exception as error:  # whatever it does wrong, it is named
            raise InternalModelError(self.model, f"estimate fails: {type(error).__name__}: {error}") from error
        if not isinstance(estimates, Estimates):
            raise InternalModelError(self.model, f"estimate gives {type(estimates).__name__}, Estimates expected")
        for column in COLUMNS:
            values = getattr(estimates, column)
            if not isinstance(values, np.ndarray) or values.shape[:1] != (len(kernels),):
                raise InternalModelError(
                    self.model, f"{column} is {column_text(values)}, {len(kernels)} kernels asked for"
                )
        return estimates


COLUMNS = ("latency_s", "energy_j", "lower_bound_s", "bound", "terms_s")


def column_text(values: object) -> str:
    if not isinstance(values, np.ndarray):
        return f"a {type(values).__name__}, no array"
    return f"an array of {values.shape[0]} rows" if values.ndim else "an array without rows"


def checked(model: CostModel) -> CostModel:
    """The model; one whose estimates are not ours is held to what it promises."""
    return model if is_ours(type(model).estimate.__module__) else CheckedModel(model)


class CostModels(Registry[CostModel]):
    """Cost models by name."""

    def get(self, name: str) -> CostModel:
        return checked(super().get(name))


def _load_models() -> None:
    import ircost.cost_models.analytical
    import ircost.cost_models.automatic
    import ircost.cost_models.learned.hybrid
    import ircost.cost_models.microcontroller
    import ircost.cost_models.roofline  # noqa: F401


COST_MODELS = CostModels("cost model", "ircost.cost_models", load_builtin=_load_models)
