"""The detectors that a project may ask for, from the log to the window's record."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from backstay.journal.entries import FAILURE, Feedback
from backstay.journal.release_log import Piece, ReleaseLog
from backstay.journal.writer import JournalWriter
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Column, ColumnKind
from backstay.loop.label import live_rows
from backstay.loop.labelled import labelled_rows
from backstay.loop.reference import _times

ALL = ("schema", "novelty", "groups", "service", "label_quality", "engagement")


def asking(place, detectors, **more):
    """The project file with these detectors."""
    file = place.folder / "backstay.toml"
    text = file.read_text().replace("[watch]\n", f"[watch]\ndetectors = {list(detectors)}\n")
    for section, line in more.items():
        text = text.replace(f"[{section}]\n", f"[{section}]\n{line}\n")
    file.write_text(text)


def say(place, entries):
    with JournalWriter(place.folder / ".backstay" / "journal") as writer:
        writer.append_feedback(
            [
                Feedback("orders", "production", i, value, source, int(at.timestamp() * 1e6), kind, seconds)
                for i, value, source, at, kind, seconds in entries
            ]
        )


@pytest.fixture
def moment(trained) -> datetime:
    return trained.clock.now().astimezone(UTC)


def test_each_has_a_signal_and_none_alarms_for_nothing(trained):
    asking(trained, ALL, data='slices = ["person"]')
    window = trained.later(8).monitor.watch(close_now=True).latest
    said = {signal.detector: signal for signal in window.signals}
    assert set(said) <= set(ALL)
    assert not any(signal.alarm for signal in window.signals)
    assert said["schema"].figures["judged"]
    assert said["service"].message.startswith("not judged: no latencies are logged (predictions.latency")
    assert said["label_quality"].message == "not judged: no doubly labelled rows or decisions"
    assert "no clicks" in said["engagement"].message
    assert "groups" in window.figures["absent_detectors"]


def test_the_default_four_read_no_feedback_and_are_as_before(trained):
    window = trained.later(8).monitor.watch(close_now=True).latest
    assert [signal.detector for signal in window.signals] == ["embedding", "prediction", "columns", "labelled_error"]


def test_feedback_and_failures_reach_the_detectors_that_read_them(trained, moment):
    asking(trained, ALL)
    project = trained.open()
    ids = [str(i) for i in project.ws.journal.ids("orders", "production")]
    said = [(i, "overridden", "key:ada", moment, "override", 30.0) for i in ids[:120]]
    said += [(i, "true", "key:shop", moment, "click", 0.0) for i in ids[:50]]
    said += [("unknown", "true", "key:shop", moment, "click", 0.0)]
    said += [("failed-1", "500", "server", moment, FAILURE, 0.0)]
    say(trained, said)
    window = trained.later(8).monitor.watch(close_now=True).latest
    told = {signal.detector: signal for signal in window.signals}
    assert "corrected 100 of the last 100" in told["label_quality"].message
    assert told["engagement"].message == "not judged: learning what is usual: 1 of 2 windows"


def test_labels_know_the_slice_of_their_row(trained, moment):
    asking(trained, ALL)
    project = trained.open()
    rows = live_rows(project.ws)
    project.labels.answer([{"id": str(rows.ids[0]), "label": "yes"}], source="review")
    release = project.ws.champion()
    asked = project.ws.settings.data.model_copy(update={"slices": ("a", "site")})
    sliced = replace(project.ws, settings=project.ws.settings.model_copy(update={"data": asked}))
    wider = replace(rows, inputs=rows.inputs.append_column("site", pa.array(["north"] * len(rows))))
    wider = ReleaseLog.of([Piece.held(wider)])
    assert labelled_rows(project.ws, wider, release)[0].slices == {}
    assert labelled_rows(sliced, wider, release)[0].slices == {"site": "north"}
    plain = sliced.settings.watch.model_copy(update={"detectors": ("columns",)})
    unasked = replace(sliced, settings=sliced.settings.model_copy(update={"watch": plain}))
    assert labelled_rows(unasked, wider, release)[0].slices == {}


def test_a_season_needs_the_times_of_the_reference_and_reads_them(trained):
    asking(trained, ["columns"], watch='season = "week"')
    project = trained.later(8)
    with pytest.raises(BackstayError, match="not known when the reference rows happened"):
        project.monitor.watch(close_now=True)
    table, schema = project.ws.rows_of(str(project.ws.champion().reference_id))
    moments = pa.array([datetime(2026, 1, 5, tzinfo=UTC)] * table.num_rows, pa.timestamp("us", tz="UTC"))
    timed = replace(schema, columns=(*schema.columns, Column("when", ColumnKind.TIME)), time="when")
    found = _times(project.ws, table.append_column("when", moments), timed)
    assert found.tolist() == [datetime(2026, 1, 5)] * table.num_rows
    assert _times(project.ws, table, schema) is None


def two_live(place, share: float) -> None:
    """A week in which the release before answers as many rows as the live one, whose planned share is this."""
    asking(place, ("prediction", "engagement"), watch=f"planned_share = {share}")
    project = place.open()
    logged = live_rows(project.ws)
    other = [f"other-{i}" for i in range(len(logged))]
    rows = replace(logged, ids=np.array(other, dtype=object), releases=np.full(len(logged), "rel_before", dtype=object))
    project.ws.journal.add(rows, model="orders", environment="production")


def test_rows_that_are_not_dealt_as_planned_are_told(trained):
    two_live(trained, 0.9)
    window = trained.later(8).monitor.watch(close_now=True).latest
    told = "The two releases cannot be compared: 50.0% of rows went to the other release and 10.0% were meant to."
    assert told in window.advice


def test_rows_that_are_dealt_as_planned_are_not(trained):
    two_live(trained, 0.5)
    window = trained.later(8).monitor.watch(close_now=True).latest
    assert not any("compared" in line for line in window.advice)
