"""Rows of days long past leave the log, counted; what must stay stays, wherever it is killed."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pytest
from msgspec import structs

from backstay.journal.entries import Feedback, tensor
from backstay.journal.reader import Journal
from backstay.journal.tally import Tally
from backstay.journal.writer import JournalWriter
from backstay.kernel.errors import BackstayError

SCOPE = ("risk", "production")
DAY = 86_400_000_000
START = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp()) * 1_000_000
CUT = date(2026, 3, 3)


def log(folder, *entries, feedback=()):
    with JournalWriter(folder) as writer:
        for one in entries:
            writer.append_predictions([one])
        if feedback:
            writer.append_feedback(list(feedback))
    return Journal(folder)


def on_day(entry, number, *ids, **more):
    return entry(*ids, at=START + number * DAY + DAY - 1, **more)


def said(of, number, environment="production"):
    return Feedback("risk", environment, of, "yes", "key:app", START + number * DAY)


def test_whole_days_leave_and_are_counted(tmp_path, entry, manifests):
    log(tmp_path, on_day(entry, 0, "a", "b"), on_day(entry, 1, "c", release="r2")).compact(manifests)
    journal = log(tmp_path, on_day(entry, 1, "d"), on_day(entry, 2, "e"), on_day(entry, 0, "x", model="other"))
    expected = {"2026-03-01": 2, "2026-03-02": 2}
    assert journal.to_expire(*SCOPE, before=CUT, manifests=manifests) == expected
    assert len(journal.rows(*SCOPE, manifests=manifests)) == 5
    assert journal.expire(*SCOPE, before=CUT, manifests=manifests) == expected
    # The last microsecond of 2 March went, what came a day later stayed, and so did the other model's rows.
    assert journal.rows(*SCOPE).ids.tolist() == ["e"]
    assert journal.rows("other", "production").ids.tolist() == ["x"]
    assert journal.tally(*SCOPE) == Tally(0, expected, {"r1": 3, "r2": 1}, CUT)
    assert journal.expire(*SCOPE, before=CUT, manifests=manifests) == {}
    assert journal.to_expire(*SCOPE, before=CUT, manifests=manifests) == {}


def test_rows_that_no_window_could_judge_are_not_counted_as_judged(tmp_path, entry, manifests):
    broken = tensor(np.array([[np.nan, 0.5]], np.float32), "FP32")
    journal = log(tmp_path, on_day(entry, 0, "a", scores=broken), on_day(entry, 0, "b"))
    journal.expire(*SCOPE, before=CUT, manifests=manifests)
    assert journal.tally(*SCOPE).judged == {"r1": 1}
    assert journal.tally(*SCOPE).expired == {"2026-03-01": 2}


def test_a_running_server_keeps_its_rows_until_it_ends(tmp_path, entry, manifests):
    with JournalWriter(tmp_path) as writer:
        writer.append_predictions([on_day(entry, 0, "a")])
        journal = Journal(tmp_path)
        assert journal.to_expire(*SCOPE, before=CUT, manifests=manifests) == {}
        assert journal.expire(*SCOPE, before=CUT, manifests=manifests) == {}
        assert journal.rows(*SCOPE).ids.tolist() == ["a"]
    assert journal.expire(*SCOPE, before=CUT, manifests=manifests) == {"2026-03-01": 1}


def test_rows_of_a_time_that_has_left_are_not_taken_in_again(tmp_path, entry, manifests):
    journal = log(tmp_path, on_day(entry, 0, "a"), on_day(entry, 5, "b"))
    rows = journal.rows(*SCOPE, manifests=manifests)
    journal.expire(*SCOPE, before=CUT, manifests=manifests)
    again = rows.take(rows.ids == "a")
    with pytest.raises(BackstayError, match=r"1 of 1 rows are from before 2026-03-03.*nothing was added"):
        journal.add(again, model="risk", environment="production")
    journal.add(again, model="risk", environment="staging")


def test_feedback_goes_with_them_when_it_has_been_taken_in(tmp_path):
    journal = log(tmp_path, feedback=[said("old", 0), said("other", 0, "staging"), said("new", 9)])
    _, cursor = journal.feedback()
    (path,) = (tmp_path / "segments").glob("f-*")
    before = path.stat().st_size
    journal.expire(*SCOPE, before=CUT, manifests={})
    assert [f.prediction_id for f in journal.feedback()[0]] == ["old", "other", "new"]
    journal.expire(*SCOPE, before=CUT, manifests={}, cursor=cursor)
    assert [f.prediction_id for f in journal.feedback()[0]] == ["---", "other", "new"]
    assert path.stat().st_size == before
    assert journal.feedback(cursor) == ([], cursor)
    # A file in which nothing speaks any more goes.
    journal.expire("risk", "staging", before=CUT, manifests={}, cursor=cursor)
    journal.expire(*SCOPE, before=date(2027, 1, 1), manifests={}, cursor=cursor)
    assert not path.exists()


def test_words_beyond_ascii_leave_what_follows_them_readable(tmp_path):
    """A letter of two bytes is two dashes: the places of all that follows stay what the cursors say."""
    journal = log(tmp_path, feedback=[structs.replace(said("Zoë", 0), value="grün"), said("new", 9)])
    _, cursor = journal.feedback()
    journal.expire(*SCOPE, before=CUT, manifests={}, cursor=cursor)
    assert [(f.prediction_id, f.value) for f in journal.feedback()[0]] == [("----", "-----"), ("new", "yes")]
    assert journal.feedback(cursor) == ([], cursor)


def test_feedback_of_another_model_stays_however_old_it_is(tmp_path):
    other = structs.replace(said("theirs", 0), model="churn")
    journal = log(tmp_path, feedback=[said("old", 0), other])
    _, cursor = journal.feedback()
    journal.expire(*SCOPE, before=CUT, manifests={}, cursor=cursor)
    assert [f.prediction_id for f in journal.feedback()[0]] == ["---", "theirs"]


def test_killed_at_every_step_and_done_again(tmp_path, entry, manifests, kill):
    """All rows that are too old are there, or none is; the count of them is the same in the end."""
    for step in range(100):
        place = tmp_path / str(step)
        log(place, on_day(entry, 0, "a", "b"), on_day(entry, 1, "c")).compact(manifests)
        journal = log(place, on_day(entry, 1, "d"), on_day(entry, 7, "e"), feedback=[said("a", 0)])
        _, cursor = journal.feedback()

        def expire(journal=journal, cursor=cursor):
            return journal.expire(*SCOPE, before=CUT, manifests=manifests, cursor=cursor)

        died = kill(step, expire)
        left = journal.rows(*SCOPE, manifests=manifests).ids.tolist()
        counted = sum(journal.tally(*SCOPE).expired.values())
        assert (left, counted) in ((["a", "b", "c", "d", "e"], 0), (["e"], 4))
        expire()
        assert journal.rows(*SCOPE).ids.tolist() == ["e"]
        assert journal.tally(*SCOPE) == Tally(0, {"2026-03-01": 2, "2026-03-02": 2}, {"r1": 4}, CUT)
        assert journal.feedback()[0] == []
        if not died:
            break
    assert 8 < step < 99
