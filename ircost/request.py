"""A whole request to a language model: its prompt, then token after token, with nobody else in the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ircost.backends import Target
from ircost.cost_models.automatic import cost_model_named
from ircost.cost_models.interface import CostModel
from ircost.frontends import ImportOptions
from ircost.ir.errors import IrcError
from ircost.quantity_text import bytes_text
from ircost.report import Report
from ircost.stages import waiting_j
from ircost.sweep_points import SweepPoint
from ircost.sweeping import sweep
from ircost.transformer_figures import TransformerFigures, at_intensity, priced

CONTEXTS = 5  # at which a step is costed; between them it is taken to grow evenly


class RequestError(IrcError):
    """No request can be made of what was asked for."""


@dataclass(frozen=True, slots=True)
class FiguresAsked:
    """What users may ask of a language model beyond the figures of a pass; None: not asked.

    Args:
        output_tokens: behind a prompt. price_per_hour: of a device. intensity: operations that a byte counts as.
    """

    output_tokens: int | None = None
    price_per_hour: float | None = None
    intensity: float | None = None


NO_FIGURES = FiguresAsked()


@dataclass(frozen=True, slots=True)
class RequestFigures:
    """A prompt, then tokens one by one, for all sequences of the batch at once; nothing waits in between.

    The *idealised runtime*: what the prompt takes, and so much for each token of the answer. Source: Narayanan et al.,
    "Cheaply Estimating Inference Efficiency Metrics for Autoregressive Transformer Models", NeurIPS 2023.

    Args:
        prompt_tokens, output_tokens: of each sequence.
        time_to_first_token_s: the prompt's pass, which makes the first token.
        time_per_output_token_s: mean over the tokens behind it; 0 where there are none.
        first_step_s, last_step_s: of the shortest and of the longest context.
        growth_s_per_token: by which a token takes longer than the one before, on average.
        total_s: of the whole request.
        low_s, high_s: ends of the interval that ``total_s`` lies in with a probability of 90 %; None of cost models
            that give none. Errors of the prompt and of the steps are taken to go together: it is rather too wide.
        time_per_output_token_low_s, time_per_output_token_high_s: likewise, of the interval of the mean over tokens.
        energy_j: of all devices; with stages, idle power of those that wait while the batch is in another included.
        tokens_per_s: output tokens of all sequences; with stages, one batch is in them, whatever else memory holds.
        cost_per_million_tokens: output tokens, prompts included; null where no price was given.
        peak_memory_bytes: weights, caches and activations of the device that holds most, at its fullest: behind a long
            answer the last token.
    """

    prompt_tokens: int
    output_tokens: int
    time_to_first_token_s: float
    time_per_output_token_s: float
    first_step_s: float
    last_step_s: float
    growth_s_per_token: float
    total_s: float
    energy_j: float
    tokens_per_s: float
    cost_per_million_tokens: float | None
    low_s: float | None = None
    high_s: float | None = None
    time_per_output_token_low_s: float | None = None
    time_per_output_token_high_s: float | None = None
    peak_memory_bytes: int = 0


def with_figures(
    report: Report,
    asked: FiguresAsked,
    source: object,
    options: ImportOptions,
    target: Target,
    pipeline: str,
) -> Report:
    """A report with what was asked for.

    Args:
        source: the model; a request needs its file. pipeline: passes that ran.

    Raises:
        RequestError: the model came in another way than by its configuration, or its phase is not that of a prompt.
    """
    if asked == NO_FIGURES:
        return report
    figures = report.transformer
    if figures is None:
        raise RequestError(
            "--output-tokens, --price-per-hour and --intensity apply only to models built from a configuration",
            help="irc models lists known ones",
        )
    if asked.output_tokens is not None:
        if not isinstance(source, Path):
            raise RequestError("a request needs the model's file", help="give its path, or the name of a known model")
        model = cost_model_named(report.model)
        steps = decode_steps(source, options, figures, asked.output_tokens, target, model, pipeline)
        request = request_figures(figures, report.latency_s, report.energy_j, steps, asked.output_tokens, target)
        held = max([report.allocated_bytes, *(step.memory_bytes for step in steps)])
        request = replace(with_interval(request, report, steps), peak_memory_bytes=held)
        figures = replace(figures, request=request)
        report = replace(report, notes=(*report.notes, *_notes(figures)))
        if report.allocated_bytes <= report.memory_limit_bytes < held:
            sizes = _sizes_below(figures, report, steps[-1])
            last = _decoding(options, context=steps[-1].dims["context"])
            fewer = sweep(source, last, {"batch": sizes}, target, model, pipeline).points if sizes else ()
            report = replace(report, remedies=_fewer_sequences(fewer, report.memory_limit_bytes))
    if asked.price_per_hour is not None:
        figures = priced(figures, asked.price_per_hour)
    if asked.intensity is not None:
        figures = at_intensity(figures, asked.intensity)
    return replace(report, transformer=figures)


def request_figures(
    prompt: TransformerFigures,
    prompt_s: float,
    prompt_energy_j: float,
    steps: Sequence[SweepPoint],
    output_tokens: int,
    target: Target,
) -> RequestFigures:
    """Puts a prompt's pass and some decode steps together.

    Args:
        prompt_energy_j: of one device of each stage, while it has the batch.
        steps: decode passes by context, the first and the last of the request among them; empty for one token.
    """
    contexts = _contexts(prompt.context, output_tokens)
    seconds = _between(contexts, steps, [step.latency_s for step in steps])
    energies = _between(contexts, steps, [_alone_j(prompt, step.energy_j, step.latency_s, target) for step in steps])
    total_s = prompt_s + float(seconds.sum())
    count = len(contexts)
    return RequestFigures(
        prompt_tokens=prompt.context,
        output_tokens=output_tokens,
        time_to_first_token_s=prompt_s,
        time_per_output_token_s=float(seconds.mean()) if count else 0.0,
        first_step_s=float(seconds[0]) if count else 0.0,
        last_step_s=float(seconds[-1]) if count else 0.0,
        growth_s_per_token=max(float(seconds[-1] - seconds[0]) / (count - 1), 0.0) if count > 1 else 0.0,
        total_s=total_s,
        energy_j=_alone_j(prompt, prompt_energy_j, prompt_s, target) + float(energies.sum()),
        tokens_per_s=prompt.batch * output_tokens / total_s,
        cost_per_million_tokens=None,
    )


def _alone_j(figures: TransformerFigures, energy_j: float, latency_s: float, target: Target) -> float:
    """Of all devices, for a pass with no other batch in the stages; from that of one device of each, at work."""
    return (energy_j + waiting_j(figures.pp, latency_s, latency_s, target)) * figures.stage_devices


def _notes(figures: TransformerFigures) -> list[str]:
    """Whose rates and prices are of how many batches; nothing of a model in one stage."""
    if figures.pp == 1:
        return []
    return [
        f"the request is alone in the {figures.pp} stages: its tokens a second, energy and price are those of one "
        "batch, idle power of stages that wait included; those of the prompt's pass are of "
        f"{figures.batches_in_flight} of {figures.pp} batches in flight"
    ]


def with_interval(request: RequestFigures, prompt: Report, steps: Sequence[SweepPoint]) -> RequestFigures:
    """The same with the intervals that the prompt's report and the steps have, if they have any."""
    lows, highs = ([getattr(step, name) for step in steps] for name in ("low_s", "high_s"))
    if prompt.low_s is None or prompt.high_s is None or None in (*lows, *highs):
        return request
    contexts = _contexts(request.prompt_tokens, request.output_tokens)
    low_s, high_s = (float(_between(contexts, steps, ends).sum()) for ends in (lows, highs))
    count = max(len(contexts), 1)
    return replace(
        request,
        low_s=prompt.low_s + low_s,
        high_s=prompt.high_s + high_s,
        time_per_output_token_low_s=low_s / count,
        time_per_output_token_high_s=high_s / count,
    )


