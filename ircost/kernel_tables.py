"""Tables of single kernels from Python: predicted, or compared with measurements."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ircost.backends import Runtime, Target
from ircost.backends.target_files import target_loader
from ircost.cost_models.automatic import is_constants_file, unknown_among
from ircost.cost_models.evaluation import (
    GROUPINGS,
    ROW_MODELS,
    ConstantsOf,
    Prediction,
    RowModel,
    Score,
    predict_table,
    scores_of,
)
from ircost.cost_models.frames import FrameError, columns_of
from ircost.cost_models.gpu.constants import ConstantsFile, bundled_constants, constants_beside_bundled
from ircost.cost_models.gpu.model_ops import is_model_ops
from ircost.cost_models.gpu.table_work import Columns
from ircost.cost_models.learned.row_models import known_rows
from ircost.cost_models.learned.storage import bundled_models
from ircost.cost_models.learned.trained import constants_corrected_by, trained_models
from ircost.cost_models.row_estimates import RowEstimates, estimate_rows
from ircost.failed_rows import check_any_known
from ircost.ir.errors import UnknownNameError, did_you_mean
from ircost.whole_models import is_of_models, predict_models

if TYPE_CHECKING:
    from ircost.cost_models.learned.family_model import FamilyModel

HYBRID, ANALYTICAL = "hybrid", "analytical"
TABLE = "the table"  # what errors call one that has no name


def predict_kernels(kernels: Any, model: str = HYBRID, target_folders: Sequence[str | Path] = ()) -> RowEstimates:
    """``ircost.predict``, which says what each argument means."""
    return estimates_of(columns_of(kernels, TABLE, ["device"]), TABLE, _targets(target_folders, model), model)


def evaluate_kernels(
    measured: Any, model: str = ANALYTICAL, by: Sequence[str] = (), target_folders: Sequence[str | Path] = ()
) -> tuple[Score, ...]:
    """``ircost.evaluate``, which says what each argument means."""
    for name in by:
        if name not in GROUPINGS:
            raise UnknownNameError(f"scores by {name}: no such grouping", help=f"use any of {', '.join(GROUPINGS)}")
    columns = columns_of(measured, TABLE, ["device"])
    found = prediction_of(columns, TABLE, model, _targets(target_folders, model))
    check_any_known([(TABLE, found)])
    return tuple(scores_of(found, [name for name in GROUPINGS if name in by]))


def _targets(folders: Sequence[str | Path], model: str) -> Callable[[str], Target]:
    """Targets by name or alias, each read once; runtimes that only the model knows may be named with them."""
    return target_loader(folders, own_runtimes_of(model))


def own_runtimes_of(model: str) -> tuple[Runtime, ...]:
    """Runtimes that nobody knows but a model of rows, however it is named.

    Raises:
        IrcError: as ``row_model``.
    """
    _, _, constants = row_model(model)
    return () if constants is None else unknown_among(constants.runtimes)


def estimates_of(columns: Columns, at: str, target_of: Callable[[str], Target], model: str) -> RowEstimates:
    """What a model, however it is named, says of the rows of a table.

    Raises:
        UnknownNameError: there is no such model.
        FrameError: the columns tell of operators inside of models, which are no single kernels.
        IrcError: the model's files, or the columns, are wrong.
    """
    name, learned, constants = row_model(model)
    if is_model_ops(columns):
        raise FrameError(f"{at} lists operators inside models", help="irc evaluate accepts it")
    return estimate_rows(columns, at, target_of, name, learned, constants)


def row_model(model: str) -> tuple[str, Mapping[str, FamilyModel] | None, ConstantsFile | None]:
    """The name of a model of rows, the learned ones of the hybrid or of a folder, and the constants of a file.

    Raises:
        UnknownNameError: there is no such model.
        LearnedModelError: the folder holds none.
        ConstantsError: the file holds none.
    """
    if model == HYBRID:
        return model, bundled_models(), None
    if model in ROW_MODELS:
        return model, None, None
    if Path(model).is_dir():
        learned = trained_models(model)
        return HYBRID, learned, constants_corrected_by(learned)
    if is_constants_file(model):
        return ANALYTICAL, None, constants_beside_bundled(model)
    listing = f"models are {', '.join(ROW_MODELS)}, a folder by irc train, or constants.json by irc calibrate"
    raise UnknownNameError(f"no cost model '{model}' for tables", help=did_you_mean(model, ROW_MODELS, listing))


def prediction_of(
    columns: Columns,
    at: str,
    model: str,
    target_of: Callable[[str], Target],
    constants_of: ConstantsOf | None = None,
) -> Prediction:
    """What a model, however it is named, says of measured rows, of kernels or of whole models.

    Args:
        at: the table's name, for errors. constants_of: the analytical model's for a target, where not the model's own.

    Raises:
        IrcError: as ``estimates_of``.
    """
    name, learned, fitted = row_model(model)
    if is_of_models(columns):
        return predict_models(columns, target_of, model)
    rows_of: RowModel = ROW_MODELS[name] if learned is None else partial(known_rows, learned)
    own = fitted or bundled_constants()
    return predict_table(columns, at, target_of, rows_of, constants_of or (lambda target: own))
