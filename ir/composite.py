"""Composites: named patterns that people know, with their decomposition inside."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from ircost.ir.attributes import REQUIRED, Attributes, AttributeSpec
from ircost.ir.builder import build_body
from ircost.ir.definition import OpDefinition, register_op
from ircost.ir.graph import Region, Value
from ircost.ir.terminators import yield_, yielded
from ircost.ir.types import TensorType


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
        self.attributes = {
            p.name: AttributeSpec(str(p.annotation), REQUIRED if p.default is p.empty else p.default)
            for p in parameters
            if p.kind is p.KEYWORD_ONLY
        }
        self._decompose = decompose
        self.__doc__ = decompose.__doc__

    def build_regions(self, operands: Sequence[TensorType], attrs: Attributes) -> tuple[Region, ...]:
        def body(*arguments: Value) -> Any:
            return self._decompose(*arguments, **attrs)

        return (build_body(operands, body, yield_),)

    def infer(
        self, operands: Sequence[TensorType], attrs: Attributes, regions: Sequence[Region]
    ) -> tuple[TensorType, ...]:
        return yielded(regions[0])


def composite(decompose: Callable[..., Any]) -> CompositeOp:
    """Declares a composite: the function below builds its decomposition out of other ops.

    Positional parameters are operands, keyword ones attributes; the docstring is the op's.
    """
    return register_op(CompositeOp(decompose.__name__, decompose))
