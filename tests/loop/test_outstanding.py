"""Rows drawn for labels whose release was rolled back: they are told, and can be closed."""

from __future__ import annotations

from datetime import timedelta

from backstay.cli import show
from backstay.loop.outstanding import waiting_for_estimates


def rolled_back(place):
    """A second release draws 6 standing rows and 4 to train with, and is rolled back."""
    file = place.folder / "backstay.toml"
    file.write_text(file.read_text().replace("epochs = 3", "epochs = 2"))
    project = place.open()
    project.labels.request(5)
    project.models.run()
    project.releases.promote(reason="newer")
    place.clock.advance(timedelta(hours=1))
    place.log(60, 9, "second")
    project.labels.request(6)
    project.labels.request(4, purpose="retrain")
    place.clock.advance(timedelta(hours=1))
    project.releases.rollback(reason="complaints")
    place.log(30, 10, "third")
    project.labels.request(3)
    return project


def test_requests_of_a_release_that_is_not_live_are_told_and_closed_on_demand(trained, capsys):
    project = rolled_back(trained)
    queue = project.labels.queue()
    assert len(queue.requests) == 18
    assert [(past.release, past.rows) for past in queue.past] == [(1, 5), (2, 6)]
    assert project.status().past_requests == queue.past
    for verb, value in ((show.queue, queue), (show.status, project.status())):
        verb(value)
        said = capsys.readouterr().out
        assert "6 of the rows that wait for a label were answered by release 2, which is not live" in said
        assert "label --close-past" in said
    trained.clock.advance(timedelta(hours=1))
    page = trained.folder / "watch.html"
    watched = project.monitor.watch(close_now=True, page=page)
    assert sum("answered by release" in note for note in watched.notes) == 2
    assert "answered by release 2, which is not live" in page.read_text()
    fresh = len(watched.requested)
    assert project.labels.close_past() == 11
    left = project.labels.queue()
    assert (len(left.requests), left.past) == (7 + fresh, ())
    assert sum(r.purpose == "retrain" for r in left.requests) == 4
    assert project.labels.close_past() == 0


def test_only_rows_of_the_live_release_drawn_at_random_of_late_are_waited_for(trained):
    project = rolled_back(trained)
    assert waiting_for_estimates(project.ws) == 3
    trained.clock.advance(timedelta(days=32))
    assert waiting_for_estimates(project.ws) == 0


def test_the_advice_of_a_look_counts_what_waits(trained):
    project = trained.open()
    trained.clock.advance(timedelta(days=7))
    project.labels.request(20)
    watched = project.monitor.watch(close_now=True)
    waiting = len(project.labels.queue().requests)
    assert watched.latest.labels_requested > waiting
    # The window's own draw met rows that were asked about before: nobody is asked about them twice.
    assert len({request.prediction_id for request in project.labels.queue().requests}) == waiting
    for look in (watched, project.monitor.watch()):
        (line,) = (line for line in look.latest.advice if "label --export" in line)
        assert f"Answer the {waiting} rows that wait" in line
    project.labels.request(watched.latest.labels_requested - waiting)
    (line,) = (line for line in project.monitor.watch().latest.advice if "label --export" in line)
    assert "--request" not in line


def test_while_one_release_was_ever_live_nothing_is_past(trained):
    project = trained.open()
    project.labels.request(5)
    assert project.labels.queue().past == ()
    assert project.labels.close_past() == 0
