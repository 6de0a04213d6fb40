from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backstay.kernel.clock import ManualClock
from backstay.kernel.records import Release, ReleaseKind
from backstay.store.sql import Store, open_store

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / ".backstay"


@pytest.fixture
def store(folder: Path, clock: ManualClock) -> Store:
    return open_store(folder, clock, create=True)


@pytest.fixture
def release() -> Callable[..., Release]:
    def make(sequence: int, model_id: str = "model-a", **fields: object) -> Release:
        values = {
            "id": f"release-{sequence}",
            "sequence": sequence,
            "model": "m",
            "environment": "production",
            "model_id": model_id,
            "kind": ReleaseKind.ADOPTED,
            "measured": False,
            "actor": "ann",
            "reason": "test",
            "created_at": NOON,
        }
        return Release(**{**values, **fields})  # type: ignore[arg-type]  # a test builder of any field

    return make


@pytest.fixture
def publish(store: Store, release: Callable[..., Release]) -> Callable[..., Release]:
    def go(sequence: int, model_id: str = "model-a", **fields: object) -> Release:
        made = release(sequence, model_id, **fields)
        with store.transaction() as tx:
            tx.add_release(made, actor="ann", kind="adopted", body={"candidate": model_id})
        return made

    return go
