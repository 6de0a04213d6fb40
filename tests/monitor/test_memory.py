from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from backstay.kernel.errors import BackstayError
from backstay.maths.budget import Episodes
from backstay.monitor.late_rows import LateRows, Untold
from backstay.monitor.memory import MOST_LABELS, ChancePool, LabelPoint, Memory
from backstay.monitor.sources import Sources
from backstay.monitor.windows import stamp


def point(name: str, at, correct: bool = True) -> LabelPoint:
    return LabelPoint(name, at, correct, 1 / 3, None)


def test_json_and_back_is_exact(begin):
    memory = Memory(
        release_id="release-1",
        started=begin,
        last_end=begin + timedelta(days=7),
        rows=12,
        windows=1,
        spent=0.1 + 0.2,
        newest_label=begin + timedelta(microseconds=7),
        detectors={"labelled_error": {"recent": [["a", "b"]], "standing": None}},
        episodes={"columns": Episodes(2, True, 1, 3)},
        counted=frozenset({0, 1, 2**48 - 1}),
        labels=(point("a", begin), LabelPoint("b", begin, False, None, "g")),
        pools=(ChancePool(begin, begin + timedelta(days=7), 12, (1 / 3, 2 / 3)),),
        sources=Sources((0.1, 0.3)),
        late_rows=LateRows(Untold(3, 4), 90, ((begin, begin + timedelta(days=7)),)),
    )
    assert Memory.from_json(json.loads(json.dumps(memory.to_json()))) == memory


def test_the_state_of_another_version_is_refused(begin):
    state = Memory.start("release-1", begin).to_json() | {"version": 99}
    with pytest.raises(BackstayError, match="version 99"):
        Memory.from_json(state)


def test_labels_of_rows_over_a_month_old_are_forgotten(begin):
    memory = Memory.start("r", begin).with_labels(
        (point("old", begin), point("new", begin + timedelta(days=30))), begin
    )
    assert {p.prediction_id for p in memory.labels} == {"old", "new"}
    later = memory.with_labels((), begin + timedelta(days=40))
    assert [p.prediction_id for p in later.labels] == ["new"]


@pytest.mark.parametrize("days", [30.4375, 365.25])
def test_the_standing_sample_of_the_window_before_is_kept_however_long_windows_are(begin, days):
    """It is drawn when that window closes, so its rows are older than a month by the time a long window ends."""
    window = timedelta(days=days)
    memory = Memory.start("r", begin)
    for number in range(4):
        start, end = begin + number * window, begin + (number + 1) * window
        drawn_before = tuple(point(f"{number}-{i}", start - window * (i + 1) / 11) for i in range(10))
        memory = memory.with_labels(drawn_before if number else (), end)
        memory = memory.with_pool(ChancePool(start, end, 100, (0.9,)))
        assert len(memory.labels) == (10 if number else 0)
        assert [pool.start for pool in memory.pools][-2:] == ([start - window, start] if number else [start])
        assert len(memory.pools) <= 2


def test_a_row_counts_once_and_its_first_label_stays(begin):
    memory = Memory.start("r", begin).with_labels((point("a", begin, True),), begin)
    assert memory.with_labels((point("a", begin, False),), begin).labels == (point("a", begin, True),)


def test_labels_stay_in_the_order_in_which_they_came_those_of_one_look_not_by_time(begin):
    first = tuple(point(f"a{i}", begin + timedelta(hours=i)) for i in range(50))
    memory = Memory.start("r", begin).with_labels(first, begin)
    order = [p.prediction_id for p in memory.labels]
    assert sorted(order) == sorted(p.prediction_id for p in first)
    assert order != [p.prediction_id for p in first]
    again = memory.with_labels((point("older", begin - timedelta(hours=1)), *first), begin)
    assert [p.prediction_id for p in again.labels] == [*order, "older"]


def test_labels_are_thinned_without_regard_to_being_right(begin):
    rng = np.random.default_rng(0)
    many = tuple(point(f"p{i}", begin, bool(rng.random() < 0.9)) for i in range(3 * MOST_LABELS))
    kept = Memory.start("r", begin).with_labels(many, begin).labels
    assert len(kept) == MOST_LABELS
    assert abs(np.mean([p.correct for p in kept]) - np.mean([p.correct for p in many])) < 0.03


def test_late_rows_are_those_before_the_last_end_that_were_not_there(begin):
    memory = Memory("r", begin, last_end=begin + timedelta(days=7), rows=3)
    times = np.array([stamp(begin + timedelta(days=day)) for day in (0, 1, 2, 3, 6, 8)])
    assert memory.untold(times) == Untold(2, 0)
    assert Memory.start("r", begin).untold(times) == Untold()


def test_two_sources_of_one_row_are_one_witness_and_strangers_are_told_once_each(begin, make_label):
    good = make_label("a", "x", "x", begin)
    other = replace(good, label=replace(good.label, source="clinic"))
    strangers = [replace(good, label=replace(good.label, trusted=False, source=f"key:{name}")) for name in "pq"]
    memory, end = Memory.start("r", begin), begin + timedelta(days=7)
    assert memory.fresh((good, other), end) == (good,)
    memory = memory.with_counted((good,))
    assert memory.fresh((other, *strangers, *strangers), end) == tuple(strangers)
