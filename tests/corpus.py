"""What must hold of every pass on every module: verified, readable as text, outputs kept, and the same again.

Each pass says itself what it claims (`Pass.is_exact`, `Pass.is_idempotent`); here that is held against modules.
`tests/passes/test_corpus.py` does so in pytest, `benchmarks/corpus_table.py` writes the table in docs/models.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from functools import cached_property
from itertools import chain, product

import numpy as np

from ircost.backends import load_target
from ircost.cost_models.automatic import search_model
from ircost.ir import Function, Module, Value, interpret
from ircost.ir.clone import clone_module
from ircost.ir.numpy_dtypes import dtype_of
from ircost.ir.parser import parse_module
from ircost.ir.verify import verify
from ircost.passes import LEVELS, PASSES, Pass, PassContext, parse_pipeline, run_pipeline
from ircost.passes.autocast import Autocast
from ircost.passes.convert_dtype import ConvertDType

# Relative to the root of the mean square of an output: what roundings in the format of the module add up to, in some
# hundred ops one after another. A form that `recognise` takes may have constants that are off by a thousandth.
TOLERANCE = {"f64": 1e-6, "f32": 1e-3, "tf32": 2e-2, "f16": 2e-2, "bf16": 1e-1}
COARSEST = 1.0  # formats of 8 bits and fewer: of the right size, no more
# Smaller outputs count as this large: differences of 1e-4 in f32 are let pass, as against onnxruntime. Maps of
# probabilities that are almost 0 everywhere have no more digits than that in f32 (ppocr_det: 4e-3 of 3e-6 from f64).
SMALLEST_SIZE = 0.1
# A rounded value that falls on the other side changes all behind it: see tests/frontends/test_zoo.py. Of quantised
# models the root of the mean square of the differences counts, not the largest.
QUANTISED = 8e-2

# Options beside the defaults that make a pass do other things, and options that must be given.
OPTIONS: dict[str, tuple[str, ...]] = {
    "autocast": ("", "{to=bf16}"),
    "convert-dtype": ("{to=f64}", "{to=bf16}", "{to=f8e4m3}"),
    "fuse": ("", "{max_ops=2}", "{by_cost=true, max_ops=64}"),
    "order-for-memory": ("{max_states=2000}",),
    "outline": ("", "{min_ops=2}"),
    "rematerialise": ("{limit=1}",),
}
# One machine of each kind; pipelines for microcontrollers ask none.
TARGETS = {"gpu": "h100_sxm", "cpu": "xeon_8480", "accelerator": "tpu_v5e", "microcontroller": ""}
# Passes that ask a cost model only where there is one do something else where there is none.
WITHOUT_TARGET = ("merge-products",)


@dataclass(frozen=True, slots=True)
class Setting:
    """A pipeline and the machine that it runs for.

    Args:
        target: by name; empty for none.
    """

    pipeline: str
    target: str = "h100_sxm"

    @property
    def context(self) -> PassContext:
        if not self.target:
            return PassContext()
        target = load_target(self.target)
        return PassContext(target, search_model(target))

    def __str__(self) -> str:
        return f"{self.pipeline or 'nothing'}@{self.target or 'nowhere'}"


def settings_of_pass(name: str) -> list[Setting]:
    """A registered pass with its options.

    Raises:
        AssertionError: it needs an option, and OPTIONS has none.
    """
    required = [f.name for f in fields(PASSES.get(name)) if f.default is MISSING and f.default_factory is MISSING]
    assert not required or name in OPTIONS, f"{name} needs {required}: give some in OPTIONS of {__file__}"
    texts = [name + options for options in OPTIONS.get(name, ("",))]
    return [Setting(text) for text in texts] + [Setting(text, "") for text in texts if name in WITHOUT_TARGET]


def settings_of_passes() -> list[Setting]:
    """Every pass of ours with its options, in order of their names."""
    ours = [name for name in sorted(PASSES.names()) if PASSES.get(name).__module__.startswith("ircost.passes")]
    return [setting for name in ours for setting in settings_of_pass(name)]


def settings_of_levels() -> list[Setting]:
    """What ``--opt`` runs on each kind of target; of those alike, the first."""
    settings = [Setting(level.pipelines[kind], target) for level in LEVELS for kind, target in TARGETS.items()]
    by_text = {(s.pipeline, s.target if "by_cost" in s.pipeline else ""): s for s in reversed(settings) if s.pipeline}
    return list(reversed(by_text.values()))


@dataclass(frozen=True)
class Subject:
    """A module that passes run on, and what it gives for some inputs.

    Args:
        module: verified; copied for each pass.
        inputs: an array for each argument of ``main``.
        is_quantised: a rounding that falls on the other side may show.
    """

    name: str
    module: Module
    inputs: Sequence[np.ndarray]
    is_quantised: bool = False

    @cached_property
    def text(self) -> str:
        return str(self.module)

    @cached_property
    def outputs(self) -> list[np.ndarray]:
        with np.errstate(all="ignore"):
            return interpret(self.module, self.inputs)

    @cached_property
    def tolerance(self) -> float:
        """That of the coarsest format in which anything is computed."""
        types = {value.type.dtype for function in self.module.functions.values() for value in values_of(function)}
        coarsest = max((TOLERANCE.get(dtype.name, COARSEST) for dtype in types if dtype.is_float), default=0.0)
        return max(coarsest, QUANTISED) if self.is_quantised else coarsest

    @cached_property
    def has_steps(self) -> bool:
        """Whether it makes integers of floats: in another format some may come out one apart, as of quantised models.

        T5 finds the bucket of a distance by a logarithm; in f32, here as in onnxruntime, one is on a bucket's edge.
        """
        casts = (op for function in self.module.functions.values() for op in function.walk() if op.name == "cast")
        return any(op.operands[0].type.dtype.is_float and op.result.type.dtype.is_integer for op in casts)


# What passes find of a model in the middle of a pipeline.
PREPARATION = "canonicalize,recognise,fold-batch-norm,canonicalize"


def subjects_of(
    name: str, module: Module, feeds: Mapping[str, np.ndarray], is_quantised: bool = False
) -> tuple[Subject, Subject]:
    """A module as it was imported, and as later passes of a pipeline find it.

    Args:
        feeds: by name of the input; of a module without names, in order.
    """
    verify(module)
    names = module.main.attrs.get("inputs")
    inputs = [feeds[str(name)] for name in names] if isinstance(names, tuple) else list(feeds.values())
    prepared = clone_module(module)
    run_pipeline(prepared, PREPARATION)
    return Subject(name, module, inputs, is_quantised), Subject(f"{name}, prepared", prepared, inputs, is_quantised)


def checks_of(subjects: tuple[Subject, Subject]) -> Iterator[tuple[Subject, Setting]]:
    """Every pass on both forms of a model, and the pipelines on the imported one."""
    yield from product(subjects, settings_of_passes())
    yield from product(subjects[:1], settings_of_levels())


def values_of(function: Function) -> Iterator[Value]:
    return chain(function.arguments, (result for op in function.walk() for result in op.results))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a pipeline did to a subject; all that must hold did hold.

    Args:
        is_changed: whether the module reads differently.
        difference: largest of an output, relative to the root of its mean square; None where outputs may change.
    """

    is_changed: bool
    difference: float | None


