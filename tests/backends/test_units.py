from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ircost.backends import TargetError
from ircost.backends.units import BINARY, DIMENSIONS, LARGE, parse_quantity


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("3.35 TB/s", "B/s", 3.35e12),
        ("228 KiB", "B", 228 * 1024),
        ("80 GB", "B", 80e9),
        ("80 GiB", "B", 80 * 2**30),
        ("700 W", "W", 700.0),
        ("989.4 TFLOP/s", "flop/s", 989.4e12),
        ("1978.9 TOP/s", "flop/s", 1978.9e12),
        ("1.98 GHz", "Hz", 1.98e9),
        ("2.5 us", "s", 2.5e-6),
        ("3.92 pJ/bit", "J/B", 31.36e-12),
        ("31 pJ/byte", "J/B", 31e-12),
        ("0.6 pJ/flop", "J/flop", 0.6e-12),
        ("16 Gbit/s", "B/s", 2e9),
        ("1e3MB/s", "B/s", 1e9),
        ("132", "1", 132.0),
        ("0 W", "W", 0.0),
    ],
)
def test_quantity_is_exact(text: str, unit: str, value: float) -> None:
    assert parse_quantity(text, unit) == value


@pytest.mark.parametrize(
    ("text", "unit", "problem", "cure"),
    [
        ("3.35", "B/s", "missing unit in '3.35'", "3.35 TB/s"),
        ("3.35 TB", "B/s", "unknown unit 'TB' in '3.35 TB'", "B/s, byte/s, bit/s"),
        ("80 KB", "B", "unknown unit 'KB'", "k M G T P E Ki Mi Gi Ti"),
        ("1 KiHz", "Hz", "unknown unit 'KiHz'", "1.98 GHz"),
        ("1 mB", "B", "unknown unit 'mB'", "80 GB"),
        ("-1 TB/s", "B/s", "'-1 TB/s' is negative", "above zero"),
        ("0 TB/s", "B/s", "'0 TB/s' is zero", "above zero"),
        ("fast", "B/s", "'fast' is not a number with a unit", "3.35 TB/s"),
        ("", "W", "'' is not a number with a unit", "700 W"),
        ("1.5", "1", "'1.5' is not a whole number", "132"),
        ("1e999 W", "W", "unknown unit", "700 W"),
    ],
)
def test_mistake_is_named_with_its_cure(text: str, unit: str, problem: str, cure: str) -> None:
    with pytest.raises(TargetError) as caught:
        parse_quantity(text, unit)
    assert problem in caught.value.message
    assert caught.value.help is not None
    assert cure in caught.value.help


@pytest.mark.parametrize("unit", DIMENSIONS)
def test_examples_are_right(unit: str) -> None:
    assert parse_quantity(DIMENSIONS[unit].example, unit) > 0


@given(st.integers(1, 10**9), st.sampled_from([*LARGE, *BINARY]))
def test_prefixes_are_exact(number: int, prefix: str) -> None:
    factor = Fraction({**LARGE, **BINARY}[prefix])
    assert parse_quantity(f"{number} {prefix}B", "B") == float(number * factor)
