"""Looking at what is live: windows, memory, the standing sample, and acting on what was seen."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from backstay.kernel.records import Condition, Decision, WindowResult
from backstay.loop import act as acting
from backstay.loop import watch as watching
from backstay.loop.standing import share_at
from backstay.settings import parse

RETRAIN = Decision(True, "Retrain: it pays.", {})
WAIT = Decision(False, "Do not retrain.", {})


@pytest.fixture
def decided(monkeypatch):
    """What the arithmetic answers, whatever was seen."""

    def answer(decision: Decision) -> None:
        monkeypatch.setattr(acting, "decide_retrain", lambda *_, **__: decision)

    return answer


def test_windows_close_with_time_and_are_judged_once(trained):
    assert trained.open().monitor.watch().pending == 150
    project = trained.later(8)
    first = project.monitor.watch()
    assert [w.rows for w in first.windows] == [150]
    assert project.monitor.watch().windows == ()
    trained.log(120, 7, "u")
    second = trained.later(8).monitor.watch()
    assert [w.rows for w in second.windows] == [120]
    assert second.windows[0].start == first.windows[0].end
    assert len(trained.open().releases.history().releases) == 1


def test_of_two_looks_at_once_one_is_kept(trained, monkeypatch):
    project = trained.later(8)
    real, others = watching.watch_window, []

    def overtaken(*given):
        if not others:
            others.append(None)
            others[0] = trained.open().monitor.watch(close_now=True)
        return real(*given)

    monkeypatch.setattr(watching, "watch_window", overtaken)
    late = project.monitor.watch(close_now=True)
    assert len(others[0].windows) == 1
    assert late.windows == ()
    assert late.latest == others[0].latest
    assert any("another look judged rows up to" in note for note in late.notes)
    ws = trained.open().ws
    assert len(ws.catalog.find("window", WindowResult, **ws.scope)) == 1
    trained.log(120, 9, "u")
    assert [w.rows for w in trained.later(10).monitor.watch().windows] == [120]


def test_a_look_at_rest_alarms_as_long_as_the_model_is_worse(trained):
    trained.later(8).monitor.watch()
    rest = trained.open().monitor.watch()
    assert rest.windows == ()
    assert not rest.alarming
    assert replace(rest, latest=replace(rest.latest, condition=Condition.WORSE)).alarming


def test_each_window_puts_its_share_of_the_standing_sample_into_the_queue(trained):
    project = trained.later(8)
    watched = project.monitor.watch()
    standing = [r for r in project.labels.queue().requests if r.purpose == "standing"]
    days = (watched.windows[0].end - watched.windows[0].start).total_seconds() / 86_400
    assert abs(len(standing) - 40 * days / (365.25 / 12)) <= 1
    assert {r.prediction_id for r in standing} == set(watched.requested)
    assert all(r.probability == pytest.approx(len(standing) / 150) for r in standing)


def test_labels_change_what_is_known(trained):
    project = trained.later(8)
    project.monitor.watch()
    asked = project.labels.queue().requests
    project.labels.answer([{"id": r.prediction_id, "label": "yes"} for r in asked])
    trained.log(120, 8, "u")
    seen = trained.later(8).monitor.watch().windows[0]
    assert seen.label_age_days is not None


def test_moved_inputs_alarm_once_and_are_shown(trained):
    rng = np.random.default_rng(0)
    trained.clock.advance(timedelta(days=7))
    trained.open().monitor.watch()
    moved = pa.table(
        {
            "id": [f"m-{i}" for i in range(300)],
            "person": [f"mp-{i}" for i in range(300)],
            "a": rng.normal(5, 1, 300),
            "b": rng.normal(-5, 1, 300),
        }
    )
    trained.open().models.predict(moved, record=True)
    page = trained.folder / "page.html"
    seen = trained.later(8).monitor.watch(page=page)
    assert seen.new_alarms
    assert seen.windows[-1].condition in (Condition.MOVED, Condition.WORSE, Condition.UNKNOWN)
    assert seen.windows[-1].signals[0].example_ids
    assert "m-" in page.read_text()
    assert "backstay_use" not in page.read_text()
    ledger = [r.body["detector"] for r in trained.open().ws.ledger.rows("alarm")]
    assert sorted(ledger) == sorted(seen.new_alarms)
    trained.open().models.predict(moved.set_column(0, "id", pa.array([f"n-{i}" for i in range(300)])), record=True)
    again = trained.later(8).monitor.watch()
    assert set(again.new_alarms).isdisjoint(seen.new_alarms)


def test_the_newest_window_is_written_for_prometheus(trained):
    file = trained.folder / "collected" / "orders.prom"
    seen = trained.later(8).monitor.watch(metrics=file)
    text = file.read_text()
    assert (
        f'backstay_condition{{condition="{seen.latest.condition.value}",environment="production",model="orders"}} 1.0'
        in text
    )


def test_examining_rows_records_nothing(trained):
    project = trained.open()
    before = project.ws.ledger.head()
    rows = trained.folder / "orders.parquet"
    watched = project.monitor.examine(rows)
    assert watched.windows[0].rows == 300
    assert project.status().last_window is None
    assert project.ws.ledger.head() == before


def test_without_act_nothing_is_done(trained, decided):
    decided(RETRAIN)
    watched = trained.later(8).monitor.watch()
    assert watched.decision == RETRAIN
    assert watched.acted is None
    assert {r.purpose for r in trained.open().labels.queue().requests} == {"standing"}


def test_act_waits_where_retraining_does_not_pay(trained, decided):
    decided(WAIT)
    watched = trained.later(8).monitor.watch(act=True)
    assert (watched.acted, watched.promoted) == (None, None)


def test_act_asks_for_labels_first_and_not_twice(trained, decided):
    decided(RETRAIN)
    watched = trained.later(8).monitor.watch(act=True)
    assert watched.acted is None
    assert any("60 labels" in note for note in watched.notes)
    asked = [r for r in trained.open().labels.queue().requests if r.purpose == "retrain"]
    assert len(asked) == 60
    trained.open().monitor.watch(act=True)
    assert len([r for r in trained.open().labels.queue().requests if r.purpose == "retrain"]) == 60


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("", "retraining pays; it waits for 60 labels"),
        ('trigger = "shift"', "retraining is asked for by what moved"),
        ('trigger = "calendar"\nevery_days = 7', "retraining is due"),
        ('trigger = "threshold"\nminimum_accuracy = 0.9', "retraining is asked for by a fall"),
    ],
)
def test_only_the_trigger_that_knows_says_that_it_pays(trained, decided, setting, said):
    decided(RETRAIN)
    file = trained.folder / "backstay.toml"
    file.write_text(file.read_text().replace("[retrain]", f"[retrain]\n{setting}"))
    (note,) = [n for n in trained.later(8).monitor.watch(act=True).notes if "waits for 60 labels" in n]
    assert note.startswith(said)
    assert ("pays" in note) == (not setting)


def test_a_dry_run_tells_and_does_nothing(trained, decided):
    decided(RETRAIN)
    seen = trained.later(8).monitor.watch(dry_run=True)
    assert seen.notes[-1] == (
        "--act would ask for 60 labels, then train a challenger, offer it to the gate, and promote nothing"
    )
    assert seen.acted is None
    assert not [r for r in trained.open().labels.queue().requests if r.purpose == "retrain"]


def answer_queue(place, truth: dict[str, str]) -> None:
    labels = place.open().labels
    labels.answer([{"id": r.prediction_id, "label": truth[r.prediction_id]} for r in labels.queue().requests])


@pytest.mark.parametrize("allowed", [False, True])
def test_act_retrains_and_promotes_only_where_that_is_allowed(trained, decided, allowed):
    decided(RETRAIN)
    file = trained.folder / "backstay.toml"
    flag = str(allowed).lower()
    file.write_text(file.read_text().replace("[retrain]", f"[retrain]\nauto_promote = {flag}"))
    rows = trained.log(150, 9, "u")
    truth = dict(zip(rows["id"].to_pylist(), rows["y"].to_pylist(), strict=True))
    trained.later(8).monitor.watch(act=True)
    truth |= {r.prediction_id: "yes" for r in trained.open().labels.queue().requests if r.prediction_id not in truth}
    answer_queue(trained, truth)
    before = trained.open().releases.champion()
    watched = trained.open().monitor.watch(act=True)
    assert watched.acted is not None
    assert watched.acted.model.parent == before.model_id
    after = trained.open().releases.champion()
    assert watched.acted.verdict.passed, watched.acted.verdict.reasons
    if allowed:
        assert watched.promoted == after
        assert after.sequence == 2
        assert after.reason == RETRAIN.headline
    else:
        assert watched.promoted is None
        assert after == before
        candidate = watched.acted.model.id
        (told,) = [row for row in trained.open().ws.ledger.rows() if row.kind == "challenger"]
        assert (told.body["release"], told.body["candidate"], told.body["passed"]) == (before.id, candidate, True)
        again = trained.open().monitor.watch(act=True)
        assert again.acted is None
        assert any(
            note.startswith(f"{candidate}, made on") and "waits for `backstay promote`" in note for note in again.notes
        )
        new = trained.log(30, 10, "v")
        answered = zip(new["id"].to_pylist(), new["y"].to_pylist(), strict=True)
        trained.open().labels.answer([{"id": key, "label": value} for key, value in answered])
        assert trained.open().monitor.watch(act=True).acted is not None


def test_a_challenger_that_the_gate_refused_is_not_trained_again_of_the_same_labels(trained, decided):
    decided(RETRAIN)
    file = trained.folder / "backstay.toml"
    asked = 'rules = [ { rule = "at_least", value = 1.0 } ]'
    file.write_text("\n".join(asked if line.startswith("rules") else line for line in file.read_text().splitlines()))
    trained.log(150, 9, "u")
    project = trained.later(8)
    project.monitor.watch(act=True)
    answer_queue(trained, {r.prediction_id: "yes" for r in project.labels.queue().requests})
    acted = trained.open().monitor.watch(act=True).acted
    assert acted is not None
    assert not acted.verdict.passed
    again = trained.open().monitor.watch(act=True)
    assert again.acted is None
    (note,) = [note for note in again.notes if note.startswith(acted.model.id)]
    assert "was refused by the gate (" in note
    assert "no label is new since" in note
    assert [row.body["passed"] for row in trained.open().ws.ledger.rows() if row.kind == "challenger"] == [False]


def test_the_memory_of_a_release_begins_with_it(trained):
    trained.later(8).monitor.watch()
    keys = trained.open().ws.catalog.states("watch/orders/production/")
    release = trained.open().releases.champion()
    assert list(keys) == [f"watch/orders/production/{release.id}"]


@pytest.mark.parametrize(("chance", "labels"), [(0.0, 12), (0.49, 12), (0.51, 11), (0.99, 11)])
def test_the_share_of_a_week_is_rounded_by_chance_so_that_a_month_has_what_was_agreed(chance, labels):
    """50 a month are 11.5 a week."""
    ws = SimpleNamespace(settings=parse({"version": 1, "budget": {"labels_per_month": 50}}))
    begin = datetime(2026, 3, 1, tzinfo=UTC)
    assert share_at(ws, begin, begin + timedelta(days=7), chance) == labels
