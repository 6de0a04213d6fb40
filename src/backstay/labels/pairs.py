"""Pairs of rows that somebody judged the same or different, and which of them may be learned from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from backstay.kernel.ids import fraction
from backstay.labels.training import most_of_each
from backstay.labels.trust import is_trusted
from backstay.settings import LabelSettings


@dataclass(frozen=True, slots=True, order=True)
class Pair:
    """Two rows by their ids, the smaller first, and what a source says of them."""

    first: str
    second: str
    same: bool
    source: str

    @property
    def rows(self) -> tuple[str, str]:
        return self.first, self.second


def training_pairs(pairs: Iterable[Pair], settings: LabelSettings) -> list[Pair]:
    """Pairs that may be learned from, one verdict a pair: the rules of labels, applied to pairs.

    - A pair on which trusted sources contradict each other is left out; else their verdict stands, whatever strangers
      say of it.
    - Of pairs that no trusted source has judged, those are left out on which strangers contradict each other. Of the
      rest each source brings at most `source_cap` of all that comes out, and all together no more than are trusted;
      a hash decides which.
    """
    everything = sorted(set(pairs))
    vouched = [p for p in everything if is_trusted(p.source, settings)]
    dealt_with = {p.rows for p in vouched}
    trusted = _agreed(vouched)
    offered = [p for p in everything if p.rows not in dealt_with]
    by_source: dict[str, list[Pair]] = {}
    for pair in _agreed(offered):
        by_source.setdefault(pair.source, []).append(pair)
    most = most_of_each(
        {source: len(theirs) for source, theirs in by_source.items()}, len(trusted), settings.source_cap
    )
    let_in: list[Pair] = []
    for source, theirs in sorted(by_source.items()):
        let_in += sorted(theirs, key=lambda p: fraction(_key(p), f"cap:{source}"))[:most]
    return sorted(trusted + let_in)


def _agreed(pairs: Iterable[Pair]) -> list[Pair]:
    """One of each pair on which all agree; of several sources the one that a hash favours, so that no name wins."""
    by_rows: dict[tuple[str, str], list[Pair]] = {}
    for pair in pairs:
        by_rows.setdefault(pair.rows, []).append(pair)
    return [
        min(theirs, key=lambda p: fraction(p.source, f"agree:{_key(p)}"))
        for theirs in by_rows.values()
        if len({p.same for p in theirs}) == 1
    ]


def _key(pair: Pair) -> str:
    return f"{len(pair.first)}:{pair.first}/{pair.second}"
