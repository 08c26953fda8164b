"""Columns of streams: what tells one op from another, whatever its size."""

from __future__ import annotations

import numpy as np

from ircost.backends import load_target
from ircost.cost_models.gpu.constants import bundled_constants
from ircost.cost_models.gpu.families import FAMILIES
from ircost.cost_models.gpu.rows import groups_of
from ircost.cost_models.gpu.table_schema import completed
from ircost.cost_models.learned.features import feature_names, number_matrix
from ircost.cost_models.learned.rows import expressed

FAMILY = FAMILIES["vector"]


def columns_of_op(op: str, rows: np.ndarray, cols: np.ndarray) -> dict[str, np.ndarray]:
    """Features of an op's rows in f32, by name."""
    words = {"device": "t4", "dtype": "float32", "framework": "pytorch", "op": op}
    columns = {name: np.full(len(rows), word, dtype=object) for name, word in words.items()}
    whole = completed(FAMILY, {**columns, "rows": rows, "cols": cols, "latency_us": np.ones(len(rows))})
    (group,) = groups_of(FAMILY, whole, load_target)
    assert group.setting is not None
    x = expressed(FAMILY, whole, group.setting, group.labels, bundled_constants().of("vector", group.labels))
    names = feature_names("vector", sees_machine=True)
    return dict(zip(names, number_matrix(x).T, strict=False))


def test_ops_differ_by_what_they_do_for_each_element() -> None:
    rows, cols = np.array([4.0, 1024.0]), np.array([32.0, 8192.0])
    found = {op: columns_of_op(op, rows, cols) for op in ("add", "relu", "pow", "pow_scalar")}
    each = ("flops_by_elements", "special_by_elements", "read_bytes_by_elements", "write_bytes_by_elements")
    told = {op: tuple(tuple(own[name]) for name in each) for op, own in found.items()}
    assert told["add"] == ((1, 1), (0, 0), (8, 8), (4, 4))
    assert told["relu"] == ((1, 1), (0, 0), (4, 4), (4, 4))
    assert len(set(told.values())) == 4


def test_rows_are_told_of_reductions_and_of_element_wise_ops() -> None:
    rows, cols = np.array([4.0, 1024.0]), np.array([32.0, 8192.0])
    for op in ("softmax", "rope"):
        assert columns_of_op(op, rows, cols)["elements_by_row_length"].tolist() == rows.tolist()
