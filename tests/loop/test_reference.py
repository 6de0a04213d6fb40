"""What a release is compared with: which of its rows may speak of accuracy, and which may judge a successor."""

from __future__ import annotations

import numpy as np

from backstay.loop.reference import gate_rows, reference_of, uses_of


def test_only_rows_that_nothing_learned_from_speak_of_accuracy_and_judge_a_successor(trained):
    ws = trained.open().ws
    release = ws.champion()
    table, _ = ws.rows_of(release.reference_id)
    unseen = uses_of(table) == "gate"
    assert 0 < unseen.sum() < len(unseen)
    reference = reference_of(ws, release)
    np.testing.assert_array_equal(np.isfinite(reference.correct), unseen)
    assert reference.accuracy().n == gate_rows(ws, release).table.num_rows == unseen.sum()
