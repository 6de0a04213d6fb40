from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstay.kernel.errors import BackstayError
from backstay.maths.clusters import clusters
from backstay.maths.gathered import TOGETHER, Gathered
from backstay.maths.meanshift import MeanShift
from backstay.maths.spectrum import MOMENT_ROWS


def gathered(rows: np.ndarray, size: int, groups: np.ndarray | None = None) -> Gathered:
    seen = Gathered(rows.shape[1], clusters(groups, len(rows)))
    for at in range(0, len(rows), size):
        seen.add(rows[at : at + size].copy())
    return seen


@settings(max_examples=20, deadline=None)
@given(size=st.integers(1, 700), offset=st.sampled_from([0.0, 1e3]), single=st.booleans())
def test_mean_covariance_and_rows_are_those_of_all_rows_together(size: int, offset: float, single: bool) -> None:
    rows = np.random.default_rng(size).exponential(size=(600, 4)) + offset
    rows = rows.astype(np.float32) if single else rows
    seen = gathered(rows, size)
    assert seen.mean == pytest.approx(rows.mean(axis=0, dtype=float), abs=2e-6 if single else 1e-9)
    assert seen.covariance == pytest.approx(np.cov(rows.T.astype(float)), abs=1e-5 if single else 1e-10)
    assert np.array_equal(seen.rows, rows)


def test_sums_in_single_precision_are_added_up_in_double() -> None:
    rows = np.random.default_rng(3).normal(size=(4 * TOGETHER, 2)).astype(np.float32)
    assert gathered(rows, 512).covariance == pytest.approx(np.cov(rows.T.astype(float)), rel=1e-5, abs=1e-6)


def test_a_reference_learnt_in_parts_is_the_one_learnt_whole() -> None:
    rng = np.random.default_rng(4)
    rows, window = rng.normal(size=(MOMENT_ROWS + 500, 6)) * np.arange(1, 7), rng.normal(size=(300, 6)) + 0.1
    for groups in (None, np.arange(len(rows)) // 3):
        for whiten in (False, True):
            whole = MeanShift.fit(rows, groups, whiten=whiten).check(window, 0.01)
            parts = MeanShift.of_gathered(gathered(rows, 512, groups), whiten=whiten).check(window, 0.01)
            assert parts.statistic == pytest.approx(whole.statistic)
            assert parts.threshold == pytest.approx(whole.threshold)


def test_too_few_rows_or_rows_all_alike_are_refused() -> None:
    with pytest.raises(BackstayError, match="30 rows"):
        MeanShift.of_gathered(gathered(np.random.default_rng(0).normal(size=(30, 2)), 10))
    with pytest.raises(BackstayError, match="all reference rows are the same"):
        MeanShift.of_gathered(gathered(np.full((100, 2), 0.1, dtype=np.float32), 7))
