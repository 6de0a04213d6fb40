"""Erase rows by name from all that is on file, and hide at once what a running server still holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from backstay.journal.answers import entries_of
from backstay.journal.blanking import blank_feedback
from backstay.journal.compaction import Scope
from backstay.journal.entries import Predictions
from backstay.journal.layout import FORGOTTEN, Layout, read_table, without
from backstay.journal.parts import from_table
from backstay.journal.rows import Rows
from backstay.journal.segment import in_use
from backstay.journal.switch import Switch
from backstay.journal.tally import FILE as TALLY
from backstay.journal.tally import Tally


def erase(
    layout: Layout, scope: Scope, ids: Iterable[str], groups: Iterable[str], judged: Mapping[str, int]
) -> frozenset[str]:
    """Erase rows by id or group; answers the ids. Parquet files and the list of hidden ids change in one step.

    Args:
        judged: how many of these rows a monitor has counted, by release.
    """
    folder = layout.folder(*scope)
    wanted = set(groups)
    gone = frozenset(ids) | _of_groups(layout, scope, wanted)
    switch = Switch(layout.directory)
    for path in [*(file.path for file in layout.days(folder)), *layout.loose(folder)]:
        rows = from_table(read_table(path))
        kept = without(rows, gone)
        if not len(kept):
            switch.drop(path)
        elif len(kept) < len(rows):
            switch.put_rows(path, kept)
    switch.put_json(layout.directory / FORGOTTEN, sorted(layout.forgotten() | gone))
    if judged:
        switch.put_json(folder / TALLY, Tally.read(folder).with_left(judged, {}).to_json())
    switch.commit()
    for path in layout.segments("f"):
        if not in_use(path):
            blank_feedback(path, lambda entry, _: entry.prediction_id in gone)
    return gone


def _of_groups(layout: Layout, scope: Scope, groups: set[str]) -> set[str]:
    found: set[str] = set()
    if not groups:
        return found
    folder = layout.folder(*scope)
    for path in [*(file.path for file in layout.days(folder)), *layout.loose(folder)]:
        found |= _members(from_table(read_table(path)), groups)
    for entry in entries_of(layout.segments("p")):
        if isinstance(entry, Predictions) and entry.groups is not None:
            found |= {i for i, g in zip(entry.ids, entry.groups, strict=True) if g in groups}
    return found


def _members(rows: Rows, groups: set[str]) -> set[str]:
    if rows.groups is None:
        return set()
    return {str(i) for i, g in zip(rows.ids, rows.groups, strict=True) if g in groups}
