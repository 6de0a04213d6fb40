from __future__ import annotations

import json

import numpy as np
import pytest

from backstay.kernel.errors import BackstayError
from backstay.maths.group_sequential import GroupSequential, Shape, boundaries, crossing, spent


@pytest.mark.parametrize(
    ("looks", "shape", "last"),
    [
        (2, "obrien_fleming", 1.977),
        (5, "obrien_fleming", 2.040),
        (10, "obrien_fleming", 2.087),
        (30, "obrien_fleming", 2.145),
        (2, "pocock", 2.178),
        (5, "pocock", 2.413),
        (10, "pocock", 2.555),
    ],
)
def test_boundaries_are_the_published_ones(looks: int, shape: Shape, last: float) -> None:
    """Jennison & Turnbull 2000, tables 2.1 and 2.3; 30 looks from METHODS 1c."""
    found = boundaries(looks, 0.05, shape)
    assert found[-1] == pytest.approx(last, abs=6e-4)
    assert crossing(np.array(found), np.arange(1, looks + 1) / looks).sum() == pytest.approx(0.05, abs=1e-6)


@pytest.mark.parametrize(
    ("shape", "published"),
    [
        ("obrien_fleming", (4.8769, 3.3569, 2.6803, 2.2898, 2.0310)),
        ("pocock", (2.438, 2.427, 2.410, 2.397, 2.386)),
    ],
)
def test_spending_boundaries_are_the_published_ones(shape: Shape, published: tuple[float, ...]) -> None:
    """Lan & DeMets, five equal looks (the R package ldbounds prints these)."""
    plan = GroupSequential(0.05, shape)
    for share in (0.2, 0.4, 0.6, 0.8, 1.0):
        plan = plan.look(share, 0.0)
    assert plan.bounds == pytest.approx(published, abs=6e-4)


def test_unequal_looks_spend_exactly_alpha() -> None:
    plan = GroupSequential(0.05)
    shares = [0.13, 0.4, 0.41, 0.9, 1.3]
    for share in shares:
        plan = plan.look(share, 0.5)
    assert plan.information[-1] == 1.0
    assert crossing(np.array(plan.bounds), np.array(plan.information)).sum() == pytest.approx(0.05, abs=1e-5)
    assert spent(0.4) == pytest.approx(crossing(np.array(plan.bounds[:2]), np.array([0.13, 0.4])).sum(), abs=1e-6)


@pytest.mark.parametrize("drift", [0.0, 2.5])
def test_crossing_agrees_with_simulated_paths(drift: float) -> None:
    rng = np.random.default_rng(0)
    times = np.array([0.2, 0.5, 0.6, 1.0])
    walls = np.array([2.6, 2.2, 2.2, 2.0])
    steps = np.diff(times, prepend=0.0)
    paths = np.cumsum(rng.standard_normal((40_000, 4)) * np.sqrt(steps) + drift * steps, axis=1) / np.sqrt(times)
    over = np.abs(paths) >= walls
    first = np.where(over.any(axis=1), over.argmax(axis=1), 4)
    shares = np.bincount(first, minlength=5)[:4] / 40_000
    assert crossing(walls, times, drift) == pytest.approx(shares, abs=0.01)


def test_it_stops_and_then_says_no_more() -> None:
    plan = GroupSequential(0.05, "pocock").look(0.5, -3.0)
    assert plan.stopped_at == 0.5
    assert GroupSequential.from_json(json.loads(json.dumps(plan.to_json()))) == plan
    with pytest.raises(BackstayError, match="has stopped"):
        plan.look(1.0, 0.0)


def test_looks_that_were_not_planned_are_refused() -> None:
    plan = GroupSequential(0.05).look(0.5, 0.0)
    for share in (0.5, 0.3):
        with pytest.raises(BackstayError, match="rows were added"):
            plan.look(share, 0.0)
    with pytest.raises(BackstayError, match="above 0"):
        GroupSequential(0.05).look(0.0, 0.0)
    with pytest.raises(BackstayError, match="increasing"):
        crossing(np.array([2.0, 2.0]), np.array([0.5, 0.5]))
    with pytest.raises(BackstayError):
        GroupSequential(0.05).look(1.0, float("nan"))
    with pytest.raises(BackstayError):
        boundaries(0)
    with pytest.raises(BackstayError, match="obrien_fleming"):
        GroupSequential.from_json({**plan.to_json(), "shape": "haybittle"})
