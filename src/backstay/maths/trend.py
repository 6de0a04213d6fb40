"""A straight line through shares that were measured at different times, and when it comes to a threshold.

Each point is a share known from so many independent rows. Its weight is that number alone, and its variance is read
from the pooled share: a point that happened to see no error must not count for more. The band takes the larger of two
widths: of rows alone (normal), and of the scatter about the line (Student's t on points - 2), for a quality that also
wiggles from week to week. The threshold's time is the set of moments at which the band holds the threshold
(Fieller 1954), looked for no further than the caller says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit
from scipy.stats import binom

from backstay.kernel.errors import BackstayError
from backstay.maths.arrays import FloatArray, fraction, same_length, vector
from backstay.maths.intervals import Bounds, clopper_pearson

LEAST_POINTS = 3
MOST_ROWS = 1e9


@dataclass(frozen=True, slots=True)
class Line:
    """`level` at time `centre`, where level and slope are independent; variances with the scatter in them.

    Args:
        multiplier: half of a band is that many standard errors.
        shared: variance that all points have in common, which more points do not take away.
    """

    centre: float
    level: float
    slope: float
    level_variance: float
    slope_variance: float
    multiplier: float
    shared: float
    points: int

    def at(self, time: float) -> float:
        return self.level + self.slope * (time - self.centre)

    def half(self, time: float) -> float:
        """Half of the band's width at a time."""
        away = time - self.centre
        return self.multiplier * float(np.sqrt(self.level_variance + self.slope_variance * away * away + self.shared))

    def band(self, time: float) -> Bounds:
        """Interval of the share at a time, inside 0 to 1."""
        value, half = self.at(time), self.half(time)
        return Bounds(float(np.clip(value - half, 0.0, 1.0)), float(np.clip(value + half, 0.0, 1.0)))

    @property
    def slope_interval(self) -> Bounds:
        half = self.multiplier * float(np.sqrt(self.slope_variance))
        return Bounds(self.slope - half, self.slope + half)


@dataclass(frozen=True, slots=True)
class Crossing:
    """When a line that is watched from `start` to `end` comes down to a threshold.

    Args:
        state: "below" (it lies below at the start), "between" (it gets there between `earliest` and `latest`),
            "by" (it gets there by `latest`, if it is not there already), "not before" (`earliest` is the first
            moment at which it could be there), "not within" (above until the end), "was below" (it lay below in the
            middle of what was measured, where it lies at the start cannot be told), "unknown".
        expected: where the line itself crosses; only for "between".
    """

    state: str
    earliest: float | None = None
    latest: float | None = None
    expected: float | None = None


def worth(value: float, low: float, high: float, level: float = 0.95) -> float:
    """How many independent rows an interval of a share is worth: those whose exact interval is as wide.

    >>> round(worth(0.88, *clopper_pearson(44, 50)), 3)
    50.0
    """
    if not (0.0 <= low <= value <= high <= 1.0) or high - low <= 0.0:
        raise BackstayError(f"an interval from {low!r} to {high!r} about {value!r}", fix="give a share in its interval")
    few, many = 1e-6, MOST_ROWS
    for _ in range(100):
        middle = float(np.sqrt(few * many))
        if clopper_pearson(value * middle, middle, level).width > high - low:
            few = middle
        else:
            many = middle
    return many


def fit_line(times: FloatArray, shares: FloatArray, rows: FloatArray, shared: float = 0.0, level: float = 0.95) -> Line:
    """Weighted least squares of `shares` [k] on `times` [k]; `rows` [k] independent rows stand behind each point.

    Raises BackstayError for fewer than three points or points at one time: no line has an interval there.
    """
    t, y, n = vector(times, "times"), vector(shares, "shares"), vector(rows, "rows")
    same_length(t, y, "times and shares")
    same_length(t, n, "times and rows")
    fraction(level, "the level")
    if len(t) < LEAST_POINTS or np.ptp(t) <= 0.0 or np.any(n <= 0.0):
        raise BackstayError(f"{len(t)} points give no line", fix="give three points or more, at different times")
    total = float(n.sum())
    centre, mean = float(n @ t) / total, float(n @ y) / total
    away = t - centre
    spread = float(n @ (away * away))
    slope = float(n @ (away * y)) / spread
    # One error and one success more than were seen: a stream without errors has no variance of zero.
    pooled = (mean * total + 1.0) / (total + 2.0)
    unit = pooled * (1.0 - pooled)
    scatter = float(n @ (y - mean - slope * away) ** 2) / unit / (len(t) - 2)
    normal = float(ndtri(0.5 + level / 2.0))
    wide = float(stdtrit(len(t) - 2, 0.5 + level / 2.0)) * float(np.sqrt(scatter))
    return Line(centre, mean, slope, unit / total, unit / spread, max(normal, wide), shared, len(t))


def crossing(line: Line, threshold: float, start: float, end: float) -> Crossing:
    """When `line` comes down to `threshold`, looked for from `start` to `end` and no further."""
    if not end > start:
        raise BackstayError(f"a search from {start!r} to {end!r}", fix="look ahead by some time")
    if line.at(start) + line.half(start) < threshold:
        return Crossing("below")
    first, last = _edges(line, threshold, start, end)
    if line.at(start) - line.half(start) > threshold:
        if first is None:
            return Crossing("not within")
        if last is None:
            return Crossing("not before", earliest=first)
        return Crossing("between", first, last, line.centre + (threshold - line.level) / line.slope)
    if last is None or line.slope >= 0.0:
        return Crossing("was below" if line.level + line.half(line.centre) < threshold else "unknown")
    return Crossing("by", latest=last)


def _edges(line: Line, threshold: float, start: float, end: float) -> tuple[float | None, float | None]:
    """When the band first reaches the threshold, and when it has wholly passed it; None beyond the end.

    The band holds the threshold where (slope u + d)^2 <= m^2 (v + s u^2), u being the time from the centre.
    """
    square = line.multiplier**2
    d = line.level - threshold
    a = line.slope**2 - square * line.slope_variance
    b = line.slope * d
    c = d * d - square * (line.level_variance + line.shared)
    inside = b * b - a * c
    if inside < 0.0 or a == 0.0:
        return None, None
    roots = sorted(line.centre + (-b + sign * float(np.sqrt(inside))) / a for sign in (-1.0, 1.0))
    ahead = [root for root in roots if start < root <= end]
    enters = next(iter(ahead), None)
    leaves = roots[1] if a > 0.0 and line.slope < 0.0 and start < roots[1] <= end else None
    return enters, leaves


def median_interval(values: Sequence[float], level: float = 0.95) -> Bounds | None:
    """Interval of a median by order statistics, right for every distribution; None for fewer than six values.

    >>> median_interval([3, 1, 2, 6, 5, 4]), median_interval([1, 2, 3])
    (Bounds(low=1.0, high=6.0), None)
    """
    ordered, n = sorted(map(float, values)), len(values)
    tail = (1.0 - fraction(level, "the level")) / 2.0
    below = int(binom.ppf(tail, n, 0.5)) if n else 0
    # The interval from the k-th to the k-th last value misses with twice P(fewer than k values on one side).
    k = next((k for k in range(below + 1, 0, -1) if binom.cdf(k - 1, n, 0.5) <= tail), 0)
    return None if k == 0 else Bounds(ordered[k - 1], ordered[n - k])
