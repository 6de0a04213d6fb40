from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from backstay.journal.rows import Rows
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import LabelRequest
from backstay.labels.queue import draw_by_stratum, draw_requests

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def rows(n: int, groups: bool = False) -> Rows:
    return Rows(
        ids=np.array([f"p{i}" for i in range(n)], dtype=object),
        times=np.full(n, np.datetime64("2026-03-01", "us")),
        releases=np.full(n, "release-1", dtype=object),
        predictions=np.full(n, "a", dtype=object),
        groups=np.array([f"g{i // 2}" if i % 3 else None for i in range(n)], dtype=object) if groups else None,
    )


def draw(n: int, wanted: int, seed: int = 0, purpose: str = "standing", groups: bool = False) -> list[LabelRequest]:
    return draw_requests(
        rows(n, groups), wanted, purpose=purpose, rng=np.random.default_rng(seed), now=NOW, model="m", environment="p"
    )


def test_the_chance_of_each_row_is_on_record_and_no_row_is_asked_twice() -> None:
    found = draw(200, 50)
    assert len({r.prediction_id for r in found}) == 50
    assert {r.probability for r in found} == {0.25}
    assert {(r.status, r.purpose, r.requested_at, r.model, r.environment) for r in found} == {
        ("open", "standing", NOW, "m", "p")
    }


def test_every_row_has_the_same_chance() -> None:
    counts = np.zeros(20)
    for seed in range(2000):
        for r in draw(20, 5, seed):
            counts[int(r.prediction_id[1:])] += 1
    # Each is Binomial(2000, 1/4): 4.5 standard deviations is one false alarm in about 7,000 runs of 20 rows.
    assert np.abs(counts - 500).max() < 4.5 * np.sqrt(2000 * 0.25 * 0.75)


def test_the_same_draw_has_the_same_ids_and_purposes_differ() -> None:
    assert draw(50, 5) == draw(50, 5)
    assert not {r.id for r in draw(50, 50)} & {r.id for r in draw(50, 50, purpose="retrain")}


def test_groups_come_along() -> None:
    found = {r.prediction_id: r.group for r in draw(10, 10, groups=True)}
    assert found["p0"] is None
    assert found["p4"] == "g2"


@pytest.mark.parametrize("wanted", [0, 11, -1])
def test_an_impossible_draw_is_refused(wanted: int) -> None:
    with pytest.raises(BackstayError, match="of 10"):
        draw(10, wanted)


def test_rows_of_a_stratum_are_asked_for_with_the_chance_that_they_had_in_it() -> None:
    strata = np.array([0] * 10 + [1] * 40, dtype=np.int64)
    wanted = np.array([5, 4], dtype=np.int64)
    rng = np.random.default_rng(0)
    found = draw_by_stratum(rows(50), strata, wanted, draw="w", rng=rng, now=NOW, model="m", environment="p")
    assert [(r.stratum, r.probability) for r in found] == [(0, 0.5)] * 5 + [(1, 0.1)] * 4
    assert all(strata[int(r.prediction_id[1:])] == r.stratum for r in found)
    assert len({r.prediction_id for r in found}) == 9
