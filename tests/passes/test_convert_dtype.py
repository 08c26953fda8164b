"""Conversion of constants."""

from __future__ import annotations

from ircost.ir.parser import parse_module
from ircost.passes import run_pipeline


def test_a_splat_is_converted_by_one_element() -> None:
    """All of them would be terabytes."""
    module = parse_module(
        """
        func @main(%x: 1000000x1000000xf32) -> 1000000x1000000xf32 {
          %c = constant splat<-3e38> : 1000000x1000000xf32
          %y = add %x, %c
          return %y
        }"""
    )
    run_pipeline(module, "convert-dtype{to=f16}")
    assert "splat<-65504" in str(module)
