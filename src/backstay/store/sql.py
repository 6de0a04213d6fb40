"""The store: records, releases, ledger, labels and detector state in one SQLite file, blobs beside it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from sqlalchemy import Engine, Select, Table, delete, func, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import IntegrityError, OperationalError

from backstay.kernel.clock import Clock
from backstay.kernel.codec import decode, encode
from backstay.kernel.errors import BackstayError, Conflict, NotFound, StoreTooNew, nearest
from backstay.kernel.ports import Transaction
from backstay.kernel.records import Json, Label, LabelRequest, LedgerRow, Release
from backstay.store import tables
from backstay.store.chain import problems, release_problems
from backstay.store.create import create_database
from backstay.store.engine import explained, make_engine, reading, refuse_network_folder, writing
from backstay.store.files import FileBlobs
from backstay.store.revisions import revisions
from backstay.store.transaction import SqlTransaction, champion_of, head_of, ledger_row, state_of

T = TypeVar("T")
FILE = "state.db"


def open_store(folder: Path, clock: Clock, *, create: bool = False) -> Store:
    """Open the store in this folder.

    Raises:
        NotFound: there is none, and `create` was not asked for.
        StoreTooNew: a newer Backstay wrote it.
        BackstayError: an older one did (run `backstay upgrade`), or the folder cannot be used.
    """
    file = folder / FILE
    refuse_network_folder(folder)
    if not file.exists():
        if not create:
            raise NotFound(f"there is no store in {folder}", fix="begin with `backstay adopt` or `backstay init`")
        create_database(file)
    store = Store(folder, clock)
    version = store.version
    if version > tables.SCHEMA_VERSION:
        raise StoreTooNew(
            f"the store {file} has version {version}, this Backstay knows {tables.SCHEMA_VERSION}",
            fix="install the version of Backstay that wrote it, or a newer one",
        )
    if version < tables.SCHEMA_VERSION:
        raise BackstayError(f"the store {file} has version {version}", fix="run `backstay upgrade`, it backs up first")
    return store


class Store:
    """Implements the ports Catalog and Ledger; `blobs` implements Blobs."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder = folder
        self.clock = clock
        self.blobs = FileBlobs(folder / "blobs")
        self._engine: Engine = make_engine(folder / FILE)

    @property
    def version(self) -> int:
        """The version of the tables' layout, by one query."""
        query = select(tables.meta.c.value).where(tables.meta.c.key == "version")
        with reading(self._engine) as connection:
            try:
                found = connection.execute(query).scalar()
            except OperationalError as error:
                if "no such table" not in str(error.orig):
                    raise
                found = None
        if found is None:
            raise BackstayError(f"{self.folder / FILE} is not a Backstay store", fix="name the right store.path")
        return int(found)

    # Ledger
    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """One writer at a time; leaving by an exception changes nothing."""
        try:
            with writing(self._engine) as connection:
                yield SqlTransaction(connection, self.clock)
        except IntegrityError as error:
            raise Conflict(
                f"the store has that already ({error.orig})", fix="look at what is there and try again"
            ) from error

    def rows(self, kind: str | None = None, *, after: int = 0) -> Iterator[LedgerRow]:
        query = select(tables.ledger).where(tables.ledger.c.seq > after).order_by(tables.ledger.c.seq)
        if kind is not None:
            query = query.where(tables.ledger.c.kind == kind)
        with reading(self._engine) as connection:
            found = connection.execute(query).mappings().all()
        return (ledger_row(row) for row in found)

    def head(self) -> tuple[int, str]:
        with reading(self._engine) as connection:
            return head_of(connection)

    def verify(self, expected_head: tuple[int, str] | None = None) -> list[str]:
        ledger = select(tables.ledger).order_by(tables.ledger.c.seq)
        with reading(self._engine) as connection:
            rows = [ledger_row(r) for r in connection.execute(ledger).mappings()]
            filed = connection.execute(select(tables.releases)).mappings().all()
        return problems(rows, expected_head) + release_problems(rows, filed)

    # Catalog
    def revisions(self) -> AbstractContextManager[Callable[[], object]]:
        return revisions(self.folder / FILE)

    def get(self, kind: str, record_id: str, as_type: type[T]) -> T:
        if kind == "release":
            table, query = tables.releases, select(tables.releases.c.body).where(tables.releases.c.id == record_id)
        else:
            table = tables.records
            query = select(table.c.body).where(table.c.kind == kind, table.c.id == record_id)
        with reading(self._engine) as connection:
            body = connection.execute(query).scalar()
        if body is None:
            raise NotFound(f"there is no {kind} {record_id!r}", fix=nearest(record_id, self._ids(kind)[-20:]))
        return decode(as_type, json.loads(body))

    def find(
        self,
        kind: str,
        as_type: type[T],
        *,
        model: str | None = None,
        environment: str | None = None,
        newest_first: bool = False,
        limit: int | None = None,
    ) -> list[T]:
        table = tables.records
        query = select(table.c.body).where(table.c.kind == kind)
        if model is not None:
            query = query.where(table.c.model == model)
        if environment is not None:
            query = query.where(table.c.environment == environment)
        query = query.order_by(table.c.number.desc() if newest_first else table.c.number).limit(limit)
        return self._decoded(query, as_type)

    def resolve(self, kind: str, prefix: str) -> str:
        ids = self._ids(kind)
        found = [i for i in ids if i == prefix] or [i for i in ids if i.startswith(prefix)]
        if not found:
            raise NotFound(f"no {kind} begins with {prefix!r}", fix=nearest(prefix, ids[-20:]))
        if len(found) > 1:
            raise BackstayError(
                f"{len(found)} {kind}s begin with {prefix!r}", fix=f"say more of it: {', '.join(found[:5])}"
            )
        return found[0]

    def _ids(self, kind: str) -> list[str]:
        if kind == "release":
            query = select(tables.releases.c.id).order_by(tables.releases.c.sequence)
        else:
            query = select(tables.records.c.id).where(tables.records.c.kind == kind).order_by(tables.records.c.number)
        with reading(self._engine) as connection:
            return list(connection.execute(query).scalars())

    def champion(self, model: str, environment: str) -> Release | None:
        with reading(self._engine) as connection:
            return champion_of(connection, model, environment)

    def releases(self, model: str, environment: str) -> list[Release]:
        table = tables.releases
        query = select(table.c.body).where(table.c.model == model, table.c.environment == environment)
        return self._decoded(query.order_by(table.c.sequence), Release)

    def every_release(self) -> list[Release]:
        """Releases of all models and environments, in the order in which they were made."""
        return self._decoded(select(tables.releases.c.body).order_by(tables.releases.c.ledger_seq), Release)

    def _decoded(self, query: Select[Any], as_type: type[T]) -> list[T]:
        with reading(self._engine) as connection:
            return [decode(as_type, json.loads(body)) for body in connection.execute(query).scalars()]

    def get_state(self, key: str) -> Json | None:
        with reading(self._engine) as connection:
            return state_of(connection, key)

    def states(self, prefix: str) -> Mapping[str, Json]:
        query = select(tables.state).where(tables.state.c.key.startswith(prefix, autoescape=True))
        with reading(self._engine) as connection:
            return {row.key: json.loads(row.value) for row in connection.execute(query)}

    def add_labels(self, labels: list[Label]) -> int:
        table = tables.labels
        values = [
            {
                "model": label.model,
                "environment": label.environment,
                "prediction_id": label.prediction_id,
                "source": label.source,
                "use": label.use.value,
                "probability": label.probability,
                "body": json.dumps(encode(label)),
            }
            for label in labels
        ]
        return self._insert_new(table, values)

    def labels(self, model: str, environment: str, *, use: str | None = None) -> list[Label]:
        table = tables.labels
        query = select(table.c.body).where(table.c.model == model, table.c.environment == environment)
        if use is not None:
            query = query.where(table.c.use == use)
        return self._decoded(query.order_by(table.c.number), Label)

    def add_requests(self, requests: list[LabelRequest]) -> int:
        table = tables.requests
        values = [
            {
                "id": r.id,
                "model": r.model,
                "environment": r.environment,
                "prediction_id": r.prediction_id,
                "status": r.status,
                "body": json.dumps(encode(r)),
            }
            for r in requests
        ]
        return self._insert_new(table, values)

    def _insert_new(self, table: Table, values: list[dict[str, Any]]) -> int:
        if not values:
            return 0
        count = select(func.count()).select_from(table)
        with writing(self._engine) as connection:
            before = connection.execute(count).scalar_one()
            connection.execute(upsert(table).on_conflict_do_nothing(), values)
            return int(connection.execute(count).scalar_one() - before)

    def requests(self, model: str, environment: str, *, status: str | None = None) -> list[LabelRequest]:
        table = tables.requests
        query = select(table.c.body, table.c.status).where(table.c.model == model, table.c.environment == environment)
        if status is not None:
            query = query.where(table.c.status == status)
        with reading(self._engine) as connection:
            found = connection.execute(query.order_by(table.c.number)).all()
        return [decode(LabelRequest, {**json.loads(body), "status": status}) for body, status in found]

    def close_requests(self, request_ids: list[str], status: str) -> None:
        if not request_ids:
            return
        table = tables.requests
        with writing(self._engine) as connection:
            for start in range(0, len(request_ids), 500):
                some = request_ids[start : start + 500]
                connection.execute(update(table).where(table.c.id.in_(some)).values(status=status))

    def erase(
        self,
        model: str,
        environment: str,
        prediction_ids: list[str],
        *,
        states: Mapping[str, Json] = MappingProxyType({}),
        records: Mapping[tuple[str, str], Any] = MappingProxyType({}),
    ) -> tuple[int, int]:
        removed = [0, 0]
        with writing(self._engine) as connection:
            # What is deleted is overwritten with zeros, in the file and, by the checkpoint, in the write-ahead log.
            connection.exec_driver_sql("PRAGMA secure_delete = ON")
            for start in range(0, len(prediction_ids), 500):
                some = prediction_ids[start : start + 500]
                for place, table in enumerate((tables.labels, tables.requests)):
                    chosen = delete(table).where(
                        table.c.model == model, table.c.environment == environment, table.c.prediction_id.in_(some)
                    )
                    removed[place] += connection.execute(chosen).rowcount
            for key, value in states.items():
                SqlTransaction(connection, self.clock).set_state(key, value)
            for (kind, record_id), record in records.items():
                its = (tables.records.c.kind == kind) & (tables.records.c.id == record_id)
                connection.execute(update(tables.records).where(its).values(body=json.dumps(encode(record))))
        with explained(self.folder / FILE), closing(sqlite3.connect(self.folder / FILE)) as plain:
            plain.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return removed[0], removed[1]
