"""The store: records, releases, ledger, labels and detector state in one SQLite file, blobs beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, RowMapping, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import IntegrityError

from backstay.kernel.clock import Clock
from backstay.kernel.codec import decode, encode
from backstay.kernel.errors import BackstayError, Conflict, NotFound, StoreTooNew, nearest
from backstay.kernel.ids import canonical_json
from backstay.kernel.ports import Transaction
from backstay.kernel.records import Json, Label, LabelRequest, LedgerRow, Release
from backstay.store import tables
from backstay.store.chain import GENESIS, problems, row_hash
from backstay.store.engine import make_engine, reading, refuse_network_folder, writing
from backstay.store.files import FileBlobs

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
        _create(folder, file)
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


def _create(folder: Path, file: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BackstayError(
            f"the folder {folder} cannot be made ({error.strerror})", fix="choose another with store.path"
        ) from error
    engine = make_engine(file)
    with writing(engine) as connection:
        tables.metadata.create_all(connection)
        stamp = {"key": "version", "value": str(tables.SCHEMA_VERSION)}
        # Two processes may begin at the same moment; the second finds the first one's tables.
        connection.execute(upsert(tables.meta).values(stamp).on_conflict_do_nothing())
    engine.dispose()


class Store:
    """Implements the ports Catalog and Ledger; `blobs` implements Blobs."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder = folder
        self.clock = clock
        self.blobs = FileBlobs(folder / "blobs")
        self._engine: Engine = make_engine(folder / FILE)

    @property
    def version(self) -> int:
        with reading(self._engine) as connection:
            try:
                found = connection.execute(select(tables.meta.c.value).where(tables.meta.c.key == "version")).scalar()
            except Exception as error:
                if "no such table" not in str(error):
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
            raise Conflict(f"the store has that already ({error.orig})", fix="look at what is there and try again") from error

    def rows(self, kind: str | None = None) -> Iterator[LedgerRow]:
        query = select(tables.ledger).order_by(tables.ledger.c.seq)
        if kind is not None:
            query = query.where(tables.ledger.c.kind == kind)
        with reading(self._engine) as connection:
            found = connection.execute(query).mappings().all()
        return (_ledger_row(row) for row in found)

    def head(self) -> tuple[int, str]:
        with reading(self._engine) as connection:
            return _head(connection)

    def verify(self, expected_head: tuple[int, str] | None = None) -> list[str]:
        with reading(self._engine) as connection:
            rows = [_ledger_row(r) for r in connection.execute(select(tables.ledger).order_by(tables.ledger.c.seq)).mappings()]
            made = connection.execute(select(tables.releases.c.id, tables.releases.c.ledger_seq, tables.releases.c.body)).all()
        found = problems(rows, expected_head)
        by_seq = {row.seq: row for row in rows}
        for release_id, seq, body in made:
            row = by_seq.get(seq)
            told = None if row is None else row.body.get("record")
            if told is None or canonical_json(told) != canonical_json(json.loads(body)):
                found.append(f"releases: {release_id} is not what row {seq} of the ledger says")
        listed = {release_id for release_id, _, _ in made}
        found += [
            f"releases: {row.body['release']}, which row {row.seq} made, is missing"
            for row in rows
            if "release" in row.body and "record" in row.body and row.body["release"] not in listed
        ]
        return found

    # Catalog
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
        with reading(self._engine) as connection:
            return [decode(as_type, json.loads(body)) for body in connection.execute(query).scalars()]

    def resolve(self, kind: str, prefix: str) -> str:
        ids = self._ids(kind)
        found = [i for i in ids if i == prefix] or [i for i in ids if i.startswith(prefix)]
        if not found:
            raise NotFound(f"no {kind} begins with {prefix!r}", fix=nearest(prefix, ids[-20:]))
        if len(found) > 1:
            raise BackstayError(f"{len(found)} {kind}s begin with {prefix!r}", fix=f"say more of it: {', '.join(found[:5])}")
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
            return _champion(connection, model, environment)

    def releases(self, model: str, environment: str) -> list[Release]:
        table = tables.releases
        query = select(table.c.body).where(table.c.model == model, table.c.environment == environment)
        with reading(self._engine) as connection:
            return [decode(Release, json.loads(b)) for b in connection.execute(query.order_by(table.c.sequence)).scalars()]

    def get_state(self, key: str) -> Json | None:
        with reading(self._engine) as connection:
            return _get_state(connection, key)

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
        if not values:
            return 0
        with writing(self._engine) as connection:
            before = connection.execute(select(func.count()).select_from(table)).scalar_one()
            connection.execute(upsert(table).on_conflict_do_nothing(), values)
            after = connection.execute(select(func.count()).select_from(table)).scalar_one()
        return int(after - before)

    def labels(self, model: str, environment: str, *, use: str | None = None) -> list[Label]:
        table = tables.labels
        query = select(table.c.body).where(table.c.model == model, table.c.environment == environment)
        if use is not None:
            query = query.where(table.c.use == use)
        with reading(self._engine) as connection:
            return [decode(Label, json.loads(b)) for b in connection.execute(query.order_by(table.c.number)).scalars()]

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
        if not values:
            return 0
        with writing(self._engine) as connection:
            before = connection.execute(select(func.count()).select_from(table)).scalar_one()
            connection.execute(upsert(table).on_conflict_do_nothing(), values)
            after = connection.execute(select(func.count()).select_from(table)).scalar_one()
        return int(after - before)

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

    def change_counter(self) -> int:
        """SQLite's data_version on a connection of its own: moves when any other connection has committed."""
        return int(self._watcher.exec_driver_sql("PRAGMA data_version").scalar_one())

    @cached_property
    def _watcher(self) -> Connection:
        return self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")


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
                raise Conflict(f"{kind} {record_id!r} is filed already, with other content", fix="records are never changed")
            return
        values = {"kind": kind, "id": record_id, "model": model, "environment": environment, "body": body}
        self._connection.execute(insert(table).values(values))

    def append(self, kind: str, body: Json, *, actor: str) -> LedgerRow:
        seq, prev = _head(self._connection)
        clock = "injected" if self._clock.injected else "system"
        draft = LedgerRow(seq + 1, self._clock.now(), actor, kind, encode(body), prev, "", clock)
        row = LedgerRow(draft.seq, draft.at, actor, kind, draft.body, prev, row_hash(draft), clock)
        values = {**encode(row), "body": json.dumps(row.body)}
        self._connection.execute(insert(tables.ledger).values(values))
        return row

    def champion(self, model: str, environment: str) -> Release | None:
        return _champion(self._connection, model, environment)

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
        self._connection.execute(statement.on_conflict_do_update(index_elements=["key"], set_={"value": fresh["value"]}))

    def get_state(self, key: str) -> Json | None:
        return _get_state(self._connection, key)


def _head(connection: Connection) -> tuple[int, str]:
    table = tables.ledger
    row = connection.execute(select(table.c.seq, table.c.hash).order_by(table.c.seq.desc()).limit(1)).first()
    return (0, GENESIS) if row is None else (int(row.seq), str(row.hash))


def _champion(connection: Connection, model: str, environment: str) -> Release | None:
    table = tables.releases
    query = select(table.c.body).where(table.c.model == model, table.c.environment == environment)
    body = connection.execute(query.order_by(table.c.sequence.desc()).limit(1)).scalar()
    return None if body is None else decode(Release, json.loads(body))


def _get_state(connection: Connection, key: str) -> Json | None:
    value = connection.execute(select(tables.state.c.value).where(tables.state.c.key == key)).scalar()
    return None if value is None else dict(json.loads(value))


def _ledger_row(row: RowMapping) -> LedgerRow:
    return decode(LedgerRow, {**{str(k): v for k, v in row.items()}, "body": json.loads(row["body"])})
