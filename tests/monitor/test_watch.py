from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from backstay.kernel.clock import ManualClock
from backstay.kernel.codec import decode, encode
from backstay.kernel.errors import Conflict
from backstay.kernel.ids import canonical_json
from backstay.kernel.records import Condition, WindowResult
from backstay.monitor.fitted import Detectors
from backstay.monitor.late_rows import Untold
from backstay.monitor.memory import Memory
from backstay.monitor.watch import LEAST_ALPHA, watch_window


def watch_all(windows, detectors, settings, begin, between=lambda memory: memory):
    """All windows in turn; `between` is what happens to the memory from one to the next."""
    memory, results = Memory.start("release-1", begin), []
    for window in windows:
        result, memory = watch_window(memory, window, detectors, settings, ManualClock(begin))
        results.append(result)
        memory = between(memory)
    return results, memory


def restart(memory: Memory) -> Memory:
    return Memory.from_json(json.loads(json.dumps(memory.to_json())))


@pytest.fixture
def story(world, settings):
    """Quiet weeks, a shift that stays, and then a changed meaning, with labels each week."""
    plan = [
        {},
        {},
        {"shift": 0.8},
        {"shift": 0.8},
        {"shift": 0.8},
        {"swapped": True},
        {"swapped": True},
        {"swapped": True},
    ]
    detectors = Detectors.fit(world.reference(2000), settings)
    return [world.window(week, labels=20, **changes) for week, changes in enumerate(plan)], detectors


def test_a_restart_changes_no_decision(story, settings, begin):
    windows, detectors = story
    assert watch_all(windows, detectors, settings, begin, restart) == watch_all(windows, detectors, settings, begin)


def test_a_mutant_that_forgets_its_state_decides_otherwise(story, settings, begin):
    windows, detectors = story
    kept, _ = watch_all(windows, detectors, settings, begin)
    lost, _ = watch_all(windows, detectors, settings, begin, lambda memory: replace(memory, detectors={}, episodes={}))
    assert [r.signals for r in kept] != [r.signals for r in lost]
    assert sum(len(r.new_alarms) for r in lost) > sum(len(r.new_alarms) for r in kept)


def test_results_are_json_and_come_back(story, settings, begin):
    windows, detectors = story
    results, _ = watch_all(windows, detectors, settings, begin)
    for result in results:
        assert decode(WindowResult, json.loads(canonical_json(encode(result)))) == result


def test_a_lasting_change_is_one_alarm_a_detector(story, settings, begin):
    windows, detectors = story
    results, _ = watch_all(windows, detectors, settings, begin)
    assert results[2].condition is Condition.MOVED
    assert set(results[2].new_alarms) == {"embedding", "prediction", "columns"}
    assert results[3].new_alarms == results[4].new_alarms == ()
    assert all(r.condition is Condition.MOVED for r in results[2:5])


def test_a_changed_meaning_is_seen_by_labels_alone(story, settings, begin):
    windows, detectors = story
    results, _ = watch_all(windows, detectors, settings, begin)
    last = results[-1]
    assert last.condition is Condition.WORSE
    assert "Only labels could show it" in last.headline
    by_kind = {estimate.kind: estimate for estimate in last.estimates}
    assert by_kind["ppi"].interval.high < 0.75
    assert by_kind["label-free"].value is None
    assert by_kind["label-free"].figures["withheld"] > 0.75
    assert last.label_age_days is not None
    assert last.label_age_days < 7


def test_a_quiet_stream_is_fine_and_spends_what_was_agreed(world, make_settings, begin):
    settings = make_settings(budget={"labels_per_month": 50})
    detectors = Detectors.fit(world.reference(2000), settings)
    windows = [world.window(week, n=150, labels=11) for week in range(18)]
    results, memory = watch_all(windows, detectors, settings, begin)
    assert sum(r.condition is Condition.FINE for r in results) >= 16
    assert memory.spent == pytest.approx(
        sum(s.alpha for r in results for s in r.signals) + sum(r.figures["alpha_by_interval"] for r in results)
    )
    assert 0 < sum(r.figures["alpha_by_interval"] for r in results) <= 0.4 * 0.25 * 18 / 52
    a_third = 18 * 7 / 365
    assert memory.spent <= a_third * 1.0 + 0.4 / 13
    assert results[-1].budget_spent == memory.spent
    assert results[-1].budget == 1.0


