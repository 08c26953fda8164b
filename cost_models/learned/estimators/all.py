"""Our estimators besides the trees, as they suit the features of kernels."""

from __future__ import annotations

from ircost.cost_models.learned.estimators.boosted import BoostedResidual
from ircost.cost_models.learned.estimators.interpolation import TableInterpolation
from ircost.cost_models.learned.estimators.isotonic import IsotonicCorrection
from ircost.cost_models.learned.estimators.layout import Layout
from ircost.cost_models.learned.estimators.linear import LinearCorrection
from ircost.cost_models.learned.estimators.monotone import MonotoneTrees
from ircost.cost_models.learned.estimators.nearest import NearestKernels
from ircost.cost_models.learned.estimators.registry import register_estimator
from ircost.cost_models.learned.estimators.stacked import StackedEstimators


@register_estimator("nearest")
def nearest(layout: Layout, trees: BoostedResidual) -> NearestKernels:
    """Mean correction of the nearest kernels."""
    return NearestKernels(sizes=layout.sizes, words=layout.words)


@register_estimator("interpolation")
def interpolation(layout: Layout, trees: BoostedResidual) -> TableInterpolation:
    """Corrections interpolated between kernels of the same runtime, format, kind and machine."""
    return TableInterpolation(sizes=layout.sizes, words=layout.words)


@register_estimator("table")
def table(layout: Layout, trees: BoostedResidual) -> TableInterpolation:
    """Times interpolated likewise, with no help from the analytical model."""
    return TableInterpolation(sizes=layout.sizes, words=layout.words, predicted=layout.predicted)


@register_estimator("linear")
def linear(layout: Layout, trees: BoostedResidual) -> LinearCorrection:
    """Ridge regression."""
    return LinearCorrection(words=layout.words)


@register_estimator("isotonic")
def isotonic(layout: Layout, trees: BoostedResidual) -> IsotonicCorrection:
    """Measured time as an increasing function of the predicted one."""
    return IsotonicCorrection(layout.predicted, layout.words)


@register_estimator("monotone")
def monotone(layout: Layout, trees: BoostedResidual) -> MonotoneTrees:
    """Trees that obey laws: more work is never faster, a better machine never slower."""
    kinds = tuple(at for at in layout.sizes if at not in layout.work)
    return MonotoneTrees(
        (layout.predicted, *layout.work), layout.machine, (*kinds, *layout.words), predicted=layout.predicted
    )


@register_estimator("ensemble")
def ensemble(layout: Layout, trees: BoostedResidual) -> StackedEstimators:
    """Trees, interpolation and ridge regression, weighted by how right they are about what they did not see."""
    return StackedEstimators([trees, interpolation(layout, trees), linear(layout, trees)])
