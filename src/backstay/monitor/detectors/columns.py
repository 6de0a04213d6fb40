"""Which columns of a table moved? Tests of each column, and of the means of all, against the fixed reference.

**Sees:** which columns moved and from what to what, or that several moved a little together.
**Compares:** each column of the window with the same column of the reference, and all their means at once.
**Statistic:** the squared distance of the means of a column's features, in whitened coordinates:

    T = |window mean - reference mean|^2        features: tenths of the reference, common values, missing, the value
    together: sum over columns of z^4,  z = difference of the means in standard errors of the window

Half of the level is split evenly over the columns (Bonferroni), half pays for all means together where 3 to 200
columns have a test of their mean; else the columns have all of it. Numbers are tested twice, at half the column's
level each: their *shape* by all features, and their *mean* alone (values beyond three standard deviations count as
three), which finds a small shift that drowns among a dozen shares; a column whose middle half is one value by its
shape only. Categories are tested by their common values, others and missing. A column that was constant in the
reference is tested by counting what differs from the constant. Of a text its length is a column.
**Needs:** Inputs. Columns of a table in the log and in the reference, 50 reference rows and better a thousand, 20
independent rows a window.
**Promises:** of looks at unchanged traffic no more alarm than its level (its share of the budget over the looks of a
year) on average over references, and no more than 1.5 times that for 95 references of 100; so for the sum of all its
tests. Measured with six columns, 1,000 reference rows and windows of 200: 0.29 of the level on average, 0.73 at the
95th reference (docs/statistics/drift.md).
**Alarms for nothing:** where columns carry a season or a calendar that the reference lacks, or rows hang together and
no group says so (one customer, one sensor); and for a change that is real and harmless: it says moved, never worse.
**Silent:** where columns change only in how they go together (`embedding`); for one small change among very many
columns, which share the level; for a value never seen in a few rows of a window (`schema`).
**When it alarms:** read what each column moved from and to. A column that is suddenly empty, constant or in other
units is a fault of a pipeline: mend that first. Else look at the estimates beside the alarm, and at the clusters of
like rows that are named; go on with docs/why.md.
**Settings:** `data.ignore` (columns that cannot matter cost the others level), `data.columns` (what kind a column is),
`data.group`, `watch.season`, `serve.log_inputs`; where `embedding` reads the same columns for want of learnt vectors,
this one has 1.5 of their two parts of the budget.
**Source:** Bonferroni's split; thresholds for a fixed reference and the joint test are ours (docs/statistics/drift.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Json, Signal
from backstay.maths.arrays import AnyArray, FloatArray
from backstay.maths.columns import ColumnMap
from backstay.maths.many_means import ManyMeans
from backstay.maths.meanshift import MeanShift
from backstay.maths.sketches.moments import Moments
from backstay.monitor.detectors import Look
from backstay.monitor.detectors.column_parts import VALUE, Constant, Judged, Varying, as_text, quoted
from backstay.monitor.detectors.verdict import more_rows, not_judged, strength, too_few, witnesses
from backstay.monitor.measures import Measures
from backstay.monitor.reference import Reference
from backstay.monitor.traffic import WindowData

NAME = "columns"
MOST_TOLD = 8
MOST_TOGETHER = 3
# What the means of all columns together may spend of the level; chosen, like the rest, on seeds that no benchmark uses.
TOGETHER = 0.5
# Reference rows of which correlations are taken.
MOST_ROWS = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class ColumnsDetector:
    """All columns of the table, fitted one by one, and the means of those that are numbers together."""

    varying: tuple[Varying, ...]
    constant: tuple[Constant, ...]
    together: ManyMeans | None

    @classmethod
    def fit(cls, reference: Reference) -> ColumnsDetector | None:
        """None for a reference without columns (images, bare predictions)."""
        if not reference.columns:
            return None
        varying: list[Varying] = []
        constant: list[Constant] = []
        codes = reference.codes
        rows = len(reference) if codes is None else len(np.unique(codes))
        some, values_of_some = _some(len(reference)), []
        for name, values in reference.columns.items():
            first = as_text(values[0])
            if all(as_text(value) == first for value in values):
                constant.append(Constant(name, first, float(rows)))
                continue
            map_ = ColumnMap.fit(values)
            features = map_.features(values)
            shift = MeanShift.fit(features, groups=codes, whiten=True)
            known = values[np.isfinite(values)] if values.dtype.kind == "f" else None
            mean = None if known is None or len(known) == 0 else float(known.mean())
            away = features[:, VALUE]
            level = None
            if known is not None and _spread(known):
                level = MeanShift.fit(away, groups=codes)
                values_of_some.append(away[some, 0])
            infinite = 0.0 if known is None else float(np.isinf(values).mean())
            varying.append(Varying(name, map_, shift, mean, level, infinite))
        together = ManyMeans.fit(np.stack(values_of_some, axis=1)) if values_of_some else None
        return cls(tuple(varying), tuple(constant), together)

    def look(self, state: Json, window: WindowData, look: Look) -> tuple[Signal, Json]:
        """Test every column; the evidence is that of the strongest, `moved` names all that alarm."""
        names = self.names
        if window.whole is None:
            absent = self._absent(window)
            if absent is not None:
                return not_judged(NAME, window, absent), state
        why = next(filter(None, (too_few(part.shift, window) for part in self.varying)), None)
        if why is not None:
            return not_judged(NAME, window, why), state
        alpha = look.alpha * (1.0 - (0.0 if self.together is None else TOGETHER)) / len(names)
        judged = self._judge(window, look, alpha)
        evidence_together, most = self._together(judged, window, look)
        more, wanted = self._more_rows(judged)
        strongest = max(judged, key=lambda found: found.evidence)
        evidence = max(strongest.evidence, evidence_together)
        told = sorted((found for found in judged if found.alarm), key=lambda found: -found.evidence)
        if told:
            what = f"{len(told)} of {len(names)} columns moved: {', '.join(found.name for found in told[:MOST_TOLD])}"
        elif evidence_together >= 1.0:
            told = most
            what = f"no column of {len(names)} alone, but several together: {', '.join(found.name for found in told)}"
        else:
            what = f"none of {len(names)} columns moved, the nearest is {strongest.name!r}"
        signal = Signal(
            detector=NAME,
            evidence=evidence,
            alarm=bool(told),
            alpha=look.alpha,
            n=window.rows,
            message=f"{what}: {strength(evidence)}{more}",
            moved=tuple(self._words(found, window) for found in told[:MOST_TOLD]),
            example_ids=self._examples(told[0], window) if told else (),
            figures={
                "judged": True,
                "evidence_by_column": {found.name: found.evidence for found in judged},
                "evidence_together": evidence_together,
                "alpha_by_column": alpha,
                **wanted,
            },
        )
        return signal, state

    @property
    def tests(self) -> int:
        """How many tests a look makes."""
        return sum(part.tests for part in self.varying) + len(self.constant)

    @property
    def names(self) -> list[str]:
        return [*(part.name for part in self.varying), *(part.name for part in self.constant)]

    def _absent(self, window: WindowData) -> str | None:
        name = next((name for name in self.names if name not in window.columns), None)
        return None if name is None else f"the window has no column {name!r}"

    def measure(self, window: WindowData, before: Measures | None = None) -> Measures:
        """Sketches of every column: all that the test reads, and the plain means that it tells."""
        absent = self._absent(window)
        if absent is not None:
            raise BackstayError(absent, fix="log all columns that the reference has")
        parts: tuple[Varying | Constant, ...] = (*self.varying, *self.constant)
        numbers = [part.name for part in self.varying if part.mean is not None]
        found = Measures(
            means={part.name: part.sketch(window.columns[part.name]) for part in parts},
            moments={name: Moments.of(window.columns[name]) for name in numbers},
        )
        return found if before is None else before.merge(found)

    def _judge(self, window: WindowData, look: Look, alpha: float) -> list[_Found]:
        found = []
        whole = None if window.whole is None else window.whole.measures[NAME]
        codes = window.codes
        for part in self.varying:
            sketch = part.sketch(window.columns[part.name]) if whole is None else whole.means[part.name]
            test = part.judge(sketch, codes, look, alpha, self.tests)
            found.append(_Found(part.name, test.result.evidence, test.result.alarm, sketch.mean, part, test))
        for always in self.constant:
            sketch = always.sketch(window.columns[always.name]) if whole is None else whole.means[always.name]
            evidence = always.evidence(sketch, codes, alpha)
            found.append(_Found(always.name, evidence, evidence >= 1.0, sketch.mean, always, None))
        return found

    def _together(self, judged: list[_Found], window: WindowData, look: Look) -> tuple[float, list[_Found]]:
        """Evidence that means moved together, and the columns whose means moved most."""
        if self.together is None:
            return 0.0, []
        by_name = {found.name: found for found in judged}
        parts = [(part, level) for part in self.varying if (level := part.level) is not None]
        levels = [level for _, level in parts]
        means = np.array([by_name[part.name].mean[-1] for part, _ in parts])
        n = min(level.window_effective(window.rows, window.codes) for level in levels)
        evidence = float(self.together.evidence(levels, means, n, TOGETHER * look.alpha, look.source))
        far = [abs(means[k] - level.mean[0]) / level.spectrum.weights[0] ** 0.5 for k, level in enumerate(levels)]
        return evidence, [by_name[parts[k][0].name] for k in np.argsort(far)[::-1][:MOST_TOGETHER]]

    def _words(self, found: _Found, window: WindowData) -> str:
        """What moved in a column."""
        if isinstance(found.part, Constant):
            return f"{found.name}: always {quoted(found.part.value)} before, {found.mean[0]:.1%} differ now"
        by_value = not found.alarm or (found.test is not None and found.test.shift is found.part.level)
        return found.part.words(found.mean, self._plain(found.part, window), by_value)

    @staticmethod
    def _plain(part: Varying, window: WindowData) -> Moments:
        """The moments of a number's values; of no rows for a category."""
        if part.mean is None:
            return Moments()
        if window.whole is not None:
            return window.whole.measures[NAME].moments[part.name]
        return Moments.of(window.columns[part.name])

    def _examples(self, found: _Found, window: WindowData) -> tuple[str, ...]:
        """Rows that show the change of the column that moved most, of those that are at hand."""
        part, test = found.part, found.test
        if isinstance(part, Constant) or test is None or found.name not in window.columns:
            return ()
        values, shift, read = window.columns[found.name], test.shift, test.features
        return witnesses(shift, found.mean[read], lambda rows: part.map.features(values[rows])[:, read], window)

    def _more_rows(self, judged: list[_Found]) -> tuple[str, Json]:
        """What the column asks for whose threshold the small reference inflates most."""
        tests = [found.test for found in judged if found.test is not None]
        if not tests:
            return "", {}
        test = max(tests, key=lambda test: test.result.inflation)
        return more_rows(test.shift, test.result, test.alpha, family=self.tests)

    def to_json(self) -> Json:
        return {
            "varying": [part.to_json() for part in self.varying],
            "constant": [part.to_json() for part in self.constant],
            "together": None if self.together is None else self.together.to_json(),
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> ColumnsDetector:
        varying = tuple(map(Varying.from_json, state["varying"]))
        constant = tuple(map(Constant.from_json, state["constant"]))
        together = state.get("together")  # older states tested columns one by one
        return cls(varying, constant, None if together is None else ManyMeans.from_json(together))


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """What one column showed."""

    name: str
    evidence: float
    alarm: bool
    mean: FloatArray
    part: Varying | Constant
    test: Judged | None


def _spread(known: FloatArray) -> bool:
    """Whether the middle half of the values is no single value: else the mean hangs on the few that differ, whose sums
    are too far from normal, and the shares of the values say more."""
    if len(known) == 0:
        return False
    low, high = np.quantile(known, [0.25, 0.75])
    return bool(low < high)


def _some(rows: int) -> AnyArray:
    """Row numbers of at most `MOST_ROWS`, by a fixed seed."""
    if rows <= MOST_ROWS:
        return np.arange(rows)
    return np.sort(np.random.Generator(np.random.PCG64(17)).choice(rows, MOST_ROWS, replace=False))
