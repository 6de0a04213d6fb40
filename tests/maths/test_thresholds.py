"""The cut of a label against a plain search over all cuts."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from backstay.maths.thresholds import USUAL, best_f1_thresholds


def f1(scores: np.ndarray, truth: np.ndarray, cut: float) -> float:
    said = scores >= cut
    both = int((said & truth).sum())
    return 2 * both / max(int(said.sum()) + int(truth.sum()), 1)


@given(st.integers(0, 10_000), st.integers(12, 40), st.sampled_from([2, 5, 1000]))
def test_no_other_cut_has_a_larger_f1(seed: int, rows: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    scores = np.round(rng.random((rows, 3)) * levels) / levels
    truth = rng.random((rows, 3)) < 0.1 + 0.8 * scores
    cuts = best_f1_thresholds(scores, truth, fewest=1)
    for label, cut in enumerate(cuts):
        there = truth[:, label]
        if 0 < there.sum() < rows:
            best = max(f1(scores[:, label], there, other) for other in [*scores[:, label], 2.0])
            assert f1(scores[:, label], there, cut) == best


def test_a_label_of_few_rows_keeps_the_usual_cut() -> None:
    scores = np.linspace(0, 0.4, 30)[:, None]
    assert best_f1_thresholds(scores, scores > 0.36)[0] == USUAL
    assert best_f1_thresholds(scores, scores > 0.3)[0] < 0.4
    assert best_f1_thresholds(scores, scores >= 0.0)[0] == USUAL