def test_bets_on_labels_and_their_interval_together_spend_the_share_of_labels(world, make_settings, begin):
    settings = make_settings(budget={"labels_per_month": 50})
    detectors = Detectors.fit(world.reference(600), settings)
    result, _ = watch_window(Memory.start("r", begin), world.window(labels=25), detectors, settings, ManualClock(begin))
    bets = next(signal for signal in result.signals if signal.detector == "labelled_error")
    steps_of_a_first_year = 12 * 50 * (1 + 1 / 12)
    share = detectors.budget(settings).share("labelled_error")
    assert steps_of_a_first_year / bets.figures["threshold"] == pytest.approx(0.75 * share)
    two_sources, looks = 2, 365 / 7
    assert two_sources * looks * result.figures["alpha_by_interval"] == pytest.approx(0.25 * share)


def test_the_budget_grows_by_the_year(world, settings, begin):
    detectors = Detectors.fit(world.reference(600), settings)
    memory = Memory.start("r", begin - timedelta(days=800))
    result, _ = watch_window(memory, world.window(), detectors, settings, ManualClock(begin))
    assert result.budget == 3.0


def test_no_window_spends_more_than_a_twentieth(world, make_settings, begin):
    settings = make_settings(budget={"false_alarms_per_year": 100.0})
    detectors = Detectors.fit(world.reference(600), settings)
    result, _ = watch_window(Memory.start("r", begin), world.window(days=30.0), detectors, settings, ManualClock(begin))
    assert max(signal.alpha for signal in result.signals) == 0.05


def test_a_window_that_was_watched_is_refused(world, settings, begin):
    detectors = Detectors.fit(world.reference(600), settings)
    window = world.window()
    _, memory = watch_window(Memory.start("r", begin), window, detectors, settings, ManualClock(begin))
    with pytest.raises(Conflict, match="watched already"):
        watch_window(memory, window, detectors, settings, ManualClock(begin))


def test_rows_of_windows_that_were_judged_are_not_late(world, settings, begin):
    detectors = Detectors.fit(world.reference(600), settings)
    windows = [world.window(week, n=100) for week in range(2)]
    _, memory = watch_all(windows, detectors, settings, begin)
    assert (memory.rows, memory.windows) == (200, 2)
    times = np.concatenate([window.times for window in windows])
    assert memory.untold(times) == Untold()
    assert memory.untold(np.append(times, times[:3])) == Untold(late=3)


def test_the_same_window_has_the_same_id_and_other_windows_others(world, settings, begin):
    detectors = Detectors.fit(world.reference(600), settings)
    first, second = world.window(0), world.window(1)
    memory = Memory.start("r", begin)
    ids = [watch_window(memory, w, detectors, settings, ManualClock(begin))[0].id for w in (first, first, second)]
    assert ids[0] == ids[1] != ids[2]


def test_a_label_given_twice_is_one_witness(world, settings, begin):
    detectors = Detectors.fit(world.reference(1000), settings)
    first, second = world.window(0, labels=25), world.window(1)
    once, _ = watch_all([first, second], detectors, settings, begin)
    again, _ = watch_all(
        [replace(first, labels=first.labels * 2), replace(second, labels=first.labels)], detectors, settings, begin
    )
    assert [r.signals for r in once] == [r.signals for r in again]
    assert [r.estimates for r in once] == [r.estimates for r in again]


def test_all_labels_may_be_given_each_time_and_in_a_backfill(world, settings, begin):
    detectors = Detectors.fit(world.reference(1000), settings)
    windows = [world.window(week, labels=15) for week in range(4)]
    every = tuple(row for window in windows for row in window.labels)
    once, kept = watch_all(windows, detectors, settings, begin)
    again, same = watch_all([replace(w, labels=every) for w in windows], detectors, settings, begin, restart)
    assert (once, kept) == (again, same)
    assert len(kept.counted) == 60


def test_an_unusable_label_does_not_stand_in_the_way_of_a_good_one(world, settings, begin):
    detectors = Detectors.fit(world.reference(1000), settings)
    first, second = world.window(0, labels=25), world.window(1)
    untrusted = tuple(replace(row, label=replace(row.label, trusted=False, source="key:x")) for row in first.labels)
    results, memory = watch_all(
        [replace(first, labels=untrusted), replace(second, labels=untrusted + first.labels)], detectors, settings, begin
    )
    errors = [next(s for s in r.signals if s.detector == "labelled_error") for r in results]
    assert "25 labels do not speak for all" in errors[0].message
    assert errors[1].n == 25
    assert "do not speak for all" not in errors[1].message
    assert len(memory.labels) == 25


