"""Which labels a look has counted, by the window that their rows were predicted in: what a trend is made of.

A label is counted by one look alone, so that the counts of all windows of a release hold each label once, whenever it
came in. The estimate of a window does not: it leans on labels of up to a month.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import fmean

from backstay.kernel.clock import utc
from backstay.kernel.records import Json
from backstay.monitor.memory import Memory
from backstay.monitor.traffic import LabelledRow


def labels_by_window(rows: tuple[LabelledRow, ...], memory: Memory) -> list[Json]:
    """Newly counted representative labels by the window that their rows were predicted in, so that none is told twice.

    Each entry: the window's `start`, `labels`, how many were `right`, and `at`, the mean time of the predictions.
    Where rows share groups `by_group` is what is left when each group speaks once: `labels`, and the sum of the groups'
    shares that were `right`. Rows from before the windows that the memory holds are one entry, whose start is that of
    the oldest row.
    """
    starts = [pool.start for pool in memory.pools]
    found: dict[int, list[LabelledRow]] = {}
    for row in rows:
        if row.representative:
            found.setdefault(bisect_right(starts, utc(row.predicted_at)), []).append(row)
    return [
        {
            "start": (starts[place - 1] if place else min(utc(row.predicted_at) for row in of)).isoformat(),
            "labels": len(of),
            "right": sum(row.correct for row in of),
            "at": datetime.fromtimestamp(fmean(utc(row.predicted_at).timestamp() for row in of), UTC).isoformat(),
            **_by_group(of),
        }
        for place, of in sorted(found.items())
    ]


def _by_group(rows: Sequence[LabelledRow]) -> Json:
    """Nothing where each row stands alone."""
    shares: dict[str, list[bool]] = defaultdict(list)
    for row in rows:
        shares[row.label.group or f"\x00{row.label.prediction_id}"].append(row.correct)
    if len(shares) == len(rows):
        return {}
    return {"by_group": {"labels": len(shares), "right": sum(map(fmean, shares.values()))}}
