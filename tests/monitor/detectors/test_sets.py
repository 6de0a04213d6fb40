"""Answers that are sets of labels: seen when they move, quiet when they do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from backstay.kernel.errors import BackstayError
from backstay.monitor.detectors.label_quality import LabelQualityDetector
from backstay.monitor.detectors.prediction import PredictionDetector
from backstay.monitor.detectors.sets import SetsDetector
from backstay.monitor.reference import Reference

LABELS = ("fire", "never", "theft")
CUTS = np.array([0.5, 2.0, 0.6])


def said(rng: np.random.Generator, n: int, *, more: float = 0.0) -> np.ndarray:
    """Members and chances [n, 6]; theft is likelier by `more`, and one label is never said."""
    chances = 1.0 / (1.0 + np.exp(-rng.normal(size=(n, 3)) - np.array([0.0, 0.0, more])))
    return np.concatenate([chances >= CUTS, chances], axis=1).astype(np.float64)


def reference(rng: np.random.Generator, n: int = 1500, **parts: object) -> Reference:
    words = np.full(n, "a set of labels", dtype=object)
    return Reference(words, ("a set of labels",), members=said(rng, n), labels=LABELS, **parts)  # type: ignore[arg-type]


def window(world, rng: np.random.Generator, n: int = 400, **parts):
    more = parts.pop("more", 0.0)
    whole = world.window(n=n)
    words = np.full(n, "a set of labels", dtype=object)
    return replace(whole, predicted=words, scores=None, members=said(rng, n, more=more), **parts)


def test_a_label_that_swells_is_named(world, look):
    rng = np.random.default_rng(0)
    detector = PredictionDetector.fit(reference(rng))
    assert isinstance(detector, SetsDetector)
    signal, _ = detector.look({}, window(world, rng, more=0.8), look())
    assert signal.alarm
    assert "'theft' in the set: " in signal.moved[0]
    assert not any("never" in words for words in signal.moved)
    assert signal.example_ids


def test_a_chance_that_sinks_without_another_answer_is_seen(world, look):
    rng = np.random.default_rng(0)
    detector = SetsDetector.fit(reference(rng))
    quiet = window(world, rng)
    quiet.members[:, 3] = np.where(quiet.members[:, 0] > 0, 0.5 + (quiet.members[:, 3] - 0.5) / 4, quiet.members[:, 3])
    signal, _ = detector.look({}, quiet, look())
    assert signal.alarm
    assert "mean chance of 'fire'" in signal.moved[0]


@pytest.mark.parametrize("times", [15, pytest.param(300, marks=pytest.mark.prove)])
def test_calm_windows_alarm_no_oftener_than_the_level(world, look, times):
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(times):
        detector = SetsDetector.fit(reference(rng, 400))
        alarms += detector.look({}, window(world, rng, 150), look(alpha=0.05))[0].alarm
    assert alarms <= binom.ppf(0.999, times, 0.05)


def test_it_comes_back_from_json_and_says_the_same(world, look):
    rng = np.random.default_rng(0)
    detector = PredictionDetector.fit(reference(rng))
    again = PredictionDetector.from_json(detector.to_json())
    moved = window(world, rng, more=0.8)
    assert again.look({}, moved, look()) == detector.look({}, moved, look())


def test_a_window_without_the_chances_of_these_labels_is_not_judged(world, look):
    rng = np.random.default_rng(0)
    detector = SetsDetector.fit(reference(rng))
    for members in (None, said(rng, 400)[:, :4]):
        signal, _ = detector.look({}, replace(window(world, rng), members=members), look())
        assert not signal.alarm
        assert "not judged" in signal.message


def test_rows_that_were_learned_are_compared_with_nothing(world, look):
    rng = np.random.default_rng(0)
    learned = np.arange(1500) < 700
    sharp = reference(rng, learned=learned)
    sharp.members[:700] = 1.0
    assert not SetsDetector.fit(sharp).look({}, window(world, rng), look())[0].alarm
    assert SetsDetector.fit(replace(sharp, learned=None)).look({}, window(world, rng), look())[0].alarm


def test_a_reference_keeps_its_sets(world):
    kept = reference(np.random.default_rng(0), 50)
    other = replace(kept, members=1.0 - kept.members)
    assert len({kept.digest, other.digest, replace(kept, labels=LABELS[::-1]).digest}) == 3
    np.testing.assert_array_equal(kept.take(np.array([3, 1])).members, kept.members[[3, 1]])


def test_what_reads_classes_leaves_sets_alone():
    assert LabelQualityDetector.fit(reference(np.random.default_rng(0), 50)) is None


def test_the_members_of_a_window_are_one_a_row(world):
    rng = np.random.default_rng(0)
    with pytest.raises(BackstayError, match="3 members"):
        replace(window(world, rng), members=said(rng, 3))
