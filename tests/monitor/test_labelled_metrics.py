"""Figures beside accuracy from labels: F1, AUC, the confusion, helped by scores, with what they refuse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backstay.kernel.clock import ManualClock
from backstay.maths import classification
from backstay.monitor import metric_estimates
from backstay.monitor.fitted import Detectors
from backstay.monitor.labelled_metrics import primary_of
from backstay.monitor.memory import Memory
from backstay.monitor.watch import watch_window
from backstay.settings import GateSettings, Rule

CLASSES = ("cat", "dog", "eel")


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch):
    monkeypatch.setattr(metric_estimates, "DRAWS", 25)


@pytest.fixture
def asking(make_settings):
    settings = make_settings(watch={"detectors": ["prediction"]})

    def make(*names, rule="no_worse_than_champion"):
        return settings.model_copy(update={"gate": GateSettings(rules=tuple(Rule(rule=rule, metric=n) for n in names))})

    return make


def watched(world, settings, begin, *windows, memory=None, reference=None):
    detectors = Detectors.fit(reference or world.reference(1500), settings)
    memory, result = memory or Memory.start("r1", begin), None
    for window in windows:
        result, memory = watch_window(memory, window, detectors, settings, ManualClock(begin))
    return result, memory


def of_kind(result, *kinds):
    return {e.metric: e for e in result.estimates if e.kind in kinds}


def test_each_figure_stands_beside_its_estimate_without_labels(world, asking, begin):
    settings = asking("f1", "auc", "recall")
    window = world.window(n=800, labels=150)
    result, _ = watched(world, settings, begin, window)
    found = of_kind(result, "ppi")
    assert [(e.metric, e.kind) for e in result.estimates[2:]] == [
        (name, kind) for name in ("auc", "f1", "recall") for kind in ("ppi", "label-free")
    ]
    truth = np.array([CLASSES.index(row.label.value) for row in window.labels])
    answers = np.array([CLASSES.index(row.predicted) for row in window.labels])
    alone = {
        "f1": classification.f1(truth, answers, 3),
        "recall": classification.recall(truth, answers, 3),
        "auc": classification.auc(truth, np.array([row.scores for row in window.labels])),
    }
    for name, value in alone.items():
        e = found[name]
        assert e.interval.low < e.value < e.interval.high
        assert abs(e.value - value) < 0.06
        assert 0.0 < e.figures["trust"] <= 1.0
        assert e.labels == 150
        assert e.figures["low_99"] < e.interval.low
    assert found["f1"].figures["anytime_low"] < found["f1"].interval.low
    assert "anytime_low" not in found["auc"].figures
    shares = {side: np.array(t) for side, t in found["f1"].figures["confusion"].items()}
    assert np.all(shares["low"] <= shares["value"])
    assert np.all(shares["anytime_high"] > shares["value"])
    counts = np.bincount(truth * 3 + answers, minlength=9).reshape(3, 3) / 150
    assert np.abs(shares["value"] - counts).max() < 0.05


def test_labels_of_earlier_windows_are_drawn_on_and_survive_a_restart(world, asking, begin):
    settings = asking("f1")
    windows = [world.window(week, n=400, labels=25) for week in range(3)]
    reference = world.reference(1500)
    result, memory = watched(world, settings, begin, *windows, reference=reference)
    again = Memory.start("r1", begin)
    for window in windows:
        again = Memory.from_json(again.to_json())
        told, again = watched(world, settings, begin, window, memory=again, reference=reference)
    assert again == memory
    assert told.estimates == result.estimates
    assert of_kind(result, "ppi")["f1"].labels == 50
    assert len(memory.rows_seen.labelled) == 75
    assert [pool.rows.shape for pool in memory.rows_seen.pools] == [(400, 4)] * 3


def test_nothing_is_remembered_where_nothing_is_asked(world, asking, begin):
    _, memory = watched(world, asking("accuracy"), begin, world.window(labels=40))
    assert memory.rows_seen.labelled == {}
    assert "rows_seen" not in memory.to_json()


def test_swapped_classes_refuse_what_scores_promise(world, asking, begin):
    """The meaning of two classes was swapped: labels' F1 is low, and the estimate without labels says so or nothing."""
    settings = asking("f1")
    result, _ = watched(world, settings, begin, world.window(n=600, labels=120, swapped=True))
    assert of_kind(result, "label-free")["f1"].value is None
    f1 = of_kind(result, "ppi")["f1"]
    assert f1.interval.high < 0.6


