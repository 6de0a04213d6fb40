"""How well anomalies are ranked, beside others' ranks of the same rows and the distance of raw rows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from backstay.evaluate.ranks import FEWEST, Ranking, compare_ranks, measure_ranks, raw_distance
from backstay.maths.areas import paired_areas


def ranking(anomalies: int = 20, n: int = 200, signal: float = 2.0) -> Ranking:
    rng = np.random.default_rng(anomalies)
    odd = np.arange(n) < anomalies
    return Ranking(odd, rng.normal(size=n) + signal * odd, None)


def test_the_comparison_is_that_of_the_areas() -> None:
    ours = ranking()
    theirs = np.random.default_rng(9).normal(size=200)
    found, wanted = (
        compare_ranks(ours, theirs, against="m", data_id="d"),
        paired_areas(ours.anomalous, theirs, ours.strangeness),
    )
    assert (found.metric, found.against, found.n) == ("auc", "m", 200)
    assert found.difference == wanted.mean > 0.2
    assert (found.one_sided_low, found.p_better) == (wanted.one_sided_low, wanted.p_better)
    assert found.interval is not None
    assert found.interval.method == "DeLong"


@pytest.mark.parametrize("anomalies", [0, FEWEST - 1, 200 - FEWEST + 1])
def test_too_few_rows_of_a_kind_are_no_number(anomalies: int) -> None:
    found = compare_ranks(ranking(anomalies), np.zeros(200), against="m", data_id="d")
    assert math.isnan(found.difference)
    assert math.isnan(found.one_sided_low)
    assert found.interval is None
    assert found.n == 200


def test_distances_that_are_not_known_are_no_number() -> None:
    assert math.isnan(compare_ranks(ranking(), np.full(200, np.inf), against="m", data_id="d").one_sided_low)


def test_what_ranks_nothing_has_half_the_area() -> None:
    [found] = measure_ranks(ranking().said(np.zeros(200)), of="control:majority", data_id="d")
    assert (found.metric, found.of, found.value, found.n) == ("auc", "control:majority", 0.5, 200)


def test_raw_distance_is_the_mean_of_the_nearest_and_leaves_the_own_group_out() -> None:
    rng = np.random.default_rng(0)
    gallery, queries = rng.normal(size=(30, 4)), rng.normal(size=(9, 4))
    plain = [np.sort(np.linalg.norm(gallery - q, axis=1))[:5].mean() for q in queries]
    np.testing.assert_allclose(raw_distance(gallery, queries, k=5), plain, rtol=1e-5)
    groups = np.arange(30) // 2
    plain = [
        np.sort(np.linalg.norm(gallery[groups != g] - q, axis=1))[:5].mean()
        for q, g in zip(gallery, groups, strict=True)
    ]
    np.testing.assert_allclose(raw_distance(gallery, gallery, k=5, apart=(groups, groups)), plain, rtol=1e-5)
    alone = raw_distance(gallery, gallery, k=5, apart=(np.zeros(30), np.zeros(30)))
    assert np.isinf(alone).all()
