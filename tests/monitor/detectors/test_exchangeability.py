from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from backstay.kernel.errors import BackstayError
from backstay.monitor.detectors import Look
from backstay.monitor.detectors.embedding import EmbeddingDetector
from backstay.monitor.detectors.exchangeability import (
    MOST_WINDOW_ROWS,
    ExchangeabilityDetector,
    _chosen,
    lowered,
)
from backstay.monitor.reference import fit_reference
from backstay.monitor.traffic import WindowData

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
WIDTH = 6


def reference(rng, n=1500, **parts):
    return fit_reference(np.full(n, "a", dtype=object), ("a", "b"), representation=vectors(rng, n), **parts)


def vectors(rng, n, spread=1.0):
    return (spread * rng.normal(size=(n, WIDTH))).astype(np.float32)


def window(rng, week, n=300, spread=1.0, **parts):
    start = BEGIN + timedelta(days=7 * week)
    ids = np.array([f"w{week}-{i}" for i in range(n)], dtype=object)
    times = np.datetime64(start.replace(tzinfo=None), "us") + rng.permutation(n) * np.timedelta64(1, "m")
    given = {"representation": vectors(rng, n, spread), **parts}
    return WindowData(start, start + timedelta(days=7), ids, times, np.full(n, "a", dtype=object), **given)


def spending(per_year, week):
    return Look(alpha=per_year / 52, per_year=per_year, years=(week + 1) / 52, labels_per_year=0.0, tolerance=0.02)


def watched(detector, rng, weeks, spread=1.0, per_year=0.2, state=None):
    """Signals of so many weeks, and the state after them."""
    signals, state = [], state or {}
    for week in range(weeks):
        signal, state = detector.look(state, window(rng, week, spread=spread), spending(per_year, week))
        signals.append(signal)
    return signals, state


@pytest.fixture(scope="module")
def detector():
    return ExchangeabilityDetector.fit(reference(np.random.default_rng(1)))


def test_what_single_windows_drown_is_seen_within_weeks():
    """A spread wider by a twelfth, nine streams of four weeks."""
    ours = theirs = 0
    for seed in range(9):
        known = reference(np.random.default_rng([50, seed // 3]))
        detector, single = ExchangeabilityDetector.fit(known), EmbeddingDetector.fit(known)
        rng, state, found = np.random.default_rng([60, seed]), {}, [False, False]
        for week in range(4):
            one = window(rng, week, spread=1.08)
            signal, state = detector.look(state, one, spending(0.2, week))
            found[0] |= signal.alarm
            found[1] |= single.look({}, one, spending(0.2, week))[0].alarm
        ours, theirs = ours + found[0], theirs + found[1]
    assert ours >= 6
    assert theirs <= 3


def test_an_alarm_says_how_far_rows_lie_and_shows_the_farthest(detector):
    given = window(np.random.default_rng(9), 0, spread=1.5)
    signal, state = detector.look({}, given, spending(0.2, 0))
    assert signal.alarm
    assert signal.moved[0].startswith("distance from known rows, in the middle: ")
    norms = dict(zip(given.ids.tolist(), np.linalg.norm(given.representation, axis=1).tolist(), strict=True))
    assert np.mean([norms[row] for row in signal.example_ids]) > np.quantile(list(norms.values()), 0.9)
    assert (state["log_wealth"], state["steps"]) == (None, 300)  # begun anew, and nothing forgotten
    again, state = detector.look(
        json.loads(json.dumps(state)), window(np.random.default_rng(10), 1, 1), spending(0.2, 1)
    )
    assert again.figures["log_wealth"] == pytest.approx(np.log(lowered(0.2 / 52, 750)), abs=np.log(2))
    assert state["steps"] == 301


def test_a_change_that_comes_after_months_is_found_too(detector):
    """A spread wider by a sixth, from the 21st week on. With all wealth laid at the start it took more than a month."""
    found = []
    for seed in range(4):
        rng, state = np.random.default_rng([4, seed]), {}
        for week in range(24):
            signal, state = detector.look(
                state, window(rng, week, spread=1.16 if week >= 20 else 1.0), spending(0.2, week)
            )
            found += [week] if signal.alarm else []
            if signal.alarm:
                break
    assert sum(20 <= week <= 21 for week in found) >= 3


def test_a_year_without_a_change_alarms_as_often_as_its_share_allows():
    """20 years of 20 references at a share of .2 a year: 4 expected at most, more than 11 once in 10,000 times."""
    rng = np.random.default_rng(3)
    alarms = 0
    for _ in range(20):
        one = ExchangeabilityDetector.fit(reference(rng, 400))
        signals, _ = watched(one, rng, 8)
        alarms += any(signal.alarm for signal in signals)
    assert alarms <= 11


def test_a_restart_between_windows_changes_nothing(detector):
    again = ExchangeabilityDetector.from_json(json.loads(json.dumps(detector.to_json())))
    rng = np.random.default_rng(5)
    one, two = window(rng, 0), window(rng, 1, spread=1.2)
    _, state = detector.look({}, one, spending(0.1, 0))
    kept = json.loads(json.dumps(again.look({}, one, spending(0.1, 0))[1]))
    assert again.look(kept, two, spending(0.1, 1)) == detector.look(state, two, spending(0.1, 1))


def test_one_row_a_group_and_so_many_at_most():
    rng = np.random.default_rng(6)
    groups = np.array([f"g{i // 10}" for i in range(300)], dtype=object)
    given = window(rng, 0, groups=groups)
    rows = _chosen(given, rng)
    assert len(rows) == 30 == len({groups[row] for row in rows})
    assert np.all(np.diff(given.times[rows]) > np.timedelta64(0))
    assert len(_chosen(window(rng, 0, n=2000), rng)) == MOST_WINDOW_ROWS


def test_what_cannot_be_judged_says_why(detector):
    rng = np.random.default_rng(7)
    none, state = detector.look({"kept": 1}, window(rng, 0, representation=None), spending(0.2, 0))
    assert "no embeddings or inputs" in none.message
    assert state == {"kept": 1}
    with pytest.raises(BackstayError, match="320 independent reference rows"):
        ExchangeabilityDetector.fit(reference(rng, 320))
    assert ExchangeabilityDetector.fit(fit_reference(np.full(500, "a", dtype=object), ("a", "b"))) is None


def test_each_window_lays_its_own_level(detector):
    """What a window of one row can show at most is what was laid so far, and little more."""
    state, laid = {}, 0.0
    for week, alpha in enumerate((0.004, 0.004, 0.0001, 0.05)):
        look = replace(spending(0.2, week), alpha=alpha)
        signal, state = detector.look(state, window(np.random.default_rng(week), week, 1), look)
        laid += lowered(alpha, len(detector.scores))
        assert signal.alpha == alpha
        assert signal.evidence < laid * 2**4
        assert signal.figures["log_wealth"] == pytest.approx(np.log(signal.evidence))


def test_one_window_alarms_as_seldom_as_it_was_asked_for():
    """At a level of .05, 60 references with a window each: 3 expected at most, more than 10 once in 4,000 times."""
    alarms = 0
    for seed in range(60):
        rng = np.random.default_rng([11, seed])
        one = ExchangeabilityDetector.fit(reference(rng, 500))
        alarms += one.look({}, window(rng, 0, 200), Look(0.05, 2.6, 0.02, 0.0, 0.02))[0].alarm
    assert alarms <= 10
