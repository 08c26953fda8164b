"""Number formats: exact widths, ranges and rounding; tensor types; constant data."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ircost.ir.constant import FileSlice, Literal, Missing, Splat, literal, materialise
from ircost.ir.errors import DTypeError, InterpreterError, ShapeError
from ircost.ir.numpy_dtypes import NUMPY_DTYPES, dtype_of, numpy_dtype, round_to_tf32
from ircost.ir.types import DTYPES, TensorType, f4e2m1, f8e4m3, f32, i2, i4, parse_dtype, parse_type, tf32, u4

BITS = {
    **{"f64": 64, "f32": 32, "tf32": 32, "f16": 16, "bf16": 16},
    **dict.fromkeys(("f8e4m3", "f8e5m2", "f8e4m3fnuz", "f8e5m2fnuz", "f8e8m0"), 8),
    **{"f6e2m3": 6, "f6e3m2": 6, "f4e2m1": 4},
    **{"i64": 64, "i32": 32, "i16": 16, "i8": 8, "i4": 4, "i2": 2},
    **{"u64": 64, "u32": 32, "u16": 16, "u8": 8, "u4": 4, "u2": 2, "bool": 8},
}


def test_every_format_has_its_width() -> None:
    assert {name: dtype.bits for name, dtype in DTYPES.items()} == BITS


def test_float_fields_fill_the_format() -> None:
    for dtype in DTYPES.values():
        if dtype.is_float and dtype.name not in ("tf32", "f8e8m0"):
            assert 1 + dtype.exponent_bits + dtype.mantissa_bits == dtype.bits, dtype
    assert 1 + tf32.exponent_bits + tf32.mantissa_bits == 19


def test_numpy_and_ours_agree_on_mantissas() -> None:
    for name, dtype in DTYPES.items():
        if dtype.is_float and name != "tf32":
            assert ml_dtypes.finfo(NUMPY_DTYPES[name]).nmant == dtype.mantissa_bits, name


@pytest.mark.parametrize("name", [name for name in DTYPES if name != "tf32"])
def test_numpy_dtypes_map_both_ways(name: str) -> None:
    assert dtype_of(np.zeros(1, numpy_dtype(DTYPES[name]))) is DTYPES[name]


@given(st.lists(st.integers(0, 10**6), max_size=5), st.sampled_from(sorted(DTYPES)))
def test_types_read_back(shape: list[int], name: str) -> None:
    type = TensorType(tuple(shape), DTYPES[name])
    assert parse_type(str(type)) == type


def test_bounded_types_read_back() -> None:
    type = TensorType((100, 4), f32, bounded=(0,))
    assert str(type) == "<=100x4xf32"
    assert parse_type(str(type)) == type


def test_sub_byte_tensors_are_packed() -> None:
    assert TensorType((3, 5), i4).size_bytes == 8
    assert TensorType((5,), i2).size_bytes == 2


@pytest.mark.parametrize("text", ["", "x", "1xx2xf32", "-1xf32", "axf32", "9" * 5000 + "xf32"])
def test_bad_types_are_refused(text: str) -> None:
    with pytest.raises((ShapeError, DTypeError)):
        parse_type(text)


def test_unknown_format_names_the_nearest() -> None:
    with pytest.raises(DTypeError, match="f16"):
        parse_dtype("fp16")


def test_tf32_keeps_ten_mantissa_bits_and_rounds_to_even() -> None:
    ulp = 2.0**-10
    values = np.array([1 + ulp / 2, 1 + 3 * ulp / 2, 1 + 0.51 * ulp, -1 - 0.51 * ulp, np.inf, 0.0], np.float32)
    expected = [1.0, 1 + 2 * ulp, 1 + ulp, -1 - ulp, np.inf, 0.0]
    assert round_to_tf32(values).tolist() == expected


def test_packed_file_data_unpack_low_bits_first(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(bytes([0xF1, 0x72]))
    for dtype, expected in ((u4, [1, 15, 2]), (i4, [1, -1, 2]), (f4e2m1, [0.5, -6.0, 1.0])):
        array = materialise(FileSlice(str(file), 0, 2, dtype), TensorType((3,), dtype))
        assert array.astype(np.float32).tolist() == expected


def test_data_convert_to_the_type_of_their_op() -> None:
    array = np.array([0.1, 448.0, -1.0], np.float32)
    converted = materialise(literal(array), TensorType((3,), f8e4m3))
    np.testing.assert_array_equal(converted, array.astype(ml_dtypes.float8_e4m3fn))
    assert materialise(Splat(2), TensorType((2, 2), f32)).tolist() == [[2, 2], [2, 2]]


def test_missing_values_say_so(tmp_path: Path) -> None:
    with pytest.raises(InterpreterError, match="left out"):
        materialise(Missing("left out of the file"), TensorType((2,), f32))
    with pytest.raises(InterpreterError, match=r"absent\.bin"):
        FileSlice(str(tmp_path / "absent.bin"), 0, 4, f32).read()
    short = tmp_path / "short.bin"
    short.write_bytes(b"12")
    with pytest.raises(InterpreterError, match="ends at byte 2"):
        FileSlice(str(short), 0, 4, f32).read()


def test_literals_hold_any_format() -> None:
    for name, numpy in NUMPY_DTYPES.items():
        array = np.array([1, 1, 1], numpy)
        data = literal(array)
        assert isinstance(data, Literal)
        np.testing.assert_array_equal(materialise(data, TensorType((3,), dtype_of(array))), array, err_msg=name)


def test_a_format_as_text_is_no_format() -> None:
    with pytest.raises(DTypeError, match="a type's number format is 'f32', a DType expected") as raised:
        TensorType((2, 3), "f32")  # type: ignore[arg-type]
    assert "parse_type('2x3xf32')" in raised.value.render()