def test_a_figure_that_labels_contradict_is_withheld(world, asking, begin):
    detectors = Detectors.fit(world.reference(1500), asking("f1"))
    window = world.window(n=500)
    free = watched(world, asking("f1"), begin, window)[0]
    accuracy, f1 = (of_kind(free, "label-free")[name] for name in ("accuracy", "f1"))
    for low, high, kept in ((f1.value - 0.1, f1.value + 0.1, True), (0.1, f1.value - 0.01, False)):
        labelled = replace(f1, kind="ppi", figures={"low_99": low, "high_99": high})
        (told,) = metric_estimates.without_labels_by_metric(detectors, window, asking("f1"), accuracy, {"f1": labelled})
        assert (told.value is not None) == kept
        if not kept:
            assert "labels put f1 between 0.100" in told.refusals[0]
            assert told.figures["withheld"] == pytest.approx(f1.value, abs=0.02)


def test_too_few_of_a_class_and_unknown_classes_are_refused_with_the_reason(world, asking, begin, make_label):
    settings = asking("auc", "f1")
    few, _ = watched(world, settings, begin, world.window(n=400, labels=12))
    found = of_kind(few, "ppi", "labels")
    assert (found["auc"].value, found["auc"].kind) == (None, "labels")
    assert "a class has" in found["auc"].refusals[0]
    window = world.window(n=400, labels=80)
    odd = tuple(
        replace(row, label=replace(row.label, value="fox")) if i == 0 else row for i, row in enumerate(window.labels)
    )
    told, _ = watched(world, settings, begin, replace(window, labels=odd))
    assert "1 labels are of classes that the model does not know" in of_kind(told, "ppi")["f1"].refusals[0]


def test_without_scores_labels_speak_alone(world, asking, begin):
    settings = asking("auc", "f1")
    window = world.window(n=400, labels=80, scores=None)
    window = replace(window, labels=tuple(replace(row, scores=None) for row in window.labels))
    reference = world.reference(900, scores=None)
    found = of_kind(watched(world, settings, begin, window, reference=reference)[0], "labels")
    assert found["f1"].interval.method == "exact by class, MOVER"
    assert found["f1"].figures["trust"] == 0.0
    assert found["auc"].refusals == ("the model gives no scores to rank by",)


def test_labels_drawn_by_doubt_and_untrusted_ones_say_nothing(world, asking, begin):
    window = world.window(n=400, labels=80)
    by_doubt = tuple(replace(row, label=replace(row.label, draw="d")) for row in window.labels[:40])
    strangers = tuple(replace(row, label=replace(row.label, trusted=False)) for row in window.labels[40:])
    result, memory = watched(world, asking("f1"), begin, replace(window, labels=by_doubt + strangers))
    assert of_kind(result, "ppi", "labels") == {}
    assert memory.rows_seen.labelled == {}


def test_rows_that_share_groups_widen_intervals_and_have_no_limits_at_every_look(world, asking, begin):
    window = world.window(n=600, labels=120)
    # Right and wrong rows apart, so that a group is alike.
    order = sorted(window.labels, key=lambda row: row.correct)
    grouped = tuple(replace(row, label=replace(row.label, group=f"g{i // 6}")) for i, row in enumerate(order))
    reference, settings = world.reference(1500), asking("f1")
    plain, tied = (
        of_kind(watched(world, settings, begin, replace(window, labels=rows), reference=reference)[0], "ppi")["f1"]
        for rows in (window.labels, grouped)
    )
    width = [e.interval.high - e.interval.low for e in (plain, tied)]
    assert width[1] > 1.4 * width[0]
    assert "anytime_low" not in tied.figures


def test_the_sentence_is_of_the_figure_that_the_project_goes_by(world, asking, begin):
    window, reference = world.window(n=600, labels=120), world.reference(1500)
    by_f1, _ = watched(world, asking("f1"), begin, window, reference=reference)
    assert "were right; F1 is between" in by_f1.headline
    assert "about 360 more would halve that." in by_f1.headline
    at_least, _ = watched(world, asking("f1", rule="at_least"), begin, window, reference=reference)
    assert "were right; accuracy is between" in at_least.headline
    assert primary_of((), asking("f1")) is None
    assert primary_of(by_f1.estimates, asking("f1")).metric == "f1"
    assert primary_of(by_f1.estimates, asking("accuracy", "f1")) is None
