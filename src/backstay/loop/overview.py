"""Several windows in one sentence: how many of them moved and when, and how things stand now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from backstay.kernel.records import Condition, WindowResult

# The gravest last.
GRAVITY = (Condition.FINE, Condition.UNKNOWN, Condition.MOVED, Condition.WORSE)
MOST_SPANS = 3
_SAID = {
    Condition.WORSE: ("is worse", "are worse"),
    Condition.MOVED: ("moved", "moved"),
    Condition.UNKNOWN: ("asks for labels", "ask for labels"),
}


def gravest(windows: Sequence[WindowResult]) -> WindowResult:
    """The window whose condition is the gravest; of several the newest."""
    return max(windows, key=lambda window: (GRAVITY.index(window.condition), window.end))


def counted(windows: Sequence[WindowResult], timed: bool) -> str:
    """How many windows moved, are worse or ask for labels, and which; that none did, where that is so.

    Args:
        timed: windows are named by their times, otherwise by the places of their rows.
    """
    parts: list[str] = []
    for condition in reversed(GRAVITY[1:]):
        places = [place for place, window in enumerate(windows) if window.condition is condition]
        if places:
            total = "" if parts else f" of {len(windows)} windows"
            one, many = _SAID[condition]
            parts.append(f"{len(places)}{total} {one if len(places) == 1 else many} ({_which(windows, places, timed)})")
    return f"{', '.join(parts)}." if parts else f"None of {len(windows)} windows moved."


def headline(windows: Sequence[WindowResult], timed: bool) -> str:
    """The newest window's headline, or, of several windows, what is to be known of all and how things stand now."""
    newest, worst = windows[-1], gravest(windows)
    if len(windows) == 1:
        return newest.headline
    if worst is newest:
        return f"{counted(windows, timed)} {newest.headline}"
    now = _which(windows, [len(windows) - 1], timed)
    then = _which(windows, [windows.index(worst)], timed)
    return f"{counted(windows, timed)} In {then}: {worst.headline} Now, in {now}: {newest.headline}"


def _which(windows: Sequence[WindowResult], places: Sequence[int], timed: bool) -> str:
    """These windows by time or by rows; neighbours are one span."""
    runs: list[list[int]] = []
    for place in places:
        if runs and runs[-1][-1] == place - 1:
            runs[-1].append(place)
        else:
            runs.append([place])
    spans = [_span(windows, run[0], run[-1], timed) for run in runs]
    more = len(spans) - MOST_SPANS
    return ", ".join(spans[:MOST_SPANS]) + (f" and {more} more" if more > 0 else "")


def _span(windows: Sequence[WindowResult], first: int, last: int, timed: bool) -> str:
    if not timed:
        before = sum(window.rows for window in windows[:first])
        return f"rows {before + 1:,} to {sum(window.rows for window in windows[: last + 1]):,}"
    start, end = windows[first].start, windows[last].end
    precise = end - start < timedelta(days=1)
    return f"{_moment(start, precise)} to {_moment(end, precise)}"


def _moment(at: datetime, precise: bool) -> str:
    return at.strftime("%Y-%m-%d %H:%M" if precise else "%Y-%m-%d")
