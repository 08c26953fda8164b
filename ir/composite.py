"""Composites: named patterns that people know, with their decomposition inside."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any

from ircost.ir.attributes import Attribute, Attributes, declared_attributes
from ircost.ir.builder import build_body
from ircost.ir.clone import clone_region
from ircost.ir.definition import OpDefinition, register_op
from ircost.ir.errors import ShapeError
from ircost.ir.graph import Region
from ircost.ir.terminators import yield_, yielded
from ircost.ir.types import TensorType

MOST_BODIES = 256  # that one composite remembers


class CompositeOp(OpDefinition):
    """An op whose meaning is the body it carries; a new one gets the declared decomposition.

    Cost models may treat it as one kernel; the interpreter and other passes see the body. A pass may rewrite that body.
    """

    is_composite = True
    is_isolated = True
    follows_bounds = True  # as far as the ops in its body do
    region_names = ("body",)

    def __init__(self, name: str, decompose: Callable[..., Any]) -> None:
        parameters = inspect.signature(decompose).parameters.values()
        self.name = name
        self.operand_names = tuple(p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL))
        self.is_variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        self.attributes = declared_attributes(name, decompose)
        self._decompose = decompose
        self._built: dict[tuple[Sequence[TensorType], tuple[Attribute, ...]], Region] = {}
        self.__doc__ = decompose.__doc__

    def build_regions(self, operands: Sequence[TensorType], attrs: Attributes) -> tuple[Region, ...]:
        """A copy of the body for these types and attributes, which is built once: models repeat their layers."""
        key = tuple(operands), tuple(attrs.values())
        built = self._built.get(key)
        if built is None:
            built = self._build(operands, attrs)
            if len(self._built) >= MOST_BODIES:
                self._built.clear()
            self._built[key] = built
        return (clone_region(built, {}),)

    def _build(self, operands: Sequence[TensorType], attrs: Attributes) -> Region:
        """The declared body. It takes shapes apart as if they fitted, and stumbles where they do not.

        Raises:
            ShapeError, DTypeError, AttributeTypeError: operands or attributes do not fit.
        """
        try:
            return build_body(operands, lambda *arguments: self._decompose(*arguments, **attrs), yield_)
        except (ValueError, LookupError, ArithmeticError) as error:
            given = ", ".join(map(str, operands))
            shapes = re.search(r"Shapes: (.*?)(?:\n\n|Source:|Results:|\Z)", self.doc, re.DOTALL)
            help = " ".join(shapes[0].split()) if shapes else None
            raise ShapeError(f"{self.name}: operands ({given}) or attributes do not fit: {error}", help=help) from error

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        return yielded(regions[0])


def composite(decompose: Callable[..., Any], kind: type[CompositeOp] = CompositeOp) -> CompositeOp:
    """Declares a composite: the function below builds its decomposition out of other ops.

    Positional parameters are operands, keyword ones attributes; the docstring is the op's.

    Args:
        kind: of composites that know more of themselves than their body tells.
    """
    return register_op(kind(decompose.__name__, decompose))
