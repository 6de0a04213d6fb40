"""What a person sees of `backstay history --trend`: a table of releases, then how alarms were answered."""

from __future__ import annotations

from pathlib import Path

from backstay.cli.show import say
from backstay.kernel.momentum import Episode, Momentum, ReleaseTrend
from backstay.kernel.plural import counted

HEADS = ("no.", "live from", "windows", "labels", "accuracy (95%)", "points a week (95%)", "known from")


def trend(value: Momentum, page: Path | None = None) -> None:
    """The whole answer as text."""
    say(f"{value.model} in {value.environment}: quality over {counted(len(value.releases), 'release')}")
    rows = [HEADS, *(_row(release) for release in value.releases)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    for row in rows:
        say("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    say(f"thresholds are looked for {value.horizon_days:g} days ahead")
    for release in value.releases:
        say(f"release {release.sequence}: {release.sentence}")
    say(f"lead time, alarm to release: {value.lead_time.sentence}")
    say(f"failed changes: {value.failed_changes.sentence}")
    say(f"time to restore: {value.time_to_restore.sentence}")
    for episode in value.episodes:
        say(f"  {_episode(episode)}")
    if page is not None:
        say(f"page: {page}")


def _row(release: ReleaseTrend) -> tuple[str, ...]:
    accuracy = change = source = "not known yet"
    if release.interval is not None and release.accuracy is not None:
        accuracy = f"{release.accuracy:.1%} ({release.interval.low:.1%} to {release.interval.high:.1%})"
    if release.decay is not None:
        low, high = release.decay.interval.low * 100, release.decay.interval.high * 100
        change = f"{release.decay.per_week * 100:+.2f} ({low:+.2f} to {high:+.2f})"
        source = "labels" if release.decay.basis == "labels" else "no labels"
    since = f"{release.since:%Y-%m-%d}"
    return (str(release.sequence), since, str(release.windows), str(release.labels), accuracy, change, source)


def _episode(episode: Episode) -> str:
    what = f"{episode.began:%Y-%m-%d} under release {episode.release} ({', '.join(episode.detectors)})"
    if episode.state == "open":
        return f"{what}: open"
    if episode.quiet_at is not None:
        return f"{what}: quiet by itself on {episode.quiet_at:%Y-%m-%d}"
    after = f"fine again under release {episode.restored_by}" if episode.restored_by else "not fine again yet"
    return f"{what}: answered by release {episode.answered_by}, {after}"
