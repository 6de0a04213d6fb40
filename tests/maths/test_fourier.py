from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.kernel.errors import BackstayError
from backstay.maths.fourier import FourierMap, Sketch, median_bandwidth


def test_features_approximate_the_gaussian_kernel() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 8))
    phi = FourierMap(3, 8, features_out=20000, bandwidth=4.0).features(x)
    squares = ((x[:, None] - x[None]) ** 2).sum(axis=2)
    assert np.allclose(phi @ phi.T, np.exp(-squares / 32), atol=0.04)


def test_the_map_is_the_seed_and_nothing_else() -> None:
    map_ = FourierMap(5, 3, bandwidth=2.0)
    again = FourierMap.from_json(json.loads(json.dumps(map_.to_json())))
    x = np.arange(12.0).reshape(4, 3)
    assert np.array_equal(map_.features(x), again.features(x))
    assert not np.allclose(map_.features(x), FourierMap(6, 3, bandwidth=2.0).features(x))
    # Version 1 for ever: a stored sketch is compared with windows made by later versions of Backstay and NumPy.
    assert map_.features(np.ones((1, 3)))[0, :3] == pytest.approx(PINNED, abs=1e-12)


PINNED_2 = [0.08545511, 0.02663432, 0.05626104]
PINNED = [0.0882951165496612, 0.06162283393450148, 0.022650341530343662]


def test_a_map_with_a_centre_is_the_same_in_single_precision_and_wherever_the_rows_lie() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(700, 6))
    centre = tuple(x.mean(axis=0).tolist())
    single, double = FourierMap(5, 6, bandwidth=3.0, centre=centre), FourierMap(5, 6, bandwidth=3.0)
    phi = single.features(x)
    assert phi.dtype == np.float32
    assert phi == pytest.approx(double.features(x - np.asarray(centre)), abs=2e-6)
    assert (phi.astype(float) ** 2).sum(axis=1) == pytest.approx(1.0, abs=1e-5)
    far = FourierMap(5, 6, bandwidth=3.0, centre=tuple(c + 1e8 for c in centre))
    assert far.features(x + 1e8) == pytest.approx(phi, abs=1e-5)
    assert np.isfinite(single.features(np.array([[1e300, 0, 0, 0, 0, -1e300]]))).all()
    with pytest.raises(BackstayError, match="NaN or infinite"):
        single.features(np.array([[np.nan, 0, 0, 0, 0, 0]]))


def test_versions_of_the_map_are_told_apart_and_read_back() -> None:
    old, new = FourierMap(5, 2, bandwidth=2.0), FourierMap(5, 2, bandwidth=2.0, centre=(1.0, 2.0))
    assert old.to_json() == {"version": 1, "seed": 5, "dimension_in": 2, "features": 256, "bandwidth": 2.0}
    assert new.to_json() == {**old.to_json(), "version": 2, "centre": [1.0, 2.0]}
    x = np.random.default_rng(0).normal(size=(4, 2))
    for map_ in (old, new):
        again = FourierMap.from_json(json.loads(json.dumps(map_.to_json())))
        assert again == map_
        assert np.array_equal(again.features(x), map_.features(x))
    # Version 2 for ever as well, to the digits that it has.
    assert new.features(np.ones((1, 2)))[0, :3] == pytest.approx(PINNED_2, abs=1e-6)


def test_weights_are_standard_normal() -> None:
    weights = FourierMap(1, 100, features_out=400)._weights.ravel()
    assert abs(weights.mean()) < 0.03
    assert weights.std() == pytest.approx(1.0, abs=0.02)
    assert np.mean(np.abs(weights) > 1.96) == pytest.approx(0.05, abs=0.006)


@given(cut=st.integers(1, 59), seed=st.integers(0, 20))
def test_a_merged_sketch_is_the_sketch_of_the_union_in_any_order(cut: int, seed: int) -> None:
    phi = np.random.default_rng(seed).normal(size=(60, 16))
    whole = Sketch.of(phi)
    one, two = Sketch.of(phi[:cut]), Sketch.of(phi[cut:])
    for merged in (one.merge(two), two.merge(one), Sketch.of(phi[::-1])):
        assert merged.n == 60
        assert np.allclose(merged.mean, whole.mean, atol=1e-12)


def test_sketches_survive_json_exactly() -> None:
    sketch = Sketch.of(np.random.default_rng(0).normal(size=(5, 4)))
    again = Sketch.from_json(json.loads(json.dumps(sketch.to_json())))
    assert again.n == 5
    assert np.array_equal(again.total, sketch.total)


def test_bandwidth_is_the_median_distance() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 5))
    distances = [np.linalg.norm(x[i] - x[j]) for i in range(40) for j in range(i)]
    assert median_bandwidth(x, rng) == pytest.approx(np.median(distances))
    assert median_bandwidth(np.ones((9, 2)), rng) == 1.0
    assert median_bandwidth(np.ones((1, 2)), rng) == 1.0
    assert median_bandwidth(rng.normal(size=(3000, 5)), rng) == pytest.approx(np.sqrt(10), rel=0.1)


def test_wrong_spaces_versions_and_sizes_are_refused() -> None:
    map_ = FourierMap(5, 3)
    with pytest.raises(BackstayError, match="2 numbers for a map made for 3"):
        map_.features(np.zeros((4, 2)))
    with pytest.raises(BackstayError, match="version 3"):
        FourierMap.from_json({**map_.to_json(), "version": 3})
    with pytest.raises(BackstayError, match="centre of 2"):
        FourierMap(5, 3, centre=(0.0, 1.0))
    with pytest.raises(BackstayError, match="reference of 3"):
        FourierMap(5, 3, centre=(0.0, 1.0, 2.0)).features(np.zeros((4, 2)))
    with pytest.raises(BackstayError, match="even number"):
        FourierMap(5, 3, features_out=7)
    with pytest.raises(BackstayError, match="bandwidth"):
        FourierMap(5, 3, bandwidth=0.0)
    with pytest.raises(BackstayError, match="one map"):
        Sketch.of(np.ones((2, 3))).merge(Sketch.of(np.ones((2, 4))))
