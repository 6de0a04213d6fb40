from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pytest

from backstay.kernel.errors import BackstayError
from backstay.monitor.detectors.labelled_error import LabelledErrorDetector

DETECTOR = LabelledErrorDetector(errors=50.0, n=1000.0)


def batch(world, make_label, begin, n: int, error: float, week: int = 0, **changes):
    """A window with n labels, each wrong with chance `error`."""
    window = world.window(week, n=30)
    wrong = world.rng.random(n) < error
    at = begin + timedelta(days=7 * week)
    rows = tuple(
        make_label(f"{week}-{i}", "cat", "dog" if bad else "cat", at + timedelta(minutes=i), **changes)
        for i, bad in enumerate(wrong)
    )
    return replace(window, labels=rows)


def run(world, make_label, begin, look, errors, n: int = 12, **changes):
    state, signals = {}, []
    for week, error in enumerate(errors):
        window = batch(world, make_label, begin, n, error, week, **changes)
        signal, state = DETECTOR.look(state, window, look(years=(week + 1) / 52))
        signals.append(signal)
    return signals, state


def test_the_null_holds_the_luck_of_the_reference_and_the_tolerance():
    assert DETECTOR.null(0.02) > 0.05 + 0.02
    assert DETECTOR.null(0.02) < 0.09


def test_a_worse_model_is_found_within_two_months_of_labels(make_world, make_label, begin, look):
    found = 0
    for seed in range(20):
        signals, _ = run(make_world(seed), make_label, begin, look, [0.26] * 8)
        found += any(signal.alarm for signal in signals)
    assert found >= 18


def test_quiet_years_stay_within_the_budget(make_world, make_label, begin, look):
    """40 years at the reference's own upper bound: .4 false alarms a year are allowed, 16 in all."""
    openings = 0
    for seed in range(40):
        signals, _ = run(make_world(100 + seed), make_label, begin, look, [0.07] * 52)
        alarms = [False, *(signal.alarm for signal in signals)]
        openings += sum(now and not before for before, now in pairwise(alarms))
    assert openings <= 16


def test_a_mutant_that_bets_against_the_point_estimate_alarms_more(make_world, make_label, begin, look, monkeypatch):
    """A reference that was lucky: 5% seen, 7% true. The bound forgives it, the point estimate does not."""
    errors = [0.07] * 40

    def alarmed() -> int:
        return sum(
            any(s.alarm for s in run(make_world(seed), make_label, begin, look, errors)[0]) for seed in range(20)
        )

    kept = alarmed()
    monkeypatch.setattr(LabelledErrorDetector, "null", lambda self, tolerance: self.errors / self.n)
    assert kept <= 6
    assert alarmed() >= kept + 5


def test_labels_that_nobody_drew_are_left_out(world, make_label, begin, look):
    """Only wrong answers are complained of: selective labels would convict any model."""
    signals, _ = run(world, make_label, begin, look, [1.0] * 4, probability=None)
    assert not any(signal.alarm for signal in signals)
    assert "12 labels do not speak for all traffic" in signals[0].message
    assert "kept for training or the gate" in signals[0].message
    convicted, _ = run(world, make_label, begin, look, [1.0] * 4)
    assert any(signal.alarm for signal in convicted)


def test_a_census_needs_no_probability(world, make_label, begin, look):
    signals, _ = run(world, make_label, begin, look, [0.5] * 6, probability=None, census=True)
    assert any(signal.alarm for signal in signals)


def test_an_alarm_stands_until_labels_say_that_it_is_over(world, make_label, begin, look):
    signals, _ = run(world, make_label, begin, look, [0.6] * 6 + [0.0] * 14)
    alarms = [signal.alarm for signal in signals]
    first = alarms.index(True)
    assert all(alarms[first : first + 4])
    assert not alarms[-1]
    assert signals[first].evidence >= 1 > signals[-1].evidence
    # Its bets begin anew at the alarm, so that their size would say "1.0 times" of the worst model too.
    assert all("the alarm stands until 30 labels after it are within that" in s.message for s in signals if s.alarm)
    assert not any("times what would alarm" in s.message for s in signals)
    assert "of what would alarm" in signals[-1].message


