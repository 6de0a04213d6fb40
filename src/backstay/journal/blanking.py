"""Erase feedback in place: every frame keeps its length, so the cursors of those who read the file stay good."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from backstay.journal.entries import Feedback, pack, unpack
from backstay.journal.segment import frame, frames
from backstay.kernel.disk import write_synchronised

BLANK = "-"


def blank_feedback(path: Path, wanted: Callable[[Feedback, int], bool]) -> tuple[int, int]:
    """Overwrite feedback, its prediction id included; answers how many frames that were, and how many still speak.

    Args:
        wanted: whether an entry, with the offset behind it, is to go.
    """
    data = bytearray(path.read_bytes())
    blanked = rest = 0
    for payload, end in frames(path):
        entry = unpack(payload)
        if isinstance(entry, Feedback) and wanted(entry, end):
            data[end - len(frame(payload)) : end] = frame(pack(_blank(entry)))
            blanked += 1
        elif not (isinstance(entry, Feedback) and is_blank(entry)):
            rest += 1
    if blanked:
        fresh = path.with_suffix(".tmp")
        write_synchronised(fresh, data)
        fresh.replace(path)
    return blanked, rest


def is_blank(entry: Feedback) -> bool:
    """Whether it has been overwritten."""
    return not (entry.prediction_id + entry.value).strip(BLANK)


def _blank(entry: Feedback) -> Feedback:
    """The same entry with dashes for what it said, as many bytes of them as there were."""
    return msgspec.structs.replace(entry, prediction_id=_dashes(entry.prediction_id), value=_dashes(entry.value))


def _dashes(text: str) -> str:
    return BLANK * len(text.encode())
