"""A subject is erased from the log, from labels and from every data version; the ledger keeps hashes."""

from __future__ import annotations

import hashlib
import json

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from tests.loop.conftest import orders

from backstay.journal.entries import Feedback, Predictions
from backstay.journal.writer import JournalWriter
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import DataVersion
from backstay.loop import forget as forgetting
from backstay.loop.erasures import erasures, standing
from backstay.loop.lookup import window_results

PERSON = "t-person-000"
ROWS = ("t-000", "t-001", "t-002")


def everything_on_disk(folder) -> bytes:
    """All bytes of the state: database, log and blobs, Parquet unpacked."""
    found = b""
    for path in sorted((folder / ".backstay").rglob("*")):
        if path.suffix == ".parquet" or path.parent.name == "blobs":
            found += json.dumps(pq.read_table(path).to_pylist(), default=str).encode()
        elif path.is_file():
            found += path.read_bytes()
    return found


@pytest.fixture
def labelled(trained):
    """The project, with labels for two persons and an open request for a third."""
    project = trained.open()
    project.labels.answer([{"id": i, "label": "yes"} for i in (*ROWS, "t-003")])
    project.labels.request(100)
    return trained


def test_a_person_is_erased_from_log_labels_and_queue(labelled):
    project = labelled.open()
    before = project.status()
    asked = sum(r.prediction_id in ROWS for r in project.labels.queue().requests)
    done = project.data.forget(groups=[PERSON], reason="asked by the customer")
    assert (done.rows, done.labels, done.requests) == (3, 3, asked)
    after = project.status()
    assert after.logged_rows == before.logged_rows - 3
    assert after.labels == 1
    assert after.open_requests == before.open_requests - asked
    disk = everything_on_disk(labelled.folder)
    assert PERSON.encode() not in disk
    assert b'"t-001"' not in disk
    assert b"t-person-005" in disk


def test_one_row_is_erased_by_its_id(labelled):
    project = labelled.open()
    done = project.data.forget(ids=["t-001"], reason="asked")
    assert (done.rows, done.labels) == (1, 1)
    assert {label.prediction_id for label in project.ws.catalog.labels("orders", "production")} == {
        "t-000",
        "t-002",
        "t-003",
    }


def test_what_a_monitor_remembers_of_a_row_goes_with_it(labelled):
    project = labelled.open()
    seen = {"kind": "errors", "labelled": {"t-001": [1.5], "t-009": [2.0]}, "pools": []}
    with project.ws.ledger.transaction() as tx:
        tx.set_state("watch/orders/production/release-x", {"labels": [], "rows_seen": seen})
    project.data.forget(ids=["t-001"], reason="asked")
    state = project.ws.catalog.get_state("watch/orders/production/release-x")
    assert state["rows_seen"] == {**seen, "labelled": {"t-009": [2.0]}}


def test_no_window_shows_an_erased_row_as_an_example(trained):
    rows = orders(300, 5, "u")
    rows = rows.set_column(2, "a", pc.add(rows["a"], 3.0)).drop_columns(["y"])
    trained.open().models.predict(rows, record=True)
    project = trained.later(7)
    (window,) = project.monitor.watch().windows
    shown = {i for signal in window.signals for i in signal.example_ids}
    assert len(shown) > 5
    assert b"u-person" in everything_on_disk(trained.folder)
    project.data.forget(ids=sorted(shown), reason="asked")
    (kept,) = window_results(project.ws)
    assert not any(signal.example_ids for signal in kept.signals)
    assert [s.message for s in kept.signals] == [s.message for s in window.signals]
    disk = everything_on_disk(trained.folder)
    assert not [i for i in sorted(shown) if f'"{i}"'.encode() in disk or f'\\"{i}\\"'.encode() in disk]
    assert project.ws.ledger.verify() == []


def test_the_ledger_keeps_hashes_and_the_reason_only(labelled):
    project = labelled.open()
    project.data.forget(ids=["t-001"], groups=[PERSON], reason="asked")
    (row,) = project.ws.ledger.rows("erased")
    assert row.body["ids"] == [hashlib.sha256(b"t-001").hexdigest()]
    assert row.body["groups"] == [hashlib.sha256(PERSON.encode()).hexdigest()]
    assert PERSON not in json.dumps(row.body)
    assert project.verify().sound
    assert [e.kind for e in project.releases.history().events][-1] == "erased"


