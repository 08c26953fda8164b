"""Mixed precision: what it takes, and what it leaves."""

from __future__ import annotations

import pytest

from ircost.ir.parser import parse_module
from ircost.passes import PassError, run_pipeline
from ircost.passes.autocast import with_autocast
from ircost.passes.levels import KINDS, LEVELS, pipeline_of_level

LOOP = """
func @main(%x: 3x4x4xf32) -> 3x4x4xf32 {
  %y = scan %x {states = 0, length = 3} body(%e: 4x4xf32) {
    %t = matmul %e, %e
    yield %t
  }
  return %y
}"""


def test_a_loop_keeps_what_it_takes_and_gives() -> None:
    module = parse_module(LOOP)
    run_pipeline(module, "autocast{to=bf16}")
    (scan, _) = module.main.block.ops
    inside = [(op.name, str(op.results[0].type)) for op in scan.regions[0].block.ops if op.results]
    assert inside == [("cast", "4x4xbf16"), ("matmul", "4x4xbf16"), ("cast", "4x4xf32")]


def test_another_format_than_half_is_refused() -> None:
    with pytest.raises(PassError, match="no half precision"):
        run_pipeline(parse_module(LOOP), "autocast{to=f32}")


@pytest.mark.parametrize("runtime", ["", "pytorch", "pytorch compile"])
@pytest.mark.parametrize("level", range(len(LEVELS)))
@pytest.mark.parametrize("kind", KINDS)
def test_formats_are_known_before_kernels_are_made(kind: str, level: int, runtime: str) -> None:
    names = [
        text.partition("{")[0] for text in with_autocast(pipeline_of_level(level, kind, runtime), "bf16").split(",")
    ]
    place = names.index("autocast")
    assert "recognise" not in names[place:] and "canonicalize" not in names[place:]
    assert not {"fuse", "eager", "views", "layout", "inline"} & set(names[:place])


@pytest.mark.parametrize(
    ("pipeline", "to", "wrong"),
    [("autocast,fuse", "f16", "among the passes already"), ("fuse", "f8e4m3", "no half precision")],
)
def test_what_is_no_mixed_precision(pipeline: str, to: str, wrong: str) -> None:
    with pytest.raises(PassError, match=wrong):
        with_autocast(pipeline, to)
