"""Messages: each once and in order, again after a failure, never rows, never the past."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace

import pytest

from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Condition, WindowResult
from backstay.loop.notify import deliver
from backstay.loop.watch import commit
from backstay.monitor.memory import Memory

SECRET = "whsec_" + base64.b64encode(bytes(32)).decode()


@pytest.fixture
def told(trained, receiver, monkeypatch):
    """The project with a webhook on this machine, marked as knowing all that has happened so far."""
    monkeypatch.setenv("BACKSTAY_WEBHOOK_SECRET", SECRET)
    file = trained.folder / "backstay.toml"
    file.write_text(file.read_text() + f'\n[notify]\nwebhooks = ["{receiver.url}"]\nallow_private = true\n')
    assert trained.open().monitor.notify().delivered == ()
    return trained


def events(receiver) -> list[str]:
    return [json.loads(body)["type"] for body in receiver.bodies]


def alarm(project, n: int = 1) -> None:
    """Rows in the ledger as `watch` writes them, without the work of watching."""
    with project.ws.ledger.transaction() as tx:
        for i in range(n):
            body = {"detector": "columns", "window": f"window-{i}", "release": project.releases.champion().id}
            tx.append("alarm", {**body, "headline": f"number {i}"}, actor="ada")


def test_a_new_webhook_is_not_told_the_past(told, receiver):
    assert receiver.bodies == []
    assert told.open().monitor.unsent() == []


def test_what_happens_is_told_once(told, receiver):
    project = told.open()
    alarm(project)
    assert len(project.monitor.unsent()) == 1
    assert project.monitor.notify().delivered == ("webhook 127.0.0.1: alarm",)
    assert project.monitor.notify().delivered == ()
    data = json.loads(receiver.bodies[0])["data"]
    assert data["headline"] == "number 0"
    assert (data["model"], data["environment"], data["facts"]["detector"]) == ("orders", "production", "columns")


def test_alarms_of_one_window_are_one_message_that_names_the_detectors(told, receiver):
    project = told.later(8)
    project.monitor.watch()
    project.monitor.notify()
    ws, release = project.ws, project.releases.champion()
    seen = ws.catalog.find("window", WindowResult, newest_first=True, limit=1)[0]
    before = len(receiver.bodies)
    for number, alarms in ((1, ("embedding", "columns", "prediction")), (2, ("columns",))):
        window = replace(seen, id=f"window-{number}", new_alarms=alarms)
        commit(
            ws,
            "watch/test",
            release,
            window,
            replace(Memory.start(release.id, release.created_at), windows=number),
        )
    assert [message.subject.partition(": ")[2] for message in project.monitor.unsent()] == [
        "alarm (embedding, columns, prediction)",
        "alarm (columns)",
    ]
    assert len(project.monitor.notify().delivered) == 2
    assert project.monitor.notify().delivered == ()
    facts = [json.loads(body)["data"]["facts"] for body in receiver.bodies[before:]]
    assert [fact["detectors"] for fact in facts] == [["embedding", "columns", "prediction"], ["columns"]]


def test_a_test_message_tries_every_wire(told, receiver):
    file = told.folder / "backstay.toml"
    first = f'webhooks = ["{receiver.url}"'
    assert first in file.read_text()
    file.write_text(
        file.read_text().replace(first, f'{first.replace(receiver.url, "http://127.0.0.1:9/")}, "{receiver.url}"')
    )
    with pytest.raises(
        BackstayError, match=r"number 1 of notify\.webhooks.*; it arrived by webhook 127\.0\.0\.1 \(number 2"
    ):
        told.open().monitor.notify(test=True)
    assert events(receiver) == ["backstay.test"]


def test_other_models_and_other_events_are_not_ours(told, receiver):
    project = told.open()
    with project.ws.ledger.transaction() as tx:
        tx.append("alarm", {"detector": "x", "window": "w", "release": "somebody-else", "headline": "h"}, actor="ada")
        tx.append("gc", {"removed": 1}, actor="ada")
    assert project.monitor.notify().delivered == ()


def test_a_busy_receiver_is_asked_again_with_the_same_id(told, receiver):
    project = told.open()
    alarm(project)
    receiver.planned = [503, 503]
    waits: list[float] = []
    assert deliver(project.ws, pause=waits.append).delivered
    assert waits == [1.0, 3.0]
    assert len({head["webhook-id"] for head in receiver.headers}) == 1


def test_what_fails_waits_in_order_and_goes_out_later(told, receiver):
    project = told.open()
    alarm(project, 3)
    receiver.planned = [200, 400]
    first = deliver(project.ws, pause=lambda _: None)
    assert (len(first.delivered), first.waiting) == (1, 2)
    assert "answered 400" in first.notes[0]
    assert len(deliver(project.ws).delivered) == 2
    sent = [json.loads(body)["data"]["headline"] for body in receiver.bodies]
    assert sent == ["number 0", "number 1", "number 1", "number 2"]


def test_what_cannot_be_delivered_for_days_is_given_up_on_record(told, receiver):
    project = told.open()
    alarm(project)
    receiver.planned = [410]
    late = told.later(4)
    seen = deliver(late.ws, pause=lambda _: None)
    assert (seen.delivered, seen.waiting) == ((), 0)
    assert [row.body["why"] for row in late.ws.ledger.rows("undelivered")] == ["127.0.0.1 answered 410"]
    (note,) = seen.notes
    assert re.fullmatch(
        r'the message "alarm" of 2026-01-06 00:00 UTC \(msg_\w{8}: number 0\) was given up after 72 hours: '
        r"webhook 127\.0\.0\.1: 127\.0\.0\.1 answered 410",
        note,
    ), note
    assert deliver(late.ws) == type(seen)()


def test_hooks_of_one_host_are_told_apart_without_their_secrets(told, receiver):
    file = told.folder / "backstay.toml"
    first = f'webhooks = ["{receiver.url}"'
    assert first in file.read_text()
    file.write_text(file.read_text().replace(first, f'{first}, "{receiver.url}/T0KEN"'))
    assert told.open().monitor.notify().delivered == ()
    alarm(told.open(), 3)
    receiver.planned = [200, 200, 200, 400]
    seen = deliver(told.open().ws, pause=lambda _: None)
    name = "webhook 127.0.0.1 (number {} of notify.webhooks)"
    assert seen.delivered == (f"{name.format(1)}: alarm",) * 3
    (note,) = seen.notes
    assert f"number 0) and 2 after it could not be delivered by {name.format(2)} and is tried again" in note
    assert "T0KEN" not in str(seen)


def test_watching_tells_and_goes_on_when_nobody_listens(told, receiver):
    receiver.planned = [500] * 50
    alarm(told.later(8))
    watched = told.open().monitor.watch()
    assert watched.latest is not None
    assert any("tried again" in note for note in watched.notes)
    receiver.planned = []
    assert told.open().monitor.notify().delivered


def test_without_a_secret_nothing_is_sent(told, receiver, monkeypatch):
    monkeypatch.delenv("BACKSTAY_WEBHOOK_SECRET")
    project = told.open()
    alarm(project)
    assert "BACKSTAY_WEBHOOK_SECRET is empty" in project.monitor.notify().notes[0]
    with pytest.raises(BackstayError, match="BACKSTAY_WEBHOOK_SECRET"):
        project.monitor.notify(test=True)
    assert receiver.bodies == []


def test_a_rollback_is_told_with_its_reason(told, receiver):
    file = told.folder / "backstay.toml"
    file.write_text(file.read_text().replace("epochs = 3", "epochs = 2"))
    project = told.open()
    alarm(project)
    project.models.run()
    project.releases.promote(reason="newer")
    project.releases.rollback(reason="it was worse")
    project.monitor.notify()
    assert events(receiver) == ["backstay.alarm", "backstay.promoted", "backstay.rollback"]
    assert "it was worse" in json.loads(receiver.bodies[-1])["data"]["headline"]


def test_nothing_is_told_that_stands_in_a_row(told, receiver):
    """Whole messages of a real look are searched for what rows hold."""
    told.log(300, 9, "secret")
    told.later(8).monitor.watch()
    project = told.open()
    alarm(project)
    project.monitor.notify()
    assert receiver.bodies
    assert not any(b"secret" in body or b"person-" in body for body in receiver.bodies)


def test_test_message(told, receiver):
    told.open().monitor.notify(test=True)
    assert events(receiver) == ["backstay.test"]


def test_a_test_to_nobody_says_what_to_set(trained):
    with pytest.raises(BackstayError, match=r"notify\.webhooks") as caught:
        trained.open().monitor.notify(test=True)
    assert "notify" in caught.value.fix


def test_worse_by_labels_alone_is_news_once(trained):
    project = trained.later(8)
    project.monitor.watch()
    ws, release = project.ws, project.releases.champion()
    seen = ws.catalog.find("window", WindowResult, newest_first=True, limit=1)[0]
    memory = Memory.start(release.id, release.created_at)
    for number in (1, 2):
        worse = replace(seen, id=f"window-{number}", condition=Condition.WORSE, new_alarms=())
        commit(ws, "watch/test", release, worse, replace(memory, windows=number))
    assert [row.body["window"] for row in ws.ledger.rows("worse")] == ["window-1"]
