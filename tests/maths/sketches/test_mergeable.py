"""What every sketch owes: merging is the union, in any order and in any parts, and refuses what is not alike."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.kernel.errors import BackstayError
from backstay.maths.sketches.hashes import hash_ids, levels, mix
from backstay.maths.sketches.means import MeanSketch
from backstay.maths.sketches.moments import Moments
from backstay.maths.sketches.thinned import LEVELS, ThinnedSketch, thinned_level

KEY = "test/1"
VALUES = st.lists(st.floats(-1e9, 1e9, allow_subnormal=False), min_size=1, max_size=60)


def parts_of(values: list[float], cuts: list[int]) -> list[np.ndarray]:
    return [np.asarray(part) for part in np.split(np.asarray(values), sorted(c % (len(values) + 1) for c in cuts))]


def mean_sketch(part: np.ndarray) -> MeanSketch:
    return MeanSketch.of(KEY, part[:, None]) if len(part) else MeanSketch.empty(KEY, 1)


def merged(sketches: list[Any]) -> Any:
    found = sketches[0]
    for one in sketches[1:]:
        found = found.merge(one)
    return found


@given(VALUES, st.lists(st.integers(0, 60), max_size=5), st.randoms(use_true_random=False))
def test_the_sum_of_parts_in_any_order_is_the_exact_sum(values: list[float], cuts: list[int], random: Any) -> None:
    pieces = [mean_sketch(part) for part in parts_of(values, cuts)]
    random.shuffle(pieces)
    found = merged(pieces)
    exact = sum((Fraction(v) for v in values), Fraction(0))
    room = 1e-12 * max(float(sum(abs(Fraction(v)) for v in values)), 1e-300)
    assert found.n == len(values)
    assert abs(float(Fraction(float(found.sum[0])) - exact)) <= room


def test_compensation_keeps_what_plain_sums_lose() -> None:
    pieces = [MeanSketch.of(KEY, np.array([[v]])) for v in (1e16, *[1.0] * 1000, -1e16)]
    assert merged(pieces).sum[0] == 1000.0
    plain = 0.0
    for piece in pieces:
        plain += float(piece.total[0])
    assert plain != 1000.0, "the case must be one that plain sums get wrong"


@given(VALUES, VALUES, VALUES)
def test_means_merge_in_any_grouping(a: list[float], b: list[float], c: list[float]) -> None:
    one, two, three = (mean_sketch(np.asarray(part)) for part in (a, b, c))
    left, right, other = one.merge(two).merge(three), one.merge(two.merge(three)), three.merge(two).merge(one)
    scale = np.abs(np.concatenate([a, b, c])).sum() + 1e-300
    assert left.n == right.n == other.n
    assert abs(left.sum[0] - right.sum[0]) <= 1e-12 * scale
    assert abs(left.sum[0] - other.sum[0]) <= 1e-12 * scale


def test_an_empty_sketch_changes_nothing() -> None:
    some = MeanSketch.of(KEY, np.array([[1.5, -2.0], [0.25, 3.0]]))
    for both in (some.merge(MeanSketch.empty(KEY, 2)), MeanSketch.empty(KEY, 2).merge(some)):
        assert both.to_json() == some.to_json()
    moments = Moments.of(np.array([1.0, np.nan, 4.0]))
    assert Moments().merge(moments) == moments == moments.merge(Moments())


@pytest.mark.parametrize("other", [MeanSketch.empty("test/2", 2), MeanSketch.empty(KEY, 3)])
def test_another_map_is_refused(other: MeanSketch) -> None:
    with pytest.raises(BackstayError, match=r"different maps|features"):
        MeanSketch.empty(KEY, 2).merge(other)


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        (MeanSketch, MeanSketch.empty(KEY, 2).to_json()),
        (Moments, Moments().to_json()),
        (ThinnedSketch, ThinnedSketch.empty(KEY, 2, 10).to_json()),
    ],
)
def test_another_version_is_refused(kind: Any, state: dict[str, Any]) -> None:
    with pytest.raises(BackstayError, match="version 0"):
        kind.from_json({**state, "version": 0})


def test_no_rows_have_no_mean() -> None:
    with pytest.raises(BackstayError, match="no rows"):
        _ = MeanSketch.empty(KEY, 1).mean


COLUMN = st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(float("nan")), st.just(float("inf"))), max_size=60)


@given(COLUMN, st.lists(st.integers(0, 60), max_size=4), st.randoms(use_true_random=False))
def test_moments_of_parts_are_those_of_the_whole(values: list[float], cuts: list[int], random: Any) -> None:
    pieces = [Moments.of(part) for part in parts_of(values, cuts)]
    random.shuffle(pieces)
    found = merged(pieces)
    known = [v for v in values if np.isfinite(v)]
    assert (found.n, found.missing, found.infinite) == (
        len(known),
        sum(v != v for v in values),
        sum(v == float("inf") for v in values),
    )
    if not known:
        return
    exact = sum(map(Fraction, known), Fraction(0)) / len(known)
    scale = max(map(abs, known)) + 1e-300
    assert abs(float(Fraction(found.mean) - exact)) <= 1e-12 * scale
    squares = float(sum((Fraction(v) - exact) ** 2 for v in known))
    assert abs(found.squares - squares) <= 1e-12 * scale**2 * len(known)
    assert (found.least, found.greatest) == (min(known), max(known))
    assert Moments.from_json(json.loads(json.dumps(found.to_json()))) == found


def thinned(ids: np.ndarray, most: int = 100) -> ThinnedSketch:
    values = np.sin(ids.astype(np.float64))
    return ThinnedSketch.of(KEY, 1, most, hash_ids(ids), lambda rows: values[rows][:, None])


@given(st.integers(1, 900), st.lists(st.integers(0, 900), max_size=4), st.randoms(use_true_random=False))
def test_a_thinned_stream_is_the_same_in_any_parts(rows: int, cuts: list[int], random: Any) -> None:
    ids = np.arange(rows)
    pieces = [thinned(part.astype(np.int64)) for part in parts_of(ids.tolist(), cuts)]
    random.shuffle(pieces)
    found, whole = merged(pieces), thinned(ids)
    assert found.counts == whole.counts
    assert found.kept.n == whole.kept.n <= 100
    assert found.kept.sum[0] == pytest.approx(whole.kept.sum[0], abs=1e-12)
    assert found.rows == rows
    assert rows > 100 or found.kept.n == rows, "a small stream is read whole"


def test_a_thinned_stream_added_bit_by_bit_computes_little() -> None:
    asked = 0

    def compute(rows: np.ndarray) -> np.ndarray:
        nonlocal asked
        asked += len(rows)
        return np.ones((len(rows), 1))

    sketch = ThinnedSketch.empty(KEY, 1, 500)
    for at in range(0, 100_000, 1000):
        sketch = sketch.add(hash_ids(np.arange(at, at + 1000)), compute)
    assert sketch.rows == 100_000
    assert 200 <= sketch.kept.n <= 500
    assert asked < 6_000, "rows that will not be read are not computed"
    again = ThinnedSketch.from_json(json.loads(json.dumps(sketch.to_json())))
    assert again.merge(sketch).counts == sketch.merge(sketch).counts


def test_thinning_takes_rows_without_regard_to_their_values() -> None:
    ids = np.arange(200_000)
    kept = levels(hash_ids(ids)) >= thinned_level(hash_ids(ids), 50_000)
    assert 25_000 * 0.95 < kept.sum() <= 50_000
    # By place in the stream and by parity: expected halves, within four standard errors.
    assert abs(kept[:100_000].mean() - kept[100_000:].mean()) < 4 * np.sqrt(2 * 0.25 * 0.75 / 100_000)
    assert abs(kept[::2].mean() - kept[1::2].mean()) < 4 * np.sqrt(2 * 0.25 * 0.75 / 100_000)


def test_hashes_are_the_published_ones() -> None:
    """SplitMix64 with seed 1234567, from its reference implementation: hashes must never change."""
    state = 1234567
    assert int(mix(np.array([state], dtype=np.uint64))[0]) == 6457827717110365317
    step = (state + 0x9E3779B97F4A7C15) & (2**64 - 1)
    assert int(mix(np.array([step], dtype=np.uint64))[0]) == 3203168211198807973


def test_levels_halve() -> None:
    found = np.bincount(levels(hash_ids(np.arange(1 << 17))), minlength=LEVELS)
    expected = (1 << 17) / 2.0 ** np.arange(1, 8)
    assert np.all(np.abs(found[:7] - expected) < 5 * np.sqrt(expected))


def test_ids_of_other_seeds_hash_otherwise() -> None:
    ids = np.arange(1000)
    assert not np.any(hash_ids(ids, 1) == hash_ids(ids, 2))
    assert len(set(hash_ids(np.array(["a", "b", "a"], dtype=object)).tolist())) == 2
