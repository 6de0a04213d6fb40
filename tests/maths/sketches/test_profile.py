from __future__ import annotations

import base64
import json

import numpy as np
import pytest

from backstay.kernel.errors import BackstayError
from backstay.maths.sketches.profile import ColumnProfile


def profile_of(parts: list[np.ndarray]) -> ColumnProfile:
    found = ColumnProfile.of(parts[0])
    for part in parts[1:]:
        found = found.merge(ColumnProfile.of(part))
    return found


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    return np.round(np.random.default_rng(0).gamma(2.0, size=60_000), 3)


def test_quantiles_lie_within_the_rank_error_however_rows_were_parted(values) -> None:
    ordered = np.sort(values)
    for cuts in ([], [7], [10_000, 30_000], list(range(3000, 60_000, 3000))):
        profile = profile_of(np.split(values, cuts))
        for rank, value in zip((0.01, 0.25, 0.5, 0.99), profile.quantiles([0.01, 0.25, 0.5, 0.99]), strict=True):
            low, high = (np.searchsorted(ordered, value, side=side) / len(values) for side in ("left", "right"))
            # The library's bound holds with 99% for all ranks at once; twice as wide never fails in practice.
            assert low - 2 * profile.rank_error <= rank <= high + 2 * profile.rank_error
        assert profile.quantiles([0.0, 1.0]) == (values.min(), values.max())
    assert 0 < profile.rank_error < 0.02


def test_distinct_values_do_not_depend_on_parts_or_order(values) -> None:
    true = len(np.unique(values))
    whole = ColumnProfile.of(values)
    assert whole.distinct == pytest.approx(true, rel=0.06)
    low, high = whole.distinct_bounds(3)
    assert low <= true <= high
    parted = profile_of(np.split(np.random.default_rng(1).permutation(values), [5, 20_000]))
    assert parted.distinct == whole.distinct
    assert profile_of([values, values]).distinct == whole.distinct, "a value that comes again is not new"


def test_texts_and_missing_values() -> None:
    profile = profile_of([np.array(["a", None, "b"], dtype=object), np.array(["a", "c"], dtype=object)])
    assert (profile.rows, profile.missing, profile.missing_rate) == (5, 1, 0.2)
    assert profile.distinct == pytest.approx(3, abs=0.01)
    with pytest.raises(BackstayError, match="quantiles of a column of texts"):
        profile.quantiles([0.5])
    with pytest.raises(BackstayError, match="different maps"):
        profile.merge(ColumnProfile.of(np.array([1.0])))


def test_merging_changes_neither_part() -> None:
    one, two = ColumnProfile.of(np.array([1.0, 2.0])), ColumnProfile.of(np.array([5.0]))
    before = one.to_json()
    assert one.merge(two).quantiles([1.0]) == (5.0,)
    assert one.to_json() == before
    assert one.quantiles([1.0]) == (2.0,)


def test_a_profile_of_nothing_is_the_identity(values) -> None:
    some = ColumnProfile.of(values[:100])
    both = some.merge(ColumnProfile.of(np.empty(0)))
    assert (both.rows, both.quantiles([0.0, 0.5, 1.0])) == (100, some.quantiles([0.0, 0.5, 1.0]))
    assert both.distinct == some.distinct


def test_it_survives_storage(values) -> None:
    profile = ColumnProfile.of(values)
    again = ColumnProfile.from_json(json.loads(json.dumps(profile.to_json())))
    assert again.quantiles([0.1, 0.9]) == profile.quantiles([0.1, 0.9])
    assert again.merge(profile).rows == 2 * len(values)


def test_a_sketch_of_another_seed_is_refused() -> None:
    datasketches = pytest.importorskip("datasketches")
    foreign = datasketches.cpc_sketch(11, 1)
    foreign.update(1.0)
    state = ColumnProfile.of(np.array([1.0])).to_json()
    with pytest.raises(BackstayError, match="cannot be read"):
        ColumnProfile.from_json({**state, "distinct": base64.b64encode(foreign.serialize()).decode()})


@pytest.mark.parametrize("change", [{"version": 0}, {"distinct": ""}, {"distinct": "AAAA"}, {"ranks": "AAAA"}])
def test_other_states_are_refused(change) -> None:
    state = ColumnProfile.of(np.array([1.0, 2.0])).to_json()
    with pytest.raises(BackstayError, match=r"version 0|cannot be read"):
        ColumnProfile.from_json({**state, **change})
