"""project.labels: what turned out to be right."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backstay.loop.label import Labelled, Queue
    from backstay.loop.workspace import Workspace


@dataclass(frozen=True)
class LabelVerbs:
    """What people say about single predictions."""

    ws: Workspace

    def queue(self, *, export: Path | None = None) -> Queue:
        """The rows that wait for a label."""
        from backstay.loop.label import queue

        return queue(self.ws, export=export)

    def request(self, n: int, *, purpose: str = "estimate") -> Queue:
        """Draw rows of the live release for review; the probability is logged with each.

        Uniformly, or with purpose "window" from the newest window, more where the model's answers are doubtful.
        """
        from backstay.loop.label import request

        return request(self.ws, n, purpose=purpose)

    def close_past(self) -> int:
        """Ask no more for labels of rows that a release answered which is not live; answers how many that closes."""
        from backstay.loop.outstanding import close_past

        return close_past(self.ws)

    def answer(self, rows: Any, *, source: str = "review") -> Labelled:
        """Hand in labels: a file or frame with columns id and label (and at). `source` names who says so.

        With a column `kind` rows may also be what people did with answers: click, conversion, dwell, rating, override
        or seeded (and `seconds`, how long a decision took); these are filed as feedback, as the server files it.
        """
        from backstay.loop.hand_in import answer

        return answer(self.ws, rows, source=source)
