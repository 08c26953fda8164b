"""Pipelines: their text, what passes report, and what is left when one fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ircost.ir import Module, Op, Value, ops
from ircost.ir.attributes import ints_of
from ircost.ir.errors import IrcError, UnknownNameError
from ircost.ir.parser import parse_module
from ircost.ir.rewrite import RewriteError, RewritePattern, apply_patterns
from ircost.ir.types import bf16
from ircost.ir.verify import verify
from ircost.passes import (
    PASSES,
    InternalPassError,
    Pass,
    PassContext,
    PassError,
    load_reproducer,
    parse_pipeline,
    pipeline_text,
    register_pass,
    run_pipeline,
)
from ircost.passes.convert_dtype import ConvertDType
from ircost.passes.fuse import Fuse

TEXT = """func @main(%x: 2x3xf32) -> 2x3xf32 {
  %y = exp %x loc("model.onnx": "encoder/Exp")
  %z = relu %y loc("model.onnx": "encoder/Relu")
  return %z
}
"""


class WrongShape(RewritePattern):
    """relu(x)  ->  transpose(x), of another type"""

    root = "relu"

    def rewrite(self, op: Op) -> Value | None:
        return ops.transpose(op.operands[0], perm=(1, 0))


class Crashes(RewritePattern):
    """relu(x)  ->  x, or would be if relu had a perm"""

    root = "relu"

    def rewrite(self, op: Op) -> Value | None:
        return op.operands[0] if ints_of(op.attrs, "perm") else None


class SwapForever(RewritePattern):
    """x + y  ->  y + x"""

    root = "add"

    def rewrite(self, op: Op) -> Value | None:
        lhs, rhs = op.operands
        return ops.add(rhs, lhs)


class TooMany(RewritePattern):
    """relu(x)  ->  x, x"""

    root = "relu"

    def rewrite(self, op: Op) -> tuple[Value, ...]:
        return op.operands[0], op.operands[0]


class GivesItself(RewritePattern):
    """relu(x)  ->  relu(x), the very same"""

    root = "relu"

    def rewrite(self, op: Op) -> Value:
        return op.result


class GivesAnOp(RewritePattern):
    """relu(x)  ->  the op, where its result is due"""

    root = "relu"

    def rewrite(self, op: Op) -> Any:
        return ops.exp(op.operands[0]).producer


class LooksAtNothing(RewritePattern):
    """reluu(x)  ->  x"""

    root = "reluu"

    def rewrite(self, op: Op) -> Value:
        return op.operands[0]


class HasNoRoot(RewritePattern):
    """relu(x)  ->  x"""

    def rewrite(self, op: Op) -> Value:
        return op.operands[0]


@dataclass(frozen=True, slots=True)
class OddOptions(Pass):
    """Options that no text gives; says nothing of what it did."""

    limit: int | None = None
    sizes: tuple[int, ...] = ()

    def run(self, module: Module, context: PassContext) -> Any:
        return None


@dataclass(frozen=True, slots=True)
class Broken(Pass):
    """Applies the pattern of that number."""

    pattern: int = 0

    def patterns(self) -> tuple[RewritePattern, ...]:
        return (PATTERNS[self.pattern](),)


PATTERNS = (WrongShape, Crashes, SwapForever, TooMany, GivesItself, GivesAnOp)


@dataclass(frozen=True, slots=True)
class BreaksType(Pass):
    """Changes a type behind everyone's back: only the verifier can tell."""

    def run(self, module: Module, context: PassContext) -> Counter[str]:
        for op in module.walk():
            if op.name == "relu":
                op.result.type = op.result.type.with_dtype(bf16)
        return Counter()


@pytest.fixture(autouse=True)
def broken_passes() -> Iterator[None]:
    register_pass("test-broken")(Broken)
    register_pass("test-breaks-type")(BreaksType)
    register_pass("test-odd-options")(OddOptions)
    yield
    for name in ("test-broken", "test-breaks-type", "test-odd-options"):
        del PASSES._things[name]


def test_a_pass_may_be_declared_again() -> None:
    def declare() -> type[Pass]:
        @register_pass("test-broken")
        @dataclass(frozen=True, slots=True)
        class Again(Pass):
            """Does nothing."""

        return Again

    del PASSES._things["test-broken"]
    declare()
    last = declare()
    assert PASSES.get("test-broken") is last
    with pytest.raises(UnknownNameError, match=f"there is another pass 'test-broken', of {__name__}"):
        register_pass("test-broken")(Broken)


