from __future__ import annotations

import json

import numpy as np
import pytest

from backstay.kernel.errors import BackstayError
from backstay.maths.classifier import CLIP, RIDGE, Classifier, StandardMap


def test_the_statistic_is_the_cross_fitted_classifier_averaged_over_all_pairs_of_rows():
    """Over ordered pairs i != j of window rows: the classifier trained on row i, judged on row j."""
    rng = np.random.default_rng(1)
    known, rows = rng.normal(size=(400, 5)), rng.normal(size=(40, 5)) + 0.2
    test = Classifier.fit(known)
    z = (np.clip((known - known.mean(0)) / known.std(0), -CLIP, CLIP), test.map.features(rows))
    inverse = np.linalg.inv(np.cov(z[0].T) + RIDGE * np.eye(5))
    moved = z[1] - z[0].mean(0)
    own = [row @ inverse @ row for row in moved]
    pairs = [moved[i] @ inverse @ moved[j] for i in range(40) for j in range(40) if i != j]
    cross_fitted = np.sum(pairs) / 40**2
    assert np.isclose(test.shift.statistic(z[1].mean(0)), cross_fitted + np.sum(own) / 40**2)


def test_the_map_scales_clips_and_ignores_constants():
    rows = np.column_stack([np.arange(100.0), np.full(100, 7.0)])
    map_ = Classifier.fit(rows).map
    found = map_.features(np.array([[49.5, 7.0], [1e9, 8.0]]))
    assert found.tolist() == [[0.0, 0.0], [CLIP, 0.0]]


def test_wide_rows_are_mixed_into_as_many_directions_as_the_reference_carries():
    rows = np.random.default_rng(2).normal(size=(200, 300))
    map_ = Classifier.fit(rows).map
    assert map_.width == 50
    again = StandardMap.from_json(json.loads(json.dumps(map_.to_json())))
    assert np.array_equal(again.features(rows), map_.features(rows))
    # a change keeps its share of length: 50 of 300
    moved = map_.features(rows + 0.1 * map_.scale) - map_.features(rows)
    assert 0.3 < (moved**2).sum(1).mean() / (0.01 * 300 * 50 / 300) < 3


def test_a_map_of_version_1_computes_as_it_always_did():
    rows = np.random.default_rng(2).normal(2.0, 3.0, size=(200, 6))
    map_ = Classifier.fit(rows).map
    state = json.loads(json.dumps(map_.to_json()))
    assert state["version"] == 2
    old = StandardMap.from_json({**state, "version": 1})
    assert old.to_json()["version"] == 1
    by_hand = np.clip((rows - map_.centre) / map_.scale, -CLIP, CLIP)
    assert np.array_equal(old.features(rows), by_hand)
    assert map_.features(rows).dtype == np.float32
    assert map_.features(rows) == pytest.approx(by_hand, abs=1e-5)


def test_a_map_of_another_space_or_version_is_refused():
    map_ = Classifier.fit(np.random.default_rng(0).normal(size=(100, 4))).map
    with pytest.raises(BackstayError, match="rows of 3 numbers"):
        map_.features(np.zeros((2, 3)))
    with pytest.raises(BackstayError, match="version 9"):
        StandardMap.from_json({**map_.to_json(), "version": 9})


def test_json_and_back_is_exact():
    rng = np.random.default_rng(3)
    test = Classifier.fit(rng.normal(size=(300, 6)), groups=np.arange(300) // 3)
    again = Classifier.from_json(json.loads(json.dumps(test.to_json())))
    window = test.map.features(rng.normal(size=(60, 6)))
    assert again.shift.check(window, 0.01) == test.shift.check(window, 0.01)