def test_models_that_learned_from_the_subject_are_named_and_references_replaced(trained):
    project = trained.open()
    ws = project.ws
    champion = project.releases.champion()
    reference, schema = ws.rows_of(champion.reference_id)
    person = reference["person"][0].as_py()
    done = project.data.forget(groups=[person], reason="asked")
    assert done.rows == 0
    assert done.models == (champion.model_id,)
    assert done.releases == (1,)
    assert champion.reference_id in done.replaced
    assert done.not_searched == ()
    after, same = ws.rows_of(champion.reference_id)
    assert same == schema
    assert after.num_rows == reference.num_rows - 3
    assert person not in after["person"].to_pylist()
    assert champion.reference_id not in ws.blobs
    assert standing(ws.catalog, champion.reference_id) == done.replaced[champion.reference_id]
    assert erasures(ws.catalog)[champion.reference_id].rows == 3
    fresh = ws.catalog.get("data", done.replaced[champion.reference_id], DataVersion)
    assert (fresh.role, fresh.parents) == ("reference", (champion.reference_id,))
    assert person.encode() not in everything_on_disk(trained.folder)


def test_the_loop_goes_on_after_an_erasure(trained):
    project = trained.open()
    reference, _ = project.ws.rows_of(project.releases.champion().reference_id)
    project.data.forget(groups=[reference["person"][0].as_py()], reason="asked")
    assert project.verify().sound
    assert project.verify().checked_data == 1
    watched = trained.later(1).monitor.watch(close_now=True)
    assert watched.latest is not None
    assert project.gc(dry_run=True)["removed"] == []


def test_the_source_must_be_cleaned_as_well(trained):
    project = trained.open()
    project.data.forget(groups=["o-person-000"], reason="asked")
    with pytest.raises(BackstayError, match="hold a subject that was erased"):
        project.data.audit()
    source = trained.folder / "orders.parquet"
    pq.write_table(pq.read_table(source).slice(3), source)
    assert project.data.audit().rows == 297


def test_an_erasure_that_was_killed_is_finished_by_the_next(trained, monkeypatch):
    project = trained.open()
    champion = project.releases.champion()
    person = project.ws.rows_of(champion.reference_id)[0]["person"][0].as_py()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(forgetting, "_record", killed)
        with pytest.raises(KeyboardInterrupt):
            project.data.forget(groups=[person], reason="asked")
    assert champion.reference_id in project.ws.blobs
    project.data.forget(groups=[person], reason="asked")
    assert champion.reference_id not in project.ws.blobs
    assert person.encode() not in everything_on_disk(trained.folder)
    assert project.verify().sound


def test_a_server_that_runs_keeps_its_rows_hidden_until_it_ends(trained):
    project = trained.open()
    release = project.releases.champion()
    at = int(trained.clock.now().timestamp() * 1e6)
    entry = Predictions(
        "orders", "production", release.id, release.model_id, at, ["live-1", "live-2"], ["yes", "no"], groups=["p", "q"]
    )
    said = [
        Feedback("orders", "production", "live-1", "no-so-secret", "key:app", at),
        Feedback("orders", "production", "live-2", "yes", "key:app", at),
    ]
    writer = JournalWriter(trained.folder / ".backstay" / "journal")
    writer.append_predictions([entry])
    writer.append_feedback(said)
    done = project.data.forget(groups=["p"], reason="asked")
    assert (done.rows, done.held_by_servers) == (1, 1)
    assert "live-1" not in {str(i) for i in project.ws.journal.rows("orders", "production").ids}
    writer.close()
    assert project.gc()["compacted_segments"] == 1
    assert project.data.forget(ids=["live-1"], reason="once more, now that the server has ended").held_by_servers == 0
    disk = everything_on_disk(trained.folder)
    assert b"live-1" not in disk
    assert b"no-so-secret" not in disk
    feedback, _ = project.ws.journal.feedback()
    assert [f.value for f in feedback] == ["-" * 12, "yes"]


@pytest.mark.parametrize(
    ("given", "said"),
    [({"reason": "asked"}, "nobody was named"), ({"ids": ["t-001"], "reason": " "}, "needs a reason")],
)
def test_who_and_why_must_be_said(trained, given, said):
    with pytest.raises(BackstayError, match=said):
        trained.open().data.forget(**given)


def test_nothing_held_is_an_answer_too(trained):
    done = trained.open().data.forget(ids=["nobody"], reason="asked")
    assert (done.rows, done.labels, done.replaced, done.models) == (0, 0, {}, ())
