"""Two answers to the same rows must be the same numbers before anything is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from backstay.bundle.inputs import arrays_for
from backstay.bundle.manifest import Manifest
from backstay.bundle.model import Model, Outputs, open_session
from backstay.bundle.tokens import Tokens
from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import FloatArray

LIMIT = 1e-5
UNSEEN = "a value that nobody has seen"
_PLANTED = 0.25


def harder(
    table: pa.Table, *, missing: bool = True, unseen: bool = True, only: str | None = None, seed: int = 0
) -> pa.Table:
    """The same rows with values taken out of the columns at random, and unseen categories put in.

    Args:
        missing: take values out. unseen: put a text that is no known category into columns of text.
        only: the one column that is changed; all when None.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    columns = {}
    for name in table.column_names:
        column = table.column(name)
        kind = column.type
        chance = rng.random(table.num_rows)
        texts = pa.types.is_string(kind) or pa.types.is_large_string(kind)
        if not (pa.types.is_primitive(kind) or texts) or only not in (None, name):
            columns[name] = column
            continue
        out = missing & (chance < _PLANTED)
        strange = (unseen and texts) & (chance > 1 - _PLANTED)
        values = [
            None if gone else UNSEEN if odd else value
            for value, gone, odd in zip(column.to_pylist(), out, strange, strict=True)
        ]
        columns[name] = pa.array(values, kind)
    return pa.table(columns)


def answers(content: bytes, draft: Manifest, table: pa.Table, *, tokenizer: str = "") -> Outputs:
    """What the graph says of these rows, from raw columns on. `tokenizer`: of a text model, as JSON."""
    tokens = Tokens(tokenizer.encode()) if tokenizer else None
    return Model(Path(), draft, open_session(content), tokens).run(arrays_for(draft, table))


def require_parity(wanted: FloatArray, found: FloatArray | None, *, rows: pa.Table, what: str) -> float:
    """The largest difference between two matrices of scores.

    Raises:
        BackstayError: it is above 1e-5, or one side is not a number where the other is: with the worst row.
    """
    if found is None or found.shape != wanted.shape:
        shape = None if found is None else found.shape
        raise BackstayError(f"the graph answers {shape}, {what} {wanted.shape}", fix="report it; nothing was kept")
    if len(wanted) == 0:
        return 0.0
    gaps = np.where(np.isnan(wanted) & np.isnan(found), 0.0, np.abs(wanted - found)).max(axis=1)
    worst = int(np.argmax(np.where(np.isnan(gaps), np.inf, gaps)))
    gap = float(gaps[worst])
    if not gap <= LIMIT:
        row = {name: rows.column(name)[worst].as_py() for name in rows.column_names[:12]}
        raise BackstayError(
            f"the ONNX graph differs from {what} by {gap:.2g}, allowed is {LIMIT:.0e}; worst in row {worst}: {row} "
            f"gives {_short(found[worst])} for {_short(wanted[worst])}",
            fix="nothing was kept: report it with the model's class, or bring an ONNX file that you have checked",
        )
    return gap


def _short(values: FloatArray) -> str:
    return "[" + ", ".join(f"{v:.6g}" for v in values[:8]) + "]"
