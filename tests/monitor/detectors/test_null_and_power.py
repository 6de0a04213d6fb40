"""Each window detector on one fixed reference: quiet when nothing changed, alarmed when something did."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import binom

from backstay.monitor.detectors import DETECTORS

WINDOW_DETECTORS = ("embedding", "prediction", "columns")
ALPHA = 0.02


@pytest.mark.parametrize("name", WINDOW_DETECTORS)
def test_the_false_alarm_rate_of_one_reference_is_within_the_promise(world, look, name):
    detector = DETECTORS[name].fit(world.reference(2000))
    windows = 150
    alarms = sum(detector.look({}, world.window(n=150), look(ALPHA))[0].alarm for _ in range(windows))
    assert alarms <= binom.ppf(0.999, windows, 1.5 * ALPHA)


@pytest.mark.prove
@pytest.mark.parametrize("name", WINDOW_DETECTORS)
def test_ninety_five_of_a_hundred_references_keep_the_promise(make_world, look, name):
    rates = []
    for seed in range(60):
        world = make_world(seed)
        detector = DETECTORS[name].fit(world.reference(1000))
        rates.append(np.mean([detector.look({}, world.window(n=300), look(0.05))[0].alarm for _ in range(200)]))
    assert np.mean(rates) <= 0.05
    # 200 windows a reference leave a standard error of .019 at the limit of .075
    assert np.quantile(rates, 0.95) <= 0.075 + 2 * 0.019


@pytest.mark.parametrize("name", WINDOW_DETECTORS)
def test_a_shift_of_half_a_standard_deviation_is_found(world, look, name):
    detector = DETECTORS[name].fit(world.reference(2000))
    signal, _ = detector.look({}, world.window(n=500, shift=0.5), look(0.004))
    assert signal.alarm
    assert signal.evidence >= 1
    assert signal.moved
    assert 1 <= len(signal.example_ids) <= 8
    assert "times what would alarm" in signal.message


@pytest.mark.parametrize("name", sorted(DETECTORS))
def test_json_and_back_gives_the_same_signal(world, look, name):
    site = np.where(np.arange(600) % 2 == 0, "north", "south").astype(object)
    detector = DETECTORS[name].fit(world.reference(600, slices={"site": site}))
    again = type(detector).from_json(json.loads(json.dumps(detector.to_json())))
    window = world.window(n=300, shift=0.4, labels=40)
    assert again.look({}, window, look()) == detector.look({}, window, look())


@pytest.mark.parametrize("name", WINDOW_DETECTORS)
def test_too_few_rows_are_not_judged_and_spend_nothing(world, look, name):
    detector = DETECTORS[name].fit(world.reference(600))
    signal, _ = detector.look({}, world.window(n=15, shift=5.0), look())
    assert not signal.alarm
    assert signal.alpha == 0
    assert "at least 20 are needed" in signal.message


@pytest.mark.parametrize("name", WINDOW_DETECTORS)
def test_rows_of_few_groups_are_few_rows(world, look, name):
    detector = DETECTORS[name].fit(world.reference(600))
    groups = np.array([f"g{i % 10}" for i in range(300)], dtype=object)
    signal, _ = detector.look({}, world.window(n=300, shift=5.0, groups=groups), look())
    assert "worth 10 independent ones" in signal.message


@pytest.mark.parametrize("name", WINDOW_DETECTORS)
def test_a_small_reference_asks_for_rows(world, look, name):
    detector = DETECTORS[name].fit(world.reference(150))
    signal, _ = detector.look({}, world.window(n=600), look(0.001))
    assert signal.figures["reference_rows_wanted"] > 150
    assert f"ask for more reference rows: {signal.figures['reference_rows_wanted']}" in signal.message


@pytest.mark.parametrize("name", WINDOW_DETECTORS)
def test_dependent_rows_raise_no_more_alarms_when_groups_are_given(world, look, name):
    """Ten copies of each row: without groups the same traffic looks ten times as certain."""
    detector = DETECTORS[name].fit(world.reference(1500))
    told, untold = 0, 0
    for _ in range(40):
        base = world.window(n=60)
        rows = np.repeat(np.arange(60), 10)
        parts = {
            "representation": base.representation[rows],
            "scores": base.scores[rows],
            "columns": {k: v[rows] for k, v in base.columns.items()},
            "traits": {},
        }
        args = (base.start, base.end, base.ids[rows], base.times[rows], base.predicted[rows])
        groups = rows.astype(str).astype(object)
        told += detector.look({}, type(base)(*args, groups=groups, **parts), look(0.02))[0].alarm
        untold += detector.look({}, type(base)(*args, **parts), look(0.02))[0].alarm
    assert told <= binom.ppf(0.999, 40, 0.03)
    assert untold > 20


def test_the_detectors_that_watch_unasked_are_these_five_and_each_has_its_file(make_settings):
    unasked = ("embedding", "prediction", "columns", "labelled_error", "confident_errors")
    assert make_settings().watch.detectors == unasked
    for name in DETECTORS:
        assert DETECTORS[name].__module__ == f"backstay.monitor.detectors.{name}"
