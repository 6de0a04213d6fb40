"""A graph and the object that it was made of, asked the same rows. What differs is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.bundle.manifest import Manifest
from backstay.bundle.model import Model, Outputs, open_session
from backstay.bundle.tokens import tokens_in
from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import FloatArray
from backstay.train.convert.asking import REFUSALS, Asked
from backstay.train.convert.made_up import ROWS, asked
from backstay.train.convert.parity import LIMIT

Ask = Callable[[pa.Table], Asked]
_TOGETHER = 10


@dataclass(frozen=True, slots=True)
class Compared:
    """Rows that both have answered, and the largest difference between the two."""

    rows: int
    gap: float


def compare(
    ask: Ask,
    table: pa.Table,
    content: bytes,
    draft: Manifest,
    files: dict[str, bytes],
    *,
    what: str,
    borrowed: list[str],
) -> Compared:
    """The rows that were compared and the largest difference, of scores or as a share of a number.

    Args:
        table: reference rows, the columns that the model reads.
        borrowed: the parts that skl2onnx has converted.

    Raises:
        BackstayError: the model does not answer its reference rows, or the graph answers otherwise: a score or a number
            by more than 1e-5, or another class where the two are not level.
    """
    graph = Model(Path(), draft, open_session(content), tokens_in(files))
    texts = [spec.columns[0] for spec in draft.inputs if spec.adapter == "tokens"]
    rows, gap, spread = 0, 0.0, 0.0
    whole_refused: set[str] = set()
    for place, (kind, given) in enumerate(asked(table, texts)):
        base = kind.partition(" in ")[0]
        if base != kind and base not in whole_refused:
            continue  # asked for all columns together already
        try:
            wanted = ask(given)
        except REFUSALS as error:
            if place == 0:
                raise BackstayError(
                    f"the model fails on the reference rows: {_first_line(error)}",
                    fix="give rows as it was fitted on, with the kinds of their columns under data.columns",
                ) from error
            # scikit-learn itself refuses such rows: there is nothing to be equal to. Perhaps not in every column, or
            # not all of them.
            whole_refused.add(base)
            kept = None if "missing" in kind or "unseen" in kind else _taken(ask, given)
            if kept is None:
                continue
            given, wanted = kept, ask(kept)
        if place == 0 and wanted.numbers is not None:
            spread = float(np.std(wanted.numbers))
        gaps = _gaps(wanted, graph.predict(given), draft, spread)
        if wanted.level is not None:
            gaps = np.where(wanted.level, 0.0, gaps)
        if not np.all(gaps <= LIMIT):
            raise _differs(given, kind, gaps, wanted, graph.predict(given), what=what, borrowed=borrowed)
        known = given.num_rows if wanted.level is None else int(np.sum(~wanted.level))
        rows, gap = rows + known, max(gap, float(gaps.max(initial=0.0)))
    if rows < ROWS:
        raise BackstayError(
            f"{what} answers only {rows} rows around the reference rows in one way, too few to compare a graph on",
            fix=f"give more reference rows, so that {ROWS} or more can be compared, or bring an ONNX file",
        )
    return Compared(rows, gap)


def _taken(ask: Ask, rows: pa.Table) -> pa.Table | None:
    """Those of the rows that the model answers, some at a time; None where it answers none."""
    parts = []
    for start in range(0, rows.num_rows, _TOGETHER):
        part = rows.slice(start, _TOGETHER)
        try:
            ask(part)
        except REFUSALS:
            continue
        parts.append(part)
    return pa.concat_tables(parts).combine_chunks() if parts else None


def _gaps(wanted: Asked, found: Outputs, draft: Manifest, spread: float) -> FloatArray:
    """How far apart the two are in each row [n]: infinite for another class or an answer of one side alone."""
    if wanted.numbers is not None:
        numbers = np.asarray(found.numbers, dtype=np.float64)
        least = np.maximum(np.abs(wanted.numbers), max(spread, np.finfo(np.float64).tiny))
        return _apart(wanted.numbers, numbers) / np.where(np.isfinite(least), least, 1.0)
    gaps = np.zeros(len(found.labels))
    lost: npt.NDArray[np.bool_] = np.zeros(len(gaps), dtype=np.bool_)
    if wanted.scores is not None:
        scores = np.asarray(found.scores, dtype=np.float64)
        if scores.shape != wanted.scores.shape:
            raise BackstayError(
                f"the graph answers {scores.shape}, the model {wanted.scores.shape}", fix="report it; nothing was kept"
            )
        gaps = _apart(wanted.scores, scores).max(axis=1)
        lost = np.asarray(np.isnan(wanted.scores).any(axis=1))
    if wanted.members is not None and wanted.scores is not None:
        other = wanted.members != found.members
        level = np.abs(wanted.scores - 0.5) <= LIMIT
        return np.where((other & ~level).any(axis=1) & ~lost, np.inf, gaps)
    return np.where(_other_class(wanted, found, draft) & ~lost, np.inf, gaps)


def _apart(wanted: FloatArray, found: FloatArray) -> FloatArray:
    with np.errstate(invalid="ignore"):
        gaps = np.where((wanted == found) | (np.isnan(wanted) & np.isnan(found)), 0.0, np.abs(wanted - found))
    return np.where(np.isnan(gaps), np.inf, gaps)


def _other_class(wanted: Asked, found: Outputs, draft: Manifest) -> npt.NDArray[np.bool_]:
    """Where another class is answered [n], and the two are not level."""
    if wanted.labels is None:
        return np.zeros(len(found.labels), dtype=np.bool_)
    other: npt.NDArray[np.bool_] = np.array(
        [a != b for a, b in zip(wanted.labels, found.labels, strict=True)], dtype=np.bool_
    )
    if wanted.scores is None:
        return other
    place = {name: i for i, name in enumerate(draft.classes)}
    for row in np.flatnonzero(other):
        ours, theirs = place.get(str(found.labels[row])), place.get(str(wanted.labels[row]))
        if ours is not None and theirs is not None:
            other[row] = not abs(wanted.scores[row, ours] - wanted.scores[row, theirs]) <= LIMIT
    return other


def _differs(
    rows: pa.Table, kind: str, gaps: FloatArray, wanted: Asked, found: Outputs, *, what: str, borrowed: list[str]
) -> BackstayError:
    worst, many = int(np.argmax(gaps)), int(np.sum(~(gaps <= LIMIT)))
    row = {name: rows.column(name)[worst].as_py() for name in rows.column_names[:12]}
    if wanted.numbers is not None:
        said = f"{np.asarray(found.numbers)[worst]:.9g} for {wanted.numbers[worst]:.9g}"
    elif wanted.scores is None or found.scores is None:
        said = f"{found.labels[worst]!r} for {wanted.labels[worst]!r}" if wanted.labels is not None else ""
    else:
        said = f"{_short(found.scores[worst])} for {_short(wanted.scores[worst])}"
        if wanted.labels is not None:
            said += f" ({found.labels[worst]!r} for {wanted.labels[worst]!r})"
    by = "another class" if not np.isfinite(gaps[worst]) else f"up to {gaps[worst]:.2g}, allowed is {LIMIT:.0e}"
    parts = f"; {', '.join(sorted(set(borrowed)))} went through skl2onnx, which may be wrong there" if borrowed else ""
    return BackstayError(
        f"the ONNX graph differs from {what} in {many} of {len(gaps)} rows ({kind}), by {by}; "
        f"worst in row {worst}: {row} gives {said}{parts}",
        fix="nothing was kept: replace the part that differs by a usual one, or bring an ONNX file that you checked",
    )


def _short(values: npt.NDArray[np.floating]) -> str:
    return "[" + ", ".join(f"{v:.6g}" for v in values[:8]) + "]"


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
