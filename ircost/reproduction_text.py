"""Judged claims for people: as text, and as the page `docs/papers.md`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence

import click

from ircost.cost_models.gpu.constants import Share
from ircost.datasets.claims import Paper
from ircost.figure_text import figure_text
from ircost.predictors.prediction import UsedConstant, UsedFit
from ircost.quantity_text import small_text, three_digits
from ircost.reproduction import Judgement, Reproduction
from ircost.table import print_table
from ircost.terminal import terminal_width

HEAD = ("figure", "", "claimed", "predicted", "ratio", "tolerance", "")
CONSTANTS_HEAD = ("kernel", "constant", "value", "influence", "made of", "is")
FIGURES_HEAD = ("figure", "value", "source")
WIDTH = 110  # of prose, where no terminal says otherwise

PAGE_HEAD = """\
# Claims of papers

Written by `irc reproduce --markdown > docs/papers.md`.

Headline results of papers, held against what targets and models say. The files are `datasets/papers/*.yaml`. A claim is
never a place to tune: constants are fitted to measurements only, and one set serves every claim.

- ratio: predicted over claimed;
- influence: by how much, in percent, the kernel's time moves at most where the constant moves by one percent;
- made of: the value that all kernels of the family have in common, and what the labels of this one add to it: a factor
  of a time, or of the odds of loss of a share, (1 - share) / share.
