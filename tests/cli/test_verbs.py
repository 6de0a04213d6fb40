"""Every verb on a tiny project: what it prints for a program, what for a person, and its exit code."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

from backstay.settings import FILE_NAME


@pytest.fixture
def lived(tiny, command):
    """The tiny project with traffic in its log and one window watched."""
    assert (
        command("predict", tiny.file("rows.parquet"), "--output", tiny.file("a.csv"), "--log", project=tiny.folder).code
        == 0
    )
    assert command("watch", "--now", project=tiny.folder).code == 0
    return tiny


@pytest.fixture
def offered(tiny, command):
    """The tiny project with a successor that may be promoted."""
    said = command("adopt", tiny.file("good.onnx"), "--challenger", "--json", project=tiny.folder)
    assert said.code == 0
    return tiny, said.json["model"]["id"]


def test_adopt_answers_release_reference_report_and_verdict(tmp_path, tiny, command):
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    said = command(
        "adopt", tiny.file("champion.onnx"), "--reference", tiny.file("ref.parquet"), "--target", "y", "--json",
        project=fresh,
    )  # fmt: skip
    assert said.code == 0
    assert said.json["release"]["kind"] == "adopted"
    assert said.json["release"]["measured"] is False
    assert said.json["reference"]["rows"] == 300
    accuracy = next(m for m in said.json["report"]["measurements"] if m["metric"] == "accuracy" and m["of"] == "model")
    assert accuracy["interval"]["low"] <= accuracy["value"] <= accuracy["interval"]["high"]
    assert accuracy["n"] == 300
    assert [line["name"] for line in said.lines] == ["reference rows", "measure"]


def test_adopt_a_successor_refused_is_exit_code_3(tiny, command):
    said = command("adopt", tiny.file("bad.onnx"), "--challenger", "--json", project=tiny.folder)
    assert said.code == 3
    assert said.json["verdict"]["passed"] is False
    text = command("adopt", tiny.file("bad.onnx"), "--challenger", project=tiny.folder)
    assert text.code == 3
    assert "the gate says no" in text.out
    assert "REFUSE no_worse_than_champion" in text.out


def test_adopt_heeds_what_the_project_file_says(tiny, command):
    said = command(
        "adopt", tiny.file("good.onnx"), "--reference", tiny.file("ref.parquet"), "--target", "z", "--json",
        project=tiny.folder,
    )  # fmt: skip
    assert said.code == 2
    assert "'z'" in said.json["error"]
    assert "'y'" in said.json["error"]


def test_init_prints_what_to_know_before_the_first_run(tmp_path, command):
    rows = tmp_path / "rows.csv"
    rows.write_text("a;y\n" + "".join(f"{i % 90},5;{'ja' if i % 2 else 'nein'}\n" for i in range(200)))
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    said = command("init", str(rows), "--target", "y", project=fresh)
    assert said.code == 0
    assert "mind: some 50 labelled rows would judge, and gate.minimum_n asks for 100" in said.out
    told = command("init", str(rows), "--target", "y", "--force", "--json", project=fresh)
    assert told.json["notes"][0].startswith("some 50 labelled rows")


def test_init_writes_a_project_file_once(tmp_path, tiny, command):
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    said = command("init", tiny.file("ref.parquet"), "--target", "y", "--json", project=fresh)
    assert said.code == 0
    assert Path(said.json["file"]).read_text() == said.json["text"]
    again = command("init", tiny.file("ref.parquet"), "--target", "y", project=fresh)
    assert again.code == 2
    assert "--force" in again.err
    assert command("init", tiny.file("ref.parquet"), "--target", "y", "--force", project=fresh).code == 0


def test_promote_and_rollback(offered, command):
    tiny, good = offered
    said = command("promote", good[:14], "--reason", "better", "--json", project=tiny.folder)
    assert said.code == 0
    assert (said.json["sequence"], said.json["model_id"], said.json["measured"]) == (2, good, True)
    no_reason = command("rollback", "--json", project=tiny.folder)
    assert no_reason.code == 2
    assert "reason" in no_reason.json["error"]
    back = command("rollback", "--reason", "complaints", project=tiny.folder)
    assert back.code == 0
    assert "release 3 is live" in back.out
    assert "complaints" in back.out
    forth = command("rollback", "--to", "2", "--reason", "a false alarm", "--json", project=tiny.folder)
    assert forth.json["sequence"] == 4
    assert forth.json["model_id"] == good


def test_promote_is_refused_until_the_gate_is_satisfied(tiny, command):
    assert command("adopt", tiny.file("bad.onnx"), "--challenger", project=tiny.folder).code == 3
    said = command("promote", "--json", project=tiny.folder)
    assert said.code == 3
    assert said.json["kind"] == "Refused"
    assert said.json["exit_code"] == 3
    assert said.err.startswith("refused: ")
    history = command("history", "--json", project=tiny.folder).json
    assert [e["kind"] for e in history["events"]][-1] == "promotion_refused"


def test_promote_without_a_candidate(tiny, command):
    said = command("promote", "--json", project=tiny.folder)
    assert said.code == 2
    assert "no candidate" in said.json["error"]


def test_predict_writes_answers_and_logs_them_only_when_asked(tiny, command):
    rows, output = tiny.file("rows.parquet"), tiny.file("answers.parquet")
    said = command("predict", rows, "--output", output, "--json", project=tiny.folder)
    assert said.json["rows"] == 120
    assert said.json["logged"] is False
    answers = pq.read_table(output)
    assert answers.column_names == ["id", "label", "p(no)", "p(yes)"]
    total = answers["p(no)"].to_numpy() + answers["p(yes)"].to_numpy()
    assert np.allclose(total, 1, atol=1e-6)
    assert command("status", "--json", project=tiny.folder).json["logged_rows"] == 0
    assert "logged" in command("predict", rows, "--output", output, "--log", project=tiny.folder).out
    assert command("status", "--json", project=tiny.folder).json["logged_rows"] == 120


def test_log_a_file_of_foreign_predictions(tiny, command):
    table = pa.table({"id": ["x-1", "x-2"], "prediction": ["yes", "no"]})
    pc.write_csv(table, tiny.file("theirs.csv"))
    said = command("log", tiny.file("theirs.csv"), "--json", project=tiny.folder)
    assert said.code == 0
    assert said.json["rows"] == 2
    again = command("log", tiny.file("theirs.csv"), project=tiny.folder)
    assert again.code == 2
    assert "logged before" in again.err


def test_watch_says_what_it_saw_and_writes_the_page(lived, command):
    page = lived.folder / "watch.html"
    said = command("watch", "--page", str(page), "--explain", project=lived.folder)
    assert said.code == 0
    assert "please label" in said.out
    assert "no standing label yet" in said.out
    assert "alarm budget" in said.out
    assert page.read_text().lstrip().lower().startswith("<!doctype html")
    value = command("watch", "--json", project=lived.folder).json
    assert value["windows"] == []
    assert value["latest"]["rows"] == 120
    assert {s["detector"] for s in value["latest"]["signals"]} == {
        "embedding",
        "prediction",
        "columns",
        "labelled_error",
        "confident_errors",
    }


def test_watch_of_a_file_alarms_with_exit_code_3_and_records_nothing(tiny, command):
    rng = np.random.default_rng(3)
    moved = pa.table({"id": [f"m{i}" for i in range(400)], "a": rng.normal(4, 1, 400), "b": rng.normal(4, 1, 400)})
    pq.write_table(moved, tiny.file("moved.parquet"))
    said = command("watch", "--rows", tiny.file("moved.parquet"), "--json", project=tiny.folder)
    assert said.code == 3
    assert said.json["windows"][0]["new_alarms"]
    assert command("status", "--json", project=tiny.folder).json["last_window"] is None
    text = command("watch", "--rows", tiny.file("moved.parquet"), project=tiny.folder)
    assert text.code == 3
    assert "ALARM" in text.out
    page = tiny.file("watch.html")
    for more in (("--act",), ("--dry-run",), ("--page", page)):
        refused = command("watch", "--rows", tiny.file("moved.parquet"), *more, project=tiny.folder)
        assert refused.code == 2, more
        assert more[0] in refused.err
    assert not Path(page).exists()


def test_watch_with_nothing_logged(tiny, command):
    said = command("watch", project=tiny.folder)
    assert said.code == 0
    assert "nothing to judge yet: 0 rows" in said.out


def test_watch_again_and_again_until_stopped(lived, command, monkeypatch):
    """Two looks, then Ctrl-C in the pause: a line of JSON each, and exit code 130."""
    pauses = []

    class Pause(threading.Event):
        def wait(self, timeout=None):
            pauses.append(timeout)
            if len(pauses) == 2:
                raise KeyboardInterrupt
            return False

    monkeypatch.setattr("backstay.loop.agent.threading", SimpleNamespace(Event=Pause))
    said = command("watch", "--every", "30", "--json", project=lived.folder)
    assert said.code == 130
    assert pauses == [1800.0, 1800.0]
    assert [json.loads(told)["windows"] for told in said.out.splitlines()] == [[], []]
    assert "nothing was left half-done" in said.err
    wrong = command("watch", "--every", "30", "--now", project=lived.folder)
    assert wrong.code == 2
    assert "--now" in wrong.err


def test_label_queue_round_trip(lived, command):
    export = lived.folder / "queue.csv"
    said = command("label", "--request", "10", "--export", str(export), "--json", project=lived.folder)
    assert said.code == 0
    assert len(said.json["requests"]) >= 10
    rows = export.read_text().splitlines()
    assert rows[0] == '"id","purpose","prediction","label","a","b"'
    table = pc.read_csv(export)
    filled = table.set_column(3, "label", table["prediction"])
    pc.write_csv(filled, export)
    done = command("label", "--answers", str(export), "--json", project=lived.folder).json
    assert done["added"] == table.num_rows
    assert done["trusted"] is True
    assert sum(done["by_use"].values()) == table.num_rows
    assert command("label", "--json", project=lived.folder).json["requests"] == []
    repeated = command("label", "--answers", str(export), project=lived.folder)
    assert "0 labels added" in repeated.out
    assert f"{table.num_rows} seen before" in repeated.out


def test_labels_of_a_source_nobody_vouches_for(lived, command):
    answers = lived.folder / "said.csv"
    pc.write_csv(pa.table({"id": ["live-1"], "label": ["yes"]}), answers)
    said = command("label", "--answers", str(answers), "--source", "key:app", "--json", project=lived.folder)
    assert said.json["trusted"] is False
    assert said.json["by_use"] == {"train": 1}
    assert "nobody drew" in command("label", "--answers", str(answers), project=lived.folder).out
    assert "untrusted" in command("label", "--answers", str(answers), "--source", "key:b", project=lived.folder).out


def test_audit_names_findings_and_blocks_with_exit_code_3(tiny, command):
    said = command("audit", "--json", project=tiny.folder)
    assert said.code == 0
    assert said.json["rows"] == 300
    leaking = pq.read_table(tiny.file("ref.parquet"))
    leaking = leaking.append_column("told", leaking["y"])
    pq.write_table(leaking, tiny.file("ref.parquet"))
    text = command("audit", project=tiny.folder)
    assert text.code == 3
    assert "'told'" in text.out


def test_history_status_report_and_verify(offered, command):
    tiny, good = offered
    assert command("promote", good, "--reason", "better", project=tiny.folder).code == 0
    history = command("history", project=tiny.folder)
    assert "adopted" in history.out
    assert "promoted" in history.out
    assert "record=" not in history.out
    status = command("status", project=tiny.folder)
    assert f"live: release 2, {good} (promoted)" in status.out
    page = tiny.folder / "story.html"
    assert command("report", "--page", str(page), "--json", project=tiny.folder).json == {"page": str(page)}
    assert "http://" not in page.read_text().replace("http://www.w3.org", "")
    head = tiny.folder / "head.json"
    whole = command("verify", "--export-head", str(head), "--json", project=tiny.folder)
    assert whole.code == 0
    assert whole.json["sound"] is True
    assert whole.json["checked_bundles"] == 2
    assert json.loads(head.read_text())["rows"] == whole.json["rows"]
    tiny.execute("DELETE FROM ledger WHERE seq = (SELECT max(seq) FROM ledger)")
    cut = command("verify", "--head", str(head), project=tiny.folder)
    assert cut.code == 3
    assert "PROBLEM" in cut.out
    assert "NOT sound" in cut.out


def test_keys(tiny, command):
    made = command("key", "create", "app", "--scope", "predict", "--days", "2", "--json", project=tiny.folder)
    assert made.json["token"].startswith("bsk_")
    assert made.json["scopes"] == ["predict"]
    shown = command("key", "create", "other", project=tiny.folder)
    assert shown.out.startswith("bsk_")
    assert "shown once" in shown.err
    listed = command("key", "list", project=tiny.folder)
    assert "app" in listed.out
    assert made.json["token"].split(".")[1] not in listed.out
    revoked = command("key", "revoke", "app", "--json", project=tiny.folder).json
    assert {k["name"]: k["revoked"] for k in revoked} == {"app": True, "other": False}
    for wrong in (
        ("key", "make", "x"),
        ("key", "create"),
        ("key", "revoke", "nobody"),
        ("key", "create", "x", "--scope", "all"),
    ):
        assert command(*wrong, project=tiny.folder).code == 2


def test_settings_in_force_and_their_schema(tiny, command):
    merged = command("settings", "--json", project=tiny.folder).json
    assert merged["name"] == "tiny"
    assert merged["gate"]["minimum_n"] == 100
    assert merged["watch"]["window_days"] == 7.0
    schema = command("settings", "--schema").json
    assert schema["additionalProperties"] is False
    assert "data" in schema["properties"]
    assert schema["properties"]["name"]["description"]


def test_upgrade_of_a_store_of_today(tiny, command):
    said = command("upgrade", "--dry-run", "--json", project=tiny.folder)
    assert said.code == 0
    assert said.json["store"] == "version 1 to 1"
    assert command("upgrade", project=tiny.folder).code == 0


def test_backup_and_restore(lived, command, tmp_path):
    before = command("status", "--json", project=lived.folder).json
    copy = tmp_path / "copy"
    assert command("backup", str(copy), "--json", project=lived.folder).json["backup"] == str(copy)
    assert command("backup", str(copy), project=lived.folder).code == 2
    refused = command("restore", str(copy), project=lived.folder)
    assert refused.code == 2
    assert "nothing is overwritten" in refused.err
    (lived.folder / ".backstay").rename(tmp_path / "lost")
    assert command("restore", str(copy), project=lived.folder).code == 0
    assert command("status", "--json", project=lived.folder).json == before
    assert command("verify", project=lived.folder).code == 0


def test_gc_says_what_would_go(tiny, command):
    stray = tiny.folder / ".backstay" / "blobs" / "data-stray"
    stray.write_bytes(b"x" * 10)
    os.utime(stray, (0, 0))
    said = command("gc", "--dry-run", "--json", project=tiny.folder)
    assert said.json["removed"] == ["data-stray"]
    assert said.json["bytes"] == 10
    assert stray.exists()
    assert command("gc", project=tiny.folder).code == 0
    assert not stray.exists()
    assert command("verify", project=tiny.folder).code == 0


def test_forget_needs_somebody_and_a_reason(lived, command):
    assert command("forget", "--reason", "asked", project=lived.folder).code == 2
    assert command("forget", "--id", "live-3", project=lived.folder).code == 2
    said = command("forget", "--id", "live-3", "--reason", "asked", "--json", project=lived.folder)
    assert said.code == 0
    assert said.json["rows"] == 1
    assert "erased: 0 predictions" in command("forget", "--id", "live-3", "--reason", "again", project=lived.folder).out


def test_serve_needs_a_key_or_the_word_that_it_needs_none(tiny, command):
    said = command("serve", "--port", "0", "--json", project=tiny.folder)
    assert said.code == 2
    assert "backstay key create" in said.json["fix"]
    exposed = command("serve", "--no-key", "--host", "::", "--port", "0", project=tiny.folder)
    assert exposed.code == 2


def test_the_project_file_is_what_names_the_project(tiny, command, monkeypatch):
    below = tiny.folder / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert command("status", "--json").json["model"] == "tiny"
    assert command("status", "--json", project=tiny.folder / FILE_NAME).json["model"] == "tiny"
