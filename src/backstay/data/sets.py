"""Whether a target can be learned as sets of labels."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from backstay.bundle.sets import labels_in, sets_as_text
from backstay.kernel.errors import BackstayError

FEWEST_ROWS = 2


def check_sets(column: pa.ChunkedArray, name: str) -> None:
    """Raise for a target that is no multi-label one: no sets, one set in all rows, labels of single rows."""
    counted = pc.value_counts(sets_as_text(column.drop_null(), name).combine_chunks()).to_pylist()
    if len(counted) < 2:
        only = f" ({counted[0]['values']})" if counted else ""
        raise BackstayError(
            f"the target {name!r} has {'one set' + only + ' in all rows' if counted else 'no values'}",
            fix="give rows of different sets, or name another target",
        )
    rows: Counter[str] = Counter()
    for entry in counted:
        rows.update(dict.fromkeys(labels_in(entry["values"]), entry["counts"]))
    lone = sum(1 for n in rows.values() if n < FEWEST_ROWS)
    if lone > len(rows) / 2:
        raise BackstayError(
            f"the target {name!r} has {len(rows)} labels, {lone} of them in a single row",
            fix='name a target with fewer labels, or look at what stands between them: a;b or ["a", "b"]',
        )


def holds_lists(column: pa.ChunkedArray) -> bool:
    """Whether a column's type alone says that it holds sets of labels: lists of texts.

    >>> holds_lists(pa.chunked_array([[["a"]]])), holds_lists(pa.chunked_array([["a;b"]]))
    (True, False)
    """
    kind = column.type
    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return bool(listed and (pa.types.is_string(kind.value_type) or pa.types.is_large_string(kind.value_type)))
