"""Times are moments in UTC. A time without a zone becomes one only when its zone was declared."""

from __future__ import annotations

import re
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pyarrow as pa
import pyarrow.compute as pc

from backstay.kernel.errors import BackstayError

MOMENT = pa.timestamp("us", tz="UTC")
NAIVE = pa.timestamp("us")
LOOKS_LIKE_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")


def localise(table: pa.Table, time_zone: str) -> pa.Table:
    """All naive times (and dates, and text that reads as times) as moments, taken to be in this zone.

    A time that the zone skips (spring) or has twice (autumn) is refused: which moment it was would be a guess.
    """
    try:
        ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BackstayError(
            f"data.time_zone is {time_zone!r}, which is no zone", fix="give an IANA name such as Europe/Berlin or UTC"
        ) from error
    for place, field in enumerate(table.schema):
        if _is_naive(table.column(place)):
            moments = _assume(table.column(place), time_zone, field.name)
            table = table.set_column(place, field.name, moments)
    return table


def moments(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """A time column as timestamp(us, UTC). Raises for naive times."""
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return _cast(column, MOMENT, name)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        try:
            return column.cast(MOMENT)
        except pa.ArrowInvalid as error:
            if not _is_naive(column):
                raise BackstayError(
                    f"column {name!r} holds text that is not a time ({str(error).splitlines()[0]})",
                    fix="write times like 2026-03-01T12:00:00+00:00, or declare another kind for it",
                ) from error
    elif not (pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_null(kind)):
        raise BackstayError(
            f"column {name!r} holds {kind}, not times", fix="write times like 2026-03-01T12:00:00+00:00"
        )
    if column.null_count == len(column):
        return pa.chunked_array([pa.nulls(len(column), MOMENT)])
    first = next(v for v in column if v.is_valid)
    raise BackstayError(
        f"the times in column {name!r} have no zone (for example {first})",
        fix='say which zone they are in, for example data.time_zone = "Europe/Berlin", or write them with an offset',
    )


def _is_naive(column: pa.ChunkedArray) -> bool:
    kind = column.type
    if pa.types.is_timestamp(kind):
        return kind.tz is None
    if pa.types.is_date(kind):
        return True
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return False
    first = next((v.as_py() for v in column if v.is_valid), "")
    if not LOOKS_LIKE_TIME.match(first):
        return False
    try:
        column.cast(NAIVE)
    except pa.ArrowInvalid:
        return False
    return True


def _assume(column: pa.ChunkedArray, time_zone: str, name: str) -> pa.ChunkedArray:
    naive = _cast(column, NAIVE, name)
    try:
        return pc.assume_timezone(naive, time_zone, ambiguous="raise", nonexistent="raise").cast(MOMENT)
    except pa.ArrowInvalid as error:
        raise BackstayError(
            f"column {name!r}: {str(error).splitlines()[0]}: when the clocks change, that time comes twice or never",
            fix="write the times with their offset, like 2026-10-25T02:30:00+01:00",
        ) from error


def _cast(column: pa.ChunkedArray, kind: pa.DataType, name: str) -> pa.ChunkedArray:
    try:
        return pc.cast(column, kind, safe=False) if _finer(column.type) else column.cast(kind)
    except pa.ArrowInvalid as error:
        raise BackstayError(
            f"column {name!r} holds times that microseconds since 1970 cannot express ({str(error).splitlines()[0]})",
            fix="correct those times",
        ) from error


def _finer(kind: pa.DataType) -> bool:
    """Nanoseconds are cut to microseconds on purpose: the one representation has no finer time."""
    return bool(pa.types.is_timestamp(kind) and kind.unit == "ns")
