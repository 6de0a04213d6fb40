from __future__ import annotations

import json

import numpy as np
import pytest

from backstay.kernel.errors import BackstayError
from backstay.maths.shape import ShapeMap


def made(rng: np.random.Generator) -> tuple[ShapeMap, np.ndarray]:
    rows = rng.normal(size=(300, 6)) * np.arange(6, 0, -1) + 2.0
    return ShapeMap.fit(rows[100:], rows[:100]), rows


def test_the_five_numbers_by_plain_loops():
    map_, rows = made(np.random.default_rng(1))
    known = rows[100:]
    centre = known.mean(axis=0)
    gallery = rows[:100].astype(np.float32)
    for row, found in zip(known[:5], map_.features(known[:5]), strict=True):
        away = np.sort([np.linalg.norm(row - other) for other in gallery])
        inside = map_.leading.T @ (row - centre)
        assert np.allclose(
            found,
            [
                np.log(np.linalg.norm(row - centre)),
                row @ centre / np.linalg.norm(row) / np.linalg.norm(centre),
                inside @ inside / np.sum((row - centre) ** 2),
                np.log(away[0]),
                np.log(away[4]),
            ],
            atol=1e-4,
        )


def test_leading_directions_hold_half_of_the_variance_and_no_more_than_needed():
    map_, rows = made(np.random.default_rng(2))
    moved = rows[100:] - map_.centre
    held = np.sum((moved @ map_.leading) ** 2) / np.sum(moved**2)
    without = np.sum((moved @ map_.leading[:, :-1]) ** 2) / np.sum(moved**2)
    assert without < 0.5 <= held


def test_copies_and_rows_at_the_centre_stay_finite():
    map_, _ = made(np.random.default_rng(3))
    assert np.all(np.isfinite(map_.features(np.vstack([map_.centre, map_.gallery[:3], np.zeros(6)]))))


def test_json_and_back_is_exact_and_other_versions_are_refused():
    map_, rows = made(np.random.default_rng(4))
    again = ShapeMap.from_json(json.loads(json.dumps(map_.to_json())))
    assert np.array_equal(again.features(rows), map_.features(rows))
    with pytest.raises(BackstayError, match="version 7"):
        ShapeMap.from_json({**map_.to_json(), "version": 7})


def test_too_few_neighbours_are_refused():
    with pytest.raises(BackstayError, match="4 rows to measure"):
        ShapeMap.fit(np.zeros((9, 2)), np.zeros((4, 2)))
