from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from backstay.kernel.errors import BackstayError
from backstay.monitor.detectors.embedding import EmbeddingDetector
from backstay.monitor.detectors.novelty import NoveltyDetector
from backstay.monitor.detectors.rates import Share


def with_cluster(world, rows, share):
    window = world.window(n=rows)
    window.representation[: int(share * rows)] = world.rng.normal(size=(int(share * rows), 4)) * 0.3 + [0, 5, 0, 5]
    return window


def test_a_new_cluster_of_a_twentieth_is_found_and_shown(world, look):
    detector = NoveltyDetector.fit(world.reference(2000))
    window = with_cluster(world, 500, 0.05)
    signal, _ = detector.look({}, window, look(0.004))
    assert signal.alarm
    assert set(signal.example_ids) <= set(window.ids[:25])
    assert len(signal.example_ids) == 8
    assert signal.moved[0].startswith("rows unlike the reference: 1.0% -> ")
    assert signal.figures["share"] == pytest.approx(0.06, abs=0.02)


def test_it_sees_a_rare_new_cluster_before_the_test_of_means(world, look):
    reference = world.reference(2000)
    novelty, means = NoveltyDetector.fit(reference), EmbeddingDetector.fit(reference)
    windows = [with_cluster(world, 400, 0.04) for _ in range(10)]
    seen = [sum(detector.look({}, w, look(0.004))[0].alarm for w in windows) for detector in (novelty, means)]
    assert seen[0] >= 9
    assert seen[0] > seen[1]


def test_unchanged_traffic_is_quiet(world, look):
    detector = NoveltyDetector.fit(world.reference(2000))
    alpha, windows = 0.05, 100
    alarms = sum(detector.look({}, world.window(n=200), look(alpha))[0].alarm for _ in range(windows))
    assert alarms <= binom.ppf(0.999, windows, 1.5 * alpha)


def test_many_dimensions_and_columns_are_read_too(world, look):
    reference = world.reference(1000)
    wide = replace(reference, representation=world.rng.normal(size=(1000, 300)))
    detector = NoveltyDetector.fit(wide)
    assert detector.gallery.shape == (500, 64)
    window = world.window(n=200, representation=world.rng.normal(size=(200, 300)))
    assert not detector.look({}, window, look(0.004))[0].alarm
    window.representation[:30] *= 2.0
    assert detector.look({}, window, look(0.004))[0].alarm
    columns = NoveltyDetector.fit(replace(reference, representation=None))
    odd = world.window(n=200)
    odd.columns["age"][:20] = 200.0
    assert columns.look({}, odd, look(0.004))[0].alarm


def test_groups_count_once_and_rows_of_one_are_never_each_others_neighbours(world, look):
    base = world.reference(1000, correct=None, columns=False, traits=None)
    rows = np.repeat(np.arange(1000), 3)
    grouped = replace(base.take(rows), groups=rows.astype(str).astype(object))
    alone, twins = NoveltyDetector.fit(grouped), NoveltyDetector.fit(replace(grouped, groups=None))
    assert alone.beyond.n == 500
    assert len(np.unique(alone.gallery, axis=0)) == len(alone.gallery)
    assert len(np.unique(twins.gallery, axis=0)) < len(twins.gallery)
    odd = world.window(n=300, groups=np.array(["one"] * 30 + [f"g{i}" for i in range(270)], dtype=object))
    odd.representation[:30] += 20.0
    assert alone.look({}, replace(odd, groups=None), look(0.004))[0].alarm
    assert not alone.look({}, odd, look(0.004))[0].alarm


def test_learned_rows_do_not_say_how_far_is_far(world):
    learned = np.arange(2000) < 1700
    with pytest.raises(BackstayError, match="300 independent reference rows"):
        NoveltyDetector.fit(world.reference(2000, correct=None, learned=learned))
    assert NoveltyDetector.fit(world.reference(2000, representation=None, columns=False)) is None


def test_json_and_back_gives_the_same_signal(world, look):
    detector = NoveltyDetector.fit(world.reference(600))
    again = NoveltyDetector.from_json(json.loads(json.dumps(detector.to_json())))
    window = world.window(n=200, shift=1.0)
    assert again.look({}, window, look()) == detector.look({}, window, look())


def test_what_cannot_be_read_or_is_too_little_is_not_judged(world, look):
    detector = NoveltyDetector.fit(world.reference(600, columns=False))
    assert "no embeddings" in detector.look({}, world.window(n=100, representation=None), look())[0].message
    assert "at least 20" in detector.look({}, world.window(n=15), look())[0].message


def rates(make_world, look, references, windows, alpha, fit):
    found = []
    for seed in range(references):
        world = make_world(seed)
        detector = fit(world.reference(1000, columns=False))
        found.append(np.mean([detector.look({}, world.window(n=300), look(alpha))[0].alarm for _ in range(windows)]))
    return np.array(found)


@pytest.mark.prove
def test_ninety_five_of_a_hundred_references_keep_the_promise(make_world, look):
    alpha = 0.05
    found = rates(make_world, look, 100, 200, alpha, NoveltyDetector.fit)
    assert found.mean() <= alpha
    assert np.quantile(found, 0.95) <= 1.5 * alpha + 2 * 0.019


def test_taking_the_reference_for_exact_breaks_the_promise(make_world, look):
    """The mutant: one hundredth of the reference lay beyond the limit, so one hundredth of all rows is said to."""

    def fit(reference):
        return replace(NoveltyDetector.fit(reference), beyond=Share(1e4, 1e6))

    assert rates(make_world, look, 12, 25, 0.05, fit).max() > 3 * 0.05
