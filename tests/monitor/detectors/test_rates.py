from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from backstay.monitor.detectors.rates import Share, group_means


def alarm_rate(truth: float, reference: Share, rows: int, alpha: float) -> float:
    """The exact chance of an alarm, given the reference: no simulation."""
    counts = np.arange(rows + 1)
    alarms = np.array([reference.evidence(Share(float(c), float(rows)), alpha) >= 1.0 for c in counts])
    return float(binom.pmf(counts, rows, truth)[alarms].sum())


@pytest.mark.parametrize("truth", [0.0005, 0.01, 0.2])
@pytest.mark.parametrize("rows", [100, 2000])
def test_ninety_five_of_a_hundred_references_keep_the_level_exactly(truth, rows):
    alpha, n = 0.01, 500
    counts = np.arange(n + 1)
    chances = binom.pmf(counts, n, truth)
    likely = counts[chances > 1e-9]
    rates = np.array([alarm_rate(truth, Share(float(c), float(n)), rows, alpha) for c in likely])
    assert chances[likely][rates > alpha].sum() <= 0.05
    assert float(chances[likely] @ rates) <= 1.5 * alpha


def test_the_point_estimate_as_null_breaks_the_promise():
    """The mutant: without the reference's error a third of references alarm too often."""
    truth, n, rows, alpha = 0.01, 500, 2000, 0.01
    counts = np.arange(21)
    rates = np.array([binom.sf(binom.isf(alpha, rows, max(c / n, 1e-4)), rows, truth) for c in counts])
    assert binom.pmf(counts, n, truth)[rates > alpha].sum() > 0.3


def test_evidence_is_one_exactly_where_the_tail_falls_to_alpha():
    reference = Share(3.0, 1000.0)
    needed = next(c for c in range(301) if binom.sf(c - 1, 300, reference.allowed) <= 0.001)
    assert reference.evidence(Share(needed, 300.0), 0.001) >= 1.0
    assert reference.evidence(Share(needed - 1.0, 300.0), 0.001) < 1.0


def test_a_window_too_small_to_alarm_never_does():
    assert Share(0.0, 20.0).evidence(Share(2.0, 2.0), 0.001) < 1.0


def test_rows_of_one_group_count_as_one_row():
    marks = np.repeat([True, False, False, False], 50)
    codes = np.repeat([5, 2, 3, 4], 50)
    assert Share.of(marks, codes) == Share(1.0, 4.0)
    assert Share.of(marks) == Share(50.0, 200.0)
    assert group_means(np.array([1.0, 3.0, 7.0]), np.array([9, 9, 1])).tolist() == [7.0, 2.0]
    assert Share.from_json(Share(1.5, 4.0).to_json()) == Share(1.5, 4.0)
