"""Looking back and looking after: history, status, verification."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from backstay.bundle.model import load
from backstay.data.snapshot import load as load_rows
from backstay.kernel.codec import encode
from backstay.kernel.errors import BackstayError
from backstay.kernel.ids import digest
from backstay.kernel.records import LedgerRow, Release, Report, Verdict, WindowResult
from backstay.loop.label import live_rows
from backstay.loop.lookup import window_results
from backstay.loop.outstanding import Past, past_of
from backstay.loop.sign import trust
from backstay.loop.workspace import Workspace

TOLD = (
    "promotion_refused",
    "promoted",
    "adopted",
    "adoption_refused",
    "rollback",
    "rollback_refused",
    "signed",
    "alarm",
    "worse",
    "challenger",
    "verdict",
    "erased",
    "expired",
)


@dataclass(frozen=True)
class History:
    """Releases oldest first, and the ledger's rows about this model that tell why."""

    releases: tuple[Release, ...]
    events: tuple[LedgerRow, ...]


@dataclass(frozen=True)
class Status:
    """The state of one model in one environment."""

    model: str
    environment: str
    champion: Release | None
    last_window: WindowResult | None
    logged_rows: int
    labels: int
    open_requests: int
    past_requests: tuple[Past, ...]
    ledger_rows: int
    ledger_head: str
    state: str


@dataclass(frozen=True)
class Verified:
    """What `verify` found. `problems` is empty when all is sound."""

    sound: bool
    rows: int
    head: str
    problems: tuple[str, ...]
    checked_bundles: int
    checked_data: int
    at: datetime


def history(ws: Workspace) -> History:
    """Releases and what the ledger says of them."""
    events = tuple(row for row in own_rows(ws) if row.kind in TOLD)
    return History(tuple(ws.catalog.releases(ws.name, ws.environment)), events)


def own_rows(ws: Workspace) -> list[LedgerRow]:
    """The ledger's rows that name a release or a verdict of this model in this environment, or the two themselves."""
    releases = {r.id for r in ws.catalog.releases(ws.name, ws.environment)}
    verdicts = {v.id for v in ws.catalog.find("verdict", Verdict, **ws.scope)}
    return [
        row
        for row in ws.ledger.rows()
        if row.body.get("release") in releases
        or row.body.get("verdict") in verdicts
        or (row.body.get("model"), row.body.get("environment")) == (ws.name, ws.environment)
    ]


def status(ws: Workspace) -> Status:
    """What is live, when it was last watched, what waits."""
    champion = ws.catalog.champion(ws.name, ws.environment)
    windows = window_results(ws)
    rows, head = ws.ledger.head()
    waiting = ws.catalog.requests(ws.name, ws.environment, status="open")
    return Status(
        model=ws.name,
        environment=ws.environment,
        champion=champion,
        last_window=windows[-1] if windows else None,
        logged_rows=len(live_rows(ws)) if champion else 0,
        labels=len(ws.catalog.labels(ws.name, ws.environment)),
        open_requests=len(waiting),
        past_requests=past_of(ws, waiting),
        ledger_rows=rows,
        ledger_head=head,
        state=str(ws.state),
    )


def verify(ws: Workspace, *, head: Path | None = None, export_head: Path | None = None) -> Verified:
    """Check the chain, and that every bundle and reference that a release of the project names is whole."""
    expected = None if head is None else _read_head(head)
    problems = list(ws.ledger.verify(expected))
    releases = ws.catalog.every_release()
    bundles = {r.model_id for r in releases}
    references = {r.reference_id for r in releases if r.reference_id}
    live = ws.catalog.champion(ws.name, ws.environment)
    checked = 0
    for model_id in sorted(bundles):
        record = ws.model_record(model_id)
        if record.bundle is None:
            continue
        checked += 1
        problems += _problem(partial(load, ws.bundles / record.bundle, expected_id=record.id))
        # A signature may be asked for since: of what was live once, only one that does not hold is a problem.
        trusted = trust(ws, require=ws.settings.signing.require and live is not None and live.model_id == model_id)
        problems += _problem(partial(trusted, ws.bundles / record.bundle))
    for data_id in sorted(references):
        version = ws.data_version(data_id)
        problems += _problem(partial(load_rows, version, ws.blobs))
    problems += _judgements(ws)
    rows, newest = ws.ledger.head()
    if export_head is not None:
        _write_head(export_head, rows, newest)
    return Verified(not problems, rows, newest, tuple(problems), checked, len(references), ws.clock.now())


def _judgements(ws: Workspace) -> list[str]:
    """Verdicts and reports that are no longer what the ledger saw when they were filed."""
    found: list[str] = []
    verdicts = {v.id: v for v in ws.catalog.find("verdict", Verdict)}
    reports = {r.id: r for r in ws.catalog.find("report", Report)}
    for row in ws.ledger.rows("verdict"):
        for kind, known in (("verdict", verdicts), ("report", reports)):
            filed: Verdict | Report | None = known.get(row.body[kind])
            if filed is None:
                found.append(f"{kind}s: {row.body[kind]}, which row {row.seq} of the ledger names, is missing")
            elif digest(encode(filed)) != row.body[f"{kind}_digest"]:
                found.append(f"{kind}s: {filed.id} was edited after row {row.seq} of the ledger was written")
    return found


def _problem(check: Callable[[], object]) -> list[str]:
    try:
        check()
    except BackstayError as error:
        return [str(error)]
    return []


def _read_head(path: Path) -> tuple[int, str]:
    try:
        value = json.loads(path.read_text())
        return int(value["rows"]), str(value["head"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackstayError(
            f"{path} is not an exported head", fix="write one with `backstay verify --export-head FILE`"
        ) from error


def _write_head(path: Path, rows: int, head: str) -> None:
    fresh = path.with_name(path.name + ".tmp")
    try:
        with fresh.open("w", encoding="utf-8") as out:
            out.write(json.dumps({"rows": rows, "head": head}) + "\n")
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(path)
    except OSError as error:
        if path.parent.is_dir():
            fresh.unlink(missing_ok=True)
        raise BackstayError(
            f"the head cannot be written to {path} ({error.strerror})", fix="name another place with --export-head"
        ) from error
