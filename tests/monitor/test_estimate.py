from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from backstay.kernel.clock import ManualClock
from backstay.monitor.estimate import ChanceModel, chance_pool, from_labels, label_points, promised_halfwidth
from backstay.monitor.fitted import Detectors
from backstay.monitor.memory import Memory
from backstay.monitor.watch import watch_window


def remember(memory, window, model):
    points = label_points(window.labels, model)
    return memory.with_labels(points, window.end).with_pool(chance_pool(window, model))


def accuracy_of(window, world) -> float:
    """The true chance of being right in this world is the top score."""
    return float(window.scores.max(axis=1).mean())


def test_the_interval_covers_the_truth_and_is_shorter_than_that_of_the_labels(make_world, begin):
    covered, widths, plain = 0, [], []
    for seed in range(40):
        world = make_world(seed)
        model = ChanceModel.fit(world.reference(1000))
        window = world.window(n=600, labels=60, probability=0.1)
        memory = remember(Memory.start("r", begin), window, model)
        found, bare = from_labels(memory, model), from_labels(memory, None)
        assert (found.kind, bare.kind) == ("ppi", "labels")
        covered += found.interval.low <= accuracy_of(window, world) <= found.interval.high
        widths.append(found.interval.high - found.interval.low)
        plain.append(bare.interval.high - bare.interval.low)
    assert covered >= 35
    assert np.mean(widths) < np.mean(plain)


def test_labels_hold_where_the_scores_lie(make_world, begin):
    """A changed meaning: scores promise 80%, labels know better."""
    below = 0
    for seed in range(10):
        world = make_world(seed)
        model = ChanceModel.fit(world.reference(1000))
        memory = remember(Memory.start("r", begin), world.window(n=600, labels=60, swapped=True), model)
        found = from_labels(memory, model)
        below += found.interval.high < 0.75 and bool(found.figures["contradicts_label_free"])
    assert below >= 9


def test_few_labels_give_the_exact_interval_of_the_labels(world, begin):
    model = ChanceModel.fit(world.reference(1000))
    found = from_labels(remember(Memory.start("r", begin), world.window(labels=10), model), model)
    assert found.kind == "labels"
    assert found.labels == 10
    assert found.labels_needed > 10


def test_no_labels_no_estimate(world, begin):
    model = ChanceModel.fit(world.reference(500))
    assert from_labels(remember(Memory.start("r", begin), world.window(), model), model) is None


def test_the_newest_window_speaks_alone_when_it_holds_enough(world, begin):
    model = ChanceModel.fit(world.reference(500))
    memory = remember(Memory.start("r", begin), world.window(0, labels=40), model)
    memory = remember(memory, world.window(1, labels=35), model)
    assert from_labels(memory, model).labels == 35
    assert from_labels(memory, model).figures["days"] == 7.0
    memory = remember(memory, world.window(2, labels=5), model)
    assert from_labels(memory, model).labels == 40
    assert from_labels(memory, model).figures["days"] == 14.0


def test_labels_that_come_late_count_where_they_belong(world, begin):
    model = ChanceModel.fit(world.reference(500))
    first, second = world.window(0, labels=40), world.window(1)
    memory = Memory.start("r", begin).with_pool(chance_pool(first, model))
    memory = memory.with_labels(label_points(first.labels, model), second.end).with_pool(chance_pool(second, model))
    found = from_labels(memory, model)
    assert found.labels == 40
    assert found.figures["from"] == first.start.isoformat()


