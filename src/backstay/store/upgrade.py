"""Bring an older store to this version: back up, migrate step by step, in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, select, update

from backstay.kernel.clock import Clock
from backstay.kernel.errors import NotFound, StoreTooNew
from backstay.store import tables
from backstay.store.backup import backup
from backstay.store.engine import make_engine, writing
from backstay.store.sql import FILE, Store

STEPS: dict[int, Callable[[Connection], None]] = {}
"""For each older version the step to the next one. Version 1 is the first, so there is none yet."""


@dataclass(frozen=True)
class Upgraded:
    """What was done, or would be."""

    before: int
    after: int
    backup: str | None


def upgrade(state: Path, clock: Clock, *, dry_run: bool = False) -> Upgraded:
    """Migrate the store in this folder. A dry run changes nothing; a failed step leaves the old store as it was."""
    if not (state / FILE).is_file():
        raise NotFound(f"there is no store in {state}", fix="name the project with --project")
    target = tables.SCHEMA_VERSION
    before = Store(state, clock).version
    if before > target:
        raise StoreTooNew(
            f"the store has version {before}, this Backstay knows {target}", fix="install a newer Backstay"
        )
    if before == target or dry_run:
        return Upgraded(before, target, None)
    copy = state.with_name(f"{state.name}-version-{before}-{_stamp(clock.now())}")
    backup(state, copy)
    engine = make_engine(state / FILE)
    with writing(engine) as connection:
        # Read again under the lock: another process may have migrated it meanwhile.
        stamp = connection.execute(select(tables.meta.c.value).where(tables.meta.c.key == "version")).scalar_one()
        for version in range(int(stamp), target):
            STEPS[version](connection)
        connection.execute(update(tables.meta).where(tables.meta.c.key == "version").values(value=str(target)))
    engine.dispose()
    return Upgraded(before, target, str(copy))


def _stamp(at: datetime) -> str:
    return at.strftime("%Y%m%dT%H%M%SZ")
