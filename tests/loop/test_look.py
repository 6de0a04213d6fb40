"""Looking back and looking after: status, verification, keys, collecting, upgrading, what the server is wired to."""

from __future__ import annotations

import json
import os

import pytest

import backstay
from backstay.access.keys import Unauthenticated, verify
from backstay.journal.entries import Predictions
from backstay.journal.writer import JournalWriter
from backstay.kernel.errors import BackstayError, NotFound
from backstay.loop.keys import active
from backstay.loop.pages import write_page
from backstay.loop.serve import pointer


def test_status_counts_what_is_there(trained):
    project = trained.open()
    project.labels.request(5)
    status = project.status()
    assert (status.model, status.environment) == ("orders", "production")
    assert (status.logged_rows, status.labels, status.open_requests) == (150, 0, 5)
    assert status.champion == project.releases.champion()
    assert (status.ledger_rows, status.ledger_head) == project.ws.ledger.head()


@pytest.mark.parametrize("kind", ["worse", "challenger"])
def test_history_tells_of_what_no_detector_said(trained, kind):
    project = trained.open()
    with project.ws.ledger.transaction() as tx:
        tx.append(kind, {"release": project.releases.champion().id}, actor="ada")
    assert [row.kind for row in project.releases.history().events].count(kind) == 1


def test_verify_names_what_was_changed(trained):
    project = trained.open()
    assert project.verify().problems == ()
    champion = project.releases.champion()
    blob = project.ws.blobs.path(champion.reference_id)
    blob.write_bytes(blob.read_bytes()[:-200] + bytes(200))
    found = project.verify()
    assert not found.sound
    assert any(champion.reference_id in p for p in found.problems)


def test_an_exported_head_catches_a_ledger_that_was_cut_and_is_written_whole(trained):
    project = trained.open()
    head = trained.folder / "head.json"
    project.verify(export_head=head)
    assert project.verify(head=head).sound
    rows = json.loads(head.read_text())["rows"]
    head.write_text(json.dumps({"rows": rows + 1, "head": "0" * 64}))
    assert not project.verify(head=head).sound
    assert [p.name for p in trained.folder.iterdir() if p.suffix == ".tmp"] == []


@pytest.mark.parametrize("text", ["", "[]", '{"rows": "x", "head": ""}', '{"rows": 3}'])
def test_what_is_no_head_is_told(trained, text):
    head = trained.folder / "head.json"
    head.write_text(text)
    with pytest.raises(BackstayError, match="not an exported head"):
        trained.open().verify(head=head)


def test_a_key_opens_until_it_is_revoked(trained):
    project = trained.open()
    made = project.keys.create("app", scopes=("predict",), days=2)
    now = trained.clock.now()
    assert verify(made.token, active(project.ws), now, "predict").name == "app"
    assert made.token.split(".")[1] not in json.dumps([k.hash for k in active(project.ws)])
    trained.later(3)
    with pytest.raises(Unauthenticated):
        verify(made.token, active(project.ws), trained.clock.now(), "predict")
    project.keys.revoke("app")
    with pytest.raises(Unauthenticated):
        verify(made.token, active(project.ws), now, "predict")
    with pytest.raises(NotFound, match="no live key 'app'"):
        project.keys.revoke("app")
    kinds = [r.kind for r in project.ws.ledger.rows() if r.kind.startswith("key")]
    assert kinds == ["key_created", "key_revoked"]


def test_the_server_is_pointed_at_the_live_release(trained, tmp_path):
    project = trained.open()
    live = pointer(project.ws)
    assert live is not None
    assert live.release == project.releases.champion()
    assert (live.bundle_path / "model.onnx").is_file()
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "backstay.toml").write_text("version = 1\n")
    assert pointer(backstay.open(tmp_path / "new").ws) is None


def test_serve_passes_on_what_was_said_and_nothing_else(trained, monkeypatch):
    seen = {}

    def run_server(settings, *, pointer, keys, **_):
        seen.update(settings=settings, release=pointer().release, keys=[k.name for k in keys()])

    monkeypatch.setattr("backstay.loop.serve.run_server", run_server)
    project = trained.open()
    with pytest.raises(BackstayError, match="no key yet"):
        project.releases.serve()
    project.releases.serve(port=9, require_key=False)
    assert seen["settings"].serve.port == 9
    assert seen["settings"].serve.host == "127.0.0.1"
    assert seen["settings"].serve.require_key is False
    assert seen["release"] == project.releases.champion()
    assert seen["keys"] == []
    project.keys.create("app")
    project.releases.serve()
    assert seen["settings"].serve.require_key is True
    assert seen["keys"] == ["app"]


def test_collecting_compacts_what_no_server_writes_any_more(trained):
    project = trained.open()
    release = project.releases.champion()
    at = int(trained.clock.now().timestamp() * 1e6)
    with JournalWriter(trained.folder / ".backstay" / "journal") as writer:
        writer.append_predictions(
            [Predictions("orders", "production", release.id, release.model_id, at, ["s-1"], ["yes"])]
        )
    before = project.status().logged_rows
    assert project.gc(dry_run=True)["compacted_segments"] == 0
    assert project.gc()["compacted_segments"] == 1
    assert project.status().logged_rows == before == 151
    assert list((trained.folder / ".backstay" / "journal" / "segments").glob("p-*")) == []


def test_collecting_keeps_what_releases_and_verdicts_name(trained):
    project = trained.open()
    state = trained.folder / ".backstay"
    for path in state.rglob("*"):
        os.utime(path, (0, 0))
    project.gc()
    assert project.verify().sound
    assert project.models.predict(trained.folder / "orders.parquet").rows == 300
    assert project.monitor.watch(close_now=True) is not None


def test_a_project_file_from_the_future_is_told(trained):
    file = trained.folder / "backstay.toml"
    file.write_text(file.read_text().replace("version = 1", "version = 2"))
    with pytest.raises(BackstayError, match="version 2"):
        trained.open()
    with pytest.raises(BackstayError, match="version 2"):
        backstay.project.upgrade(trained.folder)


def test_upgrade_of_a_project_without_a_store(tmp_path):
    (tmp_path / "backstay.toml").write_text("version = 1\n")
    assert backstay.project.upgrade(tmp_path)["store"] == "none yet"


def test_a_page_is_written_whole_or_not_at_all(tmp_path):
    page = write_page(tmp_path / "new" / "page.html", "<html>")
    assert page.read_text() == "<html>"
    (tmp_path / "file").write_text("")
    with pytest.raises(BackstayError, match="cannot be written"):
        write_page(tmp_path / "file" / "page.html", "<html>")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "new", "page.html"]
