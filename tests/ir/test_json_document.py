"""What is wrong with a text of JSON is one kind of error."""

from __future__ import annotations

import json

import pytest

from ircost.ir.json_document import MAX_DEPTH, parse_json


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "Expecting"),
        (b"\xff\xfe\x00", "utf"),
        ("9" * 5000, "an integer of more than 4300 digits"),
        ("[" * 100_000, "nested too deep"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "nested too deep"),
        ('{"a":' * (MAX_DEPTH + 1) + "1" + "}" * (MAX_DEPTH + 1), "nested too deep"),
    ],
)
def test_a_text_that_is_none(text: str | bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_json(text)


def test_what_is_right_is_read_as_ever() -> None:
    text = '{"a": [1, 2.5, null, true, "x", {}], "b": {"c": Infinity}}'
    assert parse_json(text) == parse_json(text.encode()) == json.loads(text)
    deep = "[" * MAX_DEPTH + "1" + "]" * MAX_DEPTH
    assert parse_json(deep) == json.loads(deep)
