from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from backstay.kernel.errors import BackstayError
from backstay.monitor.detectors.confident_errors import DOUBTED, LEAST, POOLED, ConfidentErrorsDetector


@pytest.fixture(scope="module")
def detector_of():
    """One fitted detector for all tests of a world: they look, and do not change it."""
    kept = {}

    def fitted(world):
        if not kept:
            kept["it"] = ConfidentErrorsDetector.fit(world.reference(2000, columns=False))
        return kept["it"]

    return fitted


def looks(detector, world, look, weeks, labels=12, state=None, **given):
    state, signals = state or {}, []
    for week in weeks:
        signal, state = detector.look(state, world.window(week, n=100, labels=labels, **given), look(0.004))
        signals.append(signal)
    return signals, state


def test_swapped_labels_are_found_within_weeks_and_the_mistakes_are_shown(make_world, detector_of, look):
    for seed in range(5):
        world = make_world(seed)
        quiet, state = looks(detector_of(world), world, look, range(10))
        found, _ = looks(detector_of(world), world, look, range(10, 14), state=state, swapped=True)
        assert not any(signal.alarm for signal in quiet)
        assert found[-1].alarm
        assert found[-1].evidence >= 1.0
    last = found[-1]
    assert last.moved[0].startswith("mistakes where the model was sure: ")
    assert last.moved[0].endswith(" expected")
    assert last.message.startswith("labels say that what is right has changed: mistakes where the model was sure: ")
    assert 0 < len(last.example_ids) <= 8
    assert last.figures["sure_wrong"] > 3 * last.figures["sure_expected"]


def test_examples_are_mistakes_the_surest_first(world, detector_of, look):
    window = world.window(0, n=200, labels=60, swapped=True)
    signal, _ = detector_of(world).look({}, window, look(0.01))
    tops = {row.label.prediction_id: max(row.scores) for row in window.labels if not row.correct}
    assert signal.alarm
    assert set(signal.example_ids) <= set(tops)
    surest = [tops[i] for i in signal.example_ids]
    assert surest == sorted(surest, reverse=True)


def test_inputs_of_another_mix_move_nothing(make_world, detector_of, look):
    """The rows lie elsewhere, accuracy with them; what is right given the input is as it was."""
    alarms = 0
    for seed in range(8):
        world = make_world(50 + seed)
        signals, _ = looks(detector_of(world), world, look, range(8), labels=40, shift=-0.8)
        alarms += sum(signal.alarm for signal in signals)
    assert alarms <= 1


def test_each_look_spends_its_level_and_one_without_new_labels_nothing(world, detector_of, look):
    (first,), state = looks(detector_of(world), world, look, [0], labels=12)
    assert first.alpha == 0.004
    signal, after = detector_of(world).look(state, world.window(1), look(0.004))
    assert signal.alpha == 0.0
    assert signal.figures["judged"]
    assert signal.figures["labels"] == 12
    assert after["recent"] == state["recent"]


def test_no_evidence_is_told_as_nought(world, detector_of, look):
    """A look without new labels has a chance of 1, whose logarithm over that of the level is -0.0."""
    _, state = looks(detector_of(world), world, look, [0], labels=12)
    signal, _ = detector_of(world).look(state, world.window(1), look(0.004))
    assert str(signal.evidence) == "0.0"
    assert "(0.00 of what would alarm)" in signal.message


@pytest.mark.parametrize("swapped", [True, False])
def test_what_makes_somebody_doubt_is_not_told_as_well(world, detector_of, look, swapped):
    """At a level at which a dozen labels cannot alarm. The headline asks for labels by this very count."""
    signal, _ = detector_of(world).look({}, world.window(0, n=100, labels=12, swapped=swapped), look(1e-12))
    assert not signal.alarm
    assert (signal.figures["beyond_tolerance"] and signal.figures["p_value"] <= DOUBTED) is swapped
    said = "more than chance alone would give, too little for an alarm" if swapped else "the model errs where it may"
    assert signal.message.startswith(f"{said}: mistakes where the model was sure: ")


def test_few_labels_are_not_judged(world, detector_of, look):
    (signal,), state = looks(detector_of(world), world, look, [0], labels=LEAST - 1)
    assert signal.figures["judged"] is False
    assert f"9 labels of a standing sample, at least {LEAST} are needed" in signal.message
    (later,), _ = looks(detector_of(world), world, look, [1], labels=1, state=state)
    assert later.figures["judged"]