def test_labels_of_one_group_widen_the_interval(world, begin, make_label):
    rows = []
    for i in range(60):
        right = (i // 6) % 5 != 0
        rows.append(make_label(f"p{i}", "cat", "cat" if right else "dog", begin, scores=(0.8, 0.1, 0.1)))
    model = ChanceModel.fit(world.reference(500))
    grouped = [
        make_label(r.label.prediction_id, r.predicted, r.label.value, begin, scores=r.scores, group=f"g{i // 6}")
        for i, r in enumerate(rows)
    ]
    widths = []
    for labels in (rows, grouped):
        window = world.window(n=300)
        points = label_points(tuple(labels), model)
        memory = Memory.start("r", begin).with_labels(points, window.end).with_pool(chance_pool(window, model))
        found = from_labels(memory, model)
        widths.append(found.interval.high - found.interval.low)
    assert widths[1] > 1.5 * widths[0]


def test_the_chance_model_needs_scores_labels_and_both_outcomes(world):
    assert ChanceModel.fit(world.reference(300, scores=None)) is None
    assert ChanceModel.fit(world.reference(300, correct=None)) is None
    assert ChanceModel.fit(world.reference(300, correct=np.ones(300))) is None
    assert ChanceModel.fit(world.reference(40)) is None
    model = ChanceModel.fit(world.reference(2000))
    assert 0.03 < model.gain < 0.5


def test_label_free_is_near_the_truth_under_a_moderate_shift(world, settings, begin):
    detectors = Detectors.fit(world.reference(3000), settings)
    window = world.window(n=1000, shift=0.4)
    result, _ = watch_window(Memory.start("r", begin), window, detectors, settings, ManualClock(begin))
    (estimate,) = result.estimates
    assert estimate.kind == "label-free"
    assert estimate.interval.low <= accuracy_of(window, world) <= estimate.interval.high
    assert "has not changed" in estimate.assumption


@pytest.mark.parametrize(
    ("parts", "window", "reason"),
    [
        ({"scores": None}, {}, "no scores"),
        ({"representation": None, "columns": False}, {"columns": False}, "neither inputs nor embeddings"),
        ({"n": 300}, {}, "only 300 labelled reference rows: at least 500"),
        ({}, {"shift": 8.0}, "reference"),
    ],
)
def test_label_free_refuses_and_says_why(world, settings, begin, parts, window, reason):
    detectors = Detectors.fit(world.reference(**{"n": 1000, **parts}), settings)
    result, _ = watch_window(
        Memory.start("r", begin), world.window(n=400, **window), detectors, settings, ManualClock(begin)
    )
    (estimate,) = result.estimates
    assert estimate.value is None
    assert any(reason in refusal for refusal in estimate.refusals)
    assert estimate.labels_needed == 50


def test_label_free_refuses_when_labels_are_too_old(world, settings, begin):
    detectors = Detectors.fit(world.reference(1000), settings)
    memory = Memory.start("r", begin - timedelta(days=120))
    result, _ = watch_window(memory, world.window(n=400), detectors, settings, ManualClock(begin))
    assert "no row has a label since the watch began, 127 days ago" in result.estimates[-1].refusals[0]


def test_more_labels_promise_a_shorter_interval(world):
    reference = world.reference(500)
    assert promised_halfwidth(reference, 200) < promised_halfwidth(reference, 50) < 0.2


def test_limits_that_hold_at_every_look_stand_beside_the_interval(world, begin):
    model = ChanceModel.fit(world.reference(1500))
    window = world.window(n=400, labels=60)
    memory = Memory.start("r", begin).with_labels(label_points(window.labels, model), window.end)
    found = from_labels(memory.with_pool(chance_pool(window, model)), model)
    assert found.kind == "ppi"
    assert found.figures["anytime_low"] < found.interval.low
    assert found.interval.high <= found.figures["anytime_high"]


def test_rows_of_groups_have_no_such_limits(world, begin):
    window = world.window(n=400, labels=60)
    labels = tuple(replace(row, label=replace(row.label, group=f"g{i // 2}")) for i, row in enumerate(window.labels))
    memory = Memory.start("r", begin).with_labels(label_points(labels, None), window.end)
    found = from_labels(memory.with_pool(chance_pool(window, None)), None)
    assert "anytime_low" not in found.figures
