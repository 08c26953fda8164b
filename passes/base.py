"""What a pass is: a frozen dataclass with a name, options as fields, and patterns or a `run` of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeVar

from ircost.ir.errors import IrcError
from ircost.ir.graph import Module
from ircost.ir.registry import Registry
from ircost.ir.rewrite import RewritePattern, apply_patterns

if TYPE_CHECKING:
    from ircost.backends import Target
    from ircost.cost_models.interface import CostModel


class PassError(IrcError):
    """A pass, or the text of a pipeline, is at fault; says which, and where the reproducer is."""


@dataclass(frozen=True, slots=True)
class PassContext:
    """What a pass may ask about besides the module.

    Args:
        target: the machine, for passes that weigh cost.
        cost_model: the estimator that they ask.
    """

    target: Target | None = None
    cost_model: CostModel | None = None


@dataclass(frozen=True, slots=True)
class Pass:
    """A rewrite of a module. A subclass gives `patterns`, or does its work in `run`.

    What a pass claims of itself is held against real models and random ones (`tests/corpus.py`):
        is_exact: outputs stay bit-identical; of others they agree to rounding.
        is_idempotent: run again, it changes nothing.
    """

    name: ClassVar[str]
    is_exact: ClassVar[bool] = False
    is_idempotent: ClassVar[bool] = True

    def patterns(self) -> tuple[RewritePattern, ...]:
        """The patterns to apply until none fires."""
        return ()

    def run(self, module: Module, context: PassContext) -> Counter[str]:
        """Rewrites the module in place.

        Returns:
            How often each pattern, or each kind of change, happened.
        """
        return apply_patterns(module, self.patterns())


def check_least(instance: Pass, option: str, least: int) -> None:
    """For a pass's ``__post_init__``: an option has a least value.

    Raises:
        PassError: it is below.
    """
    value = getattr(instance, option)
    if value < least:
        raise PassError(f"pass '{instance.name}': option '{option}' is {value}", help=f"{least} is the least")


def _load_passes() -> None:
    import ircost.passes.all  # noqa: F401


PASSES: Registry[type[Pass]] = Registry("pass", "ircost.passes", "irc passes lists all", _load_passes)

PassClass = TypeVar("PassClass", bound=type[Pass])


def register_pass(name: str) -> Callable[[PassClass], PassClass]:
    """Makes a pass known by its name in pipelines and on the command line."""

    def register(cls: PassClass) -> PassClass:
        cls.name = name
        PASSES.add(name, cls)
        return cls

    return register
