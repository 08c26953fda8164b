"""Predicts the phases of a language model in a slow engine: kernels as costed, and what the engine adds to a layer.

The engine's addition is one time for each layer of each pass, whatever the machine, the mesh or the batch. It is fitted
to medians of another model than the claim is about: ``python -m ircost.predictors.engine_phases`` prints it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from pydantic import Field

import ircost.datasets
from ircost.backends import Target, load_target
from ircost.cost_models.automatic import chosen_model
from ircost.datasets.claim_yaml import Section, read_file
from ircost.datasets.claims import Written
from ircost.frontends import ImportOptions
from ircost.frontends.config.architecture import Architecture
from ircost.ir.types import parse_dtype
from ircost.passes import DEFAULT_LEVEL, pipeline_of_level
from ircost.predictors.known_architecture import architecture_named
from ircost.predictors.prediction import Point, Prediction
from ircost.quantity_text import small_text
from ircost.sweep_points import SweepPoint
from ircost.sweeping import sweep

MEASURED = Path(ircost.datasets.__file__).parent / "engines" / "splitwise.yaml"


class EngineConfiguration(Written):
    """Args:
    model: a bundled one. dtype: of weights, cache and arithmetic.
    targets: machines, by the name that points call them.
    tp: ranks that share each layer.
    sizes: prompt tokens x batch, such as 512x32.
    output_tokens: behind the prompt; their mean is what counts.
    overhead_s_per_layer: what the engine adds to each layer of each pass.
    ratios: of the second target to the first, at these points: ``tp8 512x1``.
    """

    model: str
    dtype: str
    targets: dict[str, str] = Field(min_length=1)
    tp: tuple[int, ...] = Field(min_length=1)
    sizes: tuple[str, ...] = Field(min_length=1)
    output_tokens: int = Field(ge=1)
    overhead_s_per_layer: float = Field(ge=0)
    ratios: tuple[str, ...] = ()


class MeasuredEngine(Written):
    """Args:
    model, dtype, tp, targets, output_tokens: what ran, and where.
    prompt_ms, token_ms: medians, by machine and by prompt tokens x batch.
    """

    model: str
    dtype: str
    tp: int
    output_tokens: int
    targets: dict[str, str]
    prompt_ms: dict[str, dict[str, float]]
    token_ms: dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class PhaseTimes:
    """Of one prompt length and batch, without what an engine adds; the token's is that in the middle of the answer."""

    prompt: SweepPoint
    token: SweepPoint


def predict_engine_phases(section: Section) -> Prediction:
    """A prompt's pass and a token's, for each machine, number of ranks and size.

    Raises:
        ClaimError: the configuration is wrong, or the target or model unknown.
    """
    wanted = section.read(EngineConfiguration)
    architecture = architecture_named(wanted.model, section)
    added_s = wanted.overhead_s_per_layer * len(architecture.stack.layers)
    values: dict[Point, float | str] = {}
    reasons: dict[Point, str] = {}
    with section.blaming("targets"):
        machines = {name: load_target(own) for name, own in wanted.targets.items()}
    for name, machine in machines.items():
        for tp in wanted.tp:
            times = phase_times(architecture, machine, tp, wanted.sizes, wanted.output_tokens, wanted.dtype)
            for size, found in times.items():
                for figure, point in (("prompt", found.prompt), ("token", found.token)):
                    place = f"{name} tp{tp} {size}"
                    values[figure, place] = 1e3 * (point.latency_s + added_s)
                    reasons[figure, place] = _reason(point, added_s)
    values.update(_ratios(wanted, values))
    reasons.update({key: "of the two above" for key in values if key not in reasons})
    return Prediction(
        values=values,
        reasons=reasons,
        target=next(iter(machines.values())),
        figures=(),
        model=f"analytical, and {small_text(wanted.overhead_s_per_layer, 's')} a layer and pass for the engine",
    )


def _reason(point: SweepPoint, added_s: float) -> str:
    """Such as: kernels 9.1 ms (HBM 70%), engine 24 ms; does not fit the memory."""
    kernels = f"kernels {small_text(point.latency_s, 's')} ({point.bound} {point.bound_share:.0%})"
    room = "" if point.fits else "; weights and cache do not fit"
    return f"{kernels}, engine {small_text(added_s, 's')}{room}"


