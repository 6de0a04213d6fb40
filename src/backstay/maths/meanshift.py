"""Has the mean of these features moved from one fixed reference, beyond what both samples' errors explain?

T = |window mean - reference mean|^2 (in whitened coordinates when asked). A user keeps ONE reference, whose error
never averages out: with the usual threshold a twentieth of all users would see 4.6 times the false alarms they
accepted (1,000 reference rows, windows of 1,000, alpha .01). So the threshold is the smallest for which both the
mean alarm rate over references is at most alpha and the 95th percentile over references of the alarm rate, given
the reference, is at most 1.5 alpha (docs/statistics/drift.md). `inflation` tells what that costs, `rows_needed` what
buys it back.

Assumed: window rows are independent of each other given the stream (or grouped, and `groups` given), and
identically distributed with the reference under the null. Bursts within a window need groups.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import AnyArray, FloatArray, RealArray, features_of, fraction, matrix
from backstay.maths.clusters import Clusters, clusters
from backstay.maths.gathered import Gathered
from backstay.maths.quadratic import tail
from backstay.maths.spectrum import Spectrum, moment_rows, principal, whitening
from backstay.maths.threshold import MINIMUM_WINDOW, Threshold, find_threshold, least_inflation

MINIMUM_REFERENCE = 50
MINIMUM_GROUPS = 20
# Levels below it are taken for it: thresholds are not known further out.
LEAST_ALPHA = 1e-9
# Rows at a time: what is made of them stays in the processor's cache.
BLOCK = 1024


@dataclass(frozen=True, slots=True)
class ShiftResult:
    """One look at one window.

    `evidence` is statistic / threshold (alarm at 1). `p_value` is marginal over references, so it can fall below
    alpha without an alarm: the alarm alone keeps the promise. `minimum_detectable` is the shift along the
    reference's first direction, in standard deviations of a row, that is found with 80% power. `inflation` is
    the threshold over what it would be were the reference mean known exactly; above 2 ask for more reference
    rows (`rows_needed`). `n_effective` is of the window.
    """

    statistic: float
    threshold: float
    evidence: float
    p_value: float
    alarm: bool
    n: int
    n_effective: float
    minimum_detectable: float
    inflation: float


@dataclass(frozen=True, slots=True, eq=False)
class MeanShift:
    """A fixed reference: mean feature [D], spectrum of one row and of the mean's error, sizes, whitening [D, k]."""

    mean: FloatArray
    spectrum: Spectrum
    n: int
    n_effective: float
    dependence: float
    projection: FloatArray | None = None

    @staticmethod
    def fit(
        features: RealArray,
        groups: AnyArray | None = None,
        whiten: bool = False,
        ridge: float | None = None,
    ) -> MeanShift:
        """Learn the reference from `features` [n, D], n >= 50, in at least 20 groups.

        Args: `whiten` puts directions on one scale (for columns in different units); `ridge` is added to every
        variance first (default the mean variance), so that rare categories, whose counts are far from
        normal, do not decide the test. Of features in single precision products are made in it.
        """
        rows = features_of(features, "reference features")
        grouping = clusters(groups, len(rows))
        _enough(grouping)
        mean = np.asarray(rows.mean(axis=0, dtype=np.float64))
        if _all_alike(rows, mean):
            raise _alike()
        return MeanShift._of(mean, _covariance(rows, mean), moment_rows(rows, grouping).copy(), grouping, whiten, ridge)

    @staticmethod
    def of_gathered(seen: Gathered, whiten: bool = False, ridge: float | None = None) -> MeanShift:
        """The same from features that were gathered some rows at a time."""
        _enough(seen.grouping)
        covariance = seen.covariance
        if float(np.trace(covariance)) <= 1e-24:
            raise _alike()
        return MeanShift._of(seen.mean, covariance, seen.rows, seen.grouping, whiten, ridge)

    @staticmethod
    def _of(
        mean: FloatArray,
        covariance: FloatArray,
        some: RealArray,
        grouping: Clusters,
        whiten: bool,
        ridge: float | None,
    ) -> MeanShift:
        values, directions = principal(covariance)
        projection = None
        if whiten:
            values, directions = whitening(values, directions, ridge)
            projection = directions
        turned = _turned(some, mean, directions)
        spectrum, n_effective = Spectrum.of(turned, values, grouping, whitened=whiten)
        rows = len(grouping.codes)
        design = rows / n_effective
        dependence = (design - 1.0) / (grouping.kish - 1.0) if grouping.kish > 1.0 + 1e-9 else 0.0
        return MeanShift(mean, spectrum, rows, n_effective, float(np.clip(dependence, 0.0, 1.0)), projection)

    def statistic(self, window_mean: FloatArray) -> float:
        """T of a window's mean feature [D]."""
        difference = np.asarray(window_mean, dtype=np.float64) - self.mean
        if self.projection is not None:
            difference = difference @ self.projection
        return float(difference @ difference)

    def threshold(self, n_window: float, alpha: float, source: float = np.inf, family: int = 1) -> float:
        """The alarm threshold for `n_window` effective rows at level `alpha` (see the module)."""
        return self._threshold(n_window, alpha, source, family).value

    def skew(self, n_window: float, alpha: float, source: float = np.inf) -> float:
        """What the threshold is raised by (a factor) since rows are not normal and windows are small."""
        return self._threshold(n_window, alpha, source, 1).adverse

    def window_effective(self, rows: int, groups: AnyArray | None) -> float:
        """Effective rows of a window, by the dependence within groups that the reference showed."""
        if groups is None:
            return float(rows)
        grouping = clusters(groups, rows)
        if grouping.count < rows and self.dependence == 0.0:
            return float(grouping.count)  # dependence was not measured: one row a group
        return rows / (1.0 + self.dependence * (grouping.kish - 1.0))

    def check(
        self, features: FloatArray, alpha: float, groups: AnyArray | None = None, source: float = np.inf
    ) -> ShiftResult:
        """Test a window of features [m, D].

        `source`: effective number of independent sources that the whole live stream draws from again and again
        (infinite for ordinary traffic); its error is fixed over windows, like that of the reference.
        """
        window = matrix(features, "window features")
        if window.shape[1] != self.mean.size:
            raise BackstayError(
                f"window rows of {window.shape[1]} features against a reference of {self.mean.size}",
                fix="make both with the same feature map",
            )
        effective = self.window_effective(len(window), groups)
        return self.check_mean(window.mean(axis=0), len(window), alpha, effective, source)

    def check_mean(
        self,
        mean: FloatArray,
        n: int,
        alpha: float,
        n_effective: float | None = None,
        source: float = np.inf,
        family: int = 1,
    ) -> ShiftResult:
        """Test a window of which only the mean feature [D] and the row count are kept (a sketch).

        `family`: how many tests like this one are made of the window, each at this `alpha`; the promise is then for
        all of them together (`find_threshold`).
        """
        effective = float(n if n_effective is None else n_effective)
        limit = self._threshold(effective, alpha, source, family)
        statistic = self.statistic(mean)
        weights = self.spectrum.weights / effective + self.spectrum.fixed(source)
        chance = tail(weights, self.spectrum.dof, np.zeros((1, len(weights))), max(statistic / limit.skew, 1e-300))
        return ShiftResult(
            statistic=statistic,
            threshold=limit.value,
            evidence=statistic / limit.value,
            p_value=float(chance.probability[0]),
            alarm=bool(statistic >= limit.value),
            n=n,
            n_effective=effective,
            minimum_detectable=limit.detectable,
            inflation=limit.value / limit.uninflated,
        )

    def rows_needed(
        self, n_window: float, alpha: float, inflation: float = 1.25, family: int = 1, most: int | None = None
    ) -> int:
        """Reference rows (of the same dependence) that bring `inflation` down to the factor given; `most` at most."""
        if not inflation > 1.02:
            raise BackstayError(f"an inflation of {inflation!r} was asked", fix="ask for more than 1.02")

        def enough(log2_multiple: float) -> bool:
            spectrum = self.spectrum.with_rows(2.0**log2_multiple)
            if least_inflation(spectrum, _window(n_window), _level(alpha)) > inflation:
                return False
            found = find_threshold(spectrum, _window(n_window), _level(alpha), np.inf, family)
            return found.value <= inflation * found.uninflated

        low, high = -4.0, 8.0
        if most is not None and most < self.n * 2.0**high:
            high = max(float(np.log2(most / self.n)), low)
            if not enough(high):
                return most
        for _ in range(9):
            middle = (low + high) / 2.0
            low, high = (low, middle) if enough(middle) else (middle, high)
        return int(np.ceil(self.n * 2.0**high))

    def _threshold(self, n_window: float, alpha: float, source: float, family: int) -> Threshold:
        return find_threshold(self.spectrum, _window(n_window), _level(alpha), source, family)

    def to_json(self) -> dict[str, Any]:
        return {
            "mean": self.mean.tolist(),
            "spectrum": self.spectrum.to_json(),
            "n": self.n,
            "n_effective": self.n_effective,
            "dependence": self.dependence,
            "projection": None if self.projection is None else _packed(self.projection),
        }

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> MeanShift:
        projection = state["projection"]
        return MeanShift(
            mean=np.asarray(state["mean"], dtype=np.float64),
            spectrum=Spectrum.from_json(state["spectrum"]),
            n=int(state["n"]),
            n_effective=float(state["n_effective"]),
            dependence=float(state["dependence"]),
            projection=None if projection is None else _unpacked(projection),
        )


