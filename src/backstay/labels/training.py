"""Which labels a challenger may learn from, and which may judge it."""

from __future__ import annotations

import math
from collections.abc import Iterable

from backstay.kernel.ids import fraction
from backstay.kernel.records import Label, LabelUse
from backstay.settings import LabelSettings


def gate_labels(labels: Iterable[Label]) -> list[Label]:
    """Labels that may judge: trusted, and dealt to the gate. One a row, the adjudicated one first."""
    return _one_a_row(label for label in labels if label.trusted and label.use is LabelUse.GATE)


def training_labels(labels: Iterable[Label], settings: LabelSettings) -> list[Label]:
    """Labels that may be learned from: all trusted ones, and of each untrusted source no more than its cap.

    A source's cap is `source_cap` of the whole training set, which includes what the cap lets in: with t trusted
    labels and k untrusted sources each may bring c·t / (1 - k·c) rows. Which rows is decided by a hash that the
    source cannot choose. Where a trusted source contradicts it, the trusted one is right.
    """
    usable = [label for label in labels if label.use is LabelUse.TRAIN]
    trusted = _one_a_row(label for label in usable if label.trusted)
    settled = {label.prediction_id for label in trusted}
    by_source: dict[str, list[Label]] = {}
    for label in usable:
        if not label.trusted and label.prediction_id not in settled:
            by_source.setdefault(label.source, []).append(label)
    most = _cap(len(trusted), len(by_source), settings.source_cap)
    let_in: list[Label] = []
    for source, theirs in sorted(by_source.items()):
        dealt = sorted(theirs, key=lambda label: fraction(label.prediction_id, f"cap:{source}"))
        let_in += dealt[:most]
    return trusted + _one_a_row(let_in)


def _cap(trusted: int, sources: int, share: float) -> int:
    room = 1.0 - sources * share
    if room <= 0:
        # So many sources that their shares would fill everything: together they may bring as much as is trusted.
        return trusted // max(sources, 1)
    return math.floor(share * trusted / room + 1e-9)


def _one_a_row(labels: Iterable[Label]) -> list[Label]:
    """The first label of each row, adjudicated ones before others."""
    chosen: dict[str, Label] = {}
    for label in sorted(labels, key=lambda label: not label.adjudicated):
        chosen.setdefault(label.prediction_id, label)
    return sorted(chosen.values(), key=lambda label: label.prediction_id)
