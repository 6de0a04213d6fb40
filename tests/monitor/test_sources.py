from __future__ import annotations

import numpy as np
import pytest

from backstay.monitor.sources import Sources, source_count


def names(rng, pool: int, n: int):
    return np.array([f"s{i}" for i in rng.integers(0, pool, n)], dtype=object)


@pytest.mark.parametrize("pool", [50, 500, 20_000])
def test_recapture_finds_the_number_of_sources(pool):
    rng = np.random.default_rng(pool)
    seen = Sources().add(names(rng, pool, 5000)).add(names(rng, pool, 5000))
    assert 0.7 * pool < seen.total(names(rng, pool, 5000)) < 1.4 * pool


def test_sources_that_never_come_back_are_without_end():
    rng = np.random.default_rng(0)
    seen = Sources().add(names(rng, 10**12, 3000))
    assert seen.total(names(rng, 10**12, 3000)) == float("inf")
    assert source_count(seen, None) == float("inf")


def test_the_first_window_is_judged_by_its_halves():
    rng = np.random.default_rng(1)
    assert 200 < source_count(Sources(), names(rng, 300, 2000)) < 400


def test_the_sketch_stays_small_and_does_not_mind_the_order():
    rng = np.random.default_rng(2)
    a, b = names(rng, 10**6, 4000), names(rng, 10**6, 4000)
    assert len(Sources().add(a).hashes) == 1024
    assert Sources().add(a).add(b) == Sources().add(b).add(a)


def test_rows_without_a_group_are_no_sources():
    assert Sources().add(np.array([None, "", float("nan")], dtype=object)).hashes == ()
