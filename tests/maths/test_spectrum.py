"""The spectrum of a reference: what is computed in its principal directions equals the plain formulae."""

from __future__ import annotations

import numpy as np
import pytest

from backstay.maths.clusters import clusters
from backstay.maths.spectrum import Spectrum, _whitened_truth, moment_rows, principal, whitening


def _rows() -> np.ndarray:
    rng = np.random.default_rng(5)
    rows = rng.exponential(size=(600, 6)) @ rng.standard_normal((6, 6))
    return rows - rows.mean(axis=0)


def test_whitened_variances_stand_in_the_covariance_of_the_projected_rows() -> None:
    rows = _rows()
    covariance = rows.T @ rows / (len(rows) - 1)
    values, projection = whitening(*principal(covariance), 0.3)
    assert projection.T @ covariance @ projection == pytest.approx(np.diag(values), abs=1e-12)
    assert list(values) == sorted(values, reverse=True)


def test_the_excess_equals_the_formulae_in_the_rows_own_coordinates() -> None:
    rows = _rows()
    covariance = rows.T @ rows / (len(rows) - 1)
    values, vectors = principal(covariance)
    grouping = clusters(None, len(rows))
    found, _ = Spectrum.of(moment_rows(rows, grouping) @ vectors, values, grouping, whitened=False)
    length = [float(row @ row) for row in rows]
    surplus = np.array(length) - np.mean(length)
    forms = np.array([float(row @ covariance @ row) for row in rows])
    shifts = sorted({max(1, (len(rows) * part) // 17) for part in range(1, 9)})
    cube = np.mean([np.mean([float(rows[i] @ rows[i - s]) ** 3 for i in range(len(rows))]) for s in shifts])
    lean = np.mean(rows * surplus[:, None], axis=0)
    triple = np.mean(surplus * forms) - 2.0 * np.trace(covariance @ covariance @ covariance)
    assert found.excess[0] == pytest.approx(np.var(length) - 2.0 * np.sum(covariance**2))
    assert found.excess[1] == pytest.approx(4.0 * max(cube, 0.0) + 12.0 * triple + 6.0 * lean @ lean)
    assert found.excess[2] == pytest.approx(np.sqrt(lean @ lean))
    assert found.excess[3] == pytest.approx(np.sqrt(max(cube, 0.0)))


def test_true_variances_after_whitening_by_the_long_way_round() -> None:
    values = np.array([0.99, 0.9, 0.6, 0.3, 0.05, 0.0])
    d, df = len(values), 199.0
    rng = np.random.Generator(np.random.PCG64(11))
    total = np.zeros(d)
    root = np.sqrt(values)
    for _ in range(4):
        lower = np.tril(rng.standard_normal((d, d)), -1)
        lower[np.diag_indices(d)] = np.sqrt(2.0 * rng.standard_gamma((df - np.arange(d)) / 2.0))
        inner = root[:, None] * (lower @ lower.T / df) * root[None, :] + np.diag(1.0 - values)
        total += np.linalg.eigvalsh(root[:, None] * np.linalg.inv(inner) * root[None, :])[::-1]
    assert _whitened_truth(values, 200.0) == pytest.approx(np.maximum(total / 4.0, 0.0), abs=1e-12)
