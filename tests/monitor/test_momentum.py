"""From windows and releases to figures: decay, deadlines, and how alarms were answered."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.kernel.codec import encode
from backstay.kernel.records import Condition, Estimate, Interval, Release, ReleaseKind, Signal, WindowResult
from backstay.maths.intervals import clopper_pearson
from backstay.maths.trend import fit_line
from backstay.monitor.momentum import Momentum, momentum
from backstay.monitor.responses import durations, episodes_of, failed_changes, lead_times, restore_times

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
KINDS = {"a": ReleaseKind.ADOPTED, "p": ReleaseKind.PROMOTED, "r": ReleaseKind.ROLLBACK}
LOOKS = {"+": Condition.FINE, "~": Condition.MOVED, "!": Condition.WORSE, "?": Condition.UNKNOWN}


def at(weeks: float) -> datetime:
    return BEGIN + timedelta(weeks=weeks)


def counted(week: float, labels: int, right: int, mean: float | None = None):
    middle = at(week + 0.5 if mean is None else mean)
    return {"start": at(week).isoformat(), "labels": labels, "right": right, "at": middle.isoformat()}


def window(
    week: int, release: int = 1, look: str = "+", cells=(), free: float | None = None, **figures
) -> WindowResult:
    alarm = look in "~!"
    estimates = ()
    if free is not None:
        given_ = None if np.isnan(free) else free
        interval = None if given_ is None else Interval(free - 0.03, free + 0.03)
        estimates = (Estimate("label-free", "accuracy", given_, interval, 500, ""),)
    return WindowResult(
        id=f"window-{week}",
        model="m",
        environment="e",
        release_id=f"release-{release}",
        start=at(week),
        end=at(week + 1),
        rows=500,
        condition=LOOKS[look],
        signals=(Signal("embedding", 2.0 if alarm else 0.1, alarm, 0.01, 500, ""),),
        estimates=estimates,
        headline="",
        advice=(),
        label_age_days=None,
        budget_spent=0.0,
        budget=1.0,
        created_at=at(week + 1),
        new_alarms=("embedding",) if alarm else (),
        figures={
            "labels_counted": list(cells),
            "reference_accuracy": {"value": 0.95, "low": 0.94, "high": 0.96, "n": 1500},
            **figures,
        },
    )


def release(number: int, week: float, kind: str = "p") -> Release:
    return Release(
        f"release-{number}", number, "m", "e", f"model-{number}", KINDS[kind], True, "ada", "because", at(week)
    )


def story(text: str):
    """Windows a week each from "a ++~ p + r ?": a letter is a release, a sign what its next window looked like."""
    windows, releases, week = [], [], 0
    for sign in text.replace(" ", ""):
        if sign in KINDS:
            releases.append(release(len(releases) + 1, week, sign))
        else:
            windows.append(window(week, len(releases), sign))
            week += 1
    return windows, releases


def answer(windows, releases, **options) -> Momentum:
    given_ = {"model": "m", "environment": "e", "tolerance": 0.02, "quiet_windows": 2, **options}
    return momentum(windows, releases, **given_)


def decaying(labels: int = 60, weeks: int = 10, start: float = 0.99, fall: float = 0.01):
    return [window(w, cells=[counted(w, labels, round(labels * (start - fall * w)))]) for w in range(weeks)]


def test_the_decay_is_the_line_through_the_counted_labels():
    windows = decaying()
    found = answer(windows, [release(1, 0, "a")]).releases[0]
    shares = [w.figures["labels_counted"][0]["right"] / 60 for w in windows]
    line = fit_line(7.0 * np.arange(10) + 3.5, np.array(shares), np.full(10, 60.0))
    assert found.decay.basis == "labels"
    assert found.decay.per_week == pytest.approx(7 * line.slope)
    assert found.decay.interval.low == pytest.approx(7 * line.slope_interval.low)
    assert found.decay.per_week == pytest.approx(-0.01, abs=0.003)
    assert found.decay.labels == found.labels == 600
    assert found.threshold == pytest.approx(0.93)
    assert "falls" in found.sentence
    assert "points a week" in found.sentence


def test_one_of_a_kind_is_said_as_one():
    windows = [window(0, cells=[counted(0, 1, 1)])]
    said = answer(windows, [release(1, 0, "a")]).releases[0].sentence
    assert "there is 1 label in 1 window and 0 estimates without labels; a line takes" in said


def test_a_label_counts_once_however_late_it_comes():
    whole = [
        window(0, cells=[counted(0, 40, 38)]),
        window(1),
        window(2, cells=[counted(1, 30, 27), counted(2, 20, 19)]),
    ]
    late = [
        window(0, cells=[counted(0, 10, 9)]),
        window(1, cells=[counted(0, 30, 29), counted(1, 30, 27)]),
        window(2, cells=[counted(2, 20, 19)]),
    ]
    releases = [release(1, 0, "a")]
    first, second = answer(whole, releases).releases[0], answer(late, releases).releases[0]
    assert (first.labels, first.right) == (second.labels, second.right) == (90, 84)
    assert first.decay == second.decay
    assert (first.interval.low, first.interval.high) == pytest.approx(clopper_pearson(84, 90))


def test_the_mean_time_of_labels_that_came_in_two_parts():
    cells = [counted(0, 10, 9, mean=0.2), counted(0, 30, 29, mean=0.6)]
    parts = [window(0, cells=cells[:1]), window(1, cells=cells[1:]), window(2)]
    found = answer(parts, [release(1, 0, "a")]).releases[0]
    assert found.points[0].at == at(0.5)


@given(st.lists(st.tuples(st.integers(1, 40), st.floats(0, 1)), min_size=3, max_size=12), st.integers(2, 6))
def test_more_labels_of_the_same_never_widen(counts, times):
    def told(factor):
        cells = [(w, n * factor, round(n * share) * factor) for w, (n, share) in enumerate(counts)]
        windows = [window(w, cells=[counted(w, n, right)]) for w, n, right in cells]
        return answer(windows, [release(1, 0, "a")]).releases[0]

    few, many = told(1), told(times)
    assert many.interval.high - many.interval.low <= few.interval.high - few.interval.low + 1e-9
    if few.decay is not None:
        assert many.decay.interval.high - many.decay.interval.low <= (
            few.decay.interval.high - few.decay.interval.low + 1e-9
        )


@given(st.integers(-3000, 3000))
def test_it_does_not_matter_when_it_happened(days):
    windows, releases = story("a ++~~ p +~++~ r !+ p ?+")
    windows = [
        replace(w, figures={**w.figures, "labels_counted": [counted(i, 20, 18 - i % 3)]}) for i, w in enumerate(windows)
    ]
    shift = timedelta(days=days)

    def moved(w):
        cells = [
            {**c, **{k: (datetime.fromisoformat(c[k]) + shift).isoformat() for k in ("start", "at")}}
            for c in w.figures["labels_counted"]
        ]
        figures = {**w.figures, "labels_counted": cells}
        times = {k: getattr(w, k) + shift for k in ("start", "end", "created_at")}
        return replace(w, figures=figures, **times)

    here = answer(windows, releases)
    there = answer([moved(w) for w in windows], [replace(r, created_at=r.created_at + shift) for r in releases])
    assert [r.sentence for r in here.releases] == [r.sentence for r in there.releases]
    assert here.lead_time == there.lead_time
    assert here.time_to_restore.days == there.time_to_restore.days
    assert here.failed_changes == there.failed_changes


def test_the_order_of_records_does_not_matter():
    windows, releases = story("a ++~~ p +~++~ r !+ p ?+")
    assert answer(windows[::-1], releases[::-1]) == answer(windows, releases)


def test_rows_that_share_groups_widen():
    windows = decaying()
    labelled = Estimate(
        "ppi", "accuracy", 0.95, Interval(0.9, 0.98), 500, "", labels=60, figures={"design_effect": 4.0}
    )
    clustered = [replace(w, estimates=(labelled,)) for w in windows]
    releases = [release(1, 0, "a")]
    alone, together = answer(windows, releases).releases[0], answer(clustered, releases).releases[0]
    assert (together.interval.low, together.interval.high) == pytest.approx(
        clopper_pearson(together.right / 4, together.labels / 4)
    )
    assert together.decay.interval.low < alone.decay.interval.low
    assert together.decay.per_week == pytest.approx(alone.decay.per_week)


def test_without_labels_the_line_says_so_and_knows_less():
    windows = [window(w, free=0.95 - 0.001 * w) for w in range(8)]
    found = answer(windows, [release(1, 0, "a")]).releases[0]
    assert found.decay.basis == "label-free"
    assert "estimates without labels" in found.sentence
    assert found.labels == 0
    assert found.accuracy is None
    # What eight windows share through the reference is not averaged away: the band is about as wide as one interval.
    line = found.decay.line[6]
    assert line.high - line.value > 0.9 * 0.03


def test_an_estimate_that_is_refused_now_gives_no_deadline():
    windows = [window(w, free=0.95) for w in range(6)] + [window(6, look="~", free=float("nan"))]
    found = answer(windows, [release(1, 0, "a")]).releases[0]
    assert found.decay.refused == 1
    assert found.deadline.state == "unknown"
    assert "refused" in found.deadline.sentence
    assert "refused in 1 more window," in found.sentence


@pytest.mark.parametrize(
    ("windows", "why"),
    [
        ([], "no window of it has been watched"),
        ([window(0, cells=[counted(0, 400, 390)])], "400 labels in 1 window and"),
        ([window(w, cells=[counted(w, 5, 5)]) for w in range(4)], "20 labels in 4 windows"),
    ],
)
def test_too_little_is_said_to_be_too_little(windows, why):
    found = answer(windows, [release(1, 0, "a")]).releases[0]
    assert found.decay is None
    assert found.deadline is None
    assert why in found.why
    assert found.sentence.startswith("Decay is not known yet, because")


def test_a_deadline_is_days_from_the_last_window():
    windows = decaying(labels=2000, start=0.99, fall=0.004)
    found = answer(windows, [release(1, 0, "a")]).releases[0]
    assert found.deadline.state == "between"
    # 0.99 - 0.004 w = 0.93 at 15 weeks after the first window's middle; the last window ended in week 10.
    assert found.deadline.expected_days == pytest.approx(7 * (15.5 - 10), abs=3)
    assert found.deadline.earliest_days < found.deadline.expected_days < found.deadline.latest_days
    short = answer(windows, [release(1, 0, "a")], horizon_days=10.0).releases[0]
    assert short.deadline.state == "not within"
    assert "for 10 days" in short.deadline.sentence


def test_what_is_drawn_looks_ahead_no_further_than_it_looked_back():
    found = answer(decaying(), [release(1, 0, "a")]).releases[0]
    assert found.decay.line[0].at == at(0)
    assert max(r.at for r in found.decay.line if r.measured) == at(10)
    assert max(r.at for r in found.decay.line) == at(20)


def test_marks_of_a_chart_share_no_label_and_lose_none():
    windows = [window(w, cells=[counted(w, n, n - 1)]) for w, n in enumerate([12, 11, 13, 50, 4, 40, 5])]
    found = answer(windows, [release(1, 0, "a")]).releases[0]
    assert sum(p.n for p in found.points) == found.labels == 135
    assert all(p.n >= 30 for p in found.points)


# What happened, and each episode as (release, answered by, restored by, state).
STORIES = {
    "a ++": [],
    "a +~": [(1, None, None, "open")],
    "a +~ p +": [(1, 2, 2, "answered")],
    "a +~++": [(1, None, None, "quiet by itself")],
    "a +~+~ p +": [(1, 2, 2, "answered")],
    "a ~++~ p +": [(1, None, None, "quiet by itself"), (1, 2, 2, "answered")],
    "a ~ p ~ p ?+": [(1, 2, 3, "answered"), (2, 3, 3, "answered")],
    "a ! p ?": [(1, 2, None, "answered")],
    "a + p +! r ?+": [(2, 3, 3, "answered")],
}


@pytest.mark.parametrize("text", STORIES)
def test_episodes(text):
    windows, releases = story(text)
    found = episodes_of(windows, releases, 2)
    assert [(e.release, e.answered_by, e.restored_by, e.state) for e in found] == STORIES[text]


def test_times_run_from_when_the_alarm_was_told():
    windows, releases = story("a +~~ p +")
    told_late = [
        replace(w, created_at=w.created_at + timedelta(hours=12)) if w.id == "window-1" else w for w in windows
    ]
    found = episodes_of(told_late, releases, 2)[0]
    assert found.lead_days == found.restore_days == pytest.approx(6.5)


def test_one_time_of_trouble_over_two_releases_is_one():
    found = episodes_of(*story("a ~ p ~ p ?+"), 2)
    assert [e.continues for e in found] == [False, True]
    assert restore_times(found).days == pytest.approx([7.0])
    assert lead_times(found).n == 2
    again = episodes_of(*story("a ~ p +~ p +"), 2)
    assert [e.continues for e in again] == [False, False]


def test_open_episodes_are_named():
    found = episodes_of(*story("a +~ p +~"), 2)
    said = lead_times(found).sentence
    assert "open: since 2026-02-02 under release 2 (embedding)" in said
    assert "not fine again yet" in restore_times(found).sentence


def test_no_figure_from_one_event():
    one = durations([9.0], "", "episodes")
    assert one.median is None
    assert one.interval is None
    assert "there is 1: 9.0 d" in one.sentence
    none = lead_times([])
    assert none.sentence == "not known yet, because no alarm has been raised yet"
    six = durations([1, 2, 3, 4, 5, 60], "", "episodes")
    assert (six.median, six.interval.low, six.interval.high) == (3.5, 1.0, 60.0)
    assert six.sentence == "median 3.5 d (95%: 24 h to 60 d; 6 episodes)"


# What happened, then changes that failed, and changes that can be judged.
CHANGES = {
    "a ++++": (0, 0),
    "a + p ++++": (0, 1),
    "a + p ++": (0, 0),
    "a + p ++!": (1, 1),
    "a + p ++++!": (0, 1),
    "a + p ++ r ++++": (1, 1),
    "a + p + p ++++": (0, 2),
    "a + p p ++++": (0, 1),
    "a ! p + r + p ++++ p !": (2, 3),
}


@pytest.mark.parametrize("text", CHANGES)
def test_failed_changes(text):
    failed, n = CHANGES[text]
    found = failed_changes(*story(text))
    assert (found.count, found.n) == (failed, n)
    if n:
        assert (found.interval.low, found.interval.high) == pytest.approx(clopper_pearson(failed, n))
        assert len(found.named) == failed
    else:
        assert found.interval is None
        assert "not known yet" in found.sentence


def test_a_change_too_young_to_judge_is_named():
    assert failed_changes(*story("a + p ++")).too_early == ("release 2",)


def test_the_answer_is_json():
    windows, releases = story("a ++~~ p +~++~ r !+ p ?+")
    windows += [replace(w, release_id="release-5") for w in decaying()]
    document = json.loads(json.dumps(encode(answer(windows, [*releases, release(5, 0)]))))
    assert document["releases"][-1]["decay"]["interval"]["level"] == 0.95
    assert document["episodes"][0]["answered_by"] == 2
    assert document["episodes"][0]["state"] == "answered"
    assert document["lead_time"]["n"] == 3


def test_each_deadline_in_words():
    def said(shares, labels=60, **options):
        windows = [window(w, cells=[counted(w, labels, round(labels * share))]) for w, share in enumerate(shares)]
        return answer(windows, [release(1, 0, "a")], **options).releases[0].deadline.sentence

    assert said([0.8] * 8) == "below the threshold of 93.0% already"
    assert "93.0% on average while it was watched" in said([0.8, 0.7, 0.9, 0.75, 0.85], labels=40)
    assert said([0.99] * 8, labels=400).startswith("not at the threshold of 93.0% before")
    assert said([0.99] * 30, labels=4000).startswith("above the threshold of 93.0% for a year at least")
    assert "within" in said([0.985 - 0.006 * w for w in range(10)], labels=150)
    assert "cannot be told yet: it may be there now" in said([0.95, 0.9, 0.95], labels=20)


def test_what_was_replaced_is_spoken_of_in_the_past():
    windows = [window(w, cells=[counted(w, 20, right)]) for w, right in enumerate([19, 18, 19])]
    found = answer(windows, [release(1, 0, "a"), release(2, 3)]).releases[0]
    assert found.deadline.state == "unknown"
    assert found.deadline.sentence == "whether it was at the threshold of 93.0% when it was replaced cannot be told"


def test_without_a_reference_there_is_no_deadline():
    bare = [replace(w, figures={"labels_counted": w.figures["labels_counted"]}) for w in decaying()]
    found = answer(bare, [release(1, 0, "a")]).releases[0]
    assert found.deadline is None
    assert found.sentence.endswith("its threshold is not known.")
