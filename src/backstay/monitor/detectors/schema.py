"""Do rows break what the reference promised? Values never seen, gaps where there were none, copies, constant columns.

**Sees:** a small share of what never was: new categories, gaps, numbers out of range or infinite, copies, a column
that stands still, is gone or holds text for numbers.
**Compares:** each column of the window with what one half of the reference held (known categories, range of numbers),
at the share of the other half that was beyond it: counted on the same rows that share would be zero by construction,
and the promise false.
**Statistic:** rows that break, over how many would alarm by the exact binomial tail, for each column and for copies:

    P( Binomial(rows, highest share that the reference leaves possible at 95%) >= number ) <= level / (3 columns + 1)

Numbers are out of range beyond half the range's width on either side. A column of one value only: its chance is at
most (highest possible share of the commonest value)^(rows - 1). A column that is gone, or that holds text for numbers,
alarms at once: chance does neither. Text that reads as a number is one, and a word that stands for a gap ("n/a",
"none", "-") is a gap. Copies (rows alike in all columns that vary) are looked for within 20 rows on end, in order of
time, and anywhere: rows are dealt at random into blocks of as many as make 14 blocks of window and reference each; a
block is marked that holds more copies than any of four of the reference's blocks, the others of which say how often
that is so. Both searches share the level of one test; the second needs 280 rows in window and reference.
**Needs:** Inputs. Columns of a table in the log and in the reference, 50 reference rows and better some thousands, 20
independent rows a window; of a window at most 50,000 rows are looked at.
**Promises:** its level at each look for 95 references of 100, split evenly over all tests; what is certain (a column
that is gone) is outside it. Measured: 0.01 to 0.04 of the level on average, 0.05 to 0.26 at the 95th reference
(docs/statistics/drift.md).
**Alarms for nothing:** where categories are open by nature (names, free codes), so that new ones are no fault: give
such columns as text, or ignore them. Where the reference was shuffled and callers ask twice: it does not show how
often. Where the same subjects are asked about day by day with the same values, and the reference is of a longer time
than the window: name them as the `group`.
**Silent:** for a large share of gaps or of new categories that the reference had too, and for a change within the
range (`columns`); for columns that were constant in the reference (`columns`); for few copies among many rows, and
where many rows repeat by nature, since then blocks of the reference are full of copies as well
(docs/statistics/errors.md).
**When it alarms:** it is a fault of a pipeline more often than of the world: take the value and the rows that it shows
to the owner of the source. Do not retrain on broken rows.
**Settings:** `data.columns` (what kind a column is), `data.ignore`, `data.group`, `serve.log_inputs`;
`budget.weights`. Off unless `watch.detectors` names it.
**Source:** Clopper & Pearson 1934 (exact limits); ours: the halves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Json, Signal
from backstay.maths.arrays import AnyArray, BoolArray
from backstay.maths.intervals import upper_limit
from backstay.maths.threshold import MINIMUM_WINDOW
from backstay.monitor.detectors import Look
from backstay.monitor.detectors.column_parts import quoted
from backstay.monitor.detectors.copies import BLOCK, Copies, again, near_copies, row_keys, words_of
from backstay.monitor.detectors.rates import REFERENCE_DELTA, Share
from backstay.monitor.detectors.verdict import EXAMPLES, not_judged, strength
from backstay.monitor.reference import Reference
from backstay.monitor.traffic import WindowData

NAME = "schema"
SEED = 20_261_121
MINIMUM_REFERENCE = 50
# Of larger windows so many rows are looked at, drawn by seed.
MOST_ROWS = 50_000
MOST_TOLD = 8
MOST_VALUES = 3
# Certain, and not a matter of chance: a column that is gone or of another type.
CERTAIN = 10.0


@dataclass(frozen=True, slots=True)
class _Found:
    """One test of one column: evidence, words for people, and the rows that show it."""

    name: str
    evidence: float
    words: str
    rows: AnyArray


@dataclass(frozen=True, slots=True)
class _Known:
    """What the reference says of one column.

    Args:
        values: categories of one half of the reference; None for numbers.
        low, high: numbers outside these are breaks.
        missing, beyond: rows of the other half without a value, and with one that is new or out of range.
        largest: the highest share that one single value can have.
    """

    name: str
    values: frozenset[str] | None
    low: float
    high: float
    missing: Share
    beyond: Share
    largest: float

    @staticmethod
    def fit(name: str, values: AnyArray, first: BoolArray, codes: AnyArray | None) -> _Known | None:
        """None for a column of one value. `first` marks the half from which the range is learnt."""
        words = words_of(values)
        counts = Counter(words)
        if len(counts) == 1:
            return None
        gaps = _gaps(values)
        known: frozenset[str] | None = None
        low, high = -np.inf, np.inf
        if values.dtype.kind == "f":
            finite = values[first & np.isfinite(values)]
            if len(finite):
                reach = 0.5 * float(np.ptp(finite))
                low, high = float(finite.min()) - reach, float(finite.max()) + reach
        else:
            known = frozenset(word for word, use in zip(words, first & ~gaps, strict=True) if use)
        rows = float(len(values)) if codes is None else float(len(np.unique(codes)))
        most = max(counts.values()) * rows / len(values)
        largest = upper_limit(most, rows, REFERENCE_DELTA)
        part = _Known(name, known, low, high, Share(0.0, 1.0), Share(0.0, 1.0), largest)
        other = None if codes is None else codes[~first]
        beyond = part.breaks(values) & ~first
        return _Known(
            name, known, low, high, Share.of(gaps[~first], other), Share.of(beyond[~first], other), part.largest
        )

    @property
    def numeric(self) -> bool:
        return self.values is None

    def breaks(self, values: AnyArray) -> BoolArray:
        """Rows whose value is new, or out of range [n]."""
        if self.values is None:
            with np.errstate(invalid="ignore"):
                return np.asarray((values < self.low) | (values > self.high) | np.isinf(values))
        known = self.values
        return np.asarray([value is not None and str(value) not in known for value in values], dtype=np.bool_)

    def look(self, values: AnyArray, codes: AnyArray | None, alpha: float) -> list[_Found]:
        """The three tests of the column."""
        if self.numeric != (values.dtype.kind == "f"):
            kinds = ("numbers", "text") if self.numeric else ("text", "numbers")
            return [_Found(self.name, CERTAIN, f"{self.name}: {kinds[0]} before, {kinds[1]} now", np.arange(0))]
        gaps, beyond = _gaps(values), self.breaks(values)
        return [
            self._missing(gaps, codes, alpha),
            self._beyond(values, beyond, codes, alpha),
            self._constant(values, codes, alpha),
        ]

    def _missing(self, gaps: BoolArray, codes: AnyArray | None, alpha: float) -> _Found:
        now = Share.of(gaps, codes)
        words = f"{self.name}: missing {self.missing.value:.1%} -> {now.value:.1%}"
        return _Found(self.name, self.missing.evidence(now, alpha), words, np.flatnonzero(gaps))

    def _beyond(self, values: AnyArray, beyond: BoolArray, codes: AnyArray | None, alpha: float) -> _Found:
        now = Share.of(beyond, codes)
        what = f"outside {self.low:.4g} to {self.high:.4g}" if self.numeric else "never seen before"
        shown = ", ".join(_shown(values[beyond]))
        words = f"{self.name}: {what} {self.beyond.value:.1%} -> {now.value:.1%} ({shown})"
        return _Found(self.name, self.beyond.evidence(now, alpha), words, np.flatnonzero(beyond))

    def _constant(self, values: AnyArray, codes: AnyArray | None, alpha: float) -> _Found:
        """One value only. The chance of that is at most largest^(n - 1), whichever value it is."""
        rows = len(values) if codes is None else len(np.unique(codes))
        words = words_of(values)
        if self.largest >= 1.0 or any(word != words[0] for word in words):
            return _Found(self.name, 0.0, "", np.arange(0))
        evidence = (rows - 1) * float(np.log(self.largest)) / float(np.log(alpha))
        told = f"{self.name}: varied before, always {quoted(words[0])} now"
        return _Found(self.name, evidence, told, np.arange(rows))

    def to_json(self) -> Json:
        return {
            "name": self.name,
            "values": None if self.values is None else sorted(self.values),
            "low": None if np.isinf(self.low) else self.low,
            "high": None if np.isinf(self.high) else self.high,
            "missing": self.missing.to_json(),
            "beyond": self.beyond.to_json(),
            "largest": self.largest,
        }

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> _Known:
        return _Known(
            str(state["name"]),
            None if state["values"] is None else frozenset(map(str, state["values"])),
            -np.inf if state["low"] is None else float(state["low"]),
            np.inf if state["high"] is None else float(state["high"]),
            Share.from_json(state["missing"]),
            Share.from_json(state["beyond"]),
            float(state["largest"]),
        )


@dataclass(frozen=True, slots=True)
class SchemaDetector:
    """All columns that vary, and the share of blocks of rows that hold a copy."""

    known: tuple[_Known, ...]
    copies: Share
    copied: float
    anywhere: Copies

    @classmethod
    def fit(cls, reference: Reference) -> SchemaDetector | None:
        """None for a reference without columns. Raises BackstayError when its rows are too few to say what is usual."""
        if not reference.columns:
            return None
        if len(reference) < MINIMUM_REFERENCE:
            raise BackstayError(
                f"a reference of {len(reference)} rows", fix=f"give at least {MINIMUM_REFERENCE}, better a thousand"
            )
        codes = reference.codes
        first = _half(len(reference), codes)
        parts = (_Known.fit(name, values, first, codes) for name, values in reference.columns.items())
        blocks, rows = near_copies(reference.columns, codes)
        known = tuple(part for part in parts if part is not None)
        varied = {part.name: reference.columns[part.name] for part in known}
        anywhere = Copies.fit(row_keys(varied), codes) if known else Copies(())
        return cls(known, Share.of(blocks), float(rows.mean()), anywhere)

    def look(self, state: Json, window: WindowData, look: Look) -> tuple[Signal, Json]:
        """Every test; the evidence is that of the strongest, `moved` names all that alarm, strongest first."""
        columns, codes, chosen = _sampled(window)
        rows = len(chosen) if codes is None else len(np.unique(codes))
        if rows < MINIMUM_WINDOW:
            why = f"{window.rows} rows are worth {rows} independent ones, at least {MINIMUM_WINDOW} are needed"
            return not_judged(NAME, window, why), state
        alpha = look.alpha / (3 * len(self.known) + 1)
        found = [self._copied(columns, codes, alpha)]
        found += [_strange(name, values[chosen]) for name, values in window.strange.items()]
        for part in self.known:
            if part.name in columns:
                found += part.look(columns[part.name], codes, alpha)
            else:
                found.append(_Found(part.name, CERTAIN, f"{part.name}: the column is gone", np.arange(0)))
        alarms = sorted((one for one in found if one.evidence >= 1.0), key=lambda one: -one.evidence)
        strongest = max(found, key=lambda one: one.evidence)
        names = list(dict.fromkeys(one.name for one in alarms))
        what = (
            f"rows break what the reference holds: {', '.join(names[:MOST_TOLD])}"
            if alarms
            else f"{len(self.known)} columns hold what they held before"
        )
        shown = [] if not alarms else list(dict.fromkeys(window.ids[chosen[alarms[0].rows[:EXAMPLES]]]))
        signal = Signal(
            detector=NAME,
            evidence=strongest.evidence,
            alarm=bool(alarms),
            alpha=look.alpha,
            n=window.rows,
            message=f"{what}: {strength(strongest.evidence)}",
            moved=tuple(one.words for one in alarms[:MOST_TOLD]),
            example_ids=tuple(map(str, shown)),
            figures={"judged": True, "tests": 3 * len(self.known) + 1, "alpha_by_test": alpha},
        )
        return signal, state

    def _copied(self, columns: Mapping[str, AnyArray], codes: AnyArray | None, alpha: float) -> _Found:
        """Only where all columns are there: rows that lack one are easily alike."""
        if not self.known or any(part.name not in columns for part in self.known):
            return _Found("copied rows", 0.0, "", np.arange(0))
        varied = {part.name: columns[part.name] for part in self.known}
        size = self.anywhere.size_for(len(next(iter(varied.values()))) if codes is None else len(np.unique(codes)))
        # Two ways to look for the same thing share its level.
        level = alpha if size is None else alpha / 2
        blocks, rows = near_copies(varied, codes)
        evidence = self.copies.evidence(Share.of(blocks), level) if len(blocks) else 0.0
        words = f"copies of a row among {BLOCK} rows on end: {self.copied:.1%} of rows -> {rows.mean():.1%}"
        near = _Found("copied rows", evidence, words, np.flatnonzero(rows))
        if size is None:
            return near
        keys = row_keys(varied)
        strength, told = self.anywhere.look(keys, codes, size, level)
        return near if evidence >= strength else _Found("copied rows", strength, told, np.flatnonzero(again(keys)))

    def to_json(self) -> Json:
        return {
            "known": [part.to_json() for part in self.known],
            "copies": self.copies.to_json(),
            "copied": self.copied,
            "anywhere": self.anywhere.to_json(),
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> SchemaDetector:
        known = tuple(_Known.from_json(part) for part in state["known"])
        anywhere = Copies.from_json(state["anywhere"])
        return cls(known, Share.from_json(state["copies"]), float(state["copied"]), anywhere)


def _sampled(window: WindowData) -> tuple[dict[str, AnyArray], AnyArray | None, AnyArray]:
    """Columns, groups and row numbers of the rows that are looked at, in order of time."""
    order = np.argsort(window.times, kind="stable")
    if len(order) > MOST_ROWS:
        # Neighbours in time stay together, so that copies can be seen: a run of rows, begun anywhere.
        start = int(np.random.Generator(np.random.PCG64(SEED)).integers(0, len(order) - MOST_ROWS))
        order = order[start : start + MOST_ROWS]
    codes = window.codes
    columns = {name: values[order] for name, values in window.columns.items()}
    return columns, None if codes is None else codes[order], order


def _half(rows: int, codes: AnyArray | None) -> BoolArray:
    """A half of the rows, whole groups together, drawn by seed."""
    rng = np.random.Generator(np.random.PCG64(SEED))
    units = np.arange(rows) if codes is None else codes
    chosen = np.unique(units)
    return np.isin(units, rng.choice(chosen, len(chosen) // 2, replace=False))


def _strange(name: str, values: AnyArray) -> _Found:
    """Text where the reference has numbers; `values` are that text, None where all is well."""
    odd = np.asarray([value is not None for value in values], dtype=np.bool_)
    if not odd.any():
        return _Found(name, 0.0, "", np.arange(0))
    shown = ", ".join(repr(value) for value in _shown(values[odd]))
    words = f"{name}: numbers before, text in {odd.mean():.1%} of rows now ({shown})"
    return _Found(name, CERTAIN, words, np.flatnonzero(odd))


def _gaps(values: AnyArray) -> BoolArray:
    if values.dtype.kind == "f":
        return np.isnan(values)
    return np.asarray([value is None for value in values], dtype=np.bool_)


def _shown(values: AnyArray) -> list[str]:
    """Some of the values that break, the commonest first."""
    said = (f"{value:.4g}" if isinstance(value, float) else str(value) or quoted("") for value in values.tolist())
    counts = Counter(said)
    return [value for value, _ in counts.most_common(MOST_VALUES)]
