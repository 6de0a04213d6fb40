"""Rows of days long past leave the log: whole UTC days, all at once or not at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from pathlib import Path

import pyarrow.parquet as pq

from backstay.bundle.manifest import Manifest
from backstay.journal.blanking import blank_feedback, is_blank
from backstay.journal.compaction import Scope, loose_rows, settled_ids
from backstay.journal.entries import Feedback
from backstay.journal.layout import Layout, without
from backstay.journal.parts import INPUT, from_table, read_table
from backstay.journal.rows import first_of_each
from backstay.journal.segment import in_use
from backstay.journal.switch import Switch
from backstay.journal.tally import FILE as TALLY
from backstay.journal.tally import Tally


def expire(layout: Layout, scope: Scope, before: date) -> dict[str, int]:
    """Let the compacted rows of all days before this one go; answers how many of which day.

    Rows that a server still writes, or that wait for a manifest, stay until they are compacted.
    """
    folder = layout.folder(*scope)
    switch = Switch(layout.directory)
    days: Counter[str] = Counter()
    judged: Counter[str] = Counter()
    for file in layout.days(folder):
        if file.day < before:
            rows = from_table(read_table(file.path, _narrow(file.path)))
            days[file.day.isoformat()] += len(rows)
            judged.update(str(r) for r in rows.releases[rows.sound()])
            switch.drop(file.path)
    if days:
        switch.put_json(folder / TALLY, Tally.read(folder).with_left(judged, days, before).to_json())
        switch.commit()
    return dict(sorted(days.items()))


def to_expire(layout: Layout, scope: Scope, before: date, manifests: Mapping[str, Manifest]) -> dict[str, int]:
    """What compaction and then `expire` would let go, as far as manifests are at hand."""
    files = layout.days(layout.folder(*scope))
    days: Counter[str] = Counter()
    for file in files:
        if file.day < before:
            days[file.day.isoformat()] += read_table(file.path, ["id"]).num_rows
    gone = layout.forgotten(*scope)
    loose = [without(rows, gone) for rows in loose_rows(layout, scope, manifests, finished_only=True)]
    kept, _ = first_of_each(loose, settled_ids(files))
    for rows in kept:
        early = rows.between(datetime.min.replace(tzinfo=UTC), _midnight(before))
        days.update(str(day) for day in early.times.astype("datetime64[D]"))
    return dict(sorted(days.items()))


def expire_feedback(layout: Layout, scope: Scope, before: date, cursor: Mapping[str, int]) -> int:
    """Blank what was said before this day and has been taken in; a file with nothing else in it goes.

    Args:
        cursor: how far this model's feedback has been taken in, by file name. What lies behind stays.
    """
    latest = int((_midnight(before) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000_000)
    blanked = 0
    for path in layout.segments("f"):
        if in_use(path):
            continue
        taken = cursor.get(path.name, 0)

        def old(entry: Feedback, end: int, taken: int = taken) -> bool:
            own = (entry.model, entry.environment) == scope
            return own and entry.at < latest and end <= taken and not is_blank(entry)

        found, rest = blank_feedback(path, old)
        blanked += found
        if not rest and path.stat().st_size:
            path.unlink()
    return blanked


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _narrow(path: Path) -> list[str]:
    """The columns of a file that are no inputs."""
    return [name for name in pq.read_schema(path).names if not name.startswith(INPUT)]
