"""Cases: within limits, balanced wherever the list ends, whole layers, the same for the same seed."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ircost.cost_models.gpu.families import FAMILIES as MODELLED
from ircost.cost_models.gpu.table_schema import IMPOSSIBLE, KNOWN
from ircost.cost_models.gpu.table_work import VECTOR_OPS
from ircost.cost_models.learned.rows import SHAPE
from ircost.datasets.measuring.cases import FAMILIES, Attention, Case, columns_of
from ircost.datasets.measuring.known_layers import resnet_layers, transformer_layers
from ircost.datasets.measuring.quasirandom import points
from ircost.datasets.measuring.sampling import ROWS, SHARES, STREAMS, Limits, cases

KINDS = [(family, kind) for family, kinds in SHARES.items() for kind in kinds]
ROOMY = Limits(2e10, 2e13)
MOST_OF_A_LAYER = len(ROWS)


def kind_of(case: Case) -> str:
    return case.phase if isinstance(case, Attention) else case.op


def taken(count: int, seed: int = 0, limits: Limits = ROOMY, dtypes: tuple[str, ...] = ("bfloat16",)) -> list[Case]:
    return list(islice(cases(KINDS, dtypes, seed, limits), count))


@given(count=st.integers(40, 1500), seed=st.integers(0, 50))
def test_wherever_the_list_ends_each_family_and_kind_has_its_share(count: int, seed: int) -> None:
    found = taken(count, seed)
    families = Counter(case.family for case in found)
    assert max(families.values()) - min(families.values()) <= 2 * MOST_OF_A_LAYER
    for family, kinds in SHARES.items():
        named = {op: kind for kind, ops in STREAMS.items() for op in ops} if family == "vector" else {}
        own = Counter(named.get(kind_of(case), kind_of(case)) for case in found if case.family == family)
        for kind, share in kinds.items():
            assert abs(own[kind] - share * families[family]) <= 2 * MOST_OF_A_LAYER


@given(seed=st.integers(0, 50), gigabytes=st.floats(0.01, 40), teraflops=st.floats(0.01, 20))
def test_no_case_is_beyond_the_limits(seed: int, gigabytes: float, teraflops: float) -> None:
    limits = Limits(gigabytes * 1e9, teraflops * 1e12)
    found = taken(300, seed, limits)
    assert len(found) == 300
    assert all(case.touched_bytes <= limits.most_bytes and case.flops <= limits.most_flops for case in found)


def test_limits_that_allow_nothing_give_no_case() -> None:
    assert taken(1, limits=Limits(10, 10)) == []


def test_layers_come_whole_with_small_and_large_amounts_of_work() -> None:
    by_shape: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for case in taken(3000):
        if case.family == "gemm" and kind_of(case) == "linear":
            row = columns_of(case)
            by_shape[tuple(row[name] for name in SHAPE["gemm"])].append(int(row["m"]))
    sizes = [len(rows) for rows in by_shape.values()]
    assert sum(size >= MOST_OF_A_LAYER for size in sizes) >= 0.9 * len(sizes)
    assert all(min(rows) == 1 and max(rows) > 4096 for rows in by_shape.values() if len(rows) >= MOST_OF_A_LAYER)


def test_the_same_seed_draws_the_same_and_no_case_twice() -> None:
    found = taken(2000)
    assert found == taken(2000)
    assert len(set(found)) == len(found)
    assert len({*found} & {*taken(2000, seed=1)}) < 500  # layers of known networks, one token


def test_formats_take_equal_parts() -> None:
    by_dtype = Counter(columns_of(case)["dtype"] for case in taken(1000, dtypes=("bfloat16", "float32")))
    assert abs(by_dtype["bfloat16"] - by_dtype["float32"]) <= len(KINDS) * MOST_OF_A_LAYER


def test_each_table_gets_so_many_rows_and_no_more() -> None:
    found = Counter(case.family for case in cases(KINDS, ["float32"], 0, ROOMY, rows=25))
    assert found == dict.fromkeys(SHARES, 25)


@pytest.mark.parametrize("family", SHARES)
def test_cases_have_the_columns_of_their_family_and_tell_of_kernels(family: str) -> None:
    for case in taken(800):
        if case.family != family:
            continue
        row = columns_of(case)
        needed = MODELLED[family].columns - {"groups", "power_w"}
        assert needed <= row.keys()
        assert all(is_known(str(row[name])) for name, is_known in KNOWN.get(family, {}).items())
        numbers = {name: np.array(value) for name, value in row.items() if isinstance(value, int)}
        assert all(value > 0 or name in ("window", "pad_h", "pad_w") for name, value in numbers.items())
        broken = IMPOSSIBLE.get(family, {}).values()
        assert not any(is_broken({**numbers, "groups": np.array(1)}).any() for is_broken in broken)


def test_models_know_every_stream() -> None:
    assert {op for ops in STREAMS.values() for op in ops} <= VECTOR_OPS.keys()
    assert set(FAMILIES) == set(SHARES)


def test_layers_of_known_networks_are_among_them() -> None:
    llama = next(layer for layer in transformer_layers() if (layer.hidden, layer.inner) == (4096, 14336))
    assert llama.products == ((6144, 4096), (4096, 4096), (28672, 4096), (4096, 14336))
    assert (64, 64, 56, 3, 1) in resnet_layers()
    assert len(transformer_layers()) > 50


@given(seed=st.text(), count=st.integers(1, 512))
def test_points_fill_each_axis_evenly(seed: str, count: int) -> None:
    for axis in zip(*islice(points(seed), count), strict=True):
        assert all(0 <= value < 1 for value in axis)
        quarters = Counter(int(4 * value) for value in axis)
        assert all(abs(quarters[number] - count / 4) <= 5 for number in range(4))
