"""What a search leaves in the log, where the project asks for it: how near its results were, and no name."""

from __future__ import annotations

import logging

from backstay.journal.searches import MARKED, search_entry
from backstay.journal.writer import JournalFull, JournalWriter
from backstay.kernel.clock import Clock
from backstay.kernel.ids import event_id
from backstay.maths.result_lists import LEAST_RESULTS, result_list
from backstay.serve.search import Listed

logger = logging.getLogger(__name__)


class SearchLog:
    """Writes searches of one model to its log.

    Args:
        scope: model and environment. target: the column of labels that galleries keep, where there is one.
    """

    def __init__(self, scope: tuple[str, str], target: str | None, journal: JournalWriter, clock: Clock) -> None:
        self._scope, self._target, self._journal, self._clock = scope, target, journal, clock

    def __call__(self, listed: Listed) -> list[str]:
        """Log each list; answers ids by which a search can be judged, none for a gallery of fewer than twenty rows.

        A log that cannot be written is told and leaves the search unlogged: its answer is no prediction.
        """
        if listed.places.shape[1] < LEAST_RESULTS:
            return []
        described = result_list(listed.cosines)
        at = int(self._clock.now().timestamp() * 1_000_000)
        ids = [event_id("search") for _ in described]
        gallery, labels = listed.gallery, None
        if self._target is not None:
            labels = gallery.kept.get(self._target)
        entries = []
        for search_id, row, places in zip(ids, described, listed.places[:, :MARKED].tolist(), strict=True):
            entries.append(
                search_entry(
                    self._scope,
                    search_id,
                    at,
                    gallery=listed.name,
                    release=listed.release,
                    described=row.tolist(),
                    rows=[gallery.ids[place].as_py() for place in places],
                    labels=[None if labels is None else labels[place].as_py() for place in places],
                )
            )
        try:
            self._journal.append_feedback(entries)
        except JournalFull:
            logger.warning("a search could not be logged")
            return []
        return ids
