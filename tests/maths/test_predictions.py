from __future__ import annotations

import json

import numpy as np
import pytest

from backstay.kernel.errors import BackstayError
from backstay.maths.meanshift import MeanShift
from backstay.maths.predictions import PredictionMap


def test_features_by_hand() -> None:
    scores = np.array([[0.5, 0.5, 0.0], [0.1, 0.1, 0.8]])
    features = PredictionMap(3, scored=True).features(np.array([0, 2]), scores)
    entropy = -(0.1 * np.log(0.1) * 2 + 0.8 * np.log(0.8)) / np.log(3)
    assert features[0] == pytest.approx([1, 0, 0, 0.5, 0.5, 0, 0.5, np.log(2) / np.log(3)])
    assert features[1] == pytest.approx([0, 0, 1, 0.1, 0.1, 0.8, 0.8, entropy])
    assert PredictionMap(3, scored=False).features(np.array([1])).tolist() == [[0, 1, 0]]


def test_less_confidence_with_the_same_classes_is_found() -> None:
    rng = np.random.default_rng(0)

    def outputs(n: int, sharpness: float) -> np.ndarray:
        z = rng.normal(size=(n, 4)) * sharpness
        scores = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        return PredictionMap(4, scored=True).features(scores.argmax(axis=1), scores)

    shift = MeanShift.fit(outputs(2000, 3.0), whiten=True)
    assert shift.check(outputs(400, 2.2), 0.001).alarm
    assert not shift.check(outputs(400, 3.0), 0.001).alarm


def test_json_and_refusals() -> None:
    map_ = PredictionMap(3, scored=True)
    assert PredictionMap.from_json(json.loads(json.dumps(map_.to_json()))) == map_
    with pytest.raises(BackstayError, match="outside 0 to 2"):
        map_.features(np.array([3]), np.zeros((1, 3)))
    with pytest.raises(BackstayError, match="scores are missing"):
        map_.features(np.array([0]))
    with pytest.raises(BackstayError, match="shape"):
        map_.features(np.array([0]), np.zeros((1, 2)))
    with pytest.raises(BackstayError, match="1 classes"):
        PredictionMap(1, scored=False)


@pytest.mark.parametrize("scored", [True, False])
def test_sums_are_those_of_the_features(scored):
    rng = np.random.default_rng(5)
    scores = rng.dirichlet(np.ones(4), size=200)
    codes = scores.argmax(axis=1)
    map_ = PredictionMap(4, scored)
    found = map_.sums(np.bincount(codes, minlength=4), scores if scored else None)
    assert found == pytest.approx(map_.features(codes, scores).sum(axis=0), rel=1e-12)


def test_sums_of_other_shapes_are_refused():
    map_ = PredictionMap(2, scored=True)
    for counts, scores in (([1, 1, 0], np.ones((2, 2))), ([1, 1], np.ones((3, 2))), ([1, 1], None)):
        with pytest.raises(BackstayError):
            map_.sums(np.array(counts), scores)