def test_steps_are_rationed_however_many_labels_come(world, make_label, begin, look):
    signals, state = run(world, make_label, begin, look, [0.05] * 10, n=900)
    planned = 600 * (10 / 52 + 1 / 12)
    assert state["detector"]["steps"] <= planned + 10
    spent = sum(signal.alpha for signal in signals)
    assert spent <= 0.4 * (10 / 52 + 1 / 12) / (13 / 12) + 0.01


def test_a_small_rise_in_a_large_census_is_found(world, make_label, begin, look):
    signals, _ = run(world, make_label, begin, look, [0.05] * 2 + [0.14] * 8, n=900)
    assert any(signal.alarm for signal in signals[2:])


def test_confusions_and_examples_are_shown(world, make_label, begin, look):
    signals, _ = run(world, make_label, begin, look, [0.9] * 3)
    last = signals[-1]
    assert last.moved[0].startswith("model says 'cat', label says 'dog': ")
    assert last.example_ids


def test_no_labels_yet_is_not_judged(world, look):
    signal, state = DETECTOR.look({}, world.window(), look())
    assert signal.figures["judged"] is False
    assert DETECTOR.look(state, world.window(1), look())[0].figures["judged"] is False


def test_another_tolerance_begins_a_new_bet(world, make_label, begin, look):
    _, state = run(world, make_label, begin, look, [0.2] * 3)
    _, after = DETECTOR.look(state, world.window(4), look(tolerance=0.2))
    assert after["detector"]["m0"] == pytest.approx(DETECTOR.null(0.2))
    assert after["detector"]["rows"] == 36
    assert all(r is None for r in after["detector"]["log_r"])


def test_a_reference_without_truth_is_an_error_with_a_fix(world):
    with pytest.raises(BackstayError, match="give reference rows with labels"):
        LabelledErrorDetector.fit(world.reference(100, correct=None))
    assert np.isclose(LabelledErrorDetector.fit(world.reference(400)).n, 400)


def test_quiet_words_do_not_contradict_their_own_figures(world, make_label, begin, look):
    def told(wrong: int) -> str:
        bad = [i * 37 % 100 < wrong for i in range(100)]  # spread over the labels, so that no run of them alarms
        rows = tuple(
            make_label(f"{i}", "cat", "dog" if bad[i] else "cat", begin + timedelta(minutes=i)) for i in range(100)
        )
        signal, _ = lenient.look({}, replace(world.window(0, n=30), labels=rows), look())
        assert not signal.alarm
        return signal.message

    lenient = LabelledErrorDetector(errors=19.0, n=100.0)
    accepted = int(lenient.null(look().tolerance) * 100)
    above = f"errors are not yet shown to be more than is accepted: of the last 100 labels {accepted + 1} say"
    assert told(accepted + 1).startswith(above)
    assert told(accepted).startswith(f"errors are within what is accepted: of the last 100 labels {accepted} say")


def test_right_means_the_same_in_the_sentence_as_in_the_bet(world, make_label, begin, look):
    """A number near enough, and a rightly declined row, are not the label's text and still right."""
    near = replace(make_label("a", "101.5", "100", begin), error=1.5, limit=2.0)
    far = replace(make_label("b", "109.0", "100", begin), error=9.0, limit=2.0)
    none = replace(make_label("c", "none of these", "cumin", begin), declined=True)
    window = replace(world.window(0, n=30), labels=(near, far, none))
    signal, state = DETECTOR.look({}, window, look())
    assert "of the last 3 labels 1 say that the model was wrong" in signal.message
    older = {**state, "recent": [["cat", "cat"], ["cat", "dog"]]}  # as they were kept before
    assert "of the last 5 labels 2 say" in DETECTOR.look(older, window, look())[0].message
