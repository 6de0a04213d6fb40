"""Rows like somebody's, to ask a model and its graph the same questions: drawn around the rows that were given.

Made with a fixed seed. What is between two values, just beside one, far beyond all, missing or never seen is asked
about as well, since there a graph differs first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from backstay.train.convert.parity import harder

_Numbers = npt.NDArray[np.float64]
_Change = Callable[[_Numbers, _Numbers, bool, np.random.Generator], _Numbers]

ROWS = 1000
"""Rows that are made up of each kind, and at least compared."""
_FAR = 10.0
HARD = (
    "",
    " ",
    "\t\n",
    "a",
    "I",
    "don't stop--now",
    "snake_case and CamelCase",
    "naïve café, Ünïcode",
    "e\u0301tude re\u0301sume\u0301",
    "ΟΔΟΣ ΣΑΣ σ",
    "straße STRASSE",
    "Ελλάδα Москва 東京 ١٢٣",
    "x² H₂O ½ №5",
    "http://example.org/a?b=c&d=1,000.50",
    "[UNK] [PAD] [START] ##ing",
    "😀 emoji 👍🏽",
    "many    spaces   here",
    "nbsp\u00a0here\u2003and\u200bthere",
    "a b c d e f g",
    "ﬁne ﬂow Ǆ İstanbul",
)
"""Texts in which ways of cutting them differ."""


def asked(table: pa.Table, texts: Collection[str] = ()) -> Iterator[tuple[str, pa.Table]]:
    """What is asked, in words, and its rows: the given ones first, then some one by one, then made-up ones.

    Args:
        table: the columns that the model reads, 1 row or more.
        texts: those of them that are cut into words or letters; other columns of text hold categories.
    """
    yield "the reference rows", table
    for place in range(min(3, table.num_rows)):
        yield "a row on its own", table.slice(place, 1)
    mixed = _mixed(table, texts)
    yield "values of the reference rows, mixed", mixed
    yield "values between and beside those", _between(mixed)
    yield "values far beyond those", _beyond(mixed)
    if texts:
        yield "texts that are hard to cut", _hard(mixed, texts)
    for missing, unseen in ((True, True), (True, False), (False, True)):
        what = {(True, True): "values missing and unseen", (True, False): "values missing"}.get((missing, unseen))
        for only in (None, *table.column_names):
            yield (
                (what or "values unseen") + ("" if only is None else f" in {only!r}"),
                harder(mixed if only is None else table, missing=missing, unseen=unseen, only=only),
            )


def _rng(place: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(place))


def _mixed(table: pa.Table, texts: Collection[str]) -> pa.Table:
    """Rows whose columns come from different rows, so that values stand beside others than before."""
    rng, count = _rng(1), max(ROWS, table.num_rows)
    whole = rng.integers(0, table.num_rows, count)
    columns = {}
    for name in table.column_names:
        other = rng.integers(0, table.num_rows, count)
        places = np.where(rng.random(count) < 0.5, whole, other)
        column = table.column(name).take(pa.array(places))
        columns[name] = pa.array(_rewritten(column.to_pylist(), rng), pa.string()) if name in texts else column
    return pa.table(columns)


def _numeric(column: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_floating(column.type) or pa.types.is_integer(column.type))


def _changed(table: pa.Table, seed: int, made: _Change) -> pa.Table:
    rng, columns = _rng(seed), {}
    for name in table.column_names:
        column = table.column(name)
        if is_list(column.type):
            columns[name] = _changed_vectors(column, made, rng)
            continue
        values = column.to_numpy().astype(np.float64) if _numeric(column) else np.empty(0)
        known = values[np.isfinite(values)]
        if len(known) == 0:
            columns[name] = column
            continue
        whole = bool(np.all(known == np.rint(known)))
        found = made(values, known, whole, rng)
        columns[name] = pa.array(np.rint(found) if whole else found, pa.float64(), from_pandas=True)
    return pa.table(columns)


def _changed_vectors(column: pa.ChunkedArray, made: _Change, rng: np.random.Generator) -> pa.Array:
    """The numbers of a column of vectors, all in a row."""
    wide = np.array(column.to_pylist(), dtype=np.float64)
    flat = made(wide.reshape(-1), wide.reshape(-1), False, rng).astype(np.float32)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), wide.shape[1])


def is_list(kind: pa.DataType) -> bool:
    """Whether a column of this type holds vectors."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _between(table: pa.Table) -> pa.Table:
    """Numbers in the middle of two neighbours, where trees ask, and just beside values; whole ones are left whole."""

    def made(values: _Numbers, known: _Numbers, whole: bool, rng: np.random.Generator) -> _Numbers:
        if whole:
            return values
        ordered = np.unique(known)
        middles = (ordered[1:] + ordered[:-1]) / 2 if len(ordered) > 1 else ordered
        chance, found = rng.random(len(values)), values.copy()
        found = np.where(chance < 0.3, rng.choice(middles, len(values)), found)
        found = np.where((chance > 0.3) & (chance < 0.4), np.nextafter(found, np.inf), found)
        found = np.where((chance > 0.4) & (chance < 0.5), np.nextafter(found, -np.inf), found)
        near = found + rng.normal(size=len(values)) * 0.1 * known.std()
        return np.where((chance > 0.5) & (chance < 0.7), near, found)

    return _changed(table, 2, made)


def _beyond(table: pa.Table) -> pa.Table:
    """In one column of ten a number far below or above all."""

    def made(values: _Numbers, known: _Numbers, _whole: bool, rng: np.random.Generator) -> _Numbers:
        reach = _FAR * max(float(np.ptp(known)), 1.0)
        chance = rng.random(len(values))
        low, high = float(known.min()) - reach, float(known.max()) + reach
        return np.where(chance < 0.05, low, np.where(chance > 0.95, high, values))

    return _changed(table, 3, made)


def _rewritten(texts: list[str | None], rng: np.random.Generator) -> list[str | None]:
    """Some in capitals, some cut short, some with their words in another order, some with other marks between them."""
    found: list[str | None] = []
    for text, way in zip(texts, rng.integers(0, 8, len(texts)), strict=True):
        words = (text or "").split()
        if not words or way > 4:
            found.append(text)
        elif way == 0:
            found.append(text.upper() if text else text)
        elif way == 1:
            found.append(" ".join(words[: 1 + len(words) // 2]))
        elif way == 2:
            found.append("  ".join(str(w) for w in rng.permutation(words)))
        elif way == 3:
            found.append(re.sub(r"\s+", ", ", str(text)).title() + "!")
        else:
            found.append(" ".join([*words, *(w[::-1] for w in words[:2])]))
    return found


def _hard(table: pa.Table, texts: Collection[str]) -> pa.Table:
    rows, rng = table.slice(0, 8 * len(HARD)), _rng(4)
    columns = {name: rows.column(name) for name in rows.column_names}
    for name in texts:
        odd = [HARD[i % len(HARD)] for i in range(rows.num_rows)]
        beside = [t or "" for t in rows.column(name).to_pylist()]
        joined = [
            o if way else f"{b} {o} {b[:20]}"
            for o, b, way in zip(odd, beside, rng.integers(0, 2, len(odd)), strict=True)
        ]
        columns[name] = pa.array(joined, pa.string())
    return pa.table(columns)
