"""Predictions that another system made: a file or frame becomes rows, all of them or none."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from backstay.journal.rows import Rows
from backstay.kernel.errors import BackstayError, nearest
from backstay.kernel.plural import counted
from backstay.maths.arrays import surely_finite
from backstay.settings import PredictionSettings


def rows_from(
    table: pa.Table,
    names: PredictionSettings,
    time_zone: str | None,
    *,
    classes: tuple[str, ...],
    none_label: str = "",
    release: str = "",
    now: datetime | None = None,
) -> Rows:
    """Rows of a table of predictions.

    Args:
        names: which column holds what. Columns that are not named there are kept as inputs.
        classes: the model's classes, in the order of its scores.
        none_label: what it answers for rows of none of them; "" where it always names a class.
        now: the time of rows where no time column is named.

    Raises:
        BackstayError: a missing column, a repeated id, an id or prediction that is null, a class the model does not
            have, a probability outside [0, 1], a time without a zone where none is declared.
    """
    ids = _texts(table, names.id, "predictions.id")
    _unique(ids, names.id)
    predictions = _texts(table, names.prediction, "predictions.prediction")
    strangers = sorted(set(predictions) - {*classes, none_label}) if classes else []
    if strangers:
        raise BackstayError(
            f"the column {names.prediction!r} holds {strangers[0]!r}, which is no class of the model",
            fix=nearest(strangers[0], classes),
        )
    used = {names.id, names.prediction, names.time, names.score, names.embedding, names.group, *names.scores.values()}
    rest = [n for n in table.column_names if n not in used]
    return Rows(
        ids=ids,
        times=_times(table, names.time, time_zone, now),
        releases=np.full(table.num_rows, release, dtype=object),
        predictions=predictions,
        scores=scores_of(table, names, classes),
        embeddings=embeddings_of(table, names.embedding),
        groups=_texts(table, names.group, "predictions.group") if names.group else None,
        inputs=table.select(rest) if rest else None,
    )


def _column(table: pa.Table, name: str, setting: str) -> pa.ChunkedArray:
    if name not in table.column_names:
        raise BackstayError(f"there is no column {name!r} (named by {setting})", fix=nearest(name, table.column_names))
    return table.column(name)


def _texts(table: pa.Table, name: str, setting: str) -> npt.NDArray[np.object_]:
    column = _column(table, name, setting)
    if column.null_count:
        place = pc.index(pc.is_null(column), True).as_py()
        raise BackstayError(f"the column {name!r} is empty in row {place}", fix="fill it in or leave the row out")
    values = column.to_pylist()
    found = np.empty(len(values), dtype=object)
    found[:] = [_text(v) for v in values]
    return found


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _unique(ids: npt.NDArray[np.object_], name: str) -> None:
    values, counts = np.unique(ids.astype(str), return_counts=True)
    if len(values) < len(ids):
        twice = values[counts > 1].tolist()
        raise BackstayError(
            f"{len(twice)} ids of column {name!r} come more than once (the first is {twice[0]!r}); nothing was added",
            fix="give each prediction an id of its own",
        )


def _times(
    table: pa.Table, name: str | None, time_zone: str | None, now: datetime | None
) -> npt.NDArray[np.datetime64]:
    if name is None:
        at = (now or datetime.now(UTC)).astimezone(UTC).replace(tzinfo=None)
        return np.full(table.num_rows, np.datetime64(at, "us"), dtype="datetime64[us]")
    column = _column(table, name, "predictions.time")
    refuse_no_times(column, name)
    return utc_times(column, name, time_zone)


def refuse_no_times(column: pa.ChunkedArray, name: str) -> None:
    """Raises BackstayError where some row has no time."""
    if column.null_count:
        verb = "is" if column.null_count == 1 else "are"
        raise BackstayError(
            f"{counted(column.null_count, 'time')} in {name!r} {verb} missing", fix="leave the rows without out"
        )


def utc_times(column: pa.ChunkedArray, name: str, time_zone: str | None) -> npt.NDArray[np.datetime64]:
    """A column of times as datetime64[us] in UTC; times without a zone need a declared one, finer ones are cut off."""
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return np.array([_parse(v, name, time_zone) for v in column.to_pylist()], dtype="datetime64[us]")
    if pa.types.is_date(kind):
        column, kind = _cast(column, pa.timestamp("us"), name), pa.timestamp("us")
    if not pa.types.is_timestamp(kind):
        raise BackstayError(f"the column {name!r} holds {kind}, not times", fix="name a column of times")
    if kind.tz is None:
        column = pc.assume_timezone(
            _cast(column, pa.timestamp("us"), name), _zone(time_zone, name), ambiguous="earliest", nonexistent="latest"
        )
    moments = _cast(column, pa.timestamp("us", tz="UTC"), name)
    found: npt.NDArray[np.datetime64] = moments.to_numpy().astype("datetime64[us]")
    return found


def _cast(column: pa.ChunkedArray, kind: pa.DataType, name: str) -> pa.ChunkedArray:
    """Nanoseconds are cut to microseconds on purpose: the one representation has no finer time."""
    finer = pa.types.is_timestamp(column.type) and column.type.unit == "ns"
    try:
        return pc.cast(column, kind, safe=not finer)
    except pa.ArrowInvalid as error:
        raise BackstayError(
            f"the column {name!r} holds times that microseconds since 1970 cannot express", fix="correct those times"
        ) from error


def _parse(text: str, name: str, time_zone: str | None) -> np.datetime64:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise BackstayError(
            f"{text!r} in {name!r} is not an ISO 8601 time", fix="write it like 2026-03-01T12:00:00+00:00"
        ) from error
    if at.tzinfo is None:
        at = at.replace(tzinfo=ZoneInfo(_zone(time_zone, name)))
    return np.datetime64(at.astimezone(UTC).replace(tzinfo=None), "us")


def _zone(time_zone: str | None, name: str) -> str:
    if time_zone is None:
        raise BackstayError(
            f"the times in {name!r} have no zone", fix='declare data.time_zone (for example "UTC" or "Europe/Rome")'
        )
    try:
        ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise BackstayError(f"{time_zone!r} is not a time zone", fix="use a name like Europe/Rome") from error
    return time_zone


def scores_of(
    table: pa.Table, names: PredictionSettings, classes: tuple[str, ...], *, gaps: bool = False
) -> npt.NDArray[np.float32] | None:
    """Scores [n, classes] from the columns that are named; None where none is.

    Args:
        gaps: rows may have none, and get NaN; otherwise each must.

    Raises:
        BackstayError: a score outside [0, 1], or none where each row must have one.
    """
    if names.scores:
        missing = sorted(set(classes) - set(names.scores))
        if missing:
            raise BackstayError(
                f"predictions.scores names no column for class {missing[0]!r}", fix="name one for each class"
            )
        wide = [_probabilities(table, names.scores[c], gaps) for c in classes]
        return np.column_stack(wide).astype(np.float32)
    if names.score is None:
        return None
    positive = names.positive if names.positive is not None else (classes[-1] if len(classes) == 2 else None)
    if positive is None or len(classes) != 2 or positive not in classes:
        raise BackstayError(
            f"one score column needs two classes, one of them the positive one; the classes are {', '.join(classes)}",
            fix="name predictions.positive, or a column for each class in predictions.scores",
        )
    chance = _probabilities(table, names.score, gaps)
    both = [chance if c == positive else 1.0 - chance for c in classes]
    return np.column_stack(both).astype(np.float32)


def _probabilities(table: pa.Table, name: str, gaps: bool) -> npt.NDArray[np.float64]:
    column = _column(table, name, "predictions.score")
    try:
        values = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BackstayError(
            f"the column {name!r} does not hold numbers", fix="name the column of probabilities"
        ) from error
    missing = np.flatnonzero(np.isnan(values))
    if len(missing) and not gaps:
        raise BackstayError(
            f"the column {name!r} has no score in row {missing[0] + 1}", fix="fill it in or leave the row out"
        )
    outside = np.flatnonzero((values < 0.0) | (values > 1.0))
    if len(outside):
        raise BackstayError(
            f"the column {name!r} holds {values[outside[0]]:g} in row {outside[0] + 1}, outside [0, 1]",
            fix="give probabilities, not margins or percentages",
        )
    found: npt.NDArray[np.float64] = values
    return found


def latencies_of(table: pa.Table, name: str | None) -> npt.NDArray[np.float64] | None:
    """Milliseconds that each answer took [n], NaN where the column is empty; None where no column is named.

    Raises:
        BackstayError: no such column, or one that holds something else than finite numbers of 0 or more.
    """
    if name is None:
        return None
    column = _column(table, name, "predictions.latency")
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)):
        raise BackstayError(f"the column {name!r} holds {kind}, not milliseconds", fix="give a column of numbers")
    known = ~np.asarray(pc.is_null(column).to_numpy(), dtype=np.bool_)
    values = np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
    wrong = np.flatnonzero(known & ~(np.isfinite(values) & (values >= 0.0)))
    if len(wrong):
        raise BackstayError(
            f"the column {name!r} holds {values[wrong[0]]:g} milliseconds in row {wrong[0]}",
            fix="give finite numbers of 0 or more, and leave empty what is not known",
        )
    return np.where(known, values, np.nan)


def embeddings_of(table: pa.Table, name: str | None) -> npt.NDArray[np.float32] | None:
    """A column of lists as [n, d]; None where none is named. Raises BackstayError unless finite and of one length."""
    found = lists_of(table, name)
    if found is None:
        return None
    with np.errstate(over="ignore"):
        return _finite(found.astype(np.float32, copy=False), name)


def lists_of(table: pa.Table, name: str | None) -> npt.NDArray[np.floating[Any]] | None:
    """The same in the precision that the column has, single or double: no copy where it lies in one piece."""
    if name is None:
        return None
    column = _column(table, name, "predictions.embedding")
    kind = column.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        raise BackstayError(f"the column {name!r} holds {kind}, not lists of numbers", fix="name the embedding column")
    widths = pc.unique(pc.list_value_length(column)).to_pylist()
    if len(widths) > 1 or None in widths:
        raise BackstayError(f"the embeddings in {name!r} are not all of one length", fix="log whole embeddings only")
    try:
        flat = pc.list_flatten(column)
        flat = (flat if flat.type in (pa.float32(), pa.float64()) else flat.cast(pa.float32())).to_numpy()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BackstayError(f"the lists in {name!r} do not hold numbers", fix="name the embedding column") from error
    return _finite(np.asarray(flat), name).reshape(table.num_rows, widths[0] if widths else 0)


def _finite(values: npt.NDArray[Any], name: str | None) -> npt.NDArray[Any]:
    if not surely_finite(values) and not np.isfinite(values).all():
        raise BackstayError(f"the embeddings in {name!r} are not finite everywhere", fix="log whole embeddings only")
    return values
