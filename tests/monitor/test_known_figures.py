"""What the reference says of the figure that a project goes by, against plain sums."""

from __future__ import annotations

import numpy as np
import pytest

from backstay.monitor.known_figures import on_reference
from backstay.monitor.reference import Reference


def reference(n: int = 400, **changes) -> Reference:
    rng = np.random.default_rng(5)
    chance = rng.random(n)
    truth = np.where(rng.random(n) < chance, "yes", "no").astype(object)
    answers = np.where(chance > 0.5, "yes", "no").astype(object)
    given = {
        "predicted": answers,
        "classes": ("no", "yes"),
        "scores": np.column_stack([1.0 - chance, chance]),
        "correct": (truth == answers).astype(float),
        "truth": truth,
        **changes,
    }
    return Reference(**given)


def test_the_mean_error_is_that_of_the_rows_whose_error_is_known():
    errors = np.abs(np.random.default_rng(1).normal(size=400))
    errors[:100] = np.nan
    found = on_reference("mae", reference(errors=errors))
    assert found is not None
    assert found.value == pytest.approx(np.nanmean(errors))
    assert found.interval.low < found.value < found.interval.high
    assert found.labels == 300


def test_f1_and_auc_are_those_of_the_labelled_rows():
    given = reference()
    truth, said = given.truth == "yes", given.predicted == "yes"
    f1 = 2 * np.sum(truth & said) / (truth.sum() + said.sum())
    ranks = given.scores[:, 1][truth][:, None] > given.scores[:, 1][~truth][None, :]
    assert on_reference("f1", given).value == pytest.approx(f1)
    assert on_reference("auc", given).value == pytest.approx(ranks.mean())


def test_what_the_reference_does_not_know_is_not_told():
    assert on_reference("mae", reference()) is None
    assert on_reference("mae", reference(errors=np.full(400, np.nan))) is None
    assert on_reference("auc", reference(scores=None)) is None
    assert on_reference("f1", reference(correct=np.full(400, np.nan))) is None
    assert on_reference("f1", reference(truth=None, correct=None)) is None


def test_a_model_without_any_error_has_a_mean_error_of_nothing():
    found = on_reference("mae", reference(errors=np.zeros(400)))
    assert found is not None
    assert found.value == 0.0
