"""The review queue and the labels that come back, by file and by HTTP."""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backstay.journal.entries import Feedback
from backstay.journal.writer import JournalWriter
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import LabelUse
from backstay.loop.label import add, ingest_feedback


def post(place, *said: tuple[str, str, str], model: str = "orders", environment: str = "production") -> None:
    """Feedback (source, id, value) as the server writes it."""
    at = int(place.clock.now().timestamp() * 1e6)
    with JournalWriter(place.folder / ".backstay" / "journal") as writer:
        writer.append_feedback([Feedback(model, environment, i, v, s, at) for s, i, v in said])


def test_requests_are_drawn_once_with_their_chance(trained):
    labels = trained.open().labels
    first = labels.request(30).requests
    second = labels.request(30).requests
    assert len({r.prediction_id for r in second}) == 60
    assert first[0].probability == pytest.approx(30 / 150)
    assert {r.purpose for r in second} == {"estimate"}


def test_more_than_there_is_is_refused(trained):
    with pytest.raises(BackstayError, match="151 rows were asked for and 150"):
        trained.open().labels.request(151)


@pytest.mark.parametrize(("n", "purpose", "said"), [(0, "estimate", "cannot be drawn"), (3, "estimat", "'estimate'")])
def test_a_request_that_cannot_be(trained, n, purpose, said):
    with pytest.raises(BackstayError, match=said):
        trained.open().labels.request(n, purpose=purpose)


def test_rows_for_training_are_the_newest(trained):
    trained.clock.advance(timedelta(days=1))
    trained.log(30, 5, "new")
    asked = trained.open().labels.request(20, purpose="retrain").requests
    assert {r.prediction_id.split("-")[0] for r in asked} == {"new"}


def test_the_export_shows_inputs_and_an_empty_label(trained):
    project = trained.open()
    project.labels.request(7)
    queue = project.labels.queue(export=trained.folder / "queue.parquet")
    table = pq.read_table(queue.exported)
    assert table.num_rows == 7
    assert table["label"].null_count == 7
    assert {"id", "purpose", "prediction", "a", "b"} <= set(table.column_names)
    assert "y" not in table.column_names


def test_answers_close_their_requests_and_get_one_use_each(trained):
    project = trained.open()
    asked = project.labels.request(20, purpose="retrain").requests
    done = project.labels.answer([{"id": r.prediction_id, "label": "no"} for r in asked])
    assert done.added == 20
    assert set(done.by_use) <= {"train", "gate"}
    assert sum(done.by_use.values()) == 20
    assert project.labels.queue().requests == ()
    labels = project.ws.catalog.labels("orders", "production")
    by_person: dict[str | None, set[LabelUse]] = {}
    for label in labels:
        by_person.setdefault(label.group, set()).add(label.use)
    assert all(len(uses) == 1 for uses in by_person.values())


def test_labels_of_unknown_ids_are_refused_whole(trained):
    project = trained.open()
    with pytest.raises(BackstayError, match="never logged"):
        project.labels.answer([{"id": "t-001", "label": "yes"}, {"id": "zzz", "label": "no"}])
    assert project.status().labels == 0


@pytest.mark.parametrize("column", ["id", "label"])
def test_a_missing_column_is_named(trained, column):
    rows = pa.table({"id": ["t-001"], "label": ["yes"]}).drop_columns([column])
    with pytest.raises(BackstayError, match=f"no column '{column}'"):
        trained.open().labels.answer(rows)


def test_rows_left_empty_are_passed_over_and_times_are_kept(trained):
    project = trained.open()
    moment = "2026-01-05T12:00:00+00:00"
    done = project.labels.answer(
        [{"id": "t-001", "label": "yes", "at": moment}, {"id": "t-002", "label": None, "at": None}]
    )
    assert done.added == 1
    (label,) = project.ws.catalog.labels("orders", "production")
    assert label.at.isoformat() == moment


def test_feedback_over_http_becomes_labels_of_its_key(trained):
    post(trained, ("key:app", "t-001", "yes"), ("key:app", "t-002", "no"))
    project = trained.open()
    assert ingest_feedback(project.ws) == []
    labels = project.ws.catalog.labels("orders", "production")
    assert {(label.prediction_id, label.value, label.source) for label in labels} == {
        ("t-001", "yes", "key:app"),
        ("t-002", "no", "key:app"),
    }
    assert {(label.trusted, label.adjudicated, label.use) for label in labels} == {(False, False, LabelUse.TRAIN)}
    assert labels[0].at == trained.clock.now()


def test_feedback_is_taken_in_once(trained):
    post(trained, ("key:app", "t-001", "yes"))
    project = trained.open()
    ingest_feedback(project.ws)
    assert ingest_feedback(project.ws) == []
    post(trained, ("key:app", "t-004", "yes"))
    ingest_feedback(project.ws)
    assert project.status().labels == 2


def test_nonsense_is_counted_and_stops_nobody(trained):
    post(
        trained,
        ("key:a", "never", "yes"),
        ("key:a", "t-001", ""),
        ("key:a", "t-002", "yes"),
        ("key:a", "t-002", "no"),
        ("key:b", "t-003", "yes"),
    )
    notes = trained.open().monitor.watch().notes
    assert notes == (
        "1 labels came for ids that were never logged or have left the log",
        "1 labels came without a value",
        "1 labels contradict what the same source had said before",
    )
    labels = trained.open().ws.catalog.labels("orders", "production")
    assert {label.prediction_id for label in labels} == {"t-002", "t-003"}


def test_feedback_of_another_model_is_left_to_it(trained):
    post(trained, ("key:app", "t-001", "yes"), model="other")
    project = trained.open()
    assert ingest_feedback(project.ws) == []
    assert project.status().labels == 0


def test_with_nothing_to_export_no_file_is_written_and_that_is_said(trained, capsys):
    from backstay.cli import show

    file = trained.folder / "queue.csv"
    queue = trained.open().labels.queue(export=file)
    assert (queue.exported, file.exists()) == (None, False)
    show.queue(queue)
    assert "nothing to export: no file was written" in capsys.readouterr().out
    trained.open().labels.request(2)
    assert trained.open().labels.queue(export=file).exported == str(file)


def test_what_a_stranger_says_answers_no_request(trained):
    ws = trained.open().ws
    asked = trained.open().labels.request(3).requests
    given = [(request.prediction_id, "yes", ws.clock.now()) for request in asked]
    assert not add(ws, given, source="key:stranger").trusted
    assert trained.open().labels.queue().requests == asked
    assert add(ws, given, source="review").trusted
    assert trained.open().labels.queue().requests == ()


def test_rows_that_were_answered_are_not_asked_about_again(trained):
    labels = trained.open().labels
    first = labels.request(30).requests
    labels.answer([{"id": request.prediction_id, "label": "yes"} for request in first])
    with pytest.raises(BackstayError, match="121 rows were asked for and 120"):
        labels.request(121)
    again = labels.request(120).requests
    assert len(again) == 120
    assert not {r.prediction_id for r in first} & {r.prediction_id for r in again}
