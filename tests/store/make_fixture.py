"""Writes the store that this release of Backstay leaves for all later ones to open. Run once a layout version:

    python tests/store/make_fixture.py tests/store/fixtures

It refuses to replace one: a fixture is only worth something while it stays as it was.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from backstay.kernel.clock import ManualClock
from backstay.kernel.records import (
    Label,
    LabelRequest,
    LabelUse,
    ModelRecord,
    Release,
    ReleaseKind,
    RuleOutcome,
    Task,
    Verdict,
)
from backstay.store.sql import FILE, open_store
from backstay.store.tables import SCHEMA_VERSION

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def main(folder: Path) -> None:
    target = folder / f"store_version_{SCHEMA_VERSION}.db"
    if target.exists():
        raise SystemExit(f"{target} is there already")
    with tempfile.TemporaryDirectory() as scratch:
        furnish(Path(scratch))
        folder.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(Path(scratch) / FILE)) as connection:
            connection.execute("VACUUM INTO ?", (str(target),))


def furnish(folder: Path) -> None:
    store = open_store(folder, ManualClock(AT), create=True)
    outcomes = (RuleOutcome("minimum_n", True, "measured on 200 rows, the policy asks for 100", {"n": 200}),)
    verdict = Verdict("verdict-1", "m", "production", "model-b", "model-a", "r", "d", "p", True, outcomes, AT)
    scope = {"model": "m", "environment": "production"}
    with store.transaction() as tx:
        for name in ("model-a", "model-b"):
            tx.put("model", name, ModelRecord(name, "m", Task.CLASSIFICATION, "run", AT, bundle=name), **scope)
        tx.put("verdict", verdict.id, verdict, **scope)
        tx.set_state("watch/m/production", {"windows": 3})
        first = Release(
            "release-1", 1, "m", "production", "model-a", ReleaseKind.ADOPTED, False, "ann", "adopted", AT, "d"
        )
        tx.add_release(first, actor="ann", kind="adopted", body={"candidate": "model-a"})
        second = Release(
            "release-2", 2, "m", "production", "model-b", ReleaseKind.PROMOTED, True, "ann", "better", AT, "d",
            "verdict-1", "release-1",
        )  # fmt: skip
        tx.add_release(second, actor="ann", kind="promoted", body={"candidate": "model-b", "verdict": "verdict-1"})
    store.add_labels([Label("p1", "yes", "review", True, True, LabelUse.STANDING, AT, "m", "production", "g", 0.1)])
    store.add_requests([LabelRequest("request-1", "p2", "m", "production", "standing", 0.1, AT)])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
