"""Shape of embeddings: quiet where rows are drawn alike, loud where they shrink, collapse or crowd."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import binom

from backstay.kernel.errors import BackstayError
from backstay.monitor.detectors.geometry import GeometryDetector

WIDTH = 24


def rows(rng, n):
    centres = np.random.default_rng(0).normal(size=(5, WIDTH)) * 2
    return centres[rng.integers(0, 5, n)] + rng.normal(size=(n, WIDTH))


@pytest.fixture
def fitted(world):
    known = rows(np.random.default_rng(1), 2000)
    return GeometryDetector.fit(world.reference(2000, representation=known, columns=False, traits=None))


def looked(fitted, world, look, changed, alpha=0.01):
    window = world.window(n=len(changed), representation=changed, columns=False, traits={})
    return fitted.look({}, window, look(alpha))[0]


def test_the_alarm_rate_of_one_reference_is_within_the_promise(fitted, world, look):
    rng = np.random.default_rng(2)
    alarms = sum(looked(fitted, world, look, rows(rng, 200), 0.02).alarm for _ in range(100))
    assert alarms <= binom.ppf(0.999, 100, 1.5 * 0.02)


@pytest.mark.parametrize("change", ["shrunk", "collapsed", "copies"])
def test_changes_of_shape_are_found(fitted, world, look, change):
    rng = np.random.default_rng(3)
    now = rows(rng, 600)
    middle = now.mean(axis=0)
    if change == "shrunk":
        now = middle + 0.93 * (now - middle)
    if change == "collapsed":
        now[:, WIDTH // 2 :] = middle[WIDTH // 2 :]
    if change == "copies":
        now = np.repeat(now[:60], 10, axis=0) + 0.01 * rng.normal(size=now.shape)
        now[::2] = fitted.shape.gallery[rng.integers(0, len(fitted.shape.gallery), 300)]
    signal = looked(fitted, world, look, now)
    assert signal.alarm
    assert len(signal.moved) == 3
    assert signal.example_ids


def test_json_and_back_gives_the_same_signal(fitted, world, look):
    again = GeometryDetector.from_json(json.loads(json.dumps(fitted.to_json())))
    now = rows(np.random.default_rng(4), 300) * 0.9
    assert looked(again, world, look, now).evidence == looked(fitted, world, look, now).evidence


def test_a_sketch_gives_the_signal_of_the_rows(fitted, world):
    window = world.window(n=400, representation=rows(np.random.default_rng(5), 400), columns=False, traits={})
    whole = fitted.measure(window).thinned["geometry"]
    parts = fitted._sketch(window, np.arange(400))
    assert np.allclose(whole.kept.mean, parts.mean)


def test_without_embeddings_it_does_not_apply_and_few_rows_are_refused(world):
    assert GeometryDetector.fit(world.reference(300, representation=None)) is None
    with pytest.raises(BackstayError, match="measure distances"):
        GeometryDetector.fit(world.reference(40))
