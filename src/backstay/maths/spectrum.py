"""What a mean's error looks like: variances of one row by direction, and of the fixed reference's mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from backstay.maths.arrays import FloatArray, IntArray, Precise, RealArray
from backstay.maths.clusters import Clusters, group_sums, mean_variance

LARGEST = 128
KEPT = 0.999
MOMENT_ROWS = 4000
MOMENT_NUMBERS = 400_000
# Rows at a time: what is made of them stays in the processor's cache.
AT_A_TIME = 128
# Directions from which on one random matrix is as good as several.
ONE_DRAW = 192


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """Direction by direction [k]: variance of a row, how many directions share it, error of the reference mean.

    The smallest directions are bundled into one weight with a (fractional) number of them, matched in trace
    and squared trace. The variances are estimates too: `lean` [k] is how much their relative error moves with the
    error of the mean (a reference with few cases of a rare kind has both too low), `scale_sd` the rest of it.
    `excess` tells how far single rows are from normal, which windows of m rows have not averaged out: second and
    third cumulant of T beyond the normal ones, times m^3 and m^4; length of E[|y|^2 y]; norm of the third moments.
    """

    weights: FloatArray
    dof: FloatArray
    errors: FloatArray
    lean: FloatArray
    scale_sd: float
    excess: tuple[float, float, float, float]

    @staticmethod
    def of(turned: RealArray, values: FloatArray, grouping: Clusters, whitened: bool) -> tuple[Spectrum, float]:
        """The spectrum of n rows, and their effective number.

        Args: `turned` those of `moment_rows`, less the mean, in the principal directions of all rows; `values` [d] the
        variances along these, the largest first; `grouping` of all rows.
        """
        n = len(grouping.codes)
        errors = values / n
        if grouping.count < n:
            sums = group_sums(turned.astype(np.float64), grouping)
            correction = grouping.count / (grouping.count - 1)
            errors = np.maximum(errors, correction * np.sum(sums**2, axis=0) / n**2)
        n_effective = float(np.clip(values.sum() / errors.sum(), 1.0, n))
        ratio = errors / np.maximum(values, 1e-300)
        lengths, forms = _lengths(turned, values)
        rows = values if not whitened else _whitened_truth(values, n_effective)
        if whitened:
            known = lengths * (float(values.sum()) * (1.0 - 1.0 / n) / max(float(lengths.mean()), 1e-300))
            rows = rows * max(1.0, _unseen_length(known, n_effective) / max(float(rows.sum()), 1e-300))
        errors = rows * np.where(values > 0, ratio, 1.0 / n)
        lean, scale_sd = _scale_error(turned, forms, values, grouping)
        rest = float(np.sqrt(max(scale_sd**2 - np.sum(lean**2 * errors), 0.1 * scale_sd**2)))
        bundled = _bundle(rows, errors, lean)
        return Spectrum(*bundled, rest, _excess(turned, lengths, forms, values)), n_effective

    def fixed(self, source: float = np.inf) -> FloatArray:
        """Variance by direction of all that stays the same over windows: reference error, finite source."""
        return self.errors + self.weights / source

    def with_rows(self, multiple: float) -> Spectrum:
        """The spectrum were the reference `multiple` times as large."""
        return replace(self, errors=self.errors / multiple, scale_sd=self.scale_sd / multiple**0.5)

    def to_json(self) -> dict[str, Any]:
        return {
            "weights": self.weights.tolist(),
            "dof": self.dof.tolist(),
            "errors": self.errors.tolist(),
            "lean": self.lean.tolist(),
            "scale_sd": self.scale_sd,
            "excess": list(self.excess),
        }

    @staticmethod
    def from_json(state: Mapping[str, Any]) -> Spectrum:
        second, third, lean, cube = (float(part) for part in state["excess"])
        return Spectrum(
            weights=np.asarray(state["weights"], dtype=np.float64),
            dof=np.asarray(state["dof"], dtype=np.float64),
            errors=np.asarray(state["errors"], dtype=np.float64),
            lean=np.asarray(state["lean"], dtype=np.float64),
            scale_sd=float(state["scale_sd"]),
            excess=(second, third, lean, cube),
        )


def moment_rows(rows: Precise, grouping: Clusters) -> Precise:
    """Those rows of which higher moments are taken: all where some hang together, else a seeded draw of 4,000.

    Of wide rows 2,000 do. What it costs to learn a reference is then its covariance and little else.
    """
    places = moment_places(grouping, rows.shape[1])
    return rows if len(places) == len(rows) else rows[places]


def moment_places(grouping: Clusters, width: int) -> IntArray:
    """The numbers of these rows, in order."""
    rows = len(grouping.codes)
    drawn = max(min(MOMENT_ROWS, MOMENT_NUMBERS // width), MOMENT_ROWS // 2)
    if grouping.count < rows or rows <= drawn:
        return np.arange(rows)
    rng = np.random.Generator(np.random.PCG64(14))
    return np.sort(rng.choice(rows, drawn, replace=False))


def principal(covariance: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Variances [d] along the principal directions [d, d] in columns, the largest first."""
    values, vectors = np.linalg.eigh(covariance)
    return np.maximum(values[::-1], 0.0), np.ascontiguousarray(vectors[:, ::-1])


