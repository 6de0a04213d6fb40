"""Erase rows by name from all that is on file, and hide at once what a running server still holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from backstay.journal.answers import entries_of, scope_of
from backstay.journal.blanking import blank_feedback
from backstay.journal.compaction import Scope
from backstay.journal.entries import FOUND, Feedback, Predictions
from backstay.journal.layout import FORGOTTEN, Layout, without
from backstay.journal.parts import from_table, read_table
from backstay.journal.rows import Rows
from backstay.journal.segment import in_use
from backstay.journal.switch import Switch
from backstay.journal.tally import FILE as TALLY
from backstay.journal.tally import Tally
from backstay.kernel.records import Json

# Before the id of a gallery row among the hidden ids: a row of the log may have the same one.
_RESULT = "result\x00"


def erase(
    layout: Layout,
    scope: Scope,
    ids: Iterable[str],
    groups: Iterable[str],
    judged: Mapping[str, int],
    results: Iterable[str] = (),
) -> frozenset[str]:
    """Erase rows by id or group; answers the ids. Parquet files and the list of hidden ids change in one step.

    Args:
        judged: how many of these rows a monitor has counted, by release. results: ids of gallery rows, which may be ids
            of other rows in the log: only what somebody said was found goes.
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
    hidden = layout.all_forgotten()
    hidden[scope] = layout.forgotten(*scope) | gone | {f"{_RESULT}{name}" for name in results}
    listed: Json = {}
    for (model, environment), hidden_ids in sorted(hidden.items()):
        listed.setdefault(model, {})[environment] = sorted(hidden_ids)
    switch.put_json(layout.directory / FORGOTTEN, listed)
    if judged:
        switch.put_json(folder / TALLY, Tally.read(folder).with_left(judged, {}).to_json())
    switch.commit()
    erase_feedback(layout)
    return gone


def erase_feedback(layout: Layout) -> None:
    """Overwrite what was said of hidden ids, or names them as found, in every file that no server writes any more."""
    hidden = layout.all_forgotten()
    for path in layout.segments("f") if hidden else ():
        if not in_use(path):
            blank_feedback(path, lambda entry, _: is_hidden(entry, hidden))


def is_hidden(entry: Feedback, hidden: Mapping[Scope, frozenset[str]]) -> bool:
    """Whether it is of a hidden id of its model, or names one as what a search should find."""
    gone = hidden.get((entry.model, entry.environment), frozenset())
    names = entry.kind == FOUND and (entry.value in gone or f"{_RESULT}{entry.value}" in gone)
    return names or entry.prediction_id in gone


def _of_groups(layout: Layout, scope: Scope, groups: set[str]) -> set[str]:
    found: set[str] = set()
    if not groups:
        return found
    folder = layout.folder(*scope)
    for path in [*(file.path for file in layout.days(folder)), *layout.loose(folder)]:
        found |= _members(from_table(read_table(path)), groups)
    for entry in entries_of(layout.segments("p")):
        if isinstance(entry, Predictions) and entry.groups is not None and scope_of(entry) == scope:
            found |= {i for i, g in zip(entry.ids, entry.groups, strict=True) if g in groups}
    return found


def _members(rows: Rows, groups: set[str]) -> set[str]:
    if rows.groups is None:
        return set()
    return {str(i) for i, g in zip(rows.ids, rows.groups, strict=True) if g in groups}
