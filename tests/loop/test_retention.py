"""Rows that are too old leave the log: what was judged of them stands, what comes of it later does not stumble."""

from __future__ import annotations

import json

import pytest

from backstay.cli.main import run
from backstay.journal import retention as module
from backstay.journal.entries import Predictions
from backstay.journal.writer import JournalWriter
from backstay.kernel.errors import BackstayError
from backstay.loop import retention
from backstay.loop.act import labels_missing
from backstay.loop.retention import expire

KEEP = "\n[log]\nkeep_days = 20\n"


@pytest.fixture
def keeping(trained):
    """The project of the fixture, with rows kept for 20 days; its first 150 rows are of 6 January."""
    file = trained.folder / "backstay.toml"
    text = file.read_text().replace("[watch]", "[watch]\nmaximum_label_age_days = 20")
    file.write_text(text + KEEP)
    return trained


def rows_of_the_ledger(project):
    return [row.body for row in project.ws.ledger.rows("expired")]


def test_without_a_setting_rows_stay_for_ever(trained):
    project = trained.later(4000)
    project.monitor.watch(close_now=True)
    assert project.gc()["expired"] == {"before": None, "rows": 0, "days": {}, "unjudged": 0}
    assert project.status().logged_rows == 150


def test_what_is_too_old_leaves_at_gc_and_is_on_record(keeping):
    project = keeping.later(3)
    project.monitor.watch(close_now=True)
    assert project.gc()["expired"]["rows"] == 0
    keeping.later(10)
    keeping.log(60, 2, "u")
    project = keeping.later(9)
    project.monitor.watch()
    expected = {"before": "2026-01-08", "rows": 150, "days": {"2026-01-06": 150}, "unjudged": 0}
    assert project.gc(dry_run=True)["expired"] == expected
    assert project.status().logged_rows == 210
    assert project.gc()["expired"] == expected
    assert project.status().logged_rows == 60
    assert {str(i)[0] for i in project.ws.journal.ids("orders", "production")} == {"u"}
    (body,) = rows_of_the_ledger(project)
    assert body["days"] == {"2026-01-06": 150}
    assert (body["before"], body["keep_days"], body["rows"]) == ("2026-01-08", 20, 150)
    assert "expired" in {row.kind for row in project.releases.history().events}
    assert project.gc()["expired"]["rows"] == 0
    assert len(rows_of_the_ledger(project)) == 1
    assert project.verify().sound


def test_rows_that_no_window_has_judged_wait(keeping):
    project = keeping.later(60)
    assert project.gc(dry_run=True)["expired"]["unjudged"] == 150
    done = project.gc()["expired"]
    assert (done["rows"], done["unjudged"]) == (0, 150)
    project.monitor.watch()
    done = project.gc()["expired"]
    assert (done["rows"], done["unjudged"]) == (150, 0)


def test_late_rows_are_told_rightly_after_others_have_left(keeping):
    """150 judged rows leave; 3 rows then come in late, behind the end of the last window."""
    project = keeping.later(13)
    project.monitor.watch()
    keeping.log(60, 2, "u")
    project = keeping.later(12)
    (window,) = project.monitor.watch().windows
    assert window.figures["late_rows"] == 0
    assert project.gc()["expired"]["rows"] == 150
    rows = project.ws.journal.rows("orders", "production", manifests=project.ws.manifests_by_release())
    late = rows.take(rows.ids < "u-003")
    for place in range(3):
        late.ids[place] = f"late-{place}"
    project.ws.journal.add(late, model="orders", environment="production")
    keeping.log(60, 3, "v")
    (window,) = keeping.later(8).monitor.watch().windows
    assert window.rows == 60
    assert window.figures["late_rows"] == 3


def test_late_rows_are_told_rightly_after_others_were_forgotten(keeping):
    project = keeping.later(13)
    project.monitor.watch()
    rows = project.ws.journal.rows("orders", "production", manifests=project.ws.manifests_by_release())
    project.data.forget(ids=["t-000", "t-001"], reason="asked")
    late = rows.take(rows.ids == "t-005")
    late.ids[0] = "late"
    project.ws.journal.add(late, model="orders", environment="production")
    keeping.log(60, 3, "v")
    (window,) = keeping.later(8).monitor.watch().windows
    assert window.figures["late_rows"] == 1


