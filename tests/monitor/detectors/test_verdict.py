"""What is said of a reference that is too small, and when more rows are asked for."""

from __future__ import annotations

import numpy as np
import pytest

from backstay.maths.meanshift import MeanShift
from backstay.monitor.detectors.verdict import more_rows
from backstay.monitor.reference import MOST_REFERENCE_ROWS

ALPHA = 0.001


def said(reference: int, window: int, **most):
    shift = MeanShift.fit(np.random.default_rng(3).normal(size=(reference, 1)))
    result = shift.check_mean(shift.mean, window, ALPHA)
    return result, *more_rows(shift, result, ALPHA, **most)


def test_no_rows_are_asked_for_to_see_what_hardly_matters():
    result, words, wanted = said(20_000, 240_000)
    assert result.inflation > 1.5
    assert result.minimum_detectable < 0.05
    assert words == (
        f"; with 20000 reference rows a shift below {result.minimum_detectable:.2f} standard deviations may go unseen"
    )
    assert wanted == {}


def test_never_are_more_rows_asked_for_than_are_looked_at():
    result, words, wanted = said(1500, 400_000)
    assert result.minimum_detectable >= 0.05
    assert wanted == {"reference_rows_wanted": MOST_REFERENCE_ROWS}
    assert words.endswith(f"ask for more reference rows: {MOST_REFERENCE_ROWS}")
    assert said(1500, 400_000, most=5000)[2] == {"reference_rows_wanted": 5000}


@pytest.mark.parametrize("most", [1500, 1600])
def test_rows_that_buy_nothing_are_not_asked_for_and_the_shift_is_told(most):
    _, words, wanted = said(1500, 400_000, most=most)
    assert wanted == {}
    assert words.endswith("standard deviations may go unseen")