# ---- text


@pytest.mark.parametrize(
    "text",
    ["canonicalize", "canonicalize,fuse", "fuse{max_ops=4}", "convert-dtype{to=bf16},canonicalize,fuse{max_ops=2}", ""],
)
def test_text_round_trip(text: str) -> None:
    passes = parse_pipeline(text)
    assert pipeline_text(passes) == text
    assert parse_pipeline(pipeline_text(passes)) == passes


def test_every_pass_without_required_options_round_trips() -> None:
    for name in PASSES.names():
        required = {"convert-dtype": "{to=f16}", "rematerialise": "{limit=24GiB}"}
        text = name + required.get(name, "")
        assert pipeline_text(parse_pipeline(text)) == text


def test_options_become_fields() -> None:
    assert parse_pipeline(" fuse { max-ops = 3 } , convert-dtype{to=bf16}") == (Fuse(max_ops=3), ConvertDType(to=bf16))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fuse{max_op=3}", "pass 'fuse' has no option 'max_op'"),
        ("canonicalize{deep=true}", "pass 'canonicalize' has no option 'deep'"),
        ("fuse{max_ops=many}", "option 'max_ops' is 'many', int expected"),
        ("fuse{max_ops}", "is not a list of options"),
        ("fuse{max_ops=3, max-ops=4}", "option 'max_ops' is given twice"),
        ("test-odd-options{sizes=3}", "option 'sizes' is of type tuple[int, ...], which cannot be written"),
        ("test-odd-options{limit=3}", "option 'limit' is of type int | None, which cannot be written"),
        ("fuse{max_ops=0}", "option 'max_ops' is 0"),
        ("outline{min_ops=-1}", "option 'min_ops' is -1"),
        ("order-for-memory{max_states=-1}", "option 'max_states' is -1"),
        ("convert-dtype", "pass 'convert-dtype' needs option 'to'"),
        ("convert-dtype{to=f23}", "no number format 'f23'"),
        ("canonicalize,", "not a pipeline"),
        (",canonicalize", "not a pipeline"),
        ("canonicalize fuse", "not a pipeline"),
        ("fuse{max_ops=3", "not a pipeline"),
        ("fuse{{max_ops=3}}", "not a pipeline"),
    ],
)
def test_text_is_refused(text: str, message: str) -> None:
    with pytest.raises(PassError) as raised:
        parse_pipeline(text)
    assert message in raised.value.render()
    assert raised.value.help


def test_a_misspelt_pass_lists_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="no pass 'canonicalise'") as raised:
        parse_pipeline("canonicalise")
    assert "did you mean canonicalize" in raised.value.render()


def test_a_misspelt_option_lists_the_nearest() -> None:
    with pytest.raises(PassError) as raised:
        parse_pipeline("fuse{max_op=3}")
    assert raised.value.help is not None and "max_ops" in raised.value.help


# ---- reports


def test_reports_count_ops_and_patterns() -> None:
    module = parse_module(
        "func @main(%x: 2xf32) -> 2xf32 { %a = neg %x %b = neg %a %c = exp %b %d = exp %c return %d }"
    )
    canonicalize, fuse = run_pipeline(module, "canonicalize,fuse")
    assert (canonicalize.text, canonicalize.ops_before, canonicalize.ops_after) == ("canonicalize", 5, 3)
    assert canonicalize.fired == {"DoubleInverse": 1}
    assert fuse.fired == {"kernels": 1}
    assert fuse.seconds >= 0 and fuse.verify_seconds >= 0


def test_after_pass_sees_each_state() -> None:
    module = parse_module(TEXT)
    seen: list[str] = []
    run_pipeline(module, "canonicalize,fuse", after_pass=lambda p, m: seen.append(f"{p.name}: {'kernel' in str(m)}"))
    assert seen == ["canonicalize: False", "fuse: True"]


def test_canonicalize_twice_is_canonicalize_once() -> None:
    folder = Path(__file__).parent
    for path in sorted(folder.glob("*.irc")):
        module = parse_module(path.read_text(), path.name)
        run_pipeline(module, "canonicalize")
        once = str(module)
        (again,) = run_pipeline(module, "canonicalize")
        assert again.fired == {}, path.name
        assert str(module) == once, path.name


def test_a_pass_that_says_nothing_of_what_it_did_counts_nothing() -> None:
    (report,) = run_pipeline(parse_module(TEXT), "test-odd-options")
    assert report.fired == Counter()


