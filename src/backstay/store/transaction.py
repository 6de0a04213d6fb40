"""One write transaction on the store, and the few reads that it shares with the store itself."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from sqlalchemy import Connection, RowMapping, insert, select
from sqlalchemy.dialects.sqlite import insert as upsert

from backstay.kernel.clock import Clock
from backstay.kernel.codec import decode, encode
from backstay.kernel.errors import Conflict, NotFound
from backstay.kernel.records import Json, LedgerRow, Release
from backstay.store import tables
from backstay.store.chain import GENESIS, row_hash

T = TypeVar("T")


class SqlTransaction:
    """Implements the Transaction port over an open connection."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def put(self, kind: str, record_id: str, record: Any, *, model: str = "", environment: str = "") -> None:
        table = tables.records
        body = json.dumps(encode(record))
        there = self._connection.execute(
            select(table.c.body).where(table.c.kind == kind, table.c.id == record_id)
        ).scalar()
        if there is not None:
            if json.loads(there) != json.loads(body):
                raise Conflict(
                    f"{kind} {record_id!r} is filed already, with other content", fix="records are never changed"
                )
            return
        values = {"kind": kind, "id": record_id, "model": model, "environment": environment, "body": body}
        self._connection.execute(insert(table).values(values))

    def append(self, kind: str, body: Json, *, actor: str) -> LedgerRow:
        seq, prev = head_of(self._connection)
        clock = "injected" if self._clock.injected else "system"
        draft = LedgerRow(seq + 1, self._clock.now(), actor, kind, encode(body), prev, "", clock)
        row = LedgerRow(draft.seq, draft.at, actor, kind, draft.body, prev, row_hash(draft), clock)
        values = {**encode(row), "body": json.dumps(row.body)}
        self._connection.execute(insert(tables.ledger).values(values))
        return row

    def champion(self, model: str, environment: str) -> Release | None:
        return champion_of(self._connection, model, environment)

    def get(self, kind: str, record_id: str, as_type: type[T]) -> T:
        table = tables.records
        query = select(table.c.body).where(table.c.kind == kind, table.c.id == record_id)
        body = self._connection.execute(query).scalar()
        if body is None:
            raise NotFound(f"there is no {kind} {record_id!r}", fix="name one that `backstay history` shows")
        return decode(as_type, json.loads(body))

    def add_release(self, release: Release, *, actor: str, kind: str, body: Json) -> None:
        row = self.append(kind, {**body, "release": release.id, "record": encode(release)}, actor=actor)
        values = {
            "id": release.id,
            "model": release.model,
            "environment": release.environment,
            "sequence": release.sequence,
            "ledger_seq": row.seq,
            "body": json.dumps(encode(release)),
        }
        self._connection.execute(insert(tables.releases).values(values))

    def set_state(self, key: str, value: Json) -> None:
        fresh = {"key": key, "value": json.dumps(value)}
        statement = upsert(tables.state).values(fresh)
        replacing = statement.on_conflict_do_update(index_elements=["key"], set_={"value": fresh["value"]})
        self._connection.execute(replacing)

    def get_state(self, key: str) -> Json | None:
        return state_of(self._connection, key)


def head_of(connection: Connection) -> tuple[int, str]:
    table = tables.ledger
    row = connection.execute(select(table.c.seq, table.c.hash).order_by(table.c.seq.desc()).limit(1)).first()
    return (0, GENESIS) if row is None else (int(row.seq), str(row.hash))


def champion_of(connection: Connection, model: str, environment: str) -> Release | None:
    table = tables.releases
    query = select(table.c.body).where(table.c.model == model, table.c.environment == environment)
    body = connection.execute(query.order_by(table.c.sequence.desc()).limit(1)).scalar()
    return None if body is None else decode(Release, json.loads(body))


def state_of(connection: Connection, key: str) -> Json | None:
    value = connection.execute(select(tables.state.c.value).where(tables.state.c.key == key)).scalar()
    return None if value is None else dict(json.loads(value))


def ledger_row(row: RowMapping) -> LedgerRow:
    return decode(LedgerRow, {**{str(k): v for k, v in row.items()}, "body": json.loads(row["body"])})
