"""What is kept of a search: what its result list was like, and marks by which a right answer is known again.

Neither what was searched for nor its vector is kept, nor any name: a row or label of the results is a mark of 32 bits,
salted with the id of the search. Whoever judges the search names a right row or its label, and the marks tell at which
place of the list it stood.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from backstay.journal.entries import FOUND, SEARCH, Feedback

MARKED = 10
"""Places of the list that have marks."""
NONE = "none"
"""What somebody says of a search of which no result was right."""
SERVER = "server"
_SHORT = 8
_ROW, _LABEL = "row", "label"


class _Note(msgspec.Struct, array_like=True):
    gallery: str
    release: str
    described: list[float]
    rows: str
    labels: str


@dataclass(frozen=True, slots=True)
class Search:
    """A search that was answered.

    Args:
        at: microseconds since 1970. described: its result list in numbers. place: of the first right result, from 1; 0
            where none of the first ten was right; None where nobody has judged it.
    """

    id: str
    at: int
    gallery: str
    release: str
    described: tuple[float, ...]
    place: int | None = None


def search_entry(
    scope: tuple[str, str],
    search_id: str,
    at: int,
    *,
    gallery: str,
    release: str,
    described: Sequence[float],
    rows: Sequence[str],
    labels: Sequence[str | None],
) -> Feedback:
    """What is logged of one search, its results best first.

    Args:
        rows: ids of the results. labels: theirs, None where they have none.
    """
    note = _Note(
        gallery,
        release,
        [round(float(value), 6) for value in described],
        "".join(_mark(search_id, _ROW, row) for row in rows[:MARKED]),
        "".join("-" * _SHORT if label is None else _mark(search_id, _LABEL, label) for label in labels[:MARKED]),
    )
    return Feedback(*scope, search_id, msgspec.json.encode(note).decode(), SERVER, at, SEARCH)


def searches(
    feedback: Iterable[Feedback], model: str, environment: str, believed: Callable[[str], bool] = lambda _: True
) -> list[Search]:
    """The searches in a log of feedback, in order, each with the first judgement of it by a source that is believed."""
    notes: dict[str, tuple[Feedback, _Note]] = {}
    judged: dict[str, str] = {}
    for item in feedback:
        if (item.model, item.environment) != (model, environment):
            continue
        if item.kind == SEARCH and item.source == SERVER and item.value.startswith("["):
            notes.setdefault(item.prediction_id, (item, msgspec.json.decode(item.value, type=_Note)))
        elif item.kind == FOUND and item.value and believed(item.source):
            judged.setdefault(item.prediction_id, item.value)
    return [
        Search(key, item.at, note.gallery, note.release, tuple(note.described), _place(key, note, judged.get(key)))
        for key, (item, note) in notes.items()
    ]


def _place(search_id: str, note: _Note, said: str | None) -> int | None:
    if said is None:
        return None
    if said == NONE:
        return 0
    wanted = {_mark(search_id, _ROW, said), _mark(search_id, _LABEL, said)}
    for place in range(len(note.rows) // _SHORT):
        here = slice(place * _SHORT, (place + 1) * _SHORT)
        if note.rows[here] in wanted or note.labels[here] in wanted:
            return place + 1
    return 0


def _mark(search_id: str, kind: str, name: str) -> str:
    return hashlib.sha256(f"{search_id}\x00{kind}\x00{name}".encode()).hexdigest()[:_SHORT]
