"""Text models of measured rows: trained on a table's rows as printed IR, judged on the rows that were held out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ircost.cost_models.gpu.constants import ConstantsFile
from ircost.cost_models.learned.conformal import conformal_quantile
from ircost.cost_models.learned.judging import order_of
from ircost.cost_models.learned.machines_left_out import ConstantsWithout
from ircost.cost_models.learned.recipes import FEWEST_ROWS
from ircost.cost_models.learned.row_text import texts_of, writer_of
from ircost.cost_models.learned.rows import Readable, Rows, always, rows_of, thinned
from ircost.cost_models.learned.splits import folds_of
from ircost.cost_models.learned.text_model import IrTextRegressor
from ircost.cost_models.learned.text_vectors import Counted

OnProgress = Callable[[int, int], object]  # how many models are trained, of how many
MOST_ROWS = 30_000  # of a table: to print a row and to read it takes half a millisecond, of attention two


@dataclass(frozen=True, slots=True)
class TextModel:
    """Reads the kernels of one family as text.

    Args:
        regressor: of ln of the latency in seconds.
        half_width: of the interval of 90 % around that, for shapes that were not seen; conformal.
        about: rows, tables and errors.
    """

    family: str
    regressor: IrTextRegressor
    half_width: float
    about: Mapping[str, object] = field(default_factory=dict)

    def latency_s(self, texts: list[str]) -> np.ndarray:
        """[texts, 3] seconds, and the ends of their interval."""
        found = self.regressor.predict(texts)
        return np.asarray(np.exp(found[:, None] + self.half_width * np.array([0.0, -1.0, 1.0])))


def train_text(
    table: Readable,
    constants: ConstantsFile,
    without: ConstantsWithout,
    regressor: IrTextRegressor | None = None,
    on_progress: OnProgress | None = None,
) -> TextModel:
    """The text model of a family.

    Args:
        table: measured rows, of which at most MOST_ROWS are learned from.
        constants: of the analytical model that it is compared with. without: the same, fitted without each target.
        regressor: not yet fitted.
        on_progress: called after each of the models that are trained on the way.

    Raises:
        ValueError: there are too few rows, or one shape only.
        RowTextError: rows have no op in the IR.
    """
    writer_of(table)
    regressor = regressor or IrTextRegressor()
    few = thinned(table, MOST_ROWS)
    rows = rows_of(few, always(constants), table.vocabulary())
    shapes, devices = (folds_of(rows, split) for split in ("shape", "device"))
    if len(rows) < FEWEST_ROWS or not shapes:
        raise ValueError(f"{len(rows)} rows of {len(np.unique(rows.shape))} shapes, {FEWEST_ROWS} of several needed")
    counted, target = regressor.counted(texts_of_rows(few, rows)), np.log(rows.measured_s)
    total = len(shapes) + len(devices) + 1

    def after(count: int) -> OnProgress:
        return lambda done, of: on_progress(count + done, total) if on_progress is not None else None

    seen = held_out(counted, target, shapes, regressor, after(0))
    unseen = held_out(counted, target, devices, regressor, after(len(shapes)))
    errors = [errors_of_text(rows, seen, "shapes")]
    if devices:
        errors += sorted(device_errors(few, rows, unseen, without), key=lambda line: -float(str(line["text_median"])))
    fitted = unfitted(regressor).fit_counted(counted, target)
    after(total)(0, 1)
    half_width = conformal_quantile(np.abs(target - seen))
    return TextModel(table.family.name, fitted, half_width, {"rows": len(rows), "errors": errors})


def texts_of_rows(table: Readable, rows: Rows) -> list[str]:
    """Printed modules of some of a table's rows."""
    return texts_of(table, np.searchsorted(table.place, rows.place))


def held_out(
    counted: Sequence[Counted],
    target: np.ndarray,
    folds: Sequence[np.ndarray],
    regressor: IrTextRegressor,
    on_progress: OnProgress | None = None,
) -> np.ndarray:
    """[texts] the target by regressors that saw no text of the same fold; 0 in none.

    Args:
        counted: texts, as the regressor counts them. folds: masks.
    """
    found = np.zeros(len(target))
    for number, out in enumerate(folds):
        inside, outside = ([counted[row] for row in np.flatnonzero(mask).tolist()] for mask in (~out, out))
        found[out] = unfitted(regressor).fit_counted(inside, target[~out]).predict_counted(outside)
        if on_progress is not None:
            on_progress(number + 1, len(folds))
    return found


def unfitted(regressor: IrTextRegressor) -> IrTextRegressor:
    return IrTextRegressor(**regressor.get_params())


def device_errors(
    table: Readable, rows: Rows, found: np.ndarray, without: ConstantsWithout
) -> Iterator[dict[str, object]]:
    """Of each device; the analytical model's constants have not seen it either."""
    for device in sorted(set(rows.device)):
        groups = [g for g in table.groups if g.setting is not None and g.labels["device"] == device]
        own = rows_of(replace(table, groups=groups), always(without[frozenset((device,))]), table.vocabulary())
        yield errors_of_text(own, found[rows.device == device], str(device))


def errors_of_text(rows: Rows, found: np.ndarray, held_out: str) -> dict[str, object]:
    """Errors of the analytical model and of the text model, in percent; tau is Kendall's.

    Args:
        found: [rows] ln of the latency by the text model.
    """
    line: dict[str, object] = {"held_out": held_out, "rows": len(rows)}
    for name, predicted_s in (("analytical", rows.analytical_s), ("text", np.exp(found))):
        size = 100 * np.abs(predicted_s / rows.measured_s - 1)
        line |= {f"{name}_mape": round(float(size.mean()), 2), f"{name}_median": round(float(np.median(size)), 2)}
        line[f"{name}_tau"] = order_of(predicted_s, rows.measured_s)
    return line
