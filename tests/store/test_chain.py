"""Tampering is named: one test a kind of it, and a law over random tampering."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.kernel.clock import SystemClock
from backstay.kernel.records import LedgerRow
from backstay.store.chain import GENESIS, problems, row_hash


def chain(n: int) -> list[LedgerRow]:
    rows: list[LedgerRow] = []
    for i in range(1, n + 1):
        prev = rows[-1].hash if rows else GENESIS
        draft = LedgerRow(i, SystemClock().now(), "ann", "note", {"i": i}, prev, "")
        rows.append(LedgerRow(i, draft.at, "ann", "note", {"i": i}, prev, row_hash(draft)))
    return rows


def tamper(store, *statements: str) -> None:
    with closing(sqlite3.connect(store.folder / "state.db")) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


@pytest.fixture
def five(store):
    for i in range(5):
        with store.transaction() as tx:
            tx.append("note", {"i": i}, actor="ann")
    return store


def test_a_sound_chain_has_no_problems(five):
    assert five.verify() == []
    assert five.verify(five.head()) == []
    assert five.verify((0, GENESIS)) == []


@pytest.mark.parametrize(
    "change",
    [
        """body = '{"i": 9}'""",
        "actor = 'eve'",
        "kind = 'other'",
        "at = '2026-03-01T12:00:01+00:00'",
        "clock = 'system'",
    ],
)
def test_an_edit_of_any_field_names_the_row(five, change):
    tamper(five, f"UPDATE ledger SET {change} WHERE seq = 3")  # noqa: S608 - our own text
    assert five.verify() == [f"ledger: row 3 ({'other' if 'kind' in change else 'note'}) was edited"]


def test_deleted_rows_are_named(five):
    tamper(five, "DELETE FROM ledger WHERE seq = 2")
    assert five.verify() == ["ledger: row 2 deleted"]
    tamper(five, "DELETE FROM ledger WHERE seq = 3")
    assert five.verify() == ["ledger: rows 2 to 3 deleted"]


def test_reordered_rows_are_named(five):
    tamper(
        five,
        "UPDATE ledger SET seq = 99 WHERE seq = 2",
        "UPDATE ledger SET seq = 2 WHERE seq = 3",
        "UPDATE ledger SET seq = 3 WHERE seq = 99",
    )
    told = five.verify()
    assert "ledger: row 2 does not follow row 1: reordered or replaced" in told
    assert "ledger: row 3 does not follow row 2: reordered or replaced" in told


def test_truncation_shows_only_against_an_exported_head(five):
    head = five.head()
    tamper(five, "DELETE FROM ledger WHERE seq > 3")
    assert five.verify() == []
    assert five.verify(head) == ["ledger: it ends at row 3, the exported head names row 5: truncated"]


def test_a_chain_that_was_written_anew_does_not_match_the_exported_head():
    head = (3, chain(3)[-1].hash)
    anew = chain(5)
    assert problems(anew, None) == []
    assert problems(anew, head) == ["ledger: row 3 is not the row whose head was exported: history was rewritten"]


def test_a_head_whose_row_was_cut_from_the_middle_is_told_as_deleted_not_truncated():
    rows = chain(5)
    assert problems([*rows[:2], *rows[3:]], (3, rows[2].hash)) == ["ledger: row 3 deleted"]


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE releases SET body = replace(body, 'model-a', 'model-x') WHERE id = 'release-1'", "release-1 is not"),
        ("UPDATE releases SET sequence = 9 WHERE id = 'release-1'", "release-1 is not"),
        ("UPDATE releases SET environment = 'staging' WHERE id = 'release-2'", "release-2 is not"),
        ("UPDATE releases SET ledger_seq = 77 WHERE id = 'release-2'", "release-2 is not"),
        ("DELETE FROM releases WHERE id = 'release-2'", "release-2, which row 2 of the ledger made, is missing"),
    ],
)
def test_a_release_that_is_not_what_the_ledger_says_is_named(store, publish, statement, told):
    publish(1)
    publish(2, "model-b")
    assert store.verify() == []
    tamper(store, statement)
    (only,) = store.verify()
    assert told in only


def test_a_release_without_its_ledger_row_is_named(store, publish):
    publish(1)
    tamper(store, "DELETE FROM ledger")
    assert store.verify() == ["releases: release-1 is not what row 1 of the ledger says"]


@given(st.integers(2, 12), st.data())
def test_any_change_to_a_chain_is_noticed_against_its_head(n, data):
    rows = chain(n)
    head = (n, rows[-1].hash)
    order = data.draw(st.lists(st.sampled_from(range(n)), max_size=n, unique=True))
    changed = [rows[i] for i in order]
    assert bool(problems(changed, head)) == (changed != rows)
