"""Running passes one after another: verified, timed, counted, and with a reproducer when one fails."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ircost.ir.clone import clone_module
from ircost.ir.errors import IrcError
from ircost.ir.fault import InternalError, fault_behind
from ircost.ir.graph import Module
from ircost.ir.parser import parse_module
from ircost.ir.printer import print_module
from ircost.ir.verify import VerifierMemory, verify
from ircost.passes.base import Pass, PassContext, PassError
from ircost.passes.pipeline_text import parse_pipeline, pass_text, pipeline_text

PIPELINE_LINE = "// pipeline: "


@dataclass(frozen=True, slots=True)
class PassReport:
    """What one pass did.

    Args:
        text: the pass with its options.
        seconds: wall time, verification apart.
        verify_seconds: wall time of the verification after it.
        ops_before, ops_after: how many ops the module held.
        fired: how often each pattern fired.
    """

    text: str
    seconds: float
    verify_seconds: float
    ops_before: int
    ops_after: int
    fired: Counter[str]


class InternalPassError(PassError, InternalError):
    """A pass broke the module or failed for a reason of its own: a fault of whoever wrote it.

    Args:
        reproducer: the file that replays it; None where it could not be written.
        instance: the pass.
        target: the machine that it ran for, which the replay needs too.
    """

    part = "pass"

    def __init__(self, message: str, reproducer: Path | None, cause: Exception, instance: Pass, target: str) -> None:
        machine = f" --target {target}" if target else ""
        replay = f"irc opt {reproducer} --reproduce{machine}" if reproducer else "the reproducer could not be written"
        place, cure = (cause.at, cause.help) if isinstance(cause, IrcError) else (None, None)
        super().__init__(message, at=place, help=f"{cure + '; ' if cure else ''}reproducer: {replay}")
        self.reproducer = reproducer
        self.instance = instance
        self.author = type(instance).__module__


def run_pipeline(
    module: Module,
    pipeline: str | tuple[Pass, ...],
    *,
    context: PassContext | None = None,
    verify_each: bool = True,
    after_pass: Callable[[Pass, Module], None] | None = None,
    reproducer_folder: str | Path = ".",
    memory: VerifierMemory | None = None,
) -> tuple[PassReport, ...]:
    """Rewrites a module in place.

    Args:
        module: verified.
        pipeline: as text or as passes.
        context: target and cost model for the passes that ask.
        verify_each: verify after each pass.
        after_pass: called with each pass and the module after it: to print, to look.
        reproducer_folder: where a failure leaves its file.
        memory: of the verification that the module has passed; saves time.

    Raises:
        PassError: the text is no pipeline, or the module is one that a pass refuses.
        InternalPassError: a pass failed or broke the module; the file it leaves holds the IR from before the
            first pass, and the pipeline up to the one that failed.
    """
    passes = parse_pipeline(pipeline) if isinstance(pipeline, str) else pipeline
    before = clone_module(module)  # cheaper than its text, which only a failure needs
    memory = memory or VerifierMemory()
    reports = []
    for position, instance in enumerate(passes):
        try:
            reports.append(_run(module, instance, context or PassContext(), memory if verify_each else None))
        except PassError:
            raise
        except Exception as error:  # whatever a pass does wrong, its user gets a reproducer
            text = print_module(before, locations=True)
            path = write_reproducer(text, passes[: position + 1], Path(reproducer_folder))
            target = context.target.name if context and context.target else ""
            raise InternalPassError(_failure(instance, error), path, error, instance, target) from error
        if after_pass is not None:
            after_pass(instance, module)
    return tuple(reports)


def _run(module: Module, instance: Pass, context: PassContext, memory: VerifierMemory | None) -> PassReport:
    ops_before = count_ops(module)
    start = time.perf_counter()
    fired = _counts(instance.run(module, context))
    ran = time.perf_counter()
    # Patterns that did not fire left the module as it was; a pass that works by itself may not say what it did.
    is_unchanged = not fired and type(instance).run is Pass.run and bool(memory and memory.checked)
    if memory is not None and not is_unchanged:
        verify(module, memory)
    return PassReport(pass_text(instance), ran - start, time.perf_counter() - ran, ops_before, count_ops(module), fired)


def _counts(returned: object) -> Counter[str]:
    """What a pass says that it did. One that says nothing did nothing that it counts."""
    if returned is not None and not isinstance(returned, Counter):
        raise TypeError(f"run returned a {type(returned).__name__}, not a Counter")
    return returned or Counter()


def count_ops(module: Module) -> int:
    """Ops of all functions, those in bodies included."""
    count, blocks = 0, [function.block for function in module.functions.values()]
    while blocks:
        op = blocks.pop().first
        while op is not None:
            count += 1
            if op.regions:
                blocks.extend([region.block for region in op.regions])
            op = op.next
    return count


def _failure(instance: Pass, error: Exception) -> str:
    if isinstance(error, IrcError) and fault_behind(error):
        return f"pass '{instance.name}' failed: {error.message}"
    if isinstance(error, IrcError):
        return f"pass '{instance.name}' broke the module: {error.message}"
    return f"pass '{instance.name}' failed: {type(error).__name__}: {error}"


def write_reproducer(ir: str, passes: tuple[Pass, ...], folder: Path) -> Path | None:
    """Leaves a file that replays a failure; its name comes from its content."""
    text = f"// irc opt %s --reproduce\n{PIPELINE_LINE}{pipeline_text(passes)}\n\n{ir}"
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    path = folder / f"{passes[-1].name}-{digest}.irc"
    try:
        path.write_text(text)
    except OSError:
        return None
    return path


def load_reproducer(path: str | Path) -> tuple[Module, tuple[Pass, ...]]:
    """The module and the passes that a reproducer holds.

    Raises:
        PassError: the file names no pipeline.
    """
    text = Path(path).read_text()
    line = next((line for line in text.splitlines() if line.startswith(PIPELINE_LINE)), None)
    if line is None:
        raise PassError(f"{path} is not a reproducer: no line begins with '{PIPELINE_LINE.strip()}'")
    return parse_module(text, str(path)), parse_pipeline(line.removeprefix(PIPELINE_LINE))
