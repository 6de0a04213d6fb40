"""Which rows are for training, which for tuning, which for the gate."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.data.fingerprints import fingerprints
from backstay.data.parts import TEST, TRAIN, TUNE, part_column, refuse_half, words
from backstay.kernel.errors import BackstayError
from backstay.kernel.ids import fraction
from backstay.kernel.records import Schema

Parts = dict[str, npt.NDArray[np.int64]]
SALT = "split"


class Shares(Protocol):
    """What `split` reads of settings.SplitSettings."""

    @property
    def train(self) -> float: ...
    @property
    def tune(self) -> float: ...
    @property
    def by(self) -> str: ...


def split(table: pa.Table, schema: Schema, settings: Shares) -> Parts:
    """Row numbers of the parts train, tune and gate: ascending, disjoint, together all rows.

    An official split (a column `part` or `split` with train and test) is honoured: test rows are the gate's, and
    tune is carved from train unless there is a validation part. Otherwise rows are dealt by a hash of their group,
    their id, or else their whole content, so that appending rows moves none of the others and equal rows stay
    together; or, by time, the newest rows are the gate's.

    Raises BackstayError where a part is empty, and for an official split that leaves rows out.
    """
    refuse_half(table)
    official = part_column(table)
    if official is not None:
        parts = _official(table, schema, official, settings)
    elif settings.by == "time":
        parts = _by_time(table, schema, settings)
    else:
        parts = _cut(_fractions(table, schema), settings.train, settings.train + settings.tune)
    for name, rows in parts.items():
        if len(rows) == 0:
            what = "groups" if schema.group else "different rows"
            refuse_alike(table, "group" if schema.group else "id", schema.group or schema.id)
            raise BackstayError(
                f"no row falls to the part {name!r}: {table.num_rows} rows are too few, or they form too few {what}",
                fix="bring more rows, or change the shares in data.split",
            )
    return parts


def refuse_alike(table: pa.Table, what: str, name: str | None) -> None:
    """Raise where all rows have one group, or one id: such a column tells no row from another.

    Args:
        what: "group" or "id", as in the settings. name: its column; None is well.
    """
    if name is None or table.num_rows < 2 or len(table.column(name).unique()) > 1:
        return
    raise BackstayError(
        f"all {table.num_rows} rows have the same {what} in the column {name!r}: {table.column(name)[0].as_py()!r}",
        fix=f"name another column as data.{what}, or take it out",
    )


def _cut(at: npt.NDArray[np.float64], train: float, tune: float) -> Parts:
    return {
        "train": np.flatnonzero(at < train),
        "tune": np.flatnonzero((at >= train) & (at < tune)),
        "gate": np.flatnonzero(at >= tune),
    }


def _fractions(table: pa.Table, schema: Schema) -> npt.NDArray[np.float64]:
    """Each row's place in [0, 1) by the key that it shares with the rows it must stay with."""
    name = schema.group or schema.id
    content = fingerprints(table, schema, schema.names if name is None else (name,))
    if name is None:
        keys = [f"{v:016x}" for v in content]
    else:
        values = table.column(name).to_pylist()
        # Rows without a group are on their own: they must not all fall to one part.
        own = fingerprints(table, schema, schema.names)
        keys = [f"row:{own[i]:016x}" if v is None else str(v) for i, v in enumerate(values)]
    known: dict[str, float] = {}
    for key in keys:
        if key not in known:
            known[key] = fraction(key, SALT)
    return np.array([known[k] for k in keys])


def deal(table: pa.Table, schema: Schema, share: float) -> Parts:
    """A few rows in two, "train" and "gate": about `share` of them for the gate, by the same places that `split` uses.

    Rows of one group, of one id, or of equal content stay together; the keys of the highest places are the gate's.
    """
    places = _fractions(table, schema)
    keys, counts = np.unique(places, return_counts=True)
    behind = np.cumsum(counts[::-1])[::-1]
    enough = np.flatnonzero(behind >= share * len(places))
    gate = places >= keys[enough[-1]] if len(enough) else np.zeros(len(places), dtype=bool)
    return {"train": np.flatnonzero(~gate), "gate": np.flatnonzero(gate)}


def _official(table: pa.Table, schema: Schema, name: str, settings: Shares) -> Parts:
    values = np.array(words(table.column(name)), dtype=object)
    train, gate = np.isin(values, list(TRAIN)), np.isin(values, list(TEST))
    tune = np.isin(values, list(TUNE))
    if not tune.any():
        share = settings.tune / (settings.train + settings.tune)
        tune = train & (_fractions(table, schema) < share)
        train = train & ~tune
    return {"train": np.flatnonzero(train), "tune": np.flatnonzero(tune), "gate": np.flatnonzero(gate)}


def _by_time(table: pa.Table, schema: Schema, settings: Shares) -> Parts:
    if schema.time is None:
        raise BackstayError('data.split.by is "time", but there is no data.time', fix="name the column of times")
    column = table.column(schema.time)
    if column.null_count:
        raise BackstayError(
            f"{column.null_count} rows have no time in {schema.time!r}", fix='fill it in, or split by = "hash"'
        )
    times = column.cast(pa.int64()).to_numpy()
    ordered = np.sort(times)
    n = len(ordered)
    first, second = (
        ordered[min(n - 1, int(settings.train * n))],
        ordered[min(n - 1, int((settings.train + settings.tune) * n))],
    )
    # Rows of one moment stay together, so the shares may be missed by a few rows.
    return {
        "train": np.flatnonzero(times < first),
        "tune": np.flatnonzero((times >= first) & (times < second)),
        "gate": np.flatnonzero(times >= second),
    }
