"""Accuracy of a window from labels drawn by doubt: each stratum with its rows, and not before most have answered."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backstay.maths.stratified import stratified_mean
from backstay.monitor.conviction import CONVICTS
from backstay.monitor.drawn import from_draw
from backstay.monitor.traffic import Drawn


@pytest.fixture
def draw(begin):
    return Drawn(begin, begin.replace(day=12), rows=(100, 900), labels=(20, 25), right=(12, 24), waiting=5)


def test_strata_count_with_their_rows_not_with_their_labels(draw):
    found = from_draw(draw, 0.001)
    assert found.value == pytest.approx(0.1 * 12 / 20 + 0.9 * 24 / 25)
    wanted = stratified_mean(np.array([12, 24]), np.array([20, 25]), np.array([100, 900]))
    assert (found.interval.low, found.interval.high) == pytest.approx((wanted.low, wanted.high))
    assert (found.n, found.labels, found.refusals) == (1000, 45, ())
    assert found.interval.high < found.figures[CONVICTS] < 1.0


@pytest.mark.parametrize(("waiting", "refused"), [(5, False), (6, True)])
def test_it_is_refused_while_more_than_a_tenth_wait(draw, waiting, refused):
    found = from_draw(replace(draw, waiting=waiting))
    assert (found.value is None) is refused
    assert found.refusals == ((f"{waiting} of {45 + waiting} rows drawn by doubt wait for their label",) * refused)


def test_it_is_refused_where_a_stratum_has_no_label(draw):
    assert from_draw(replace(draw, labels=(0, 45), right=(0, 44))).refusals == ("no row of one stratum has a label",)
