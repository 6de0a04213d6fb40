from __future__ import annotations

import numpy as np
import pytest

from backstay.kernel.errors import BackstayError
from backstay.monitor.detectors.prediction import PredictionDetector


def test_it_says_which_class_swelled(world, look):
    detector = PredictionDetector.fit(world.reference(2000))
    signal, _ = detector.look({}, world.window(n=800, shift=1.0), look())
    assert signal.alarm
    assert any(words.startswith("answers 'cat': ") for words in signal.moved)


def test_a_class_never_seen_is_seen_without_scores(world, look):
    detector = PredictionDetector.fit(world.reference(2000, scores=None))
    window = world.window(n=400, scores=None)
    window.predicted[:40] = "fox"
    signal, _ = detector.look({}, window, look())
    assert signal.alarm
    assert "'(new class)': 0.0% -> 10.0%" in signal.moved[0]


def test_an_unknown_class_beside_scores_is_an_error_with_a_fix(world, look):
    detector = PredictionDetector.fit(world.reference(500))
    window = world.window(n=100)
    window.predicted[3] = "fox"
    with pytest.raises(BackstayError, match="'fox'") as raised:
        detector.look({}, window, look())
    assert "names all classes" in raised.value.fix


def test_scores_of_learned_rows_are_compared_with_nothing(world, look):
    learned = np.arange(2000) < 1000
    reference = world.reference(2000, correct=None, learned=learned)
    sharp = reference.scores[:1000] ** 8
    reference.scores[:1000] = sharp / sharp.sum(axis=1, keepdims=True)
    assert not PredictionDetector.fit(reference).look({}, world.window(n=500), look())[0].alarm
    mutant = type(reference)(reference.predicted, reference.classes, scores=reference.scores)
    assert PredictionDetector.fit(mutant).look({}, world.window(n=500), look())[0].alarm


def test_a_model_with_one_answer_and_no_scores_is_not_watched(world):
    reference = world.reference(200, scores=None)
    reference.predicted[:] = "cat"
    assert PredictionDetector.fit(reference) is None


def test_more_rows_that_are_none_of_these_are_seen_beside_scores(world, look):
    reference = world.reference(2000, none_label="none")
    assert reference.none_label not in reference.classes
    detector = PredictionDetector.fit(reference)
    calm, stirred = world.window(n=400), world.window(n=400)
    assert not detector.look({}, calm, look())[0].alarm
    stirred.predicted[:60] = "none"
    signal, _ = detector.look({}, stirred, look())
    assert signal.alarm
    assert signal.moved[0] == "answers 'none': 0.0% -> 15.0%"
    again = PredictionDetector.from_json(detector.to_json())
    assert again.look({}, stirred, look())[0].evidence == signal.evidence