def whitening(values: FloatArray, vectors: FloatArray, ridge: float | None) -> tuple[FloatArray, FloatArray]:
    """Variances [k] after it, and the projection [d, k]: principal directions, each over sqrt(variance + ridge)."""
    added = float(values.mean()) if ridge is None else float(ridge)
    keep = values + added > 1e-10 * float(values.max())
    kept = values[keep]
    return kept / (kept + added), np.ascontiguousarray(vectors[:, keep] / np.sqrt(kept + added))


def _whitened_truth(values: FloatArray, n_effective: float) -> FloatArray:
    """True variances of coordinates that were scaled by estimated ones: larger than they look in the sample.

    A few seeded Wishart draws stand for all: the spectrum of a large random matrix hardly varies. Of a very large one a
    single draw does that is brought to its expected trace (within 0.2% of the trace of sixteen draws, as four are).
    """
    d = len(values)
    df = max(n_effective - 1.0, d + 2.0)
    rng = np.random.Generator(np.random.PCG64(11))
    total = np.zeros(d)
    live = np.flatnonzero(values > 1e-9)
    draws = 1 if d >= ONE_DRAW else 4
    for _ in range(draws):
        lower = np.tril(rng.standard_normal((d, d)), -1)
        lower[np.diag_indices(d)] = np.sqrt(2.0 * rng.standard_gamma((df - np.arange(d)) / 2.0))
        wishart = lower @ lower.T
        wishart /= df if draws > 1 else float(np.trace(wishart)) / d
        # x = sqrt(values) z has sample covariance S; scaling by (S + ridge)^-1/2 had made values/(values+ridge). What
        # is true there is sqrt(values) (sqrt(values) W sqrt(values) + 1 - values)^-1 sqrt(values): its inverse is this.
        inverse = wishart if len(live) == d else wishart[np.ix_(live, live)]
        inverse[np.diag_indices(len(live))] += 1.0 / values[live] - 1.0
        total[: len(live)] += 1.0 / np.linalg.eigvalsh(inverse)
    return np.asarray(np.maximum(total / draws, 0.0))


