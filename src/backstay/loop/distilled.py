"""Whether a distilled model lives in its teacher's space: a gallery stays valid, or is to be made anew."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np

from backstay.kernel.records import ModelRecord
from backstay.maths.paired import paired_difference

USUAL_MARGIN = 0.02
_MOST = 20_000


def space_note(record: ModelRecord) -> tuple[str, ...]:
    """What the training run found, for the report; nothing of a model that no other one taught."""
    found = record.figures
    if "same_space" not in found:
        return ()
    teacher, low, rows = str(found["teacher"]), float(found["student_behind_low"]), int(found["tune_rows"])
    margin = float(record.recipe.get("objective_options", {}).get("margin", USUAL_MARGIN))
    ours, theirs = float(found["student_knn"]), float(found["teacher_knn"])
    asked = (
        f"of {rows:,} tuning rows {ours:.3f} find their class among the teacher's embeddings by its own, {theirs:.3f} "
        f"by the teacher's; at worst {max(0.0, -low):.3f} behind, allowed are {margin:g}"
    )
    if found["same_space"]:
        return (f"lives in the space of {teacher}: a gallery of its embeddings stays valid ({asked})",)
    needed = fewest_rows(margin)
    few = ""
    if needed is None:
        few = "; so narrow a margin cannot be shown"
    elif rows < needed:
        few = f"; even without a single error fewer than {needed:,} tuning rows cannot show it"
    return (
        f"not shown to live in the space of {teacher}: its gallery does not stay valid, index again after promotion "
        f"({asked}{few})",
    )


def fewest_rows(margin: float, most: int = _MOST) -> int | None:
    """Rows from which on a student that never differs from its teacher is shown to be behind by less than the margin.

    None where that takes more than `most`.

    >>> fewest_rows(0.1), fewest_rows(0.0)
    (29, None)
    """

    def shown(rows: int) -> bool:
        level = np.ones(rows)
        return paired_difference(level, level).one_sided_low > -margin

    found = 2 + bisect_left(range(2, most + 1), True, key=shown)
    return found if found <= most else None
