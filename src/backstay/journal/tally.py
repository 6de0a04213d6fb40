"""What is known of logged rows that are no longer there: how many left, of which days, and whether they were judged."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from backstay.kernel.records import Json

FILE = "tally.json"


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of one model in one environment.

    Args:
        duplicates: rows that compaction dropped because their id had been logged before.
        expired: rows that left for their age, by UTC day (ISO).
        judged: rows that a monitor had counted before they left, for their age or by name, by release.
        until: no row of a day before this one is logged any more (but by a server that still writes its file).
    """

    duplicates: int = 0
    expired: Mapping[str, int] = field(default_factory=dict)
    judged: Mapping[str, int] = field(default_factory=dict)
    until: date | None = None

    def with_left(self, judged: Mapping[str, int], expired: Mapping[str, int], until: date | None = None) -> Tally:
        """The counts when these rows have left, too."""
        latest = max((d for d in (until, self.until) if d is not None), default=None)
        return replace(self, judged=_sum(self.judged, judged), expired=_sum(self.expired, expired), until=latest)

    def to_json(self) -> Json:
        return {
            "duplicates": self.duplicates,
            "expired": dict(self.expired),
            "judged": dict(self.judged),
            "until": None if self.until is None else self.until.isoformat(),
        }

    @staticmethod
    def read(folder: Path) -> Tally:
        """The counts that are kept in this folder; zeros where nothing has left yet."""
        path = folder / FILE
        if not path.exists():
            return Tally()
        value = json.loads(path.read_text())
        until = value["until"]
        return Tally(
            int(value["duplicates"]),
            {str(k): int(n) for k, n in value["expired"].items()},
            {str(k): int(n) for k, n in value["judged"].items()},
            None if until is None else date.fromisoformat(until),
        )


def _sum(a: Mapping[str, int], b: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted((Counter(a) + Counter(b)).items()))
