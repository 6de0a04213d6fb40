"""Metrics of the policy beside accuracy, estimated without labels."""

from __future__ import annotations

import numpy as np
import pytest

from backstay.kernel.clock import ManualClock
from backstay.monitor import metric_estimates
from backstay.monitor.fitted import Detectors
from backstay.monitor.memory import Memory
from backstay.monitor.metric_estimates import asked
from backstay.monitor.reference import fit_reference
from backstay.monitor.watch import watch_window
from backstay.settings import GateSettings, Rule


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch):
    monkeypatch.setattr(metric_estimates, "DRAWS", 25)


def with_metrics(settings, *names):
    rules = tuple(Rule(rule="at_least", metric=name, value=0.5) for name in names)
    return settings.model_copy(update={"gate": GateSettings(rules=rules)})


def watched(world, settings, begin, reference, window):
    result, _ = watch_window(
        Memory.start("r1", begin), window, Detectors.fit(reference, settings), settings, ManualClock(begin)
    )
    return result


def test_the_policy_says_which(settings):
    assert asked(with_metrics(settings, "f1", "accuracy", "log_loss", "auc")) == ("auc", "f1")
    assert asked(with_metrics(settings, "accuracy")) == ()


def test_each_metric_stands_beside_accuracy_with_its_assumption(world, settings, begin):
    settings = with_metrics(settings, "f1", "recall")
    window = world.window(n=500)
    result = watched(world, settings, begin, world.reference(1500), window)
    found = {e.metric: e for e in result.estimates if e.kind == "label-free"}
    assert list(found) == ["accuracy", "f1", "recall"]
    for e in found.values():
        assert e.interval.low < e.value < e.interval.high
        assert e.assumption.startswith("valid only if")
    shares = np.asarray(found["f1"].figures["confusion"]["value"])
    assert shares.shape == (len(found["f1"].figures["classes"]),) * 2
    assert abs(np.trace(shares) - found["accuracy"].value) < 0.02


def test_what_is_refused_for_accuracy_is_refused_for_all(world, settings, begin):
    settings = with_metrics(settings, "f1")
    result = watched(world, settings, begin, world.reference(1500), world.window(n=500, shift=6.0))
    accuracy, f1 = (e for e in result.estimates if e.kind == "label-free")
    assert accuracy.value is None
    assert f1.value is None
    assert f1.refusals == accuracy.refusals


def test_without_metrics_in_the_policy_nothing_is_added(world, settings, begin):
    result = watched(world, settings, begin, world.reference(1500), world.window(n=300))
    assert [e.metric for e in result.estimates if e.kind == "label-free"] == ["accuracy"]


def test_without_the_true_classes_several_are_refused_and_two_are_worked_out(world, settings, begin):
    settings = with_metrics(settings, "f1")
    result = watched(world, settings, begin, world.reference(1500, truth=None), world.window(n=300))
    assert "the true classes of the reference are not known" in result.estimates[-1].refusals[0]
    two = fit_reference(np.array(["no", "yes", "no"], dtype=object), correct=np.array([1.0, 0.0, 0.0]))
    assert metric_estimates.reference_truth(two).tolist() == [0, 0, 1]
