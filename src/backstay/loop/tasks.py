"""What a project's task makes of its target: how the column is read, what a label is, and which classes there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from backstay.bundle.numbers import parsed
from backstay.bundle.sets import labels_in, labels_of, set_text, sets_as_text
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Label
from backstay.loop.workspace import Workspace


@dataclass(frozen=True, slots=True)
class TargetKind:
    """One kind of target.

    Args:
        column: the target's column as it is kept and compared; None leaves it as it is.
        label: a label's text as answers are written; None where it is no label of this kind.
        unfit: what is said of labels that are none, and `wanted` what to give instead.
        classes: the names that answers are made of, from the training rows' labels; None where there are none.
    """

    column: Callable[[pa.ChunkedArray, str], pa.ChunkedArray] | None
    label: Callable[[str], str | None]
    unfit: str
    wanted: str
    classes: Callable[[Sequence[str]], tuple[str, ...]] | None

    def read(self, table: pa.Table, target: str | None) -> pa.Table:
        """These rows with their target, where they have it, as it is kept."""
        if self.column is None or target is None or target not in table.column_names:
            return table
        place = table.column_names.index(target)
        return table.set_column(place, target, self.column(table.column(target), target))

    def refuse_unfit(self, labels: Sequence[Label]) -> None:
        """Raise BackstayError for a label that is none of this kind: nothing could be learned from it."""
        bad = [label for label in labels if self.label(label.value) is None]
        if bad:
            raise BackstayError(
                f"{len(bad)} {self.unfit}, first {bad[0].value!r} of {bad[0].prediction_id!r}; nothing was added",
                fix=self.wanted,
            )


def _number(value: str) -> str | None:
    return None if np.isnan(parsed([value])[0]) else value


def _set(value: str) -> str | None:
    try:
        return set_text(labels_in(value))
    except BackstayError:
        return None


_CLASSES = TargetKind(None, lambda value: value, "", "", lambda values: tuple(sorted(set(values))))
KINDS = {
    "regression": TargetKind(None, _number, "labels are no numbers", "give the true value as a number", None),
    "multilabel": TargetKind(
        sets_as_text,
        _set,
        "labels are no sets",
        'give all labels of a row: a list, or text: "a;b", ["a", "b"]',
        labels_of,
    ),
}


def task_of(ws: Workspace) -> TargetKind:
    """The kind of target of this project; classes where the task names none."""
    return KINDS.get(ws.settings.task, _CLASSES)


def label_text(value: Any) -> str | None:
    """A set as a person handed it in, a list or an array; None for a value of another type."""
    return set_text(labels_in(value)) if isinstance(value, (list, tuple)) else None
