"""Whose labels are believed, and the one use of each label."""

from __future__ import annotations

from backstay.kernel.ids import fraction
from backstay.kernel.records import LabelUse
from backstay.settings import LabelSettings

SALT = "label-use"
REVIEW = "review"
CENSUS_STANDING = 1 / 3


def is_trusted(source: str, settings: LabelSettings) -> bool:
    """Whether the project file says that this source is to be believed. Keys that post are not, by default."""
    return source in settings.trusted_sources or source in settings.census_sources


def use_of(key: str, purpose: str | None, source: str, settings: LabelSettings) -> LabelUse:
    """The only use of a label, by a hash of its row's group (or id) that never changes.

    Args:
        purpose: what the row was drawn for, None when nobody asked for it.

    An untrusted label may be learned from, under a cap, and nothing else. Standing and estimate draws are the sample
    that speaks for all traffic; what was drawn by doubt (window) speaks, weighted, for its window. What was drawn for
    retraining is dealt to training or gate. A source that labels every row feeds all three.
    """
    if not is_trusted(source, settings):
        return LabelUse.TRAIN
    if purpose in ("standing", "estimate", "window"):
        return LabelUse.STANDING
    if purpose is None and source in settings.census_sources and fraction(key, "standing-use") < CENSUS_STANDING:
        return LabelUse.STANDING
    return LabelUse.TRAIN if fraction(key, SALT) < settings.train_share else LabelUse.GATE