def test_old_labels_are_looked_at_beside_new_ones_up_to_fifty(world, detector_of, look):
    signals, state = looks(detector_of(world), world, look, range(6), labels=12)
    assert [signal.figures["labels"] for signal in signals] == [12, 24, 36, 48, 50, 50]
    (many,), state = looks(detector_of(world), world, look, [6], labels=90, state=state)
    assert many.figures["labels"] == 90
    assert len(state["recent"]) == POOLED


def test_labels_that_nobody_drew_or_without_scores_are_left_out(world, detector_of, look):
    detector = detector_of(world)
    window = world.window(0, n=100, labels=40, swapped=True, probability=None)
    signal, _ = detector.look({}, window, look())
    assert not signal.alarm
    assert "40 labels do not speak for all traffic" in signal.message
    bare = replace(window, labels=tuple(replace(row, scores=None, census=True) for row in window.labels))
    assert detector.look({}, bare, look())[0].figures["judged"] is False
    told = replace(window, labels=tuple(replace(row, census=True) for row in window.labels))
    assert detector.look({}, told, look())[0].alarm


def test_of_one_group_one_label_counts(world, detector_of, look):
    window = world.window(0, n=100, labels=40, swapped=True)
    rows = tuple(replace(row, label=replace(row.label, group=f"g{i % 12}")) for i, row in enumerate(window.labels))
    signal, state = detector_of(world).look({}, replace(window, labels=rows), look())
    assert signal.figures["labels"] == 12
    again, _ = detector_of(world).look(state, replace(window, labels=rows), look())
    assert again.alpha == 0.0


def test_slips_within_the_tolerance_are_no_alarm_however_many_labels_come(world, detector_of, look):
    """One label in sixty slips: 4,000 labels prove it, and nobody minds."""
    window = world.window(0, n=4000, labels=4000)
    rows = list(window.labels)
    for i in range(0, len(rows), 60):
        rows[i] = replace(rows[i], label=replace(rows[i].label, value="cat" if rows[i].label.value != "cat" else "eel"))
    window = replace(window, labels=tuple(rows))
    strict, _ = detector_of(world).look({}, window, look(0.05, tolerance=0.0))
    signal, _ = detector_of(world).look({}, window, look(0.05))
    assert strict.alarm
    assert not signal.alarm
    assert signal.figures["p_value"] == strict.figures["p_value"] < 0.05


def test_an_alarm_stands_until_thirty_labels_say_that_it_is_over(world, detector_of, look):
    found, state = looks(detector_of(world), world, look, range(4), labels=15, swapped=True)
    assert found[-1].alarm
    after, _ = looks(detector_of(world), world, look, range(4, 12), labels=15, state=state)
    assert after[0].alarm
    assert not after[-1].alarm


def test_a_restart_between_looks_changes_nothing(make_world, detector_of, look):
    def seen(restarted: bool):
        world = make_world(7)
        detector, state, signals = detector_of(world), {}, []
        for week in range(5):
            if restarted:
                detector = ConfidentErrorsDetector.from_json(json.loads(json.dumps(detector.to_json())))
                state = json.loads(json.dumps(state))
            signal, state = detector.look(state, world.window(week, n=60, labels=20, swapped=week > 2), look())
            signals.append(signal)
        return signals

    assert seen(False) == seen(True)


def test_what_it_cannot_be_fitted_to_is_an_error_with_a_fix(world):
    for reference in (world.reference(300, scores=None), world.reference(300, correct=None)):
        with pytest.raises(BackstayError, match="log scores"):
            ConfidentErrorsDetector.fit(reference)
    with pytest.raises(BackstayError, match="150 reference rows with scores"):
        ConfidentErrorsDetector.fit(world.reference(150))
    of_sets = replace(world.reference(300), members=np.zeros((300, 6)), labels=("a", "b", "c"))
    of_numbers = replace(world.reference(300), numbers=np.zeros(300))
    for reference in (of_sets, of_numbers):  # nothing could be done about it, so nothing is said
        assert ConfidentErrorsDetector.fit(reference) is None
