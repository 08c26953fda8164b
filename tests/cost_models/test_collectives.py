"""Collectives on a target's links: more bytes never sooner, and never sooner than the wires allow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ircost.backends import TargetError, load_target
from ircost.cost_models.collectives import collective_times
from ircost.cost_models.gpu.collective import OPS

SIZES = [float(size) for size in np.geomspace(1e3, 1e9, 25)]


@given(
    st.sampled_from(OPS[:5]), st.sampled_from([2, 4, 8, 16, 64]), st.sampled_from(["h100_sxm", "a100_sxm_80gb", "l40s"])
)
def test_more_bytes_take_longer_and_links_set_a_limit(kind: str, ranks: int, name: str) -> None:
    found = collective_times(kind, SIZES, ranks, load_target(name))
    assert (np.diff(found.latency_s) >= 0).all()
    assert (np.diff(found.at_best_s) > 0).all()
    assert (found.latency_s >= found.at_best_s * (1 - 1e-9)).all()


def test_a_target_without_links_has_none() -> None:
    with pytest.raises(TargetError, match="no links"):
        collective_times("all_reduce", [1e6], 2, load_target("raspberry_pi_3"))
