"""The erasure of a subject reaches what a monitor remembers of single rows, and where it showed them."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Any

from backstay.kernel.records import Json, WindowResult

ROWS_OR_IDS = ("recent", "paired")


def state_without(state: Json, ids: AbstractSet[str]) -> Json:
    """A monitor's state (`Memory.to_json`) without labels, values and looks-back of these rows; equal if it had none.

    What has been counted stays counted: sums and evidence tell of no single row.

    >>> before = {"labels": [["r1", "2026-01-05", True, 0.9]], "detectors": {"label_quality": {"paired": ["r2"]}}}
    >>> state_without(before, {"r1", "r2"})
    {'labels': [], 'detectors': {'label_quality': {'paired': []}}}
    """
    seen = state.get("rows_seen", {})
    detectors = {name: _without(found, ids) for name, found in state.get("detectors", {}).items()}
    return {
        **state,
        "labels": _rows(state.get("labels", []), ids),
        **({"detectors": detectors} if "detectors" in state else {}),
        **(
            {"rows_seen": {**seen, "labelled": {i: v for i, v in seen["labelled"].items() if i not in ids}}}
            if "labelled" in seen
            else {}
        ),
    }


def window_without(window: WindowResult, ids: AbstractSet[str]) -> WindowResult:
    """What was seen of a window, without naming these rows as examples."""
    signals = tuple(replace(s, example_ids=tuple(i for i in s.example_ids if i not in ids)) for s in window.signals)
    located = window.located
    if located is not None:
        cells = tuple(replace(c, example_ids=tuple(i for i in c.example_ids if i not in ids)) for c in located.cells)
        located = replace(located, cells=cells)
    return replace(window, signals=signals, located=located)


def _without(state: Any, ids: AbstractSet[str]) -> Any:
    """A detector's state: rows of `recent` begin with their id, `paired` is ids alone."""
    if not isinstance(state, dict):
        return state
    return {
        name: _rows(value, ids) if name in ROWS_OR_IDS and isinstance(value, list) else _without(value, ids)
        for name, value in state.items()
    }


def _rows(kept: list[Any], ids: AbstractSet[str]) -> list[Any]:
    """Ids, or rows that begin with one, without those that are named."""
    return [row for row in kept if not _named(row[0] if isinstance(row, list) and row else row, ids)]


def _named(value: Any, ids: AbstractSet[str]) -> bool:
    return isinstance(value, str) and value in ids
