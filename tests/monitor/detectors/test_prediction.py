from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from backstay.kernel.errors import BackstayError
from backstay.maths.meanshift import MeanShift
from backstay.monitor.detectors.prediction import PredictionDetector
from backstay.monitor.reference import fit_reference


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


def unsure(rng, n, classes, share=0.0):
    """Answers and scores of a model of many classes, a share of the rows without any favourite."""
    logits = rng.normal(size=(n, classes))
    logits[np.arange(n), rng.integers(classes, size=n)] += rng.uniform(0.0, 9.0, n) * (rng.random(n) >= share)
    scores = np.exp(logits)
    scores /= scores.sum(axis=1, keepdims=True)
    return np.array([str(code) for code in scores.argmax(axis=1)], dtype=object), scores


@pytest.mark.parametrize(("classes", "tests"), [(3, 1), (8, 2)])
def test_all_tests_of_a_look_together_spend_its_level(world, look, monkeypatch, classes, tests):
    spent, real = [], MeanShift.check_mean

    def counted(*given):
        spent.append(given[3])
        return real(*given)

    rng, names = np.random.default_rng(4), tuple(str(code) for code in range(classes))
    predicted, scores = unsure(rng, 900, classes)
    detector = PredictionDetector.fit(fit_reference(predicted, names, scores=scores))
    predicted, scores = unsure(rng, 300, classes)
    monkeypatch.setattr(MeanShift, "check_mean", counted)
    signal, _ = detector.look({}, replace(world.window(n=300), predicted=predicted, scores=scores), look(0.006))
    assert len(spent) == tests
    assert sum(spent) == pytest.approx(signal.alpha) == pytest.approx(0.006)


def test_a_few_unsure_rows_are_seen_among_many_classes(world, look):
    rng, classes = np.random.default_rng(4), tuple(str(code) for code in range(40))
    predicted, scores = unsure(rng, 4000, 40)
    detector = PredictionDetector.fit(fit_reference(predicted, classes, scores=scores))
    joint_only = replace(detector, sure=None)
    found = []
    for share in (0.0, 0.1):
        answers, likely = unsure(rng, 1000, 40, share)
        window = replace(world.window(n=1000), predicted=answers, scores=likely)
        found.append((detector.look({}, window, look())[0], joint_only.look({}, window, look())[0]))
    (calm, _), (stirred, without) = found
    assert not calm.alarm
    assert stirred.alarm
    assert not without.alarm
    assert stirred.moved[0].startswith("mean confidence: ")
    assert stirred.figures["evidence_sureness"] == stirred.evidence > stirred.figures["evidence_answers"]
    rows = [int(np.flatnonzero(window.ids == one)[0]) for one in stirred.example_ids]
    assert likely[rows].max(axis=1).max() < np.quantile(likely.max(axis=1), 0.1)
    again = PredictionDetector.from_json(detector.to_json())
    assert again.look({}, window, look())[0].evidence == stirred.evidence


@pytest.mark.prove
def test_two_tests_keep_the_level_of_one(world, look):
    """150 references of ten classes, 20 windows each, at .05."""
    rng, classes = np.random.default_rng(5), tuple(str(code) for code in range(10))
    alarms = 0
    for _ in range(150):
        predicted, scores = unsure(rng, 1000, 10)
        detector = PredictionDetector.fit(fit_reference(predicted, classes, scores=scores))
        for _ in range(20):
            answers, likely = unsure(rng, 300, 10)
            window = replace(world.window(n=300), predicted=answers, scores=likely)
            alarms += detector.look({}, window, look(alpha=0.05))[0].alarm
    print("alarms in 3000 windows at .05:", alarms)
    assert alarms <= binom.ppf(0.999, 3000, 0.05)
