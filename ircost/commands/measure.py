"""``irc measure``: times kernels on the machine it runs on, as tables that the other commands read."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ircost import __version__
from ircost.commands.finite_range import FiniteRange
from ircost.table import print_table
from ircost.terminal import progress

if TYPE_CHECKING:
    from ircost.backends import Target
    from ircost.commands.measured_output import Output
    from ircost.datasets.measuring.cases import Case
    from ircost.datasets.measuring.library import Library, Machine
    from ircost.datasets.measuring.session import Failed, Session

TORCH, ONNXRUNTIME = "torch", "onnxruntime"
FAMILIES = ("gemm", "attention", "vector", "conv")
USUAL_MINUTES = 5.0
WRITTEN_EVERY_S = 20.0
UNSTEADY = 0.1  # of a latency, between its quartiles: somebody else's work, or clocks that moved
INTERRUPTED = 130


@click.command()
@click.option(
    "-o", "--output", required=True, metavar="DIR", help="Where the tables go; or FILE.parquet, FILE.csv of one family."
)
@click.option("--family", "families", multiple=True, type=click.Choice(FAMILIES), help="Of all of them.")
@click.option("--library", type=click.Choice([TORCH, ONNXRUNTIME]), default=TORCH, show_default=True)
@click.option("--device", metavar="cuda:0|cpu", help="Where: the first GPU, or the CPU where there is none.")
@click.option("--dtype", "dtypes", multiple=True, metavar="FORMAT", help="bf16 on GPUs, f32 on CPUs; can be several.")
@click.option("--rows", type=click.IntRange(1), metavar="N", help="Of each table.")
@click.option(
    "--minutes",
    type=FiniteRange(0, min_open=True),
    metavar="M",
    help=f"Of all.  [default: {USUAL_MINUTES:g}, without --rows]",
)
@click.option("--target", metavar="NAME|FILE", help="What machine this is; else told by the GPU's name.")
@click.option("--targets", "folders", multiple=True, metavar="DIR", help="Look for target files here too.")
@click.option("--eager", is_flag=True, help="On a GPU: calls one by one, not recorded as CUDA graphs.")
@click.option("--threads", type=click.IntRange(1), metavar="N", help="On a CPU.")
@click.option("--power", is_flag=True, help="Read the GPU's power too: two seconds a row.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Another one draws other cases.")
@click.option("--resume", is_flag=True, help="Go on with tables that are there.")
@click.option("--csv", "as_csv", is_flag=True, help="Write CSV into the folder, not Parquet.")
def command(
    output: str,
    families: tuple[str, ...],
    library: str,
    device: str | None,
    dtypes: tuple[str, ...],
    rows: int | None,
    minutes: float | None,
    target: str | None,
    folders: tuple[str, ...],
    eager: bool,
    threads: int | None,
    power: bool,
    seed: int,
    resume: bool,
    as_csv: bool,
) -> int:
    """Time kernels of PyTorch or ONNX Runtime on this machine, and write tables in the schema of docs/cost-models.md.

    Cases are layers of known networks and layers of sizes in between, with several amounts of work each, in an order
    that may end anywhere: by --minutes, by --rows or by Ctrl-C, the tables are balanced and whole.

    \b
    irc measure -o measured/ --minutes 8
    irc measure -o measured/ --minutes 8 --resume
    irc measure -o gemm.csv --family gemm --device cpu --target my_cpu.yaml --rows 300
    irc calibrate --data measured/gemm.parquet measured/attention.parquet -o constants.json
    """
    from ircost.commands.measured_output import check_shared, open_output
    from ircost.datasets.measuring.sampling import cases
    from ircost.datasets.measuring.session import Session

    opened = open_library(library, device, eager, threads)
    name = device_name(opened, target, folders)
    kinds = [(family, kind) for family, kind in opened.kinds if family in (families or FAMILIES)]
    formats = formats_of(dtypes, opened)
    meter = opened.power_meter() if power else None
    out = open_output(output, (family for family, _ in kinds), as_csv, resume)
    shared = {"device": name, "framework": opened.framework, "framework_version": opened.version}
    check_shared(out, shared)
    seconds = 60 * (minutes or USUAL_MINUTES) if minutes or not rows else None
    session = Session(opened, name, f"irc measure {__version__}", meter=meter, seed=seed, seconds=seconds)
    drawn = cases(kinds, formats, seed, opened.limits, rows)
    about = {**shared, **about_run(session, click.get_current_context().params)}
    total = rows * len(out.tables) if rows else None
    opened.warm_up()
    failed, is_interrupted = run(session, out.missing(drawn), out, about, total)
    tell(out, failed)
    return INTERRUPTED if is_interrupted else 0


def open_library(library: str, device: str | None, eager: bool, threads: int | None) -> Library:
    """Raises:
    MeasureError: it is not installed, or has no such device.
    """
    from ircost.datasets.measuring.errors import MeasureError

    found: Library
    if library == ONNXRUNTIME:
        if device not in (None, "cpu"):
            raise MeasureError(
                f"--device {device}: kernels of ONNX Runtime are measured on the CPU", help="--library torch has GPUs"
            )
        try:
            from ircost.datasets.measuring.onnxruntime_library import open_onnxruntime
        except ImportError as error:
            raise MeasureError("ONNX Runtime is not installed", help="pip install onnxruntime") from error
        found = open_onnxruntime(threads)
    else:
        try:
            from ircost.datasets.measuring.pytorch.library import open_pytorch
        except ImportError as error:
            raise MeasureError(
                "PyTorch is not installed", help="pip install 'ircost[torch]'; or take --library onnxruntime"
            ) from error
        found = open_pytorch(device, eager, threads)
    kind = found.machine.kind
    if kind == "cpu" and eager:
        raise MeasureError("--eager applies to GPUs only: on a CPU every call is eager", help="leave it out")
    if kind == "gpu" and threads is not None:
        raise MeasureError("--threads applies to CPUs only", help="leave it out")
    return found


def device_name(library: Library, target: str | None, folders: Sequence[str]) -> str:
    """The target that the machine is, as tables name it.

    Raises:
        MeasureError: nobody knows, or it is another kind of machine.
        TargetError: there is no such target.
    """
    from ircost.datasets.measuring.device_names import TARGETS
    from ircost.datasets.measuring.errors import MeasureError

    machine = library.machine
    if target is None:
        if machine.name not in TARGETS:
            raise MeasureError(
                f"no target is known to be '{machine.name}'",
                help="describe it in a few lines (docs/write-a-target.md) and give --target FILE.yaml; "
                "or --target NAME, if it is one that irc targets lists",
            )
        return TARGETS[machine.name]
    from ircost.backends import load_target

    found = load_target(target, folders)
    check_target(found, machine)
    is_file = target.endswith((".yaml", ".yml"))
    return Path(target).stem if is_file else found.name.partition("+")[0]


def check_target(target: Target, machine: Machine) -> None:
    """Notes a target of more cores than kernels run on.

    Raises:
        MeasureError: it is another kind of machine.
    """
    from ircost.datasets.measuring.errors import MeasureError

    if (target.kind == "cpu") != (machine.kind == "cpu"):
        raise MeasureError(
            f"--target {target.name} is a {target.kind}, and '{machine.name}' a {machine.kind}",
            help="--device says what is measured",
        )
    threads, cores = machine.facts.get("threads"), int(target.processors.count)
    if isinstance(threads, int) and threads < cores:
        told = f"target {target.name} has {cores} {target.processors.name}s, and kernels run on {threads} of them"
        click.echo(f"note: {told}: rows are too slow for it; describe so many as a target, or see --threads", err=True)


def formats_of(dtypes: Sequence[str], library: Library) -> list[str]:
    """Number formats as tables name them; the library's usual one where none is given.

    Raises:
        MeasureError: the library does not compute in one there.
    """
    from ircost.datasets.measuring.cases import SPELLINGS
    from ircost.datasets.measuring.errors import MeasureError

    found = list(dict.fromkeys(SPELLINGS.get(name, name) for name in dtypes)) or [library.dtypes[0]]
    for name in found:
        if name not in library.dtypes:
            known = ", ".join(library.dtypes)
            raise MeasureError(f"--dtype {name}: kernels of {library.framework} there have {known}", help="take one")
    return found


def about_run(session: Session, options: Mapping[str, object]) -> dict[str, object]:
    """What is known of a run before it begins: on which machine, how, and as which command."""
    library = session.library
    machine, limits = library.machine, library.limits
    return {
        "irc_version": __version__,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "options": {name: value for name, value in options.items() if value},
        "protocol": library.protocol,
        "tolerance": session.effort.tolerance,
        "limits": {"most_bytes": limits.most_bytes, "most_flops": limits.most_flops},
        "machine": {"name": machine.name, **machine.facts},
    }


def run(
    session: Session, cases: Iterable[Case], out: Output, about: dict[str, object], total: int | None
) -> tuple[list[Failed], bool]:
    """Measures and writes, every now and then and at the end; what failed, and whether the user broke off."""
    from ircost.datasets.measuring.session import Measured

    failed: list[Failed] = []
    start = written = time.monotonic()
    is_interrupted = False

    def write() -> None:
        reasons = Counter(f"{own.case.family}: {own.reason}" for own in failed)
        after = {"seconds": round(time.monotonic() - start, 1), "failed": dict(reasons)}
        out.write({**about, **after, "interrupted": is_interrupted, "machine_after": session.library.machine.facts})

    with progress("measuring") as advance:
        try:
            for found in session.measure(cases):
                if isinstance(found, Measured):
                    out.add(found)
                else:
                    failed.append(found)
                now = time.monotonic()
                if total is not None:
                    advance(len(out), total)
                elif session.seconds is not None:
                    advance(int(now - start), int(session.seconds))
                if now - written > WRITTEN_EVERY_S:
                    write()
                    written = now
        except KeyboardInterrupt:
            is_interrupted = True
        finally:
            write()
    return failed, is_interrupted


def tell(out: Output, failed: Sequence[Failed]) -> None:
    """How many rows there are, where, and what failed; notes go to stderr.

    Raises:
        MeasureError: there are none.
    """
    from ircost.datasets.measuring.errors import MeasureError

    reasons = Counter(f"{own.case.family}: {own.reason}" for own in failed)
    if not len(out):
        told = "; ".join(reasons) or "the time was over"
        raise MeasureError(f"nothing was measured: {told}", help="give more --minutes, or another --family or --dtype")
    failures = Counter(own.case.family for own in failed)
    lines = [
        (family, f"{len(table.rows):,}", f"{failures[family]:,}", str(table.path) if table.rows else "")
        for family, table in out.tables.items()
    ]
    print_table(("family", "rows", "failed", "table"), lines, right=(1, 2))
    for reason, count in reasons.most_common():
        click.echo(f"failed {count:,} times: {reason}", err=True)
    rows = [row for table in out.tables.values() for row in table.rows.values()]
    unsteady = sum(float(row["latency_iqr_us"] or 0) > UNSTEADY * float(row["latency_us"] or 0) for row in rows)
    if unsteady:
        told = f"{unsteady:,} of {len(rows):,} rows vary by more than a tenth between quartiles (latency_iqr_us)"
        click.echo(f"note: {told}: other work ran beside, or clocks moved", err=True)
