"""The file of judged pairs that the project names: read, checked by the trust rules, found among the training rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Schema
from backstay.labels.pairs import Pair, training_pairs
from backstay.loop.examples import bring_declared, texts
from backstay.loop.workspace import Workspace

COLUMNS = ("id_a", "id_b", "verdict", "source")
VERDICTS = {"same": True, "different": False}
Found = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.bool_]]


def judged_pairs(ws: Workspace, table: pa.Table, schema: Schema, train: npt.NDArray[np.int64]) -> Found | None:
    """Rows of the table: firsts, seconds, and whether they are the same. None where the project names no pairs.

    Pairs of which a row is not in the training part are left out: what tunes or judges stays unseen.

    Raises:
        BackstayError: no id column, a file that lacks a column or says something else than same or different, a row
            paired with itself, or no pair that may be learned from.
    """
    source = ws.settings.data.pairs
    if source is None:
        return None
    if schema.id is None:
        raise BackstayError("pairs name rows by their id, and no column is one", fix="set data.id")
    places = {str(value): int(row) for value, row in zip(texts(table, schema.id)[train], train, strict=True)}
    allowed = training_pairs(_read(bring_declared(ws, source)), ws.settings.labels)
    kept = [p for p in allowed if p.first in places and p.second in places]
    if not kept:
        raise BackstayError(
            f"none of the pairs in {source} may be learned from: {len(allowed)} are left by the trust rules, and both "
            "rows of none of them are in the training part",
            fix="name their source under labels.trusted_sources if you vouch for it, or take data.pairs out",
        )
    sides = [np.array([places[getattr(p, side)] for p in kept], dtype=np.int64) for side in ("first", "second")]
    return sides[0], sides[1], np.array([p.same for p in kept], dtype=bool)


def _read(given: pa.Table) -> Iterator[Pair]:
    missing = [name for name in COLUMNS if name not in given.column_names]
    if missing:
        raise BackstayError(
            f"the pairs have no column {missing[0]!r}; they have {', '.join(given.column_names)}",
            fix=f"give the columns {', '.join(COLUMNS)}",
        )
    for a, b, verdict, source in zip(*(texts(given, name) for name in COLUMNS), strict=True):
        if verdict not in VERDICTS:
            raise BackstayError(
                f"the verdict on {a!r} and {b!r} is {verdict!r}", fix="say same or different, or leave the pair out"
            )
        if a == b:
            raise BackstayError(f"the row {a!r} is paired with itself", fix="leave that pair out")
        first, second = sorted((str(a), str(b)))
        yield Pair(first, second, VERDICTS[verdict], str(source))
