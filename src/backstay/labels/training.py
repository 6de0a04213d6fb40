"""Which labels a challenger may learn from, and which may judge it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from backstay.kernel.ids import fraction
from backstay.kernel.records import Label, LabelUse
from backstay.settings import LabelSettings


def gate_labels(labels: Iterable[Label]) -> list[Label]:
    """Labels that may judge: trusted, and dealt to the gate. One a row, by prediction id.

    The adjudicated label decides. Where trusted sources contradict each other and nobody has adjudicated, the row is
    left out: nobody knows its truth.
    """
    return _one_a_row(label for label in labels if label.trusted and label.use is LabelUse.GATE)


def training_labels(labels: Iterable[Label], settings: LabelSettings, *, known: Collection[str] = ()) -> list[Label]:
    """Labels that may be learned from: all trusted ones, and of each untrusted source no more than its cap.

    Of untrusted labels these are never learned from:
    - one for a row (or its group) that a trusted label deals with, whatever that label's use: the trusted one is
      right, and rows that judge or watch stay unseen;
    - a value that neither a trusted label nor `known` has, as strangers do not add classes;
    - rows on which untrusted sources contradict each other.
    Of the rest each source brings at most `source_cap` of the whole training set, what the caps let in included, and
    all untrusted sources together no more rows than are trusted, so that many keys are not a way round. Which rows
    is decided by a hash, not by order or time.

    Args:
        known: classes of the data that the challenger learns from besides.
    """
    everything = list(labels)
    trusted = _one_a_row(label for label in everything if label.trusted and label.use is LabelUse.TRAIN)
    settled = {label.prediction_id for label in everything if label.trusted}
    kept_apart = {label.group for label in everything if label.trusted and label.use is not LabelUse.TRAIN} - {None}
    values = {label.value for label in everything if label.trusted} | set(known)
    offered = [
        label
        for label in everything
        if not label.trusted
        and label.use is LabelUse.TRAIN
        and label.prediction_id not in settled
        and label.group not in kept_apart
        and label.value in values
    ]
    by_source: dict[str, list[Label]] = {}
    for label in _one_a_row(offered):
        by_source.setdefault(label.source, []).append(label)
    most = most_of_each(
        {source: len(theirs) for source, theirs in by_source.items()}, len(trusted), settings.source_cap
    )
    let_in: list[Label] = []
    for source, theirs in sorted(by_source.items()):
        let_in += sorted(theirs, key=lambda label: fraction(label.prediction_id, f"cap:{source}"))[:most]
    return trusted + sorted(let_in, key=lambda label: label.prediction_id)


def most_of_each(offered: Mapping[str, int], trusted: int, share: float) -> int:
    """The most rows that each source may bring: none exceeds its share of what comes out.

    What a source may bring grows with what the others bring, so the level is raised one row at a time while the
    fullest source stays within its share.

    >>> most_of_each({"key:a": 100}, 90, 0.1), most_of_each({"key:a": 100, "key:b": 1}, 100, 0.1)
    (10, 11)
    """
    level = 0
    for rows in range(1, max(offered.values(), default=0) + 1):
        let_in = sum(min(n, rows) for n in offered.values())
        if let_in > trusted or rows > share * (trusted + let_in) + 1e-9:
            break
        level = rows
    return level


def _one_a_row(labels: Iterable[Label]) -> list[Label]:
    """One label for each row, by prediction id: the adjudicated one, else the one on which all agree, else none.

    Of several that agree the one of the source that a hash favours stands, so that no choice of name wins.
    """
    by_row: dict[str, list[Label]] = {}
    for label in labels:
        by_row.setdefault(label.prediction_id, []).append(label)
    chosen = (_settle(row, by_row[row]) for row in sorted(by_row))
    return [label for label in chosen if label is not None]


def _settle(row: str, labels: Sequence[Label]) -> Label | None:
    # A source says one thing of a row, and one source adjudicates: review.
    adjudicated = next((label for label in labels if label.adjudicated), None)
    if adjudicated is not None:
        return adjudicated
    if len({label.value for label in labels}) > 1:
        return None
    return min(labels, key=lambda label: fraction(label.source, f"agree:{row}"))