def _ratios(wanted: EngineConfiguration, values: Mapping[Point, float | str]) -> Iterator[tuple[Point, float]]:
    first, second = list(wanted.targets)[:2] if len(wanted.targets) > 1 else ("", "")
    for place in wanted.ratios:
        for figure in ("prompt", "token"):
            above, below = values[figure, f"{second} {place}"], values[figure, f"{first} {place}"]
            yield (f"{figure} ratio", place), float(above) / float(below)


def phase_times(
    architecture: Architecture, target: Target, tp: int, sizes: Sequence[str], output_tokens: int, dtype: str
) -> dict[str, PhaseTimes]:
    """By size; prompts of a length are priced together.

    The engine served prompts longer than the model was made for; sizes of layers do not depend on it.
    """
    unlimited = replace(architecture, max_context=0)
    pairs = [(int(prompt), int(batch)) for prompt, _, batch in (size.partition("x") for size in sizes)]
    found: dict[str, PhaseTimes] = {}
    for prompt in dict.fromkeys(prompt for prompt, _ in pairs):
        batches = [batch for other, batch in pairs if other == prompt]
        prompts = _swept(unlimited, target, tp, "prefill", {"seq": prompt}, batches, dtype)
        context = prompt + (output_tokens + 1) // 2
        tokens = _swept(unlimited, target, tp, "decode", {"context": context}, batches, dtype)
        for batch, first, then in zip(batches, prompts, tokens, strict=True):
            found[f"{prompt}x{batch}"] = PhaseTimes(first, then)
    return {size: found[size] for size in sizes}


def _swept(
    architecture: Architecture,
    target: Target,
    tp: int,
    phase: str,
    dims: Mapping[str, int],
    batches: Sequence[int],
    dtype: str,
) -> tuple[SweepPoint, ...]:
    options = ImportOptions(dims=dict(dims), phase=phase, mesh=f"tp={tp}", dtype=parse_dtype(dtype))
    pipeline = pipeline_of_level(DEFAULT_LEVEL, target.kind)
    return sweep(architecture, options, {"batch": batches}, target, chosen_model("auto", target), pipeline).points


@dataclass(frozen=True, slots=True)
class FittedOverhead:
    """Args:
    s_per_layer: what the engine adds. error: median of \\|log(predicted / measured)\\| with it. rows: that were fitted.
    """

    s_per_layer: float
    error: float
    rows: int


def fit_overhead(path: Path = MEASURED) -> FittedOverhead:
    """The addition with the least median error; it hits one of the rows, so only those of the rows are tried.

    Raises:
        ClaimError: the file is wrong.
    """
    section = read_file(path)
    measured = section.read(MeasuredEngine)
    architecture = architecture_named(measured.model, section)
    layers = len(architecture.stack.layers)
    rows = [row for name in measured.targets for row in _rows(architecture, measured, name)]
    tried = [max(whole - kernels, 0.0) / layers for kernels, whole in rows]

    def error(added_s: float) -> float:
        return median(abs(math.log((kernels + layers * added_s) / whole)) for kernels, whole in rows)

    best = min(tried, key=error)
    return FittedOverhead(best, error(best), len(rows))


def _rows(architecture: Architecture, measured: MeasuredEngine, name: str) -> Iterator[tuple[float, float]]:
    """Seconds of kernels as predicted, and of the pass as measured."""
    prompts, tokens = measured.prompt_ms[name], measured.token_ms[name]
    target = load_target(measured.targets[name])
    times = phase_times(architecture, target, measured.tp, tuple(prompts), measured.output_tokens, measured.dtype)
    for size, found in times.items():
        yield found.prompt.latency_s, prompts[size] / 1e3
        yield found.token.latency_s, tokens[size] / 1e3


if __name__ == "__main__":
    fitted = fit_overhead()
    print(f"overhead_s_per_layer: {fitted.s_per_layer:.3g}")
    print(f"# median error {100 * math.expm1(fitted.error):.1f} % over {fitted.rows} medians of {MEASURED.name}")
