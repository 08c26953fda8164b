"""A kind of layer: its settings, and how it becomes ops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict

from ircost.ir.errors import ShapeError
from ircost.ir.graph import Value

if TYPE_CHECKING:
    from ircost.frontends.yaml.body import Body


class Layer(BaseModel):
    """Settings of one kind of layer; the docstring is what editors show.

    Class attributes:
        operand_counts: fewest and most values that it takes.
        folds_into_weights: passes compute its effect into weights of its neighbours, once, when the model is loaded.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    operand_counts: ClassVar[tuple[int, int]] = (1, 1)
    folds_into_weights: ClassVar[bool] = False

    def build(self, body: Body, *operands: Value) -> Value | Sequence[Value]:
        """Detached ops on the operands; weights come from ``body``.

        Raises:
            IrcError: the operands do not fit; the caller adds the place.
        """
        raise NotImplementedError


LAYERS: dict[str, type[Layer]] = {}

Kind = TypeVar("Kind", bound=type[Layer])


def layer(name: str) -> Callable[[Kind], Kind]:
    """Registers a kind of layer by the word for it."""

    def register(kind: Kind) -> Kind:
        assert name not in LAYERS, f"two layers are called {name}"
        LAYERS[name] = kind
        return kind

    return register


def need_rank(x: Value, least: int, what: str) -> None:
    """Raises:
    ShapeError: a value has fewer axes.
    """
    if x.type.rank < least:
        raise ShapeError(f"its input is {x.type}, {what} expected")


def per_axis(numbers: tuple[int, ...], rank: int, what: str) -> tuple[int, ...]:
    """One number for all spatial axes, or one for each.

    Raises:
        ShapeError: there are more or fewer.
    """
    if len(numbers) not in (1, rank):
        raise ShapeError(f"{what} has {len(numbers)} numbers, the input has {rank} spatial axes")
    return numbers * rank if len(numbers) == 1 else numbers