def _lengths(turned: RealArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Squared length of each row, and its square in the metric of the variances: [n] each."""
    lengths, forms = np.empty(len(turned)), np.empty(len(turned))
    weights = values.astype(turned.dtype)
    for at in range(0, len(turned), AT_A_TIME):
        squares = np.square(turned[at : at + AT_A_TIME])
        lengths[at : at + AT_A_TIME] = squares.sum(axis=1)
        forms[at : at + AT_A_TIME] = squares @ weights
    return lengths, forms


def _unseen_length(lengths: FloatArray, n_effective: float) -> float:
    """Mean squared length of a whitened row that the whitening has not seen: leave-one-out, in closed form.

    Seeded draws miss what a row of large leverage does to the scale that it is itself measured on; where directions are
    many for the rows that there are, that was 3% to 5% of the length, and two to four times the false alarms. `lengths`
    are of some rows, brought to the mean of all.
    """
    n = max(n_effective, 2.0)
    own = lengths * (n / (n - 1.0))
    left = 1.0 - np.minimum(own / (n - 1.0), 0.9)
    return float(np.mean(own / left))


def _bundle(
    values: FloatArray, errors: FloatArray, lean: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Weights, degrees of freedom, errors and leans, the smallest directions as one without a lean."""
    share = np.cumsum(values) / values.sum()
    keep = min(int(np.searchsorted(share, KEPT)) + 1, LARGEST, len(values))
    rest = values[keep:]
    if rest.sum() <= 1e-12 * values.sum():
        return values[:keep], np.ones(keep), errors[:keep], lean[:keep]
    weight = float(np.sum(rest**2) / rest.sum())
    dof = float(rest.sum() / weight)
    return (
        np.append(values[:keep], weight),
        np.append(np.ones(keep), dof),
        np.append(errors[:keep], errors[keep:].sum() / dof),
        np.append(lean[:keep], 0.0),
    )


def _scale_error(
    turned: RealArray, forms: FloatArray, values: FloatArray, grouping: Clusters
) -> tuple[FloatArray, float]:
    """Regression of the variances' relative error on the mean's error [d], and that error's standard deviation.

    Directions count as they matter in the tail of T: by their squared variance.
    """
    forms = forms / np.sum(values**2)
    together = _against(turned, forms - forms.mean())
    lean = np.where(values > 1e-9 * values[0], together / np.maximum(values, 1e-300), 0.0)
    if len(forms) < len(grouping.codes):
        return lean, float(np.sqrt(np.var(forms, ddof=1) / len(grouping.codes)))
    return lean, float(np.sqrt(mean_variance(forms, grouping)))


def _against(rows: RealArray, factor: FloatArray) -> FloatArray:
    """Mean product of each column with a number a row [d]."""
    return np.asarray(factor.astype(rows.dtype) @ rows, dtype=np.float64) / len(rows)


def _excess(
    turned: RealArray, length: FloatArray, forms: FloatArray, values: FloatArray
) -> tuple[float, float, float, float]:
    """Departures of rows from normal: see `Spectrum`. Pairs of rows stand in for the third moments."""
    rows = turned
    if len(rows) > MOMENT_ROWS:
        some = np.random.Generator(np.random.PCG64(12)).choice(len(rows), MOMENT_ROWS, replace=False)
        rows, length, forms = rows[some], length[some], forms[some]
    surplus = length - length.mean()
    second = float(np.var(length) - 2.0 * np.sum(values**2))
    cubes = [float(np.mean(_apart(rows, shift) ** 3)) for shift in _shifts(rows)]
    triple = float(np.mean(surplus * forms) - 2.0 * np.sum(values**3))
    lean = _against(rows, surplus)
    cube = max(float(np.mean(cubes)), 0.0)
    third = 4.0 * cube + 12.0 * triple + 6.0 * float(lean @ lean)
    return max(second, 0.0), max(third, 0.0), float(np.sqrt(lean @ lean)), float(np.sqrt(cube))


def _apart(rows: RealArray, shift: int) -> FloatArray:
    """Inner products [n] of rows with those so many places before, in a ring."""
    pairs = ((rows[:shift], rows[-shift:]), (rows[shift:], rows[:-shift]))
    return np.concatenate([np.einsum("ij,ij->i", one, two) for one, two in pairs]).astype(np.float64)


def _shifts(rows: RealArray) -> list[int]:
    return sorted({max(1, (len(rows) * part) // 17) for part in range(1, 9)})
