"""Estimators that options name."""

from __future__ import annotations

from collections.abc import Sequence

from ircost.commands.options import OptionError


def check_estimators(names: Sequence[str], to_store: bool = False) -> None:
    """Raises:
    UnknownNameError: nobody registered one of that name.
    OptionError: one shall be stored, and cannot be.
    """
    from ircost.cost_models.learned.estimators.boosted import BoostedResidual
    from ircost.cost_models.learned.estimators.layout import Layout
    from ircost.cost_models.learned.estimators.registry import estimator_named

    for name in names:
        found = estimator_named(name, Layout.of("gemm", sees_machine=True), BoostedResidual())
        if to_store and not hasattr(found, "state"):
            raise OptionError(
                f"--estimator {name}: {type(found).__name__} cannot be stored, having no method 'state'",
                help="derive it from FittedState (docs/estimators.md); irc evaluate takes it as it is",
            )
