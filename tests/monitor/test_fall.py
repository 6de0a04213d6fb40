from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from backstay.kernel.records import Condition, WindowResult
from backstay.maths.detector import weighted_starts
from backstay.monitor.fall import BY_LABELS, SPREAD, fall_of

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
REFERENCE = {"value": 0.9, "low": 0.87, "high": 0.92, "n": 500, "n_effective": 500.0}


def look(week: int, right: int = 0, labels: int = 0, alarms: tuple[str, ...] = (), days: float = 7) -> WindowResult:
    start = BEGIN + timedelta(days=days * week)
    counted = [{"labels": labels, "right": right}] if labels else []
    return WindowResult(
        id=f"w{week}",
        model="model",
        environment="production",
        release_id="r",
        start=start,
        end=start + timedelta(days=days),
        rows=700,
        condition=Condition.FINE,
        signals=(),
        estimates=(),
        headline="",
        advice=(),
        label_age_days=None,
        budget_spent=0.0,
        budget=1.0,
        created_at=start,
        new_alarms=alarms,
        figures={"reference_accuracy": REFERENCE, "labels_counted": counted},
    )


def test_no_labels_show_nothing():
    fall = fall_of([look(0), look(1)])
    assert fall.evidence is None
    assert not fall.by_labels
    assert "label some rows" in fall.told()
    assert fall_of([]).evidence is None


def test_labels_that_are_wrong_show_a_fall_and_right_ones_take_it_back():
    fallen = [look(week, 4, 12) for week in range(4)]
    assert fall_of(fallen).by_labels
    assert "48 labels" in fall_of(fallen).told()
    mended = fallen + [look(week, 12, 12) for week in range(4, 40)]
    assert not fall_of(mended).by_labels
    assert not fall_of([look(week, 11, 12) for week in range(52)]).by_labels


def test_the_order_in_which_windows_are_handed_in_is_of_no_account():
    looks = [look(week, 12 - week % 3, 12) for week in range(12)]
    assert fall_of(looks[::-1]) == fall_of(looks)


def test_an_alarm_makes_the_labels_after_it_count_for_more():
    quiet = [look(0), look(1), look(2, 7, 12)]
    alarmed = [look(0), look(1, alarms=("embedding",)), look(2, 7, 12)]
    both = [fall_of(looks).evidence for looks in (quiet, alarmed)]
    assert both[1] == pytest.approx(both[0] * (SPREAD * 7 / 365 + 0.25) / (SPREAD * 7 / 365))


def test_an_alarm_of_the_same_look_does_not_and_its_stake_waits_for_labels():
    """What raises the alarm may be the labels themselves."""
    same = [look(0, 7, 12, alarms=("labelled_error",))]
    assert fall_of(same).evidence == fall_of([look(0, 7, 12)]).evidence
    waited = [look(0, alarms=("embedding",)), look(1), look(2), look(3, 7, 12)]
    at_once = [look(0), look(1), look(2, alarms=("embedding",)), look(3, 7, 12)]
    assert fall_of(waited).evidence == fall_of(at_once).evidence


def test_alarms_of_former_releases_have_spent_of_the_same_stake():
    looks = [look(60), look(61, alarms=("embedding",)), look(62, 7, 12)]
    alone = fall_of(looks).evidence
    spread, half = SPREAD * 7 / 365, 0.25
    for former, spent in (([look(59)], 0), ([look(58, alarms=("a", "b")), look(59, alarms=("a",))], 2)):
        shared = fall_of(looks, former=former).evidence
        assert shared == pytest.approx(alone * (spread + half / 2**spent) / (spread + half))
    years_ago, to_come = look(6, alarms=("a",)), look(70, alarms=("a",))
    assert fall_of(looks, former=[years_ago, to_come]).evidence == alone


