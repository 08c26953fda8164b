"""The text format: what is printed reads back as the same module, and no text breaks the parser."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from random_modules import modules, random_inputs

from ircost.ir import IrcError, Module, interpret
from ircost.ir.clone import clone_module
from ircost.ir.errors import ParseError
from ircost.ir.parser import parse_module
from ircost.ir.printer import print_module
from ircost.ir.verify import verify
from ircost.passes import run_pipeline


@settings(max_examples=150)
@given(modules(runnable=False), st.booleans())
def test_print_parse_print_is_exact(module: Module, locations: bool) -> None:
    verify(module)
    text = print_module(module, locations=locations)
    again = parse_module(text)
    verify(again)
    assert print_module(again, locations=locations) == text
    assert (again.name, again.attrs) == (module.name, module.attrs)
    assert [f.attrs for f in again.functions.values()] == [f.attrs for f in module.functions.values()]
    if locations:
        assert [op.location for op in written_ops(again)] == [op.location for op in written_ops(module)]


def written_ops(module: Module) -> list:
    """Ops that stand in the text: bodies of composites follow from their names."""
    return [op for op in module.walk() if op.parent is None or not op.parent.definition.is_composite]


@settings(max_examples=100)
@given(modules())
def test_reading_back_keeps_the_meaning(module: Module) -> None:
    compare(module, parse_module(print_module(module)))


@settings(max_examples=150)
@given(modules(), st.sampled_from(["canonicalize", "fuse", "canonicalize,fuse{max_ops=3}", "fuse,canonicalize"]))
def test_passes_keep_outputs(module: Module, pipeline: str) -> None:
    verify(module)
    after = clone_module(module)
    run_pipeline(after, pipeline)
    compare(module, after)
    assert print_module(parse_module(print_module(after))) == print_module(after)


@settings(max_examples=60)
@given(modules(runnable=False))
def test_canonicalize_is_a_fixpoint(module: Module) -> None:
    run_pipeline(module, "canonicalize")
    (again,) = run_pipeline(module, "canonicalize")
    assert again.fired == {}


def compare(before: Module, after: Module) -> None:
    inputs = random_inputs(before.main)
    with np.errstate(all="ignore"):
        expected, actual = interpret(before, inputs), interpret(after, inputs)
    for want, have in zip(expected, actual, strict=True):
        assert want.dtype == have.dtype and want.shape == have.shape
        np.testing.assert_allclose(have.astype(np.float64), want.astype(np.float64), rtol=1e-5, atol=1e-5)


# ---- texts that are wrong

PIECES = [
    "",
    "{",
    "}",
    "(",
    ")",
    "%",
    "@",
    "->",
    ":",
    ",",
    '"',
    "loc(",
    "f32",
    "9" * 30,
    "x",
    "[",
    "]",
    "<",
    "\\",
    "\n",
    "//",
    "é",
]


def read_or_refuse(text: str) -> None:
    with contextlib.suppress(IrcError):
        verify(parse_module(text))


@settings(max_examples=200, phases=(Phase.explicit, Phase.reuse, Phase.generate))  # a text is short enough to read
@given(modules(runnable=False), st.data())
def test_mutated_texts_raise_nothing_but_our_errors(module: Module, data: st.DataObject) -> None:
    text = print_module(module, locations=True)
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(start + 20, len(text))))
        piece = data.draw(st.sampled_from(PIECES) | st.just(text[start:end] * 2))
        text = text[:start] + piece + text[end:]
    read_or_refuse(text)


@given(st.text(alphabet='func@main%x:2f3,()->{}= \n"<>[]0', max_size=60))
def test_noise_raises_nothing_but_our_errors(text: str) -> None:
    read_or_refuse(text)


@pytest.mark.parametrize(
    "value",
    ["[" * 5000 + "]" * 5000, "9" * 5000, "1e999", "-nan", '"' + "\\u12" + '"', "2x-1xf32", "18446744073709551616"],
)
def test_extreme_attributes(value: str) -> None:
    with pytest.raises(IrcError) as raised:
        verify(parse_module(f"func @main(%x: 2xf32) -> 2xf32 {{ %y = reshape %x {{shape = {value}}} return %y }}"))
    assert len(raised.value.render()) < 2000


def test_bodies_nest_to_a_limit() -> None:
    deep = "%y = if %c then() { " * 100
    with pytest.raises(ParseError, match="bodies nest deeper than 64"):
        parse_module(f"func @main(%c: bool) -> bool {{ {deep}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("func @main(%x: 2xf32) -> 2xf32 { %y = relux %x return %y }", "<text>:1:39: no op 'relux'"),
        ("func @main(%x: 2xf32) -> 2xf32 { %y = relu %z return %y }", "%z is not defined here"),
        ("func @main(%x: 2xf32) -> 3xf32 { %y = relu %x return %y }", "declared to return"),
        ("func @main(%x: 2xf32) -> 2xf32 { %y = relu %x : 3xf32 return %y }", "relu gives"),
        ("func @main(%x: 2xf32) -> 2xf32 { %x = relu %x return %x }", "%x is defined already"),
        ("func @main(%x: 2xf32) -> 2xf32 { %y, %z = relu %x return %y }", "relu has 1 results, 2 named"),
        ("func @main(%x: 2xf32) -> 2xf32 { %y = relu %x {alpha = 1.0} return %y }", "no attribute 'alpha'"),
        ("func @main(%x: 2xf32) -> 2xf32 { %y = leaky_relu %x {alpha = [1]} return %y }", "attribute 'alpha' is"),
        ("func @main(%x: 2xf32) -> 2xf32 { %y = relu %x, %x return %y }", "2 operands given, expected 1"),
        ("func @main() -> 2xf32 { %y = constant dense<[1.0]> : 2xf32 return %y }", "1 elements, 2 expected"),
        ("func @main() -> 2xf32 { %y = constant dense<[1.0, 2.0]> return %y }", "constant needs its result types"),
        ('func @main() -> 2xf32 { %y = constant hex<"00"> : 2xf32 return %y }', "1 bytes, 8 expected"),
        ('func @main() -> f32 { %y = constant hex<"0g"> : f32 return %y }', "write pairs of digits 0 to f"),
        (
            "func @main() -> 2x1xf32 { %y = constant dense<[[1.0], [2.0]]> : 2x1xf32 return %y }",
            "all elements in one list",
        ),
        ("func @main() -> 2xu8 { %y = constant dense<[1, 300]> : 2xu8 return %y }", "not the data of a 2xu8"),
        ("func @f() -> () { return } func @f() -> () { return }", "function @f is there already"),
        ("func @main(%x: 2xf32) -> 2xf32 { return %x", "the text ends here"),
        ("func @main(%x: 2xf99) -> 2xf32 { return %x }", "'2xf99' is not a type"),
        ("func @main(%x: 2xfp16) -> 2xf16 { return %x }", "did you mean f16"),
        ("func @main(%x: 2x-3xf32) -> 2xf32 { return %x }", "write it like 2x3xf32"),
        (f"func @main(%x: {10**17}xf32) -> 2xf32 {{ return %x }}", "larger than any memory"),
        ("func @main() -> i8 { %y = constant splat<300> : i8 return %y }", "300 is no i8"),
        ("func @main() -> u8 { %y = constant splat<-1> : u8 return %y }", "-1 is no u8"),
        ("func @main() -> i32 { %y = constant splat<0.5> : i32 return %y }", "0.5 is no i32"),
        ("func @main() -> i32 { %y = constant splat<nan> : i32 return %y }", "nan is no i32"),
        ("func @main() -> i4 { %y = constant dense<[9]> : i4 return %y }", "9 is no i4"),
        ("func @main(%x: 2xf32) -> 2xf32 { %y = transpose %x {prem = [0]} return %y }", "no attribute 'prem'"),
        ("func @main(%x: 2xf32) -> 2xf32 { %y = transpose %x return %y }", "'perm' is missing, a list of whole"),
        ("func @main(%x: 2xf32) -> 2xf32 { %y = transpose %x {perm = [0], perm = [0]} return %y }", "is given twice"),
        ("func @main(%x: 2xf32) -> 2xf32 { %y = transpose %x {perm = [1]} return %y }", ": transpose: perm [1] is no"),
        (
            "func @main(%c: bool, %x: 2xf32) -> 2xf32 { %y = if %c else() { yield %x } then() { yield %x } return %y }",
            "1:55: body 'else' where 'then' of if is due",
        ),
    ],
)
def test_messages_say_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(ParseError) as raised:
        parse_module(text)
    assert message in raised.value.render()
    assert "^" in raised.value.render()


def test_names_keep_the_letters_of_any_script() -> None:
    text = "func @main(%größe: 2xf32) -> 2xf32 {\n  %層.1 = relu %größe : 2xf32\n  return %層.1\n}\n"
    assert print_module(parse_module(text)) == text


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert parse_module("\ufefffunc @main() -> () { return }").main.results == ()