def _packed(table: FloatArray) -> dict[str, Any]:
    """A table as base64 of its bytes: hundreds of directions of hundreds of numbers are no text."""
    return {"shape": list(table.shape), "float64": base64.b64encode(table.astype("<f8").tobytes()).decode()}


def _unpacked(state: Mapping[str, Any]) -> FloatArray:
    numbers = np.frombuffer(base64.b64decode(state["float64"]), dtype="<f8")
    return numbers.reshape([int(size) for size in state["shape"]]).astype(np.float64)


def _turned(rows: RealArray, mean: FloatArray, directions: FloatArray) -> RealArray:
    """`rows` less their mean along these directions [n, k]; the rows are written over."""
    turns, k = directions.astype(rows.dtype), directions.shape[1]
    rows -= mean.astype(rows.dtype)
    for at in range(0, len(rows), BLOCK // 4):
        part = rows[at : at + BLOCK // 4]
        part[:, :k] = part @ turns
    return rows[:, :k]


def _enough(grouping: Clusters) -> None:
    rows = len(grouping.codes)
    if rows < MINIMUM_REFERENCE or grouping.count < MINIMUM_GROUPS:
        raise BackstayError(
            f"a reference of {rows} rows in {grouping.count} groups",
            fix=f"give at least {MINIMUM_REFERENCE} rows in {MINIMUM_GROUPS} groups, better a thousand",
        )


def _alike() -> BackstayError:
    return BackstayError("all reference rows are the same", fix="give a reference with variation, or drop it")


def _all_alike(rows: RealArray, mean: FloatArray) -> bool:
    """Whether no row differs from the mean; of most references one of the first does."""
    parts = (rows[:BLOCK], rows)
    return all(float(np.abs(part - mean).max()) <= 1e-12 for part in parts)


def _covariance(rows: RealArray, mean: FloatArray) -> FloatArray:
    """[d, d] of rows [n, d], some at a time: fresh memory for a large reference costs more than the sums."""
    d = len(mean)
    total, product = np.zeros((d, d)), np.empty((d, d), dtype=rows.dtype)
    room, centre = np.empty((min(BLOCK, len(rows)), d), dtype=rows.dtype), mean.astype(rows.dtype)
    for at in range(0, len(rows), BLOCK):
        part = rows[at : at + BLOCK]
        centred = np.subtract(part, centre, out=room[: len(part)])
        total += np.matmul(centred.T, centred, out=product)
    return np.asarray(total / (len(rows) - 1))


def _window(rows: float) -> float:
    """Rows rounded down to steps of about 1%, so that thresholds are computed once for windows alike."""
    if not rows >= MINIMUM_WINDOW:
        raise BackstayError(
            f"a window of {rows:.4g} effective rows", fix=f"wait for {MINIMUM_WINDOW} rows or widen the window"
        )
    step = 10.0 ** np.floor(np.log10(rows) - 1.5)
    return float(max(np.floor(rows / step) * step, MINIMUM_WINDOW))


def _level(alpha: float) -> float:
    fraction(alpha, "alpha")
    if not LEAST_ALPHA <= alpha <= 0.25:
        raise BackstayError(f"alpha is {alpha!r}", fix="give a false-alarm rate a window between 1e-9 and .25")
    return alpha
