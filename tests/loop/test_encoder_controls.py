"""The encoder's space beside raw rows and an untrained encoder: a useless one is refused by the default policy."""

from __future__ import annotations

import numpy as np
import pytest

from backstay.evaluate.case import Case
from backstay.gate.decide import decide
from backstay.kernel.clock import SystemClock
from backstay.kernel.records import Comparison, Report
from backstay.loop.encoder_controls import EncoderRows, encoder_controls
from backstay.settings import GateSettings

RNG = np.random.default_rng(3)
TRUTH = RNG.integers(0, 2, 400)
KNOWN = RNG.integers(0, 2, 300)


def space(signal):
    """Gallery and gate rows whose first place tells the class with this strength."""
    return tuple(
        (RNG.normal(size=(len(c), 3)) + np.outer(c * signal, [1, 0, 0])).astype(np.float32) for c in (KNOWN, TRUTH)
    )


def decided(trained, untrained, raw_right=0.8):
    predicted = np.where(RNG.random(400) < raw_right, TRUTH, 1 - TRUTH)
    raw = Case(TRUTH, predicted, None, None, None, ("a", "b"))
    measured, compared = encoder_controls(EncoderRows(KNOWN, trained, untrained), raw, k=5, data_id="data-1")
    simple = tuple(
        Comparison("accuracy", f"control:{name}", 0.2, None, 0.15, 0.01, 0.99, 400, "data-1")
        for name in ("majority", "raw_knn")
    )
    report = Report("report-1", "model-1", "data-1", SystemClock().now(), measured, simple + compared)
    verdict = decide(report, GateSettings(), model="m", environment="e", champion=None, clock=SystemClock())
    return measured, next(o for o in verdict.outcomes if o.rule.startswith("beats_controls"))


def test_a_good_encoder_passes_and_its_figures_stand_beside_those_of_the_controls():
    measured, outcome = decided(space(5.0), space(0.5))
    assert outcome.passed
    figures = {m.of: m.value for m in measured}
    assert {m.metric for m in measured} == {"knn_accuracy"}
    assert figures["model"] > 0.97 > figures["control:raw_knn"] > figures["control:random_encoder"]


@pytest.mark.parametrize(
    ("trained", "untrained", "raw", "told"),
    [(0.0, 0.0, 0.9, "the raw input (-0."), (0.5, 5.0, 0.5, "the same encoder untrained (-0.")],
)
def test_a_useless_encoder_is_refused_in_a_sentence(trained, untrained, raw, told):
    _, outcome = decided(space(trained), space(untrained), raw)
    assert not outcome.passed
    assert outcome.message.startswith("the encoder may be of no use: nearest neighbours in its space may be behind")
    assert told in outcome.message


def test_the_comparison_that_is_missing_is_a_refusal():
    measured, _ = decided(space(5.0), space(0.5))
    simple = Comparison("accuracy", "control:majority", 0.2, None, 0.15, 0.01, 0.99, 400, "data-1")
    report = Report("report-1", "model-1", "data-1", SystemClock().now(), measured, (simple,))
    verdict = decide(report, GateSettings(), model="m", environment="e", champion=None, clock=SystemClock())
    outcome = next(o for o in verdict.outcomes if o.rule.startswith("beats_controls"))
    assert not outcome.passed
    assert "control:random_encoder" in outcome.message


def test_a_trained_project_measures_its_encoder_against_both(trained):
    ws = trained.open().ws
    (report,) = ws.catalog.find("report", Report)
    assert {c.against for c in report.comparisons if c.metric == "knn_accuracy"} == {
        "control:raw_knn",
        "control:random_encoder",
    }
    assert {m.of for m in report.measurements if m.metric == "knn_accuracy"} >= {"model", "control:random_encoder"}