"""


def print_reproduction(reproduction: Reproduction) -> None:
    """The claim, its figures, why some are off, and what the prediction leans on."""
    claim = reproduction.claim
    click.echo(click.style(f"{claim.id}  {cited(claim.paper)}", bold=True))
    _print_prose("", claim.claim)
    click.echo()
    print_table(HEAD, [cells(judgement) for judgement in reproduction.judgements], right=(2, 3, 4, 5), indent="  ")
    for point, reason in reasons(reproduction):
        _print_prose(f"why {point} is off: ", reason)
    click.echo()
    prediction = reproduction.prediction
    _print_prose("predicted by: ", prediction.model)
    if prediction.fits:
        print_table(CONSTANTS_HEAD, constant_rows(prediction.fits), right=(2, 3), indent="  ")
        for line in fit_lines(prediction.fits):
            _print_prose("", line)
    if prediction.target:
        shown = ", ".join(f"{path} {value}" for path, value, _ in figure_rows(reproduction))
        _print_prose(f"figures of {prediction.target}: ", shown)
    for caution in claim.cautions:
        _print_prose("note: ", caution)


def _print_prose(label: str, text: str) -> None:
    width = min(terminal_width() or WIDTH, WIDTH)
    for line in textwrap.wrap(label + text, width, initial_indent="  ", subsequent_indent="    "):
        click.echo(line)


def cited(paper: Paper) -> str:
    """``Frantar et al., "MARLIN: ...", PPoPP 2025, arXiv:2408.11743``."""
    who = f"{paper.authors[0]} et al." if len(paper.authors) > 2 else " and ".join(paper.authors)
    preprint = f", arXiv:{paper.arxiv}" if paper.arxiv else ""
    return f'{who}, "{paper.title}", {paper.venue}{preprint}'


def cells(judgement: Judgement) -> tuple[str, ...]:
    figure, ratio = judgement.figure, judgement.ratio
    return (
        figure.name,
        judgement.point,
        value_text(judgement.claimed, figure.unit),
        value_text(judgement.predicted, figure.unit),
        "-" if ratio is None else f"{ratio:.2f}",
        str(figure.tolerance),
        verdict(judgement.inside),
    )


def verdict(inside: bool) -> str:
    return "inside" if inside else "OUTSIDE"


def value_text(value: float | str, unit: str) -> str:
    """Three digits and the unit.

    >>> value_text(3.87, "x"), value_text("memory", "")
    ('3.87 x', 'memory')
    """
    return value if isinstance(value, str) else f"{three_digits(value)} {unit}".rstrip()


def reasons(reproduction: Reproduction) -> list[tuple[str, str]]:
    """Of what is outside, by point; several figures at one point may have the same."""
    return list(dict.fromkeys((j.point, j.reason) for j in reproduction.judgements if not j.inside))


def constant_rows(fits: Iterable[UsedFit]) -> list[tuple[str, ...]]:
    return [
        (
            *(fit.kernel, constant.name, constant_text(constant), f"{constant.influence:.2f}"),
            *(", ".join(share_text(share, constant.kind) for share in constant.shares), constant.meaning),
        )
        for fit in fits
        for constant in fit.constants
    ]


def constant_text(constant: UsedConstant) -> str:
    return small_text(constant.value, "s") if constant.kind == "time" else f"{constant.value:.2f}"


def share_text(share: Share, kind: str) -> str:
    """``all 0.81``, or ``dtype 16 bit x0.94``."""
    if share.level:
        return f"{share.effect} {share.level} x{share.factor:.2f}"
    return f"{share.effect} {small_text(share.factor, 's') if kind == 'time' else f'{share.factor:.2f}'}"


def fit_lines(fits: Sequence[UsedFit]) -> Iterator[str]:
    """Where the constants are from: a line for each family, and for each kernel; then what was never measured."""
    for family, fit in {fit.family: fit for fit in fits}.items():
        machines = f"{len(fit.devices)} machines ({', '.join(fit.devices)})"
        yield f"{family}: fitted to {fit.rows:,} rows of {machines}, median error {fit.median_error:.1%}"
    for fit in fits:
        seen = "; ".join(f"{effect} {', '.join(levels)}" for effect, levels in fit.format_seen_with.items())
        yield f"{fit.kernel}: its number format was measured with {seen or 'nothing'}"
    unseen: dict[str, list[str]] = {}
    for fit in fits:
        unseen.setdefault(unseen_text(fit), []).append(fit.kernel)
    for levels, kernels in unseen.items():
        if levels:
            yield f"never measured: {levels}; what all have in common stands in ({', '.join(kernels)})"


def unseen_text(fit: UsedFit) -> str:
    """Levels that no measurement has; pairs such as ``runtime, dtype`` go without saying where a part is among them."""
    alone = [effect for effect in fit.unseen if "," not in effect]
    pairs = [effect for effect in fit.unseen if "," in effect and not set(effect.split(", ")) & set(alone)]
    return ", ".join(f"{effect} {fit.labels[effect]}" for effect in (*alone, *pairs))


def figure_rows(reproduction: Reproduction) -> list[tuple[str, str, str]]:
    """Figures of the target that decide: path, value, source."""
    prediction = reproduction.prediction
    sources = prediction.target.sources() if prediction.target else {}
    return [
        (path, figure_text(path, sources[path]), f"{'guess: ' if sources[path].guess else ''}{sources[path].source}")
        for path in prediction.figures
    ]


def page(reproductions: Sequence[Reproduction], waiting: Mapping[str, tuple[str, str]]) -> str:
    """`docs/papers.md`."""
    lines = [PAGE_HEAD, *_markdown_table(("claim", "paper", "", "figures inside"), map(_summary, reproductions), ())]
    for reproduction in reproductions:
        lines += ["", *_chapter(reproduction)]
    if waiting:
        rows = [(name, what, needs) for name, (what, needs) in waiting.items()]
        lines += ["", "## Not yet", "", *_markdown_table(("claim", "of", "waits for"), rows, ())]
    return "\n".join(lines) + "\n"


def _summary(reproduction: Reproduction) -> tuple[str, ...]:
    claim, judged = reproduction.claim, reproduction.judgements
    inside = sum(judgement.inside for judgement in judged)
    link = f"[{claim.id}](#{claim.id.lower()})"
    return link, claim.paper.title, claim.claim, f"{inside} of {len(judged)}"


def _chapter(reproduction: Reproduction) -> Iterator[str]:
    claim, prediction = reproduction.claim, reproduction.prediction
    yield from (f"## {claim.id}", "", f"{cited(claim.paper)}.", "", f"Claim: {claim.claim}.", "")
    yield from (f"Configuration: {configuration_text(claim.configuration)}.", "")
    yield from _markdown_table(HEAD, map(cells, reproduction.judgements), (2, 3, 4, 5))
    yield from ("", "Sources of the claimed figures: " + "; ".join(_sources(reproduction)) + ".")
    for point, reason in reasons(reproduction):
        yield from ("", f"Why {point} is off: {reason}")
    yield from ("", f"Predicted by: {prediction.model}.", "")
    if prediction.fits:
        yield from _markdown_table(CONSTANTS_HEAD, constant_rows(prediction.fits), (2, 3))
        yield ""
        yield from (f"- {line}" for line in fit_lines(prediction.fits))
        yield ""
    if prediction.target:
        head = (f"{FIGURES_HEAD[0]} of {prediction.target}", *FIGURES_HEAD[1:])
        yield from (*_markdown_table(head, figure_rows(reproduction), (1,)), "")
    if claim.cautions:
        yield from (f"- {caution}" for caution in claim.cautions)


def configuration_text(configuration: Mapping[str, object]) -> str:
    """
    >>> configuration_text({"target": "a10", "batches": [1, 2], "rows": {"decode": 1}})
    'target a10; batches 1, 2; rows decode 1'
    """
    return "; ".join(f"{key} {_plain(value)}" for key, value in configuration.items())


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_inside(inner)}" for key, inner in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _inside(value: object) -> str:
    return f"({_plain(value)})" if isinstance(value, Mapping) else str(value)


def _sources(reproduction: Reproduction) -> Iterator[str]:
    """Each source once, with what it is for."""
    by_source: dict[str, list[str]] = {}
    for figure in reproduction.claim.figures:
        by_source.setdefault(figure.source, []).append(f"{figure.name} at {', '.join(figure.values)}")
    return (f"{' and '.join(what)}: {source}" for source, what in by_source.items())


def _markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int]) -> list[str]:
    rule = "|".join("---:" if number in right else "---" for number in range(len(head)))
    return [f"| {' | '.join(head)} |", f"|{rule}|", *(f"| {' | '.join(row)} |" for row in rows)]
