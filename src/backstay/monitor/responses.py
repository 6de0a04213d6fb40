"""How people answered alarms: lead time, time to restore, and how many changes failed. From records alone.

An episode opens with an alarm, or with a window that labels call worse, and ends with the next release or after some
quiet windows. Times are those at which people could know: when the window was judged, when the release was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np

from backstay.kernel.momentum import Durations, Episode, Share
from backstay.kernel.records import Condition, Interval, Release, ReleaseKind, WindowResult
from backstay.maths.intervals import clopper_pearson
from backstay.maths.trend import median_interval

# A release that labels call worse within so many windows counts as a change that failed.
WORSE_WITHIN = 4
DAY = 86_400.0


def episodes_of(results: Sequence[WindowResult], releases: Sequence[Release], quiet_windows: int) -> list[Episode]:
    """All episodes, oldest first.

    Args:
        results: windows of all releases; `releases`: the releases in any order.
        quiet_windows: so many windows without a signal end an episode (`watch.quiet_windows`).
    """
    ordered = sorted(releases, key=lambda r: r.sequence)
    found: list[Episode] = []
    for place, release in enumerate(ordered):
        following = ordered[place + 1] if place + 1 < len(ordered) else None
        for group, ended in _groups(windows_of(results, release), quiet_windows):
            found.append(_episode(release, group, ended, following))
    told: list[Episode] = []
    trouble_until: datetime | None = None
    lasting = False
    for episode in found:
        continues = lasting or (trouble_until is not None and trouble_until >= episode.began)
        restored, fine_at = _restored(replace(episode, continues=continues), ordered, results)
        told.append(restored)
        if episode.quiet_at is None:
            lasting, trouble_until = fine_at is None, fine_at
    return told


def windows_of(results: Sequence[WindowResult], release: Release) -> list[WindowResult]:
    """Windows of one release, oldest first."""
    return sorted((w for w in results if w.release_id == release.id), key=lambda w: (w.start, w.end))


def lead_times(episodes: Sequence[Episode]) -> Durations:
    """From an episode's first alarm to the release that answered it; quiet and open ones are told apart."""
    answered = tuple(e.lead_days for e in episodes if e.lead_days is not None)
    notes = []
    waiting = [e for e in episodes if e.state == "open"]
    quiet = sum(e.state == "quiet by itself" for e in episodes)
    if waiting:
        notes.append("open: " + ", ".join(_named(e) for e in waiting))
    if quiet:
        notes.append(f"{quiet} went quiet by {'itself' if quiet == 1 else 'themselves'}")
    why = "no alarm has been raised yet" if not episodes else "no release has answered an alarm yet"
    return durations(answered, why, "episodes", notes)


def restore_times(episodes: Sequence[Episode]) -> Durations:
    """From the alarm to the release after which the condition was fine again, once for each time of trouble."""
    begun = [e for e in episodes if not e.continues]
    days = tuple(e.restore_days for e in begun if e.restore_days is not None)
    waiting = [e for e in begun if e.restore_days is None and e.quiet_at is None]
    notes = ["not fine again yet: " + ", ".join(_named(e) for e in waiting)] if waiting else []
    why = "nothing has gone wrong yet" if not begun else "no release has been followed by a fine window after an alarm"
    return durations(days, why, "times of trouble", notes)


def durations(days: Sequence[float], why_none: str, of: str, notes: Sequence[str] = ()) -> Durations:
    """The median with its interval, or why there is none yet."""
    ordered = tuple(sorted(days))
    tail = "".join(f"; {note}" for note in notes)
    if not ordered:
        return Durations(0, (), None, None, f"not known yet, because {why_none}{tail}")
    bounds = median_interval(ordered)
    if bounds is None:
        each = ", ".join(_days(d) for d in ordered)
        said = f"not known yet as a rule, because an interval takes 6 {of} and there {_are(len(ordered))}: {each}"
        return Durations(len(ordered), ordered, None, None, said + tail)
    median = float(np.median(ordered))
    interval = Interval(bounds.low, bounds.high, 0.95, "order statistics")
    said = f"median {_days(median)} (95%: {_days(bounds.low)} to {_days(bounds.high)}; {len(ordered)} {of})"
    return Durations(len(ordered), ordered, median, interval, said + tail)