def check(subject: Subject, setting: Setting) -> Outcome:
    """Runs a pipeline on a copy of a module.

    Raises:
        AssertionError, IrcError: something that must hold, or that a pass of the pipeline claims, does not.
    """
    module = clone_module(subject.module)
    passes = parse_pipeline(setting.pipeline)
    run_pipeline(module, passes, context=setting.context)
    verify(module)  # without what the pipeline remembers
    text = str(module)
    if text == subject.text:
        return Outcome(False, 0.0)
    again = parse_module(text)
    verify(again)
    assert str(again) == text, "the printed module reads back as another one"
    difference = None
    if not any(map(rounds_coarsely, passes)):
        is_exact = all(instance.is_exact for instance in passes)
        if subject.has_steps and any(isinstance(instance, ConvertDType) for instance in passes):
            subject = replace(subject, is_quantised=True)
        difference = largest_difference(module, subject, 0.0 if is_exact else subject.tolerance)
    if len(passes) == 1 and passes[0].is_idempotent:
        run_pipeline(module, passes, context=setting.context)
        twice = str(module)
        assert twice == text, f"{setting}: a second run changes the module\n{first_difference(text, twice)}"
    return Outcome(True, difference)


def rounds_coarsely(instance: Pass) -> bool:
    """Whether other numbers are what the pass is for: to 16 bits and fewer, errors are the model's, not the pass's."""
    return isinstance(instance, (Autocast, ConvertDType)) and instance.to.bits < 32


def largest_difference(module: Module, subject: Subject, tolerance: float) -> float:
    """Between a subject's outputs and those of a rewritten module.

    Raises:
        AssertionError: it is above the tolerance, or shapes differ.
    """
    with np.errstate(all="ignore"):
        actual = interpret(module, subject.inputs)
    worst = 0.0
    for i, (have, want) in enumerate(zip(actual, subject.outputs, strict=True)):
        assert have.shape == want.shape, f"output {i} is {have.shape}, was {want.shape}"
        found = difference_of(have, want, largest=np.max if not subject.is_quantised else rms)
        assert found <= tolerance, f"output {i} differs by {found:.2g} of its size, {tolerance:.2g} allowed"
        worst = max(worst, found)
    return worst


def rms(array: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(array))))


def difference_of(have: np.ndarray, want: np.ndarray, largest: Callable[[np.ndarray], float] = np.max) -> float:
    """Largest difference over the root of the mean square, or `SMALLEST_SIZE`; 0 for outputs that are equal.

    Infinite where one is not finite and the other is another number. Of integers and booleans, the share that differs.
    """
    if have.dtype == want.dtype and have.tobytes() == want.tobytes():
        return 0.0
    if not dtype_of(want).is_float:
        return float(np.mean(have != want))
    have, want = have.astype(np.float64), want.astype(np.float64)
    finite = np.isfinite(want)
    if not np.array_equal(have[~finite], want[~finite], equal_nan=True) or not np.all(np.isfinite(have[finite])):
        return np.inf
    have, want = have[finite], want[finite]
    return float(largest(np.abs(have - want))) / max(rms(want), SMALLEST_SIZE) if want.size else 0.0


def first_difference(before: str, after: str) -> str:
    pairs: Iterable[tuple[str, str]] = zip(before.splitlines(), after.splitlines(), strict=False)
    return next((f"  once:  {a:.200}\n  twice: {b:.200}" for a, b in pairs if a != b), "  one ends before the other")