def _contexts(prompt_tokens: int, output_tokens: int) -> np.ndarray:
    """[output_tokens - 1] tokens that each step behind the prompt sees: the prompt makes the first of the answer."""
    return np.arange(prompt_tokens + 1, prompt_tokens + output_tokens)


def _between(contexts: np.ndarray, steps: Sequence[SweepPoint], values: Sequence[float]) -> np.ndarray:
    if not steps:
        return np.zeros(0)
    found: np.ndarray = np.interp(contexts, [step.dims["context"] for step in steps], values)
    return found


def decode_steps(
    source: Path,
    options: ImportOptions,
    prompt: TransformerFigures,
    output_tokens: int,
    target: Target,
    cost_model: CostModel,
    pipeline: str,
) -> tuple[SweepPoint, ...]:
    """Decode passes behind a prompt, at some contexts from the first to the last of the request.

    Raises:
        RequestError: the phase is not that of a prompt.
        IrcError: the model lacks the phase decode, or was made for fewer tokens.
    """
    if prompt.phase != "prefill":
        raise RequestError(
            f"--output-tokens needs phase prefill, not {prompt.phase}", help="--seq N is the length of the prompt"
        )
    if output_tokens < 2:
        return ()
    first, last = prompt.context + 1, prompt.context + output_tokens - 1
    contexts = sorted({round(context) for context in np.linspace(first, last, CONTEXTS)})
    return sweep(
        source, _decoding(options, batch=prompt.batch), {"context": contexts}, target, cost_model, pipeline
    ).points


def _decoding(options: ImportOptions, **dims: int) -> ImportOptions:
    """The same model, one new token a pass."""
    kept = {name: size for name, size in options.dims.items() if name not in ("seq", "context", "batch")}
    return replace(options, phase="decode", dims={**kept, **dims})


def _sizes_below(figures: TransformerFigures, report: Report, last: SweepPoint) -> list[int]:
    """Batches about as large as memory holds at the last token; what it holds beside weights grows with them."""
    each_bytes = (last.memory_bytes - report.weights_bytes) / figures.batch
    most = int((report.memory_limit_bytes - report.weights_bytes) / each_bytes)
    return [size for size in range(most - 1, most + 2) if 0 < size < figures.batch]


def _fewer_sequences(points: Sequence[SweepPoint], limit_bytes: int) -> tuple[str, ...]:
    enough = [point for point in points if point.memory_bytes <= limit_bytes]
    return tuple(
        f"--dim batch={point.dims['batch']}, {bytes_text(point.memory_bytes)} at the last token"
        for point in enough[-1:]
    )