def test_what_a_detector_cannot_read_is_not_judged_and_is_told(world, settings, begin):
    detectors = Detectors.fit(world.reference(1000), settings)
    window = world.window(scores=np.full((300, 3), np.nan))
    result, memory = watch_window(Memory.start("r", begin), window, detectors, settings, ManualClock(begin))
    prediction = next(s for s in result.signals if s.detector == "prediction")
    assert not prediction.alarm
    assert prediction.alpha == 0.0
    assert any("prediction was not judged" in advice for advice in result.advice)
    assert result.condition is Condition.UNKNOWN
    assert "prediction" not in memory.episodes


def test_predictions_alone_can_be_watched(world, settings, begin):
    reference = world.reference(2000, columns=False, representation=None, scores=None, traits=None)
    detectors = Detectors.fit(reference, settings)
    assert set(detectors.members) == {"prediction", "labelled_error"}
    quiet, moved = (
        world.window(week, shift=shift, labels=40, columns=False, representation=None, scores=None, traits={})
        for week, shift in ((0, 0.0), (1, 0.9))
    )
    results, _ = watch_all([quiet, moved], detectors, settings, begin)
    assert [r.condition for r in results] == [Condition.FINE, Condition.MOVED]
    assert {e.kind for e in results[0].estimates} == {"labels", "label-free"}


def test_without_any_detector_people_are_asked_for_labels(world, settings, begin):
    detectors = Detectors.fit(world.reference(30, correct=None, columns=False), settings)
    result, _ = watch_window(
        Memory.start("r", begin), world.window(columns=False), detectors, settings, ManualClock(begin)
    )
    assert result.condition is Condition.UNKNOWN
    assert result.labels_requested == 50
    assert result.signals == ()


def test_sources_that_come_again_raise_no_alarm_by_their_luck(make_world, settings, begin):
    """A stream that draws for ever from 60 sources is not the reference, and nothing has changed."""

    def alarms(told: bool) -> int:
        count = 0
        for seed in range(4):
            world = make_world(seed)
            detectors = Detectors.fit(world.reference(2000, correct=None, columns=False), settings)
            pool = world.window(n=60)
            windows = []
            for week in range(4):
                rows = world.rng.integers(0, 60, 60)
                base = world.window(week, n=60)
                windows.append(
                    replace(
                        base,
                        predicted=pool.predicted[rows],
                        representation=pool.representation[rows],
                        scores=pool.scores[rows],
                        columns={},
                        traits={},
                        groups=rows.astype(str).astype(object) if told else None,
                    )
                )
            results, _ = watch_all(windows, detectors, settings, begin)
            count += sum(bool(r.new_alarms) for r in results)
        return count

    assert alarms(told=True) <= 1
    assert alarms(told=False) >= 3


def test_a_window_of_a_moment_is_judged_all_the_same(world, settings, begin):
    detectors = Detectors.fit(world.reference(1000), settings)
    window = world.window(0)
    moment = replace(window, end=window.start + timedelta(microseconds=1))
    result, _ = watch_all([moment], detectors, settings, begin)
    judged = [s for s in result[0].signals if s.alpha]
    assert {"embedding", "columns", "prediction"} <= {s.detector for s in judged}
    assert all(s.alpha == LEAST_ALPHA for s in judged if s.detector != "labelled_error")


def test_the_model_stays_worse_until_the_alarm_on_confident_errors_falls(world, make_settings, begin):
    settings = make_settings(watch={"tolerance": 0.1})
    detectors = Detectors.fit(world.reference(2000), settings)
    (_,), memory = watch_all([world.window(0, labels=100)], detectors, settings, begin)
    recent = memory.detectors["confident_errors"]["recent"]
    alarmed = {"recent": recent, "standing": [1.0]}
    for convicted, condition in ((True, Condition.WORSE), (False, Condition.UNKNOWN)):
        states = {**memory.detectors, "confident_errors": {**alarmed, **({"convicted": True} if convicted else {})}}
        start = restart(replace(memory, detectors=states))
        few, after = watch_window(start, world.window(1, labels=5), detectors, settings, ManualClock(begin))
        assert few.condition is condition
        many, after = watch_window(restart(after), world.window(2, labels=100), detectors, settings, ManualClock(begin))
        assert many.condition is Condition.FINE
        assert "convicted" not in after.detectors["confident_errors"]
