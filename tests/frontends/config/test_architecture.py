"""Layers as groups: nothing is lost, and equal layers are built once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ircost.frontends.config.layer_parts import groups

LAYERS = st.lists(st.sampled_from("abc"), max_size=24).map(tuple)


@given(LAYERS)
def test_groups_are_the_layers_in_order(layers: tuple[str, ...]) -> None:
    assert tuple(layer for period, count in groups(layers) for layer in period * count) == layers


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=5).map(tuple), st.integers(2, 8), LAYERS)
def test_a_pattern_is_found_however_often_it_repeats(
    period: tuple[str, ...], count: int, rest: tuple[str, ...]
) -> None:
    """What is built grows with the pattern and with what does not repeat, not with the repeats."""
    built = sum(len(period) for period, _ in groups(period * count + rest))
    assert built <= len(period) + len(rest) + len(period) - 1


def test_dense_layers_in_front_stand_by_themselves() -> None:
    assert list(groups(("dense",) * 3 + ("experts",) * 58)) == [(("dense",), 3), (("experts",), 58)]


def test_a_rest_of_a_pattern_is_a_group() -> None:
    """Gemma 3: five windows and one that sees all, five times, and four more."""
    pattern = ("window",) * 5 + ("all",)
    assert list(groups(pattern * 5 + pattern[:4])) == [(pattern, 5), (("window",), 4)]
