"""The lines of a report that language models have beyond the others'."""

from __future__ import annotations

import click

from ircost.quantity_text import bytes_text, rate_text, si_text, small_text, three_digits
from ircost.request import RequestFigures
from ircost.table import print_table
from ircost.transformer_figures import TransformerFigures

PARTS_SHOWN = 5
LEAST_SHARE = 0.005  # of the latency, for a part to be named on one line

Line = tuple[str, str, str]  # name, figure, what belongs to it


def named_latency(figures: TransformerFigures | None) -> str:
    """What users call the latency of this phase; "" where they have no name for it."""
    if figures is None:
        return ""
    if figures.time_to_first_token_s is not None:
        return "; time to first token"
    return "; time per output token" if figures.time_per_output_token_s is not None else ""


def transformer_lines(figures: TransformerFigures, show_all: bool = False) -> list[Line]:
    """What users of language models ask, a line each.

    Args:
        show_all: what experts ask, too.
    """
    lines = [_speed(figures)]
    lines += [_request(figures, figures.request)] if figures.request is not None else []
    lines += [_price(figures)] if figures.cost_per_million_tokens is not None else []
    lines += [("spent in", _shares(figures), "")]
    lines += [_parameters(figures), _largest(figures)]
    lines += [_mesh(figures)] if figures.devices > 1 else []
    if figures.experts and (show_all or round(figures.experts_touched) < figures.experts):
        lines.append(("experts", f"{figures.experts_touched:.0f} of {figures.experts}", "read in a layer, on the mean"))
    if show_all:
        lines.append(_intensity(figures))
    return lines


def _speed(figures: TransformerFigures) -> Line:
    ranks = figures.devices
    of_ranks = f" on {ranks} devices" if ranks > 1 else ""
    each = f", {three_digits(figures.tokens_per_s_per_sequence)}/s for each sequence" if figures.batch > 1 else ""
    return (
        figures.phase,
        f"{rate_text(figures.tokens_per_s)}/s",
        f"tokens{of_ranks}{each}, {figures.tokens_per_j:.3g} tokens/J",
    )


def _request(figures: TransformerFigures, request: RequestFigures) -> Line:
    """Such as: 5.1 s, first token after 40 ms, then 6 ms each and 0.2 us more from one to the next."""
    words = f"first token after {small_text(request.time_to_first_token_s, 's')}"
    if request.output_tokens > 1:
        grows = request.growth_s_per_token
        more = f", +{small_text(grows, 's')} from one to the next" if grows > 0 else ", however many"
        words += f", {request.output_tokens - 1:,} more at {small_text(request.time_per_output_token_s, 's')}{more}"
    if request.low_s is not None and request.high_s is not None:
        words += f"; 90 % of requests take {small_text(request.low_s, 's')} to {small_text(request.high_s, 's')}"
    return ("request", small_text(request.total_s, "s"), f"{words}; {three_digits(request.tokens_per_s)} tokens/s")


def _price(figures: TransformerFigures) -> Line:
    """Of an answer's tokens where there is an answer, prompts included; else of those of the pass."""
    request = figures.request
    if request is not None and request.cost_per_million_tokens is not None:
        alone = ", one batch alone in all stages" if figures.pp > 1 else ""
        return (
            "price",
            three_digits(request.cost_per_million_tokens),
            f"a million output tokens, prompts included{alone}",
        )
    assert figures.cost_per_million_tokens is not None, "asked for where there is one"
    flow = f", {figures.batches_in_flight} of {figures.pp} batches in flight" if figures.pp > 1 else ""
    return ("price", three_digits(figures.cost_per_million_tokens), f"a million tokens of {figures.phase}{flow}")


def _shares(figures: TransformerFigures) -> str:
    total_s = sum(part.latency_s for part in figures.parts)
    shares = [(part.name, part.latency_s / total_s) for part in figures.parts[:PARTS_SHOWN] if total_s]
    return "   ".join(f"{name} {share:.0%}" for name, share in shares if share >= LEAST_SHARE)


def _parameters(figures: TransformerFigures) -> Line:
    where = " on all ranks" if figures.tp * figures.pp > 1 else ""
    cached = f"{bytes_text(figures.kv_bytes_per_token)} of cache a token{where}"
    per_token = cached if figures.kv_bytes_per_token else ""
    state = bytes_text(figures.state_bytes_per_sequence)
    per_sequence = f"{state} of state a sequence" if figures.state_bytes_per_sequence else ""
    split = (
        f"weights {bytes_text(figures.weights_bytes)}, cache {bytes_text(figures.cache_bytes)}, "
        f"activations {bytes_text(figures.activations_bytes)}"
    )
    return (
        "parameters",
        si_text(figures.parameters, ""),
        "; ".join(filter(None, [", ".join(filter(None, [per_token, per_sequence])), split])),
    )


def _largest(figures: TransformerFigures) -> Line:
    most = f"{figures.largest_batch:,} sequences" if figures.largest_batch else "none fits"
    shared = ", in one batch; batches in flight share that room" if figures.pp > 1 else ""
    where = "a device's memory" if figures.dp == 1 else f"the memory of {figures.dp} copies"
    return ("at most", most, f"of {figures.context:,} tokens in {where}{shared}")


def _mesh(figures: TransformerFigures) -> Line:
    flow = f"{figures.batches_in_flight} of {figures.pp} batches in flight"
    stages = f", slowest stage {small_text(figures.stage_s, 's')}, {flow}" if figures.pp > 1 else ""
    shared = small_text(figures.communication_s, "s")
    usual = {"dp": 1, "ep": 1, "redundant": 0, "balance": 1.0}
    told = ((name, getattr(figures, name)) for name in usual)
    spread = "".join(f" {name}={size:g}" for name, size in told if size != usual[name])
    return ("mesh", f"tp={figures.tp} pp={figures.pp}{spread}", f"{shared} of communication{stages}")


def _intensity(figures: TransformerFigures) -> Line:
    ridge, eflops = three_digits(figures.ridge_flops_per_byte), si_text(figures.eflops, "")
    return (
        "intensity",
        f"{three_digits(figures.flops_per_byte)} flops/B",
        f"arithmetic and memory meet at {ridge}; {eflops} eFLOPs (a byte counts as {ridge} flops)",
    )


def print_parts(figures: TransformerFigures, latency_s: float) -> None:
    """The parts of the model, a line each."""
    rows = [
        (
            small_text(part.latency_s, "s"),
            f"{part.latency_s / latency_s if latency_s else 0.0:.1%}",
            si_text(part.flops, ""),
            bytes_text(part.bytes),
            three_digits(part.flops_per_byte),
            small_text(part.energy_j, "J"),
            part.name,
        )
        for part in figures.parts
    ]
    head = ("time", "share", "flops", "moved", "flops/B", "energy", "part")
    print_table(head, rows, right=range(6), indent="  ")
    click.echo()