def failed_changes(results: Sequence[WindowResult], releases: Sequence[Release], within: int = WORSE_WITHIN) -> Share:
    """Changes that were rolled back, or that labels called worse within some windows, of all that can be judged.

    A change is a promotion, or an adoption of a successor. A rollback is none, and neither is the first release.
    """
    ordered = sorted(releases, key=lambda r: r.sequence)
    failed, fine, early = [], 0, []
    for place, release in enumerate(ordered):
        if release.kind is ReleaseKind.ROLLBACK or place == 0:
            continue
        windows = windows_of(results, release)
        gone_back = place + 1 < len(ordered) and ordered[place + 1].kind is ReleaseKind.ROLLBACK
        worse = any(w.condition is Condition.WORSE for w in windows[:within])
        name = f"release {release.sequence}"
        if gone_back or worse:
            failed.append(f"{name} ({'rolled back' if gone_back else f'worse within {within} windows'})")
        elif not windows or (len(windows) < within and place + 1 == len(ordered)):
            early.append(name)
        else:
            fine += 1
    n = len(failed) + fine
    later = f"; too early to say of {', '.join(early)}" if early else ""
    if n == 0:
        why = f"no change has been live for {within} windows" if early else "nothing has been promoted yet"
        return Share(0, 0, None, f"not known yet, because {why}{later}", (), tuple(early))
    low, high = clopper_pearson(len(failed), n)
    said = f"{len(failed)} of {n} changes failed; the rate is between {low:.0%} and {high:.0%}"
    which = f": {', '.join(failed)}" if failed else ""
    interval = Interval(low, high, 0.95, "exact")
    return Share(len(failed), n, interval, said + which + later, tuple(failed), tuple(early))


def _groups(windows: Sequence[WindowResult], quiet: int) -> list[tuple[list[WindowResult], datetime | None]]:
    """Stretches of windows from a signal to the last one, each with when it was quiet for long enough."""
    groups: list[tuple[list[WindowResult], datetime | None]] = []
    current: list[WindowResult] = []
    silent = 0
    for window in windows:
        if signals(window):
            current.append(window)
            silent = 0
        elif current:
            silent += 1
            if silent >= quiet:
                groups.append((current, window.created_at))
                current, silent = [], 0
    return [*groups, (current, None)] if current else groups


def signals(window: WindowResult) -> bool:
    """Whether somebody should have looked: an alarm stood, or labels said worse."""
    return bool(window.new_alarms) or window.condition is Condition.WORSE or any(s.alarm for s in window.signals)


def _episode(release: Release, group: list[WindowResult], ended: datetime | None, following: Release | None) -> Episode:
    first = group[0]
    names = [n for w in group for n in (*w.new_alarms, *(s.detector for s in w.signals if s.alarm))]
    if any(w.condition is Condition.WORSE for w in group):
        names.append("labels")
    answered = following if ended is None else None
    return Episode(
        release=release.sequence,
        began=first.created_at,
        window=first.id,
        detectors=tuple(dict.fromkeys(names)),
        answered_by=None if answered is None else answered.sequence,
        lead_days=None if answered is None else _between(first.created_at, answered.created_at),
        quiet_at=ended,
        state="answered" if answered is not None else "open" if ended is None else "quiet by itself",
    )


def _restored(
    episode: Episode, releases: Sequence[Release], results: Sequence[WindowResult]
) -> tuple[Episode, datetime | None]:
    """The episode with the first later release under which a window was fine, and when that was known."""
    if episode.quiet_at is not None:
        return episode, None
    for release in releases:
        if release.sequence > episode.release:
            fine = [w.created_at for w in windows_of(results, release) if w.condition is Condition.FINE]
            if fine:
                days = _between(episode.began, release.created_at)
                return replace(episode, restored_by=release.sequence, restore_days=days), min(fine)
    return episode, None


def _between(start: datetime, end: datetime) -> float:
    return max((end - start).total_seconds(), 0.0) / DAY


def _named(episode: Episode) -> str:
    return f"since {episode.began:%Y-%m-%d} under release {episode.release} ({', '.join(episode.detectors)})"


def _days(days: float) -> str:
    if days < 2.0:
        return f"{days * 24.0:.0f} h" if days * 24.0 >= 1.0 else f"{days * 1440.0:.0f} min"
    return f"{days:.1f} d" if days < 10.0 else f"{days:.0f} d"


def _are(n: int) -> str:
    return "is 1" if n == 1 else f"are {n}"
