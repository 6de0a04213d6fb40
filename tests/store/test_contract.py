"""What every adapter of Catalog, Ledger and Transaction must do."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from backstay.kernel.errors import BackstayError, Conflict, NotFound
from backstay.kernel.records import Label, LabelRequest, LabelUse, Measurement
from backstay.store.chain import GENESIS


@dataclass(frozen=True)
class Note:
    text: str
    figure: float = 0.0


def put(store, kind, record_id, record, **scope):
    with store.transaction() as tx:
        tx.put(kind, record_id, record, **scope)


def label(prediction_id, source="review", use=LabelUse.GATE, at=None, **fields):
    return Label(prediction_id, "yes", source, True, True, use, at, "m", "production", **fields)


def test_what_is_put_is_got_back_equal(store):
    measured = Measurement("accuracy", math.nan, None, 0, "data-1")
    put(store, "measurement", "x", measured)
    found = store.get("measurement", "x", Measurement)
    assert math.isnan(found.value)
    assert replace(found, value=0.0) == replace(measured, value=0.0)


def test_putting_the_same_again_is_nothing_and_other_content_is_a_conflict(store):
    put(store, "note", "a", Note("one"))
    put(store, "note", "a", Note("one"))
    with pytest.raises(Conflict, match="other content"):
        put(store, "note", "a", Note("two"))
    assert store.find("note", Note) == [Note("one")]


def test_a_missing_record_is_named_with_the_nearest(store):
    put(store, "note", "note-17", Note("x"))
    with pytest.raises(NotFound, match="did you mean 'note-17'"):
        store.get("note", "note-18", Note)
    with store.transaction() as tx, pytest.raises(NotFound, match="no note 'zz'"):
        tx.get("note", "zz", Note)


def test_find_keeps_the_order_and_the_scope(store):
    for i in range(4):
        put(store, "note", str(i), Note(str(i)), model="m" if i % 2 else "other", environment="production")
    assert [n.text for n in store.find("note", Note)] == ["0", "1", "2", "3"]
    assert [n.text for n in store.find("note", Note, model="m", environment="production")] == ["1", "3"]
    assert [n.text for n in store.find("note", Note, newest_first=True, limit=2)] == ["3", "2"]
    assert store.find("note", Note, environment="staging") == []


def test_resolve_takes_the_only_prefix(store, publish):
    for name in ("model-aa1", "model-aa2", "model-b", "model-bc"):
        put(store, "model", name, Note(name))
    assert store.resolve("model", "model-aa2") == "model-aa2"
    assert store.resolve("model", "model-b") == "model-b"  # a whole id wins over a longer one
    with pytest.raises(BackstayError, match="2 models begin"):
        store.resolve("model", "model-a")
    with pytest.raises(NotFound, match="no model begins"):
        store.resolve("model", "zzz")
    publish(1)
    assert store.resolve("release", "rel") == "release-1"


def test_the_newest_release_of_a_model_and_environment_is_its_champion(store, publish):
    assert store.champion("m", "production") is None
    first = publish(1)
    second = publish(2, "model-b")
    publish(1, id="elsewhere", environment="staging")
    assert store.champion("m", "production") == second
    assert store.releases("m", "production") == [first, second]
    assert [r.id for r in store.every_release()] == ["release-1", "release-2", "elsewhere"]
    assert store.get("release", "release-1", type(first)) == first
    with store.transaction() as tx:
        assert tx.champion("m", "production") == second


def test_a_sequence_that_is_taken_is_a_conflict_and_leaves_no_ledger_row(store, publish):
    publish(1)
    with pytest.raises(Conflict, match="has that already"):
        publish(1, id="another")
    assert [r.seq for r in store.rows()] == [1]
    assert store.verify() == []


def write_and_fail(store):
    with store.transaction() as tx:
        tx.append("x", {}, actor="ann")
        tx.put("note", "n", Note("n"))
        tx.set_state("k", {"v": 1})
        raise ZeroDivisionError


def test_leaving_a_transaction_by_an_exception_changes_nothing(store):
    with pytest.raises(ZeroDivisionError):
        write_and_fail(store)
    assert store.head() == (0, GENESIS)
    assert store.find("note", Note) == []
    assert store.get_state("k") is None


def test_state_is_replaced_and_listed_by_prefix(store):
    with store.transaction() as tx:
        for key in ("watch/a", "watch/b", "watch_c"):
            tx.set_state(key, {"v": key})
        tx.set_state("watch/a", {"v": 2})
        assert tx.get_state("watch/a") == {"v": 2}
    assert store.get_state("watch/a") == {"v": 2}
    assert dict(store.states("watch/")) == {"watch/a": {"v": 2}, "watch/b": {"v": "watch/b"}}
    assert dict(store.states("watch_")) == {"watch_c": {"v": "watch_c"}}  # an underscore is no wildcard


def test_ledger_rows_come_in_order_with_time_and_clock(store, clock):
    with store.transaction() as tx:
        first = tx.append("a", {"n": 1, "odd": math.inf}, actor="ann")
    clock.advance(timedelta(days=1))
    with store.transaction() as tx:
        second = tx.append("b", {}, actor="bob")
    assert list(store.rows()) == [first, second]
    assert list(store.rows("b")) == [second]
    assert second.prev == first.hash
    assert (second.at - first.at, second.clock) == (timedelta(days=1), "injected")
    assert store.head() == (2, second.hash)


def test_a_label_of_one_source_is_kept_once(store, clock):
    now = clock.now()
    batch = [label("p1", at=now), label("p1", at=now, group="later"), label("p1", "key:x", LabelUse.TRAIN, now)]
    assert store.add_labels(batch) == 2
    assert store.add_labels(batch) == 0
    assert store.add_labels([]) == 0
    assert store.labels("m", "production") == [batch[0], batch[2]]
    assert store.labels("m", "production", use="train") == [batch[2]]
    assert store.labels("other", "production") == []


def test_requests_are_opened_and_closed(store, clock):
    asked = [LabelRequest(f"r{i}", f"p{i}", "m", "production", "standing", 0.5, clock.now()) for i in range(1200)]
    assert store.add_requests(asked) == 1200
    assert store.add_requests(asked[:3]) == 0
    store.close_requests([r.id for r in asked[:1100]], "answered")
    store.close_requests([], "answered")
    assert store.requests("m", "production", status="open") == asked[1100:]
    assert store.requests("m", "production", status="answered")[0] == replace(asked[0], status="answered")
    assert len(store.requests("m", "production")) == 1200


def test_a_revision_is_the_same_until_something_is_committed(store, clock):
    def given_up():
        with store.transaction() as tx:
            tx.set_state("a", {})
            raise ZeroDivisionError

    with store.revisions() as revision:
        first = revision()
        store.head()
        with pytest.raises(ZeroDivisionError):
            given_up()
        assert revision() == first
        seen = [first]
        for change in (
            lambda: put(store, "note", "a", Note("one")),
            lambda: store.add_labels([label("p1", at=clock.now())]),
            lambda: store.erase("m", "production", ["p1"]),
        ):
            change()
            assert revision() not in seen
            seen.append(revision())
        assert len(set(seen)) == 4
    with store.revisions() as other:
        assert other() == other()
