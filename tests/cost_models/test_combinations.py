"""Words that were met, but never together, are as far away as words that were never met."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ircost.backends import load_target
from ircost.cost_models.learned.combinations import COLUMNS, combinations, is_combined_anew
from ircost.cost_models.learned.held_out import cells_of
from ircost.cost_models.learned.rows import Rows
from ircost.cost_models.learned.storage import bundled_models
from ircost.cost_models.row_estimates import RowEstimates, estimate_rows

WORDS = st.tuples(*[st.one_of(st.integers(0, 3).map(float), st.just(np.nan))] * COLUMNS)


@given(known=st.lists(WORDS, min_size=1, max_size=20), asked=st.lists(WORDS, min_size=1, max_size=20))
def test_what_is_anew_is_what_no_row_had(known: list[tuple[float, ...]], asked: list[tuple[float, ...]]) -> None:
    rows, others = (np.array([[0.5, *words] for words in own], dtype=np.float32) for own in (known, asked))
    expected = [not any(np.isnan(words)) and words not in known for words in asked]
    assert is_combined_anew(others, combinations(rows)).tolist() == expected
    assert not is_combined_anew(rows, combinations(rows)).any()


def test_cells_are_told_apart_beyond_a_hundred_words() -> None:
    """Runtimes, formats and machines, with words that were never met."""
    words = [(runtime, dtype, device) for runtime in (0, 1, np.nan) for dtype in (0, 1) for device in (0, 99, 100, 200)]
    features = np.zeros((len(words), 1 + COLUMNS), dtype=np.float32)
    features[:, [-COLUMNS, 1 - COLUMNS, -1]] = words
    arrays = {own.name: features for own in fields(Rows) if own.name != "family"}
    assert len(np.unique(cells_of(Rows(family="gemm", **arrays)))) == len(words)


def test_a_format_that_a_runtime_was_never_measured_in_has_no_grade_a() -> None:
    """Products in f32 were measured, and vLLM on an H100, but not both: intervals are half as wide again, and more."""
    sizes = np.round(2 ** np.random.default_rng(0).uniform(3, 13, (3, 400)))

    def found(dtype: str) -> RowEstimates:
        words = {"dtype": dtype, "device": "h100", "framework": "vllm"}
        columns = {
            **dict(zip("mnk", sizes, strict=True)),
            **{name: np.full(sizes.shape[1], word, dtype=object) for name, word in words.items()},
        }
        return estimate_rows(columns, "products", load_target, "hybrid", bundled_models())

    met, anew = found("bfloat16"), found("float32")
    assert (met.grade == "A").mean() > 0.5 and not (anew.grade == "A").any()
    assert np.median(np.log(anew.high_s / anew.low_s) / np.log(met.high_s / met.low_s)) > 1.5