def test_alarms_never_lay_more_than_the_whole_stake():
    """With bets of no effect the evidence is what was laid: one a year at most, however many alarms there are."""
    looks = [look(week, 9, 10, alarms=("embedding",)) for week in range(52)]
    fall = fall_of(looks, floor=0.9)
    laid = [SPREAD * 7 / 365] + [SPREAD * 7 / 365 + 0.5 * 0.5**k for k in range(1, 52)]
    steps = [(1, 10)] * 52
    assert sum(laid) <= 1.0
    assert fall.evidence == pytest.approx(BY_LABELS * weighted_starts(steps, laid, 0.1))


def test_a_floor_of_the_team_needs_no_reference():
    looks = [look(week, 6, 12) for week in range(5)]
    for result in looks:
        del result.figures["reference_accuracy"]
    assert fall_of(looks).evidence is None
    assert fall_of(looks, floor=0.9).by_labels
    assert fall_of(looks, floor=0.9).accepted == pytest.approx(0.1)


def test_who_looks_more_often_needs_more():
    weekly, daily = (fall_of([look(k, 8, 12, days=days) for k in range(3)]) for days in (7, 1))
    assert daily.strict > weekly.strict > 2
    assert daily.evidence < weekly.evidence


def test_looks_of_unequal_length_lay_no_more_than_a_year():
    """Every other look is of an hour, and each is alarmed. With bets of no effect the evidence is what was laid."""
    at, looks = BEGIN, []
    while at < BEGIN + timedelta(days=365):
        end = at + timedelta(hours=1 if len(looks) % 2 else 168)
        looks.append(replace(look(0, 9, 10, alarms=("embedding",)), id=f"w{len(looks)}", start=at, end=end))
        at = end
    parts = [min((one.end - one.start) / timedelta(days=365), 1.0) for one in looks]
    laid = [SPREAD * part + (0.5 * 0.5**k if k else 0.0) for k, part in enumerate(parts)]
    assert sum(laid) <= 1.01
    evidence = fall_of(looks, floor=0.9).evidence
    assert evidence == pytest.approx(BY_LABELS * weighted_starts([(1, 10)] * len(looks), laid, 0.1))
    assert fall_of(looks[:1]).strict < fall_of(looks[:2]).strict  # the second is of an hour


def test_what_an_older_look_shows_does_not_change_with_later_ones():
    weekly = [look(week, 7, 12) for week in range(4)]
    hour = replace(look(5), start=weekly[-1].end, end=weekly[-1].end + timedelta(hours=1))
    assert fall_of([*weekly, *([hour] * 9)]).evidence == fall_of(weekly).evidence


def test_labels_of_one_group_are_one_witness():
    alone, together = look(0, 8, 12), look(0, 8, 12)
    together.figures["labels_counted"] = [{"labels": 12, "right": 8, "by_group": {"labels": 3, "right": 2.0}}]
    of_three = fall_of([look(0, 2, 3)])
    assert fall_of([together]).evidence == pytest.approx(of_three.evidence)
    assert fall_of([together]).evidence < fall_of([alone]).evidence
    assert fall_of([together]).labels == 12
    together.figures["labels_counted"] = [{"labels": 3, "right": 2, "by_group": {"labels": 2, "right": 2 + 1e-12}}]
    assert fall_of([together]).evidence < 1


def test_three_scans_a_week_that_are_right_or_wrong_as_a_whole_show_no_fall():
    """Of years of 12 labels a week from three groups, all right or all wrong, at the reference's own error."""
    rng = np.random.default_rng(8)
    shown = {"rows": 0, "groups": 0}
    for _ in range(60):
        looks = {"rows": [], "groups": []}
        for week in range(52):
            right = 3 - int(rng.binomial(3, 0.1))
            looks["rows"].append(look(week, 4 * right, 12))
            looks["groups"].append(look(week, 4 * right, 12))
            looks["groups"][-1].figures["labels_counted"][0]["by_group"] = {"labels": 3, "right": float(right)}
        for kind, year in looks.items():
            shown[kind] += any(fall_of(year[:k], floor=0.9).by_labels for k in range(4, 53, 4))
    assert shown["groups"] <= 8  # 99.9% of binomial(60, .04)
    assert shown["rows"] > 20  # what it was