def test_labels_of_rows_that_left_are_no_longer_learned_from(keeping):
    """They stay, and what was judged by them stands; but whoever counts on their rows would retrain on nothing."""
    project = keeping.later(13)
    project.monitor.watch(close_now=True)
    # Rows 70 to 149 are labelled, rows 0 to 19 stay asked for.
    asked = [r.prediction_id for r in project.labels.request(20).requests]
    given = [f"t-{i:03d}" for i in range(150) if f"t-{i:03d}" not in asked]
    project.labels.answer([{"id": i, "label": "yes"} for i in given])
    before = labels_missing(project.ws, project.releases.champion())
    keeping.log(60, 2, "u")
    project = keeping.later(12)
    assert project.gc()["expired"]["rows"] == 150
    assert project.status().labels == len(given)
    assert before == 0
    assert labels_missing(project.ws, project.releases.champion()) == project.settings.retrain.labels
    # Nobody is asked about them any more, and an answer that comes too late is refused with the reason.
    assert project.labels.queue().requests == ()
    with pytest.raises(BackstayError, match="left the log"):
        project.labels.answer([{"id": asked[0], "label": "yes"}])
    with pytest.raises(BackstayError, match="no new labels to learn from"):
        project.models.retrain()
    project.monitor.watch(close_now=True)
    project.monitor.report(page=keeping.folder / "report.html")


@pytest.mark.parametrize("where", ["_close_requests", "_record"])
def test_killed_between_its_steps_and_done_again(keeping, monkeypatch, where):
    """Rows have left and nothing else has happened yet: done again, the ledger tells of them once."""
    project = keeping.later(3)
    project.monitor.watch(close_now=True)
    asked = len(project.labels.request(5).requests)
    project = keeping.later(30)

    class Killed(BaseException):
        pass

    def killed(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(retention, where, killed)
        with pytest.raises(Killed):
            project.gc()
    assert project.status().logged_rows == 0
    assert rows_of_the_ledger(project) == []
    assert asked >= 5
    for _ in range(2):
        project.gc()
        (body,) = rows_of_the_ledger(project)
        assert body["days"] == {"2026-01-06": 150}
        assert project.status().open_requests == 0


def test_what_leaves_later_of_the_same_day_is_told_for_itself(keeping):
    """A server held two rows of that day in its file while the others left; then it ends."""
    project = keeping.open()
    release = project.releases.champion()
    at = int(keeping.clock.now().timestamp() * 1e6)
    entry = Predictions("orders", "production", release.id, release.model_id, at, ["s-1", "s-2"], ["yes", "no"])
    with JournalWriter(keeping.folder / ".backstay" / "journal") as writer:
        writer.append_predictions([entry])
        project = keeping.later(40)
        project.monitor.watch()
        assert project.gc(dry_run=True)["expired"]["rows"] == 150
        assert project.gc()["expired"]["rows"] == 150
    assert project.gc()["expired"]["rows"] == 2
    assert [body["days"] for body in rows_of_the_ledger(project)] == [{"2026-01-06": 150}, {"2026-01-06": 2}]


def test_the_agent_lets_them_go_too(keeping):
    project = keeping.later(40)
    seen = project.monitor.watch(act=True)
    assert seen.windows
    assert "150 rows from before 2026-01-26 have left the log" in seen.notes
    assert project.status().logged_rows == 0
    # A plain look changes nothing but what it has seen.
    assert keeping.later(9).monitor.watch().notes == ()


def test_feedback_leaves_with_the_cursor_of_what_was_taken_in(keeping, monkeypatch):
    given = {}
    monkeypatch.setattr(
        module, "expire_feedback", lambda layout, scope, before, cursor: given.update(cursor=cursor, before=before)
    )
    project = keeping.later(40)
    project.monitor.watch(act=True)
    assert given["cursor"] == project.ws.catalog.get_state("feedback-cursor/orders/production")["cursor"]


def test_a_dry_run_says_it_in_json(keeping, capsys, monkeypatch):
    clock = keeping.folder / "clock"
    clock.write_text("2026-03-01T00:00:00+00:00")
    monkeypatch.setenv("BACKSTAY_CLOCK", str(clock))
    keeping.later(30).monitor.watch()
    capsys.readouterr()
    assert run(["gc", "--dry-run", "--json", "--project", str(keeping.folder)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["expired"] == {"before": "2026-02-09", "rows": 150, "days": {"2026-01-06": 150}, "unjudged": 0}
    assert expire(keeping.open().ws, dry_run=True).rows == 150
