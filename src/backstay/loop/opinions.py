"""What people say of answers and do with them, and requests that failed: feedback as the detectors take it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from backstay.journal.entries import FAILURE, Feedback
from backstay.journal.release_log import ReleaseLog
from backstay.journal.rows import Rows
from backstay.kernel.records import Label
from backstay.loop.label import live_rows
from backstay.loop.workspace import Workspace
from backstay.maths.arrays import AnyArray
from backstay.monitor.traffic import Opinion, Rival, WindowData
from backstay.monitor.windows import stamp

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Detectors that read it; without them the log of feedback is not read through.
READERS = frozenset({"engagement", "label_quality", "service"})


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """Opinions on rows of one release in order of arrival, and the times of failed requests (None: not read).

    `others` are rows of other releases, None unless they are to be compared with, and `of_others` opinions on them;
    `planned` is the share of rows that was meant for the other release, None where nobody said.
    """

    opinions: tuple[Opinion, ...] = ()
    failures: AnyArray | None = None
    others: Rows | None = None
    of_others: tuple[Opinion, ...] = ()
    planned: float | None = None

    def into(self, window: WindowData, rows: Rows) -> WindowData:
        """The window with what had come by its end, and with the latencies of its rows."""
        failures = self.failures
        if failures is not None:
            failures = failures[(failures >= stamp(window.start)) & (failures < stamp(window.end))]
        opinions = tuple(opinion for opinion in self.opinions if opinion.at < window.end)
        rival = self._rival(window)
        return replace(window, opinions=opinions, failures=failures, latencies=rows.latencies, rival=rival)

    def _rival(self, window: WindowData) -> Rival | None:
        """The other release that answered most rows of the window."""
        inside = Rows.none() if self.others is None else self.others.between(window.start, window.end)
        if not len(inside):
            return None
        release = Counter(map(str, inside.releases)).most_common(1)[0][0]
        rows = inside.of_release(release)
        ids = {str(row_id) for row_id in rows.ids}
        said = tuple(o for o in self.of_others if o.prediction_id in ids and o.at < window.end)
        return Rival(release, rows.ids, rows.times, rows.groups, said, self.planned)


def heard(ws: Workspace, log: ReleaseLog, release: str, start: datetime, end: datetime) -> Heard:
    """Feedback on logged rows of a release and failed requests, where a detector that was asked for reads them.

    Args:
        start, end: of the windows that are to be judged: rows of other releases are of that time.
    """
    if READERS.isdisjoint(ws.settings.watch.detectors):
        return Heard()
    feedback, _ = ws.journal.feedback()
    mine = [item for item in feedback if (item.model, item.environment) == (ws.name, ws.environment)]
    failed: AnyArray | None = None
    if ws.model_record(ws.champion().model_id).bundle is not None:  # of a model elsewhere nobody tells of failures
        failed = np.array([item.at for item in mine if item.kind == FAILURE], dtype=np.int64).astype("datetime64[us]")
    others = None
    if "engagement" in ws.settings.watch.detectors:
        others = live_rows(ws, since=start, until=end)
        others = others.take(np.asarray(others.releases != release, dtype=np.bool_))
    labels = [label for label in ws.catalog.labels(**ws.scope) if label.trusted]
    named = {item.prediction_id for item in mine} | {label.prediction_id for label in labels}
    rows = log.of_ids(named, inputs=(), embeddings=False)
    known = _known(mine, rows) + _labels(labels, rows)
    said = () if others is None else tuple(_known(mine, others))
    share = ws.settings.watch.planned_share
    planned = None if share is None else 1.0 - share
    return Heard(tuple(sorted(known, key=_arrival)), failed, others, said, planned)


def _known(feedback: list[Feedback], rows: Rows) -> list[Opinion]:
    """What was said of these rows."""
    places = {str(row_id): place for place, row_id in enumerate(rows.ids)}
    times = rows.times.astype("datetime64[us]").tolist()
    said = [_opinion(item, rows, places, times) for item in feedback if item.kind not in ("label", FAILURE)]
    return [opinion for opinion in said if opinion is not None]


def _labels(labels: Sequence[Label], rows: Rows) -> list[Opinion]:
    """Trusted labels of these rows as what their sources say: of rows with two it is known whether they agree."""
    places = {str(row_id): place for place, row_id in enumerate(rows.ids)}
    times = rows.times.astype("datetime64[us]").tolist()
    found: list[Opinion] = []
    for label in labels:
        place = places.get(label.prediction_id)
        if place is not None:
            at = times[place].replace(tzinfo=UTC)
            answer = str(rows.predictions[place])
            found.append(Opinion(label.prediction_id, "label", label.value, label.source, label.at, answer, at))
    return found


def _arrival(opinion: Opinion) -> tuple[datetime, str, str, str, str]:
    return opinion.at, opinion.prediction_id, opinion.kind, opinion.source, opinion.value


def _opinion(item: Feedback, rows: Rows, places: Mapping[str, int], times: list[datetime]) -> Opinion | None:
    """None for a row that was never logged or is of another release."""
    place = places.get(item.prediction_id)
    if place is None:
        return None
    return Opinion(
        item.prediction_id,
        item.kind,
        item.value,
        item.source,
        EPOCH + timedelta(microseconds=item.at),
        str(rows.predictions[place]),
        times[place].replace(tzinfo=UTC),
        item.seconds or None,
    )
