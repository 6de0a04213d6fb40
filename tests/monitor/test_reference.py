from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from backstay.kernel.errors import BackstayError
from backstay.monitor.reference import fit_reference


@pytest.mark.parametrize("part", ["representation", "scores", "correct", "groups", "columns", "predicted"])
def test_the_digest_tells_any_changed_cell(make_world, part):
    groups = np.array([f"g{i}" for i in range(100)], dtype=object)
    first, other = (make_world(3).reference(100, groups=groups.copy()) for _ in range(2))
    assert first.digest == other.digest
    target = other.columns["plan"] if part == "columns" else getattr(other, part)
    target.flat[-1] = {"groups": "z", "columns": None, "predicted": "other"}.get(part, 0.123)
    assert first.digest != other.digest


def test_embeddings_in_single_precision_stay_so(world):
    rows = np.random.default_rng(0).normal(size=(10, 3))
    predicted = np.array(["cat", "dog"] * 5, dtype=object)
    for kind in (np.float32, np.float64):
        made = fit_reference(predicted, representation=rows.astype(kind))
        assert made.representation.dtype == kind
    whole = fit_reference(predicted, representation=rows.astype(np.int64))
    assert whole.representation.dtype == np.float64
    with pytest.raises(BackstayError, match="NaN"):
        fit_reference(predicted, representation=np.full((10, 3), np.nan, dtype=np.float32))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"scores": np.ones((3, 2))}, "has 3 of scores"),
        ({"scores": np.ones((10, 2))}, "2 scores a row for 3 classes"),
        ({"correct": np.full(10, 0.5)}, "other than 0, 1 and NaN"),
        ({"representation": np.full((10, 2), np.nan)}, "NaN"),
        ({"correct": np.ones(10), "learned": np.ones(10, dtype=bool)}, "trained on as right or wrong"),
    ],
)
def test_bad_parts_are_refused(parts, message):
    with pytest.raises(BackstayError, match=message):
        fit_reference(np.array(["cat", "dog"] * 5, dtype=object), ("cat", "dog", "eel"), **parts)


def test_an_empty_reference_and_an_unknown_class_are_refused():
    with pytest.raises(BackstayError, match="without rows"):
        fit_reference(np.array([], dtype=object))
    with pytest.raises(BackstayError, match="'eel'"):
        fit_reference(np.array(["eel"], dtype=object), ("cat", "dog"))


def test_accuracy_is_of_labelled_rows_only():
    correct = np.array([1.0, 0.0, 1.0, 1.0] + [np.nan] * 6)
    known = fit_reference(np.array(["cat", "dog"] * 5, dtype=object), correct=correct).accuracy()
    assert known is not None
    assert (known.value, known.n) == (0.75, 4)
    assert known.bounds.low < 0.75 < known.bounds.high


def test_rows_of_unknown_truth_are_taken_for_learned_unless_told_otherwise():
    predicted = np.array(["cat", "dog"] * 5, dtype=object)
    correct = np.array([1.0, 0.0, 1.0, 1.0] + [np.nan] * 6)
    assert len(fit_reference(predicted, correct=correct).unlearned()) == 4
    assert len(fit_reference(predicted, correct=correct, learned=np.zeros(10, dtype=bool)).unlearned()) == 10
    assert len(fit_reference(predicted).unlearned()) == 10


def test_rows_of_one_group_count_for_less():
    correct = np.repeat(np.array([1.0, 0.0, 1.0, 1.0] * 10), 5)
    predicted = np.array(["cat", "dog"] * 100, dtype=object)
    groups = np.repeat(np.arange(40), 5).astype(str).astype(object)
    alone, grouped = (fit_reference(predicted, correct=correct, groups=g).accuracy() for g in (None, groups))
    assert alone is not None
    assert grouped is not None
    assert grouped.n_effective < 50 < alone.n_effective


def test_slices_are_taken_with_their_rows(world):
    site = np.array(["north", None] * 50, dtype=object)
    reference = world.reference(100, slices={"site": site})
    assert reference.take(np.array([1, 2])).slices["site"].tolist() == [None, "north"]
    assert dataclasses.replace(reference, slices={}).digest != reference.digest
    with pytest.raises(BackstayError, match="slice 'site'"):
        world.reference(99, slices={"site": site})
