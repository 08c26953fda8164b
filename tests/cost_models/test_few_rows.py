"""Few long rows that one block each normalises: most processors are idle. Sums of whole tensors are shared out."""

from __future__ import annotations

import numpy as np
import pytest

from ircost.backends import load_target
from ircost.cost_models.analytical import Analytical
from ircost.cost_models.kernel_table import kernel_table
from ircost.cost_models.row_estimates import estimate_rows
from ircost.ir.parser import parse_module


def latencies_s(op: str, rows: list[int], cols: int) -> np.ndarray:
    count = len(rows)
    columns = {
        **{name: np.full(count, word, dtype=object) for name, word in (("device", "h100"), ("op", op))},
        **{"dtype": np.full(count, "float32", dtype=object), "rows": np.array(rows, float)},
        "cols": np.full(count, float(cols)),
    }
    found: np.ndarray = estimate_rows(columns, "rows", load_target, "analytical").latency_s
    return found


@pytest.mark.parametrize("op", ["layer_norm", "softmax", "rms_norm"])
def test_a_row_more_costs_nothing_while_processors_are_idle(op: str) -> None:
    """KernelBench measured 8.1 ms for 16 rows of 4 million elements (layer norm, H100): 24 times what bytes take."""
    one, some, all_busy = latencies_s(op, [1, 16, 132], 4_194_304)
    assert some == pytest.approx(one, rel=0.2)
    assert all_busy < 3 * some
    (bytes_alone,) = latencies_s("mul_scalar", [16], 4_194_304)
    assert some > 3 * bytes_alone


@pytest.mark.parametrize(("op", "is_alone"), [("softmax %x", True), ("relu %x", False)])
def test_networks_have_it_too(op: str, is_alone: bool) -> None:
    """As of a group norm of an image, 32 groups; what needs no row is shared out over all processors."""
    text = "func @main(%x: {rows}x4194304xf32) -> ({rows}x4194304xf32) {{ %y = {op} return %y }}"
    few, many = (
        Analytical().estimate(kernel_table(parse_module(text.format(rows=rows, op=op))), load_target("h100")).latency_s
        for rows in (33, 132)
    )
    assert (many < 1.5 * few) == is_alone
