"""Predictions of measured rows as drawings: predicted against measured, and where among the shapes errors are large."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ircost.cost_models.gpu.table_schema import number_column
from ircost.plots.drawing import SUFFIXES, PlotError, check_library, save_drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ircost.cost_models.evaluation import Prediction
    from ircost.cost_models.gpu.table_work import Columns

SCATTERED = 3000  # rows that are drawn as points; more are counted in hexagons
LARGEST_ERROR = 60.0  # percent; the colours end there


@dataclass(frozen=True, slots=True)
class Size:
    """One axis of a family's shapes.

    Args:
        label: on the axis.
        of: columns -> [rows].
    """

    label: str
    of: Callable[[Columns], np.ndarray]


def product(*names: str) -> Callable[[Columns], np.ndarray]:
    """Of the columns that a table has; those that it may leave out are 1."""

    def of(columns: Columns) -> np.ndarray:
        sizes = [number_column(columns[name]).astype(float) for name in names if name in columns]
        found: np.ndarray = np.prod([np.ones(len(columns["device"])), *sizes], axis=0)
        known: np.ndarray = np.nan_to_num(found, nan=1.0)
        return known

    return of


TOKENS = Size("new tokens (batch × q_len)", product("batch", "q_len"))
CACHED = Size("tokens attended to (kv_len)", product("kv_len"))
ELEMENTS = (Size("rows", product("rows")), Size("cols", product("cols")))
SIZES: dict[str, tuple[Size, Size]] = {
    "gemm": (Size("rows (batch × m)", product("batch", "m")), Size("weights (n × k)", product("n", "k"))),
    "attention": (TOKENS, CACHED),
    "mla": (TOKENS, CACHED),
    "moe": (
        Size("tokens", product("tokens")),
        Size("weights of an expert (hidden × inter)", product("hidden", "inter")),
    ),
    "recurrent": (Size("batch", product("batch")), Size("seq_len", product("seq_len"))),
    "vector": ELEMENTS,
    "quantize": ELEMENTS,
    "conv": (
        Size("pixels (batch × in_h × in_w)", product("batch", "in_h", "in_w")),
        Size("weights (channels × window)", product("in_channels", "out_channels", "kernel_h", "kernel_w")),
    ),
    "collective": (Size("bytes", product("bytes")), Size("devices (world_size)", product("world_size"))),
    "model_ops": (Size("batch", product("batch")), Size("seq", product("seq"))),
}


def draw_prediction(prediction: Prediction, model: str, folder: str | Path) -> list[str]:
    """Draws predicted against measured latency, and the median error by shape; rows that failed are left out.

    Args:
        model: its name, for the title.
        folder: made where it is missing; files are named by family and model.

    Returns:
        The files that were written.

    Raises:
        PlotError: matplotlib is not installed, or the folder cannot be written to.
    """
    check_library()
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    told = np.flatnonzero(np.isfinite(prediction.predicted_s))
    figure = Figure(figsize=(12, 5.2), layout=ConstrainedLayoutEngine(w_pad=0.15))
    left, right = figure.subplots(1, 2)
    figure.suptitle(_title(prediction, model, told))
    if len(told):
        _draw_latency(left, prediction.predicted_s[told] * 1e6, prediction.measured_s[told] * 1e6)
        _draw_shapes(right, prediction, told)
    paths = [Path(folder) / f"{prediction.family}-{model}{suffix}" for suffix in SUFFIXES]
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PlotError(
            f"cannot write to {folder}: {error.strerror}", help="check the folder and its permissions"
        ) from None
    for path in paths:
        save_drawing(figure, path, dpi=120)
    return [str(path) for path in paths]


def _title(prediction: Prediction, model: str, told: np.ndarray) -> str:
    failed = len(prediction) - len(told)
    text = f"{prediction.family}, {model} model: {len(prediction):,} rows"
    if failed:
        text += f", {failed:,} failed"
    if len(told):
        error = 100 * (prediction.predicted_s[told] / prediction.measured_s[told] - 1)
        text += f", median error {np.median(np.abs(error)):.1f} %, bias {np.median(error):+.1f} %"
    return text


def _draw_latency(axes: Axes, predicted_us: np.ndarray, measured_us: np.ndarray) -> None:
    ends = np.array(
        [min(predicted_us.min(), measured_us.min()) / 1.5, max(predicted_us.max(), measured_us.max()) * 1.5]
    )
    if len(predicted_us) <= SCATTERED:
        area = np.clip(2000 / len(predicted_us), 8, 40)  # in points: few dots are seen, many do not hide each other
        axes.scatter(measured_us, predicted_us, s=area, alpha=0.6, linewidths=0)
    else:
        extent: Any = (*np.log10(ends), *np.log10(ends))
        hexagons = axes.hexbin(
            measured_us, predicted_us, xscale="log", yscale="log", bins="log", gridsize=90, mincnt=1, extent=extent
        )
        axes.figure.colorbar(hexagons, ax=axes, label="rows")
    for factor, style in ((1.0, "-"), (2.0, "--"), (0.5, "--")):
        axes.plot(ends, ends * factor, style, color="black", linewidth=0.8)
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
    axes.set(xlabel="measured, µs", ylabel="predicted, µs", title="dashed: a factor of 2")


def _draw_shapes(axes: Axes, prediction: Prediction, told: np.ndarray) -> None:
    """The median error of the rows whose two sizes lie between the same powers of two."""
    across, up = SIZES[prediction.family]
    columns = {name: column[told] for name, column in prediction.columns.items()}
    x, y = (np.floor(np.log2(np.maximum(size.of(columns), 1))).astype(int) for size in (across, up))
    error = 100 * np.abs(prediction.predicted_s[told] / prediction.measured_s[told] - 1)
    cells = np.full((y.max() - y.min() + 1, x.max() - x.min() + 1), np.nan)
    order = np.lexsort((error, x, y))
    starts = np.flatnonzero(np.r_[True, (np.diff(x[order]) != 0) | (np.diff(y[order]) != 0)])
    middles = order[(starts + np.r_[starts[1:], len(order)]) // 2]
    cells[y[middles] - y.min(), x[middles] - x.min()] = error[middles]
    extent = (x.min(), x.max() + 1, y.min(), y.max() + 1)
    image = axes.imshow(cells, origin="lower", extent=extent, aspect="auto", cmap="viridis", vmin=0, vmax=LARGEST_ERROR)
    axes.figure.colorbar(image, ax=axes, label="median |error|, %", extend="max")
    axes.set(xlabel=across.label, ylabel=up.label, title="median error by shape")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(_powers())
        axis.set_major_formatter(lambda power, _: _power_text(power))


def _powers() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=8, integer=True)


def _power_text(power: float) -> str:
    """A power of two as people write it.

    >>> _power_text(5), _power_text(13), _power_text(24)
    ('32', '8Ki', '16Mi')
    """
    whole, prefix = divmod(int(power), 10)
    return f"{2**prefix}{('', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi')[min(whole, 5)]}" if power >= 0 else ""