# ---- failures


@pytest.mark.parametrize(
    ("pipeline", "reason"),
    [
        ("test-broken", "pattern 'WrongShape' puts a 3x2xf32 in place of a 2x3xf32"),
        ("test-broken{pattern=1}", "pattern 'Crashes' failed: KeyError: 'perm'"),
        ("test-broken{pattern=3}", "pattern 'TooMany' gives 2 values for 1 results"),
        ("test-broken{pattern=4}", "pattern 'GivesItself' gives the op's own result"),
        ("test-broken{pattern=5}", "pattern 'GivesAnOp' gives Op, not a value"),
        ("test-breaks-type", "relu: result types are (2x3xbf16), operands and attributes give (2x3xf32)"),
    ],
)
def test_a_failure_names_pass_pattern_op_and_node(pipeline: str, reason: str, tmp_path: Path) -> None:
    module = parse_module(TEXT)
    with pytest.raises(InternalPassError) as raised:
        run_pipeline(module, f"canonicalize,{pipeline},fuse", reproducer_folder=tmp_path)
    text = raised.value.render()
    assert f"pass '{pipeline.partition('{')[0]}' broke the module: {reason}" in text
    assert "'encoder/Relu' in model.onnx" in text
    assert "relu" in text
    assert str(raised.value.reproducer) in text


def test_the_reproducer_replays_the_failure(tmp_path: Path) -> None:
    module = parse_module(TEXT)
    with pytest.raises(InternalPassError) as first:
        run_pipeline(module, "canonicalize,test-broken,fuse", reproducer_folder=tmp_path)
    assert first.value.reproducer is not None
    replayed, passes = load_reproducer(first.value.reproducer)
    verify(replayed)
    assert pipeline_text(passes) == "canonicalize,test-broken"  # nothing behind the one that failed
    assert 'loc("model.onnx": "encoder/Relu")' in first.value.reproducer.read_text()
    with pytest.raises(InternalPassError) as second:
        run_pipeline(replayed, passes, reproducer_folder=tmp_path)
    assert second.value.message == first.value.message
    assert second.value.reproducer == first.value.reproducer  # the same content, the same name


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(InternalPassError) as raised:
        run_pipeline(parse_module(TEXT), "test-broken", reproducer_folder=tmp_path / "missing")
    assert raised.value.reproducer is None
    assert "could not be written" in raised.value.render()


def test_a_plain_file_is_no_reproducer(tmp_path: Path) -> None:
    path = tmp_path / "plain.irc"
    path.write_text(TEXT)
    with pytest.raises(PassError, match="is not a reproducer"):
        load_reproducer(path)


@pytest.mark.parametrize("name", ["fuse", "tile", "monarch", "merge-products"])
def test_an_unknown_target_is_the_users_mistake(name: str, tmp_path: Path) -> None:
    with pytest.raises(PassError, match=f"pass '{name}': no target 'h10'") as raised:
        run_pipeline(parse_module(TEXT), f"{name}{{target=h10}}", reproducer_folder=tmp_path)
    assert raised.value.help is not None and "h100" in raised.value.help
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("pattern", "message"),
    [(LooksAtNothing, "pattern 'LooksAtNothing' looks at 'reluu', which is not an op"), (HasNoRoot, "has no root")],
)
def test_a_pattern_that_would_never_fire_is_refused(pattern: type[RewritePattern], message: str) -> None:
    with pytest.raises(RewriteError, match=message):
        apply_patterns(parse_module(TEXT), [pattern()])


def test_refusals_leave_no_reproducer(tmp_path: Path) -> None:
    with pytest.raises(PassError, match="i8 is not a format that models compute in") as raised:
        run_pipeline(parse_module(TEXT), "convert-dtype{to=i8}", reproducer_folder=tmp_path)
    assert not isinstance(raised.value, InternalPassError)
    assert list(tmp_path.iterdir()) == []


def test_without_verification_the_breach_stays() -> None:
    module = parse_module(TEXT)
    run_pipeline(module, "test-breaks-type", verify_each=False)
    with pytest.raises(IrcError, match="relu"):
        verify(module)


def test_patterns_without_end_are_stopped() -> None:
    module = parse_module("func @main(%x: 2xf32, %y: 2xf32) -> 2xf32 { %z = add %x, %y return %z }")
    with pytest.raises(RewriteError, match="rewriting does not end: 'SwapForever' fired"):
        apply_patterns(module, [SwapForever()])
