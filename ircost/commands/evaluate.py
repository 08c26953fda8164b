"""``irc evaluate``: cost models held against measurements."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ircost.commands.estimator_names import check_estimators
from ircost.commands.measured_tables import constants_without_each, given_constants, read_tables, target_finder
from ircost.commands.options import OptionError
from ircost.commands.row_checks import check_rows, format_lines, limit_lines, runtime_lines, unit_lines
from ircost.commands.score_text import csv_text, print_scores, worst_text
from ircost.failed_rows import check_any_known, failure_lines
from ircost.ir.errors import did_you_mean
from ircost.terminal import progress, working

if TYPE_CHECKING:
    from ircost.backends import Target
    from ircost.cost_models.evaluation import ConstantsOf, Prediction, Score
    from ircost.datasets.tables import MeasuredTable

DEFAULT_MODEL = "analytical"
HYBRID, LEARNED, TEXT = "hybrid", "learned", "text"


@click.command()
@click.argument("tables", nargs=-1, required=True, type=click.Path())
@click.option("--model", "models", multiple=True, metavar="NAME", help="Cost model; several are set side by side.")
@click.option("--by", metavar="COLUMNS", default="", help="A line for each of these: device,framework,dtype.")
@click.option("--targets", "folders", multiple=True, metavar="DIR", help="Look for target files here too.")
@click.option("--constants", metavar="FILE", help="Fitted constants, as irc calibrate writes them; else the bundled.")
@click.option(
    "--leave-out-device", is_flag=True, help="Judge each device by constants fitted to the other devices (minutes)."
)
@click.option(
    "--split",
    metavar="shape|device|framework|COLUMN",
    help="Judge learned models on what they were not trained on: trains anew without it (minutes).",
)
@click.option(
    "--estimator",
    "estimators",
    multiple=True,
    metavar="NAME",
    help="With --split, what learned and hybrid learn by; several are set side by side (docs/estimators.md).",
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON; errors in percent.")
@click.option("--csv", "as_csv", is_flag=True, help="Print as CSV; errors in percent.")
@click.option("--plot", "plots", metavar="DIR", help="Draw predictions and errors there, as PNG and SVG.")
def command(
    tables: tuple[str, ...],
    models: tuple[str, ...],
    by: str,
    folders: tuple[str, ...],
    constants: str | None,
    leave_out_device: bool,
    split: str | None,
    estimators: tuple[str, ...],
    as_json: bool,
    as_csv: bool,
    plots: str | None,
) -> None:
    """Score cost models on TABLES of measurements (Parquet or CSV), in the schema of docs/cost-models.md.

    Errors are in percent of what was measured: their mean (MAPE), median and ninetieth percentile; bias is the median
    with its sign; tau is Kendall's, of predicted and measured order. Rows that no model can express are counted as
    failed, and listed.

    \b
    irc evaluate gemm.parquet attention.parquet --by device
    irc evaluate gemm.parquet --model roofline --model analytical --leave-out-device
    irc evaluate gemm.parquet --model analytical --model learned --model hybrid --split shape
    irc evaluate vector.parquet --split device --model learned --estimator trees --estimator linear
    irc evaluate held.parquet --model hybrid --model models/
    """
    groupings, names = groupings_of(by), model_names(models, split)
    if estimators:
        names = names_by_estimator(names, split, estimators)
    if as_csv and as_json:
        raise OptionError("--csv and --json exclude each other", help="take one")
    if leave_out_device and constants:
        raise OptionError(
            "--leave-out-device and --constants exclude each other", help="the former fits its own constants"
        )
    if split and (leave_out_device or constants):
        other = "--leave-out-device" if leave_out_device else "--constants"
        raise OptionError(f"--split and {other} exclude each other", help="a split fits its own constants")
    if leave_out_device or constants:
        check_have_constants(names, "--leave-out-device" if leave_out_device else "--constants")
    if plots:
        check_plots()
    target_of, read = target_finder(folders, [] if split else names), read_tables(tables)
    notes: list[str] = []
    if split:
        predictions = split_predictions(read, names, split, target_of, estimators)
    else:
        constants_of = None
        if leave_out_device or constants:
            check_no_networks(read, "--leave-out-device" if leave_out_device else "--constants")
            constants_of = constants_without_each(read, target_of) if leave_out_device else given_constants(constants)
        predictions = {name: predictions_of(read, name, target_of, constants_of) for name in names}
        if HYBRID in names:
            click.echo("note: hybrid was trained on tables like these; --split shape judges it on others", err=True)
        notes = [
            line
            for table in read
            if not is_of_models_or_parts(table)
            for line in format_lines(table.columns, Path(table.path).name)
        ]
        notes += notes_of_own(names, read)
        if not leave_out_device:  # which fits to the very runtimes of the tables
            notes += runtime_lines([table.columns for table in read], names, constants)
    scores = {name: scores_by_family(predictions[name], groupings) for name in names}
    told = [*zip(tables, predictions[names[0]], strict=True)]
    check_any_known(told)
    for line in notes:
        click.echo(f"note: {line}", err=True)
    failures = [] if split else failure_lines(told) + unit_lines(told) + limit_lines(told)
    if as_json:
        click.echo(json.dumps(report_of(scores), indent=1, allow_nan=False))
    elif as_csv:
        click.echo(csv_text(scores, groupings), nl=False)
    else:
        print_text(scores, groupings)
    for line in failures:
        click.echo(line, err=as_json or as_csv)
    if plots:
        draw(predictions, plots)


def groupings_of(by: str) -> list[str]:
    """The columns that ``--by`` names, each once, in the order of the schema.

    Raises:
        OptionError: rows are not grouped by one of them.
    """
    from ircost.cost_models.evaluation import GROUPINGS

    names = [name.strip() for name in by.split(",") if name.strip()]
    for name in names:
        if name not in GROUPINGS:
            raise OptionError(f"--by {name}: no such grouping", help=f"use any of {', '.join(GROUPINGS)}")
    return [name for name in GROUPINGS if name in names]


def model_names(models: Sequence[str], split: str | None = None) -> list[str]:
    """The models that are asked for, each once.

    Raises:
        OptionError: there is no such model.
    """
    from ircost.cost_models.evaluation import ROW_MODELS

    known = [*ROW_MODELS, LEARNED, TEXT] if split else list(ROW_MODELS)
    for name in models:
        if name not in known and not split and is_file_of_model(name):
            continue
        if name in (LEARNED, TEXT) and not split:
            raise OptionError(f"--model {name} needs --split", help="such as --split shape; estimates use hybrid")
        if split and name not in known and is_file_of_model(name):
            told = "hybrid stands for what irc train makes of the table, trained again without what is held out"
            raise OptionError(
                f"--model {name} cannot be combined with --split",
                help=f"{told}; without --split the file or folder is judged",
            )
        if name not in known:
            listing = f"models for tables are {', '.join(known)}"
            raise OptionError(f"no cost model '{name}' for tables", help=did_you_mean(name, known, listing))
    return list(dict.fromkeys(models)) or [DEFAULT_MODEL]


def names_by_estimator(names: Sequence[str], split: str | None, estimators: Sequence[str]) -> list[str]:
    """The models that are asked for, those that learn once for each estimator.

    Raises:
        OptionError: nothing is learned.
        UnknownNameError: nobody registered an estimator.
    """
    if split is None:
        raise OptionError(
            f"--estimator {estimators[0]} needs --split", help="such as --split shape: learned models are trained anew"
        )
    if not {LEARNED, HYBRID} & {*names}:
        names = [*names, LEARNED, HYBRID]
    check_estimators(estimators)
    each = [[f"{name} ({own})" for own in estimators] if name in (LEARNED, HYBRID) else [name] for name in names]
    return list(dict.fromkeys(name for own in each for name in own))


def is_file_of_model(name: str) -> bool:
    """Whether a model is named by the folder that holds it, or by a file of constants."""
    from ircost.cost_models.automatic import is_constants_file

    return Path(name).is_dir() or is_constants_file(name)


def notes_of_own(names: Sequence[str], tables: Sequence[MeasuredTable]) -> Iterator[str]:
    """A line for each folder of models, and each table that they were trained on.

    Raises:
        LearnedModelError: a folder holds none.
    """
    from ircost.cost_models.evaluation import ROW_MODELS
    from ircost.cost_models.learned.storage import table_digests

    for name in names:
        if name in ROW_MODELS or not Path(name).is_dir():
            continue
        digests = table_digests(name)
        for table in tables:
            if table.sha256 in digests:
                other = "--model hybrid --split shape judges such models on rows that they did not see"
                yield f"{name} was trained on {table.path} itself; {other}"


def check_have_constants(names: Sequence[str], option: str) -> None:
    """Raises:
    OptionError: a model's corrections are of the bundled constants, or it has constants of its own.
    """
    for name in names:
        if name == HYBRID or is_file_of_model(name):
            why = "brings constants of its own" if name.endswith(".json") else "was learned on the bundled constants"
            raise OptionError(f"--model {name} and {option}", help=f"{name} {why}; --model analytical takes others")


def check_no_networks(tables: Sequence[MeasuredTable], option: str) -> None:
    """Raises:
    OptionError: a table is of whole models, whose kernels are costed by the bundled constants.
    """
    from ircost.whole_models import is_of_models

    for table in tables:
        if is_of_models(table.columns):
            raise OptionError(f"{option}: {table.path} is of whole models", help="--model FILE.json takes constants")


def is_of_models_or_parts(table: MeasuredTable) -> bool:
    """Whether a table is of whole models, or of operators in them: no single kernels."""
    from ircost.cost_models.gpu.model_ops import is_model_ops
    from ircost.whole_models import is_of_models

    return is_of_models(table.columns) or is_model_ops(table.columns)


def split_predictions(
    tables: Sequence[MeasuredTable],
    names: Sequence[str],
    split: str,
    target_of: Callable[[str], Target],
    estimators: Sequence[str] = (),
) -> dict[str, list[Prediction]]:
    """What models say of rows of shapes, devices, frameworks or others that they did not see.

    Raises:
        OptionError: a table is of whole models, or has nothing to leave out.
    """
    from ircost.cost_models.split_evaluation import predictions_of_split

    found: dict[str, list[Prediction]] = {name: [] for name in names}
    for table in tables:
        if is_of_models_or_parts(table):
            raise OptionError(f"--split: {table.path} is of models", help="give tables of kernels")
        check_split(split, table)
        notes = check_rows(table, target_of)
        with progress(f"training on parts of {table.path}") as advance:
            try:
                own = predictions_of_split(
                    table.columns, table.path, split, target_of, advance, TEXT in names, list(dict.fromkeys(estimators))
                )
            except ValueError as error:
                raise OptionError(f"--split {split}: {table.path}: {error}", help="give more rows") from error
        for line in notes:
            click.echo(f"note: {line}", err=True)
        for name in names:
            found[name].append(own[name])
    return found


def check_split(split: str, table: MeasuredTable) -> None:
    """Raises:
    OptionError: the table has no such column.
    """
    from ircost.cost_models.learned.splits import SPLITS

    if split not in (*SPLITS, *table.columns):
        listing = f"use {', '.join(SPLITS)} or a column of the table"
        raise OptionError(
            f"--split {split}: {table.path} has no such column",
            help=did_you_mean(split, [*SPLITS, *table.columns], listing),
        )


def predictions_of(
    tables: Sequence[MeasuredTable], model: str, target_of: Callable[[str], Target], constants_of: ConstantsOf | None
) -> list[Prediction]:
    """What a model says of each table."""
    from ircost.kernel_tables import prediction_of

    found = []
    for table in tables:
        with working(f"evaluating {table.path}"):
            found.append(prediction_of(table.columns, table.path, model, target_of, constants_of))
    return found


def by_family(predictions: Sequence[Prediction]) -> list[Prediction]:
    """Tables of one family together, families in the order of their names."""
    from ircost.cost_models.evaluation import joined

    names = sorted({prediction.family for prediction in predictions})
    return [joined(prediction for prediction in predictions if prediction.family == name) for name in names]


def scores_by_family(predictions: Sequence[Prediction], groupings: Sequence[str]) -> list[Score]:
    from ircost.cost_models.evaluation import scores_of

    return [score for prediction in by_family(predictions) for score in scores_of(prediction, groupings)]


def report_of(scores: Mapping[str, Sequence[Score]]) -> dict[str, Any] | list[dict[str, Any]]:
    """One object for one model; a list of them for several."""
    reports = [{"model": name, "groups": [score.to_json() for score in own]} for name, own in scores.items()]
    return reports[0] if len(reports) == 1 else reports


def print_text(scores: Mapping[str, Sequence[Score]], groupings: Sequence[str]) -> None:
    print_scores(scores, groupings)
    for name, own in scores.items():
        worst = worst_text(own)
        if worst is not None:
            click.echo(f"worst medians of {name}: {worst}")


def check_plots() -> None:
    """Raises:
    PlotError: the library that draws is not installed; found before minutes are spent.
    """
    from ircost.plots.drawing import check_library

    check_library()


def draw(predictions: Mapping[str, Sequence[Prediction]], folder: str) -> None:
    from ircost.plots.evaluation import draw_prediction

    for model, own in predictions.items():
        for prediction in by_family(own):
            with working(f"drawing {prediction.family}"):
                files = draw_prediction(prediction, Path(model).name, folder)
            click.echo(f"wrote {', '.join(files)}", err=True)
