"""Bring a project to this version."""

from __future__ import annotations

from pathlib import Path

from backstay.kernel.clock import clock_from_environment
from backstay.kernel.records import Json
from backstay.settings import VERSION, parse, read
from backstay.store.upgrade import upgrade


def bring_up(file: Path, *, dry_run: bool) -> Json:
    """Migrate the store that the project file names; says what was done and where the backup is."""
    document = read(file)
    version = document.get("version", VERSION)
    if not isinstance(version, int) or version >= VERSION:
        # Of today, from the future, or nonsense: read as always. Only an older file may differ from today's schema.
        parse(document)
    state = file.parent / document.get("store", {}).get("path", ".backstay")
    facts: Json = {"project_file": f"version {document.get('version', VERSION)}", "dry_run": dry_run}
    if not (state / "state.db").exists():
        return {**facts, "store": "none yet"}
    done = upgrade(state, clock_from_environment(), dry_run=dry_run)
    return {**facts, "store": f"version {done.before} to {done.after}", "backup": done.backup}
