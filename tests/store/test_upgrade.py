"""Older stores are opened, newer ones refused, and a migration that fails leaves the old store as it was."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection

from backstay.kernel.errors import BackstayError, NotFound, StoreTooNew
from backstay.kernel.records import ModelRecord, Verdict
from backstay.store import tables
from backstay.store import upgrade as module
from backstay.store.sql import FILE, open_store
from backstay.store.upgrade import STEPS, upgrade

FIXTURES = Path(__file__).parent / "fixtures"


def test_every_older_layout_has_its_fixture_and_its_step():
    for version in range(1, tables.SCHEMA_VERSION + 1):
        assert (FIXTURES / f"store_version_{version}.db").is_file()
    assert sorted(STEPS) == list(range(1, tables.SCHEMA_VERSION))


@pytest.mark.parametrize("fixture", sorted(FIXTURES.glob("store_version_*.db")), ids=lambda p: p.stem)
def test_the_store_of_every_former_release_still_answers(fixture, folder, clock):
    folder.mkdir()
    shutil.copy(fixture, folder / FILE)
    upgrade(folder, clock)
    store = open_store(folder, clock)
    assert store.verify() == []
    assert [r.model_id for r in store.releases("m", "production")] == ["model-a", "model-b"]
    assert store.champion("m", "production").verdict_id == "verdict-1"
    assert store.get("verdict", "verdict-1", Verdict).outcomes[0].evidence == {"n": 200}
    assert [m.id for m in store.find("model", ModelRecord, model="m")] == ["model-a", "model-b"]
    assert store.get_state("watch/m/production") == {"windows": 3}
    assert [(x.prediction_id, x.probability) for x in store.labels("m", "production", use="standing")] == [("p1", 0.1)]
    assert [r.id for r in store.requests("m", "production", status="open")] == ["request-1"]
    with store.transaction() as tx:
        tx.append("after", {}, actor="ann")
    assert store.verify() == []


@pytest.fixture
def old(store, folder, publish):
    """A store of an imagined version 0, in which labels had no column for probability."""
    publish(1)
    with closing(sqlite3.connect(folder / FILE)) as connection:
        connection.execute("UPDATE meta SET value = '0' WHERE key = 'version'")
        connection.execute("ALTER TABLE labels DROP COLUMN probability")
        connection.commit()
    return folder


def add_column(connection: Connection) -> None:
    connection.exec_driver_sql("ALTER TABLE labels ADD COLUMN probability FLOAT")


def add_column_and_fail(connection: Connection) -> None:
    add_column(connection)
    raise ZeroDivisionError


def columns(folder):
    with closing(sqlite3.connect(folder / FILE)) as connection:
        return [row[1] for row in connection.execute("PRAGMA table_info(labels)")]


def test_a_step_is_backed_up_applied_and_stamped(old, clock, monkeypatch):
    monkeypatch.setitem(STEPS, 0, add_column)
    would = upgrade(old, clock, dry_run=True)
    assert (would.before, would.after, would.backup) == (0, 1, None)
    assert "probability" not in columns(old)
    done = upgrade(old, clock)
    assert "probability" in columns(old)
    assert "probability" not in columns(Path(done.backup))
    assert open_store(old, clock).verify() == []
    assert upgrade(old, clock).backup is None  # a second time there is nothing to do


def test_a_step_that_fails_changes_nothing(old, clock, monkeypatch):
    monkeypatch.setitem(STEPS, 0, add_column_and_fail)
    with pytest.raises(ZeroDivisionError):
        upgrade(old, clock)
    assert "probability" not in columns(old)
    with pytest.raises(BackstayError, match="backstay upgrade"):
        open_store(old, clock)


def test_two_upgrades_at_once_migrate_once(old, clock, monkeypatch):
    monkeypatch.setitem(STEPS, 0, add_column)
    real = module.backup

    def overtaken(state, target):
        real(state, target)
        monkeypatch.setattr(module, "backup", real)
        upgrade(state, type(clock)(clock.now().replace(hour=13)))

    monkeypatch.setattr(module, "backup", overtaken)
    upgrade(old, clock)
    assert columns(old).count("probability") == 1


def test_a_newer_or_missing_store_is_not_upgraded(store, folder, clock, tmp_path):
    with closing(sqlite3.connect(folder / FILE)) as connection:
        connection.execute("UPDATE meta SET value = '2' WHERE key = 'version'")
        connection.commit()
    with pytest.raises(StoreTooNew, match="version 2"):
        upgrade(folder, clock)
    with pytest.raises(NotFound, match="no store"):
        upgrade(tmp_path / "nowhere", clock)
    assert not (tmp_path / "nowhere").exists()
